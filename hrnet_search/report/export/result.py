"""What an export wrote, and what it would not write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ExportResult:
    """`refused` has one line a file that was not written: its name, and every reason."""

    written: tuple[Path, ...]
    refused: tuple[str, ...]
