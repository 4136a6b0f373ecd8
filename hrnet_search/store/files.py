"""Files of a study that are there whole or not at all, and those that are set aside."""

from __future__ import annotations

import itertools
import os
from pathlib import Path


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file so that its name never stands for half of it. Raise OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
