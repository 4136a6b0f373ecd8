"""MLflow as a mirror: a parent run a study, a child run a trial, written by the driver alone.

The study does not depend on it. What cannot be sent waits and is sent by a later `sync`; runs are
found again by their tags, so that nothing is there twice.
"""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    STOPPED,
    TrialProgress,
    TrialResult,
    TrialTask,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_STATUS = {COMPLETED: "FINISHED", STOPPED: "FINISHED", FAILED: "FAILED", INFEASIBLE: "KILLED"}
STUDY_TAG, TRIAL_TAG, WHOLE_TAG = "hrnet_search.study", "hrnet_search.trial", "hrnet_search.whole"
PARENT_TAG = "mlflow.parentRunId"

RETRY_S = 60.0
"""After a failure the server is left alone this long: trainings do not wait for it."""

# Set only where the user has not: a tracking server that is down must cost seconds, not minutes.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

Trial = tuple[Architecture, TrialResult]


class MlflowMirror:
    """Sends ended trials to an MLflow tracking URI; never raises, never waits for long.

    `waiting` counts the trials of this process that have not been sent.
    """

    def __init__(self, uri: str, study: str, folder: str, warn: Callable[[str], None]) -> None:
        self.waiting = 0
        self._folder = Path(folder).absolute()
        self._local = uri == "auto"
        self._uri = f"sqlite:///{self._folder / 'mlflow.db'}" if self._local else uri
        self._study = study
        self._warn = warn
        self._warned = False
        self._not_before = -math.inf
        self._client: Any = None
        self._parent = ("", "")

    def started(self, task: TrialTask) -> None:
        """Send nothing: a trial is sent when it has ended."""

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        """Send nothing: a trial is sent when it has ended."""

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        """Send one trial, or count it as waiting."""
        self.waiting += 1
        if time.monotonic() >= self._not_before and self._guarded(task.architecture, result):
            self.waiting -= 1

    def sync(self, trials: Iterable[Trial]) -> int:
        """Send every trial that is not there whole; return how many were sent."""
        sent = 0
        missing = list(trials)
        self._not_before = -math.inf
        try:
            with _quiet():
                whole = self._whole()
        except Exception as error:
            self._failed(error)
            self.waiting = len(missing)
            return 0
        missing = [t for t in missing if str(t[1].key) not in whole]
        for architecture, result in missing:
            if not self._guarded(architecture, result):
                break
            sent += 1
        self.waiting = len(missing) - sent
        return sent

    def _guarded(self, architecture: Architecture, result: TrialResult) -> bool:
        try:
            with _quiet():
                self._send(architecture, result)
        except Exception as error:  # whatever a server, its database or the network come up with
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        self._not_before = time.monotonic() + RETRY_S
        self._client = None
        if not self._warned:
            self._warned = True
            what = " ".join(str(error).split())[:200]
            self._warn(f"MLflow cannot be reached, the search goes on ({what})")

    def _send(self, architecture: Architecture, result: TrialResult) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client, (experiment, parent) = self._open()
        key = str(result.key)
        run = self._find(client, experiment, f"tags.`{TRIAL_TAG}` = '{key}'")
        if run is None:
            tags = {TRIAL_TAG: key, PARENT_TAG: parent, "mlflow.runName": architecture.id}
            run = client.create_run(experiment, tags=tags)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in _metrics(result)]
        params = [Param(name, str(value)) for name, value in _params(architecture, result)]
        client.log_batch(run.info.run_id, metrics=metrics, params=params)
        client.log_text(run.info.run_id, config_text(architecture), "config.yaml")
        ended = {"status": result.status, "error": result.error[:500], WHOLE_TAG: "yes"}
        client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in ended.items()])
        client.set_terminated(run.info.run_id, RUN_STATUS[result.status])

    def _open(self) -> tuple[Any, tuple[str, str]]:
        """Return the client and (experiment, parent run), made where they are not there."""
        if self._client is None:
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=self._uri)
            found = client.get_experiment_by_name(self._study)
            if found is None:
                place = (self._folder / "mlflow-artifacts").as_uri() if self._local else None
                experiment = client.create_experiment(self._study, artifact_location=place)
            else:
                experiment = found.experiment_id
            tag = f"tags.`{STUDY_TAG}` = '{self._folder.name}'"
            run = self._find(client, experiment, tag)
            if run is None:
                tags = {STUDY_TAG: self._folder.name, "mlflow.runName": self._study}
                run = client.create_run(experiment, tags=tags)
            self._client, self._parent = client, (experiment, run.info.run_id)
        return self._client, self._parent

    def _find(self, client: Any, experiment: str, condition: str) -> Any:
        found = client.search_runs([experiment], condition, max_results=1)
        return found[0] if found else None

    def _whole(self) -> set[str]:
        """Return the keys of the trials that were sent to their end."""
        client, (experiment, parent) = self._open()
        condition = f"tags.`{PARENT_TAG}` = '{parent}' and tags.`{WHOLE_TAG}` = 'yes'"
        keys: set[str] = set()
        token = None
        while True:
            page = client.search_runs([experiment], condition, max_results=1000, page_token=token)
            keys.update(run.data.tags[TRIAL_TAG] for run in page)
            token = page.token
            if not token:
                return keys


def _metrics(result: TrialResult) -> list[tuple[str, float, int]]:
    last = result.rungs[-1].step if result.rungs else 0
    values: dict[str, float | None] = {"wall_s": result.wall_s, "latency_ms": result.latency_ms}
    if result.cost is not None:
        cost = result.cost
        values |= {"params": cost.params, "macs": cost.macs, "activations": cost.activations}
    rows = [(name, value, last) for name, value in values.items() if value is not None]
    for rung in result.rungs:
        rows += [("miou", rung.miou, rung.step), ("loss", rung.loss, rung.step)]
        rows += [(f"iou.{label}", value, rung.step) for label, value in enumerate(rung.iou)]
    return [(name, float(value), step) for name, value, step in rows if math.isfinite(value)]


def _params(architecture: Architecture, result: TrialResult) -> list[tuple[str, object]]:
    key = result.key
    rows: list[tuple[str, object]] = [
        ("architecture", key.architecture),
        ("schedule", key.schedule),
        ("seed", key.seed),
        ("width", architecture.width),
        ("final_kernel", architecture.final_kernel),
    ]
    for number, stage in enumerate(architecture.stages, start=1):
        rows += [
            (f"STAGE{number}.NUM_MODULES", stage.modules),
            (f"STAGE{number}.BLOCK", stage.block),
            (f"STAGE{number}.NUM_BLOCKS", list(stage.blocks)),
            (f"STAGE{number}.NUM_CHANNELS", list(stage.channels)),
            (f"STAGE{number}.FUSE_METHOD", stage.fuse),
        ]
    return rows


@contextmanager
def _quiet() -> Iterator[None]:
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
