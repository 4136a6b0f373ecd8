"""What a study takes of a disk, by the exact parameters of networks of its space."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from hrnet_search.arch.cost import Cost, cost
from hrnet_search.counts import digits
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import KEEP_ALL
from hrnet_search.space.generate import generate
from hrnet_search.space.space import SearchSpace

DRAWN = 64
"""Networks drawn from a space for its costs."""

NEAR = 30
"""Networks near the front whose weights stay where those of others are removed, at most."""

BYTES, COPIES = 4, {"sgd": 2, "adamw": 3}
"""Bytes of a parameter, and how often a checkpoint has each: the optimiser's own beside it."""


def drawn_costs(
    space: SearchSpace, size: tuple[int, int], classes: int, seed: int = 0
) -> list[Cost]:
    """Return the exact costs of networks drawn from a space, for images of `size`."""
    return [cost(network, size, classes) for network in generate(space, DRAWN, seed)]


def weight_bytes(costs: Sequence[Cost], trials: int, keep: str) -> int:
    """Return bytes of the weights of that many trials, as a study keeps them."""
    kept = trials if keep == KEEP_ALL else min(trials, NEAR)
    return int(BYTES * kept * fmean([one.params for one in costs] or [0]))


def first_bytes(base: Cost, costs: Sequence[Cost], schedule: Schedule) -> int:
    """Return bytes of what all start from, and of its checkpoint: the base, or shared weights.

    Those are as large as the largest network at least, by how far no other is larger anywhere.
    """
    sharing = [*costs, base] if schedule.networks else [base]
    parameters = max(one.params for one in sharing)
    return BYTES * parameters + _checkpoint(parameters, schedule)


def checkpoint_bytes(costs: Sequence[Cost], schedule: Schedule, workers: int) -> int:
    """Return bytes of the checkpoints of that many trials that run at once, if they are large."""
    return workers * _checkpoint(max((one.params for one in costs), default=0), schedule)


def paused_bytes(costs: Sequence[Cost], schedule: Schedule, trials: int) -> int:
    """Return bytes of the checkpoints of that many trials that are paused."""
    return trials * _checkpoint(fmean([one.params for one in costs] or [0]), schedule)


def _checkpoint(parameters: float, schedule: Schedule) -> int:
    copies = COPIES.get(schedule.optimiser, 3) + bool(schedule.ema)
    return int(BYTES * copies * parameters)


def sized(count: float) -> str:
    """Return bytes as people say them."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{digits(count / size)} {unit}"
    return f"{count / 1e3:.3g} kB"
