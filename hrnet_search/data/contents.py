"""What the files of a data set hold: a digest of each, and which are not those of before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from hrnet_search.errors import listed

NAMED = 10
"""Files of one sort that are named, of those that differ."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """One file of a split: `part` is image, mask or list, `name` its path in the split's folder.

    `digest` is BLAKE2b over all its bytes, 32 hex digits.
    """

    split: str
    part: str
    name: str
    digest: str


Contents = tuple[FileContent, ...]


def digests_of(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the digest of each file, read whole and once. Raise OSError."""
    distinct = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(distinct, pool.map(_digest, distinct), strict=True))


def to_text(contents: Contents) -> str:
    """Return a line of JSON for each file; equal for equal contents."""
    return "".join(f"{json.dumps(astuple(file))}\n" for file in contents)


def from_text(text: str) -> Contents:
    """Return what was written; raise ValueError or TypeError for anything else."""
    return tuple(FileContent(*json.loads(line)) for line in text.splitlines())


def differences(before: Contents, now: Contents) -> str:
    """Return which files have other bytes than before, are new or are gone; empty if none."""
    old, new = ({_named(file): file.digest for file in files} for files in (before, now))
    sorts = (
        ([name for name in new if old.get(name, new[name]) != new[name]], _have_changed),
        ([name for name in new if name not in old], _are("new")),
        ([name for name in old if name not in new], _are("gone")),
    )
    return ", ".join(said(names) for names, said in sorts if names)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _named(file: FileContent) -> str:
    return f"{file.split} {file.part} {file.name}"


def _have_changed(names: Sequence[str]) -> str:
    return f"{listed(names, NAMED)} {'has' if len(names) == 1 else 'have'} other content"


def _are(what: str) -> Callable[[Sequence[str]], str]:
    return lambda names: f"{listed(names, NAMED)} {'is' if len(names) == 1 else 'are'} {what}"
