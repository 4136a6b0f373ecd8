"""What a search learns from, where its space file leaves it open."""

from __future__ import annotations

from pathlib import Path

from hrnet_search.records.accuracy import MIOU, SOFT_IOU
from hrnet_search.records.schedule import AUTO
from hrnet_search.space.load import SpaceFile
from hrnet_search.store.study import begun_study


def settled_signal(file: SpaceFile, folder: Path) -> str:
    """Return what a search learns from; auto: as its study began, soft IoU if it is new.

    Where the objective is of some classes, it is that one: soft IoU is of all.
    """
    accuracy = file.goals.accuracy
    if accuracy.key != MIOU:
        return accuracy.key
    if file.search.signal != AUTO:
        return file.search.signal
    begun = begun_study(folder)
    return begun.notes.signal if begun else SOFT_IOU
