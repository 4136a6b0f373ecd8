"""A member of the front, with everything that an export says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, InputError
from hrnet_search.library.writer import ConfigWriter, StudyConfig
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import Latency
from hrnet_search.records.objective import Objective
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import COMPLETED, TrialResult
from hrnet_search.store.evaluations import evaluation_path
from hrnet_search.store.kept import first_weights, weights_path
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.schedules import shares_weights, trains_by
from hrnet_search.store.study import Study, named_trial
from hrnet_search.store.trial_rows import BASE, SLICES

LIBRARY_CLASSES = 19
"""What the HRNet library takes where a yaml has no DATASET.NUM_CLASSES."""


@dataclass(frozen=True, slots=True)
class Member:
    """An architecture on the front, or asked for, and the trial that its weights are of.

    `miou` is the mean over its seeds, `result` its first trial by the search's schedule: the best
    of several seeds would flatter it. `others` are its other completed trials; `schedule` is None
    where the study did not note it. `writer` writes its config, `number` is the trial's;
    `accuracies` are those that the study asks for beside mIoU, `latency` what all its trials
    measured, `size` (height, width) what its costs are counted at. `counts` says that its network
    counts by the schedule of this trial, `slices` that nobody trained it: its mIoU is by slices of
    weights that many networks share, which lie at `shared` where there are any. `by` is the id of
    the schedule that trains it, which was its trial's if it was trained.
    """

    architecture: Architecture
    miou: float
    result: TrialResult
    others: tuple[TrialResult, ...]
    schedule: Schedule | None
    writer: ConfigWriter
    study: str
    folder: Path
    number: int
    accuracies: tuple[Objective, ...] = ()
    latency: Latency | None = None
    size: tuple[int, int] | None = None
    counts: bool = True
    slices: bool = False
    by: str = ""
    shared: Path | None = None

    @property
    def stem(self) -> str:
        """What its files are called: head, width, id and mIoU in percent.

        With the trial where it is by another schedule than the one that its network counts by.
        """
        percent = f"{100 * self.miou:.1f}"
        network, trial = self.architecture, "" if self.counts else f"_trial{self.number}"
        accuracy = f"{'slices_' if self.slices else ''}miou{percent}"
        return f"{network.head}_w{network.width}_{network.id}{trial}_{accuracy}"

    @property
    def plain_stem(self) -> str:
        """The stem without dots, which mmengine does not take in a config's name."""
        return self.stem.replace(".", "-")

    def files_in(self, folder: Path) -> tuple[Path, ...]:
        """Return what is in a folder under its name, in order; its card is left out."""
        starts = (f"{self.stem}.", f"{self.stem}_", f"{self.plain_stem}_")
        found = (p for p in folder.glob("*") if p.name.startswith(starts))
        return tuple(sorted(path for path in found if path.suffix != ".md"))

    @property
    def data(self) -> DataSpec:
        """What it was trained on, as far as the study noted it."""
        return self.writer.data(self.by)

    @property
    def classes(self) -> int:
        """Classes that it was trained to distinguish."""
        return self.data.classes or self._base_classes

    @property
    def _base_classes(self) -> int:
        base = self.writer.base
        section = (base.sections.get("DATASET") if base else None) or {}
        found = section.get("NUM_CLASSES", LIBRARY_CLASSES)
        return found if type(found) is int else LIBRARY_CLASSES

    @property
    def config(self) -> StudyConfig:
        """Its config, as it is called by its name wherever it is written."""
        return self.writer.write(self.architecture, self.by)

    @property
    def mean(self) -> tuple[float, ...]:
        """What is taken from red, green and blue of images from 0 to 1."""
        return self.data.mean

    @property
    def std(self) -> tuple[float, ...]:
        """What the rest is divided by."""
        return self.data.std

    @property
    def weights(self) -> Path:
        """Where its weights lie, if they were kept."""
        return weights_path(self.folder, self.result.key)

    @property
    def evaluation(self) -> Path:
        """Where its confusion matrices lie, if they were kept."""
        return evaluation_path(self.folder, self.result.key)


def front_of(study: Study) -> tuple[Member, ...]:
    """Return the members of the front, cheapest first, each architecture once."""
    front = study.front()
    return _members(study, zip(front["number"], front["miou"], strict=True))


def network_of_trial(study: Study, number: int) -> Member:
    """Return the network of a trial, on the front or not, as it would be a member.

    It is as the trial's own schedule trained it, whatever others did: the first of its seeds.
    Raise InputError for a trial that there is not, or that nothing like it has completed.
    """
    wanted, table = named_trial(study, number).key, study.results()
    same = (table["architecture"] == wanted.architecture) & (table["schedule"] == wanted.schedule)
    rows = table[same & (table["status"] == COMPLETED) & table["miou"].between(0, 1)]
    if not len(rows):
        wrong = f"the network of trial {number} was not trained to its end by its schedule"
        allowed = "a trial that has completed, as in trials.csv"
        raise InputError(Fault("--trial", number, wrong, allowed, str(study.folder)))
    return _members(study, [(rows["number"].iloc[0], rows["miou"].mean())])[0]


def _members(study: Study, rows: Iterable[tuple[int, float]]) -> tuple[Member, ...]:
    trials = {ask.number: (ask, result) for ask, result in study.trials()}
    completed: dict[str, list[tuple[int, TrialResult]]] = {}
    for ask, result in trials.values():
        if result is not None and result.status == COMPLETED:
            completed.setdefault(ask.key.architecture, []).append((ask.number, result))
    latencies = latencies_of(study.trials(), study.notes)
    writer = ConfigWriter.of(study.notes)
    counting = set(study.variants()["number"])
    noted = (study.notes.identity or {}).get("latency") or {}
    counted = tuple(noted["size"]) if "size" in noted else None
    shared = first_weights(study) if shares_weights(study.notes) else None
    members = []
    for number, miou in rows:
        ask, first = trials[number]
        assert first is not None, "a variant has completed"
        same = completed[ask.key.architecture]
        others = tuple(result for other, result in same if other != number)
        by = trains_by(ask, study.notes)
        schedule = writer.schedules.get(by)
        accuracies = study.notes.goals.accuracies
        latency = latencies.get(int(number)) or first.latency  # a long training has its own
        size = latency.condition.size if latency else counted
        counts = number in counting
        facts = (schedule, writer, study.name, study.folder, int(number), accuracies, latency, size)
        slices = ask.purpose == SLICES or (ask.purpose == BASE and shares_weights(study.notes))
        told = (counts, slices, by, shared)
        members.append(Member(ask.architecture, float(miou), first, others, *facts, *told))
    return tuple(members)
