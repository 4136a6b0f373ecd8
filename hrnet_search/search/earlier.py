"""Earlier studies that a search learns from: what is taken of them, and what that lets one expect.

Taken are the scores of all networks that they trained to the end, once, when a study begins: it
goes on with the same whatever becomes of them. A network is known by what it is made of, so their
spaces, data and schedules may be others; whether it matters here is for the sampler to find out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs
from hrnet_search.arch.structure import structure
from hrnet_search.errors import Fault, InputError, SpaceError, StudyError
from hrnet_search.records.accuracy import LEARN_FROM, MIOU, SOFT_IOU
from hrnet_search.records.trial import COMPLETED
from hrnet_search.search.by_point import ByPoint
from hrnet_search.search.problem import Floats, Points
from hrnet_search.search.samplers.columns import Unit
from hrnet_search.search.samplers.expectation import Expectation
from hrnet_search.search.samplers.surrogate import Data, Groups
from hrnet_search.search.samplers.training_rows import raised
from hrnet_search.space.load import SpaceFile, placed
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.findings import Learned
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import as_they_count, search_ids
from hrnet_search.store.study import begun_study, open_study

WORDS = {MIOU: "mIoU", SOFT_IOU: "soft IoU"}

FEWEST = 8
"""Networks that an earlier study has to have trained to the end."""

MOST = 300
"""Networks that are taken of one, the last ones: an expectation of more takes too long."""

MOST_KEPT = 1 << 15
"""Points whose expectations are kept."""

DIGITS = 9
"""Of an expectation, in deviations: the same network has the same one whatever is beside it."""


def settled_earlier(file: SpaceFile, folder: Path, signal: str) -> tuple[Learned, ...]:
    """Return what a study in `folder` learns from: as it began, else as the studies are now.

    Raise SpaceError for a study that is not there, or has nothing to learn from.
    """
    begun = begun_study(folder)
    known = (begun.notes.learned_from or ()) if begun else ()
    if tuple(study.folder for study in known) == file.search.learn_from:
        return known
    noted = {study.study: study for study in known}
    found = [read_study(file, number, signal) for number in range(len(file.search.learn_from))]
    return tuple(noted.get(study.study, study) for study in found)


def learned_lines(studies: Sequence[Learned]) -> list[str]:
    """Return for people what a search learns from, a line a study."""
    return [
        f"learning from {study.folder}: {_words(study.signal)} of {len(study.networks)} networks"
        for study in studies
    ]


def _words(signal: str) -> str:
    return WORDS.get(signal, signal)  # an objective of classes goes by its own name


def weight_lines(notes: Notes) -> list[str]:
    """Return for people how much each earlier study weighs, a line a study."""
    studies, weights = notes.learned_from or (), notes.learned_weights or ()
    return [
        f"{study.name} ({study.folder}) weighs {weight:.0%} in the model of accuracy"
        for study, weight in zip(studies, weights, strict=False)
    ]


def read_study(file: SpaceFile, number: int, signal: str) -> Learned:
    """Return what there is to learn from the study that a space file names as the `number`th."""
    folder = file.search.learn_from[number]

    def refused(wrong: str, allowed: str) -> SpaceError:
        said = f"{folder} {wrong}"
        fault = Fault(f"{LEARN_FROM}[{number}]", folder, said, f"{allowed}")
        return SpaceError(placed(file, [fault]))

    try:
        study = open_study(folder)
        notes, trials = study.notes, study.ended()
    except (StudyError, InputError) as error:
        raise refused(error.faults[0].wrong, "folders of studies") from error
    if notes.ablation is not None:
        raise refused("is an ablation, whose arms are trained in several ways", "a search")
    searched = search_ids(notes)
    scores: dict[Architecture, list[float]] = defaultdict(list)
    for ask, result in as_they_count(trials, notes):
        score = result.score(signal) if result and result.status == COMPLETED else None
        if ask.key.schedule in searched and score is not None:
            scores[ask.architecture].append(score)
    if len(scores) < FEWEST:
        wrong = f"has {len(scores)} networks trained to the end whose {_words(signal)} is known"
        raise refused(wrong, f"at least {FEWEST}")
    kept = list(scores)[-MOST:]
    means = tuple(fmean(scores[network]) for network in kept)
    return Learned(study.name, notes.study_id or "", folder, signal, tuple(kept), means)


def expectation(space: SearchSpace, learned: Learned) -> Callable[[Points], Floats]:
    """Return what an earlier study makes one expect of the points of a space, in deviations."""
    described = Description(space, learned.networks)
    scores = np.array(learned.scores)
    centre, spread = float(scores.mean()), float(scores.std()) or 1.0
    rows = described(ArchitectureBatch.of(learned.networks))
    data = Data(rows, raised(scores), np.ones(len(rows)), described.groups, described.families)
    model = Expectation(data, lambda points: described(space.batch(points)))

    def expected(points: Points) -> Floats:
        return np.round((model(points) - centre) / spread, DIGITS)

    known = ByPoint(lambda points: expected(points)[:, None], MOST_KEPT)
    return lambda points: known(points)[:, 0].astype(np.float64)


class Description:
    """Columns that describe any network [n, k], each about -0.5 to 0.5 over some that are given.

    Parameters and MACs as a space counts them, what networks are made of, and what is read of each
    stage and branch; those in which the given networks do not differ are left out. `groups` and
    `families` are as the surrogate wants them.
    """

    def __init__(self, space: SearchSpace, networks: tuple[Architecture, ...]) -> None:
        self._size, self._classes = space.input_size, space.classes
        parts = self._parts(ArchitectureBatch.of(networks))
        self._differ = [np.ptp(part, axis=0) > 0 for part in parts]
        kept = self._kept(parts)
        self._unit = Unit(np.concatenate(kept, axis=1))
        costs, made, read = (part.shape[1] for part in kept)
        self.groups: Groups = tuple(range(costs + made + read))
        families = self.groups[costs : costs + made], self.groups[costs + made :]
        self.families = tuple(filter(None, families))

    def __call__(self, batch: ArchitectureBatch) -> Floats:
        """Return the columns of networks."""
        return self._unit(np.concatenate(self._kept(self._parts(batch)), axis=1))

    def _parts(self, batch: ArchitectureBatch) -> list[Floats]:
        costs = batch_costs(batch, self._size, self._classes)[:, :2]
        return [np.log(costs), structure(batch), np.log1p(batch.rows())]

    def _kept(self, parts: list[Floats]) -> list[Floats]:
        return [part[:, differ] for part, differ in zip(parts, self._differ, strict=True)]
