"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hrnet_search.errors import StorageLostError


def write_file(path: Path, content: bytes) -> Path:
    """Write a file, and its folder, so that readers see the old one or the whole new one.

    Raises StorageLostError naming the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageLostError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path
