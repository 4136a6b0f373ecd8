"""Decoded images of a study on disk: built once, mapped into memory by every process that trains.

What is checked when: on opening, the length, the header (SHA-256), the stamp of the sources and
the CRC-32 of every image, which also brings the file into memory; afterwards nothing, since no
file is ever changed: a new one is written whole and renamed into its place, and whoever has the
old one mapped keeps it. What is damaged or out of date is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hrnet_search import heartbeat
from hrnet_search.data.dataset import SPLITS, Array, Dataset, open_dataset
from hrnet_search.errors import DataError, Fault, shown
from hrnet_search.records import DataSpec

SUFFIX = ".images"
MAGIC = b"hrnet-search images 1\n"
HEAD = struct.Struct(f"<{len(MAGIC)}s64sQ")
"""Magic, stamp of the sources, count of images; sizes, checksums and a digest follow."""

PAGE = 4096
BYTES_A_PIXEL = 4  # three colours and a class
LEFT_FREE = 1 << 30
"""Bytes of the disk that a cache never takes."""

Size = tuple[int, int]
T = TypeVar("T")


class Decoded:
    """Images uint8 [3, H, W] and masks uint8 [H, W], views of one buffer.

    The buffer holds all images, then all masks, without gaps: images of one size are one array.
    """

    def __init__(self, buffer: Array, sizes: Sequence[Size]) -> None:
        self.buffer, self.sizes = buffer, tuple(sizes)
        self._starts = _starts(self.sizes)
        assert buffer.size == BYTES_A_PIXEL * self._starts[-1], "a buffer of another size"

    def __len__(self) -> int:
        return len(self.sizes)

    def places(self, index: int) -> tuple[slice, slice]:
        """Return where in the buffer the image and the mask lie."""
        start, stop, pixels = self._starts[index], self._starts[index + 1], self._starts[-1]
        return slice(3 * start, 3 * stop), slice(3 * pixels + start, 3 * pixels + stop)


@dataclass(frozen=True, slots=True)
class Unkept:
    """Why decoded images are not kept; they are decoded on every access then."""

    reason: str


def decoded_bytes(spec: DataSpec) -> int:
    """Return what the decoded images of both splits take; raise DataError for bad data."""
    return sum(_bytes_of(_sizes(open_dataset(spec, split))) for split in SPLITS)


def decode_all(dataset: Dataset) -> Decoded:
    """Decode a split into memory."""
    sizes = _sizes(dataset)
    decoded = Decoded(np.empty(_bytes_of(sizes), dtype=np.uint8), sizes)

    def put(index: int) -> None:
        for place, part in zip(decoded.places(index), _parts(dataset, index, sizes), strict=True):
            decoded.buffer[place] = part

    _in_threads(put, len(sizes))
    return decoded


def open_cache(dataset: Dataset, folder: Path, limit: int) -> Decoded | Unkept:
    """Return a split's decoded images, mapped read-only from `folder`; build them if need be.

    One process builds, others wait for it; a builder that dies leaves its lock to the next.
    Unkept where all caches of the folder would take more than `limit` bytes, or more than the
    disk has. Raise DataError, naming the file, for what cannot be decoded.
    """
    if not len(dataset):
        return decode_all(dataset)  # nothing to keep, and whoever trains on it says so
    path, stamp = folder / (dataset.key + SUFFIX), dataset.stamp()
    before = _state(path)
    found = _read(path, stamp) if _allowed(path, limit) else None
    if found is not None:
        return found
    try:
        folder.mkdir(exist_ok=True)
        with _locked(folder / "lock"):
            if _state(path) == before and (refused := _build(dataset, path, stamp, limit)):
                return refused
    except OSError as error:
        return Unkept(f"{folder}: {error.strerror or error}")
    return _read(path, stamp) or Unkept(f"{path} cannot be read back")


def _build(dataset: Dataset, path: Path, stamp: str, limit: int) -> Unkept | None:
    sizes = _sizes(dataset)
    needed = _header_bytes(len(sizes)) + _bytes_of(sizes)
    others = sum(p.stat().st_size for p in path.parent.glob("*" + SUFFIX) if p != path)
    taken = f"decoded images take {(others + needed) / 1e9:.3g} GB"
    if others + needed > limit:
        return Unkept(f"{taken}, data.cache allows {limit / 1e9:.3g} GB")
    free = shutil.disk_usage(path.parent).free
    if needed > free - LEFT_FREE:
        return Unkept(f"{taken}, the disk has {free / 1e9:.3g} GB left")
    # Only the holder of the lock writes here, and what a dead one left is written over.
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            checksums = _write_images(dataset, sizes, file.fileno())
            _write_at(file.fileno(), memoryview(_header(stamp, sizes, checksums)), 0)
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return None


def _write_images(dataset: Dataset, sizes: Sequence[Size], descriptor: int) -> list[int]:
    """Write every image and mask; return their checksums.

    Written, not mapped: a full disk is then an error, and not a signal that ends the process.
    """
    starts = _starts(sizes)
    images = _header_bytes(len(sizes))
    masks = images + 3 * starts[-1]

    def write(index: int) -> int:
        image, mask = _parts(dataset, index, sizes)
        _write_at(descriptor, image.data, images + 3 * starts[index])
        _write_at(descriptor, mask.data, masks + starts[index])
        return zlib.crc32(mask.data, zlib.crc32(image.data))

    return _in_threads(write, len(sizes))


def _parts(dataset: Dataset, index: int, sizes: Sequence[Size]) -> tuple[Array, Array]:
    """Return an image's planes and its mask, each flat."""
    image, mask = dataset[index]
    if mask.shape != sizes[index]:
        name = shown(dataset.name(index), 300)
        raise DataError(Fault("data", name, f"{name} changed while it was read"))
    return np.ascontiguousarray(image.transpose(2, 0, 1)).ravel(), mask.ravel()


