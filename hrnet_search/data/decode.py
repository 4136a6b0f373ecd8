"""One file becomes pixels: an image as OpenCV's imread reads it, a mask as it is stored.

The HRNet library reads images with `cv2.imread(path, cv2.IMREAD_COLOR)`, which follows the
orientation flag of EXIF. Its readers differ on masks (`lib/datasets/`): ADE20K's and COCO-Stuff's
use Pillow, which follows the flag of TIFF alone, Cityscapes' and LIP's OpenCV. A mask is drawn on
the image as it is displayed, so a flag that was copied into it says nothing: masks are read as
with Pillow, all but grey GIF.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from hrnet_search.errors import DataError, Fault, shown

VERSION = 2
"""Counts up with every change of what files become, so that nothing decoded before is used."""

# `data.max_pixels` stands in place of Pillow's own limit, which is below aerial images.
Image.MAX_IMAGE_PIXELS = None
# What Pillow warns of (a damaged tag, say) names no file and changes no pixel.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What each orientation flag of EXIF asks for; 1 and all other numbers ask for nothing."""

ORIENTATION = 0x0112
JPEG_EXIF = b"Exif\0\0"
"""What an EXIF block of a JPEG begins with, and of no other format."""

SIDEWAYS = (5, 6, 7, 8)
FLAGGED = ("JPEG", "MPO", "PNG", "WEBP")
"""Formats whose flag is followed; Pillow turns TIFF itself, and OpenCV no other."""

COLOUR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's names for what becomes RGB as in OpenCV, to a level or two of 255."""

PNG_DEPTH = 24
"""Where a PNG has the bits of a channel, as a byte."""

PPM_HEAD = 4096
"""Bytes that hold the head of a PPM, with comments: magic, width, height, largest value."""

WHOLE = "a whole image file"


def read_size(path: Path, key: str, most: int) -> tuple[int, int]:
    """Return (height, width) of an image after turning, from its header.

    Raise DataError with a fault of `key` for what cannot be read or has over `most` pixels.
    """
    with _opened(path, key, most) as image:
        width, height = image.size
        return (width, height) if _flag(image, path) in SIDEWAYS else (height, width)


def read_image(path: Path, key: str, most: int) -> Image.Image:
    """Return an image as RGB, turned by its flag; raise DataError as `read_size`."""
    with _opened(path, key, most) as image:
        image.load()
        if not (image.mode in COLOUR_MODES or image.mode.startswith("I;16")):
            allowed = "8 or 16 bits a channel, grey, RGB or CMYK"
            raise unusable(path, key, f"is an image of mode {image.mode}", allowed)
        colours, flag = _colours(image), _flag(image, path)
    return colours.transpose(TURNS[flag]) if flag in TURNS else colours


