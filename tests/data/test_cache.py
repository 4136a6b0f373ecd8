"""Decoded images are kept once, whole or not at all, whoever builds them and whatever breaks."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import miniature
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data import decode
from hrnet_search.data.cache import ReplacedError, Unkept, decoded_bytes, open_cache
from hrnet_search.data.dataset import Array, Dataset, fingerprint, open_dataset
from hrnet_search.data.decoded import Decoded, decode_all
from hrnet_search.errors import DataError
from hrnet_search.records.data_spec import DataSpec

LIMIT = 10**8
SIZES = ((6, 8), (3, 5), (1, 1), (40, 2))
HEADER = 4096


class Counting:
    """Images of given sizes, and how often one was decoded."""

    def __init__(self, sizes: tuple[tuple[int, int], ...] = SIZES, stamp: str = "0") -> None:
        self.sizes, self.mark, self.decoded = sizes, stamp, 0

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        self.decoded += 1
        rng = np.random.default_rng(index)
        mask = rng.integers(0, 256, self.sizes[index], dtype=np.uint8)
        return rng.integers(0, 256, (*self.sizes[index], 3), dtype=np.uint8), mask

    def name(self, index: int) -> str:
        return f"image {index}"

    def size(self, index: int) -> tuple[int, int]:
        return self.sizes[index]

    @property
    def key(self) -> str:
        return "train-0123456789ab"

    def stamp(self) -> str:
        return self.mark.zfill(64)


def opened(dataset: Dataset, folder: Path, limit: int = LIMIT) -> Decoded:
    found = open_cache(dataset, folder, limit)
    assert isinstance(found, Decoded), found
    return found


def refused(dataset: Dataset, folder: Path, limit: int = LIMIT) -> str:
    found = open_cache(dataset, folder, limit)
    assert isinstance(found, Unkept)
    assert not list(folder.glob("*.images"))
    assert not list(folder.glob("*.tmp"))
    return found.reason


def arrays(decoded: Decoded, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return decoded.image(index).transpose(1, 2, 0), decoded.mask(index)


def assert_holds(decoded: Decoded, dataset: Dataset) -> None:
    assert len(decoded) == len(dataset)
    for index in range(len(dataset)):
        for kept, fresh in zip(arrays(decoded, index), dataset[index], strict=True):
            assert np.array_equal(kept, fresh)


def path_of(folder: Path) -> Path:
    (path,) = folder.glob("*.images")
    return path


def test_what_is_kept_is_what_was_decoded(tmp_path: Path) -> None:
    assert_holds(opened(Counting(), tmp_path), Counting())
    assert_holds(decode_all(Counting()), Counting())
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["lock", "train-0123456789ab.images"]


def test_a_cache_that_is_there_is_not_decoded_again(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    opened(first, tmp_path)
    assert_holds(opened(second, tmp_path), Counting())
    assert (first.decoded, second.decoded) == (4, 0)


def test_an_empty_split_needs_no_cache(tmp_path: Path) -> None:
    assert len(opened(Counting(()), tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


Damage = Callable[[Path], None]


def flip(place: int, bit: int = 1) -> Damage:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(place, 2 if place < 0 else 0)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ bit]))

    return damage


def cut(length: int) -> Damage:
    return lambda path: os.truncate(path, length)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES: dict[str, Damage] = {
    "cut to nothing": cut(0),
    "cut in the header": cut(100),
    "cut after the header": cut(HEADER),
    "cut by one byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "longer": longer,
    "another magic": flip(0),
    "another stamp": flip(40),
    "another count": flip(22 + 64),
    "a huge count": flip(22 + 64 + 7, 64),
    "another size": flip(22 + 64 + 8),
    "another checksum": flip(22 + 64 + 8 + 4 * 8),
    "another digest": flip(22 + 64 + 8 + 4 * 12),
    "a bit of an image": flip(HEADER),
    "a bit of a mask": flip(-1),
    "zeros": zeros,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_found_and_built_again(damage: Damage, tmp_path: Path) -> None:
    opened(Counting(), tmp_path)
    damage(path_of(tmp_path))
    again = Counting()
    assert_holds(opened(again, tmp_path), Counting())
    assert again.decoded == 4
    after = Counting()
    opened(after, tmp_path)
    assert after.decoded == 0


def flips_that_pass(folder: Path, count: int) -> list[int]:
    """Flip one bit at random places of header and images; return where nobody noticed."""
    opened(Counting(), folder)
    path = path_of(folder)
    whole = path.read_bytes()
    meant = 22 + 64 + 8 + 4 * 12 + 32  # what follows up to the page's end is never read
    places = [*range(meant), *range(HEADER, len(whole))]
    rng = random.Random(0)
    missed = []
    for _ in range(count):
        place = rng.choice(places)
        path.write_bytes(whole)
        flip(place, 1 << rng.randrange(8))(path)
        again = Counting()
        opened(again, folder)
        if not again.decoded:
            missed.append(place)
    return missed


def test_no_flipped_bit_is_missed(tmp_path: Path) -> None:
    assert flips_that_pass(tmp_path, 100) == []


@pytest.mark.bench
def test_no_flipped_bit_of_thousands_is_missed(tmp_path: Path) -> None:
    assert flips_that_pass(tmp_path, 5_000) == []


def test_changed_sources_are_decoded_again(tmp_path: Path) -> None:
    opened(Counting(), tmp_path)
    later = Counting(stamp="1")
    opened(later, tmp_path)
    assert later.decoded == 4
    assert len(list(tmp_path.glob("*.images"))) == 1


def test_a_source_that_was_touched_or_an_option_that_changed_is_noticed(tmp_path: Path) -> None:
    spec = miniature.make("camvid", tmp_path / "data")
    folder = tmp_path / "cache"
    opened(open_dataset(spec, "train"), folder)
    first = path_of(folder).stat().st_mtime_ns
    opened(open_dataset(spec, "train"), folder)
    assert path_of(folder).stat().st_mtime_ns == first
    image = tmp_path / "data/CamVid/train/0001TP_000001.png"
    Image.new("RGB", (64, 48), (1, 2, 3)).save(image)
    assert (arrays(opened(open_dataset(spec, "train"), folder), 1)[0] == (1, 2, 3)).all()
    small = opened(open_dataset(replace(spec, size=(6, 8)), "train"), folder)
    assert small.sizes[0] == (6, 8)
    assert len(list(folder.glob("*.images"))) == 2


def test_what_was_decoded_by_older_rules_is_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1 took images as they are stored, whatever their orientation flag asked for."""
    spec = miniature.make("camvid", tmp_path / "data")
    seen = {}
    for version in (1, decode.VERSION):
        monkeypatch.setattr(decode, "VERSION", version)
        dataset = open_dataset(spec, "train")
        opened(dataset, tmp_path / "cache")
        (path,) = (tmp_path / "cache").glob("*.images")  # the old one is replaced
        seen[version] = (path.name, path.stat().st_ino, dataset.stamp(), fingerprint(spec))
    (name, *old), (same, *new) = seen.values()
    assert name == same
    assert all(before != after for before, after in zip(old, new, strict=True))


