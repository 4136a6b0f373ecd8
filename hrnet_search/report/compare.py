"""Two studies beside each other: whose front is larger, and whether that would hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.pareto import hypervolume
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.data_spec import NO_IDENTITY, DataSpec
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.report.page.points import condition_line
from hrnet_search.report.standing import nothing_there
from hrnet_search.report.trust.latency_doubt import front_doubt, latency_doubts
from hrnet_search.report.trust.near_front import DRAWS, FrontAccuracy, front_accuracy
from hrnet_search.report.trust.statistics import Floats, Interval
from hrnet_search.store.evaluations import percentiles
from hrnet_search.store.schedules import search_ids
from hrnet_search.store.study import Study

MARGIN = 0.05
"""Of the reference point beyond the most expensive member, in log cost."""

ACCURACY_MARGIN = 0.1
"""Of the reference point below the worst member, as a share of the best accuracy of both fronts.

Not of their range: fronts of one member each have none, and it has to be more than seeds and
images move a member by, or members drop out of the draws."""

OF_IMAGES = ("macs", "activations")
"""Costs that grow with the size of images."""


@dataclass(frozen=True, slots=True)
class ComparedFront:
    """A front of one study: trial numbers, accuracies and costs in the order of cost.

    `name` is the study's; its folder's where both studies have one name.
    """

    name: str
    numbers: tuple[int, ...]
    accuracies: tuple[float, ...]
    costs: tuple[float, ...]
    volume: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two fronts over one cost, and by how much the second's hypervolume is larger.

    `accuracy` is what people call the one and `cost` names the other objective, `condition` what
    it was measured under. `paired` says that both
    were judged on the same images; `doubts` are reasons not to compare them, and `comparable` is
    False where data or schedules differ. `interval` and `p` are None then, and where no seed was
    repeated in one of them: nothing says how much chance there is. `latency_doubts` are what speaks
    against the latencies that the fronts are compared by.
    """

    first: ComparedFront
    second: ComparedFront
    accuracy: str
    cost: str
    condition: str
    larger: float
    interval: Interval | None
    p: float | None
    paired: bool
    comparable: bool
    doubts: tuple[str, ...]
    latency_doubts: tuple[str, ...] = ()


def compare(first: Study, second: Study) -> Comparison:
    """Compare the fronts of two studies by hypervolume, over accuracy and log cost.

    The reference point is a margin below the worst accuracy and beyond the highest cost of both,
    so that the worst and the most expensive member count too. Each front is kept as
    it is and its accuracies are drawn again, over images (the same for both, where both were
    judged on them) and seeds: this says whether measuring again would turn the order around, not
    whether searching again would. Raises InputError for a study without a front.
    """
    cost, condition = _common_cost(first, second)
    # The same images for both, but seeds of its own for each, whichever is named first.
    accuracy = _common_accuracy(first, second)
    order = sorted((first, second), key=lambda study: str(study.folder))
    sides = [front_accuracy(study, cost, order.index(study), accuracy) for study in (first, second)]
    for study, side in zip((first, second), sides, strict=True):
        if not side.numbers:
            why = nothing_there(study)
            wrong = f"has no front yet: {why}"
            raise InputError(Fault("", None, wrong, file=str(study.folder)))
    costs = [np.log(side.costs) for side in sides]
    reference = _reference(sides, costs)
    measured = [hypervolume(s.accuracies, c, reference) for s, c in zip(sides, costs, strict=True)]
    comparable = _same_schedule(first, second) and _same_data(first, second)
    comparable = comparable and _same_limits(first, second)
    # Of the same images alone there is next to no chance left: a seed moves networks by more.
    known = comparable and all(side.by_seeds for side in sides)
    drawn = [_volumes(s, c, reference) for s, c in zip(sides, costs, strict=True)]
    gain = drawn[1] - drawn[0]
    larger = measured[1] - measured[0]
    names = _names(first, second)
    fronts = [
        ComparedFront(
            name,
            side.numbers,
            tuple(side.accuracies.tolist()),
            tuple(side.costs.tolist()),
            volume,
        )
        for name, side, volume in zip(names, sides, measured, strict=True)
    ]
    return Comparison(
        first=fronts[0],
        second=fronts[1],
        accuracy=accuracy.label,
        cost=cost,
        condition=condition,
        larger=larger,
        interval=_interval(larger, gain) if known else None,
        p=_p_value(gain - gain.mean() + larger) if known else None,
        paired=bool(sides[0].images)
        and sides[0].images == sides[1].images
        and _same_data(first, second),
        comparable=comparable,
        doubts=tuple(_doubts(first, second)),
        latency_doubts=tuple(_latency_doubts(cost, (first, second), sides)),
    )


