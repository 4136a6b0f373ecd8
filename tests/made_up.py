"""Small made-up trials, for tests of what keeps and shows them."""

from __future__ import annotations

from dataclasses import replace

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.cost import Cost
from hrnet_search.latency_rule import AACheck
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.trial import COMPLETED, RungResult, TrialKey, TrialResult
from hrnet_search.store.notes import Notes
from hrnet_search.store.trial_rows import Ask

NOTES = Notes(name="made-up", objectives=("miou", "macs"), choices=(), levels=())
CONDITION = LatencyCondition("a machine", "eager", "fp32", 1, (64, 64), 1)
CHECK = AACheck(
    ratio=1.0, low=0.9, high=1.1, samples=20, noisy=False, busy=False, agrees=True,
    condition=CONDITION,
)  # fmt: skip
TINY = Architecture(
    (
        Stage(1, "BOTTLENECK", (1,), (4,)),
        Stage(1, "BASIC", (1, 1), (4, 8)),
        Stage(1, "BASIC", (1, 1, 1), (4, 8, 16)),
        Stage(1, "BASIC", (1, 1, 1, 1), (4, 8, 16, 32)),
    )
)


def network(width: int) -> Architecture:
    one = Stage(1, "BOTTLENECK", (1,), (16,))
    rest = [Stage(1, "BASIC", (1,) * n, tuple(width * 2**b for b in range(n))) for n in (2, 3, 4)]
    return Architecture((one, rest[0], rest[1], rest[2]))


def ask(number: int) -> Ask:
    architecture = network(number + 1)
    return Ask(number, TrialKey(architecture.id, "sc-0", 0), (number,), architecture)


def result(number: int, miou: float | None = None, **changes: object) -> TrialResult:
    miou = (number % 90) / 100 if miou is None else miou
    latency = Latency(1.5 + number, 1.0, 1.5, 2.0, 1.4, 1.6, 50, False, CONDITION)
    done = TrialResult(
        key=ask(number).key,
        status=COMPLETED,
        cost=Cost(1000 + number, 2000 + number, 3000 + number),
        latency=latency,
        miou=miou,
        rungs=(RungResult(10, miou, (miou, 0.0), 1.25, miou, soft_iou=0.8 * miou),),
        wall_s=1.5,
        versions=(("torch", "2.13.0"),),
    )
    return replace(done, **changes)  # type: ignore[arg-type]
