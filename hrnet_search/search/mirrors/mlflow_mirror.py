"""MLflow as a mirror: a parent run a study, a child run a trial, written by the driver alone.

Runs are found again by their tags, so that nothing is there twice.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.paths import absolute
from hrnet_search.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    KEPT,
    STOPPED,
    Objective,
    TrialResult,
)
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import Ask

RUN_STATUS = {COMPLETED: "FINISHED", STOPPED: "FINISHED", FAILED: "FAILED", INFEASIBLE: "KILLED"}
STUDY_TAG, TRIAL_TAG, WHOLE_TAG = "hrnet_search.study", "hrnet_search.trial", "hrnet_search.whole"
PARENT_TAG = "mlflow.parentRunId"

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
        self._local = uri == "auto"
        self._uri = sqlite_url(self._folder / "mlflow.db") if self._local else uri
        self._name = study.name
        self._writer = ConfigWriter.of(study.notes)
        self._accuracies = study.notes.goals.accuracies
        self._id = study.notes.study_id or self._folder.name
        self._client: Any = None
        self._experiment = self._parent = ""
        self._runs: dict[str, str] = {}

    def known(self) -> dict[str, str]:
        """Return the statuses of the trials that were sent to their end, by key."""
        with quiet():
            self._open()
            whole = {}
            for run in self._children():
                key = run.data.tags[TRIAL_TAG]
                self._runs[key] = run.info.run_id
                if run.data.tags.get(WHOLE_TAG) == "yes":
                    whole[key] = run.data.tags.get("status", "")
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
        run = self._runs.get(key)
        if run is None:
            name = ask.architecture.id
            tags = {TRIAL_TAG: key, PARENT_TAG: self._parent, "mlflow.runName": name}
            run = self._runs[key] = client.create_run(self._experiment, tags=tags).info.run_id
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, step)
            for name, value, step in _metrics(result, self._accuracies)
        ]
        params = [Param(name, str(value)) for name, value in _params(ask.architecture, result)]
        client.log_batch(run, metrics=metrics, params=params)
        config = self._writer.write(ask.architecture, ask.key.schedule)
        client.log_text(run, config.text, "config.yaml")
        ended = {"status": result.status, "error": result.error[:500], WHOLE_TAG: "yes"}
        tags = {"purpose": ask.purpose, **ended}
        client.log_batch(run, tags=[RunTag(*tag) for tag in tags.items()])
        client.set_terminated(run, RUN_STATUS[result.status])

    def _open(self) -> None:
        """Find the experiment and the parent run, or make them."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self._uri)
        found = client.get_experiment_by_name(self._name)
        if found is None:
            place = (self._folder / "mlflow-artifacts").as_uri() if self._local else None
            experiment = client.create_experiment(self._name, artifact_location=place)
        else:
            experiment = found.experiment_id
        tag = f"tags.`{STUDY_TAG}` = '{self._id}'"
        parents = client.search_runs([experiment], tag, max_results=1)
        if parents:
            parent = parents[0]
        else:
            tags = {STUDY_TAG: self._id, "mlflow.runName": self._name}
            parent = client.create_run(experiment, tags=tags)
        self._client, self._experiment, self._parent = client, experiment, parent.info.run_id

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


SOFT = ("soft_iou", "balanced_cross_entropy", "training_loss")


NOT_IN_NAMES = re.compile(r"[^/\w.\- :]+")
"""What MLflow takes in no name of a metric."""


def _metrics(
    result: TrialResult, accuracies: Sequence[Objective] = ()
) -> list[tuple[str, float, int]]:
    last = result.rungs[-1].step if result.rungs else 0
    values: dict[str, float | None] = {
        "wall_s": result.wall_s,
        "latency_ms": result.latency_ms,
        "miou_int8": result.miou_int8,
        KEPT: result.kept,
    }
    if result.cost is not None:
        cost = result.cost
        values |= {"params": cost.params, "macs": cost.macs, "activations": cost.activations}
    rows = [(name, value, last) for name, value in values.items() if value is not None]
    for rung in result.rungs:
        rows += [("miou", rung.miou, rung.step), ("loss", rung.loss, rung.step)]
        soft = ((name, getattr(rung, name)) for name in SOFT)
        rows += [(name, value, rung.step) for name, value in soft if value is not None]
        own = ((_metric_name(one), rung.score(one.key)) for one in accuracies)
        rows += [(name, value, rung.step) for name, value in own if value is not None]
        rows += [(f"iou.{label}", value, rung.step) for label, value in enumerate(rung.iou)]
    return [(name, float(value), step) for name, value, step in rows if math.isfinite(value)]


def _metric_name(one: Objective) -> str:
    """Return iou[pedestrian,bicyclist] as iou_pedestrian_bicyclist, which MLflow takes."""
    return NOT_IN_NAMES.sub("_", one.name).strip("_")


def _params(architecture: Architecture, result: TrialResult) -> list[tuple[str, object]]:
    key = result.key
    rows: list[tuple[str, object]] = [
        ("architecture", key.architecture),
        ("schedule", key.schedule),
        ("seed", key.seed),
        *architecture_params(architecture),
    ]
    return rows


def architecture_params(architecture: Architecture) -> list[tuple[str, object]]:
    """Return what an architecture is, as parameters of a run."""
    rows: list[tuple[str, object]] = [
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
