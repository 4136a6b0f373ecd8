"""Rules of a space's own, `require`: comparisons over what its networks are and cost.

A rule is written as Python writes an expression, parsed by `ast` and never run: each node becomes
a function over arrays of many networks. Only comparisons of keys and costs, arithmetic, `min`,
`max`, `sum` over branches and `and`, `or`, `not` are known.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import EXPANSION, FUSE_METHODS, HEAD_WORDS
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.errors import nearest

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

LONGEST = 500
"""Characters of one rule: what is longer nests deeper than a parser likes."""

STAGES = ("STAGE1", "STAGE2", "STAGE3", "STAGE4")
NUMBERS = {"NUM_MODULES": "modules", "NUM_BRANCHES": "branches"}
LISTS = {"NUM_BLOCKS": "blocks", "NUM_CHANNELS": "channels"}
WORDS = {"BLOCK": tuple(EXPANSION), "FUSE_METHOD": tuple(FUSE_METHODS)}
HEADS = tuple(HEAD_WORDS)
KEYS = (*NUMBERS, *LISTS, *WORDS)
OCR = {"MID_CHANNELS": "mid_channels", "KEY_CHANNELS": "key_channels"}
PLAIN = ("width", "FINAL_CONV_KERNEL", "HEAD", *(f"OCR.{key}" for key in OCR))
ALLOWED_NAMES = f"{', '.join((*PLAIN, *COST_NAMES))}, STAGE1 to STAGE4 with .{', .'.join(KEYS)}"
ALLOWED = (
    "comparisons of keys, costs and numbers; + - * / // % **, min, max, sum over branches,"
    " and, or, not"
)

ARITHMETIC: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
DIVISIONS = (ast.Div, ast.FloorDiv, ast.Mod)
COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
SAME = (ast.Eq, ast.NotEq)
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "min": lambda v, here: np.where(here, v, np.inf).min(axis=1),
    "max": lambda v, here: np.where(here, v, -np.inf).max(axis=1),
    "sum": lambda v, here: np.where(here, v, 0).sum(axis=1),
}
PAIRWISE = {"min": np.minimum, "max": np.maximum}


class RuleError(ValueError):
    """A rule cannot be read: where in its text, from 0, what is wrong, and what is allowed."""

    def __init__(self, column: int, wrong: str, allowed: str = ALLOWED) -> None:
        super().__init__(wrong)
        self.column, self.wrong, self.allowed = column, wrong, allowed


@dataclass
class Networks:
    """What rules read: networks as arrays, and their costs if a rule asks for them.

    `undefined` are those for which the rule that is read divided by zero, `absent` those that lack
    a branch, or a head, which the comparison that is read names.
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
class _Number:
    """A number a network, [n]; a `constant` is the same for all."""

    of: Callable[[Networks], Floats]
    constant: bool = False


