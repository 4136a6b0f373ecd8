"""A budget of device time with several workers: their seconds add up, and what runs is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from search.ray_tune.jobs import Simulated
from search.ray_tune.simulated import drive_on
from search.tabulated import plan

from hrnet_search.search.ray_tune.cluster import Cluster
from hrnet_search.store.study import open_study


def test_the_seconds_of_two_workers_end_a_study_between_two_steps(
    ray: Cluster, tmp_path: Path
) -> None:
    """Trials that take longer than they say are left where they are, and go on with more time."""
    job = Simulated(str(tmp_path / "journal"), 30.0)
    planned = replace(plan("random", 40), hours=50 / 3600)
    brain = drive_on(ray, tmp_path / "study", planned, 2, job)
    study = open_study(tmp_path / "study")
    assert study.notes.spent_s is not None
    assert 50 <= study.notes.spent_s < 50 + 2 * 6  # a step of each worker takes 3 s
    assert "device-hours, all spent" in brain.why_ended
    assert "wait for more: search.hours, or --hours" in brain.why_ended
    left = [ask for ask, result in study.trials() if not result]
    assert 1 <= len(left) <= 2
    again = replace(planned, hours=90 / 3600)
    more = drive_on(ray, tmp_path / "study", again, 2, Simulated(str(tmp_path / "journal"), 0.5))
    study = open_study(tmp_path / "study")
    ended = [ask.number for ask, result in study.trials() if result]
    assert {ask.number for ask in left} <= set(ended)
    assert more.ended > brain.ended
