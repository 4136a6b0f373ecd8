"""Masks become class ids as in the HRNet library's readers, or are refused by what they hold."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data.decode import read_mask
from hrnet_search.data.labels import labels_of, meaning_of
from hrnet_search.errors import DataError
from hrnet_search.records.data_spec import IGNORED, MAX_PIXELS, DataSpec

LABELS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
RED, GREEN, BLACK, WHITE = [200, 10, 10], [10, 200, 10], [0, 0, 0], [255, 255, 255]


def labels(path: Path, **options: Any) -> NDArray[np.uint8]:
    meaning = meaning_of(DataSpec("folder", **{"classes": 3, **options}))
    return labels_of(read_mask(path, "data.train", MAX_PIXELS), meaning, path, "data.train")


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        labels(path, **options)
    return str(caught.value).replace(str(path.parent) + "/", "")


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def coloured(rows: list[list[list[int]]]) -> Image.Image:
    return Image.fromarray(np.array(rows, dtype=np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif", ".pgm", ".webp"])
def test_grey_is_the_label_in_every_format(suffix: str, tmp_path: Path) -> None:
    """As cv2.imread(path, IMREAD_GRAYSCALE) reads them; WebP stores grey as RGB."""
    more = {"lossless": True} if suffix == ".webp" else {}
    path = saved(Image.fromarray(LABELS), tmp_path / f"m{suffix}", **more)
    assert np.array_equal(labels(path), LABELS)


@pytest.mark.parametrize("levels", [(0, 2), (1, 2), (0, 255), (1, 0)])
def test_a_grey_gif_is_read_by_its_levels(levels: tuple[int, int], tmp_path: Path) -> None:
    """As OpenCV 5.0 with IMREAD_GRAYSCALE; Pillow writes 0 and 2 as the indices 0 and 1.

    DRIVE's masks have the indices 0 and 1 for black and white, which `mapping` names 0 and 255.
    """
    stored = np.array([levels, levels], dtype=np.uint8)
    path = saved(Image.fromarray(stored), tmp_path / "m.gif")
    assert np.array_equal(labels(path), stored)
    mapping = ((0, 0), (1, 1), (2, 2), (255, 1))
    expected = [1 if level == 255 else level for level in levels]
    assert labels(path, mapping=mapping)[0].tolist() == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_equal_channels_are_grey(mode: str, tmp_path: Path) -> None:
    """As cv2.imread(path, IMREAD_GRAYSCALE) reads them: equal channels stay what they are."""
    path = saved(Image.fromarray(LABELS).convert(mode), tmp_path / "m.png")
    assert np.array_equal(labels(path), LABELS)
    assert "m.png holds label 2, allowed: 0, 1, 255" in refusal(path, classes=2)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".gif", ".bmp"])
def test_a_palette_is_read_by_its_indices(suffix: str, tmp_path: Path) -> None:
    """As Image.open(path).convert("P") of the library's ADE20K and COCO-Stuff readers."""
    image = Image.fromarray(LABELS).convert("P")
    image.putpalette([*BLACK, *RED, *GREEN])
    assert np.array_equal(labels(saved(image, tmp_path / f"m{suffix}")), LABELS)


def test_the_first_frame_of_a_gif_is_the_mask(tmp_path: Path) -> None:
    image, other = (Image.fromarray(a).convert("P") for a in (LABELS, LABELS[::-1]))
    for frame in (image, other):
        frame.putpalette([*BLACK, *RED, *GREEN])
    path = saved(image, tmp_path / "m.gif", save_all=True, append_images=[other])
    assert np.array_equal(labels(path), LABELS)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit_is_0_and_255(suffix: str, tmp_path: Path) -> None:
    """As both ways of the library's readers give it: IMREAD_GRAYSCALE and convert("P").

    Programs that make PNG files smaller store masks of 0 and 255 so, and change no pixel by it.
    """
    path = saved(Image.fromarray(LABELS > 0), tmp_path / f"m{suffix}")
    assert labels(path)[0].tolist() == [0, IGNORED, IGNORED]
    assert labels(path, mapping=((0, 0), (255, 1)))[0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "CMYK"])
def test_a_mask_of_other_than_8_bits_is_refused_by_name(mode: str, tmp_path: Path) -> None:
    """IMREAD_GRAYSCALE keeps the high byte of 16 bits, convert("P") cuts them off at 255."""
    path = saved(Image.new(mode, (3, 2)), tmp_path / "m.tif")
    assert f"m.tif is a mask of mode {mode}, allowed: one channel of 8 bits" in refusal(path)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_with_transparent_pixels_is_refused(mode: str, tmp_path: Path) -> None:
    """What is stored below them is not a label that anybody drew."""
    image = Image.fromarray(LABELS).convert(mode)
    image.putalpha(Image.fromarray(np.array([[255, 0, 255], [128, 255, 255]], dtype=np.uint8)))
    assert "m.png is a mask with 2 transparent pixels" in refusal(saved(image, tmp_path / "m.png"))


