"""Networks as ONNX files that are made at once: two convolutions as wide as the network."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hrnet_search.evaluate.latency.runtimes import exported
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.net.onnx_model import IMAGES, LOGITS, Shape


def convolution(network: HighResolutionNet, shape: Shape | None) -> bytes:
    """Return a file that convolves images into maps as wide as the network, then classes."""
    batch, _, height, width = shape or ("batch", 3, "height", "width")
    scores = network.state_dict()[
        "cls_head.bias" if network.architecture.has_ocr else "last_layer.3.bias"
    ]
    maps, classes = network.architecture.width, len(scores)
    rng = np.random.default_rng(0)
    weights = {
        "first": rng.normal(0, 0.1, (maps, 3, 3, 3)).astype(np.float32),
        "last": rng.normal(0, 1, (classes, maps, 1, 1)).astype(np.float32),
    }
    images: list[str | int | None] = [batch, 3, height, width]
    logits: list[str | int | None] = [batch, classes, height, width]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [IMAGES, "first"], ["maps"], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["maps", "last"], [LOGITS]),
        ],
        "convolutions",
        [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, images)],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, logits)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let networks be written at once; the list has the ids of those that were."""
    written: list[str] = []

    def content(network: HighResolutionNet, shape: Shape | None) -> bytes:
        written.append(network.architecture.id)
        return convolution(network, shape)

    monkeypatch.setattr(exported, "onnx_content", content)
    monkeypatch.setattr(exported, "_kept", {})
    return written
