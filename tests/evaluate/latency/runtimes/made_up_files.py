"""Networks as ONNX files that are made at once: one convolution of the network's first width."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hrnet_search.evaluate.latency.runtimes import exported
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.net.onnx_model import IMAGES, LOGITS, Shape


def convolution(network: HighResolutionNet, shape: Shape) -> bytes:
    """Return a file that convolves images into as many maps as the network is wide."""
    batch, _, height, width = shape
    maps = network.architecture.width
    weights = np.random.default_rng(0).normal(0, 0.1, (maps, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", [IMAGES, "weights"], [LOGITS], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, [batch, 3, height, width])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [batch, maps, height, width])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let networks be written at once; the list has the ids of those that were."""
    written: list[str] = []

    def content(network: HighResolutionNet, shape: Shape) -> bytes:
        written.append(network.architecture.id)
        return convolution(network, shape)

    monkeypatch.setattr(exported, "onnx_content", content)
    monkeypatch.setattr(exported, "_kept", {})
    return written
