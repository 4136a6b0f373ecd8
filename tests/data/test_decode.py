"""Files become the pixels that OpenCV's imread gives.

What is expected here was compared with cv2.imread(path, cv2.IMREAD_COLOR) of OpenCV 4.10, 4.12 and
5.0, pixel by pixel. OpenCV is not a guest of the tests. WebP's flag is followed by 5.0 alone;
TIFF on its side (flags 5 to 8) is turned by 4.10, and an error of the two others.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data.dataset import open_dataset, preflight
from hrnet_search.data.decode import read_image, read_mask, read_size
from hrnet_search.errors import DataError
from hrnet_search.records.data_spec import MAX_PIXELS, DataSpec, Split

Array = NDArray[np.uint8]

# What the EXIF standard (CIPA DC-008, tag 0x0112) says that each flag asks for.
DISPLAYED: dict[int, Callable[[Array], Array]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}
LOSSLESS: dict[str, dict[str, Any]] = {
    ".webp": {"lossless": True},
    ".jpg": {"quality": 100, "subsampling": 0},
}
RNG = np.random.default_rng(0)
STORED = np.kron(RNG.integers(0, 256, (2, 3, 3)), np.ones((16, 16, 1))).astype(np.uint8)
"""Blocks of 16 pixels, 32 x 48, which JPEG keeps to a level or two."""


def pixels(path: Path) -> Array:
    image = np.array(read_image(path, "data", MAX_PIXELS))
    assert read_size(path, "data", MAX_PIXELS) == image.shape[:2]
    return image


def flagged(flag: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = flag
    return exif


@pytest.mark.parametrize("flag", range(10))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_images_are_turned_as_opencv_turns_them(suffix: str, flag: int, tmp_path: Path) -> None:
    """All eight flags; 0 and 9 are none."""
    path = tmp_path / f"a{suffix}"
    Image.fromarray(STORED).save(path, exif=flagged(flag), **LOSSLESS.get(suffix, {}))
    expected = DISPLAYED.get(flag, DISPLAYED[1])(STORED)
    found = pixels(path)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (3 if suffix == ".jpg" else 0)


def test_a_jpeg_of_two_pictures_is_turned_too(tmp_path: Path) -> None:
    """MPO, which telephones write under the name .jpg."""
    more = {"save_all": True, "append_images": [Image.fromarray(STORED)], **LOSSLESS[".jpg"]}
    Image.fromarray(STORED).save(tmp_path / "a.jpg", "MPO", exif=flagged(6), **more)
    expected = DISPLAYED[6](STORED)
    assert np.abs(pixels(tmp_path / "a.jpg").astype(int) - expected).max() <= 3


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".jp2"])
def test_what_opencv_does_not_turn_stays(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(STORED).save(path, exif=flagged(3))
    with Image.open(path) as image:
        assert np.array_equal(pixels(path), np.array(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
@pytest.mark.parametrize("flag", [5, 6, 7, 8])
def test_a_raw_tiff_on_its_side_is_whole(mode: str, flag: int, tmp_path: Path) -> None:
    """As OpenCV 4.10 reads it; Pillow mixes the rows up where it maps the file into memory."""
    grey = STORED[..., 0]
    image = Image.fromarray(grey).convert("RGB" if mode == "I;16" else mode)
    expected = DISPLAYED[flag](np.array(image.convert("RGB")))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) << 8)
    image.save(tmp_path / "a.tif", exif=flagged(flag))
    assert np.array_equal(pixels(tmp_path / "a.tif"), expected)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def write_png(
    path: Path, rows: NDArray[np.unsignedinteger], early: bytes = b"", late: bytes = b""
) -> None:
    """Write RGB or grey of 8 or 16 bits, with chunks before and behind the pixels."""
    depth, kind = 8 * rows.dtype.itemsize, 2 if rows.ndim == 3 else 0
    big = rows.astype(rows.dtype.newbyteorder(">"))
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in big))
    head = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head) + early + chunk(b"IDAT", content) + late + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def exif_block(order: str, kind: int, value: bytes, behind: bytes = b"\0\0\0\0") -> bytes:
    """Return EXIF with an orientation of TIFF's field type `kind`: 3 is short, 4 long."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1)
    return mark + struct.pack(f"{order}IH", 8, 1) + entry + value + behind


EXIF = exif_block(">", 3, b"\0\3\0\0")
RAW_PROFILE = b"\nexif\n" + str(len(EXIF)).encode() + b"\n" + EXIF.hex().encode() + b"\n"
XMP = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="3"/>'


