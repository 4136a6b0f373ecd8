"""An ONNX file is timed in onnxruntime, beside the reference, as one more condition."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from hrnet_search.errors import InputError
from hrnet_search.evaluate.latency.onnx_file import OnnxNetwork, measure_onnx
from hrnet_search.records.latency import LatencySpec

SPEC = LatencySpec(size=(32, 48), batch=2, mode="compile", seconds=0.05, threads=1)


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A file that doubles images of any batch, of 32 by 48 pixels."""
    shape: list[str | int | None] = ["batch", 3, 32, 48]
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "images"], ["logits"])],
        "doubling",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "doubling.onnx")
    return tmp_path / "doubling.onnx"


def test_the_file_is_what_runs(doubling: Path) -> None:
    images = torch.randn(3, 3, 32, 48)
    assert torch.equal(OnnxNetwork(doubling, 1)(images), 2 * images)


def test_its_latency_is_one_more_condition(doubling: Path) -> None:
    found = measure_onnx(doubling, SPEC, classes=3)
    condition = found.condition
    assert (condition.mode, condition.precision) == ("onnxruntime", "fp32")
    assert (condition.batch, condition.size, condition.threads) == (2, (32, 48), 1)
    assert found.ms == found.median_ms
    assert found.peak_memory_bytes is None
    # An addition against a whole network, on the same images.
    assert found.ratio < 0.5
    assert 0 < found.ms < found.reference_median_ms


def test_a_size_that_the_file_does_not_take_is_one_line(doubling: Path) -> None:
    with pytest.raises(InputError, match=r"doubling\.onnx: onnxruntime cannot run it: ") as caught:
        measure_onnx(doubling, LatencySpec(size=(33, 48), seconds=0.05))
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_file_that_is_no_model_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="onnxruntime cannot run it: "):
        measure_onnx(path, SPEC)
