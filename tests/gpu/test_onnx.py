"""A network that was trained on a device, as ONNX: what onnxruntime computes is what it did."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gpu.on_devices import SLOW_DEVICES, result_of, task

from benchmarks.fp32 import FP32, set_fp32
from hrnet_search.net.hrnet import build
from hrnet_search.net.weights import load_weights
from hrnet_search.records.trial import COMPLETED

TOLERANCE = 1e-3
"""As `export` allows: the largest difference as a share of the range of the outputs."""


@pytest.mark.parametrize("device", SLOW_DEVICES)
def test_a_network_trained_on_a_device_leaves_it_as_onnx(device: str, tmp_path: Path) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    import onnxruntime

    from hrnet_search.net.onnx_model import IMAGES, LOGITS, to_onnx

    one = task(device, tmp_path)
    assert result_of(one).status == COMPLETED
    network = build(one.architecture, one.schedule.data.classes)
    load_weights(network, tmp_path / "weights" / f"{one.key}.safetensors")
    model = to_onnx(network, (64, 96), 2)  # an open size takes twice as long to write
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=providers)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    (found,) = session.run([LOGITS], {IMAGES: images.numpy()})
    set_fp32(FP32)
    try:
        with torch.inference_mode():
            expected = network.eval().to(device)(images.to(device)).cpu()
    finally:
        set_fp32("tf32")
    gap = (torch.from_numpy(found) - expected).abs().max()
    assert float(gap / (expected.max() - expected.min())) < TOLERANCE
