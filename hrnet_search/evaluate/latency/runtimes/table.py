"""The runtimes by the names that a space file has for them (`records.RUNTIMES`)."""

from __future__ import annotations

from hrnet_search.evaluate.latency.runtimes.by_command import CommandRuntime
from hrnet_search.evaluate.latency.runtimes.in_onnxruntime import OnnxRuntime
from hrnet_search.evaluate.latency.runtimes.in_openvino import OpenVino
from hrnet_search.evaluate.latency.runtimes.in_tensorrt import TensorRt
from hrnet_search.evaluate.latency.runtimes.in_torch import TorchRuntime
from hrnet_search.evaluate.latency.runtimes.protocol import Runtime
from hrnet_search.records import COMMAND, TORCH

RUNTIMES: dict[str, Runtime] = {
    TORCH: TorchRuntime(),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
    "tensorrt": TensorRt(),
    COMMAND: CommandRuntime(),
}
