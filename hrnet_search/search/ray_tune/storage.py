"""Files of running trials on a path that all nodes see: any URL that pyarrow or fsspec takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pyarrow import fs

from hrnet_search import heartbeat
from hrnet_search.errors import Fault, InputError, StorageLostError
from hrnet_search.paths import absolute

PIECE = 1 << 20
"""Bytes that are copied at a time."""


class Storage:
    """A folder at a URL; names are relative paths. What cannot be reached is StorageLostError."""

    def __init__(self, url: str) -> None:
        """Raise InputError for a URL that no file system knows."""
        try:
            self._files, self._root = _open(url)
        except Exception as error:  # of many kinds: scheme, package, credentials
            why = " ".join(str(error).split())[:200]
            allowed = "a path or URL of pyarrow or fsspec (s3://, gs://, hdfs://, ...)"
            wrong = f"{url} cannot be used ({why})"
            raise InputError(Fault("--storage", url, wrong, allowed)) from None

    def put(self, local: Path, name: str) -> None:
        """Store a file; its name never stands for half of it."""
        place = f"{self._root}/{name}"
        with self._reached(name):
            self._files.create_dir(place.rpartition("/")[0], recursive=True)
            with (
                local.open("rb") as source,
                self._files.open_output_stream(f"{place}.part") as target,
            ):
                _copy(source, target)
            self._files.move(f"{place}.part", place)

    def get(self, name: str, local: Path) -> bool:
        """Fetch a file; False if it is not there."""
        part = local.with_name(f".{local.name}.{os.getpid()}.part")
        with self._reached(name):
            try:
                source = self._files.open_input_stream(f"{self._root}/{name}")
            except FileNotFoundError:
                return False
            local.parent.mkdir(parents=True, exist_ok=True)
            with source, part.open("wb") as target:
                _copy(source, target)
            part.replace(local)
        return True

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, empty if it is not there."""
        selector = fs.FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        with self._reached(folder):
            found = [i for i in self._files.get_file_info(selector) if i.type == fs.FileType.File]
        return sorted(f"{folder}/{info.base_name}" for info in found)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._reached(name), suppress(FileNotFoundError):
            self._files.delete_file(f"{self._root}/{name}")

    @contextmanager
    def _reached(self, name: str) -> Iterator[None]:
        """Say of what goes wrong with a file that it is the storage's trouble, not a trial's."""
        try:
            yield
        except OSError as error:
            why = error.strerror or " ".join(str(error).split())
            what = f"{self._root}/{name}: cannot be stored or fetched: {why}"
            raise StorageLostError(what) from error


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a file, each piece a sign of life: a slow network does not hang."""
    while piece := source.read(PIECE):
        target.write(piece)
        heartbeat.beat()


def _open(url: str) -> tuple[fs.FileSystem, str]:
    if "://" not in url:
        return fs.LocalFileSystem(), str(absolute(url))
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(url)
    except Exception:
        import fsspec  # what pyarrow has no file system of its own for

        files, path = fsspec.core.url_to_fs(url)
        found = fs.PyFileSystem(fs.FSSpecHandler(files)), path
    return found[0], found[1].rstrip("/")
