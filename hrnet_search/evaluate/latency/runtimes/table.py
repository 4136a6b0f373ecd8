"""The runtimes by the names that a space file has for them (`records.latency.RUNTIMES`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hrnet_search.evaluate.latency.runtimes import in_onnxruntime, in_openvino
from hrnet_search.evaluate.latency.runtimes.by_command import CommandRuntime
from hrnet_search.evaluate.latency.runtimes.in_onnxruntime import OnnxRuntime
from hrnet_search.evaluate.latency.runtimes.in_openvino import OpenVino
from hrnet_search.evaluate.latency.runtimes.in_tensorrt import TensorRt
from hrnet_search.evaluate.latency.runtimes.in_torch import TorchRuntime
from hrnet_search.evaluate.latency.runtimes.protocol import Runtime
from hrnet_search.evaluate.latency.runtimes.quantised import Decide, Images
from hrnet_search.records.latency import COMMAND, TORCH

RUNTIMES: dict[str, Runtime] = {
    TORCH: TorchRuntime(),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
    "tensorrt": TensorRt(),
    COMMAND: CommandRuntime(),
}

IN_INT8: dict[str, Callable[[bytes, Iterable[Images], int], Decide]] = {
    "onnxruntime": in_onnxruntime.in_int8,
    "openvino": in_openvino.in_int8,
    "tensorrt": in_onnxruntime.in_int8,
}
"""What an ONNX file decides in int8; TensorRT's is the same quantised file, run on the CPU."""
