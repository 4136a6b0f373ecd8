"""A difference of latencies is no surer than the latencies that it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ablation.made_up_ablation import drive, run_made_up, space_file

from hrnet_search.records.trial import TrialResult, TrialTask
from hrnet_search.search.driver import Report
from hrnet_search.store.ablation import EffectRow
from hrnet_search.store.study import open_study

ARM = "branch=3"


def effects(folder: Path, ms: float | None, spread: float, noisy: int = -1) -> dict[str, EffectRow]:
    """Return effects of an ablation whose latencies are `ms` of their own, or steady ones."""

    def run(task: TrialTask, report: Report) -> TrialResult:
        found = run_made_up(task, report)
        assert found.latency is not None
        took = found.latency.ms if ms is None else ms
        fewer = task.architecture.stages[3].branches == 3
        own = replace(
            found.latency, ms=took, ratio=1.0, ratio_low=1 - spread, ratio_high=1 + spread,
            noisy=fewer and task.key.seed == noisy,
        )  # fmt: skip
        return replace(found, latency=own)

    drive(space_file(folder), folder / "study", run)
    record = open_study(folder / "study").notes.ablation
    assert record
    return {effect.name: effect for effect in record.effects}


def test_one_noisy_latency_marks_the_difference_and_takes_its_interval(tmp_path: Path) -> None:
    found = effects(tmp_path, None, 0.001, noisy=2)
    loud, calm = found[ARM], found["fuse=CAT"]
    assert loud.latency_noisy
    assert (loud.latency_low, loud.latency_high) == (None, None)
    assert loud.latency_ms is not None
    assert not calm.latency_noisy
    assert calm.latency_low is not None


def test_a_latency_used_again_at_every_seed_is_as_uncertain_as_once(tmp_path: Path) -> None:
    # All took 10 ms within 1%: over seeds nothing varies, and yet 0.2 ms are not known.
    found = effects(tmp_path, 10.0, 0.01)[ARM]
    assert not found.latency_noisy
    assert found.latency_ms == 0.0
    assert (found.latency_low, found.latency_high) == pytest.approx((-0.2, 0.2))
