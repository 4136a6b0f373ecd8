"""A trial: its key, what a worker is handed, how far it is, and how it went."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost
from hrnet_search.class_iou import ids_of, is_class_iou, mean_iou
from hrnet_search.records.accuracy import MIOU, MIOU_INT8, SOFT_IOU
from hrnet_search.records.latency import Latency, LatencySpec
from hrnet_search.records.schedule import Schedule

COMPLETED, STOPPED, FAILED, INFEASIBLE = "completed", "stopped", "failed", "infeasible"

STATUSES = (COMPLETED, STOPPED, FAILED, INFEASIBLE)
"""How a trial ends; stopped and infeasible trials are not failures."""

PAUSED, RUNNING = "paused", "running"

STATES = (*STATUSES, PAUSED, RUNNING)
"""How a trial stands: a paused one may go on from its checkpoint."""

KEPT = "kept"
"""Which column says what share of the source's weights a trial inherited."""

TAKEN_OVER = "taken over from"
"""How the note of a trial begins that another study has trained."""

TRIAL_KEY = re.compile(r"hr-[0-9a-f]{12}\.sc-[0-9a-f]{12}\.[0-9]{1,10}")
"""How a trial's key names files."""


@dataclass(frozen=True, slots=True, order=True)
class TrialKey:
    """What makes a trial: one architecture, one schedule, one seed."""

    architecture: str
    schedule: str
    seed: int

    @staticmethod
    def is_spelt(text: str) -> bool:
        """Say whether a text is a key as it names files."""
        return TRIAL_KEY.fullmatch(text) is not None

    def __str__(self) -> str:
        """Return the key as it names files."""
        return f"{self.architecture}.{self.schedule}.{self.seed}"


@dataclass(frozen=True, slots=True)
class RungResult:
    """What was seen at one rung: steps done, mIoU (official rule) and IoU by class.

    `loss` is the mean cross entropy of the validation pixels, `miou_present` the mIoU over the
    classes that occur in truth or prediction. `soft_iou` is the IoU of probabilities, and
    `balanced_cross_entropy` the cross entropy with each class counted alike, over the same
    pixels; `training_loss` the mean over all steps so far. Studies made before these were kept
    do not know them.
    """

    step: int
    miou: float
    iou: tuple[float, ...]
    loss: float
    miou_present: float
    soft_iou: float | None = None
    balanced_cross_entropy: float | None = None
    training_loss: float | None = None

    def score(self, signal: str) -> float | None:
        """Return what a search learns from by its signal: MIOU, SOFT_IOU or IoU by class ids.

        None: not known, or not finite, from which nothing can be learned. MIOU_INT8 is of a trial.
        """
        if signal == MIOU_INT8:
            return None
        if is_class_iou(signal):
            score = mean_iou(self.iou, ids_of(signal))
        else:
            score = self.soft_iou if signal == SOFT_IOU else self.miou
        return score if score is not None and math.isfinite(score) else None


@dataclass(frozen=True, slots=True)
class TrialTask:
    """Everything a worker needs to run one trial, on whatever machine.

    `rungs` are steps in rising order, the last one `schedule.steps`. `latency` is None where
    no latency is wanted; `size` is (height, width) at which its cost is counted, None: that of its
    latency, or else of its crops. `reference_ms` is the frozen latency of the reference network;
    `latency_limit_ms` makes a slower network infeasible before it is trained. `folder` is the
    study, for checkpoints, logs, weights and evaluation; empty: nothing is kept. `sharing` are
    the networks that learn together where `schedule.networks` says that some do. `taken` is what
    another study has found by the same key: only its latency is measured, if that is of another
    condition. `beside` says that it counts as none of a study's trials. `before` is what it had
    shown when it was paused, its latency too.
    """

    number: int
    key: TrialKey
    architecture: Architecture
    schedule: Schedule
    rungs: tuple[int, ...]
    latency: LatencySpec | None = None
    reference_ms: float | None = None
    latency_limit_ms: float | None = None
    device: str = "auto"
    folder: str = ""
    sharing: tuple[Architecture, ...] = ()
    taken: TrialResult | None = None
    beside: bool = False
    before: TrialResult | None = None
    size: tuple[int, int] | None = None

    @property
    def judges(self) -> bool:
        """Whether its network is judged as it starts, by slices of shared weights."""
        return not self.schedule.steps

    @property
    def cost_size(self) -> tuple[int, int]:
        """(height, width) at which its cost is counted: all trials of a study have the same."""
        return self.size or (self.latency.size if self.latency else self.schedule.crop)


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """Where a running trial is: `phase` is build, latency, train or evaluate.

    `step` of `steps` for training; `rung` is set when one was just evaluated, `latency` when
    it was just measured. `strata` are the losses of a step by which networks learn together, the
    cheapest first.
    """

    phase: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    rung: RungResult | None = None
    latency: Latency | None = None
    strata: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial went: the row of results, and the proof behind it.

    `miou` is that of the last rung; `wall_s` seconds from start to end; `error` one line.
    `kept` is the share of the source's weights that it inherited, None where it inherited none
    or the share was not kept; `began` is when its worker took it up, in seconds since 1970 (UTC),
    None where nobody did or kept it. `miou_int8` is that of the trained network in int8, where
    latency is measured in int8.
    """

    key: TrialKey
    status: str
    cost: Cost | None = None
    latency: Latency | None = None
    miou: float | None = None
    rungs: tuple[RungResult, ...] = ()
    wall_s: float = 0.0
    error: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    kept: float | None = None
    began: float | None = None
    miou_int8: float | None = None

    @property
    def latency_ms(self) -> float | None:
        return self.latency.ms if self.latency else None

    @property
    def untrained(self) -> bool:
        """Whether it is a judgement of a network as it started: by slices of shared weights."""
        return bool(self.rungs) and self.rungs[-1].step == 0

    @property
    def taken_over(self) -> bool:
        """Whether another study trained it: its seconds were not spent here."""
        return any(note.startswith(TAKEN_OVER) for note in self.notes)

    def score(self, signal: str) -> float | None:
        """Return what a search learns from by its signal: mIoU, or what its last rung has."""
        if signal == MIOU_INT8:
            return self.miou_int8
        if signal != MIOU and self.miou is not None:
            return self.rungs[-1].score(signal) if self.rungs else None
        return self.miou


def is_paused(beside: bool, result: TrialResult) -> bool:
    """Whether a trial that ended at a rung may go on: one `beside` the count of a study."""
    return beside and result.status == STOPPED
