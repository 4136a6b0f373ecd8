"""A worker turns tasks into results, whatever happens on the way."""

from __future__ import annotations

import errno
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import TINY
from safetensors.torch import load_file
from torch import Tensor, nn

from hrnet_search.arch.cost import cost
from hrnet_search.data.dataset import open_dataset
from hrnet_search.errors import DataError, Fault, StorageLostError, TrainingError, one_line
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.training import attempts, trial
from hrnet_search.evaluate.training.attempts import Attempts, start_network, validation_batch
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.loss import balanced_weights
from hrnet_search.evaluate.training.train import Trainer, Training, train
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.files import checkpoint_folder
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherit import Inheritance
from hrnet_search.net.weights import load_weights, save_weights
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import Latency, LatencyCondition, LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import (
    COMPLETED,
    STOPPED,
    RungResult,
    TrialKey,
    TrialProgress,
    TrialResult,
    TrialTask,
)

SPEC = DataSpec("shapes", classes=3, train_images=8, val_images=4, size=(32, 32))
SCHEDULE = Schedule(SPEC, steps=4, batch=4, crop=(32, 32))


def task(folder: Path | None = None, **changed: Any) -> TrialTask:
    schedule = changed.pop("schedule", SCHEDULE)
    key = TrialKey(TINY.id, schedule.id, changed.pop("seed", 0))
    base = TrialTask(0, key, TINY, schedule, rungs=(2, 4), device="cpu", folder=str(folder or ""))
    return replace(base, **changed)


def always(_: TrialProgress) -> bool:
    return True


def hearing(heard: list[int]) -> Callable[[TrialProgress], bool]:
    """Return a report that notes its steps."""

    def report(progress: TrialProgress) -> bool:
        heard.append(progress.step)
        return True

    return report


class FakeBatches:
    """Noise, a pure function of seed and step."""

    def __init__(self, dataset: object, schedule: Schedule, seed: int, device: object) -> None:
        self._seed = seed

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        return noise(1000 * self._seed + step, 4)


class FakeStore:
    """As many validation images as `fake_validation` yields."""

    def __init__(self, *_: object) -> None:
        self.unkept = ""

    def __len__(self) -> int:
        return 4


def noise(seed: int, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 32, 32, generator=generator)
    return images, torch.randint(0, 3, (count, 32, 32), generator=generator)


