"""The MLflow mirror: one run a trial, however often it is sent, and never in the way."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import ask, network, result

from hrnet_search.records import FAILED, INFEASIBLE, DataSpec, Schedule, TrialResult, TrialTask
from hrnet_search.search.mlflow_mirror import PARENT_TAG, TRIAL_TAG, MlflowMirror

TRIALS = [
    (network(1), result(0, miou=0.5)),
    (network(2), replace(result(1), status=FAILED, error='it\'s "broken"', miou=None, rungs=())),
    (network(3), replace(result(2), status=INFEASIBLE, miou=None, rungs=())),
]


def task(number: int) -> TrialTask:
    schedule = Schedule(DataSpec("shapes", 8))
    return TrialTask(number, ask(number).key, ask(number).architecture, schedule, (10,))


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A study whose first trial was sent as it ended, the others by two syncs."""
    folder = tmp_path_factory.mktemp("study")
    warnings: list[str] = []
    mirror = MlflowMirror("auto", "made-up", str(folder), warnings.append)
    mirror.ended(task(0), TRIALS[0][1])
    mirror.ended(task(0), TRIALS[0][1])
    again = MlflowMirror("auto", "made-up", str(folder), warnings.append)
    assert again.sync(TRIALS) == 2
    assert again.sync(TRIALS) == 0
    assert (mirror.waiting, again.waiting) == (0, 0)
    return folder, warnings


def client_of(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def runs(folder: Path) -> list[Any]:
    client = client_of(folder)
    experiment = client.get_experiment_by_name("made-up")
    return list(client.search_runs([experiment.experiment_id]))


def test_there_is_one_parent_and_one_run_a_trial(mirrored: tuple[Path, list[str]]) -> None:
    folder, warnings = mirrored
    assert warnings == []
    parents = [r for r in runs(folder) if PARENT_TAG not in r.data.tags]
    children = [r for r in runs(folder) if PARENT_TAG in r.data.tags]
    assert len(parents) == 1
    keys = sorted(r.data.tags[TRIAL_TAG] for r in children)
    assert keys == sorted(str(t.key) for _, t in TRIALS)
    assert {r.data.tags[PARENT_TAG] for r in children} == {parents[0].info.run_id}


def child(folder: Path, trial: TrialResult) -> Any:
    return next(r for r in runs(folder) if r.data.tags.get(TRIAL_TAG) == str(trial.key))


def test_a_run_holds_what_the_trial_found(mirrored: tuple[Path, list[str]]) -> None:
    folder, _ = mirrored
    run = child(folder, TRIALS[0][1])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["miou"] == 0.5
    assert run.data.metrics["latency_ms"] == 1.5
    assert run.data.metrics["macs"] == 2000
    assert run.data.params["STAGE3.NUM_CHANNELS"] == "[1, 2, 4]"
    client = client_of(folder)
    history = client.get_metric_history(run.info.run_id, "miou")
    assert {(m.step, m.value) for m in history} == {(10, 0.5)}
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["config.yaml"]


def test_how_a_trial_ended_is_seen(mirrored: tuple[Path, list[str]]) -> None:
    folder, _ = mirrored
    failed, infeasible = (child(folder, t) for _, t in TRIALS[1:])
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", 'it\'s "broken"')
    assert (infeasible.info.status, infeasible.data.tags["status"]) == ("KILLED", "infeasible")


def test_a_server_that_is_down_costs_one_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    mirror = MlflowMirror("http://127.0.0.1:9", "down", str(tmp_path), warnings.append)
    start = time.monotonic()
    for number, (_, trial) in enumerate(TRIALS):
        mirror.ended(task(number), trial)
    assert mirror.waiting == 3
    assert mirror.sync(TRIALS) == 0
    assert mirror.waiting == 3
    assert time.monotonic() - start < 20
    assert len(warnings) == 1
    assert "the search goes on" in warnings[0]
    assert "\n" not in warnings[0]


FIRST_SYNC = """
import sys
sys.path.insert(0, sys.argv[1])
from made_up import network, result
from hrnet_search.search.mlflow_mirror import MlflowMirror
assert MlflowMirror("auto", "quiet", sys.argv[2], print).sync([(network(1), result(0))]) == 1
"""


def test_what_mlflow_says_of_its_database_stays_off_the_terminal(tmp_path: Path) -> None:
    # In a process of its own: MLflow sets its logger up while it is imported, and only then.
    tests = str(Path(__file__).parents[1])
    words = [sys.executable, "-c", FIRST_SYNC, tests, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
