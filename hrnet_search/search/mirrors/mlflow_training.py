"""A training as one MLflow run: what it was trained by, its curve, its judgements, its config."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey
from hrnet_search.search.mirrors.address_faults import (
    artifact_place,
    make_folder_of,
    move_artifacts,
)
from hrnet_search.search.mirrors.mlflow_mirror import quiet
from hrnet_search.search.mirrors.mlflow_rows import LONGEST, Row, architecture_params, class_metrics
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.trainings import CONFIG, CurveRow, TrainingRecord, TrainingResults

TRAINING_TAG = "hrnet_search.training"
AUTO, OFF = "auto", "off"
AT_ONCE = 500
"""Metrics in one call; MLflow takes up to 1000."""


def send_training(
    uri: str,
    folder: Path,
    record: TrainingRecord,
    results: TrainingResults,
    curve: Sequence[CurveRow],
) -> None:
    """Make the run of a training at a tracking URI, or make it anew; `auto`: a file in its folder.

    Raise whatever a server, its database or the network come up with.
    """
    with quiet():
        from mlflow import MlflowClient

        place = sqlite_url(folder / "mlflow.db") if uri == AUTO else uri
        make_folder_of(place)
        client = MlflowClient(tracking_uri=place)
        _send(client, _experiment(client, place, folder, record.name), record, results, curve)


def _experiment(client: Any, uri: str, folder: Path, name: str) -> str:
    found, place = client.get_experiment_by_name(name), artifact_place(uri, folder)
    if found is not None:
        move_artifacts(uri, found, place)
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=place))


def _send(
    client: Any,
    experiment: str,
    record: TrainingRecord,
    results: TrainingResults,
    curve: Sequence[CurveRow],
) -> None:
    from mlflow.entities import Metric, Param

    schedule = record.schedule.schedule
    key = str(TrialKey(record.architecture.id, schedule.id, record.seed))
    if record.teacher:  # with another teacher, or none, it is another training
        key += f", taught by {record.teacher.identity}"
    if results.sessions:  # the same in another folder is another one
        key += f", begun {results.sessions[0].began}"
    for old in client.search_runs([experiment], f"tags.`{TRAINING_TAG}` = '{key}'"):
        client.delete_run(old.info.run_id)  # the same training, as it was when that was sent
    tags = {TRAINING_TAG: key, "mlflow.runName": record.name}
    began = int((time.time() - results.wall_s) * 1000)
    run = client.create_run(experiment, start_time=began, tags=tags).info.run_id
    params = [Param(name, value[:LONGEST]) for name, value in _params(record)]
    client.log_batch(run, params=params)
    now = int(time.time() * 1000)
    rows = [
        Metric(name, value, now, step) for name, value, step in _metrics(record, results, curve)
    ]
    for start in range(0, len(rows), AT_ONCE):
        client.log_batch(run, metrics=rows[start : start + AT_ONCE])
    client.log_text(run, record.config, CONFIG)
    client.set_terminated(run, "FINISHED" if results.ended else "KILLED")


def _params(record: TrainingRecord) -> Iterator[tuple[str, str]]:
    schedule = record.schedule.schedule
    yield from (
        (name, str(value)) for name, value in architecture_params(record.architecture).items()
    )
    own = (field.name for field in fields(Schedule) if field.name != "data")
    yield from ((name, str(getattr(schedule, name))) for name in own)
    yield "data", f"{schedule.data.kind}, {schedule.data.classes} classes"
    yield "seed", str(record.seed)
    if record.teacher:
        yield "teacher", record.teacher.identity


def _metrics(
    record: TrainingRecord, results: TrainingResults, curve: Sequence[CurveRow]
) -> Iterator[Row]:
    names = record.schedule.schedule.data.names
    rows: list[Row] = [("wall_s", results.wall_s, 0)]
    for step, lr, loss in curve:
        rows += [("lr", lr, step), ("training_loss", loss, step)]
    for rung in results.rungs:
        rows += [("miou", rung.miou, rung.step), ("loss", rung.loss, rung.step)]
        labels = zip(class_metrics(len(rung.iou), names), rung.iou, strict=True)
        rows += [(name, value, rung.step) for name, value in labels]
    yield from (row for row in rows if math.isfinite(row[1]))
