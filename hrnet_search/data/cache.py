"""Decoded images of a study on disk: built once, read by every process that trains.

What is checked when: on opening, the length, the header (SHA-256), the stamp of the sources and
the CRC-32 of every image, which also brings the file into memory. No file is ever changed: a new
one is written whole and renamed into its place, and whoever has the old one open keeps it. What is
damaged or out of date is built again. Whoever cuts or overwrites a file all the same is noticed at
the next image: files are read and never mapped, for a mapped file that is cut ends the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import weakref
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_search import heartbeat
from hrnet_search.counts import digits
from hrnet_search.data.dataset import SPLITS, Array, Dataset, open_dataset
from hrnet_search.data.decoded import (
    Decoded,
    Size,
    bytes_of,
    decode_all,
    in_threads,
    parts_of,
    sizes_of,
    starts_of,
)
from hrnet_search.errors import DataError, Fault
from hrnet_search.records.data_spec import DataSpec

SUFFIX = ".images"
LOCK = "lock"
MAGIC = b"hrnet-search images 1\n"
HEAD = struct.Struct(f"<{len(MAGIC)}s64sQ")
"""Magic, stamp of the sources, count of images; sizes, checksums and a digest follow."""

PAGE = 4096
LEFT_FREE = 1 << 30
"""Bytes of the disk that a cache never takes."""


@dataclass(frozen=True, slots=True)
class Unkept:
    """Why decoded images are not kept; they are decoded on every access then."""

    reason: str


class ReplacedError(Exception):
    """A file was damaged; who found that first has said so and removed it: open the cache again."""


def decoded_bytes(spec: DataSpec) -> int:
    """Return what the decoded images of both splits take; raise DataError for bad data."""
    return sum(bytes_of(sizes_of(open_dataset(spec, split))) for split in SPLITS)


def open_cache(dataset: Dataset, folder: Path, limit: int) -> Decoded | Unkept:
    """Return a split's decoded images, kept in `folder` and read image by image; build if need be.

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
        with _locked(folder / LOCK):
            if _state(path) == before and (refused := _build(dataset, path, stamp, limit)):
                return refused
    except OSError as error:
        return Unkept(f"{folder}: {error.strerror or error}")
    return _read(path, stamp) or Unkept(f"{path} cannot be read back")


def _build(dataset: Dataset, path: Path, stamp: str, limit: int) -> Unkept | None:
    sizes = sizes_of(dataset)
    needed = _header_bytes(len(sizes)) + bytes_of(sizes)
    others = sum(p.stat().st_size for p in path.parent.glob("*" + SUFFIX) if p != path)
    taken = f"decoded images take {digits((others + needed) / 1e9)} GB"
    if others + needed > limit:
        return Unkept(f"{taken}, data.cache allows {digits(limit / 1e9)} GB")
    free = shutil.disk_usage(path.parent).free
    if needed > free - LEFT_FREE:
        return Unkept(f"{taken}, the disk has {digits(free / 1e9)} GB left")
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
    starts = starts_of(sizes)
    images = _header_bytes(len(sizes))
    masks = images + 3 * starts[-1]

    def write(index: int) -> int:
        image, mask = parts_of(dataset, index, sizes)
        _write_at(descriptor, image.data, images + 3 * starts[index])
        _write_at(descriptor, mask.data, masks + starts[index])
        return zlib.crc32(mask.data, zlib.crc32(image.data))

    return in_threads(write, len(sizes))


def _write_at(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _header(stamp: str, sizes: Sequence[Size], checksums: Sequence[int]) -> bytes:
    content = HEAD.pack(MAGIC, stamp.encode(), len(sizes))
    content += np.array(sizes, dtype="<u4").tobytes() + np.array(checksums, dtype="<u4").tobytes()
    return content + hashlib.sha256(content).digest()


def _header_bytes(count: int) -> int:
    """Return where the images begin: a whole page behind the header of `count` images."""
    content = HEAD.size + 12 * count + hashlib.sha256().digest_size
    return -(-content // PAGE) * PAGE


def _read(path: Path, stamp: str) -> Decoded | None:
    """Return what a file holds if it is whole and of these sources, else None."""
    try:
        file = _OpenFile(path)
        header = _read_header(file.descriptor, file.state()[0], stamp)
        if header is None:
            return None
        kept = _InFile(file, *header)
        return kept if kept.is_whole() else None
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
    whole = count > 0 and length == _header_bytes(count) + bytes_of(listed)
    return (listed, checksums) if whole else None


class _OpenFile:
    """A file of a cache that this process has open; it is closed with the last use of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)

    def state(self) -> tuple[int, int]:
        """Return its size and when it was last written, which nobody does once it has its name."""
        found = os.fstat(self.descriptor)
        return found.st_size, found.st_mtime_ns

    def read(self, offset: int, size: int) -> Array | None:
        """Return `size` bytes, None if the file ends before them. Raise OSError, naming it."""
        content = np.empty(size, dtype=np.uint8)
        missing = content.data
        try:
            while missing:
                read = os.preadv(self.descriptor, [missing], offset + size - len(missing))
                if not read:
                    return None
                missing = missing[read:]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        return content

    def set_aside(self) -> bool:
        """Remove a damaged file; whether it was still there, and no other in its place."""
        with _locked(self.path.with_name(LOCK)):
            try:
                there = os.path.samestat(self.path.stat(), os.fstat(self.descriptor))
            except FileNotFoundError:
                return False
            if there:
                self.path.unlink()
            return there


class _InFile(Decoded):
    """Decoded images in a file, and the checksum of each."""

    def __init__(
        self, file: _OpenFile, sizes: Sequence[Size], checksums: NDArray[np.uint32]
    ) -> None:
        super().__init__(sizes)
        self._file, self._checksums = file, checksums
        self._offset = _header_bytes(len(sizes))
        self._whole_in: tuple[int, int] | None = None

    def is_whole(self) -> bool:
        """Read every image and compare its checksum."""
        state = self._file.state()

        def same(index: int) -> bool:
            checksum = 0
            for place in self.places(index):
                content = self._content(place)
                if content is None:
                    return False
                checksum = zlib.crc32(content.data, checksum)
            return checksum == int(self._checksums[index])

        whole = all(in_threads(same, len(self)))
        self._whole_in = state if whole else None
        return whole

    def read(self, place: slice) -> Array:
        """Return a copy; the file may be cut or overwritten while others use it.

        Raise DataError, naming the file, in the process that finds it damaged first, and
        ReplacedError in all others.
        """
        while True:
            content = self._content(place)
            if content is not None and self._file.state() == self._whole_in:
                return content
            if not self.is_whole():  # perhaps only its times have changed
                raise self._damaged()

    def _content(self, place: slice) -> Array | None:
        return self._file.read(self._offset + place.start, place.stop - place.start)

    def _damaged(self) -> Exception:
        with suppress(OSError):  # it cannot be removed: it is found damaged when it is opened
            if not self._file.set_aside():
                return ReplacedError()
        path = str(self._file.path)
        wrong = "was cut short or changed while trials read it"
        return DataError(Fault("", path, wrong, instead="the next trial rebuilds it", file=path))


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
    """Hold a lock that the system releases when the process ends, however it ends."""
    with path.open("ab") as file:
        with heartbeat.waiting():
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
