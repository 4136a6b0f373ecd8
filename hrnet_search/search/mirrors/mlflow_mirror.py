"""MLflow as a mirror: a parent run a study, a child run a trial, written by the driver alone.

Runs are found again by their tags, so that nothing is there twice.
"""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hrnet_search.errors import InputError, shown
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.paths import absolute
from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE, STOPPED, TrialResult
from hrnet_search.search.mirrors.address_faults import (
    artifact_place,
    make_folder_of,
    move_artifacts,
)
from hrnet_search.search.mirrors.mlflow_rows import (
    HYPERVOLUME,
    LONGEST_ERROR,
    Row,
    ending_metrics,
    front_growth,
    how_ended,
    study_params,
    trial_metrics,
    trial_params,
)
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.notes import BROKEN, DONE, INTERRUPTED, RUNNING
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import Ask

RUN_STATUS = {COMPLETED: "FINISHED", STOPPED: "FINISHED", FAILED: "FAILED", INFEASIBLE: "KILLED"}
STUDY_TAG, TRIAL_TAG, WHOLE_TAG = "hrnet_search.study", "hrnet_search.trial", "hrnet_search.whole"
PARENT_TAG = "mlflow.parentRunId"
FRONT_TAG = "front"
REFERENCE_TAG = "hrnet_search.hypervolume_reference"
OUTCOME_STATUS = {DONE: "FINISHED", INTERRUPTED: "KILLED", BROKEN: "FAILED"}

PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
"""What MLflow takes in one call."""

FILES = ("space.yaml", "report/front.csv", "report/trials.csv", "report/report.html")
PLOTS = ("*.png", "*.svg")

