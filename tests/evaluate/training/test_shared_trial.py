"""Shared weights are a trial like others, and trials start from what it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluate.training.test_shared import SPACE, wide
from evaluate.training.test_train import equal_states
from evaluate.training.test_trial import SCHEDULE, always
from made_up import TINY

from hrnet_search.errors import WeightsError
from hrnet_search.evaluate.training import attempts
from hrnet_search.evaluate.training.attempts import Attempts, start_network
from hrnet_search.evaluate.training.shared import judged_by_slices
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.net.shared import read_shared, unweighted
from hrnet_search.net.weights import load_weights
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialProgress, TrialResult, TrialTask

TOGETHER = replace(SCHEDULE, networks=2)


def together(folder: Path) -> TrialTask:
    key = TrialKey(TINY.id, TOGETHER.id, 0)
    return TrialTask(
        0, key, TINY, TOGETHER, (4,), device="cpu", folder=str(folder), sharing=(TINY, *SPACE)
    )


def variant(folder: Path, path: Path, **changed: Any) -> TrialTask:
    schedule = replace(SCHEDULE, init="shared", init_fingerprint="0f", init_path=str(path))
    key = TrialKey(wide(3).id, schedule.id, 0)
    task = TrialTask(1, key, wide(3), schedule, (2, 4), device="cpu", folder=str(folder))
    return replace(task, **changed)


def path_of(task: TrialTask) -> Path:
    return Path(task.folder, "weights", f"{task.key}.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialTask, TrialResult]:
    task = together(tmp_path_factory.mktemp("study"))
    return task, Worker().run(task, always)


def test_shared_weights_are_judged_by_the_slices_of_the_base(
    trained: tuple[TrialTask, TrialResult],
) -> None:
    task, result = trained
    assert (result.status, result.error) == (COMPLETED, "")
    assert [rung.step for rung in result.rungs] == [4]
    assert "weights that 6 networks share, 2 a step" in result.notes
    assert result.kept is None
    assert path_of(task).is_file()


def test_a_variant_starts_from_its_slices_and_says_so(
    trained: tuple[TrialTask, TrialResult], tmp_path: Path
) -> None:
    path = path_of(trained[0])
    one = variant(tmp_path, path)
    network, said = start_network(one)
    slices = read_shared(path).slices(unweighted(wide(3), 3))
    assert all(torch.equal(slices[name], w) for name, w in network.named_parameters())
    assert said == f"{len(slices)} of {len(slices)} tensors from shared weights"
    result = Worker().run(one, always)
    assert result.status == COMPLETED
    assert f"init: {said}" in result.notes
    assert result.kept is None  # it is the share of a base that would rank likeness
    scratch = replace(one, schedule=SCHEDULE, key=TrialKey(wide(3).id, SCHEDULE.id, 0))
    assert Worker().run(scratch, always).rungs != result.rungs


def test_what_shared_weights_do_not_have_starts_anew(trained: tuple[TrialTask, TrialResult],
                                                     tmp_path: Path) -> None:  # fmt: skip
    wider = variant(tmp_path, path_of(trained[0]), architecture=wide(7))
    fresh, _ = start_network(replace(wider, schedule=SCHEDULE))
    network, said = start_network(wider)
    own = dict(fresh.named_parameters())
    kept = [name for name, weight in network.named_parameters() if torch.equal(weight, own[name])]
    assert " fresh (" in str(said)
    assert "stage2.0.branches.0.0.conv1.weight" in kept
    assert "conv1.weight" not in kept


def test_shared_weights_killed_and_gone_on_with_are_the_same(
    trained: tuple[TrialTask, TrialResult], tmp_path: Path
) -> None:
    class KilledError(BaseException):
        pass

    def kill(progress: TrialProgress) -> bool:
        if progress.phase == "train" and progress.step == 3:
            raise KilledError
        return True

    task = together(tmp_path)
    with pytest.raises(KilledError):
        Worker(checkpoint_s=0).run(task, kill)
    result = Worker().run(task, always)
    assert result.rungs == trained[1].rungs
    assert equal_states(read_shared(path_of(task)), read_shared(path_of(trained[0])))


def test_slices_are_judged_by_some_of_the_validation_images(
    trained: tuple[TrialTask, TrialResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are thousands of networks; those that are trained are judged by all images."""
    monkeypatch.setattr(attempts, "SLICES_IMAGES", 2)
    there_are = SCHEDULE.data.val_images
    assert there_are > 2
    judged = replace(SCHEDULE, init="shared", init_path=str(path_of(trained[0])), steps=0)
    device = torch.device("cpu")
    for schedule, images in ((judged, 2), (SCHEDULE, there_are)):
        task = replace(trained[0], schedule=schedule)
        data = Attempts().data(task, device)
        seen = [i for _, _, indices in data.validation() for i in indices]
        assert (data.images, seen) == (images, list(range(images)))


