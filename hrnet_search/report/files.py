"""Files of a report, and what a user hears when one cannot be written."""

from __future__ import annotations

from pathlib import Path

from hrnet_search.store.files import refuse_link, write_whole, writing


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