# Set only where the user has not: a tracking server that is down must cost seconds, not minutes.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class MlflowMirror:
    """Trials as child runs of one parent run, at a tracking URI; `auto`: a file in the study."""

    def __init__(self, uri: str, study: Study) -> None:
        self._folder = absolute(study.folder)
        self._uri = sqlite_url(self._folder / "mlflow.db") if uri == "auto" else uri
        self._name = study.name
        self._writer = ConfigWriter.of(study.notes)
        self._notes = study.notes
        self._classes = study.notes.schedule.schedule.data.names if study.notes.schedule else ()
        self._id = study.notes.study_id or self._folder.name
        self._client: Any = None
        self._experiment = self._parent = ""
        self._runs: dict[str, str] = {}
        self._whole: set[str] = set()

    def known(self) -> dict[str, str]:
        """Return how the trials ended that were sent to their end, by key."""
        with quiet():
            self._open()
            whole = {}
            for run in self._children():
                tags = run.data.tags
                self._runs[tags[TRIAL_TAG]] = run.info.run_id
                if tags.get(WHOLE_TAG) == "yes":
                    how = how_ended(tags.get("status", ""), tags.get("error", ""))
                    whole[tags[TRIAL_TAG]] = how
            self._whole = set(whole)
            return whole

    def send(self, ask: Ask, result: TrialResult) -> None:
        """Make or complete the run of one trial."""
        with quiet():
            self._send(ask, result)

    def close(self) -> None:
        """Do nothing: MLflow keeps its connections for the process."""

    def _send(self, ask: Ask, result: TrialResult) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client, key = self._client, str(ask.key)
        began, ended = _times(result)
        run = self._runs.get(key)
        if key in self._whole:  # it ran again: its times and curve are others
            client.delete_run(run)
            self._whole.discard(key)
            run = None
        if run is None:
            name = ask.architecture.id
            tags = {TRIAL_TAG: key, PARENT_TAG: self._parent, "mlflow.runName": name}
            made = client.create_run(self._experiment, start_time=began, tags=tags)
            run = self._runs[key] = made.info.run_id
        rows = trial_metrics(result, self._notes.goals.accuracies, self._classes)
        metrics = [Metric(name, value, ended, step) for name, value, step in rows]
        params = [Param(*row) for row in trial_params(ask, self._notes).items()]
        client.log_batch(run, metrics=metrics, params=params)
        config = self._writer.write(ask.architecture, ask.key.schedule)
        client.log_text(run, config.text, "config.yaml")
        noisy = "yes" if result.latency and result.latency.noisy else "no"
        tags = {
            "purpose": ask.purpose, "status": result.status, "error": result.error[:LONGEST_ERROR],
            "noisy": noisy, FRONT_TAG: "no", WHOLE_TAG: "yes",
        }  # fmt: skip
        client.log_batch(run, tags=[RunTag(*tag) for tag in tags.items()])
        client.set_terminated(run, RUN_STATUS[result.status], end_time=ended)
        self._whole.add(key)

    def conclude(self, outcome: str) -> None:
        """Show on the parent run what the study is, and how it stands."""
        with quiet():
            self._conclude(outcome)

    def attach(self) -> None:
        """Show the space file, and what the report of the study holds, as files of its run."""
        with quiet():
            for path, place in _files(self._folder):
                self._client.log_artifact(self._parent, str(path), place)

    def _conclude(self, outcome: str) -> None:
        from mlflow.entities import Metric, Param

        client, parent = self._client, self._parent
        study = open_study(self._folder)
        run = client.get_run(parent)
        known = run.data
        params = study_params(study.notes)
        new = [Param(*row) for row in params.items() if row[0] not in known.params]
        for start in range(0, len(new), PARAMS_AT_ONCE):
            client.log_batch(parent, params=new[start : start + PARAMS_AT_ONCE])
        now = int(time.time() * 1000)
        counts = ending_metrics(study.trials(), known.metrics)
        rows = [*self._growth(study, known.tags), *counts]
        metrics = [Metric(name, value, now, step) for name, value, step in rows]
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            client.log_batch(parent, metrics=metrics[start : start + METRICS_AT_ONCE])
        self._mark_front(study)
        if outcome == RUNNING:
            client.update_run(parent, status="RUNNING")
        else:
            ends = [_times(result)[1] for _, result in study.ended()]
            ended = max([run.info.start_time, *ends]) if ends else now
            client.set_terminated(parent, OUTCOME_STATUS[outcome], end_time=ended)

    def _growth(self, study: Study, tags: dict[str, str]) -> list[Row]:
        """Return the hypervolumes that the parent does not have: one metric, one reference."""
        noted = tags.get(REFERENCE_TAG)
        found = front_growth(study, tuple(json.loads(noted)) if noted else None)
        if found is None:
            return []
        if not noted:
            self._client.set_tag(self._parent, REFERENCE_TAG, json.dumps(found.reference))
        sent = self._client.get_metric_history(self._parent, HYPERVOLUME) if noted else []
        last = max((metric.step for metric in sent), default=0)
        pairs = zip(found.trainings, found.volume, strict=True)
        return [(HYPERVOLUME, volume, number) for number, volume in pairs if number > last]

    def _mark_front(self, study: Study) -> None:
        """Tag the runs that are on the front now, and those that were and are no more."""
        keys = {ask.number: str(ask.key) for ask, _ in study.trials()}
        front = {keys[int(number)] for number in study.front()["number"]}
        for run in self._children():
            tags = run.data.tags
            now = "yes" if tags[TRIAL_TAG] in front else "no"
            if tags.get(FRONT_TAG, "no") != now:
                self._client.set_tag(run.info.run_id, FRONT_TAG, now)

    def _open(self) -> None:
        """Find the experiment and the parent run, or make them; raise InputError if deleted."""
        from mlflow import MlflowClient

        make_folder_of(self._uri)
        client = MlflowClient(tracking_uri=self._uri)
        found = client.get_experiment_by_name(self._name)
        if found is not None and found.lifecycle_stage == "deleted":
            raise InputError(
                f"mlflow: the experiment {shown(self._name)} is deleted: restore it (mlflow"
                f" experiments restore --experiment-id {found.experiment_id}), or give the study"
                " another name"
            )
        place = artifact_place(self._uri, self._folder)
        if found is None:
            experiment = client.create_experiment(self._name, artifact_location=place)
        else:
            experiment = found.experiment_id
            move_artifacts(self._uri, found, place)
        tag = f"tags.`{STUDY_TAG}` = '{self._id}'"
        parents = client.search_runs([experiment], tag, max_results=1)
        if parents:
            parent = parents[0]
        else:
            tags = {STUDY_TAG: self._id, "mlflow.runName": self._name}
            ended = open_study(self._folder).ended()
            began = min((_times(result)[0] for _, result in ended), default=None)
            parent = client.create_run(experiment, start_time=began, tags=tags)
        self._client, self._experiment, self._parent = client, experiment, parent.info.run_id
        self._runs = {}

    def _children(self) -> Iterator[Any]:
        condition = f"tags.`{PARENT_TAG}` = '{self._parent}'"
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], condition, max_results=1000, page_token=token
            )
            yield from (run for run in page if TRIAL_TAG in run.data.tags)
            token = page.token
            if not token:
                return


def _times(result: TrialResult) -> tuple[int, int]:
    """Return when a trial began and ended, in ms since 1970; as it is now where nobody kept it."""
    began = time.time() - result.wall_s if result.began is None else result.began
    return int(began * 1000), int((began + result.wall_s) * 1000)


def _files(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the files of a study that its run shows, with the folder that each is in there."""
    for name in FILES:
        if (folder / name).is_file():
            yield folder / name, None
    for pattern in PLOTS:
        yield from ((path, "plots") for path in sorted((folder / "report").rglob(pattern)))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the messages of MLflow and alembic, and warnings of what they use, off the terminal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # MLflow sets the level of its logger while it is being imported: what was set before is lost.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401
    names = ("mlflow", "alembic", "urllib3")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
