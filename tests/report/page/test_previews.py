"""Previews are whole pictures in the page, of the same images for all, or nothing."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.data.palette import class_colour
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.report.page.previews import preview_rows, read_previews


def evaluation(path: Path, indices: tuple[int, ...] = (2, 5), **changes: object) -> Path:
    count = len(indices)
    truth = np.zeros((count, 6, 8), dtype=np.uint8)
    truth[:, 0] = IGNORED
    arrays = {
        "preview_images": np.full((count, 6, 8, 3), 90, dtype=np.uint8),
        "preview_truth": truth,
        "preview_predicted": np.full((count, 6, 8), 3, dtype=np.uint8),
        "preview_indices": np.array(indices),
        **changes,
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")


def test_a_row_has_the_image_its_truth_and_predictions(tmp_path: Path) -> None:
    files = {7: evaluation(tmp_path / "a.npz"), 9: evaluation(tmp_path / "b.npz")}
    members, rows = preview_rows(files)
    assert members == (7, 9)
    assert [row.index for row in rows] == [2, 5]
    assert picture(rows[0].image).size == (8, 6)
    assert picture(rows[0].image).getpixel((0, 0)) == (90, 90, 90)
    assert picture(rows[0].truth).getpixel((0, 0)) == (0, 0, 0)
    assert picture(rows[0].truth).getpixel((0, 1)) == class_colour(0)
    assert [picture(p).getpixel((4, 4)) for p in rows[0].predicted] == [class_colour(3)] * 2


def test_members_with_other_images_are_left_out(tmp_path: Path) -> None:
    files = {
        1: evaluation(tmp_path / "a.npz"),
        2: evaluation(tmp_path / "b.npz", (2, 6)),
        3: tmp_path / "missing.npz",
    }
    assert preview_rows(files)[0] == (1,)
    assert preview_rows({}) == ((), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"preview_truth": np.zeros((2, 6, 9), dtype=np.uint8)},
        {"preview_images": np.zeros((2, 6, 8, 3), dtype=np.float32)},
        {"preview_images": np.zeros((2, 6, 8, 4), dtype=np.uint8)},
        {"preview_indices": np.zeros(3)},
    ],
)
def test_arrays_that_do_not_fit_are_no_previews(tmp_path: Path, changes: dict[str, object]) -> None:
    assert read_previews(evaluation(tmp_path / "a.npz", **changes)) is None  # type: ignore[arg-type]


def test_classes_have_colours_of_their_own() -> None:
    assert len({class_colour(k) for k in range(48)}) == 48
