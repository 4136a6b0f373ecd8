"""A trained network judged in int8, by the runtime whose latency counts."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from hrnet_search import heartbeat
from hrnet_search.errors import LatencyError
from hrnet_search.evaluate.latency.runtimes import exported
from hrnet_search.evaluate.latency.runtimes.quantised import Images
from hrnet_search.evaluate.latency.runtimes.table import IN_INT8
from hrnet_search.evaluate.training import metrics
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.records.data_spec import DataSpec

CALIBRATION_IMAGES = 32
"""Training images from which a quantiser takes the ranges of values."""

Judged = Iterable[tuple[Tensor, Tensor, Sequence[int]]]


def confusions_int8(
    network: HighResolutionNet,
    runtime: str,
    data: DataSpec,
    calibration: Iterable[Tensor],
    validation: Judged,
) -> list[Tensor]:
    """Return a matrix [K, K] an image, truth in rows, of a network in int8 on the CPU.

    `calibration` are training images [1, 3, H, W], `validation` the images, labels and indices that
    the network itself was judged on. Raise LatencyError where it cannot be exported or quantised,
    or decides nothing.
    """
    plain = copy.deepcopy(network).cpu().float().eval()
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    shape = (1, 3, *data.size) if data.size else None
    content = exported.onnx_content(plain, shape)
    decide = IN_INT8[runtime](content, _arrays(calibration), torch.get_num_threads())
    aligned = network.architecture.align_corners
    found = []
    for images, labels, _ in validation:
        images, labels = images.cpu().float(), labels.cpu()
        for place in range(len(labels)):
            one = slice(place, place + 1)
            logits, truth = torch.from_numpy(decide(images[one].numpy())), labels[one]
            if not logits.isfinite().all():
                raise LatencyError("its scores in int8 are not finite")
            predicted = metrics.upsampled(logits, truth, aligned).argmax(dim=1)
            found.append(metrics.confusion(predicted, truth, data.classes))
            heartbeat.beat()
    return found


def miou_of(matrices: Sequence[Tensor]) -> float:
    """Return the mIoU over all images of their matrices."""
    return metrics.miou(torch.stack(list(matrices)).sum(dim=0))


def _arrays(batches: Iterable[Tensor]) -> Iterator[Images]:
    for images in batches:
        heartbeat.beat()
        yield images.cpu().float().contiguous().numpy()
