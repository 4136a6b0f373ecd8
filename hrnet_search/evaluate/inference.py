"""Whole images, sliding windows, mirrors and scales, as the official test script has them.

Rules of `multi_scale_inference` and `inference` in `lib/datasets/base_dataset.py` and
`cityscapes.py` of the HRNet library, branch HRNet-OCR: exp of logits is what is added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_search.errors import Fault, InputError, WeightsError, one_line, shown
from hrnet_search.evaluate.machine.allocator import out_of_memory

Size = tuple[int, int]
Network = Callable[[Tensor], Tensor]
"""Images float32 [N, 3, H, W], normalised, to logits [N, K, h, w] of any size."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How an image is decided on; sizes are (height, width) in pixels.

    An image is decided on at each of `scales`, where 1 makes its longer side `long_side` pixels
    (0: as it is), whole or in windows of `window` every `stride` pixels; whole too up to the scale
    `whole_up_to`. A window at an edge is `shifted` back into the image, or padded with black.
    `flip` adds the mirror image of each.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: Size | None = None
    stride: Size | None = None
    long_side: int = 0
    whole_up_to: float = 0.0
    shifted: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether whole images are decided on once, as they are."""
        whole = self.window is None or self.whole_up_to >= 1
        return self.scales == (1.0,) and whole and not self.flip and not self.long_side

    @property
    def steps(self) -> Size:
        """From one window to the next: two thirds of it unless it is said."""
        assert self.window is not None, "asked for only where there are windows"
        return self.stride or (max(1, self.window[0] * 2 // 3), max(1, self.window[1] * 2 // 3))


class NotFiniteError(ArithmeticError):
    """Scores of an image are not finite: the largest of them would be the first class, always.

    `what` decided, `place` is which of the images that were given.
    """

    def __init__(self, what: str, place: int) -> None:
        super().__init__(f"{what}: scores of image {place} are not finite")
        self.what, self.place = what, place

    def of(self, image: str) -> WeightsError:
        """Return the error that a person is told, of an image by its name."""
        wrong = f"its scores are not finite for the image {shown(image, 300)}"
        return WeightsError(
            Fault("", self.what, wrong, "weights of a network that decides", self.what)
        )


IN_PARTS = "--window H W decides in parts, a smaller --batch on fewer images at once"


@contextmanager
def room_for(file: str, less: str = IN_PARTS) -> Iterator[None]:
    """Raise InputError where there is no memory for a file, with its name and what needs less."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        wrong = f"there is no memory for it: {one_line(error, 200)}"
        raise InputError(Fault("", file, wrong, file=file, instead=less)) from error


