"""shapes: images drawn from a seed, made so that architectures differ on them.

Lines two pixels thin need resolution, textures of equal mean colour need depth, and frames whose
inside looks like the ground, or discs that only their place tells apart, need context.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_search.data.contents import Contents
from hrnet_search.errors import DataError, Fault
from hrnet_search.inventory import Inventory, SplitInventory
from hrnet_search.presets import SHAPES
from hrnet_search.records.data_spec import DataSpec

VERSION = 1
"""Counts up with every change of the images, so that fingerprints change too."""

DEFAULT_SIZE = (128, 128)
MIN_SIDE = 32
GROUND, LINE, STRIPES, CHECKS, WARM, COLD, DISC, FRAMED = range(8)

Image = NDArray[np.float32]
Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are outside."""


class Shapes:
    """One split; image `index` depends on (seed, split, index, size, classes) alone."""

    def __init__(self, spec: DataSpec, split: str) -> None:
        if faults := preflight(spec):
            raise DataError(faults)
        self._spec = spec
        self._count = spec.train_images if split == "train" else spec.val_images
        self._size = spec.size or DEFAULT_SIZE
        self._classes, self._seed, self._split = spec.classes, spec.seed, split

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = np.random.default_rng([self._seed, ("train", "val").index(self._split), index])
        return _Canvas(rng, self._size, self._classes).paint()

    def name(self, index: int) -> str:
        return f"{self._split}-{index:05d}"

    def size(self, index: int) -> tuple[int, int]:  # noqa: ARG002  all have one size
        return self._size

    @property
    def key(self) -> str:
        return f"{self._split}-{self.stamp()[:12]}"

    def stamp(self) -> str:
        return hashlib.sha256(repr(identity(self._spec)).encode()).hexdigest()


def preflight(spec: DataSpec) -> list[Fault]:
    """Return every option that cannot be drawn."""
    height, width = spec.size or DEFAULT_SIZE
    checks = (
        ("classes", spec.classes, 2 <= spec.classes <= len(SHAPES), f"2 to {len(SHAPES)}"),
        ("size", [height, width], min(height, width) >= MIN_SIDE, f"sides from {MIN_SIDE} pixels"),
        ("train_images", spec.train_images, spec.train_images > 0, "at least 1"),
        ("val_images", spec.val_images, spec.val_images > 0, "at least 1"),
        ("seed", spec.seed, spec.seed >= 0, "at least 0"),
    )
    return [
        Fault(f"data.{key}", value, f"{value} cannot be drawn", f"{allowed}")
        for key, value, good, allowed in checks
        if not good
    ]


def inspect(spec: DataSpec, _splits: Sequence[str] = ()) -> tuple[Inventory, list[Fault]]:
    """Return how many images are drawn, and every option that cannot be."""
    train, val = (SplitInventory(count, count) for count in (spec.train_images, spec.val_images))
    return Inventory(train, val), preflight(spec)


def identity(spec: DataSpec) -> object:
    """Return the options that decide the images, and the version of this file."""
    size = spec.size or DEFAULT_SIZE
    options = (VERSION, spec.classes, *size, spec.train_images, spec.val_images, spec.seed)
    return ("shapes", *options)


def contents(_spec: DataSpec, _splits: Sequence[str] = ()) -> Contents:
    """Return that no file is read."""
    return ()


