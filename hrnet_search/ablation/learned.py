"""Which arms learned nothing, or failed: no difference to such an arm is called equivalent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_search.ablation.statistics import (
    BETTER,
    EQUIVALENT,
    NOTHING,
    UNDECIDED,
    WORSE,
    Floats,
)
from hrnet_search.learned_rule import one_class

Weights = Sequence[tuple[int, float]]


def nothing_learned(miou: Floats, iou: Floats) -> str:
    """Return why one arm learned nothing, by its mIoU [seeds] and IoU [seeds, classes].

    Trainings that differ in their seed alone never end at the same mIoU, short of a perfect one,
    unless they predict the same everywhere; and who predicts one class everywhere has an IoU in
    that class alone. Empty if it learned something, or nothing is known; nan is a missing seed.
    """
    here = np.isfinite(miou)
    if not here.any():
        return ""
    found = miou[here]
    if len(found) > 1 and np.ptp(found) < NOTHING and found[0] < 1 - NOTHING:
        return f"its mIoU is {100 * found[0]:.2f}% at every seed"
    by_class = iou[here]
    if np.isfinite(by_class).all() and one_class(by_class).all():
        return "it predicts one class alone"
    return ""


def withheld(
    verdict: str, weights: Weights, unlearned: Mapping[int, str], failed: Mapping[int, int]
) -> str:
    """Return what is left of a contrast's verdict, by arms that learned nothing or failed.

    `unlearned` says why, by index of the arm; `failed` how many seeds. Nothing is equivalent to
    an arm that learned nothing, and between two such arms nothing is decided. The seeds that an
    arm did not survive are not there to speak against it, so no verdict is in its favour.
    """
    arms = [arm for arm, _ in weights]
    if all(arm in unlearned for arm in arms):
        return UNDECIDED
    if verdict == EQUIVALENT and any(arm in unlearned or arm in failed for arm in arms):
        return UNDECIDED
    favoured = {BETTER: 1, WORSE: -1}.get(verdict, 0)
    if any(arm in failed and weight * favoured > 0 for arm, weight in weights):
        return UNDECIDED
    return verdict
