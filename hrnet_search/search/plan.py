"""Plan: what a study is to do, settled from its space file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hrnet_search.data.contents import Contents
from hrnet_search.goals import Goals
from hrnet_search.inventory import Inventory
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import GATE, KEEP_ALL, PAUSED_BYTES, STOP_EARLY
from hrnet_search.search.confirm import choice as confirm
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.training_choices import Schedules, of_choices, schedules_of
from hrnet_search.store.findings import Learned, Probe
from hrnet_search.store.trial_rows import BASE

UNBOUNDED = 10**6
"""Trials that no study has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study is to do: the space file, settled, with everything a trial needs.

    `seeds` are trained for every architecture. `trials` counts all but infeasible ones; where
    `hours` of devices are the budget, it is how many are expected to end in them. A share of
    `confirm` of device time confirms what the search found: by a schedule of `long` times the
    steps, or with other seeds. `fidelity` is how training is saved, one of FIDELITIES: by
    STOP_EARLY a trial ends at a rung where its chance to end on the front of its cost neighbourhood
    is below `stop`; `paused` bytes are what checkpoints of paused trials may take. `signal` is what
    the sampler and the rungs learn from, SOFT_IOU or the key of the accuracy that is an objective.
    `floors` are accuracies that a variant must have. `probe` is how what the schedule left open was
    settled, None if nothing was; `initial` says in lines what variants start from. Where variants
    inherit from the base, `base` is the schedule that it is
    trained by, before all others and beside their count. `slices` is the schedule by which
    variants are judged by slices of what `base` trains, None where each is trained. `data` is
    what the data hold, `contents` each of their files. `earlier` are studies that the sampler
    learns from. `keep` is whose weights stay in the study.
    """

    space: SearchSpace
    objectives: tuple[str, ...]
    schedule: Schedule
    seeds: tuple[int, ...]
    rungs: tuple[int, ...]
    latency: LatencySpec
    sampler: str
    seed: int
    trials: int
    hours: float = 0.0
    device: str = "auto"
    folder: str = ""
    confirm: float = 0.0
    long: int = 3
    stop: float = 0.0
    fidelity: str = STOP_EARLY
    paused: int = PAUSED_BYTES
    signal: str = MIOU
    floors: tuple[tuple[str, float], ...] = ()
    probe: Probe | None = None
    initial: tuple[str, ...] = ()
    base: Schedule | None = None
    slices: Schedule | None = None
    data: Inventory = field(default_factory=Inventory)
    contents: Contents = ()
    earlier: tuple[Learned, ...] = ()
    keep: str = KEEP_ALL

    @property
    def goals(self) -> Goals:
        """What it is to reach, with the classes of its data."""
        return Goals.of(self.objectives, self.floors, self.schedule.data)

    @property
    def long_schedule(self) -> Schedule:
        """The schedule that confirms, or not, how the search's ranks architectures.

        From scratch: what inherits is ranked by its likeness to the source, for long too.
        """
        return replace(self.schedule.from_scratch(), steps=self.long * self.schedule.steps)

    @property
    def schedules(self) -> Schedules:
        """The schedules of its variants, and the long ones beside them.

        `schedule` and `long_schedule` are the first of each: those of the first levels of what is
        varied of training, by which a network is trained that stands at no point.
        """
        long = self.long * self.schedule.steps
        return schedules_of(self.schedule, long, of_choices(self.space.choices))

    def teaches_many(self, purpose: str) -> bool:
        """Whether trials of a purpose train what many networks share: they take as long as many."""
        return purpose == BASE and self.base is not None and self.base.networks > 0

    @property
    def networks(self) -> int:
        """How many networks so many trials are of, by all seeds: what a sampler plans with."""
        return max(1, self.trials // len(self.seeds))

    @property
    def confirming(self) -> int:
        """How many of the trials confirm, at most: their device time is bounded too.

        Where slices judge, some are held against them first. Of a budget in hours as many as
        there is time for.
        """
        if self.hours:
            return UNBOUNDED if self.confirm else 0
        gate = GATE if self.slices else 0
        return gate + confirm.confirm_trials(self.trials - gate, self.confirm, self.long)
