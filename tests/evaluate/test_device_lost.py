"""A GPU that answers no more is the study's trouble, not the trial's: simulated, there is none."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from evaluate.training.test_trial import always, task

from hrnet_search.errors import DeviceLostError
from hrnet_search.evaluate.machine import devices
from hrnet_search.evaluate.machine.devices import is_lost
from hrnet_search.evaluate.training import attempts, trial
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.records.trial import FAILED

GPU = torch.device("cuda", 0)


def sticks(*_: object, **__: object) -> None:
    raise RuntimeError("CUDA error: unspecified launch failure")


def is_full(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_an_error_that_sticks_is_a_lost_gpu_and_a_full_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", sticks)
    assert is_lost(GPU)
    assert not is_lost(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "synchronize", is_full)
    assert not is_lost(GPU)


@pytest.mark.parametrize("lost", [True, False])
def test_the_trial_is_not_charged_and_its_checkpoint_stays(
    lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "start_network", sticks)
    monkeypatch.setattr(trial, "is_lost", lambda _: lost)
    monkeypatch.setattr(trial, "gpu_uuid", lambda _: "GPU-1")
    asked = task(tmp_path)
    checkpoint = tmp_path / "checkpoints" / str(asked.key) / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    if lost:
        with pytest.raises(
            DeviceLostError, match=r"GPU-1 answers no more .*launch failure"
        ) as seen:
            Worker().run(asked, always)
        assert seen.value.exit_code == 4
        assert checkpoint.exists()
    else:
        assert Worker().run(asked, always).status == FAILED


def test_a_lost_device_travels_between_processes() -> None:
    error = DeviceLostError("GPU-1", "CUDA error (719): (x)")
    again = pickle.loads(pickle.dumps(error))
    assert (again.device, str(again)) == (error.device, str(error))


def test_a_cpu_is_no_gpu_that_could_be_lost() -> None:
    assert devices.own_gpu("cpu") == ""
