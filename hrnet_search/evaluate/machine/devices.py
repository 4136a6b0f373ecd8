"""Which device is meant, and what it and the libraries on it are."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from hrnet_search import __version__
from hrnet_search.device_names import is_device
from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.evaluate.machine.allocator import out_of_memory
from hrnet_search.evaluate.machine.load import cpu_model

LIBRARIES = ("torch", "numpy")


def resolve_device(name: str, key: str = "latency.device") -> torch.device:
    """Return the device that auto, cpu, cuda, cuda:N or cuda:MODEL names; auto prefers CUDA.

    Raise InputError, naming the devices that there are; `key` is where the name stands.
    """
    count = gpu_count()
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    if name in ("auto", "cuda") and count:
        return torch.device("cuda", torch.cuda.current_device())
    number = name.removeprefix("cuda:")
    if is_device(name) and number.isdigit() and int(number) < count:
        return torch.device("cuda", int(number))
    for index in range(count):
        if name == f"cuda:{torch.cuda.get_device_name(index)}":
            return torch.device("cuda", index)
    there = ", ".join(("cpu", *(f"cuda:{index}" for index in range(count))))
    wrong = f"there is no such device as {shown(name)}"
    if not is_device(name):
        wrong = f"{shown(name)} is not known"
    allowed = f"auto, or what is here: {there}"
    raise InputError(Fault(key, name, wrong, allowed))


def device_name(device: torch.device) -> str:
    """Return the model of the GPU or CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_model()


def gpu_count() -> int:
    """Return how many GPUs this process may use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_uuid(device: torch.device) -> str:
    """Return what names this GPU among all, `GPU-...`."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def own_gpu(name: str) -> str:
    """Return the uuid of the GPU that a trial on a device of this name uses, empty for a CPU."""
    device = resolve_device(name)
    return gpu_uuid(device) if device.type == "cuda" else ""


def is_lost(device: torch.device) -> bool:
    """Return whether a GPU computes no more for this process: an error of CUDA that sticks.

    After one, every further call raises it again (CUDA runtime API, error handling); after most
    errors of a trial the GPU goes on.
    """
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
        torch.ones(1, device=device).item()
    except RuntimeError as error:
        return not out_of_memory(error)
    return False


def versions() -> tuple[tuple[str, str], ...]:
    """Return name and version of what a result depends on: Python, packages, CUDA and cuDNN."""
    found = [("python", platform.python_version()), ("hrnet-search", __version__)]
    found += [(library, version(library)) for library in LIBRARIES]
    if torch.version.cuda:
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found += [("cuda", torch.version.cuda), ("cudnn", str(cudnn))]
    return tuple(found)
