"""mIoU in int8 is that of the quantised file, by a plain loop over the validation images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from evaluate.latency.runtimes.made_up_files import at_once, convolution
from made_up import network as architecture_of
from torch import Tensor

from hrnet_search.errors import LatencyError
from hrnet_search.evaluate.latency.runtimes import exported
from hrnet_search.evaluate.latency.runtimes.quantised import quantised
from hrnet_search.evaluate.latency.runtimes.table import IN_INT8
from hrnet_search.evaluate.training.int8 import confusions_int8, miou_of
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.records.data_spec import DataSpec

__all__ = ["at_once"]
DATA = DataSpec("shapes", 3, size=(16, 24))


def images(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, 16, 24, generator=torch.Generator().manual_seed(seed))


def validation() -> Iterator[tuple[Tensor, Tensor, range]]:
    labels = torch.randint(0, 3, (3, 16, 24), generator=torch.Generator().manual_seed(3))
    labels[:, :2] = 255
    yield images(2, 1), labels[:2], range(2)
    yield images(1, 2), labels[2:], range(2, 3)


def miou_int8(network: HighResolutionNet, runtime: str, data: DataSpec, *images: Any) -> float:
    return miou_of(confusions_int8(network, runtime, data, *images))


def trained() -> HighResolutionNet:
    return build(architecture_of(4), 3)


def by_hand(network: HighResolutionNet, calibration: list[Tensor]) -> float:
    """Return the mean over classes of intersection over union, counted pixel by pixel."""
    content = quantised(
        convolution(network, (1, 3, 16, 24)), [part.numpy() for part in calibration]
    )
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    decided, truth = [], []
    for pixels, labels, _ in validation():
        for one, mask in zip(pixels, labels, strict=True):
            (logits,) = session.run(None, {"images": one[None].numpy()})
            decided.append(logits[0].argmax(axis=0)[mask.numpy() != 255])
            truth.append(mask.numpy()[mask.numpy() != 255])
    found, right = np.concatenate(decided), np.concatenate(truth)
    each = [
        np.sum((found == k) & (right == k)) / max(1, np.sum((found == k) | (right == k)))
        for k in range(3)
    ]
    return float(np.mean(each))


@pytest.mark.usefixtures("at_once")
def test_it_is_the_official_figure_of_the_quantised_file() -> None:
    network, calibration = trained().train(), [images(1, 4), images(1, 5)]
    found = miou_int8(network, "onnxruntime", DATA, calibration, validation())
    assert found == pytest.approx(by_hand(network, calibration))
    assert network.training
    assert found == miou_int8(network, "tensorrt", DATA, calibration, validation())


@pytest.mark.usefixtures("at_once")
def test_what_it_is_calibrated_on_counts() -> None:
    """Ranges of images that are a hundredth as bright: everything saturates."""
    network = trained()
    right = miou_int8(network, "onnxruntime", DATA, [images(1, 4)], validation())
    dark = miou_int8(network, "onnxruntime", DATA, [images(1, 4) / 100], validation())
    assert right != dark


@pytest.mark.usefixtures("at_once")
def test_images_that_differ_in_size_have_a_file_of_open_size() -> None:
    plain = DataSpec("folder", 3)
    calibration = [images(1, 4), images(1, 5)[..., :12]]
    assert 0 < miou_int8(trained(), "onnxruntime", plain, calibration, validation()) < 1


def test_what_cannot_be_exported_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "target_problems", lambda *_: ["it is over 2 GiB"])
    with pytest.raises(LatencyError, match="it cannot be exported as ONNX: it is over 2 GiB"):
        miou_int8(trained(), "onnxruntime", DATA, [images(1, 4)], validation())


@pytest.mark.slow
def test_scores_that_are_not_finite_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.full((1, 3, 4, 6), np.nan, np.float32)
    monkeypatch.setitem(IN_INT8, "onnxruntime", lambda *_: lambda _: nothing)
    with pytest.raises(LatencyError, match="its scores in int8 are not finite"):
        miou_int8(trained(), "onnxruntime", DATA, [images(1, 4)], validation())


@pytest.mark.bench
@pytest.mark.xdist_group("onnx")
def test_a_real_network_in_int8_decides_about_as_it_does_in_fp32() -> None:
    torch.manual_seed(0)
    network = trained().eval()
    labelled = []
    for pixels, _, indices in validation():
        with torch.inference_mode():
            logits = torch.nn.functional.interpolate(
                network(pixels), (16, 24), mode="bilinear", align_corners=False
            )
        labelled.append((pixels, logits.argmax(dim=1), indices))
    found = miou_int8(network, "onnxruntime", DATA, [images(1, 1)], labelled)
    assert found > 0.3  # of its own decisions in fp32, by weights that were not trained