@dataclass(frozen=True, slots=True)
class _List:
    """A number a branch and which branches there are, both [n, 4]."""

    of: Callable[[Networks], tuple[Floats, Bools]]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word a network, [n], out of `known`; a constant has none."""

    of: Callable[[Networks], NDArray[np.str_]]
    known: tuple[str, ...]
    constant: str = ""


@dataclass(frozen=True, slots=True)
class _Truth:
    """Whether something holds of each network, [n]."""

    of: Callable[[Networks], Bools]


_Part = _Number | _List | _Word | _Truth


@dataclass(frozen=True)
class Requirement:
    """A rule as it is written; raises RuleError where it cannot be read."""

    text: str

    def __post_init__(self) -> None:
        _ = self._truth  # now, not when the first network is held against it

    def __reduce__(self) -> tuple[type[Requirement], tuple[str]]:
        # What it is parsed into are functions, which cannot go to another process.
        return Requirement, (self.text,)

    @cached_property
    def counts_costs(self) -> bool:
        """Whether it asks for costs, which are counted over all of a network."""
        names = {n.id for n in ast.walk(_parsed(self.text)) if isinstance(n, ast.Name)}
        return not names.isdisjoint(COST_NAMES)

    def holds(self, networks: Networks) -> Bools:
        """Return which networks keep the rule, [n]; one that divides by zero does not."""
        networks.undefined = networks.none
        with np.errstate(all="ignore"):
            return self._truth.of(networks) & ~networks.undefined

    @cached_property
    def _truth(self) -> _Truth:
        if len(self.text) > LONGEST:
            raise RuleError(0, f"is longer than {LONGEST} characters", "several rules")
        part = _read(_parsed(self.text))
        if not isinstance(part, _Truth):
            raise RuleError(0, "is not a comparison", "a rule such as width % 8 == 0")
        return part


def _parsed(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on odd literals
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise RuleError(max(0, (error.offset or 1) - 1), "cannot be read from here on") from None
    except (RecursionError, MemoryError, ValueError):
        raise RuleError(0, "is nested too deeply") from None


def _read(node: ast.expr) -> _Part:
    match node:
        case ast.Constant():
            return _constant(node)
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return _key(node)
        case ast.UnaryOp():
            return _unary(node)
        case ast.BinOp():
            return _arithmetic(node)
        case ast.Compare():
            return _comparison(node)
        case ast.BoolOp():
            return _joined(node)
        case ast.Call():
            return _reduced(node)
    raise RuleError(node.col_offset, f"{_written(node)} is not allowed in a rule")


def _constant(node: ast.Constant) -> _Part:
    value = node.value
    if isinstance(value, str):
        return _Word(lambda n: np.full(len(n.batch), value), (), value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(node.col_offset, f"{_written(node)} is not allowed in a rule")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise RuleError(node.col_offset, "a number is too large", "numbers up to 1e308")
    return _Number(lambda n: np.full(len(n.batch), number), constant=True)


def _key(node: ast.expr) -> _Part:
    match node:
        case ast.Name(id="width"):
            return _Number(lambda n: n.batch.channels[:, 3, 0].astype(np.float64))
        case ast.Name(id="FINAL_CONV_KERNEL"):
            return _of_head("final_kernel", has_ocr=False)
        case ast.Name(id="HEAD"):
            return _Word(lambda n: np.array(HEADS)[n.batch.ocr], HEADS)
        case ast.Attribute(value=ast.Name(id="OCR"), attr=key) if key in OCR:
            return _of_head(OCR[key], has_ocr=True)
        case ast.Name(id=name) if name in COST_NAMES:
            column = COST_NAMES.index(name)
            return _Number(lambda n: n.costs[:, column])
        case ast.Attribute(value=ast.Name(id=stage), attr=key) if stage in STAGES and key in KEYS:
            return _of_stage(STAGES.index(stage), key)
        case ast.Subscript(value=ast.Attribute() as part, slice=ast.Constant(value=branch)):
            return _of_branch(node, _key(part), branch)
    written = _written(node)
    if isinstance(node, ast.Name) and node.id in STAGES:
        raise RuleError(node.col_offset, f"{written} alone says nothing", f"{written}.{KEYS[0]}")
    paths = [f"{stage}.{key}" for stage in STAGES for key in KEYS]
    hint = nearest(written, [*PLAIN, *COST_NAMES, *paths])
    raise RuleError(node.col_offset, f"{written} is not known{hint}", ALLOWED_NAMES)


def _of_head(array: str, has_ocr: bool) -> _Number:
    """Return what one head reads; a network with the other has it as little as a lost branch."""

    def of(networks: Networks) -> Floats:
        networks.absent = networks.absent | (networks.batch.ocr != has_ocr)
        return np.asarray(getattr(networks.batch, array), dtype=np.float64)

    return _Number(of)


def _of_stage(stage: int, key: str) -> _Part:
    if key in NUMBERS:
        array = NUMBERS[key]
        return _Number(lambda n: getattr(n.batch, array)[:, stage].astype(np.float64))
    if key in LISTS:
        array = LISTS[key]
        return _List(
            lambda n: (
                getattr(n.batch, array)[:, stage].astype(np.float64),
                n.batch.present()[:, stage],
            )
        )
    if key == "BLOCK":
        return _Word(
            lambda n: np.where(n.batch.expansion[:, stage] == 1, "BASIC", "BOTTLENECK"), WORDS[key]
        )
    return _Word(lambda n: np.where(n.batch.cat[:, stage] == 1, "CAT", "SUM"), WORDS[key])


def _of_branch(node: ast.expr, part: _Part, branch: object) -> _Number:
    if not isinstance(part, _List) or type(branch) is not int or not 0 <= branch <= 3:
        wrong = f"{_written(node)} is not a branch"
        raise RuleError(node.col_offset, wrong, "NUM_BLOCKS[0] to NUM_CHANNELS[3]")
    number: int = branch

    def of(networks: Networks) -> Floats:
        values, here = part.of(networks)
        networks.absent = networks.absent | ~here[:, number]
        return values[:, number]

    return _Number(of)


def _unary(node: ast.UnaryOp) -> _Part:
    part = _read(node.operand)
    if isinstance(node.op, ast.Not):
        truth = _truth_of(node.operand, part)
        return _Truth(lambda n: ~truth.of(n))
    if isinstance(node.op, ast.USub):
        minus = _Number(lambda n: np.full(len(n.batch), -1.0), constant=True)
        return _combined(node, part, minus, operator.mul, is_division=False)
    raise RuleError(node.col_offset, f"{_written(node)} is not allowed in a rule")


def _arithmetic(node: ast.BinOp) -> _Part:
    if type(node.op) not in ARITHMETIC:
        raise RuleError(node.col_offset, f"{_written(node)} is not allowed in a rule")
    left, right = _read(node.left), _read(node.right)
    division = isinstance(node.op, DIVISIONS)
    return _combined(node, left, right, ARITHMETIC[type(node.op)], division)


def _combined(
    node: ast.expr, left: _Part, right: _Part, combine: Callable[..., Any], is_division: bool
) -> _Part:
    """Return arithmetic of numbers and lists; a list with a list is branch by branch."""
    for part in (left, right):
        if not isinstance(part, _Number | _List):
            raise RuleError(node.col_offset, f"{_written(node)} is not arithmetic of numbers")
    if isinstance(left, _Number) and isinstance(right, _Number):
        first, second = left, right

        def number(networks: Networks) -> Floats:
            over = second.of(networks)
            if is_division:
                networks.undefined = networks.undefined | (over == 0)
            return np.asarray(combine(first.of(networks), over), dtype=np.float64)

        return _Number(number, left.constant and right.constant)

    def listed(networks: Networks) -> tuple[Floats, Bools]:
        one, two = _as_list(left, networks), _as_list(right, networks)
        here = one[1] & two[1]
        if is_division:
            zero = (here & (two[0] == 0)).any(axis=1)
            networks.undefined = networks.undefined | zero
        return np.asarray(combine(one[0], two[0]), dtype=np.float64), here

    return _List(listed)


def _as_list(part: _Part, networks: Networks) -> tuple[Floats, Bools]:
    if isinstance(part, _List):
        return part.of(networks)
    assert isinstance(part, _Number)
    values = part.of(networks)[:, None]
    return np.repeat(values, 4, axis=1), np.ones((len(values), 4), dtype=np.bool_)


def _comparison(node: ast.Compare) -> _Truth:
    parts = [_read(part) for part in (node.left, *node.comparators)]
    if all((isinstance(p, _Number) and p.constant) or _is_constant_word(p) for p in parts):
        raise RuleError(node.col_offset, f"{_written(node)} says nothing of a network")
    pairs = zip(parts, node.ops, parts[1:], strict=False)
    truths = [_compared(node, left, op, right) for left, op, right in pairs]
    return _all_of(truths)


def _is_constant_word(part: _Part) -> bool:
    return isinstance(part, _Word) and bool(part.constant)


def _compared(node: ast.Compare, left: _Part, op: ast.cmpop, right: _Part) -> _Truth:
    if type(op) not in COMPARISONS:
        raise RuleError(node.col_offset, f"{_written(node)} is not allowed in a rule")
    compare = COMPARISONS[type(op)]
    if isinstance(left, _Word) and isinstance(right, _Word):
        _check_words(node, left, right, isinstance(op, SAME))
        one, two = left, right
        return _Truth(lambda n: np.asarray(compare(one.of(n), two.of(n)), dtype=np.bool_))
    for part in (left, right):
        if not isinstance(part, _Number | _List):
            wrong = f"{_written(node)} compares what cannot be compared"
            raise RuleError(node.col_offset, wrong, "numbers with numbers, words with words")

    def truth(networks: Networks) -> Bools:
        networks.absent = networks.none
        first, second = _as_list(left, networks), _as_list(right, networks)
        here = first[1] & second[1]
        held = (compare(first[0], second[0]) | ~here).all(axis=1)
        return np.asarray(held | networks.absent, dtype=np.bool_)

    return _Truth(truth)


def _check_words(node: ast.Compare, left: _Word, right: _Word, same: bool) -> None:
    known = left.known or right.known
    if not same:
        raise RuleError(node.col_offset, "words have no order", "== and !=")
    for word in (left, right):
        if word.constant and word.constant not in known:
            hint = nearest(word.constant, known)
            wrong = f"{word.constant!r} is not known{hint}"
            raise RuleError(node.col_offset, wrong, ", ".join(known))
    if left.known and right.known and left.known != right.known:
        wrong = f"{_written(node)} compares what cannot be compared"
        raise RuleError(node.col_offset, wrong, "words of one kind")


def _joined(node: ast.BoolOp) -> _Truth:
    truths = [_truth_of(part, _read(part)) for part in node.values]
    if isinstance(node.op, ast.And):
        return _all_of(truths)
    return _Truth(lambda n: reduce(operator.or_, (truth.of(n) for truth in truths)))


def _all_of(truths: Sequence[_Truth]) -> _Truth:
    if len(truths) == 1:
        return truths[0]
    return _Truth(lambda n: reduce(operator.and_, (truth.of(n) for truth in truths)))


def _truth_of(node: ast.expr, part: _Part) -> _Truth:
    if isinstance(part, _Truth):
        return part
    raise RuleError(node.col_offset, f"{_written(node)} is not a comparison")


def _reduced(node: ast.Call) -> _Number:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in REDUCTIONS or node.keywords or not node.args:
        wrong = f"{_written(node)} is not allowed in a rule"
        raise RuleError(node.col_offset, wrong, "min, max and sum are the only functions")
    parts = [_read(part) for part in node.args]
    if len(parts) == 1 and isinstance(parts[0], _List):
        over, reduction = parts[0], REDUCTIONS[name]
        return _Number(lambda n: np.asarray(reduction(*over.of(n)), dtype=np.float64))
    numbers = [part for part in parts if isinstance(part, _Number)]
    if name not in PAIRWISE or len(numbers) != len(parts) or len(parts) == 1:
        wrong = f"{_written(node)} is not of a list"
        allowed = f"{name} of NUM_BLOCKS or NUM_CHANNELS, min and max also of two numbers or more"
        raise RuleError(node.col_offset, wrong, allowed)
    smaller = PAIRWISE[name]
    constant = all(part.constant for part in numbers)
    return _Number(lambda n: reduce(smaller, (part.of(n) for part in numbers)), constant)


def _written(node: ast.expr) -> str:
    """Return a part of a rule as it is written, but for spaces."""
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
