"""What a study finds out about itself, in the records that its notes hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_search.arch.architecture import Architecture
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule


@dataclass(frozen=True, slots=True)
class NotedSchedule:
    """A schedule under the id that the keys of its trials have.

    An older version may have made that id of other fields than `schedule.id` is made of now.
    """

    id: str
    schedule: Schedule

    @staticmethod
    def of(schedule: Schedule) -> NotedSchedule:
        """Return a schedule as it is noted: its data set's root is absolute."""
        root = schedule.data.root
        data = replace(schedule.data, root=str(Path(root).absolute()) if root else "")
        return NotedSchedule(schedule.id, replace(schedule, data=data))

    @property
    def data(self) -> DataSpec:
        return self.schedule.data


@dataclass(frozen=True, slots=True)
class Probe:
    """What was chosen where a schedule says auto, and why: median seconds of a training step."""

    precision: str
    memory_format: str
    device: str
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StartLatency:
    """The latency of an untrained variant in ms, with its ratio to the reference network's and
    that ratio's 95% interval; or the `error` for which there is none."""

    network: Architecture
    ms: float | None
    ratio: float = 0.0
    low: float = 0.0
    high: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Screening:
    """How well latency is predicted from `n` networks; `used` says that this screens, not MACs.

    `loo_error` is the median relative error and `tau` Kendall's tau of predictions for networks
    left out one at a time.
    """

    n: int
    loo_error: float
    tau: float
    used: bool


@dataclass(frozen=True, slots=True)
class Learned:
    """What is learned from an earlier study, as it was when this one began.

    Its name, its identity and its folder; `scores` of `networks` by `signal`, means over seeds.
    """

    name: str
    study: str
    folder: str
    signal: str
    networks: tuple[Architecture, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RungAudit:
    """The rule that stops trials at rungs, judged by trials that ran on against it.

    `audited` are those, `lost` those of them that are on the front; `stopped` were stopped.
    """

    audited: int
    lost: int
    stopped: int
