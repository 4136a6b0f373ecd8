"""SearchSpace: choices around a base architecture, as points, architectures and arrays.

Decoding is done for many points at once; one point is a batch of one. A choice is a column of
level indices that writes its level into the arrays of the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import HEAD_WORDS, MAX_BRANCHES, MAX_COUNT, OCR, Architecture
from hrnet_search.arch.batch import ARRAYS, ArchitectureBatch
from hrnet_search.arch.cost import COST_NAMES, batch_costs, check_input, fit_64_bits
from hrnet_search.arch.targets import ANY, TARGETS
from hrnet_search.errors import Fault, InputError
from hrnet_search.records.objective import OBJECTIVES
from hrnet_search.records.point import Point
from hrnet_search.space.choice import OF_HEADS, OF_STAGES, Choice, Write
from hrnet_search.space.require import Requirement
from hrnet_search.space.rule_keys import Networks

Points = NDArray[np.int64]
Bools = NDArray[np.bool_]

CHUNK = 1 << 16
"""Points decoded at once: arrays of a million would not fit a small machine."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What must hold: an objective at most this."""

    objective: str
    at_most: float


@dataclass(frozen=True)
class SearchSpace:
    """Choices around a base, and limits on what comes of them.

    Choices of training change nothing of a network: points that differ in them alone decode to the
    same one, and are two variants all the same.
    `input_size` (height, width) and `classes` are what costs are counted for. A point is valid if
    its network can be built, `target` runs it as meant and it keeps every rule of `require`.
    """

    base: Architecture
    choices: tuple[Choice, ...]
    limits: tuple[Limit, ...] = ()
    input_size: tuple[int, int] = (512, 1024)
    classes: int = 19
    target: str = ANY
    require: tuple[Requirement, ...] = ()
    _base: ArchitectureBatch = field(init=False, repr=False, compare=False)
    _fitting: dict[tuple[tuple[int, int], int], bool] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_base", _filled(self.base))

    @property
    def has_ocr(self) -> bool:
        """Whether any of its networks has an OCR head."""
        heads = [choice.values for choice in self.choices if choice.key == "HEAD"]
        return OCR in (HEAD_WORDS[v] for v in heads[0]) if heads else self.base.has_ocr

    @cached_property
    def networks(self) -> SearchSpace:
        """The space without its choices of training."""
        kept = tuple(choice for choice in self.choices if not choice.training)
        return self if len(kept) == len(self.choices) else replace(self, choices=kept)

    @property
    def trainings(self) -> int:
        """In how many ways each network may be trained."""
        return prod(len(choice.values) for choice in self.choices if choice.training)

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of each choice."""
        return tuple(len(choice.values) for choice in self.choices)

    @cached_property
    def size(self) -> int:
        """How many points can be built, exactly.

        Whether a point can be built depends on its branch counts and, those given, on each choice
        of channels alone: the rest multiplies.
        """
        counting = [i for i, c in enumerate(self.choices) if c.key == "NUM_BRANCHES"]
        channels = [i for i, c in enumerate(self.choices) if c.key == "NUM_CHANNELS"]
        free = prod(n for i, n in enumerate(self.shape) if i not in counting + channels)
        total = 0
        for levels in product(*(range(self.shape[i]) for i in counting)):
            point = np.zeros((1, len(self.choices)), dtype=np.int64)
            point[0, counting] = levels
            if self.branches_rise(point)[0]:
                total += prod(self._valid_levels(point, i) for i in channels) * (
                    self._valid_fixed(point, channels)
                )
        return total * free

    def batch(self, points: Points) -> ArchitectureBatch:
        """Return the architectures of points [n, d], valid or not."""
        points = np.atleast_2d(np.asarray(points, dtype=np.int64))
        levels = [write.table[points[:, write.column]] for write in self._writes]
        return self._written(levels, len(points))

    def _written(self, levels: Sequence[NDArray[np.int64]], count: int) -> ArchitectureBatch:
        """Return the base, `count` times, with what each choice writes into it [count, ...]."""
        arrays = {name: np.repeat(getattr(self._base, name), count, axis=0) for name in ARRAYS}
        for values, write in zip(levels, self._writes, strict=True):
            if write.key in OF_HEADS:
                arrays[OF_HEADS[write.key]] = values
                continue
            target = arrays[OF_STAGES[write.key]]
            for stage in write.stages:
                if write.branch is None:
                    target[:, stage] = values
                else:
                    target[:, stage, write.branch] = values
        present = np.arange(MAX_BRANCHES) < arrays["branches"][:, :, None]
        arrays["blocks"] = np.where(present, arrays["blocks"], 0)
        arrays["channels"] = np.where(present, arrays["channels"], 0)
        return ArchitectureBatch(**arrays, align_corners=self.base.align_corners)

    def all_fit_64_bits(self, size: tuple[int, int], classes: int) -> bool:
        """Return whether the costs of every point can be counted in 64 bits."""
        known = self._fitting.get((size, classes))
        if known is None:
            most = self._written([write.table.max(axis=0)[None] for write in self._writes], 1)
            known = self._fitting[size, classes] = fit_64_bits(most, size, classes)
        return known

    def decode(self, point: Sequence[int]) -> Architecture:
        """Return the architecture of one point."""
        return self.batch(np.array([point], dtype=np.int64)).architecture(0)

    def valid(self, points: Points) -> Bools:
        """Return which points can be built and keep the space's rules, [n]."""
        parts = [self._valid(self.batch(chunk)) for chunk in _chunks(points)]
        return np.concatenate([np.zeros(0, dtype=np.bool_), *parts])

    @property
    def has_rules(self) -> bool:
        """Whether points that can be built may not be valid."""
        return self.target != ANY or bool(self.require)

    def broken(self, points: Points) -> dict[str, Bools]:
        """Return by rule which points [n, d] break it, each as a message names it."""
        return dict(self._broken(self.batch(points)))

    def divides_by_zero(self, points: Points) -> dict[str, Bools]:
        """Return by requirement for which points [n, d] it divides by zero."""
        networks, found = self._networks(self.batch(points)), {}
        for rule in self.require:
            rule.holds(networks)
            found[rule.text] = networks.undefined
        return found

    def _valid(self, batch: ArchitectureBatch) -> Bools:
        kept = batch.valid()
        for _, broken in TARGETS[self.target](batch, self.classes):
            kept &= ~broken
        # Costs take longest to count: once, and only of what the other rules leave.
        for with_costs in (False, True):
            rules = [rule for rule in self.require if rule.counts_costs == with_costs]
            if rules:
                left = self._networks(batch.taken(kept))
                kept[kept] = np.logical_and.reduce([rule.holds(left) for rule in rules])
        return kept

    def _broken(self, batch: ArchitectureBatch) -> Iterator[tuple[str, Bools]]:
        for why, broken in TARGETS[self.target](batch, self.classes):
            yield f"target {self.target}: {why}", broken
        networks = self._networks(batch)
        for rule in self.require:
            yield f"require {rule.text}", ~rule.holds(networks)

    def _networks(self, batch: ArchitectureBatch) -> Networks:
        size, classes = self.input_size, self.classes
        safe = self.all_fit_64_bits(size, classes)
        return Networks(batch, lambda: batch_costs(batch, size, classes, safe))

    def within_limits(self, points: Points) -> Bools:
        """Return which valid points keep the limits that are known without measuring, [n]."""
        known = any(limit.objective in COST_NAMES for limit in self.limits)
        if not known or not len(points):
            return np.ones(len(points), dtype=np.bool_)
        return self.keeps_limits(costs(self, points))

    def keeps_limits(self, found: NDArray[np.generic]) -> Bools:
        """Return which exact costs [n, 3] keep the limits, [n]."""
        most = np.full(len(COST_NAMES), np.inf)
        for limit in self.limits:
            if limit.objective in COST_NAMES:
                most[COST_NAMES.index(limit.objective)] = limit.at_most
        return np.asarray((found <= most).all(axis=1), dtype=np.bool_)

    def canonical(self, points: Points) -> Points:
        """Return for each point one that computes the same, and mostly the same for all that do.

        What two choices have to change together, such as the modules and the blocks of a stage of
        one branch, stays two points: ids tell. Choice by choice the lowest level is taken that
        leaves what is read of the architecture as it is, and a valid point valid: levels of a
        branch that does not exist come to the first.
        """
        # Not -1: of a space that varies training alone points have no columns.
        points = np.array(points, dtype=np.int64).reshape(len(points), len(self.choices))
        parts = [self._canonical(chunk) for chunk in _chunks(points)]
        return np.concatenate([points[:0], *parts])

    def drawn(self, rng: np.random.Generator, count: int) -> Points:
        """Return points at random, valid or not, [count, d]."""
        size = (count, len(self.choices))
        return np.asarray(rng.integers(0, self.shape, size=size, dtype=np.int64))

    def points(self) -> Iterator[Point]:
        """Yield every valid point, the last choice turning fastest."""
        for chunk in self.index_chunks():
            for row in chunk[self.valid(chunk)].tolist():
                yield tuple(row)

    def index_chunks(self) -> Iterator[Points]:
        """Yield all points, valid or not, in arrays of bounded size."""
        total = prod(self.shape)
        for start in range(0, total, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, total))
            columns = np.unravel_index(numbers, self.shape) if self.shape else ()
            yield np.stack([*columns], axis=1) if columns else np.zeros((1, 0), dtype=np.int64)

    @cached_property
    def _writes(self) -> tuple[Write, ...]:
        choices = enumerate(self.choices)
        return tuple(Write.of(i, choice) for i, choice in choices if not choice.training)

    def _canonical(self, points: Points) -> Points:
        batch = self.batch(points)
        rows = batch.rows()
        # Of equal computations one may be spelled as a rule wants it and another not.
        ruled = self._valid(batch) if self.require else np.zeros(len(points), dtype=np.bool_)
        for write in self._writes:
            column = write.column
            undecided = np.ones(len(points), dtype=np.bool_)
            # Where each level writes other numbers, either none of them is read or all are told
            # apart: the first one alone says which.
            for level in range(1 if write.distinct else len(write.table) - 1):
                undecided &= points[:, column] > level
                tried = points[undecided]
                if not len(tried):
                    break
                tried[:, column] = level
                other = self.batch(tried)
                same = (other.rows() == rows[undecided]).all(axis=1)
                if self.require:
                    same &= self._valid(other) | ~ruled[undecided]
                chosen = np.flatnonzero(undecided)[same]
                points[chosen, column] = level
                undecided[chosen] = False
        return points

    def branches_rise(self, points: Points) -> Bools:
        branches = self.batch(points).branches
        return np.asarray((np.diff(branches, axis=1) >= 0).all(axis=1))

    def _valid_levels(self, point: Points, column: int) -> int:
        """Return how many levels of a choice of channels suit the branch counts of a point."""
        tried = np.repeat(point, self.shape[column], axis=0)
        tried[:, column] = np.arange(self.shape[column])
        return int(self.channels_fit(tried, [self.choices[column]]).sum())

    def _valid_fixed(self, point: Points, channels: list[int]) -> int:
        """Return 1 if the channels that no choice sets suit the branch counts of a point."""
        batch = self.batch(point)
        counted = np.zeros((4, MAX_BRANCHES), dtype=np.bool_)
        for choice in (self.choices[i] for i in channels):
            for stage in choice.stages:
                counted[stage, slice(None) if choice.branch is None else choice.branch] = True
        fits = (batch.channels >= 1) & (batch.channels <= MAX_COUNT)
        return int((fits | ~batch.present() | counted).all())

    def channels_fit(self, points: Points, choices: list[Choice]) -> Bools:
        batch = self.batch(points)
        fits = (batch.channels >= 1) & (batch.channels <= MAX_COUNT) | ~batch.present()
        kept = np.ones(len(points), dtype=np.bool_)
        for choice in choices:
            for stage in choice.stages:
                one = (
                    slice(None)
                    if choice.branch is None
                    else slice(choice.branch, choice.branch + 1)
                )
                kept &= fits[:, stage, one].all(axis=1)
        return kept


