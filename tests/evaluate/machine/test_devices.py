"""Devices are those that are there."""

from __future__ import annotations

import pytest
import torch

from hrnet_search.errors import InputError
from hrnet_search.evaluate.machine.devices import device_name, resolve_device, versions


def pretend(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"NVIDIA {'AB'[index]}100")


@pytest.mark.parametrize(
    ("count", "name", "device"),
    [
        (0, "auto", "cpu"),
        (2, "auto", "cuda:0"),
        (2, "cpu", "cpu"),
        (2, "cuda", "cuda:0"),
        (2, "cuda:1", "cuda:1"),
        (2, "cuda:NVIDIA B100", "cuda:1"),
    ],
)
def test_a_name_resolves_to_a_device(
    monkeypatch: pytest.MonkeyPatch, count: int, name: str, device: str
) -> None:
    pretend(monkeypatch, count)
    assert resolve_device(name) == torch.device(device)


@pytest.mark.parametrize(
    "name", ["cuda:2", "gpu", "", "cuda:-1", "cuda:1x", "cuda:NVIDIA C100", "mps"]
)
def test_other_names_are_errors_that_say_what_there_is(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(monkeypatch, 2)
    with pytest.raises(InputError, match=r"device: .*cpu, cuda:0, cuda:1$"):
        resolve_device(name)


def test_cuda_without_a_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0)
    with pytest.raises(InputError, match="no such device"):
        resolve_device("cuda")


def test_versions_and_device_have_names() -> None:
    found = dict(versions())
    assert found["torch"] == torch.__version__
    assert {"python", "numpy", "hrnet-search"} <= set(found)
    assert device_name(torch.device("cpu"))
