"""Whatever a trial does shows signs of life while it goes on: none of it is taken for a hang."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from evaluate.training.test_trial import SCHEDULE, task

from hrnet_search import files, heartbeat
from hrnet_search.data import decoded
from hrnet_search.data.dataset import open_dataset
from hrnet_search.evaluate.training.loss import balanced_weights
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.files import write_whole
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.trial import TrialProgress
from hrnet_search.search.ray_tune import storage
from hrnet_search.search.ray_tune.storage import Storage


def beats_of(call: Callable[[], object]) -> int:
    before = heartbeat.beats()
    call()
    return heartbeat.beats() - before


def test_every_phase_of_a_trial_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building the caches, latency, each step, each judgement, and the writing at the end."""
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", "off")
    judged: list[int] = []
    judge = Trainer.judge

    def judge_and_count(trainer: Trainer) -> object:
        found: list[object] = []
        judged.append(beats_of(lambda: found.append(judge(trainer))))
        return found[0]

    monkeypatch.setattr(Trainer, "judge", judge_and_count)
    heard = [(TrialProgress("start"), heartbeat.beats())]

    def report(progress: TrialProgress) -> bool:
        heard.append((progress, heartbeat.beats()))
        return True

    asked = task(tmp_path, latency=LatencySpec(size=(32, 32), device="cpu", seconds=0.2))
    assert Worker(checkpoint_s=0).run(asked, report).error == ""
    at_end = heartbeat.beats() - heard[-1][1]
    beats = {
        (now.phase, now.step, now.latency is not None): count - before
        for (_, before), (now, count) in pairwise(heard)
    }
    images = SCHEDULE.data.train_images + SCHEDULE.data.val_images
    assert beats["latency", 0, True] >= 5, "samples of the latency"
    assert beats["train", 1, False] >= 3 * images, "each image's size, decoding and checksum"
    assert all(beats["train", step, False] >= 1 for step in (2, 3, 4))
    assert all(count >= 2 for count in judged), "batches of the statistics, and of the judgement"
    assert at_end >= 2, "weights and evaluation"


def test_a_step_in_parts_beats_for_each() -> None:
    beats: list[int] = []

    def report(progress: TrialProgress) -> bool:
        beats.append(heartbeat.beats())
        return True

    schedule = replace(SCHEDULE, accumulate=2)
    assert Worker().run(task(schedule=schedule, rungs=(4,)), report).error == ""
    assert beats[3] - beats[2] >= 2


def test_large_files_beat_while_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint on a slow disk, or in a storage far away."""
    monkeypatch.setattr(files, "PIECE", 10)
    monkeypatch.setattr(storage, "PIECE", 10)
    content = bytes(range(95))
    assert beats_of(lambda: write_whole(tmp_path / "a", content)) == 10
    assert (tmp_path / "a").read_bytes() == content
    far = Storage(str(tmp_path / "far"))
    assert beats_of(lambda: far.put(tmp_path / "a", "b")) == 10
    assert beats_of(lambda: far.get("b", tmp_path / "c")) == 10
    assert (tmp_path / "c").read_bytes() == content


def test_weights_of_classes_and_the_building_of_a_cache_beat() -> None:
    masks = [torch.zeros(2, 2, dtype=torch.uint8)] * 5
    assert beats_of(lambda: balanced_weights(masks, 3)) == 5
    assert beats_of(lambda: decoded.decode_all(open_dataset(SCHEDULE.data, "train"))) == 16
