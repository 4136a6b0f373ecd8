"""`export`: the front of a study, or one network of it, as files of other libraries."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import (
    add_study,
    offer,
    output,
    positive,
    require_positive,
    whole,
)
from hrnet_search.commands.outcome import DONE, say, warn
from hrnet_search.commands.report import opened
from hrnet_search.counts import digits
from hrnet_search.errors import Fault, InputError, counted
from hrnet_search.export.result import ExportOptions
from hrnet_search.paths import expanded

if TYPE_CHECKING:
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.export.member import Member
    from hrnet_search.export.result import ExportResult
    from hrnet_search.records.latency import Latency
    from hrnet_search.store.study import Study


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    add_study(sub)
    sub.add_argument(
        "-o", "--output", type=output, metavar="DIR", help="folder for the files (STUDY/export)"
    )
    one = sub.add_mutually_exclusive_group()
    one.add_argument("--trial", type=whole, metavar="N", help="the network of this trial alone")
    budget = "the best network within a budget alone, as 'latency_ms<=20' or 'macs<=2.5G'"
    one.add_argument("--pick", metavar="BUDGET", help=budget)
    formats = "hrnet, mmseg, onnx, safetensors; with commas between (hrnet)"
    offer(sub.add_argument("--format", default="hrnet", help=formats), _formats)
    sub.add_argument("--latency", action="store_true", help="measure ONNX files in onnxruntime")
    sub.add_argument("--weights", action="store_true", help="trained weights beside the configs")
    slices = "slices of the study's shared weights beside the configs, to start from"
    sub.add_argument("--slices", action="store_true", help=slices)
    sub.add_argument(
        "--as-is",
        action="store_true",
        help="also what the target would change, with the reasons in it",
    )
    size = {"nargs": 2, "type": positive, "metavar": ("H", "W")}
    sub.add_argument("--size", help="fix the image size of ONNX files (open)", **size)  # type: ignore[arg-type]
    sub.add_argument("--batch", type=positive, metavar="N", help="fix their batch (open)")
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")


def _formats() -> Iterable[str]:
    from hrnet_search.export.table import EXPORTERS

    return EXPORTERS


def command(options: argparse.Namespace) -> int:
    """Write files for other libraries, of the front; name what those would not run as meant."""
    study = opened(options.study)
    folder = _folder(study, options.output)
    size = (options.size[0], options.size[1]) if options.size else None
    how = ExportOptions(options.weights, options.as_is, size, options.batch, options.slices)
    from hrnet_search.commands.terminal import Terminal

    terminal, formats = Terminal(options.plain), options.format.split(",")
    trial = _trial(study, options.trial, options.pick)
    found = _export(study, folder, formats, how, options.latency, terminal, trial)
    for name, result in found.items():
        say(f"{name}: {counted(len(result.written), 'file')} in {folder}")
        for refusal in result.refused:
            warn(f"{name}: refused: {refusal}")
    return DONE


def export(
    study: str | Path | Study,
    folder: str | Path | None = None,
    formats: str | Sequence[str] = "hrnet",
    *,
    weights: bool = False,
    slices: bool = False,
    as_is: bool = False,
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    latency: bool = False,
    trial: int | None = None,
    pick: str | None = None,
) -> dict[str, ExportResult]:
    """Write the front of a study into `folder` (STUDY/export); return what was written by format.

    With `trial`, or `pick` (the best within a budget such as "latency_ms<=20"), that network alone.
    `formats` are of hrnet, mmseg, onnx and safetensors; "cards" are written with all. `weights`
    adds trained weights to formats that are configs, `slices` those of the study's shared weights,
    for a training to start from; `as_is` writes also what the target would change. `size` (height,
    width) and `batch` fix those of ONNX files, `latency` times those in onnxruntime. What was not
    written is in `refused` of its format, with the reasons. Raise InputError for what cannot be
    asked for and for a study without a front, StorageLostError.
    """
    require_positive(("batch", batch), *zip(("height", "width"), size or (), strict=False))
    names = formats.split(",") if isinstance(formats, str) else formats
    found = opened(study)
    how = ExportOptions(weights, as_is, size, batch, slices)
    from hrnet_search.commands.terminal import Quiet

    place, number = _folder(found, folder), _trial(found, trial, pick)
    return _export(found, place, names, how, latency, Quiet(), number)


def _trial(study: Study, trial: int | None, pick: str | None) -> int | None:
    """Return which trial is exported alone, None for the front."""
    if trial is not None and pick is not None:
        raise InputError(Fault("--pick", pick, "does not go with --trial", "one of them"))
    if pick is None:
        return trial
    from hrnet_search.report.pick import picked_trial

    return picked_trial(study, pick)


def _folder(study: Study, folder: str | Path | None) -> Path:
    if folder is None:
        return study.folder / "export"
    return Path(os.path.realpath(expanded(str(folder))))  # a link that the user names is meant


def _export(
    study: Study,
    folder: Path,
    formats: Sequence[str],
    how: ExportOptions,
    latency: bool,
    terminal: Terminal,
    trial: int | None = None,
) -> dict[str, ExportResult]:
    from hrnet_search.commands.working import working
    from hrnet_search.export.table import export_front

    if latency and "onnx" not in formats:
        wrong = "only ONNX files are timed here"
        raise InputError(Fault("--latency", None, wrong, "with onnx in --format"))
    measure = _onnx_latency(how, terminal.say) if latency else None
    names = list(dict.fromkeys(formats))
    with working(terminal, len(names)) as told:
        return export_front(study, folder, names, how, measure, told, trial)


def _onnx_latency(
    how: ExportOptions, say: Callable[[str], None]
) -> Callable[[Path, Member], Latency]:
    """Return what times an exported file in onnxruntime, at the size its network was timed at."""
    from hrnet_search.evaluate.latency.onnx_file import measure_onnx
    from hrnet_search.records.latency import LatencySpec

    def measure(path: Path, member: Member) -> Latency:
        timed, usual = member.result.latency, LatencySpec()
        size = how.size or member.size or usual.size
        spec = LatencySpec(size, how.batch or (timed.condition.batch if timed else usual.batch))
        found = measure_onnx(path, spec, classes=member.classes)
        noisy = ", noisy" if found.noisy else ""
        say(f"{path.name}: {digits(found.median_ms)} ms in onnxruntime on the CPU{noisy}")
        return found

    return measure