def _write_at(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _header(stamp: str, sizes: Sequence[Size], checksums: Sequence[int]) -> bytes:
    content = HEAD.pack(MAGIC, stamp.encode(), len(sizes))
    content += np.array(sizes, dtype="<u4").tobytes() + np.array(checksums, dtype="<u4").tobytes()
    return content + hashlib.sha256(content).digest()


def _header_bytes(count: int) -> int:
    """Return where the images begin: a whole page behind the header of so many images."""
    content = HEAD.size + 12 * count + hashlib.sha256().digest_size
    return -(-content // PAGE) * PAGE


def _read(path: Path, stamp: str) -> Decoded | None:
    """Return what a file holds if it is whole and of these sources, else None."""
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            header = _read_header(file.fileno(), length, stamp)
            if header is None:
                return None
            sizes, checksums = header
            offset = _header_bytes(len(sizes))
            shape = (length - offset,)
            buffer = np.memmap(file, dtype=np.uint8, mode="r", offset=offset, shape=shape)
            decoded = Decoded(buffer, sizes)
            return decoded if _is_whole(file.fileno(), decoded, offset, checksums) else None
    except OSError:
        return None


def _read_header(
    descriptor: int, length: int, stamp: str
) -> tuple[list[Size], NDArray[np.uint32]] | None:
    """Return sizes and checksums if header and length are as they were written."""
    head = os.pread(descriptor, HEAD.size, 0)
    if len(head) < HEAD.size:
        return None
    magic, written, count = HEAD.unpack(head)
    if (magic, written) != (MAGIC, stamp.encode()) or _header_bytes(count) > length:
        return None
    content = os.pread(descriptor, HEAD.size + 12 * count, 0)
    if os.pread(descriptor, 32, len(content)) != hashlib.sha256(content).digest():
        return None
    sizes = np.frombuffer(content, "<u4", 2 * count, HEAD.size).reshape(count, 2)
    checksums = np.frombuffer(content, "<u4", count, HEAD.size + 8 * count)
    listed = [(int(height), int(width)) for height, width in sizes]
    whole = count > 0 and length == _header_bytes(count) + _bytes_of(listed)
    return (listed, checksums) if whole else None


def _is_whole(
    descriptor: int, decoded: Decoded, offset: int, checksums: NDArray[np.uint32]
) -> bool:
    """Read every image and compare its checksum.

    Read, not mapped: a disk that fails is then an error, and not a signal.
    """

    def same(index: int) -> bool:
        checksum = 0
        for place in decoded.places(index):
            content = os.pread(descriptor, place.stop - place.start, offset + place.start)
            checksum = zlib.crc32(content, checksum)
        return checksum == int(checksums[index])

    return all(_in_threads(same, len(decoded)))


def _allowed(path: Path, limit: int) -> bool:
    state = _state(path)
    return state is not None and state[1] <= limit


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what tells one file at a path from the next, its size second."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system lets go when the process ends, however it ends."""
    with path.open("ab") as file:
        with heartbeat.waiting():
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _in_threads(function: Callable[[int], T], count: int) -> list[T]:
    """Return what `function` makes of each index; the first error of all ends the others."""

    def one(index: int) -> T:
        made = function(index)
        heartbeat.beat()
        return made

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        waiting = [pool.submit(one, index) for index in range(count)]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _sizes(dataset: Dataset) -> list[Size]:
    return _in_threads(dataset.size, len(dataset))


def _bytes_of(sizes: Sequence[Size]) -> int:
    return BYTES_A_PIXEL * sum(height * width for height, width in sizes)


def _starts(sizes: Sequence[Size]) -> list[int]:
    """Return how many pixels come before each image, and at last how many there are."""
    starts = [0]
    for height, width in sizes:
        starts.append(starts[-1] + height * width)
    return starts
