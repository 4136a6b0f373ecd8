"""What a path that somebody wrote stands for, in whatever process and folder it is used."""

from __future__ import annotations

import os
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


def expanded(path: str) -> str:
    """Return a path with the user's home for `~`; that of an unknown user stays as it is."""
    return os.path.expanduser(path)  # noqa: PTH111 -- Path.expanduser raises there
