"""The interval over images covers, and is that of the official mIoU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_search.store.evaluations import miou_interval, read_confusions


def images(count: int, seed: int, spread: float = 0.1) -> NDArray[np.int64]:
    """Return confusion matrices [n, 2, 2] of images of 100 pixels, right by about 0.8."""
    rng = np.random.default_rng(seed)
    right = np.clip(rng.normal(0.8, spread, (count, 2)), 0, 1)
    hits = np.round(50 * right).astype(np.int64)
    found = np.zeros((count, 2, 2), dtype=np.int64)
    found[:, 0, 0], found[:, 0, 1] = hits[:, 0], 50 - hits[:, 0]
    found[:, 1, 1], found[:, 1, 0] = hits[:, 1], 50 - hits[:, 1]
    return found


def official(confusions: NDArray[np.int64]) -> float:
    total = confusions.sum(axis=0)
    hit = np.diagonal(total)
    return float((hit / np.maximum(total.sum(0) + total.sum(1) - hit, 1)).mean())


def test_equal_images_leave_no_doubt() -> None:
    same = np.repeat(images(1, 0), 20, axis=0)
    assert miou_interval(same) == pytest.approx((official(same),) * 2)
    assert miou_interval(same[:1]) == pytest.approx((official(same),) * 2)


def test_a_class_that_never_occurs_counts_as_zero() -> None:
    lone = np.zeros((4, 2, 2), dtype=np.uint8)
    lone[:, 0, 0] = 200  # more than a uint8 can add up
    assert miou_interval(lone) == (0.5, 0.5)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = official(images(200_000, 1))
    held = 0
    for seed in range(2, 202):
        low, high = miou_interval(images(40, seed), resamples=400)
        held += low <= truth <= high
    assert 0.89 <= held / 200 <= 0.985


def test_more_images_narrow_it() -> None:
    few, many = (np.diff(miou_interval(images(n, 5)))[0] for n in (20, 500))
    assert many < few / 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive"])
def test_an_evaluation_that_cannot_be_read_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert read_confusions(path) is None
    path.write_bytes(content)
    assert read_confusions(path) is None


def test_only_matrices_by_image_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, step=np.int64(3))
    assert read_confusions(path) is None
    np.savez_compressed(path, confusions=np.zeros((0, 2, 2), np.uint8))
    assert read_confusions(path) is None
    np.savez_compressed(path, confusions=images(3, 0))
    found = read_confusions(path)
    assert found is not None
    assert found.shape == (3, 2, 2)


def test_a_damaged_evaluation_is_none_or_what_was_written(tmp_path: Path) -> None:
    """Cut anywhere, or with a bit turned in any byte: the zip format's checksums tell."""
    path, arrays = tmp_path / "a.npz", {"confusions": images(3, 0).astype(np.uint8)}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    whole = path.read_bytes()
    damaged = [whole[:end] for end in range(len(whole))]
    damaged += [
        whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(len(whole))
    ]
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        found = read_confusions(path)
        refused += found is None
        assert found is None or np.array_equal(found, arrays["confusions"])
    assert refused > len(damaged) / 2