class _Canvas:
    """One image while it is drawn; later objects cover earlier ones."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], classes: int) -> None:
        self.rng, self.size, self.classes = rng, size, classes
        self.unit = min(size) / 64
        self.image: Image = _cloud(rng, size)
        self.mask: Mask = np.zeros(size, dtype=np.uint8)

    def paint(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        rng = self.rng
        for _ in range(rng.integers(1, 3)):
            self._frame()
        for _ in range(rng.integers(1, 4)):
            self._texture()
        for _ in range(rng.integers(3, 7)):
            self._disc()
        for _ in range(rng.integers(1, 4)):
            self._line()
        return self._photograph(), self.mask

    def _frame(self) -> None:
        """Draw a border whose colour shows on a part of it only; inside, the ground goes on."""
        top, left, bottom, right = box = self._box(26, 50)
        kind = int(self.rng.integers(WARM, COLD + 1))
        if kind >= self.classes:
            return
        patch = self.image[top:bottom, left:right]
        patch[_border(patch.shape[:2], 2)] = 40
        height, width = patch.shape[:2]
        colour = (230, 70, 40) if kind == WARM else (40, 90, 230)
        side = int(self.rng.integers(4))
        bar = (slice(0, 5), slice(-5, None))[side % 2]
        if side < 2:
            patch[bar, width // 8 : -(width // 8)] = colour
        else:
            patch[height // 8 : -(height // 8), bar] = colour
        self._label(box, np.ones((height, width), dtype=bool), kind)

    def _texture(self) -> None:
        """Draw an ellipse of stripes or checks around the colour that is there."""
        box = self._box(14, 36)
        kind = int(self.rng.integers(STRIPES, CHECKS + 1))
        if kind >= self.classes:
            return
        y, x = _grid(box)
        period, turn = self.rng.uniform(5, 8), self.rng.uniform(0, np.pi)
        along = np.sin((np.cos(turn) * x + np.sin(turn) * y) * np.float32(2 * np.pi / period))
        across = np.sin((np.cos(turn) * y - np.sin(turn) * x) * np.float32(2 * np.pi / period))
        # The same contrast for both, so that brightness tells nothing.
        wave = along if kind == STRIPES else np.sqrt(2) * along * across
        inside = _ellipse(box)
        self._patch(box)[inside] += (60 * wave[inside])[:, None]
        self._label(box, inside, kind)

    def _disc(self) -> None:
        """Draw a disc; its class is whether it lies on a frame's inside."""
        box = self._box(7, 18, square=True)
        y, x = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
        framed = self.mask[y, x] in (WARM, COLD)
        kind = FRAMED if framed else DISC
        if kind >= self.classes:
            return
        inside = _ellipse(box)
        self._patch(box)[inside] = self.rng.choice([50, 210], 3)
        self._label(box, inside, kind)

    def _line(self) -> None:
        """Draw a straight line two pixels thin, across a good part of the image."""
        if self.classes <= LINE:
            return
        height, width = self.size
        middle = self.rng.uniform(0.2, 0.8, 2) * self.size
        turn, half = self.rng.uniform(0, np.pi), self.rng.uniform(0.3, 0.7) * min(self.size)
        y, x = _grid((0, 0, height, width))
        y, x = y - np.float32(middle[0]), x - np.float32(middle[1])
        along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        inside = (np.abs(across) < 1) & (np.abs(along) < half)
        self.image[inside] += self.rng.choice([-110, 110])
        self.mask[inside] = LINE

    def _photograph(self) -> NDArray[np.uint8]:
        """Return the image under some light, with noise."""
        rng = self.rng
        image = self.image * rng.uniform(0.85, 1.15, 3).astype(np.float32)
        image += np.float32(rng.uniform(-20, 20))
        image += np.float32(rng.uniform(2, 7)) * rng.standard_normal(image.shape, dtype=np.float32)
        return np.clip(image, 0, 255).astype(np.uint8)

    def _box(self, low: float, high: float, square: bool = False) -> Box:
        """Return a box with sides log-uniform from `low` to `high` 64ths of the short side."""
        logs = self.rng.uniform(np.log(low), np.log(high), 2)
        height, width = (int(side) for side in np.exp(logs) * self.unit)
        if square:
            height = width
        top = int(self.rng.integers(0, self.size[0] - height + 1))
        left = int(self.rng.integers(0, self.size[1] - width + 1))
        return top, left, top + height, left + width

    def _patch(self, box: Box) -> Image:
        return self.image[box[0] : box[2], box[1] : box[3]]

    def _label(self, box: Box, inside: NDArray[np.bool_], kind: int) -> None:
        self.mask[box[0] : box[2], box[1] : box[3]][inside] = kind


def _cloud(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Return soft colours, float32 [H, W, 3]: a coarse grid of them, interpolated."""
    cells = 4
    coarse = rng.uniform(110, 150, (cells + 1, cells + 1, 3)).astype(np.float32)
    for axis, length in enumerate(size):
        place = np.linspace(0, cells, length, endpoint=False, dtype=np.float32)
        low = place.astype(np.intp)
        part = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        below, above = coarse.take(low, axis), coarse.take(low + 1, axis)
        coarse = below + (above - below) * part
    return coarse


def _grid(box: Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    top, left, bottom, right = box
    y, x = np.ogrid[top:bottom, left:right]
    return y.astype(np.float32), x.astype(np.float32)


def _ellipse(box: Box) -> NDArray[np.bool_]:
    height, width = box[2] - box[0], box[3] - box[1]
    y, x = _grid((0, 0, height, width))
    inside: NDArray[np.bool_] = ((2 * y + 1) / height - 1) ** 2 + (
        (2 * x + 1) / width - 1
    ) ** 2 <= 1
    return inside


def _border(shape: tuple[int, ...], thick: int) -> NDArray[np.bool_]:
    border = np.ones(shape, dtype=bool)
    border[thick:-thick, thick:-thick] = False
    return border
