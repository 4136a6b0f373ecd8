"""What an ablation will take: all of its arms by all of its seeds, each by its own schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ablation.made_up_ablation import TEXT, settled, space_file

from hrnet_search.ablation import duration
from hrnet_search.ablation.brain import trials
from hrnet_search.arch.cost import Cost
from hrnet_search.records.latency import LatencySpec
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.probe import Training

LATENCY = LatencySpec(size=(64, 64))


def seconds(cost: Cost, steps: int) -> float:
    return steps * (0.5 + cost.macs / 1e9)


def test_it_takes_every_arm_by_every_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Training] = []

    def timed(trainings: Sequence[Training], within: float) -> Durations:
        assert within == 9.0
        seen.extend(trainings)
        steps = trainings[0].schedule.steps
        return Durations([Took(one.cost, steps, seconds(one.cost, steps)) for one in trainings])

    monkeypatch.setattr(duration, "timed", timed)
    ablation = settled(space_file(tmp_path, TEXT))
    longer = [
        replace(arm, schedule=replace(arm.schedule, steps=(i + 1) * arm.schedule.steps))
        for i, arm in enumerate(ablation.arms)
    ]
    ablation = replace(ablation, arms=tuple(longer))
    said = duration.measured(ablation, (), LATENCY, 9.0, workers=2)
    truth = sum(seconds(one.cost, one.schedule.steps) for one in seen) * len(ablation.spec.seeds)
    least, expected, most = said.seconds
    assert len(seen) == len(ablation.distinct)
    assert expected == pytest.approx(truth)
    assert (least, most) == pytest.approx((0.85 * truth, 1.15 * truth))
    assert said.trials == ablation.trainings
    assert said.disk > 4 * len(ablation.spec.seeds) * sum(one.cost.params for one in seen)
    assert "with 2 workers" in said.lines()[0]
    done = [key for key, _ in trials(ablation)]
    one_less = duration.measured(ablation, done[:1], LATENCY, 9.0)
    assert one_less.trials == ablation.trainings - 1
    first = seconds(seen[0].cost, seen[0].schedule.steps)
    assert one_less.seconds[1] == pytest.approx(truth - first)
    assert duration.measured(ablation, done, LATENCY, 9.0).seconds == (0.0, 0.0, 0.0)
