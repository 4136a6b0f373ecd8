"""What MLflow's and Optuna's own pages show of a study: asked for by their clients."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from made_up import NOTES, ask, result

from hrnet_search.arch.cost import Cost
from hrnet_search.goals import Goals
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import FAILED, RungResult, TrialResult
from hrnet_search.search.mirrors.mlflow_mirror import TRIAL_TAG
from hrnet_search.search.mirrors.mlflow_rows import class_metrics
from hrnet_search.search.mirrors.outbox import Outbox, show_report, sync
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.growth import growth
from hrnet_search.store.notes import DONE, INTERRUPTED, RUNNING, Notes
from hrnet_search.store.schedules import Every
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

BEGAN = 1_700_000_000.0
CLASSES = ("road", "side walk", "sky+cloud")
SCHEDULE = NotedSchedule.of(Schedule(DataSpec("folder", 3, names=CLASSES), steps=10, lr=0.02))
STUDY = replace(
    NOTES,
    study_id="s1",
    identity={"search.sampler": "random", "limits": [["params", 1001]]},
    objectives=("miou", "macs"),
    choices=("width", "STAGE4.NUM_BRANCHES"),
    levels=((4, 6, 8), (3, 4)),
    schedule=SCHEDULE,
    trials=3,
    device="a GPU",
)
MIOUS = (0.3, 0.5, 0.4)


def asked(number: int) -> Ask:
    one = ask(number)
    key = replace(one.key, schedule=SCHEDULE.id)
    return replace(one, key=key, point=(number % 3, number % 2))


def found(number: int) -> TrialResult:
    """Return a trial that began an hour after the one before, and took two minutes."""
    rungs = (
        RungResult(5, 0.1, (0.1, 0.2, 0.0), 2.0, 0.1),
        RungResult(10, MIOUS[number], (0.5, 0.4, 0.3), 1.0, MIOUS[number]),
    )
    one = result(number, miou=MIOUS[number], rungs=rungs, wall_s=120.0)
    return replace(one, key=asked(number).key, began=BEGAN + 3600 * number)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a study of three trials, one of which no other beats, with a report."""
    place = tmp_path / "study"
    StudyStore.create(place, replace(STUDY, tracking={"mlflow": "auto", "optuna": "auto"}))
    with StudyStore(place) as store:
        for number in range(2):
            store.ask(asked(number))
            store.finish(number, found(number))
        store.note(Notes(outcome=DONE, trials=2))
    (place / "report").mkdir()
    for name in ("space.yaml", "report/front.csv", "report/report.html", "report/macs_miou.svg"):
        (place / name).write_text(name)
    return place


