"""Damaged images and masks: `check` names the file, or training reads what it has looked at."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from fuzz.mutations import damaged
from fuzz.oracle import answer, fuzz, one_line
from hypothesis import strategies as st
from PIL import Image

from hrnet_search.data.dataset import open_dataset
from hrnet_search.errors import DataError
from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[2]
CLASSES = 3
SPACE = f"""\
name: damaged-images
base: {ROOT}/configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary: {{width: [8, 12]}}
objectives: {{miou: max, macs: min}}
data:
  kind: folder
  root: data
  classes: {CLASSES}
  train: {{images: train, masks: train_masks}}
  val: {{images: val, masks: val_masks}}
schedule: {{steps: 4, batch: 2, crop: [32, 32]}}
"""
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F")
FROM_GREY = ("LA", "PA", "I;16")
"""Modes to which Pillow converts grey pictures alone."""

Case = tuple[str, bytes]


def pixels(seed: int, image: bool) -> Image.Image:
    rng = np.random.default_rng(seed)
    if image:
        return Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    return Image.fromarray(rng.integers(0, CLASSES, (40, 48), dtype=np.uint8))


def encoded(picture: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def files() -> dict[str, bytes]:
    """Return a small data set: paths below its root, and what they hold."""
    found = {}
    for number, split in enumerate(("train", "train", "train", "val", "val")):
        form = "JPEG" if number % 2 else "PNG"
        suffix = {"JPEG": "jpg", "PNG": "png"}[form]
        found[f"{split}/{number}.{suffix}"] = encoded(pixels(number, image=True), form)
        found[f"{split}_masks/{number}.png"] = encoded(pixels(number, image=False), "PNG")
    return found


WHOLE = files()


def bomb() -> bytes:
    """Return a small PNG that says that it has 3.6 G pixels."""
    content = bytearray(encoded(pixels(0, image=False), "PNG"))
    content[16:24] = 2 * (60_000).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


OTHERS = {
    "text": b"<html>404</html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "nothing": b"",
    "zeros": b"\0" * 999,
    "a bomb": bomb(),
}


@st.composite
def rewritten(draw: st.DrawFn) -> bytes:
    """Draw what other programs write under such a name: other modes, sizes, formats, no image."""
    kind = draw(st.sampled_from(("picture",) * 9 + tuple(OTHERS)))
    if kind in OTHERS:
        return OTHERS[kind]
    size = draw(st.sampled_from(((48, 40), (48, 40), (48, 40), (1, 1), (7, 99))))
    picture = pixels(draw(st.integers(0, 9)), draw(st.booleans())).resize(size)
    mode, form = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS))
    try:
        return encoded(picture.convert("L" if mode in FROM_GREY else "RGB").convert(mode), form)
    except (OSError, ValueError):  # the format has no such mode
        return encoded(picture, form)


CASES: st.SearchStrategy[Case] = st.sampled_from(sorted(WHOLE)).flatmap(
    lambda name: st.tuples(st.just(name), damaged(WHOLE[name]) | rewritten())
)


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.bench)])
def test_a_damaged_image_is_named_or_can_be_trained_on(tmp_path: Path, count: int) -> None:
    space, codes = tmp_path / "space.yaml", []
    space.write_text(SPACE)
    for name, content in WHOLE.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)

    def look(case: Case) -> None:
        name, content = case
        path = tmp_path / "data" / name
        path.write_bytes(content)
        said = answer(["check", str(space)], most_s=10)
        codes.append(said.code)
        assert said.code in (0, 2)
        if said.code:
            assert path.stem in said.err, said.err
        else:
            assert not refused_by_training(space)
        path.write_bytes(WHOLE[name])

    fuzz(count, CASES, look)
    print(f"{len(codes):,} images: {codes.count(0):,} read, {codes.count(2):,} refused")
    assert 0 < codes.count(0) < len(codes)


def refused_by_training(space: Path) -> bool:
    """Read all images and masks as training does; return whether one of them is refused."""
    data = load_space_file(space).schedule.data
    try:
        for split in ("train", "val"):
            dataset = open_dataset(data, split)
            for index in range(len(dataset)):
                image, mask = dataset[index]
                assert image.dtype == mask.dtype == np.uint8
                assert image.shape == (*mask.shape, 3)
                assert set(np.unique(mask)) <= {*range(CLASSES), 255}
    except DataError as error:
        one_line(error)
        return True
    return False
