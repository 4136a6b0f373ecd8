"""A condition says what is there, not what was asked for; what cannot be is refused at once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from hrnet_search.errors import InputError
from hrnet_search.evaluate.latency import condition
from hrnet_search.evaluate.latency.condition import default_threads, resolve
from hrnet_search.records.latency import LatencySpec

SPEC = LatencySpec(size=(32, 64), device="cpu")


def pretend_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condition, "resolve_device", lambda _: torch.device("cuda", 0))
    monkeypatch.setattr(condition, "device_name", lambda _: "a GPU")


def test_auto_is_eager_on_the_cpu_with_threads_said() -> None:
    found = resolve(SPEC).condition
    assert (found.mode, found.precision, found.size) == ("eager", "fp32", (32, 64))
    assert found.threads == default_threads() >= 1
    assert resolve(replace(SPEC, threads=3)).condition.threads == 3


def test_auto_is_cudagraph_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_a_gpu(monkeypatch)
    found = resolve(SPEC)
    assert found.on_gpu
    assert (found.condition.mode, found.condition.device) == ("cudagraph", "a GPU")
    assert resolve(replace(SPEC, mode="eager")).condition.mode == "eager"


def test_fp32_that_is_convolved_in_tf32_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_a_gpu(monkeypatch)
    convolutions = SimpleNamespace(fp32_precision="tf32")
    monkeypatch.setattr(torch.backends.cudnn, "conv", convolutions)
    assert resolve(SPEC).condition.precision == "tf32"
    assert resolve(replace(SPEC, precision="bf16")).condition.precision == "bf16"
    convolutions.fp32_precision = "ieee"
    assert resolve(SPEC).condition.precision == "fp32"


def test_cudagraph_without_a_gpu_is_refused() -> None:
    with pytest.raises(InputError, match=r"latency.mode: cudagraph needs a CUDA device"):
        resolve(replace(SPEC, mode="cudagraph"))


def test_every_value_that_is_not_allowed_is_named_at_once() -> None:
    wrong = LatencySpec((0, 64), -1, "cpu", "fast", "fp8", 0.0, -2, "upside_down")
    with pytest.raises(InputError) as caught:
        resolve(wrong)
    named = {fault.path for fault in caught.value.faults}
    keys = ("mode", "precision", "memory_format", "size", "batch", "threads", "seconds")
    assert named == {f"latency.{key}" for key in keys}
    assert all(fault.allowed for fault in caught.value.faults)


def test_a_cap_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match=r"latency\.seconds"):
        resolve(replace(SPEC, seconds=float("nan")))