class Inference:
    """Decides on images by a protocol.

    `black` [3] is a black pixel after normalisation, `swaps` are the classes that trade places in
    a mirror, `what` names the network where it decides nothing.
    """

    def __init__(
        self,
        network: Network,
        protocol: Protocol,
        align_corners: bool,
        black: Tensor,
        swaps: Sequence[tuple[int, int]] = (),
        what: str = "the network",
    ) -> None:
        self._network, self._protocol, self._aligned = network, protocol, align_corners
        self._black, self._swaps, self._what = black.view(1, 3, 1, 1), swaps, what

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Return scores [N, K, H, W] of images [N, 3, H, W]: the largest one is the decision.

        Logits where images are decided on once, else sums of exp of logits. Raise NotFiniteError.
        """
        if self._protocol.is_plain:
            return self._logits(images)
        return self._finite(torch.stack(list(self._by_scale(images))).sum(dim=0))

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return the probabilities [N, K, H, W] that scores of images stand for, of any size."""
        if self._protocol.is_plain:
            return scores.softmax(dim=1)
        return scores / scores.sum(dim=1, keepdim=True)

    def _by_scale(self, images: Tensor) -> Iterator[Tensor]:
        size = _size(images)
        for scale in self._protocol.scales:
            target = resized(size, scale, self._protocol.long_side)
            scaled = _interpolated(images, target, aligned=False) if target != size else images
            whole = self._protocol.window is None or scale <= self._protocol.whole_up_to
            found = self._exp(scaled) if whole else self._in_windows(scaled)
            yield _interpolated(found, size, self._aligned)

    def _in_windows(self, image: Tensor) -> Tensor:
        protocol = self._protocol
        assert protocol.window is not None, "asked for only where there are windows"
        height, width = _size(image)
        if not protocol.shifted:
            image = self._padded(image)
        sums: Tensor | None = None
        counts = image.new_zeros((1, 1, *_size(image)), dtype=torch.float64)
        for rows, columns in _windows(_size(image), protocol):
            part = image[..., rows, columns]
            found = self._exp(part if protocol.shifted else self._padded(part))
            found = found[..., : _size(part)[0], : _size(part)[1]]
            if sums is None:
                sums = found.new_zeros((*found.shape[:2], *_size(image)))
            sums[..., rows, columns] += found
            counts[..., rows, columns] += 1
        assert sums is not None, "there is at least one window"
        return (sums / counts)[..., :height, :width]

    def _padded(self, image: Tensor) -> Tensor:
        """Return an image that is at least as large as a window, black at its bottom and right."""
        assert self._protocol.window is not None, "asked for only where there are windows"
        (height, width), window = _size(image), self._protocol.window
        if height >= window[0] and width >= window[1]:
            return image
        whole = self._black.to(image).expand(
            len(image), 3, max(height, window[0]), max(width, window[1])
        )
        whole = whole.clone()
        whole[..., :height, :width] = image
        return whole

    def _exp(self, images: Tensor) -> Tensor:
        """Return exp of logits, float64 for logits of any size, the mirror image's with them."""
        logits = self._logits(images)
        if self._protocol.flip:
            mirrored = images.flip(-1)
            back = self._logits(mirrored).flip(-1)
            logits = (logits + self._traded(back)) * 0.5
        return logits.double().exp()

    def _traded(self, logits: Tensor) -> Tensor:
        order = list(range(logits.shape[1]))
        for one, other in self._swaps:
            order[one], order[other] = other, one
        return logits[:, order] if self._swaps else logits

    def _logits(self, images: Tensor) -> Tensor:
        """Return logits at the size of the images; they are looked at while they are small."""
        return _interpolated(self._finite(self._network(images)), _size(images), self._aligned)

    def _finite(self, scores: Tensor) -> Tensor:
        if scores.isfinite().all():
            return scores
        place = next(n for n, one in enumerate(scores) if not one.isfinite().all())
        raise NotFiniteError(self._what, place)


def resized(size: Size, scale: float, long_side: int) -> Size:
    """Return the size of a scaled image, as the library rounds: the longer side first."""
    longer = max(size)
    target = int((long_side or longer) * scale + 0.5)
    height, width = (
        target if side == longer else int(side * target / longer + 0.5) for side in size
    )
    return max(1, height), max(1, width)


def _windows(size: Size, protocol: Protocol) -> Iterator[tuple[slice, slice]]:
    assert protocol.window is not None, "asked for only where there are windows"
    rows, columns = (
        list(_along(length, window, step, protocol.shifted))
        for length, window, step in zip(size, protocol.window, protocol.steps, strict=True)
    )
    yield from ((row, column) for row in rows for column in columns)


def _along(length: int, window: int, step: int, shifted: bool) -> Iterator[slice]:
    for number in range(max(0, math.ceil((length - window) / step)) + 1):
        end = min(number * step + window, length)
        yield slice(max(end - window, 0) if shifted else number * step, end)


def _interpolated(values: Tensor, size: Size, aligned: bool) -> Tensor:
    if _size(values) == size:
        return values
    return F.interpolate(values, size, mode="bilinear", align_corners=aligned)


def _size(values: Tensor) -> Size:
    return values.shape[-2], values.shape[-1]
