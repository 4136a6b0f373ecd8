"""A network as an ONNX model, held against the network in torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hrnet_search.net.hrnet import HighResolutionNet

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
IMAGES, LOGITS = "images", "logits"
OPEN = {0: "batch", 2: "height", 3: "width"}

TOLERANCE = 1e-3
"""Largest difference to torch that is accepted, as a share of the range of the outputs."""

SIZES = ((96, 128), (65, 97))
"""Where a file of open size is held against torch: one that halves evenly, one that does not."""

Shape = tuple[int, int, int, int]


def to_onnx(
    network: HighResolutionNet, size: tuple[int, int] | None = None, batch: int | None = None
) -> ModelProto:
    """Return a network as ONNX: `images` [N, 3, H, W] to `logits` [N, K, H/4, W/4].

    `size` (H, W) and `batch` are fixed where given, else open.
    """
    import onnx

    fixed = {} if batch is None else {0}
    fixed = {*fixed, *(() if size is None else (2, 3))}
    dynamic = {axis: name for axis, name in OPEN.items() if axis not in fixed}
    images = torch.zeros(batch or 2, 3, *(size or SIZES[0]))
    with _quietly():
        program = torch.onnx.export(
            network.eval(),
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGES],
            output_names=[LOGITS],
            dynamic_shapes=(dynamic,) if dynamic else None,
            verbose=False,
        )
    assert program is not None, "the exporter that traces with torch.export returns a program"
    model: ModelProto = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces of this machine
    onnx.checker.check_model(model, full_check=True)
    return model


def checked_shapes(size: tuple[int, int] | None, batch: int | None) -> tuple[Shape, Shape]:
    """Return the two shapes of images at which a file is held against torch."""
    first, second = (size, size) if size else SIZES
    return (batch or 1, 3, *first), (batch or 2, 3, *second)


def largest_difference(
    content: bytes, network: HighResolutionNet, shapes: Sequence[Shape], seed: int = 0
) -> float:
    """Return the largest difference of onnxruntime to torch, as a share of torch's output range.

    On random images of every shape in `shapes`; infinite where a number is not finite.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(seed)
    largest = 0.0
    for shape in shapes:
        images = torch.randn(shape, generator=generator)
        with torch.inference_mode():
            expected = network.eval()(images)
        (found,) = session.run([LOGITS], {IMAGES: images.numpy()})
        gap = (torch.from_numpy(found) - expected).abs().max()
        share = float(gap / (expected.max() - expected.min()).clamp(min=1e-30))
        largest = max(largest, share) if torch.isfinite(gap) else float("inf")
    return largest


def difference_problem(share: float) -> str:
    """Return why a difference is too large, empty if it is not."""
    if share <= TOLERANCE:
        return ""
    return (
        f"onnxruntime differs from torch by {share:.2g} of the output range,"
        f" over the {TOLERANCE:g} that is allowed"
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back what the exporter says of libraries that are not needed here."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level: Any = logger.level
    logger.setLevel(logging.ERROR)  # "torchvision is not installed", four times
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # torch's own use
            yield
    finally:
        logger.setLevel(level)