def pages_of(path: Path) -> int:
    """Return how many images of one size a file holds, of which the first alone is read.

    1 for what cannot be read, for previews and for overviews, which are smaller.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            count, first = getattr(image, "n_frames", 1), image.size
            if count > 1:
                image.seek(1)
            return count if image.size == first else 1
    except Exception:  # who reads it says what is wrong with it
        return 1


def read_mask(path: Path, key: str, most: int) -> Image.Image:
    """Return a mask as Pillow opens it, decoded, and a grey GIF as grey; raise as `read_size`.

    GIF stores grey as a palette, in which Pillow's writer numbers anew the levels that occur.
    Raise DataError too where a value that pixels have is transparent: it is no label that
    anybody drew; and for colours of 16 bits, of which Pillow keeps the high byte alone.
    """
    with _opened(path, key, most) as image:
        image.load()
        if len(image.getbands()) > 1 and _bits(image, path) == 16:
            wrong = "is a mask of 16 bits a channel, in several channels"
            raise unusable(path, key, wrong, "masks of 8 bits a channel")
        if clear := _clear_pixels(image, path):
            raise transparent(path, key, clear)
        return _colours(image).convert("L") if _is_grey_gif(image) else image


def unusable(path: Path, key: str, wrong: str, allowed: str) -> DataError:
    """Return the error that says what is wrong with a file."""
    return DataError(Fault(key, str(path), f"{shown(str(path), 300)} {wrong}", allowed))


def transparent(path: Path, key: str, clear: int) -> DataError:
    """Return the error that says how many pixels of a mask are transparent."""
    wrong = f"is a mask with {clear} transparent pixels"
    return unusable(path, key, wrong, "masks without transparency")


@contextmanager
def _opened(path: Path, key: str, most: int) -> Iterator[Image.Image]:
    """Open a file, and turn whatever its decoder raises in the body into an error that names it."""
    try:
        # A file, not a path: Pillow maps paths into memory, and takes the rows of a mapped TIFF
        # that lies on its side for those of the turned image.
        with path.open("rb") as file, Image.open(file) as image:
            if image.width * image.height > most:
                wrong = f"is {image.width} x {image.height}, {image.width * image.height} pixels"
                raise unusable(path, key, wrong, f"at most data.max_pixels ({most})")
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        wrong = "cannot be read (no format that Pillow knows)"
        raise unusable(path, key, wrong, WHOLE) from None
    except Exception as error:  # a broken file makes Pillow raise almost anything
        why = shown(str(error)) or type(error).__name__
        raise unusable(path, key, f"cannot be read ({why})", WHOLE) from error


def _clear_pixels(image: Image.Image, path: Path) -> int:
    """Return how many pixels have a value that the file says is transparent, wholly or in part.

    PNG says it of grey, of RGB and of each entry of a palette (tRNS), GIF of one entry.
    """
    clear = image.info.get("transparency")
    if clear is None:
        return 0
    if isinstance(clear, bytes):
        return sum(n for n, alpha in zip(image.histogram(), clear, strict=False) if alpha < 255)
    if image.mode == "RGB" and isinstance(clear, tuple):
        return int((np.asarray(image) == [_scaled(v, path) for v in clear]).all(axis=-1).sum())
    if image.mode in ("1", "L", "P") and isinstance(clear, int):
        value = _scaled(clear, path) if image.mode == "L" else clear
        return image.histogram()[value] if 0 <= value <= 255 else 0
    return 0


def _scaled(value: int, path: Path) -> int:
    """Return a value of a PNG as Pillow decodes its pixels, to 8 bits."""
    depth = _png_bits(path)
    return value >> 8 if depth == 16 else value * 255 // ((1 << depth) - 1)


def _bits(image: Image.Image, path: Path) -> int:
    """Return the bits of a channel as the file has them, where formats may have over 8."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))[0])
    if image.format == "PPM":
        with path.open("rb") as file:
            words = re.sub(rb"#[^\n]*", b"", file.read(PPM_HEAD)).split(maxsplit=4)
        return 16 if len(words) > 3 and words[3].isdigit() and int(words[3]) > 255 else 8
    return _png_bits(path) if image.format == "PNG" else 8


def _png_bits(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(PNG_DEPTH + 1)[PNG_DEPTH]


def _is_grey_gif(image: Image.Image) -> bool:
    levels = np.array(image.getpalette("RGB") or []).reshape(-1, 3)
    return image.format == "GIF" and bool((levels == levels[:, :1]).all())


def _colours(image: Image.Image) -> Image.Image:
    """Return RGB: palettes looked up, alpha dropped, 16 bits by their high byte."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "RGBA" and isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))
        return _on_black(image) if bits[0] == 8 else image.convert("RGB")
    image.info.pop("transparency", None)  # of a palette: Pillow warns that RGB cannot keep it
    return image.convert("RGB")


def _on_black(image: Image.Image) -> Image.Image:
    """Return RGBA over black, as libtiff (TIFFReadRGBAImage), which OpenCV uses, lays it."""
    stored = np.asarray(image).astype(np.uint16)
    laid = (stored[..., :3] * stored[..., 3:] + 127) // 255
    return Image.fromarray(laid.astype(np.uint8))


def _flag(image: Image.Image, path: Path) -> int:
    """Return the orientation flag that OpenCV follows.

    Not Pillow's `getexif`, which takes the flag from XMP and from text chunks too.
    """
    if image.format not in FLAGGED:
        return 1
    exif = _png_exif(path) if image.format == "PNG" else image.info.get("exif", b"")
    return _orientation(exif.removeprefix(JPEG_EXIF) if image.format in ("JPEG", "MPO") else exif)


def _orientation(exif: bytes) -> int:
    """Return the flag in the first directory of an EXIF block, which is laid out as a TIFF.

    1 without one, and where the block is damaged before it.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], "")
    if not order:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(f"{order}H", exif, entry) == (ORIENTATION,):
                return int(struct.unpack_from(f"{order}H", exif, entry + 8)[0])
    except struct.error:  # it ends too early
        pass
    return 1


def _png_exif(path: Path) -> bytes:
    """Return the eXIf chunk of a PNG wherever it stands, empty without one.

    Pillow finds one behind the pixels only by decoding them.
    """
    with path.open("rb") as file:
        file.seek(8)  # the signature
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return file.read(length)
            file.seek(length + 4, io.SEEK_CUR)  # its checksum too
    return b""