def runs(folder: Path) -> tuple[Any, Any, list[Any]]:
    """Return MLflow's client, the parent run, and those of trials in the order they began."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_url(folder / "mlflow.db"))
    experiment = client.get_experiment_by_name("made-up")
    every = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in every if TRIAL_TAG not in run.data.tags)
    children = [run for run in every if TRIAL_TAG in run.data.tags]
    return client, parent, sorted(children, key=lambda run: int(run.info.start_time))


def test_mlflow_shows_when_trials_ran_by_what_and_what_they_found(folder: Path) -> None:
    assert sync(folder, print) == {"mlflow": (2, 0, True), "optuna": (2, 0, True)}
    _, parent, (first, second) = runs(folder)
    times = [(run.info.start_time, run.info.end_time) for run in (first, second)]
    began = int(BEGAN * 1000)
    assert times == [(began, began + 120_000), (began + 3_600_000, began + 3_720_000)]
    params = first.data.params
    assert params["STAGE4.NUM_BRANCHES"] == "4", "of the network, whatever the choice says"
    assert (params["schedule.lr"], params["schedule.steps"]) == ("0.02", "10")
    assert params["data.kind"] == "folder"
    metrics = first.data.metrics
    assert (metrics["iou.road"], metrics["iou.side walk"], metrics["iou.sky_cloud"]) == (
        0.5, 0.4, 0.3,
    )  # fmt: skip
    assert {run.data.tags["noisy"] for run in (first, second)} == {"no"}
    assert parent.info.status == "FINISHED"
    # From its first trial to the end of its last, and not when it was sent.
    assert (parent.info.start_time, parent.info.end_time) == (began, began + 3_720_000)
    assert parent.data.params["search.sampler"] == "random"
    assert parent.data.params["device"] == "a GPU"
    assert parent.data.metrics["trials.completed"] == 2


def test_mlflow_shows_the_front_and_how_it_grew_when_more_trials_follow(folder: Path) -> None:
    """Trial 1 beats trial 0, and trial 2 costs less: what was on the front is told off."""
    sync(folder, print)
    client, parent, children = runs(folder)
    on_front = [run.data.tags["front"] for run in children]
    with StudyStore(folder) as store:
        store.ask(asked(2))
        store.finish(2, replace(found(2), miou=0.6, cost=Cost(1, 1, 1)))
        store.note(Notes(trials=3))
    for _ in range(2):
        sync(folder, print)
    client, parent, children = runs(folder)
    assert "yes" in on_front
    assert [run.data.tags["front"] for run in children] == ["no", "no", "yes"]
    grown = client.get_metric_history(parent.info.run_id, "hypervolume")
    steps = [metric.step for metric in sorted(grown, key=lambda m: m.step)]
    assert steps == sorted(set(steps)), "nothing twice"
    assert steps[-1] == 3
    study = open_study(folder)
    whole = growth(study.trials(), Goals.of(["miou", "macs"]), Every())
    assert whole is not None
    assert len(grown) <= len(whole.volume) + 1


def test_mlflow_shows_a_trial_that_ran_again_without_its_failure(folder: Path) -> None:
    """It would seem to have run from its first beginning, with a curve of both times."""
    broken = replace(found(2), status=FAILED, miou=None, error="boom", rungs=found(2).rungs[:1])
    with StudyStore(folder) as store:
        store.ask(asked(2))
        store.finish(2, broken)
    sync(folder, print)
    _, parent, _ = runs(folder)
    assert parent.data.metrics["trials.failed"] == 1
    began = BEGAN + 90_000
    with StudyStore(folder) as store:
        store.retry_failed()
        store.finish(2, replace(found(2), began=began))
    sync(folder, print)
    client, parent, (*_, last) = runs(folder)
    counts = {n: v for n, v in parent.data.metrics.items() if n.startswith("trials.")}
    assert counts == {"trials.completed": 3, "trials.failed": 0}
    times = last.info.start_time, last.info.end_time
    assert times == (began * 1000, began * 1000 + 120_000)
    assert last.data.tags["error"] == ""
    history = client.get_metric_history(last.info.run_id, "miou")
    assert [metric.step for metric in history] == [5, 10]


def test_a_trial_that_failed_again_is_shown_with_its_last_reason(folder: Path) -> None:
    for number, reason in enumerate(("boom", "boom", "another")):
        with StudyStore(folder) as store:
            if number:
                store.retry_failed()
            else:
                store.ask(asked(2))
            store.finish(2, replace(found(2), status=FAILED, miou=None, error=reason))
        sent = sync(folder, print)
    assert sent == {"mlflow": (1, 0, True), "optuna": (1, 0, True)}
    assert runs(folder)[2][-1].data.tags["error"] == "another"
    assert sync(folder, print) == {"mlflow": (0, 0, True), "optuna": (0, 0, True)}


def test_mlflow_has_the_files_of_the_report(folder: Path) -> None:
    sync(folder, print)
    client, parent, _ = runs(folder)
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert names == {"space.yaml", "front.csv", "report.html", "plots"}
    (plot,) = client.list_artifacts(parent.info.run_id, "plots")
    assert plot.path == "plots/macs_miou.svg"


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (KeyboardInterrupt(), "KILLED"), (ValueError("odd"), "FAILED")],
)
def test_the_parent_run_ends_as_the_study_does_and_runs_again(
    folder: Path, error: BaseException | None, status: str
) -> None:
    try:
        with Outbox(folder, print) as box:
            box._thread.join(0.1)
            if error:
                raise error
    except (KeyboardInterrupt, ValueError):
        box._thread.join(60)
    client, parent, _ = runs(folder)
    assert parent.info.status == status
    with Outbox(folder, print) as box:
        for _ in range(600):
            box._thread.join(0.1)
            if client.get_run(parent.info.run_id).info.status == "RUNNING":
                break
        else:
            raise AssertionError("the parent run does not run again")
    assert client.get_run(parent.info.run_id).info.status == "FINISHED"


def test_how_a_study_ended_is_known_without_its_driver(folder: Path) -> None:
    assert open_study(folder).outcome == DONE
    with StudyStore(folder) as store:
        store.note(Notes(outcome=RUNNING))
        assert open_study(folder).outcome == RUNNING
    assert open_study(folder).outcome == INTERRUPTED, "its process was killed"


def test_a_deleted_experiment_is_told_with_its_remedy(folder: Path) -> None:
    sync(folder, print)
    client, parent, _ = runs(folder)
    client.delete_experiment(parent.info.experiment_id)
    said: list[str] = []
    show_report(folder, said.append)
    number = parent.info.experiment_id
    restore = f"restore it (mlflow experiments restore --experiment-id {number})"
    assert said == [
        f"mlflow: the experiment made-up is deleted: {restore}, or give the study another name"
    ]


def test_names_of_classes_that_mlflow_takes_for_one_another_have_their_ids() -> None:
    assert class_metrics(4, ("a+b", "a*b", "c")) == ["iou.a_b.0", "iou.a_b.1", "iou.c", "iou.3"]


def test_mlflow_takes_whatever_classes_are_called() -> None:
    from mlflow.utils.validation import _validate_metric_name

    names = ("bus/", "a//b", "a/../b", "..", "x" * 300, "x" * 299 + "y", "é", "[b]", "b\\c", "")
    found = class_metrics(len(names), names)
    assert len(set(found)) == len(names)
    for name in found:
        _validate_metric_name(name)


def test_optuna_shows_times_rungs_costs_and_what_the_study_is(folder: Path) -> None:
    """Its Timeline is drawn from both times, its intermediate values from the rungs."""
    import optuna

    with StudyStore(folder) as store:
        store.ask(asked(2))
        store.finish(2, replace(found(2), status=FAILED, miou=None, rungs=(), error="broken"))
    sync(folder, print)
    study = optuna.load_study(study_name="made-up-s1", storage=sqlite_url(folder / "optuna.db"))
    first, second, third = study.trials
    assert first.datetime_start == datetime.fromtimestamp(BEGAN)
    assert second.duration is not None
    assert second.duration.total_seconds() == 120
    assert first.intermediate_values == {5: 0.1, 10: 0.3}
    costs = found(0).cost
    assert costs is not None
    assert first.user_attrs["params"] == costs.params
    assert first.user_attrs["macs"] == costs.macs
    assert third.state.name == "FAIL"
    assert study.user_attrs["search.sampler"] == "random"
    assert study.user_attrs["outcome"] == DONE
    plot = optuna.visualization.plot_timeline(study)
    assert sum(len(bar["y"]) for bar in plot.to_dict()["data"]) == 3
