"""The network that a training learns from beside its labels."""

from __future__ import annotations

from pathlib import Path

from hrnet_search.errors import Fault, WeightsError
from hrnet_search.evaluate.training.distillation import Distillation
from hrnet_search.paths import absolute, is_file
from hrnet_search.records.schedule import Schedule
from hrnet_search.search.initial_weights import fingerprint_of
from hrnet_search.store.trainings import Teacher
from hrnet_search.trainings.models import UNKNOWN, Model, of_file

KEY = "--teacher"


def noted_teacher(
    path: str, temperature: float, weight: float, schedule: Schedule
) -> tuple[Teacher, tuple[str, ...]]:
    """Return what is kept of a teacher in a weight or ONNX file, and lines to say of it.

    Raise WeightsError if it is not a network that decides on the images of the schedule.
    """
    where = absolute(path)
    if not is_file(where):
        wrong, allowed = f"{where} is not a file", "weights of a whole network, or an ONNX file"
        raise WeightsError(Fault(KEY, path, wrong, allowed))
    model = of_file(where, "cpu")
    if faults := _faults(model, schedule, where):
        raise WeightsError(faults)
    teacher = Teacher(str(where), fingerprint_of(where), temperature, weight)
    notes = (f"note: {model.guessed}",) if model.guessed else ()
    return teacher, (line_of(teacher), *notes)


def distillation_of(teacher: Teacher, device: str) -> Distillation:
    """Return what learns from a teacher on a device. Raise WeightsError."""
    return Distillation(of_file(teacher.path, device).network, teacher.temperature, teacher.weight)


def line_of(teacher: Teacher) -> str:
    """Return what a person should know before."""
    share = f"{teacher.weight:.0%} of the loss, at a temperature of {teacher.temperature:g}"
    return f"teacher: {teacher.path}: {share}"


def _faults(model: Model, schedule: Schedule, path: Path) -> list[Fault]:
    """Return why a network's decisions say nothing about the images that are trained on."""
    theirs, own = model.data, schedule.data
    faults = []
    if theirs.classes != own.classes:
        wrong = f"{path} decides between {theirs.classes} classes"
        faults.append(Fault(KEY, str(path), wrong, f"a network of {own.classes} classes"))
    if (theirs.mean, theirs.std) != (own.mean, own.std):
        wrong = f"{path} takes images normalised with {theirs.mean} and {theirs.std}"
        if (theirs.mean, theirs.std) == (UNKNOWN.mean, UNKNOWN.std):
            wrong += ", ImageNet's, as far as it says"
        faults.append(Fault(KEY, str(path), wrong, f"with {own.mean} and {own.std}, as here"))
    if theirs.names and own.names and theirs.names != own.names and not faults:
        pairs = zip(theirs.names, own.names, strict=True)
        one, other = next((a, b) for a, b in pairs if a != b)
        wrong = f"{path} has the class {one} where the data have {other}"
        faults.append(Fault(KEY, str(path), wrong, "a network of the same classes"))
    if model.window is not None and model.window != schedule.crop:
        size = " x ".join(map(str, model.window))
        wrong = f"{path} takes images of {size} alone"
        instead = f"--crop {model.window[0]} {model.window[1]}"
        faults.append(Fault(KEY, str(path), wrong, "an export of any size", instead=instead))
    return faults