def fake_validation(*_: object) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
    yield *noise(99, 4), [0, 1, 2, 3]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put noise in the place of data, and return which splits were opened."""
    splits: list[str] = []

    def open_dataset(spec: DataSpec, split: str) -> object:
        assert spec == SPEC
        splits.append(split)
        return object()

    monkeypatch.setattr(attempts, "open_dataset", open_dataset)
    monkeypatch.setattr(attempts, "ImageStore", FakeStore)
    monkeypatch.setattr(attempts, "Batches", FakeBatches)
    monkeypatch.setattr(attempts, "validation_batches", fake_validation)
    return splits


def measured(ms: float) -> Latency:
    condition = LatencyCondition("a CPU", "eager", "fp32", 1, (64, 64), 1)
    return Latency(ms, 1.0, ms, ms, ms, ms, 9, noisy=False, condition=condition)


def no_training(*_: object) -> Any:
    raise AssertionError("trained")


def test_shapes_are_learned_from_task_to_result(tmp_path: Path) -> None:
    real = task(tmp_path)
    result = Worker().run(real, always)
    assert (result.status, result.error) == ("completed", "")
    assert result.key == real.key
    assert result.cost == cost(TINY, size=(32, 32), classes=3)
    assert [rung.step for rung in result.rungs] == [2, 4]
    assert result.miou == result.rungs[-1].miou
    assert result.wall_s > 0
    assert dict(result.versions)["torch"] == torch.__version__


@pytest.mark.usefixtures("opened")
def test_a_trial_leaves_matrices_and_the_weights_that_were_judged(tmp_path: Path) -> None:
    one = task(tmp_path)
    result = Worker().run(one, always)
    with np.load(tmp_path / "evaluation" / f"{one.key}.npz") as kept:
        matrices = kept["confusions"]
        assert kept["preview_images"].shape == (4, 32, 32, 3)
        assert kept["preview_indices"].tolist() == [0, 1, 2, 3]
        right = kept["preview_predicted"] == kept["preview_truth"]
    assert right.sum() == matrices.sum(axis=0).trace()
    assert matrices.dtype == np.uint16
    assert matrices.sum(axis=(1, 2)).tolist() == [1024] * 4
    network = build(TINY, 3)
    load_weights(network, tmp_path / "weights" / f"{one.key}.safetensors")
    images, labels = noise(99, 4)
    with torch.no_grad():
        logits = nn.functional.interpolate(network.eval()(images), (32, 32), mode="bilinear")
    assert (logits.argmax(dim=1) == labels).sum().item() == matrices.sum(axis=0).trace()
    assert result.status == "completed"
    assert checkpoint_folder(tmp_path, one.key).exists()  # until its result is committed
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.usefixtures("opened")
def test_one_seed_gives_one_result_and_another_another() -> None:
    worker = Worker()
    first, again, other = (worker.run(task(seed=seed), always) for seed in (0, 0, 1))
    assert first.rungs == again.rungs
    assert first.rungs != other.rungs


def test_data_are_opened_once_for_a_worker(opened: list[str]) -> None:
    worker = Worker()
    for seed in range(2):
        worker.run(task(seed=seed), always)
    assert opened == ["train", "val"]


def test_a_cache_that_is_cut_within_a_trial_fails_it_and_the_next_builds_it_anew(
    tmp_path: Path,
) -> None:
    def cut(progress: TrialProgress) -> bool:
        if progress.step == 1:
            os.truncate(next((tmp_path / "cache").glob("train-*.images")), 100)
        return True

    worker = Worker()
    failed = worker.run(task(tmp_path), cut)
    assert failed.status == "failed"
    path = str(tmp_path / "cache" / "train-")
    assert failed.error.startswith(path)
    assert "was cut short or changed while trials read it" in failed.error
    assert worker.run(task(tmp_path, seed=1), always).status == "completed"
    assert next((tmp_path / "cache").glob("train-*.images")).stat().st_size > 100


def test_images_that_cannot_be_kept_are_noted_and_give_the_same_result(tmp_path: Path) -> None:
    tight = replace(SCHEDULE, data=replace(SPEC, cache=1))
    results = []
    for name, schedule in (("kept", SCHEDULE), ("tight", tight)):
        (tmp_path / name).mkdir()
        results.append(Worker().run(task(tmp_path / name, schedule=schedule), always))
    assert not any("decoded" in note for note in results[0].notes)
    assert len(list((tmp_path / "kept/cache").glob("*.images"))) == 2
    why = "images are decoded on every access: decoded images take"
    assert any(note.startswith(why) for note in results[1].notes)
    assert not list((tmp_path / "tight").rglob("*.images"))
    assert results[0].rungs == results[1].rungs
    assert results[0].key == results[1].key


@pytest.mark.usefixtures("opened")
def test_a_trial_paused_at_a_rung_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    whole, paused = (tmp_path / name for name in ("whole", "paused"))
    whole.mkdir()
    paused.mkdir()
    expected = Worker().run(task(whole), always)
    stopped = Worker().run(task(paused), lambda progress: progress.rung is None)
    assert (stopped.status, len(stopped.rungs)) == (STOPPED, 1)
    heard: list[int] = []
    result = Worker().run(task(paused), hearing(heard))
    assert result.rungs == expected.rungs
    assert 1 not in heard  # no step is trained twice
    one, other = (load_file(path) for path in tmp_path.glob("*/weights/*"))
    assert all(torch.equal(one[name], other[name]) for name in one | other)


@pytest.mark.usefixtures("opened")
def test_what_pauses_keeps_its_checkpoint_and_no_weights_beside_it(tmp_path: Path) -> None:
    paused = replace(task(tmp_path), beside=True)
    Worker().run(paused, lambda progress: progress.rung is None)
    assert len(list(tmp_path.glob("checkpoints/*/*.pt"))) == 1
    assert list(tmp_path.glob("weights/*")) == []
    assert Worker().run(task(tmp_path), always).status == COMPLETED
    assert len(list(tmp_path.glob("weights/*"))) == 1


@pytest.mark.usefixtures("opened")
def test_an_interrupted_trial_goes_on_where_it_was(tmp_path: Path) -> None:
    def interrupt(progress: TrialProgress) -> bool:
        if progress.step == 3:
            raise KeyboardInterrupt
        return True

    expected = Worker().run(task(), always)
    with pytest.raises(KeyboardInterrupt):
        Worker().run(task(tmp_path), interrupt)
    heard: list[int] = []
    result = Worker().run(task(tmp_path), hearing(heard))
    assert result.rungs == expected.rungs
    assert heard == [0, 4, 4]  # its third step was done and saved


@pytest.mark.usefixtures("opened")
def test_what_a_process_that_was_cut_off_had_spent_is_the_trials(tmp_path: Path) -> None:
    """Who counts only the last process takes its network for one that trains in no time."""

    def slow(progress: TrialProgress) -> bool:
        if progress.step == 3:
            time.sleep(0.6)
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        Worker().run(task(tmp_path), slow)
    before = time.time()
    result = Worker().run(task(tmp_path), always)
    assert result.wall_s >= 0.6
    assert result.began is not None
    assert result.began + result.wall_s == pytest.approx(time.time(), abs=0.5)
    assert result.began < before


@pytest.mark.usefixtures("opened")
def test_a_pause_is_counted_by_the_study_alone(tmp_path: Path) -> None:
    def pause(progress: TrialProgress) -> bool:
        if progress.rung is None:
            time.sleep(0.2)
        return progress.rung is None

    paused = Worker().run(task(tmp_path), pause)
    start = time.monotonic()
    went_on = Worker().run(replace(task(tmp_path), before=paused), always)
    assert went_on.wall_s == pytest.approx(time.monotonic() - start, abs=0.1)
    assert paused.wall_s > 0.3


@pytest.mark.usefixtures("opened")
def test_a_study_that_is_lost_is_no_failed_trial() -> None:
    def lost(_: TrialProgress) -> bool:
        raise StorageLostError("the study is gone")

    with pytest.raises(StorageLostError):
        Worker().run(task(), lost)


def full_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the system say that the disk is full whenever a file below a folder is to be kept."""
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if f"/{name}/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", refuse)


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("name", ["weights", "evaluation", "checkpoints"])
def test_a_full_disk_is_no_failed_trial_which_goes_on_once_there_is_room(
    tmp_path: Path, name: str
) -> None:
    expected = Worker().run(task(), always)
    with pytest.MonkeyPatch.context() as patch:
        full_for(patch, name)
        with pytest.raises(StorageLostError) as caught:
            Worker().run(task(tmp_path), always)
    file = re.escape(str(tmp_path / name))
    room = r"No space left on device \(needs [\d.]+ MB, [\d.]+ [MG]B free\)"
    assert re.fullmatch(rf"{file}/\S+: cannot be written: {room}", str(caught.value))
    heard: list[int] = []
    result = Worker().run(task(tmp_path), hearing(heard))
    assert (result.status, result.rungs) == ("completed", expected.rungs)
    assert heard[1:] == ([1, 2, 2, 3, 4, 4] if name == "checkpoints" else [4])


