"""`train --progress json`: a training as lines of JSON alone, for the program that drives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_configs import tiny_command

from hrnet_search.cli import main
from hrnet_search.records.trial import RungResult, TrialProgress
from hrnet_search.store.trainings import read_record, read_results
from hrnet_search.trainings.view import STEP_S, TrainingEvents, Watch

Told = list[dict[str, Any]]


def told(text: str) -> Told:
    return [json.loads(line) for line in text.splitlines()]


def test_a_training_is_told_from_its_begin_to_its_files(
    config: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "told"
    words = [*tiny_command(config, space, folder), "--progress", "json"]
    assert main(words) == 0
    events = told(capsys.readouterr().out)
    kinds = [one["event"] for one in events]
    assert (kinds[0], kinds[-1]) == ("training_began", "training_ended")
    assert set(kinds[1:-1]) == {"message", "step", "judged"}
    record, results = read_record(folder), read_results(folder)
    assert events[0]["architecture"] == record.architecture.id
    assert events[0]["steps"] == record.schedule.schedule.steps
    judged = [one for one in events if one["event"] == "judged"]
    assert [(e["step"], e["miou"]) for e in judged] == [(r.step, r.miou) for r in results.rungs]
    end = events[-1]
    assert results.best is not None
    assert (end["best_miou"], end["best_step"]) == (results.best.miou, results.best.step)
    assert all(Path(end[key]).is_file() for key in ("best_weights", "last_weights", "page"))
    assert (end["training"], end["exit_code"]) == (str(folder), 0)
    assert main(words) == 0  # which has ended
    (again,) = told(capsys.readouterr().out)
    assert {**again, "time": ""} == {**end, "time": ""}


def test_steps_are_told_now_and_then_and_what_is_not_known_yet_is_null(trained: Path) -> None:
    events: Told = []
    now = [0.0]

    def emit(event: str, **fields: object) -> None:
        events.append({"event": event, **fields})

    def clock() -> float:
        return now[0]

    record = read_record(trained)
    watch = Watch(record, [TrainingEvents(emit, clock)], clock)
    watch.knows((RungResult(1, 0.5, (), 0.7, 0.5),))
    for step in range(2, 8):
        watch.took(TrialProgress("train", step, 8, 1.0))
        now[0] += STEP_S / 2
    watch.took(TrialProgress("evaluate", 8, 8, 1.0, RungResult(8, 0.4, (), 0.9, 0.4)))
    watch.say("a [line]\x1b")
    steps = [one for one in events if one["event"] == "step"]
    assert [one["step"] for one in steps] == [2, 4, 6]
    assert (steps[0]["images_per_s"], steps[0]["left_s"]) == (None, None)
    assert steps[1]["left_s"] == (record.schedule.schedule.steps - 4) * STEP_S / 2
    judged, message = events[-2:]
    assert (judged["miou"], judged["best_miou"], judged["best_step"]) == (0.4, 0.5, 1)
    assert message == {"event": "message", "text": "a [line]\\x1b"}


def test_what_is_refused_is_a_line_beside_the_events(
    trained: Path, config: Path, space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*tiny_command(config, space, trained), "--progress", "json", "--seed", "77"]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "seed" in said.err