def test_a_trial_of_no_steps_is_judged_by_its_slices_and_keeps_nothing(
    trained: tuple[TrialTask, TrialResult], tmp_path: Path
) -> None:
    """As `judged_by_slices` judges for a long training: with statistics of 64 images."""
    path = path_of(trained[0])
    schedule = replace(SCHEDULE, init="shared", init_path=str(path), steps=0)
    key = TrialKey(wide(3).id, schedule.id, 0)
    task = variant(tmp_path, path, key=key, schedule=schedule, rungs=(0,))
    seen: list[TrialProgress] = []

    def see(progress: TrialProgress) -> bool:
        seen.append(progress)
        return True

    result = Worker(checkpoint_s=0).run(task, see)
    assert (result.status, result.error, result.untrained) == (COMPLETED, "", True)
    assert not trained[1].untrained
    assert [progress.phase for progress in seen] == ["build", "evaluate"]
    assert any(note.startswith("judged, not trained, in fp32") for note in result.notes)
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".safetensors", ".npz")]
    long = replace(schedule, steps=1000)
    data = Attempts().data(replace(task, schedule=long), torch.device("cpu"))
    wanted = judged_by_slices(read_shared(path), wide(3), data, long)
    (rung,) = result.rungs
    for name in ("miou", "iou", "soft_iou", "loss", "balanced_cross_entropy"):
        assert getattr(rung, name) == getattr(wanted.rung, name), name


def test_steps_of_shared_weights_tell_the_losses_of_each_stratum(tmp_path: Path) -> None:
    seen: list[TrialProgress] = []

    def see(progress: TrialProgress) -> bool:
        seen.append(progress)
        return True

    Worker().run(together(tmp_path), see)
    steps = [progress for progress in seen if progress.phase == "train"]
    assert len(steps) == 4
    for progress in steps:
        assert len(progress.strata) == 2
        assert progress.loss == pytest.approx(sum(progress.strata) / 2)
    seen.clear()
    Worker().run(replace(variant(tmp_path, Path()), schedule=SCHEDULE), see)
    assert {progress.strata for progress in seen} == {()}


@pytest.mark.bench
def test_shared_weights_killed_at_ten_random_moments_are_the_same(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("shared_killed.py")), str(tmp_path), "10"],
        env={**os.environ, "PYTHONPATH": f"{tests.parent}:{tests}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all the same"
    assert done.stdout.count(": -9 at step") >= 8


def test_files_of_one_kind_are_not_taken_for_the_other(
    trained: tuple[TrialTask, TrialResult], tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    for content in (b"", b"not safetensors", path_of(trained[0]).read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="holds no shared weights"):
            read_shared(path)
    with pytest.raises(WeightsError):
        read_shared(tmp_path / "missing")
    network, _ = start_network(replace(variant(tmp_path, path), schedule=SCHEDULE))
    with pytest.raises(WeightsError):
        load_weights(network, path_of(trained[0]))