@pytest.mark.parametrize(
    ("early", "late", "turned"),
    [
        (chunk(b"eXIf", EXIF), b"", True),
        (b"", chunk(b"eXIf", EXIF), True),
        (chunk(b"eXIf", exif_block("<", 3, b"\3\0\0\0")), b"", True),
        (chunk(b"eXIf", exif_block("<", 4, b"\3\0\0\0")), b"", True),
        (chunk(b"eXIf", exif_block(">", 4, b"\0\0\0\3")), b"", False),
        (chunk(b"eXIf", exif_block(">", 3, b"\0\3", b"")), b"", True),
        (chunk(b"eXIf", exif_block(">", 3, b"\0", b"")), b"", False),
        (chunk(b"eXIf", b"Exif\0\0" + EXIF), b"", False),
        (chunk(b"eXIf", b"MM\0*\0\0"), b"", False),
        (chunk(b"eXIf", b""), b"", False),
        (chunk(b"tEXt", b"Raw profile type exif\0" + RAW_PROFILE), b"", False),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), b"", False),
    ],
)
def test_the_flag_is_taken_from_where_opencv_takes_it(
    early: bytes, late: bytes, turned: bool, tmp_path: Path
) -> None:
    """From eXIf alone, before or behind the pixels, as a short; not from text or XMP."""
    write_png(tmp_path / "a.png", STORED, early, late)
    assert np.array_equal(pixels(tmp_path / "a.png"), STORED[::-1, ::-1] if turned else STORED)


def test_masks_keep_the_place_in_which_they_are_stored(tmp_path: Path) -> None:
    """As ADE20K's and COCO-Stuff's readers open them, with Pillow, which turns TIFF alone."""
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    stored = []
    for path in (tmp_path / "m.png", tmp_path / "m.tif"):
        Image.fromarray(labels).save(path, exif=flagged(6))
        stored.append(np.array(read_mask(path, "data", MAX_PIXELS)))
    assert np.array_equal(stored[0], labels)
    assert np.array_equal(stored[1], np.rot90(labels, -1))


def test_a_pair_fits_when_its_image_is_turned(tmp_path: Path) -> None:
    """Preflight, the sizes that a cache is laid out by, and the pixels agree."""
    for part, content, flag in (("images", STORED, 6), ("masks", STORED[..., 0] % 2, 1)):
        (tmp_path / part).mkdir()
        shown = content if part == "images" else DISPLAYED[6](content)
        image = Image.fromarray(np.ascontiguousarray(shown))
        image.save(tmp_path / part / "a.png", exif=flagged(flag))
    split = Split("images", "masks")
    spec = DataSpec("folder", 2, train=split, val=split, root=str(tmp_path))
    assert preflight(spec) == []
    dataset = open_dataset(spec, "train")
    found, mask = dataset[0]
    assert dataset.size(0) == found.shape[:2] == mask.shape == (48, 32)
    assert np.array_equal(found[..., 0] % 2, mask)