def palette_of(used: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(used).convert("P")
    image.putpalette([200, 10, 10, 10, 200, 10, 0, 0, 0, 9, 9, 9])
    return image


def grey_of_few_bits(path: Path, bits: int, stored: int, clear: int) -> Path:
    """Write a PNG of two pixels in the first byte of a row, as its specification has it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    row = zlib.compress(bytes([0, stored]))
    chunks = (b"IHDR", header), (b"tRNS", struct.pack(">H", clear)), (b"IDAT", row), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks))
    return path


TRANSPARENT: list[tuple[str, Any, int]] = [
    ("L", 2, 2), ("L", 7, 0), ("RGB", (2, 2, 2), 2), ("RGB", (2, 2, 1), 0), ("P", 1, 2),
    ("P", 3, 0), ("P", bytes([255, 128, 255]), 2), ("P", bytes([255, 255, 255, 0]), 0),
    ("P", bytes([0, 0]), 4),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "clear", "count"), TRANSPARENT)
def test_a_value_of_a_mask_that_is_transparent_is_refused_where_it_is_used(
    mode: str, clear: Any, count: int, tmp_path: Path
) -> None:
    """PNG's tRNS; a palette may have transparent entries that no pixel has."""
    image = palette_of(LABELS) if mode == "P" else Image.fromarray(LABELS).convert(mode)
    path = saved(image, tmp_path / "m.png", transparency=clear)
    if not count:
        assert np.array_equal(labels(path), LABELS)
        return
    assert f"m.png is a mask with {count} transparent pixels" in refusal(path)


def test_transparency_is_found_in_few_bits_and_in_gif(tmp_path: Path) -> None:
    path = grey_of_few_bits(tmp_path / "four.png", 4, 0x12, 2)
    assert "with 1 transparent pixels" in refusal(path)
    path = grey_of_few_bits(tmp_path / "four.png", 4, 0x12, 3)
    assert labels(path, mapping=((17, 1), (34, 2))).tolist() == [[1, 2]]
    for clear, count in ((1, 1), (0, 1)):
        path = grey_of_few_bits(tmp_path / "one.png", 1, 0x40, clear)
        assert f"with {count} transparent pixels" in refusal(path)
    path = saved(palette_of(LABELS), tmp_path / "m.gif", transparency=1)
    assert "with 2 transparent pixels" in refusal(path)


def test_a_mask_in_colours_is_refused_with_its_colours_and_the_key(tmp_path: Path) -> None:
    path = saved(coloured([[RED, RED, RED], [BLACK, BLACK, GREEN]]), tmp_path / "m.png")
    assert refusal(path) == (
        "data.train: m.png is a mask in 3 colours: [200, 10, 10] (3 pixels), [0, 0, 0] (2 pixels), "
        "[10, 200, 10] (1 pixels), allowed: one number a pixel, or data.colors: {[R, G, B]: class}"
    )
    many = [[[level, 0, 9] for level in range(20)]]
    message = refusal(saved(coloured(many), tmp_path / "many.png"))
    assert "in 20 colours" in message
    assert message.count("pixels)") == 8
    assert ", and 12 more, allowed" in message


COLORS = ((tuple(BLACK), IGNORED), (tuple(RED), 1), (tuple(GREEN), 0), ((9, 9, 9), 1))


def test_colours_are_mapped_to_classes(tmp_path: Path) -> None:
    rows = [[RED, GREEN, BLACK], [[9, 9, 9], GREEN, GREEN]]
    expected = [[1, 0, IGNORED], [1, 0, 0]]
    image = coloured(rows)
    for name, mode in (("rgb.png", "RGB"), ("rgba.png", "RGBA"), ("rgb.bmp", "RGB")):
        path = saved(image.convert(mode), tmp_path / name)
        assert labels(path, colors=COLORS).tolist() == expected
    palette = image.quantize(4)
    for name in ("p.png", "p.gif"):
        path = saved(palette, tmp_path / name)
        assert labels(path, colors=COLORS).tolist() == expected


def test_grey_and_one_bit_have_colours_too(tmp_path: Path) -> None:
    colors = ((tuple(BLACK), 0), (tuple(WHITE), 1))
    for name, image in (("b.png", LABELS > 0), ("l.png", (LABELS > 0) * np.uint8(255))):
        path = saved(Image.fromarray(image), tmp_path / name)
        assert labels(path, colors=colors).tolist() == [[0, 1, 1], [1, 1, 0]]


def test_a_colour_without_a_class_is_a_fault_or_what_is_said_of_all_others(tmp_path: Path) -> None:
    rows = [[RED, [201, 10, 10], [255, 255, 255]], [GREEN, [255, 255, 255], GREEN]]
    path = saved(coloured(rows), tmp_path / "m.png")
    assert refusal(path, colors=COLORS) == (
        "data.train: m.png holds 2 colours without a class: [255, 255, 255] (2 pixels), "
        "[201, 10, 10] (1 pixels), allowed: colours in data.colors, or `other: ignore` there"
    )
    for other in (IGNORED, 2):
        found = labels(path, colors=(*COLORS, ((), other)))
        assert found.tolist() == [[1, other, other], [0, other, 0]]
