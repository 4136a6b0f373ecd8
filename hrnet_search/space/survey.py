"""How large and how expensive a space is: exact where it is small, from a seeded sample above."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import MAX_BRANCHES
from hrnet_search.arch.batch import ARRAYS, ArchitectureBatch
from hrnet_search.arch.cost import COST_NAMES, operations
from hrnet_search.arch.targets import HRNET
from hrnet_search.counts import short
from hrnet_search.space.space import Points, SearchSpace, costs

EXACT_UP_TO = 10_000
SAMPLE = 2_048
DRAWS = 32
"""Times that twice as many points are drawn where rules leave few of them."""

ROUNDS = 4
"""Times that every choice is tried when a cheap or expensive variant is looked for."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A space in numbers; `exact` says that all of it was looked at, else `looked_at` of it.

    `distinct` is the number, or in a sample the share of `size`, of distinct computations
    among the valid points; `within` the share of the valid points that keeps the limits.
    `costs` is (least, most) by name, within the limits. `unofficial` are the levels that the
    official library would not run as meant. `left_out` are the rules of the space with the share
    of what could be built that each leaves out; `size` counts what they leave, by its share of
    what was looked at where not all was. All of these count networks, each of which may be trained
    in `trainings` ways.
    """

    size: int
    exact: bool
    looked_at: int
    distinct: int
    within: float
    costs: dict[str, tuple[int, int]]
    unofficial: tuple[str, ...] = ()
    left_out: tuple[tuple[str, float], ...] = ()
    trainings: int = 1

    def lines(self) -> list[str]:
        """Return the survey for people to read."""
        if self.exact:
            how = f"{self.size:,} valid points, {self.distinct:,} distinct variants"
        else:
            share = self.distinct / max(self.looked_at, 1)
            about = "about " if self.left_out else ""
            how = f"{about}{self.size:,} valid points, about {share:.0%} of them distinct variants"
        basis = "all counted" if self.exact else f"from a sample of {self.looked_at:,}"
        lines = [f"space: {how}"]
        if self.trainings > 1:
            points = f"{self.size * self.trainings:,} points in all"
            lines.append(f"training: each of them in {self.trainings} ways, {points}")
        lines += [f"{rule}: leaves out {share:.1%}" for rule, share in self.left_out]
        lines += [f"within the limits: {self.within:.1%} ({basis})"]
        if not self.within and not self.exact:
            lines += ["note: none of these keeps the limits: there may be no network to train"]
        for name, (least, most) in self.costs.items():
            about = "" if self.exact else "about "
            lines.append(f"{name}: {about}{short(least)} to {short(most)}")
        if self.unofficial:
            levels = "; ".join(self.unofficial)
            lines.append(f"note: the official HRNet library does not run as meant: {levels}")
        return lines


def survey(space: SearchSpace, seed: int = 0) -> Survey:
    """Count a space: every point up to 10,000, above that a sample drawn from `seed`."""
    trainings, space = space.trainings, space.networks
    exact = int(np.prod(np.array(space.shape, dtype=float))) <= EXACT_UP_TO
    buildable = _all(space) if exact else _sample(space, seed)
    valid = space.valid(buildable)
    points = buildable[valid][:SAMPLE] if not exact else buildable[valid]
    kept = space.within_limits(points)
    distinct = (space.canonical(points) == points).all(axis=1)
    inside = points[kept]
    if not exact and len(inside):
        inside = np.concatenate([inside, _extremes(space, inside)])
    found = costs(space, inside)
    return Survey(
        size=_size(space, valid),
        exact=exact,
        looked_at=len(points),
        distinct=_distinct_ids(space, points[distinct]) if exact else int(distinct.sum()),
        within=float(kept.mean()) if len(points) else 0.0,
        costs={
            name: (int(column.min()), int(column.max()))
            for name, column in zip(COST_NAMES, found.T, strict=True)
            if len(column)
        },
        unofficial=() if space.target == HRNET else tuple(_unofficial(space, points)),
        left_out=tuple(
            (rule, float(broken.mean()))
            for rule, broken in space.broken(buildable).items()
            if not rule.startswith("target ") or broken.any()
        )
        if len(buildable)
        else (),
        trainings=trainings,
    )


def _size(space: SearchSpace, valid: NDArray[np.bool_]) -> int:
    """Return how many points are valid: exactly, where no rule leaves any out of them."""
    share = float(valid.mean()) if len(valid) else 0.0
    return space.size if share == 1 else round(space.size * share)


def _unofficial(space: SearchSpace, points: Points) -> Iterator[str]:
    """Yield what the target hrnet finds in valid points, as the levels that bring it in."""
    for column, choice in enumerate(space.choices):
        levels: list[object] = [choice.values[i] for i in sorted(set(points[:, column].tolist()))]
        if choice.key == "FUSE_METHOD":
            levels = [level for level in levels if level != "SUM"]
        elif choice.key == "NUM_BRANCHES" and 3 in choice.stages:  # stage 4, by its index
            levels = [level for level in levels if level != MAX_BRANCHES]
        else:
            levels = []
        if levels:
            yield f"{choice.path} {', '.join(map(str, levels))}"


def least_costs(space: SearchSpace) -> tuple[int, ...]:
    """Return for each cost a number that no valid point is below: exact for small spaces.

    Above that it is the cost of a network that has the least of everything at once, without
    transitions, which not every variant needs.
    """
    space = space.networks
    if int(np.prod(np.array(space.shape, dtype=float))) <= EXACT_UP_TO:
        points = _all(space)
        return tuple(int(v) for v in costs(space, points[space.valid(points)]).min(axis=0))
    return _bounds(space)


def keeps_none(space: SearchSpace) -> bool:
    """Return whether no valid point keeps the limits; False for spaces too large to look at all."""
    space = space.networks
    if int(np.prod(np.array(space.shape, dtype=float))) > EXACT_UP_TO:
        return False
    points = _all(space)
    return not space.within_limits(points[space.valid(points)]).any()


def _all(space: SearchSpace) -> Points:
    """Return all points that can be built."""
    points = np.concatenate(list(space.index_chunks()))
    return points[space.batch(points).valid()]


def _sample(space: SearchSpace, seed: int) -> Points:
    """Return points that can be built: enough that some thousand are valid, where that is quick."""
    rng, found, valid = np.random.default_rng(seed), [], 0
    for _ in range(DRAWS):
        points = space.drawn(rng, 2 * SAMPLE)
        found.append(points[space.batch(points).valid()])
        valid += int(space.valid(found[-1]).sum())
        if valid >= SAMPLE or not space.has_rules:
            break
    return np.concatenate(found)


def _distinct_ids(space: SearchSpace, points: Points) -> int:
    """Count architectures: by ids where choices together may spell one computation in two ways.

    Modules that could stand in the next stage; blocks of a stage of one branch, whose modules
    they could be.
    """
    batch = space.batch(points)
    movable = (batch.branches[:, 1:-1] == batch.branches[:, 2:]).any(axis=1)
    movable |= (batch.branches[:, 1:] == 1).any(axis=1)
    ids = {batch.architecture(int(i)).id for i in np.flatnonzero(movable)}
    return int((~movable).sum()) + len(ids)


def _extremes(space: SearchSpace, points: Points) -> Points:
    """Return cheap and expensive valid points within the limits, found choice by choice."""
    found = [
        _descend(space, points[np.argmin(sign * column)], c, sign)
        for c, column in enumerate(costs(space, points).T)
        for sign in (1, -1)
    ]
    return np.stack(found)


def _descend(
    space: SearchSpace, point: NDArray[np.int64], cost: int, sign: int
) -> NDArray[np.int64]:
    for _ in range(ROUNDS):
        before = point
        for column, levels in enumerate(space.shape):
            tried = np.repeat(point[None], levels, axis=0)
            tried[:, column] = np.arange(levels)
            good = space.valid(tried)
            good[good] = space.within_limits(tried[good])
            value = np.where(good, sign * costs(space, tried)[:, cost].astype(float), np.inf)
            point = tried[np.argmin(value)]
        if (point == before).all():
            break
    return point


def _bounds(space: SearchSpace) -> tuple[int, ...]:
    fields = [name for name in ARRAYS if name not in ("expansion", "ocr")]
    batches = [space.batch(_one_choice(space, c)) for c in range(len(space.choices))]
    least = {name: np.min([getattr(b, name).min(axis=0) for b in batches], axis=0)
             for name in fields}  # fmt: skip
    # Of branches that not all variants have, what they would have at least.
    for name in ("blocks", "channels"):
        held = np.concatenate([getattr(b, name) for b in batches]).astype(float)
        held[held == 0] = np.inf
        smallest = held.min(axis=0)
        least[name] = np.where(np.isinf(smallest), 1, smallest).astype(np.int64)
    kinds = [sorted({int(v) for b in batches for v in b.expansion[:, s]}) for s in range(4)]
    kinds.append(sorted({int(v) for b in batches for v in b.ocr}))
    sums = [_without_transitions(space, least, kind, ocr) for *kind, ocr in product(*kinds)]
    return tuple(int(v) for v in np.min(sums, axis=0))


def _one_choice(space: SearchSpace, column: int) -> Points:
    """Return points with every level of one choice, with each number of branches."""
    counting = [i for i, c in enumerate(space.choices) if c.key == "NUM_BRANCHES" and i != column]
    grid = list(product(range(space.shape[column]), *(range(space.shape[i]) for i in counting)))
    points = np.zeros((len(grid), len(space.choices)), dtype=np.int64)
    points[:, [column, *counting]] = grid
    return points


def _without_transitions(
    space: SearchSpace, least: dict[str, NDArray[np.int64]], expansion: list[int], ocr: int
) -> tuple[int, ...]:
    arrays: dict[str, Any] = {name: values[None] for name, values in least.items()}
    batch = ArchitectureBatch(expansion=np.array([expansion]), ocr=np.array([ocr]), **arrays)
    sums = np.zeros(3, dtype=np.int64)
    for op in operations(batch, space.input_size, space.classes):
        if op.kind != "transition":
            sums += (int(op.params[0]), int(op.macs[0]), int(op.activations[0]))
    return tuple(int(v) for v in sums)