def _names(first: Study, second: Study) -> tuple[str, str]:
    """Return what tells two studies apart: their names, or those of their folders, or the paths."""
    if first.name != second.name:
        return first.name, second.name
    one, other = (study.folder.resolve() for study in (first, second))
    return (one.name, other.name) if one.name != other.name else (str(one), str(other))


def _reference(sides: Sequence[FrontAccuracy], costs: Sequence[Floats]) -> tuple[float, float]:
    """Return the accuracy and the log cost that all members of both fronts are better than."""
    accuracies = np.concatenate([side.accuracies for side in sides])
    worst = float(accuracies.min() - ACCURACY_MARGIN * accuracies.max())
    return worst, max(float(c.max()) for c in costs) + MARGIN


def _volumes(side: FrontAccuracy, costs: Floats, reference: tuple[float, float]) -> Floats:
    return np.array([hypervolume(row, costs, reference) for row in side.drawn])


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = percentiles(drawn - drawn.mean() + value)
    return Interval(value, low, high)


def _p_value(drawn: Floats) -> float:
    """Return the two-sided p-value of no difference, never under what the draws can show."""
    side = min((drawn <= 0).mean(), (drawn >= 0).mean())
    return float(min(1.0, max(2 * side, 1 / DRAWS)))


def _common_accuracy(first: Study, second: Study) -> Objective:
    """Return the accuracy that both optimise, else mIoU, which every study knows."""
    own, other = (study.notes.goals.accuracy for study in (first, second))
    return own if own.key == other.key else OBJECTIVES[MIOU]


def _common_cost(first: Study, second: Study) -> tuple[str, str]:
    """Return the cost that both optimise; measured under one condition, or else MACs.

    MACs and activations are of an image: where that is of another size, parameters.
    """
    cost_names = [[o.name for o in s.notes.goals.costs] for s in (first, second)]
    # By the table's order, so that it is the same whichever study is named first.
    both = [n for n in OBJECTIVES if n in cost_names[0] and n in cost_names[1]]
    name = both[0] if both else "macs"
    if OBJECTIVES[name].is_measured:
        conditions = _conditions(first) | _conditions(second)
        if len(conditions) == 1:
            return name, conditions.pop()
        name = "macs"
    return ("params" if name in OF_IMAGES and not _same_size(first, second) else name), ""


def _same_size(first: Study, second: Study) -> bool:
    """Return whether both count costs at one size of images, as far as that is known."""
    found = [(study.notes.identity or {}).get("latency") for study in (first, second)]
    sizes = [one.get("size") for one in found if isinstance(one, dict)]
    return len(sizes) < len(found) or sizes[0] == sizes[1]


def _conditions(study: Study) -> set[str]:
    return {
        condition_line(r.latency.condition)
        for _, r in study.trials()
        if r is not None and r.latency is not None
    }


def _doubts(first: Study, second: Study) -> Iterator[str]:
    if not _same_schedule(first, second):
        yield "their schedules differ: a difference may be that of the schedules"
    if not _same_data(first, second):
        yield "they were not judged on the same data"
    if not _same_limits(first, second):
        yield "their limits of accuracy differ: what one front leaves out the other may have"
    if not _same_size(first, second):
        yield "their MACs are of images of another size, and are not compared"
    if len(_conditions(first) | _conditions(second)) > 1:
        yield "latencies were measured under more than one condition, and are not compared"


def _latency_doubts(
    cost: str, studies: tuple[Study, Study], sides: Sequence[FrontAccuracy]
) -> Iterator[str]:
    """Yield what speaks against latencies, where these are what the fronts are compared by."""
    if not OBJECTIVES[cost].is_measured:
        return
    for name, study, side in zip(_names(*studies), studies, sides, strict=True):
        found = [*latency_doubts(study.notes.aa_check, study.trials())]
        found.append(front_doubt(study, side.numbers))
        yield from (f"{shown(name)}: {doubt}" for doubt in found if doubt)


def _same_schedule(first: Study, second: Study) -> bool:
    noted = [study.notes.schedule for study in (first, second)]
    both = [one.id if one else "" for one in noted]
    # Where training is varied a network counts by the schedule that served it best.
    varied = [frozenset(search_ids(study.notes)) for study in (first, second)]
    return both[0] == both[1] and varied[0] == varied[1]


def _same_limits(first: Study, second: Study) -> bool:
    floors = [study.notes.goals.floors for study in (first, second)]
    both = [{(floor.objective.key, floor.at_least) for floor in found} for found in floors]
    return both[0] == both[1]


def _same_data(first: Study, second: Study) -> bool:
    noted = [study.notes.schedule for study in (first, second)]
    both = [(s.schedule.fingerprint, _kept(s.data)) if s else None for s in noted]
    return both[0] == both[1]


def _kept(data: DataSpec) -> dict[str, Any]:
    """Return what makes a data set."""
    return {key: value for key, value in asdict(data).items() if key not in NO_IDENTITY}
