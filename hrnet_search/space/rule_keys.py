"""What a rule may name of a network, its keys and costs, and how each is read from many at once."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import EXPANSION, FUSE_METHODS, HEAD_WORDS
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.errors import nearest

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

STAGES = ("STAGE1", "STAGE2", "STAGE3", "STAGE4")
NUMBERS = {"NUM_MODULES": "modules", "NUM_BRANCHES": "branches"}
LISTS = {"NUM_BLOCKS": "blocks", "NUM_CHANNELS": "channels"}
WORDS = {"BLOCK": tuple(EXPANSION), "FUSE_METHOD": tuple(FUSE_METHODS)}
HEADS = tuple(HEAD_WORDS)
KEYS = (*NUMBERS, *LISTS, *WORDS)
OCR = {"MID_CHANNELS": "mid_channels", "KEY_CHANNELS": "key_channels"}
PLAIN = ("width", "FINAL_CONV_KERNEL", "HEAD", *(f"OCR.{key}" for key in OCR))
ALLOWED_NAMES = f"{', '.join((*PLAIN, *COST_NAMES))}, STAGE1 to STAGE4 with .{', .'.join(KEYS)}"
SMALL_ENOUGH = "numbers up to 1e308"
ALLOWED = (
    "comparisons of keys, costs and numbers; + - * / // % **, min, max, sum over branches,"
    " and, or, not"
)


class RuleError(ValueError):
    """A rule cannot be read: where in its text, from 0, what is wrong, and what is allowed."""

    def __init__(self, column: int, wrong: str, allowed: str = ALLOWED) -> None:
        super().__init__(wrong)
        self.column, self.wrong, self.allowed = column, wrong, allowed


@dataclass
class Networks:
    """What rules read: networks as arrays, and their costs if a rule asks for them.

    `undefined` are those for which the rule being read divided by zero, `absent` those that lack a
    branch or a head that the comparison being read names.
    """

    batch: ArchitectureBatch
    count_costs: Callable[[], NDArray[Any]]
    undefined: Bools = field(init=False)
    absent: Bools = field(init=False)

    def __post_init__(self) -> None:
        self.undefined = self.absent = self.none

    @property
    def none(self) -> Bools:
        """None of the networks, [n]."""
        return np.zeros(len(self.batch), dtype=np.bool_)

    @cached_property
    def costs(self) -> Floats:
        """Parameters, MACs and activations, [n, 3]."""
        return np.asarray(self.count_costs(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Number:
    """A number a network, [n]; a constant has its `value`, nan where it divides by zero."""

    of: Callable[[Networks], Floats]
    value: float | None = None

    @property
    def constant(self) -> bool:
        """Whether it is the same for all networks."""
        return self.value is not None


@dataclass(frozen=True, slots=True)
class List:
    """A number a branch and which branches there are, both [n, 4]."""

    of: Callable[[Networks], tuple[Floats, Bools]]


@dataclass(frozen=True, slots=True)
class Word:
    """A word a network, [n], out of `known`; a constant has none."""

    of: Callable[[Networks], NDArray[np.str_]]
    known: tuple[str, ...]
    constant: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether something holds of each network, [n], and whether it does not.

    Of a network that has not what is compared both are true.
    """

    of: Callable[[Networks], Bools]
    negated: Callable[[Networks], Bools]


Part = Number | List | Word | Truth


def read_constant(node: ast.Constant) -> Part:
    """Return a number or a word; raise RuleError for what is neither, or too large."""
    value = node.value
    if isinstance(value, str):
        return Word(lambda n: np.full(len(n.batch), value), (), value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(node.col_offset, f"{as_written(node)} is not allowed in a rule")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise RuleError(node.col_offset, "a number is too large", SMALL_ENOUGH)
    return Number(lambda n: np.full(len(n.batch), number), number)


def read_key(node: ast.expr) -> Part:
    """Return what a name, or a path of names, stands for; raise RuleError if it is not known."""
    match node:
        case ast.Name(id="width"):
            return Number(lambda n: n.batch.channels[:, 3, 0].astype(np.float64))
        case ast.Name(id="FINAL_CONV_KERNEL"):
            return _of_head("final_kernel", has_ocr=False)
        case ast.Name(id="HEAD"):
            return Word(lambda n: np.array(HEADS)[n.batch.ocr], HEADS)
        case ast.Attribute(value=ast.Name(id="OCR"), attr=key) if key in OCR:
            return _of_head(OCR[key], has_ocr=True)
        case ast.Name(id=name) if name in COST_NAMES:
            column = COST_NAMES.index(name)
            return Number(lambda n: n.costs[:, column])
        case ast.Attribute(value=ast.Name(id=stage), attr=key) if stage in STAGES and key in KEYS:
            return _of_stage(STAGES.index(stage), key)
        case ast.Subscript(value=ast.Attribute() as part, slice=ast.Constant(value=branch)) as of:
            return _of_branch(of, read_key(part), branch)
    text = as_written(node)
    if isinstance(node, ast.Name) and node.id in STAGES:
        raise RuleError(node.col_offset, f"{text} alone says nothing", f"{text}.{KEYS[0]}")
    paths = [f"{stage}.{key}" for stage in STAGES for key in KEYS]
    hint = nearest(text, [*PLAIN, *COST_NAMES, *paths])
    raise RuleError(node.col_offset, f"{text} is not known{hint}", ALLOWED_NAMES)


def _of_head(array: str, has_ocr: bool) -> Number:
    """Return a key of one head; a network with the other lacks it, as it may lack a branch."""

    def of(networks: Networks) -> Floats:
        networks.absent = networks.absent | (networks.batch.ocr != has_ocr)
        return np.asarray(getattr(networks.batch, array), dtype=np.float64)

    return Number(of)


def _of_stage(stage: int, key: str) -> Part:
    if key in NUMBERS:
        array = NUMBERS[key]
        return Number(lambda n: getattr(n.batch, array)[:, stage].astype(np.float64))
    if key in LISTS:
        array = LISTS[key]
        return List(
            lambda n: (
                getattr(n.batch, array)[:, stage].astype(np.float64),
                n.batch.present()[:, stage],
            )
        )
    if key == "BLOCK":
        return Word(
            lambda n: np.where(n.batch.expansion[:, stage] == 1, "BASIC", "BOTTLENECK"), WORDS[key]
        )
    return Word(lambda n: np.where(n.batch.cat[:, stage] == 1, "CAT", "SUM"), WORDS[key])


def _of_branch(node: ast.Subscript, part: Part, branch: object) -> Number:
    if not isinstance(part, List) or type(branch) is not int or not 0 <= branch <= 3:
        wrong = f"{as_written(node)} is not a branch"
        allowed = f"{' and '.join(LISTS)} have [0] to [3]"
        if isinstance(part, List):
            allowed = f"{as_written(node.value)}[0] to {as_written(node.value)}[3]"
        raise RuleError(node.col_offset, wrong, allowed)
    number: int = branch

    def of(networks: Networks) -> Floats:
        values, here = part.of(networks)
        networks.absent = networks.absent | ~here[:, number]
        return values[:, number]

    return Number(of)


def as_written(node: ast.expr) -> str:
    """Return a part of a rule as it is written, but for spaces."""
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
