"""How a GPU is named, and what NVML says of it; the authority is `nvidia-smi`."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import torch

from hrnet_search.device_names import is_device
from hrnet_search.evaluate.machine.devices import (
    device_name,
    gpu_count,
    gpu_uuid,
    resolve_device,
    versions,
)
from hrnet_search.evaluate.machine.load import read_gpu, snapshot

pytestmark = pytest.mark.gpu


def smi(field: str) -> list[str]:
    """Return what nvidia-smi says of every GPU of this machine."""
    if shutil.which("nvidia-smi") is None:
        pytest.skip("there is no nvidia-smi")
    words = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.strip() for line in done.stdout.splitlines()]


def test_every_name_of_a_gpu_leads_to_it() -> None:
    first = torch.device("cuda", 0)
    model = torch.cuda.get_device_name(0)
    assert resolve_device("auto") == resolve_device("cuda") == resolve_device("cuda:0") == first
    assert resolve_device(f"cuda:{model}") == first
    assert is_device(f"cuda:{model}")
    assert device_name(first) == model
    assert gpu_count() == torch.cuda.device_count() >= 1


def test_a_gpu_is_called_as_nvidia_smi_calls_it() -> None:
    assert device_name(torch.device("cuda", 0)) in smi("name")


def test_its_uuid_is_that_of_nvidia_smi() -> None:
    found = gpu_uuid(torch.device("cuda", 0))
    assert found.startswith("GPU-")
    uuids = smi("uuid")
    assert found in uuids
    if "CUDA_VISIBLE_DEVICES" not in os.environ and len(uuids) == 1:
        assert uuids == [found]


def test_nvml_tells_of_this_gpu_by_its_uuid() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    uuid = gpu_uuid(torch.device("cuda", 0))
    reading, others = read_gpu(uuid)
    found = dict(reading)
    assert {"driver", "sm_clock_mhz", "memory_clock_mhz", "temperature_c"} <= set(found)
    assert found["driver"] in smi("driver_version")
    assert 5 < float(found["temperature_c"]) < 110
    assert 100 < float(found["sm_clock_mhz"]) < 5000
    assert 0 < float(found.get("power_w", 1)) < 2000
    assert others is None or others >= 0
    assert snapshot(uuid).gpu[0] == ("driver", found["driver"])


def test_versions_name_cuda_and_cudnn() -> None:
    found = dict(versions())
    assert found["cuda"] == torch.version.cuda
    assert int(found["cudnn"]) > 8000