@pytest.mark.usefixtures("opened")
def test_a_study_folder_that_vanished_is_not_begun_again_and_no_trial_failed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()

    def vanish(progress: TrialProgress) -> bool:
        if progress.step == 1 and folder.exists():
            folder.rmdir()
        return True

    with pytest.raises(StorageLostError, match=f"the folder {folder} is gone"):
        Worker().run(task(folder), vanish)
    assert not folder.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.usefixtures("opened")
def test_what_the_system_says_of_a_disk_is_never_the_trials_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        try:
            raise OSError(code, os.strerror(code), "/tmp/kernels/a")
        except OSError as error:
            raise RuntimeError("a compiler failed") from error

    monkeypatch.setattr(attempts, "train", fail)
    with pytest.raises(StorageLostError, match=r"^/tmp/kernels/a: cannot be written: "):
        Worker().run(task(tmp_path), always)


@pytest.mark.usefixtures("opened")
def test_storage_that_is_lost_at_a_step_leaves_the_trial_saved(tmp_path: Path) -> None:
    def lost(progress: TrialProgress) -> bool:
        if progress.step == 3:
            raise StorageLostError("study.db is full")
        return True

    with pytest.raises(StorageLostError, match=r"^study.db is full$"):
        Worker().run(task(tmp_path), lost)
    heard: list[int] = []
    assert Worker().run(task(tmp_path), hearing(heard)).status == "completed"
    assert heard == [0, 4, 4]


@pytest.mark.usefixtures("opened")
def test_a_result_that_was_not_committed_is_had_back_without_a_step(tmp_path: Path) -> None:
    first = Worker().run(task(tmp_path), always)
    heard: list[int] = []
    again = Worker().run(task(tmp_path), hearing(heard))
    assert (again.status, again.rungs) == ("completed", first.rungs)
    assert heard == [0, 4]  # judged again, not trained


