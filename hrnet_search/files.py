"""Files of a study that are there whole or not at all, and those that are set aside."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from hrnet_search import heartbeat
from hrnet_search.counts import digits
from hrnet_search.errors import Fault, StorageLostError, StudyError
from hrnet_search.records.trial import TrialKey

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says that has no more room, for anybody or for this user."""

DISK = (*FULL, errno.EROFS, errno.EIO, errno.ESTALE)
"""What it says of a disk alone: no file and no content is to blame."""

PIECE = 64 * 2**20
"""Bytes that are written before the disk has to have them."""

OWN = ("report", "configs", "export", "logs", "study.jsonl")
"""What a study writes again and again under fixed names: never through a link."""


def free_bytes(path: Path) -> int:
    """Return the bytes that are free where a path lies, or will."""
    return shutil.disk_usage(_nearest(path)).free


def refuse_links(folder: Path) -> None:
    """Raise StudyError if one of a study's own names is a symbolic link."""
    for name in OWN:
        refuse_link(folder / name)


def refuse_link(path: Path) -> None:
    """Raise StudyError if a path is a symbolic link: what it points to is another's."""
    if path.is_symlink():
        allowed = "a file or folder that is no link"
        raise StudyError(
            Fault("", str(path), "is a symbolic link, not followed", allowed, str(path))
        )


def open_log(path: Path) -> TextIO:
    """Open a log of a study to append lines; its folder is made in the study's.

    Raise StorageLostError, StudyError.
    """
    return os.fdopen(log_descriptor(path), "a", encoding="utf-8", buffering=1)


def log_descriptor(path: Path) -> int:
    """Return the descriptor of a log that is added to; its folder is made in the study's.

    Raise StorageLostError, StudyError.
    """
    make_folder(path.parent)
    with writing(path):
        return append_only(path)


def append_only(path: Path) -> int:
    """Return the descriptor of a file of a study that is added to. Raise OSError, StudyError."""
    refuse_link(path.parent)
    refuse_link(path)
    return os.open(
        path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
    )


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file so that its name never stands for half of it. Raise StorageLostError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path, len(payload)):
        try:
            # Of a process that died, or a link that leads elsewhere.
            temporary.unlink(missing_ok=True)
            with temporary.open("xb", buffering=0) as file:
                _write_beating(file.fileno(), memoryview(payload))
            temporary.replace(path)
        finally:
            with suppress(OSError):  # what went wrong before is the cause
                temporary.unlink(missing_ok=True)


def copy_whole(path: Path, copy: Path) -> None:
    """Copy a file so that the name of the copy never stands for half of it.

    Raise StorageLostError.
    """
    temporary = copy.with_name(f".{copy.name}.{os.getpid()}.tmp")
    with writing(copy, path.stat().st_size):
        try:
            temporary.unlink(missing_ok=True)
            shutil.copyfile(path, temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(copy)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write_beating(descriptor: int, view: memoryview) -> None:
    """Write down to the disk piece by piece, each a sign of life: a slow disk does not hang."""
    while view:
        view = view[os.write(descriptor, view[:PIECE]) :]
        os.fsync(descriptor)
        heartbeat.beat()


def make_folder(path: Path) -> None:
    """Make a folder in one that is there: a study that was removed is not begun again by half.

    Raise StorageLostError.
    """
    with writing(path):
        path.mkdir(exist_ok=True)


@contextmanager
def writing(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn what the system says against writing a file of `needed` bytes into StorageLostError."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error, needed) from error


def unwritable(path: Path, error: OSError, needed: int = 0) -> StorageLostError:
    """Return the error for a file that cannot be written: why, and how much room it needs."""
    why = error.strerror or " ".join(str(error).split()) or type(error).__name__
    if error.errno in FULL:
        why += room(path, needed)
    elif error.errno == errno.ENOENT and (gone := _gone(path)) is not None:
        why = f"the folder {gone} is gone"
    return StorageLostError(f"{path}: cannot be written: {why}")


def checkpoint_folder(folder: str | Path, key: TrialKey) -> Path:
    """Return where a study keeps the checkpoint of a trial, until its result is committed."""
    return Path(folder, "checkpoints", str(key))


def room(path: Path, needed: int = 0) -> str:
    """Return what a file needs, where that is known, and what is free there, to follow an error."""
    said = f"needs {_amount(needed)}" if needed else ""
    with suppress(OSError):
        free = free_bytes(path)
        said += f"{', ' if said else ''}{_amount(free)} free"
    return f" ({said})" if said else ""


def lost_storage(error: BaseException, place: str | Path) -> StorageLostError | None:
    """Return what an error says of a disk, if that is where it comes from; `place` is on it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in DISK:
            named = cause.filename if isinstance(cause.filename, str) else place
            return unwritable(Path(named), cause)
        cause = cause.__cause__ or cause.__context__
    return None


def write_file(path: Path, content: bytes) -> Path:
    """Write a file, and its folder, so that readers see the old one or the whole new one.

    Raises StorageLostError naming the file, StudyError for a symbolic link in its place.
    """
    refuse_link(path.parent)
    refuse_link(path)
    with writing(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return path


def _gone(path: Path) -> Path | None:
    """Return the uppermost folder of a path that is not there."""
    return next((p for p in reversed(path.parents) if not p.exists()), None)


def _nearest(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.exists())


def _amount(size: int) -> str:
    return f"{digits(size / 1e9)} GB" if size >= 1e9 else f"{digits(size / 1e6)} MB"


def place_new(temporary: Path, path: Path) -> None:
    """Give a whole file its name if nothing has it; raise FileExistsError otherwise.

    Of several processes that try, one succeeds.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first, then filled
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def free_name(path: Path) -> Path:
    """Return a name that nothing has: this one, or this one with a number."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))
    return next(p for p in itertools.chain([path], numbered) if not os.path.lexists(p))