def test_who_has_an_old_cache_open_keeps_it(tmp_path: Path) -> None:
    old = opened(Counting(), tmp_path)
    opened(Counting(stamp="1"), tmp_path)
    assert_holds(old, Counting())


IN_USE = ["cut to nothing", "cut after the header", "cut by one byte", "a bit of a mask", "zeros"]


@pytest.mark.parametrize("damage", IN_USE)
def test_a_file_that_is_damaged_while_it_is_read_is_named_once(damage: str, tmp_path: Path) -> None:
    """A mapped file that is cut ends the process by SIGBUS."""
    first, second = opened(Counting(), tmp_path), opened(Counting(), tmp_path)
    path = path_of(tmp_path)
    DAMAGES[damage](path)
    with pytest.raises(DataError) as caught:
        assert_holds(first, Counting())
    assert str(caught.value) == (
        f"{path}: was cut short or changed while trials read it, the next trial rebuilds it"
    )
    with pytest.raises(ReplacedError):
        assert_holds(second, Counting())
    assert_holds(opened(Counting(), tmp_path), Counting())
    with pytest.raises(ReplacedError):
        assert_holds(second, Counting())
    assert path.exists()


def test_a_file_that_is_touched_while_it_is_read_is_read_on(tmp_path: Path) -> None:
    """As those do whose scratch disks lose what is old."""
    kept = opened(Counting(), tmp_path)
    os.utime(path_of(tmp_path), (10**9, 10**9))
    assert_holds(kept, Counting())


def test_a_disk_that_fails_while_a_file_is_read_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    kept = opened(Counting(), tmp_path)
    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(OSError, match=r"Input/output error: '.*\.images'"):
        kept.image(0)


def test_the_limit_counts_all_caches_of_a_folder(tmp_path: Path) -> None:
    size = HEADER + 4 * sum(h * w for h, w in SIZES)
    other = tmp_path / "val-0.images"
    other.write_bytes(bytes(100))
    found = open_cache(Counting(), tmp_path, size + 99)
    assert isinstance(found, Unkept)
    assert found.reason == "decoded images take 4.77e-06 GB, data.cache allows 4.77e-06 GB"
    opened(Counting(), tmp_path, size + 100)
    other.unlink()
    assert isinstance(open_cache(Counting(), tmp_path, size - 1), Unkept)
    assert isinstance(open_cache(Counting(), tmp_path, 0), Unkept)


