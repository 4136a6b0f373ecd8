"""When a network is said to have learned nothing: one rule for ablations, summaries and pages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.records.trial import RungResult, TrialResult

NEXT = "more steps, or another learning rate"


def one_class(iou: NDArray[np.float64]) -> NDArray[Any]:
    """Return by IoU [..., classes] whether at most one class was ever predicted right.

    Who predicts one class everywhere has an IoU in that class alone.
    """
    return np.asarray((iou > 0).sum(axis=-1) <= 1)


def learned_nothing(rung: RungResult) -> bool:
    """Return whether what was judged predicts one class everywhere, of two classes or more.

    Not where truth holds one class alone, which is predicted whole, nor where the mIoU is not
    the mean over all classes (the official rule): then IoU by class is not known.
    """
    iou = np.array(rung.iou, dtype=np.float64)
    if len(iou) < 2 or not np.isfinite(iou).all() or not np.isclose(iou.mean(), rung.miou):
        return False
    return bool(one_class(iou)) and rung.miou_present < 1


def learned_something(result: TrialResult) -> bool:
    """Return whether a trial learned anything, as far as it shows."""
    return not (result.rungs and learned_nothing(result.rungs[-1]))


def unlearned_line(unlearned: int, networks: int, on_front: int) -> str:
    """Return what to say of a search in which so many networks learned nothing.

    Empty unless they are most of its networks, or some are on its front.
    """
    if 2 * unlearned <= networks and not on_front:
        return ""
    front = f", {on_front} of them on the front" if on_front else ""
    return f"{unlearned} of {networks} networks predict one class everywhere{front}: {NEXT}"
