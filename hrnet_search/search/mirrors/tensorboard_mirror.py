"""TensorBoard as a mirror: a folder of event files in the study, a run for each trial.

TensorBoard itself is needed to write them, and is an extra of this package.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hrnet_search.errors import InputError
from hrnet_search.files import refuse_link, write_whole
from hrnet_search.records.objective import PLAIN
from hrnet_search.records.trial import TrialResult
from hrnet_search.search.mirrors.mlflow_rows import (
    HYPERVOLUME,
    chosen,
    ending_metrics,
    front_growth,
    how_ended,
    trial_curves,
)
from hrnet_search.search.mirrors.tracking_uri import not_installed
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import Ask

NAME, FOLDER = "tensorboard", "tensorboard"
STUDY, FRONT, TRIAL = "study", "front", "trial-{:04}"
"""Runs: of the study, of the pictures of its report, and of each trial."""

WHOLE = "whole.json"
"""Written into the run of a trial last: its key, how it ended. A run without it is made again."""


class TensorBoardMirror:
    """Curves of each trial over its steps, a table of choices and results, the front as images."""

    def __init__(self, study: Study) -> None:
        self._study, self._folder = study, study.folder / FOLDER
        self._notes = study.notes
        self._classes = study.notes.schedule.schedule.data.names if study.notes.schedule else ()

    def known(self) -> dict[str, str]:
        """Return how the trials ended that are there whole, by key.

        Raise InputError where TensorBoard is not installed.
        """
        if (fault := not_installed(NAME)) is not None:
            raise InputError(fault)
        found = (json.loads(file.read_text()) for file in self._folder.glob(f"*/{WHOLE}"))
        return {one["key"]: how_ended(one["status"], one.get("error", "")) for one in found}

    def send(self, ask: Ask, result: TrialResult) -> None:
        """Write the run of one trial, in place of what is there of it."""
        ended = None if result.began is None else result.began + result.wall_s
        with self._run(TRIAL.format(ask.number)) as (writer, folder):
            curves = trial_curves(result, self._notes.goals.accuracies, self._classes)
            for name, value, step in curves:
                writer.add_scalar(name, value, step, walltime=ended)
            told = {name: _told(value) for name, value in self._choices(ask, result).items()}
            # In the same run: without a name it would make one of its own below this one.
            writer.add_hparams(told, self._results(result), run_name=".")
        whole = {"key": str(ask.key), "status": result.status, "error": result.error}
        write_whole(folder / WHOLE, json.dumps(whole).encode())

    def conclude(self, outcome: str) -> None:
        """Write the run of the study: how its front grew, its space file and how it stands."""
        study = open_study(self._study.folder)
        with self._run(STUDY) as (writer, _):
            if (grown := front_growth(study, None)) is not None:
                for number, volume in zip(grown.trainings, grown.volume, strict=True):
                    writer.add_scalar(HYPERVOLUME, volume, number)
            for name, value, step in ending_metrics(study.trials()):
                writer.add_scalar(name, value, step)
            writer.add_text("outcome", outcome)
            writer.add_text("space", _as_it_is(study.notes.space_text or ""))

    def attach(self) -> None:
        """Write the pictures of the study's report as images of a run."""
        pictures = sorted((self._study.folder / "report").glob("*.png"))
        with self._run(FRONT) as (writer, _):
            for path in pictures:
                writer.add_image(path.stem, _pixels(path), dataformats="HWC")

    def close(self) -> None:
        """Do nothing: every run is closed when it is written."""

    def _choices(self, ask: Ask, result: TrialResult) -> dict[str, object]:
        key = ask.key
        own = {"architecture": key.architecture, "schedule": key.schedule, "seed": key.seed}
        how = {"purpose": ask.purpose, "status": result.status}
        return {**own, **how, **chosen(ask, self._notes)}

    def _results(self, result: TrialResult) -> dict[str, float]:
        """Return what the table shows of a trial: accuracies, every cost, and seconds."""
        goals = self._notes.goals
        known = {one.name: one.of(result) for one in (*PLAIN.values(), *goals.objectives)}
        found = {**known, "wall_s": result.wall_s}.items()
        return {f"result/{n}": v for n, v in found if v is not None and math.isfinite(v)}

    @contextmanager
    def _run(self, name: str) -> Iterator[tuple[Any, Path]]:
        """Yield what writes a run, which begins anew, and its folder."""
        from torch.utils.tensorboard import SummaryWriter

        refuse_link(self._folder)  # what is removed in it is the study's own
        folder = self._folder / name
        if folder.exists():
            shutil.rmtree(folder)
        writer: Any = SummaryWriter(str(folder))
        try:
            yield writer, folder
        finally:
            writer.close()


def _told(value: object) -> object:
    """Return a value as the table of TensorBoard has it: a number, a truth value or a text."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _as_it_is(text: str) -> str:
    """Return a text as Markdown that shows it unchanged."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _pixels(path: Path) -> Any:
    """Return a picture as an array of bytes [height, width, 3]."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
