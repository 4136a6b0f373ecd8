"""Networks in torch, as they are trained: eager, as a CUDA graph, or compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate.latency.calls import measuring, peak_memory, prepare, timer
from hrnet_search.evaluate.latency.runtimes.protocol import Facts
from hrnet_search.evaluate.latency.setting import Setting, fixed_input
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import AUTO

TF32 = "tf32"
"""The precision in a condition where fp32 was asked for and CUDA convolves in TF32."""


class TorchRuntime:
    """Torch itself, whose modes are those of `calls.py`."""

    a_process_each = False

    def facts(self, spec: LatencySpec, device: torch.device) -> Facts:
        """Return the mode, and the precision that the device convolves in."""
        on_gpu = device.type == "cuda"
        mode = spec.mode if spec.mode != AUTO else "cudagraph" if on_gpu else "eager"
        if mode == "cudagraph" and not on_gpu:
            wrong, allowed = "cudagraph needs a CUDA device", "on the CPU: eager, compile"
            raise InputError(Fault("latency.mode", spec.mode, wrong, allowed))
        return Facts(mode, _precision(spec.precision, on_gpu))

    @contextmanager
    def session(self, spec: LatencySpec, setting: Setting) -> Iterator[TorchSession]:  # noqa: ARG002
        """Hold torch as measuring wants it."""
        with measuring(setting):
            held = torch.cuda.memory_allocated(setting.device) if setting.on_gpu else 0
            yield TorchSession(setting, fixed_input(setting), held)


@dataclass(frozen=True, slots=True)
class TorchSession:
    """Torch under a setting: `held` are the bytes that the GPU had given before."""

    setting: Setting
    images: Tensor
    held: int

    def prepare(self, network: nn.Module) -> TorchNetwork:
        """Copy a network as it is run."""
        return TorchNetwork(prepare(network, self.setting), self)


@dataclass(frozen=True, slots=True)
class TorchNetwork:
    """A copy of a network in evaluation mode and the precision asked for."""

    network: nn.Module
    session: TorchSession

    def peak_memory(self) -> int:
        """Return what one eager call holds at most."""
        session = self.session
        return peak_memory(self.network, session.images, session.setting, session.held)

    def timer(self) -> Timer:
        """Return what times it in the mode of the setting."""
        return timer(self.network, self.session.images, self.session.setting)


def _precision(asked: str, on_gpu: bool) -> str:
    if asked == "fp32" and on_gpu and torch.backends.cudnn.conv.fp32_precision == TF32:  # type: ignore[attr-defined]
        return TF32
    return asked