@pytest.mark.parametrize("content", [{}, {"step": 2, "rungs": [], "network": {"a": 1}}])
@pytest.mark.usefixtures("opened")
def test_a_checkpoint_of_another_layout_is_said_and_the_trial_starts_anew(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    expected = Worker().run(task(), always)
    Checkpoints(checkpoint_folder(tmp_path, task().key)).save(content)
    result = Worker().run(task(tmp_path), always)
    assert (result.status, result.rungs) == ("completed", expected.rungs)
    assert any("started again: its checkpoint has another layout" in n for n in result.notes)


@pytest.mark.usefixtures("opened")
def test_a_trial_stopped_at_a_rung_keeps_what_was_seen(tmp_path: Path) -> None:
    one = task(tmp_path)
    result = Worker().run(one, lambda p: p.rung is None)
    assert (result.status, [rung.step for rung in result.rungs]) == ("stopped", [2])
    assert result.miou == result.rungs[0].miou
    assert (tmp_path / "weights" / f"{one.key}.safetensors").exists()


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("phase", ["build", "train"])
def test_a_trial_stopped_before_a_rung_has_no_miou(tmp_path: Path, phase: str) -> None:
    result = Worker().run(task(tmp_path), lambda p: p.phase != phase)
    assert (result.status, result.miou, result.rungs) == ("stopped", None, ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("limit", "status"), [(1.9, "infeasible"), (2.0, "completed")])
@pytest.mark.usefixtures("opened")
def test_a_network_over_the_latency_limit_is_not_trained(
    monkeypatch: pytest.MonkeyPatch, limit: float, status: str
) -> None:
    asked: list[Any] = []

    def measure(_: nn.Module, spec: LatencySpec, reference_ms: float, *, classes: int) -> Latency:
        asked.append((spec.device, reference_ms, classes))
        return measured(2.0)

    monkeypatch.setattr(trial, "latency_of", measure)
    if status == "infeasible":
        monkeypatch.setattr(attempts, "train", no_training)
    latency = LatencySpec(size=(64, 64))
    one = task(latency=latency, reference_ms=7.0, latency_limit_ms=limit)
    result = Worker().run(one, always)
    said = "2 ms over latency_ms 1.9" if status == "infeasible" else ""
    assert (result.status, result.latency_ms, result.error) == (status, 2.0, said)
    assert asked == [("cpu", 7.0, 3)]
    assert result.cost == cost(TINY, size=(64, 64), classes=3)


@pytest.mark.usefixtures("opened")
def test_a_network_that_does_not_fit_for_its_latency_is_infeasible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(*_: object, **__: object) -> Latency:
        raise MemoryError("out of memory: DefaultCPUAllocator")

    monkeypatch.setattr(trial, "latency_of", measure)
    result = Worker().run(task(latency=LatencySpec(size=(64, 96))), always)
    assert (result.status, result.error) == (
        "infeasible",
        "out of memory at latency.size [64, 96]",
    )
    assert result.cost == cost(TINY, size=(64, 96), classes=3)


@pytest.mark.usefixtures("opened")
def test_latency_is_measured_on_the_network_of_the_trial() -> None:
    latency = LatencySpec(size=(64, 64), seconds=0.1, device="cpu", threads=1)
    result = Worker().run(task(latency=latency, latency_limit_ms=1e-6), always)
    assert result.status == "infeasible"
    assert " ms over latency_ms 1e-06" in result.error
    assert result.latency is not None
    assert result.error.endswith(", noisy") == result.latency.noisy
    assert result.latency.condition.size == (64, 64)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError([Fault("a", 0, "is bad"), Fault("b", 0, "too")]), "a: is bad; b: too"),
        (TrainingError("the loss is nan at step 3"), "the loss is nan at step 3"),
        (RuntimeError("one\ntwo"), "RuntimeError: one; two"),
        (RuntimeError("x" * 9999), "RuntimeError: xxx"),
    ],
)
@pytest.mark.usefixtures("opened")
def test_a_failure_is_a_result_of_one_line_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(attempts, "train", fail)
    one = task(tmp_path)
    result = Worker().run(one, always)
    assert (result.status, result.miou) == ("failed", None)
    assert line in result.error
    assert "\n" not in result.error
    assert len(result.error) <= 500
    assert result.cost is not None
    log = (tmp_path / "logs" / f"{one.key}.log").read_text()
    assert "Traceback" in log
    assert type(error).__name__ in log


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory.\nTried"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"
    ),
    MemoryError(),
)