def deep(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    return RNG.integers(0, 1 << 16, shape, dtype=np.uint16)


def test_sixteen_bits_are_read_by_their_high_byte(tmp_path: Path) -> None:
    """As OpenCV reads PNG and TIFF without IMREAD_ANYDEPTH; Pillow cuts grey off at 255."""
    grey, colours = deep((4, 6)), deep((4, 6, 3))
    write_png(tmp_path / "colours.png", colours)
    assert np.array_equal(pixels(tmp_path / "colours.png"), colours >> 8)
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(grey).save(tmp_path / name)
        assert (pixels(tmp_path / name) == (grey >> 8)[..., None]).all()


def write_tiff(path: Path, rows: NDArray[np.uint16]) -> None:
    """Write RGB of 16 bits, which Pillow reads and does not write, as one strip."""
    height, width, channels = rows.shape
    bits_at = 8 + 2 + 8 * 12 + 4
    short, long = 3, 4
    tags = [
        (256, short, 1, width), (257, short, 1, height), (258, short, 3, bits_at),
        (262, short, 1, 2), (273, long, 1, bits_at + 6), (277, short, 1, channels),
        (278, short, 1, height), (279, long, 1, rows.nbytes),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0"
    path.write_bytes(head + struct.pack("<3H", 16, 16, 16) + rows.astype("<u2").tobytes())


def write_ppm(path: Path, rows: NDArray[np.uint16]) -> None:
    height, width, _ = rows.shape
    head = f"P6 # made up\n{width} {height}\n65535\n".encode()
    path.write_bytes(head + rows.astype(">u2").tobytes())


@pytest.mark.parametrize("write", [write_png, write_tiff, write_ppm])
def test_colours_of_sixteen_bits_are_no_mask(
    write: Callable[[Path, NDArray[np.uint16]], None], tmp_path: Path
) -> None:
    """Pillow keeps their high byte: ids below 256 would all be class 0."""
    path = tmp_path / "a"
    write(path, np.full((2, 3, 3), 5, dtype=np.uint16))
    assert np.array_equal(pixels(path), np.zeros((2, 3, 3)))
    wrong = "is a mask of 16 bits a channel, in several channels, allowed: masks of 8 bits"
    with pytest.raises(DataError, match=wrong):
        read_mask(path, "data", MAX_PIXELS)


def test_alpha_is_dropped_and_in_tiff_laid_over_black(tmp_path: Path) -> None:
    """PNG and WebP keep colours under alpha in OpenCV, libtiff's RGBA reader multiplies them."""
    stored = RNG.integers(0, 256, (4, 6, 4), dtype=np.uint8)
    for name in ("a.png", "a.webp", "a.tif"):
        Image.fromarray(stored).save(tmp_path / name, lossless=True, exact=True)
    colours, alpha = stored[..., :3], stored[..., 3:].astype(int)
    assert np.array_equal(pixels(tmp_path / "a.png"), colours)
    assert np.array_equal(pixels(tmp_path / "a.webp"), colours)
    assert np.array_equal(pixels(tmp_path / "a.tif"), (colours * alpha + 127) // 255)
    Image.fromarray(stored[..., :2], "LA").save(tmp_path / "grey.png")
    assert (pixels(tmp_path / "grey.png") == stored[..., :1]).all()


def test_a_palette_is_looked_up_whatever_is_transparent_in_it(tmp_path: Path) -> None:
    """Each entry may have an alpha (tRNS), which OpenCV drops and Pillow warns of."""
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    for transparency in (None, 0, bytes([0, 128, 255])):
        image.save(tmp_path / "p.png", transparency=transparency)
        assert pixels(tmp_path / "p.png")[:, 0].tolist() == [[200, 10, 10], [10, 10, 200]]


def test_one_bit_is_black_and_white_and_cmyk_is_mixed(tmp_path: Path) -> None:
    """CMYK by OpenCV's formula, K - C * K / 256 with K from 255 (white), to two levels."""
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "b.png")
    assert pixels(tmp_path / "b.png").tolist() == [[[0] * 3, [255] * 3]]
    inks = np.kron(RNG.integers(0, 256, (1, 3, 4)), np.ones((16, 16, 1))).astype(np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "c.tif")
    black = 255 - inks[..., 3:].astype(int)
    expected = black - (inks[..., :3] * black >> 8)
    assert np.abs(pixels(tmp_path / "c.tif") - expected).max() <= 2


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_of_many_frames_the_first_is_read(suffix: str, tmp_path: Path) -> None:
    """As OpenCV 5.0 does in all four, and 4.10 in those that it reads."""
    first, second = (np.full((4, 6, 3), level, dtype=np.uint8) for level in (50, 200))
    path, more = tmp_path / f"m{suffix}", LOSSLESS.get(suffix, {})
    frames = [Image.fromarray(second)]
    Image.fromarray(first).save(path, save_all=True, append_images=frames, **more)
    assert (pixels(path) == 50).all()


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_what_cannot_be_read_as_opencv_does_is_refused_by_name(mode: str, tmp_path: Path) -> None:
    """OpenCV refuses 32 bits as well, and computes RGB of LAB, which Pillow does not."""
    Image.new(mode, (6, 4)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=rf"a\.tif is an image of mode {mode}, allowed: 8 or 16"):
        read_image(tmp_path / "a.tif", "data", MAX_PIXELS)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """180 megapixels in 22 kB: Pillow refuses from 179 on and warns from 90 on."""
    rows = zlib.compress(bytes((1 + 15000 // 8) * 12000), 9)
    head = struct.pack(">IIBBBBB", 15000, 12000, 1, 0, 0, 0, 0)
    path = tmp_path / "large.png"
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def test_an_image_beyond_pillows_limit_is_read_without_a_warning(large: Path) -> None:
    """Pillow's own limit: Image.MAX_IMAGE_PIXELS; a warning would be an error in these tests."""
    assert read_size(large, "data", MAX_PIXELS) == (12000, 15000)
    assert read_mask(large, "data", MAX_PIXELS).size == (15000, 12000)


def test_an_image_beyond_the_limit_of_the_space_file_is_a_fault_before_it_is_decoded(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DataSpec("folder", 2, train=Split("i", "m"), val=Split("i", "m"), root=str(tmp_path))
    for part in ("i", "m"):
        (tmp_path / part).mkdir()
        shutil.copyfile(large, tmp_path / part / "a.png")
    Image.init()  # a plugin draws an image while it is imported
    monkeypatch.setattr(Image.Image, "load", None)
    (fault,) = preflight(replace(spec, max_pixels=179_999_999))
    assert "i/a.png is 15000 x 12000, 180000000 pixels (and 3 more" in str(fault)
    assert str(fault).endswith("allowed: at most data.max_pixels (179999999)")
