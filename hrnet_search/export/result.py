"""What an export is asked for, what it wrote, and what it would not write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SLICE = "_slice"
"""Behind the names of files of weights that a training starts from."""

SHARING = "a study with schedule.shared"
NOTHING_SHARED = "the study taught no weights that its networks share"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export.

    `weights` adds trained weights to formats that are configs, `slices` those of the weights that
    the study's networks share, for a training to start from. `as_is` writes also what the
    target would change. `size` (height, width) and `batch` fix those of an ONNX file; None
    leaves them open.
    """

    weights: bool = False
    as_is: bool = False
    size: tuple[int, int] | None = None
    batch: int | None = None
    slices: bool = False


@dataclass(frozen=True, slots=True)
class ExportResult:
    """`refused` has one line a file that was not written: its name, and every reason."""

    written: tuple[Path, ...] = ()
    refused: tuple[str, ...] = ()

    def __add__(self, other: ExportResult) -> ExportResult:
        return ExportResult(self.written + other.written, self.refused + other.refused)


def refusal(name: str, reasons: Iterable[str]) -> ExportResult:
    """Return the result of a file that was not written."""
    return ExportResult(refused=(f"{name}: {'; '.join(reasons)}",))
