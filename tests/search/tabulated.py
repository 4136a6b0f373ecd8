"""A study on made-up accuracies: everything of a search but the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from made_up import network
from search.made_up_trials import run_made_up

from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Listener, run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import Limit, SearchSpace
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore

SPACE = SearchSpace(
    network(8),
    (
        Choice("width", (4, 6, 8, 12, 16)),
        Choice("STAGE3.NUM_BRANCHES", (3, 4)),
        Choice("STAGE3.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE4.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE4.FUSE_METHOD", ("SUM", "CAT")),
    ),
    limits=(Limit("params", 1.5e6),),
    input_size=(64, 64),
    classes=8,
)


def plan(sampler: str = "random", trials: int = 20, seeds: tuple[int, ...] = (0,)) -> Plan:
    schedule = Schedule(DataSpec("shapes", 8), steps=10)
    return Plan(
        space=SPACE,
        objectives=("miou", "macs"),
        schedule=schedule,
        seeds=seeds,
        rungs=(5, 10),
        latency=LatencySpec(size=(64, 64)),
        sampler=sampler,
        seed=3,
        trials=trials,
    )


def with_latency(planned: Plan, at_most: float) -> Plan:
    """Return a plan that minimises latency in the place of MACs, with a limit on it."""
    limits = (*SPACE.limits, Limit("latency_ms", at_most))
    space = SearchSpace(SPACE.base, SPACE.choices, limits, SPACE.input_size, SPACE.classes)
    return replace(planned, space=space, objectives=("miou", "latency_ms"))


def create(folder: Path) -> None:
    if not (folder / "study.db").exists():
        schedule = NotedSchedule.of(plan().schedule)
        notes = Notes(name="tabulated", objectives=("miou", "macs"), schedule=schedule)
        StudyStore.create(folder, notes)


def drive(folder: Path, planned: Plan, listeners: Sequence[Listener] = ()) -> Brain:
    create(folder)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        run_inline(brain, run_made_up, listeners)
    return brain