def costs(
    space: SearchSpace,
    points: Points,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
) -> Points:
    """Return parameters, MACs and activations of points [n, d], int64 [n, 3].

    For images of `size` = (height, width) and `classes` classes; the space's own if not given.
    Points that are not valid give numbers without meaning; raise InputError for what are none.
    """
    points = _points(space, points)
    size = space.input_size if size is None else size
    classes = space.classes if classes is None else classes
    check_input(size, classes)
    safe = space.all_fit_64_bits(size, classes)
    parts = [batch_costs(space.batch(chunk), size, classes, safe) for chunk in _chunks(points)]
    return np.concatenate([np.zeros((0, 3), dtype=np.int64), *parts])


def _points(space: SearchSpace, points: Points) -> Points:
    """Return points as an array. A level below 0 would be counted from the end of its choice."""
    rows = np.asarray(points)
    if rows.shape[-1:] != (len(space.choices),) or not np.issubdtype(rows.dtype, np.integer):
        wrong = f"are {rows.dtype} of the shape {list(rows.shape)}"
        allowed = f"integers [n, {len(space.choices)}], a level of each choice"
        raise InputError(Fault("points", None, wrong, allowed))
    if ((rows < 0) | (rows >= np.array(space.shape))).any():
        wrong, allowed = "have a level that their choice has not", f"0 to below {space.shape}"
        raise InputError(Fault("points", None, wrong, allowed))
    return rows


def exact_limits(space: SearchSpace) -> tuple[Limit, ...]:
    """Return the limits that are known without building."""
    return tuple(limit for limit in space.limits if OBJECTIVES[limit.objective].exact)


def _chunks(points: Points) -> Iterator[Points]:
    for start in range(0, len(points), CHUNK):
        yield points[start : start + CHUNK]


def _filled(base: Architecture) -> ArchitectureBatch:
    """Return the base with all four branches a stage could get.

    A branch that its own lists lack repeats the last block count and doubles the last width.
    """
    batch = ArchitectureBatch.of([base])
    for s, stage in enumerate(base.stages):
        for b in range(stage.branches, MAX_BRANCHES):
            batch.blocks[0, s, b] = batch.blocks[0, s, b - 1]
            batch.channels[0, s, b] = batch.channels[0, s, b - 1] * 2
    return batch
