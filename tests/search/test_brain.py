"""The brain: what was asked is asked once, what was told stays told, whoever is killed."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forked import Forked
from search import tabulated
from search.made_up_trials import KilledError, killed_after, made_up_ms, run_made_up
from search.tabulated import drive, plan, with_latency

from hrnet_search.records.trial import INFEASIBLE, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

TESTS = Path(__file__).parents[1]


def rows(folder: Path) -> list[tuple[object, ...]]:
    table = open_study(folder).results().fillna({"miou": -1})
    return [tuple(r) for r in table[["number", "architecture", "seed", "status", "miou"]].values]


def test_a_study_runs_as_many_trials_as_asked(tmp_path: Path) -> None:
    brain = drive(tmp_path, plan(trials=20))
    table = open_study(tmp_path).results()
    assert len(table) == 20
    assert table["architecture"].is_unique
    assert (table["params"] <= 1.5e6).all()
    assert brain.counts["failed"] == (table["status"] == "failed").sum() > 0
    assert "20 trials of 20" in brain.why_ended


def test_more_trials_of_the_same_study_go_on(tmp_path: Path) -> None:
    drive(tmp_path / "a", plan(trials=8))
    drive(tmp_path / "a", plan(trials=20))
    drive(tmp_path / "b", plan(trials=20))
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    again = drive(tmp_path / "a", plan(trials=20))
    assert again.ended == 20


def test_a_space_that_is_tried_out_ends_the_study(tmp_path: Path) -> None:
    width, *others = tabulated.SPACE.choices[:4]
    space = replace(tabulated.SPACE, choices=(replace(width, values=(4, 16)), *others))
    brain = drive(tmp_path, replace(plan(trials=10_000), space=space))
    assert "all variants within the limits" in brain.why_ended
    table = open_study(tmp_path).results()
    assert table["architecture"].is_unique
    valid = [p for p in space.points() if space.within_limits(np.array([p]))[0]]
    assert len(table) == len({space.decode(p).id for p in valid}) < len(valid) < space.size


def test_every_architecture_is_trained_with_every_seed(tmp_path: Path) -> None:
    drive(tmp_path, plan(trials=12, seeds=(0, 7, 9)))
    table = open_study(tmp_path).results()
    assert len(table) == 12
    assert table.groupby("architecture")["seed"].agg(list).tolist() == [[0, 7, 9]] * 4


def test_the_base_is_among_the_first_that_the_default_sampler_tries(tmp_path: Path) -> None:
    drive(tmp_path, plan("pareto", trials=15))
    first = open_study(tmp_path).results()["architecture"][:5]
    assert tabulated.SPACE.base.id in set(first)


@pytest.mark.parametrize("latency", [False, True])
@pytest.mark.parametrize(
    "sampler", ["random", "grid", pytest.param("pareto", marks=pytest.mark.slow)]
)
def test_cut_off_anywhere_the_study_ends_the_same(
    sampler: str, latency: bool, tmp_path: Path
) -> None:
    planned = plan(sampler, 24)
    if latency:  # screened by a fit that each measurement improves
        planned = with_latency(planned, 1.6)
    drive(tmp_path / "whole", planned)
    rng = random.Random(1)
    folder = tmp_path / "cut"
    for _ in range(200):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tabulated, "run_made_up", killed_after(rng.randint(0, 4)))
                drive(folder, planned)
            break
        except KilledError:
            continue
    assert rows(folder) == rows(tmp_path / "whole")


def kill_drivers(folder: Path, sampler: str, trials: int, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    planned = plan(sampler, trials)
    for _ in range(kills):
        driver = Forked(lambda: drive(folder, planned))
        while driver.poll() is None and not (folder / "study.db").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        driver.kill()
        before = finished(folder)
        with StudyStore(folder):  # a dead driver holds nothing
            pass
        assert finished(folder) == before
    assert Forked(lambda: drive(folder, planned)).wait() == 0
    assert len(finished(folder)) == trials


def finished(folder: Path) -> list[tuple[object, ...]]:
    return [row for row in rows(folder) if row[3] != "running"]


def test_a_driver_killed_at_random_moments_changes_nothing(tmp_path: Path) -> None:
    kill_drivers(tmp_path / "killed", "random", 40, kills=2, seed=2)
    drive(tmp_path / "whole", plan("random", 40))
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


@pytest.mark.bench
@pytest.mark.parametrize("sampler", ["random", "grid", "optuna:tpe", "pareto"])
def test_a_driver_killed_twenty_times_loses_nothing(sampler: str, tmp_path: Path) -> None:
    kill_drivers(tmp_path / "killed", sampler, 100, kills=20, seed=3)


def test_a_network_over_the_latency_limit_is_not_counted(tmp_path: Path) -> None:
    planned = plan(trials=6)
    StudyStore.create(tmp_path, Notes(objectives=("miou", "macs")))
    slow = 0
    with StudyStore(tmp_path) as store:
        brain = Brain(planned, store, None)
        while (task := brain.ask()) is not None:
            result = run_made_up(task, lambda _: True)
            if task.architecture.width > 6:
                slow += 1
                result = replace(result, status=INFEASIBLE, miou=None, rungs=(), error="")
            brain.tell(task.number, result)
    assert slow > 0
    assert brain.ended == 6
    assert len(rows(tmp_path)) == 6 + slow


def test_screening_spares_measurements_of_what_is_too_slow(tmp_path: Path) -> None:
    planned = with_latency(plan(trials=40), 1.6)
    brain = drive(tmp_path, planned)
    table = open_study(tmp_path).results()
    trained = table[table["status"] != INFEASIBLE]
    assert len(trained) == 40
    assert (trained["latency_ms"].dropna() <= 1.6).all()
    slow = [made_up_ms(planned.space.decode(p)) > 1.6 for p in planned.space.points()]
    share = sum(slow) / len(slow)
    # Without it as many would be measured in vain as the space has slow variants.
    assert share > 0.4
    assert brain.counts[INFEASIBLE] < 0.4 * share / (1 - share) * 40
    noted = open_study(tmp_path).notes.screening
    assert noted is not None
    assert noted.used
    assert noted.n >= 30
    assert 0 < noted.loo_error < 0.1
    assert noted.tau > 0.8


def test_a_study_in_which_everything_fails_stops(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes(objectives=("miou", "macs")))
    with StudyStore(tmp_path) as store:
        brain = Brain(plan(trials=100), store, None)
        while (task := brain.ask()) is not None:
            result = run_made_up(task, lambda _: True)
            brain.tell(task.number, replace(result, status="failed", miou=None, error="broken"))
    assert brain.counts["failed"] == 3
    stops = (
        "3 networks in a row failed the same way (broken): stopping; fix the cause and run the same"
        " command again"
    )
    assert brain.why_ended.startswith(stops)
    assert "--retry-failed" in brain.why_ended


def test_what_failed_before_this_start_stops_nothing_and_runs_again_if_asked(
    tmp_path: Path,
) -> None:
    def fail(task: TrialTask, report: object) -> TrialResult:
        return TrialResult(task.key, "failed", error="broken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulated, "run_made_up", fail)
        for ended in (3, 6):  # the cause is still there: no study ends for good
            assert drive(tmp_path, plan(trials=10)).counts["failed"] == ended
    with StudyStore(tmp_path) as store:
        assert store.retry_failed() == 6
    assert [row[3] for row in rows(tmp_path)] == ["running"] * 6
    drive(tmp_path, plan(trials=10))
    drive(tmp_path / "whole", plan(trials=10))
    made_to_fail = {row[1] for row in rows(tmp_path) if row[3] == "failed"}
    assert all(str(name).endswith("0") for name in made_to_fail)
    assert len(finished(tmp_path)) == 10


def test_a_result_told_twice_counts_once(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes(objectives=("miou", "macs")))
    with StudyStore(tmp_path) as store:
        brain = Brain(plan(trials=5), store, None)
        task = brain.ask()
        assert task
        result = run_made_up(task, lambda _: True)
        assert brain.tell(task.number, result)
        assert not brain.tell(task.number, result)
        assert brain.ended == 1