def test_a_disk_with_little_left_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1 << 30))
    assert "the disk has 1.07 GB left" in refused(Counting(), tmp_path)


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_disk_that_gets_full_leaves_nothing_behind(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        assert "No space left on device" in refused(Counting(), tmp_path)
    opened(Counting(), tmp_path)


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = open_cache(Counting(), tmp_path / "file" / "cache", LIMIT)
    assert isinstance(found, Unkept)
    assert "Not a directory" in found.reason


def test_a_corrupt_image_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spec = miniature.make("lip", tmp_path / "data")
    image = tmp_path / "data/lip/TrainVal_images/train_images/3_500.jpg"
    whole = image.read_bytes()
    image.write_bytes(whole[:300])
    folder = tmp_path / "cache"
    with pytest.raises(DataError, match=r"train_images/3_500\.jpg cannot be read"):
        open_cache(open_dataset(spec, "train"), folder, LIMIT)
    assert [p.name for p in folder.iterdir()] == ["lock"]
    image.write_bytes(whole)
    assert_holds(opened(open_dataset(spec, "train"), folder), open_dataset(spec, "train"))


def test_an_image_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    class Changing(Counting):
        def size(self, index: int) -> tuple[int, int]:
            return (7, 7) if index == 2 else super().size(index)

    with pytest.raises(DataError, match="image 2 changed while it was read"):
        open_cache(Changing(), tmp_path, LIMIT)


def test_the_bytes_of_both_splits_are_known_without_decoding(tmp_path: Path) -> None:
    spec = miniature.make("ade20k", tmp_path)
    assert decoded_bytes(spec) == 4 * 48 * 64 * 8
    assert decoded_bytes(replace(spec, size=(10, 10))) == 4 * 100 * 8
    assert decoded_bytes(DataSpec("shapes", 8, size=(32, 32), train_images=3, val_images=1)) == (
        4 * 32 * 32 * 4
    )


# A process that opens the cache of a data set once `go` is there, and prints what it decoded.
OPENER = """
import sys, time
from pathlib import Path
from hrnet_search.data import decode
from hrnet_search.data.cache import open_cache
from hrnet_search.data.decoded import Decoded
from hrnet_search.data.dataset import open_dataset
from hrnet_search.data.folder import Folder
from hrnet_search.presets import PRESETS
from dataclasses import replace

root, folder, pause = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
spec = replace(PRESETS["ade20k"].spec, root=root)
decode, decoded = Folder.__getitem__, []

def counted(self, index):
    decoded.append(index)
    time.sleep(pause)
    return decode(self, index)

Folder.__getitem__ = counted
dataset = open_dataset(spec, "train")
print("ready", flush=True)
while not (folder.parent / "go").exists():
    time.sleep(0.001)
found = open_cache(dataset, folder, 10**9)
assert isinstance(found, Decoded), found
total = sum(int(part(i).sum()) for i in range(len(found)) for part in (found.image, found.mask))
print(len(decoded), total, flush=True)
"""


def opener(data: Path, folder: Path, pause: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OPENER, str(data), str(folder), str(pause)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def answer(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.split()


@pytest.mark.slow
def test_four_processes_at_once_build_an_empty_cache_once(tmp_path: Path) -> None:
    spec = miniature.make("ade20k", tmp_path / "data")
    processes = [opener(tmp_path / "data", tmp_path / "cache", 0.05) for _ in range(4)]
    (tmp_path / "go").touch()
    answers = [answer(process) for process in processes]
    assert sorted(int(decoded) for decoded, _ in answers) == [0] * 3 + [5]
    expected = int(decode_all(open_dataset(spec, "train")).buffer.sum(dtype=np.uint64))
    assert {int(total) for _, total in answers} == {expected}
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {"", ".images"}


def test_a_builder_that_is_killed_leaves_its_place_to_who_waits(tmp_path: Path) -> None:
    spec = miniature.make("ade20k", tmp_path / "data")
    (tmp_path / "go").touch()
    with opener(tmp_path / "data", tmp_path / "cache", 30) as builder:
        while not list((tmp_path / "cache").glob("*.tmp")):
            time.sleep(0.01)
        with opener(tmp_path / "data", tmp_path / "cache", 0) as waiting:
            time.sleep(0.2)
            assert waiting.poll() is None
            builder.send_signal(signal.SIGKILL)
            assert answer(waiting)[0] == "5"
    assert_holds(
        opened(open_dataset(spec, "train"), tmp_path / "cache"), open_dataset(spec, "train")
    )
    assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {"", ".images"}
