"""Latency of an exported ONNX file in onnxruntime, measured as that of any network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hrnet_search.arch.hrnet_yaml import DEFAULT_CLASSES
from hrnet_search.errors import Fault, InputError, LatencyError, first_line
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.latency.runtimes.in_onnxruntime import CANNOT_RUN, opened
from hrnet_search.records.latency import Latency, LatencySpec

MODE = "onnxruntime"
"""The mode in the condition; the reference beside it runs eagerly in torch."""


def measure_onnx(path: str | Path, spec: LatencySpec, *, classes: int = DEFAULT_CLASSES) -> Latency:
    """Measure an ONNX file on the CPU in fp32, interleaved with the reference network in torch.

    `Latency.ms` is the median as measured: a latency that a study froze is of another mode.
    Raise InputError if onnxruntime cannot run the file at the spec's size and batch.
    """
    spec = replace(spec, device="cpu", mode="eager", precision="fp32", memory_format="contiguous")
    network = OnnxNetwork(path, resolve(spec).condition.threads)
    network.probe((spec.batch, 3, *spec.size))
    found = measure_latency(network, spec, classes=classes)
    # What onnxruntime holds is not seen by torch.
    condition = replace(found.condition, mode=MODE)
    return replace(found, condition=condition, peak_memory_bytes=None)


class OnnxNetwork(nn.Module):
    """An ONNX file of one input, images [N, 3, H, W], as a module without parameters."""

    def __init__(self, path: str | Path, threads: int) -> None:
        super().__init__()
        self._path = str(path)
        try:
            self._session = opened(path, threads)
        except LatencyError as error:
            raise self._refused(str(error)) from error
        self._input = self._session.get_inputs()[0].name

    def forward(self, images: Tensor) -> Tensor:
        (logits,) = self._session.run(None, {self._input: images.numpy()})
        return torch.from_numpy(logits)

    def __deepcopy__(self, _: dict[int, Any]) -> OnnxNetwork:
        return self  # whoever copies a network wants to change it, and this cannot be

    def probe(self, shape: tuple[int, int, int, int]) -> None:
        """Run once on images of this shape; raise InputError if that does not work."""
        try:
            self(torch.zeros(shape))
        except Exception as error:  # its errors have no base of their own
            raise self._refused(f"{CANNOT_RUN}{first_line(error)}") from error

    def _refused(self, wrong: str) -> InputError:
        return InputError(Fault("", self._path, wrong, file=self._path))
