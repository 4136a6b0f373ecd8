"""What a path that somebody wrote stands for, in whatever process and folder it is used."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path


def absolute(path: str | Path, beside: str | Path = "") -> Path:
    """Return a path that does not depend on the current directory: `~` is the user's home.

    A relative path starts at the folder `beside`, or at the current directory. Workers of a
    study run in folders of their own, so nothing relative may reach them. Links stay as they
    are: a study keeps the name that its user gave it.
    """
    return Path(beside, expanded(str(path))).absolute()


def is_file(path: str | Path) -> bool:
    """Return whether a file is there, also for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113 -- Path.is_file raises if a name is too long


def is_folder(path: str | Path) -> bool:
    """Return whether a folder is there, also for a name that no folder can have."""
    return os.path.isdir(path)  # noqa: PTH112 -- Path.is_dir raises where it may not be looked at


def why_no_folder(path: str) -> str:
    """Return why a path is no folder to read from, for who named it; empty if it is one."""
    try:
        return "" if stat.S_ISDIR(Path(path).stat().st_mode) else "is not a folder"
    except (FileNotFoundError, NotADirectoryError):
        return "is not a folder"
    except (OSError, ValueError) as error:  # no right to look there, or a name that none can have
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        return f"cannot be read ({why})"


def expanded(path: str) -> str:
    """Return a path with the user's home for `~`; that of an unknown user stays as it is."""
    return os.path.expanduser(path)  # noqa: PTH111 -- Path.expanduser raises there


def several(paths: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    """Return paths as a list, of one that is given alone: a text would be taken apart."""
    return [paths] if isinstance(paths, str | Path) else paths


def why_not_written(folder: str) -> str:
    """Return why a folder can be neither written to nor made, for who named it; empty if it can.

    A disk that takes nothing is left to whoever writes.
    """
    place, names = Path(folder), list[str]()
    try:
        while (found := _stat(place)) is None:
            names.append(place.name)
            place = place.parent
        longest = os.pathconf(place, "PC_NAME_MAX")
        sealed = os.statvfs(place).f_flag & os.ST_RDONLY
    except OSError as error:
        return os.strerror(error.errno or errno.EIO)
    if any(len(os.fsencode(name)) > longest for name in names):
        return os.strerror(errno.ENAMETOOLONG)
    if not stat.S_ISDIR(found.st_mode):
        return os.strerror(errno.ENOTDIR)
    denied = not os.access(place, os.W_OK | os.X_OK, effective_ids=True) and not sealed
    return os.strerror(errno.EACCES) if denied else ""


def _stat(place: Path) -> os.stat_result | None:
    try:
        return place.stat()
    except FileNotFoundError:
        return None


def folders_beside(folder: Path) -> list[Path]:
    """Return the folders that lie beside one, itself among them, by their names.

    Those of other users that may not be looked into are left out.
    """
    try:
        found = sorted(folder.parent.iterdir())
    except OSError:  # not there, or not to be listed
        return []
    effective = os.access in os.supports_effective_ids
    return [p for p in found if p.is_dir() and os.access(p, os.X_OK, effective_ids=effective)]