def scarce(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception) -> list[int]:
    """Let no more than `most` images through the network at once; return how many went."""
    seen: list[int] = []
    forward = HighResolutionNet.forward

    def limited(self: HighResolutionNet, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.training:
            seen.append(len(images))
            if len(images) > most:
                raise error
        return forward(self, images)

    monkeypatch.setattr(HighResolutionNet, "forward", limited)
    return seen


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
@pytest.mark.usefixtures("opened")
def test_out_of_memory_a_trial_takes_each_batch_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    halved = Worker().run(task(schedule=replace(SCHEDULE, accumulate=2)), always)
    seen = scarce(monkeypatch, 2, error)
    result = Worker().run(task(tmp_path), always)
    assert (result.status, result.error) == ("completed", "")
    assert any("out of memory" in note and "4" in note for note in result.notes)
    assert seen[:3] == [4, 2, 2]
    assert result.rungs == halved.rungs
    assert not any("out of memory" in note for note in halved.notes)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
@pytest.mark.usefixtures("opened")
def test_without_memory_for_half_a_batch_a_network_is_infeasible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    seen = scarce(monkeypatch, 1, error)
    one = task(tmp_path)
    result = Worker().run(one, always)
    assert (result.status, result.miou, result.rungs) == ("infeasible", None, ())
    assert result.cost == cost(TINY, size=(32, 32), classes=3)
    assert one_line(error) == result.error
    assert seen == [4, 2]
    assert "Traceback" in (tmp_path / "logs" / f"{one.key}.log").read_text()


@pytest.mark.usefixtures("opened")
def test_a_batch_of_one_image_cannot_be_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    scarce(monkeypatch, 0, OUT_OF_MEMORY[0])
    single = replace(SCHEDULE, batch=1, crop=(64, 64))
    assert Worker().run(task(schedule=single), always).status == "infeasible"


@pytest.mark.usefixtures("opened")
def test_halving_stops_before_batch_norm_has_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = scarce(monkeypatch, 1, OUT_OF_MEMORY[0])
    result = Worker().run(task(schedule=replace(SCHEDULE, batch=2)), always)
    assert seen == [4]  # a second attempt would have been torch's ValueError, a failed trial
    assert result.status == "infeasible"
    assert "out of memory" in result.error
    assert "not in 2 parts: crop [32, 32]" in result.error
    assert "batch 2 with accumulate 2" in result.error


@pytest.mark.usefixtures("opened")
def test_a_part_of_one_image_and_one_pixel_is_refused_before_it_is_trained() -> None:
    result = Worker().run(task(schedule=replace(SCHEDULE, batch=1)), always)
    assert result.status == "failed"
    assert result.error.startswith("schedule: crop [32, 32] leaves the last of 4 branches one")


@pytest.mark.usefixtures("opened")
def test_halves_that_were_interrupted_go_on_as_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(progress: TrialProgress) -> bool:
        if progress.step == 3:
            raise KeyboardInterrupt
        return True

    expected = Worker().run(task(schedule=replace(SCHEDULE, accumulate=2)), always)
    seen = scarce(monkeypatch, 2, OUT_OF_MEMORY[0])
    with pytest.raises(KeyboardInterrupt):
        Worker().run(task(tmp_path), interrupt)
    seen.clear()
    result = Worker().run(task(tmp_path), always)
    assert result.rungs == expected.rungs
    assert set(seen) == {2}
    assert any("out of memory" in note for note in result.notes)


@pytest.mark.usefixtures("opened")
def test_a_result_says_how_it_was_trained() -> None:
    result = Worker().run(task(schedule=replace(SCHEDULE, precision="bf16")), always)
    (note,) = result.notes
    assert note.startswith("trained in bf16, channels_last on ")


def test_balanced_weights_come_from_the_training_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def listen(trainer: Trainer, *given: Any) -> Training:
        heard.append(trainer.data.class_weights)
        return train(trainer, *given)

    monkeypatch.setattr(attempts, "train", listen)
    worker = Worker()
    for weights in ("balanced", "none", (1.0, 2.0, 0.5), "balanced"):
        one = task(schedule=replace(SCHEDULE, steps=1, class_weights=weights), rungs=(1,))
        assert worker.run(one, always).status == "completed"
    masks = [
        torch.from_numpy(mask) for _, mask in (open_dataset(SPEC, "train")[i] for i in range(8))
    ]
    expected = balanced_weights(masks, 3)
    assert torch.equal(heard[0], expected)
    assert torch.equal(heard[3], expected)
    assert heard[1] is None
    assert heard[2].tolist() == [1.0, 2.0, 0.5]


@pytest.mark.parametrize("miou", [math.nan, math.inf, -0.1, 1.1])
@pytest.mark.usefixtures("opened")
def test_an_impossible_miou_fails(monkeypatch: pytest.MonkeyPatch, miou: float) -> None:
    def lying(*given: Any) -> Any:
        training = train(*given)
        return replace(training, rungs=(replace(training.rungs[-1], miou=miou),))

    monkeypatch.setattr(attempts, "train", lying)
    result = Worker().run(task(), always)
    assert (result.status, result.miou) == ("failed", None)
    assert "mIoU" in result.error


@pytest.mark.usefixtures("opened")
def test_a_device_that_is_not_there_fails_the_trial() -> None:
    result = Worker().run(task(device="cuda:9"), always)
    assert result.status == "failed"
    assert "cuda:9" in result.error or "no such device" in result.error


def test_the_start_is_of_the_seed_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    weights = [start_network(task(seed=seed))[0].conv1.weight for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_schedule_with_weights_starts_from_them(tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    given, nothing = start_network(task(seed=5))
    assert nothing is None
    save_weights(given, file, {})
    schedule = replace(SCHEDULE, init="start.safetensors", init_path=str(file))
    started, inherited = start_network(task(schedule=schedule))
    assert torch.equal(started.conv1.weight, given.conv1.weight)
    assert isinstance(inherited, Inheritance)
    assert inherited.kept == 1
    assert str(inherited).startswith("273 of 273 tensors match")


@pytest.mark.parametrize(
    ("size", "images"), [((32, 32), 4), ((64, 64), 1), ((512, 512), 1), ((16, 32), 8), (None, 1)]
)
def test_validation_takes_about_the_pixels_of_a_training_batch(
    size: tuple[int, int] | None, images: int
) -> None:
    assert validation_batch(replace(SCHEDULE, data=replace(SPEC, size=size))) == images


def test_an_error_without_words_has_its_name() -> None:
    assert one_line(KeyError()) == "KeyError"


@pytest.mark.usefixtures("opened")
def test_weights_that_nobody_judged_are_not_kept(tmp_path: Path) -> None:
    one = task(tmp_path)
    result = Worker().run(one, lambda p: p.step != 3)
    assert (result.status, [rung.step for rung in result.rungs]) == ("stopped", [2])
    assert (tmp_path / "evaluation" / f"{one.key}.npz").exists()
    assert list((tmp_path / "weights").iterdir()) == []


def test_what_another_study_has_found_is_not_trained_and_its_latency_holds_by_ratio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the same condition; under another one the network is measured here, once."""
    spec, measured = LatencySpec(size=(32, 32), device="cpu", seconds=0.2), []
    condition = resolve(spec).condition

    def measure(*arguments: Any, **named: Any) -> Latency:
        measured.append(named)
        return Latency(7.0, 3.5, 7.0, 7.0, 7.0, 7.0, 20, False, condition)

    monkeypatch.setattr(trial, "latency_of", measure)
    monkeypatch.setattr(Attempts, "train", lambda *_: pytest.fail("it was trained"))
    here = Latency(9.0, 1.5, 9.0, 9.0, 9.0, 9.0, 20, False, condition)
    rung = RungResult(4, 0.5, (0.5,), 1.0, 0.5)
    done = TrialResult(
        task().key, "completed", cost(TINY, (32, 32), 3), here, 0.5, (rung,), wall_s=9.0,
        versions=(("torch", "1"),), notes=("taken over from first, trial 3",),
    )  # fmt: skip
    elsewhere = replace(here, condition=replace(condition, device="another"))
    for latency, ms, count in ((here, 4.0 * 1.5, 0), (elsewhere, 7.0, 1), (None, 7.0, 2)):
        asked = task(latency=spec, reference_ms=4.0, taken=replace(done, latency=latency))
        found = Worker().run(asked, always)
        assert found.latency is not None
        assert found.latency.ms == ms
        assert replace(found, latency=None) == replace(done, latency=None)
        assert len(measured) == count
    slow = task(latency=spec, reference_ms=4.0, latency_limit_ms=5.0, taken=done)
    assert Worker().run(slow, always).status == "infeasible"
    goes_on = replace(slow, taken=None, before=done)  # it was measured before it paused
    assert Worker().run(goes_on, always).latency_ms == 4.0 * 1.5
    assert len(measured) == 2
    unmeasured = Worker().run(task(taken=done), always)
    assert replace(unmeasured, latency=here) == done
