"""Checkpoints come back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hrnet_search.errors import StorageLostError
from hrnet_search.evaluate.training.checkpoint import Checkpoints, UnusableCheckpointError


def saved(folder: Path) -> Path:
    Checkpoints(folder).save({"step": 3, "weights": torch.arange(1000.0), "iou": (0.5, 1.0)})
    (file,) = folder.iterdir()
    return file


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    saved(tmp_path / "a" / "key")
    content = Checkpoints(tmp_path / "a" / "key").load()
    assert content is not None
    assert (content["step"], content["iou"]) == (3, (0.5, 1.0))
    assert torch.equal(content["weights"], torch.arange(1000.0))


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").load() is None
    assert not Checkpoints(tmp_path / "none").whole()
    saved(tmp_path)
    assert Checkpoints(tmp_path).whole()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.999])
def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path, share: float) -> None:
    file = saved(tmp_path)
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 1
    file.write_bytes(content)
    for reader in (Checkpoints(tmp_path).load, Checkpoints(tmp_path).whole):
        with pytest.raises(UnusableCheckpointError, match="is damaged"):
            reader()


@pytest.mark.parametrize("length", [0, 3, 100, 4000])
def test_a_cut_file_is_noticed(tmp_path: Path, length: int) -> None:
    file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UnusableCheckpointError, match="is damaged"):
        Checkpoints(tmp_path).load()


def test_one_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """Who began anew would write over it."""
    saved(tmp_path).unlink()
    (tmp_path / "last.pt").mkdir()  # as unreadable as a disk that is away, also for root
    with pytest.raises(StorageLostError, match=r"last\.pt: cannot be read: Is a directory"):
        Checkpoints(tmp_path).load()


def test_a_failed_save_leaves_the_last_checkpoint_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StorageLostError, match=r"last\.pt: cannot be written: disk full"):
        Checkpoints(tmp_path).save({"step": 4})
    content = Checkpoints(tmp_path).load()
    assert content is not None
    assert content["step"] == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_one_is_due_when_the_time_has_passed_since_the_last(tmp_path: Path) -> None:
    now = [0.0]
    checkpoints = Checkpoints(tmp_path, every_s=120, clock=lambda: now[0])
    due = []
    for now[0] in (119.0, 120.0):
        due.append(checkpoints.due())
    checkpoints.save({})
    due.append(checkpoints.due())
    assert due == [False, True, False]


def test_removal_takes_the_folder_and_is_no_error_without_one(tmp_path: Path) -> None:
    saved(tmp_path / "key")
    for _ in range(2):
        Checkpoints(tmp_path / "key").remove()
    assert list(tmp_path.iterdir()) == []
