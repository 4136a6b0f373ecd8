"""Exporters by format, and the export of a whole front."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from hrnet_search.errors import Fault, InputError
from hrnet_search.export.card import write_card
from hrnet_search.export.hrnet import export_hrnet
from hrnet_search.export.member import Member, front_of, network_of_trial
from hrnet_search.export.mmseg import export_mmseg
from hrnet_search.export.onnx_file import export_onnx
from hrnet_search.export.result import NOTHING_SHARED, SHARING, ExportOptions, ExportResult
from hrnet_search.export.safetensors_file import export_safetensors
from hrnet_search.paths import is_file
from hrnet_search.records.latency import Latency
from hrnet_search.store.study import Study
from hrnet_search.told import Told, nobody

Exporter = Callable[[Member, Path, ExportOptions], ExportResult]
Measure = Callable[[Path, Member], Latency]

EXPORTERS: dict[str, Exporter] = {
    "hrnet": export_hrnet,
    "mmseg": export_mmseg,
    "onnx": export_onnx,
    "safetensors": export_safetensors,
}
"""Each writes one member of the front for one other library, or says why not."""

STARTING = ("hrnet", "mmseg")
"""Formats of which trainings start."""

EXTRA_LIBRARIES = {"onnx": ("onnx", "onnxruntime", "onnxscript")}
"""What a format needs beyond what is always installed; the extra of that name brings it."""


def export_front(
    study: Study,
    folder: str | Path,
    formats: Sequence[str],
    options: ExportOptions,
    measure: Measure | None = None,
    told: Told = nobody,
    trial: int | None = None,
) -> dict[str, ExportResult]:
    """Write the front in every format, and a card a member; return what was written by format.

    With `trial` it is the network of that trial alone, on the front or not.

    A refusal leaves the other files good. `measure` times a written ONNX file for the card;
    `told` hears before each file how many are done, how many there are, and which it is. Raise
    InputError for unknown formats, missing libraries, a study without a front and slices that there
    are not, before anything is written; StorageLostError where a file cannot be written.
    """
    formats = list(dict.fromkeys(formats))
    check_formats(formats)
    members = front_of(study) if trial is None else (network_of_trial(study, trial),)
    if not members:
        wrong, allowed = "no trial has completed", "a study with a front"
        raise InputError(Fault("", None, wrong, allowed, file=str(study.folder)))
    _check_slices(study, formats, options, members)
    found = dict.fromkeys(formats, ExportResult())
    cards = ExportResult()
    parts = len(members) * len(formats)
    for place, member in enumerate(members):
        whole, latencies = ExportResult(), []
        for column, name in enumerate(formats):
            told(place * len(formats) + column, parts, f"{name}: {member.stem}")
            result = EXPORTERS[name](member, Path(folder), options)
            found[name] += result
            whole += result
            if measure and name == "onnx":
                latencies += [measure(path, member) for path in result.written]
        cards += ExportResult((write_card(member, Path(folder), whole, latencies),))
    return {**found, "cards": cards}


def _check_slices(
    study: Study, formats: Sequence[str], options: ExportOptions, members: Sequence[Member]
) -> None:
    if not options.slices:
        return
    where = str(study.folder)
    shared = members[0].shared
    if shared is None or not is_file(shared):
        wrong = f"the shared weights are gone: {shared}" if shared else NOTHING_SHARED
        raise InputError(Fault("--slices", None, wrong, SHARING, where))
    if not set(formats) & set(STARTING):
        wrong = f"they are written beside configs, and {', '.join(formats)} has none"
        raise InputError(Fault("--slices", None, wrong, f"with {' or '.join(STARTING)}", where))


def check_formats(formats: Sequence[str]) -> None:
    """Raise InputError with every format that is not known, or whose libraries are missing."""
    faults = []
    for name in formats:
        if name not in EXPORTERS:
            known = ", ".join(EXPORTERS)
            faults.append(Fault("--format", name, f"{name} is not known", known))
        missing = [m for m in EXTRA_LIBRARIES.get(name, ()) if not importlib.util.find_spec(m)]
        if missing:
            wrong = f"{name} needs {', '.join(missing)}, not installed here"
            instead = f"to install: pip install {' '.join(EXTRA_LIBRARIES[name])}"
            faults.append(Fault("--format", name, wrong, instead=instead))
    if faults:
        raise InputError(faults)
