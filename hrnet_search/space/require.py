"""Rules of a space's own, `require`: comparisons over what its networks are and cost.

A rule is written as Python writes an expression, parsed by `ast` and never run: each node becomes
a function over arrays of many networks. Only comparisons of keys and costs, arithmetic, `min`,
`max`, `sum` over branches and `and`, `or`, `not` are known.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.errors import nearest
from hrnet_search.space.rule_keys import (
    SMALL_ENOUGH,
    Bools,
    Floats,
    List,
    Networks,
    Number,
    Part,
    RuleError,
    Truth,
    Word,
    as_written,
    read_constant,
    read_key,
)

LONGEST = 500
"""Characters of one rule: what is longer nests deeper than a parser likes."""

MOST_POWER = 20
"""The highest power of a key: numbers up to 10^12 stay within 1e308."""

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

TOO_DEEP = "is nested too deeply"


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
    def _truth(self) -> Truth:
        if len(self.text) > LONGEST:
            raise RuleError(0, f"is longer than {LONGEST} characters", "several rules")
        try:
            part = _read(_parsed(self.text))
        except RecursionError:
            raise RuleError(0, TOO_DEEP) from None
        if not isinstance(part, Truth):
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
        raise RuleError(0, TOO_DEEP) from None


def _read(node: ast.expr) -> Part:
    match node:
        case ast.Constant():
            return read_constant(node)
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return read_key(node)
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
    raise RuleError(node.col_offset, f"{as_written(node)} is not allowed in a rule")


def _unary(node: ast.UnaryOp) -> Part:
    part = _read(node.operand)
    if isinstance(node.op, ast.Not):
        truth = _truth_of(node.operand, part)
        return _negated(truth)
    if isinstance(node.op, ast.USub):
        minus = Number(lambda n: np.full(len(n.batch), -1.0), -1.0)
        return _combined(node, part, minus, operator.mul, is_division=False)
    raise RuleError(node.col_offset, f"{as_written(node)} is not allowed in a rule")


def _arithmetic(node: ast.BinOp) -> Part:
    if type(node.op) not in ARITHMETIC:
        raise RuleError(node.col_offset, f"{as_written(node)} is not allowed in a rule")
    left, right = _read(node.left), _read(node.right)
    if isinstance(node.op, ast.Pow):
        _check_power(node, left, right)
    return _combined(node, left, right, ARITHMETIC[type(node.op)], isinstance(node.op, DIVISIONS))


def _combined(
    node: ast.expr, left: Part, right: Part, combine: Callable[..., Any], is_division: bool
) -> Part:
    """Return arithmetic of numbers and lists; a list with a list is branch by branch."""
    for part in (left, right):
        if not isinstance(part, Number | List):
            raise RuleError(node.col_offset, f"{as_written(node)} is not arithmetic of numbers")
    if isinstance(left, Number) and isinstance(right, Number):
        first, second = left, right

        def number(networks: Networks) -> Floats:
            one, two = first.of(networks), second.of(networks)
            found = np.asarray(combine(one, two), dtype=np.float64)
            networks.undefined = networks.undefined | _is_none(found, one, two)
            return found

        return Number(number, _constant(node, first, second, combine, is_division))

    def listed(networks: Networks) -> tuple[Floats, Bools]:
        one, two = _as_list(left, networks), _as_list(right, networks)
        here = one[1] & two[1]
        found = np.asarray(combine(one[0], two[0]), dtype=np.float64)
        none = here & _is_none(found, one[0], two[0])
        networks.undefined = networks.undefined | none.any(axis=1)
        return found, here

    return List(listed)


def _is_none(found: Floats, one: Floats, two: Floats) -> Bools:
    """Return where arithmetic of numbers gave none: divided by zero, or a root of less than it."""
    return np.asarray(~np.isfinite(found) & np.isfinite(one) & np.isfinite(two), dtype=np.bool_)


def _check_power(node: ast.BinOp, left: Part, right: Part) -> None:
    """Raise RuleError for a power of a key that no number could hold."""
    exponent = right.value if isinstance(right, Number) else None
    varied = not (isinstance(left, Number) and left.constant)
    if varied and exponent is not None and abs(exponent) > MOST_POWER:
        wrong = f"{as_written(node)} is too high a power"
        raise RuleError(node.col_offset, wrong, f"exponents up to {MOST_POWER}")


def _constant(
    node: ast.expr, left: Number, right: Number, combine: Callable[..., Any], is_division: bool
) -> float | None:
    """Return what arithmetic of two constants is, None where one is none.

    Python would compute an integer of any length; here they are floats of 64 bits.
    """
    if left.value is None or right.value is None:
        return None
    if np.isnan(left.value) or np.isnan(right.value) or (is_division and not right.value):
        return float("nan")  # which is said where the rule is held against networks
    with np.errstate(all="ignore"):
        value = float(combine(np.float64(left.value), np.float64(right.value)))
    if np.isinf(value):
        raise RuleError(node.col_offset, f"{as_written(node)} is too large", SMALL_ENOUGH)
    if np.isnan(value):
        raise RuleError(node.col_offset, f"{as_written(node)} is no number", "real numbers")
    return value


def _as_list(part: Part, networks: Networks) -> tuple[Floats, Bools]:
    if isinstance(part, List):
        return part.of(networks)
    assert isinstance(part, Number)
    values = part.of(networks)[:, None]
    return np.repeat(values, 4, axis=1), np.ones((len(values), 4), dtype=np.bool_)


def _comparison(node: ast.Compare) -> Truth:
    parts = [_read(part) for part in (node.left, *node.comparators)]
    if all((isinstance(p, Number) and p.constant) or _is_constant_word(p) for p in parts):
        raise RuleError(node.col_offset, f"{as_written(node)} says nothing of a network")
    pairs = zip(parts, node.ops, parts[1:], strict=False)
    truths = [_compared(node, left, op, right) for left, op, right in pairs]
    return _all_of(truths)


def _is_constant_word(part: Part) -> bool:
    return isinstance(part, Word) and bool(part.constant)


def _compared(node: ast.Compare, left: Part, op: ast.cmpop, right: Part) -> Truth:
    if type(op) not in COMPARISONS:
        raise RuleError(node.col_offset, f"{as_written(node)} is not allowed in a rule")
    compare = COMPARISONS[type(op)]
    if isinstance(left, Word) and isinstance(right, Word):
        _check_words(node, left, right, isinstance(op, SAME))
        one, two = left, right

        def same(networks: Networks) -> Bools:
            return np.asarray(compare(one.of(networks), two.of(networks)), dtype=np.bool_)

        return Truth(same, lambda n: ~same(n))
    for part in (left, right):
        if not isinstance(part, Number | List):
            wrong = f"{as_written(node)} compares what cannot be compared"
            raise RuleError(node.col_offset, wrong, "numbers with numbers, words with words")

    def held(networks: Networks) -> Bools:
        before, networks.absent, networks.undefined = networks.undefined, *(2 * [networks.none])
        first, second = _as_list(left, networks), _as_list(right, networks)
        here = first[1] & second[1]
        # Of what a network has not nothing is divided, whichever side names it.
        networks.undefined = before | (networks.undefined & ~networks.absent)
        return np.asarray((compare(first[0], second[0]) | ~here).all(axis=1), dtype=np.bool_)

    return Truth(lambda n: held(n) | n.absent, lambda n: ~held(n) | n.absent)


def _check_words(node: ast.Compare, left: Word, right: Word, same: bool) -> None:
    known = left.known or right.known
    if not same:
        raise RuleError(node.col_offset, "words have no order", "== and !=")
    for word in (left, right):
        if word.constant and word.constant not in known:
            hint = nearest(word.constant, known)
            wrong = f"{word.constant!r} is not known{hint}"
            raise RuleError(node.col_offset, wrong, ", ".join(known))
    if left.known and right.known and left.known != right.known:
        wrong = f"{as_written(node)} compares what cannot be compared"
        raise RuleError(node.col_offset, wrong, "words of one kind")


def _joined(node: ast.BoolOp) -> Truth:
    truths = [_truth_of(part, _read(part)) for part in node.values]
    if isinstance(node.op, ast.And):
        return _all_of(truths)
    return _negated(_all_of(map(_negated, truths)))


def _all_of(truths: Iterable[Truth]) -> Truth:
    every = list(truths)
    return Truth(
        lambda n: reduce(operator.and_, (truth.of(n) for truth in every)),
        lambda n: reduce(operator.or_, (truth.negated(n) for truth in every)),
    )


def _negated(truth: Truth) -> Truth:
    return Truth(truth.negated, truth.of)


def _truth_of(node: ast.expr, part: Part) -> Truth:
    if isinstance(part, Truth):
        return part
    raise RuleError(node.col_offset, f"{as_written(node)} is not a comparison")


def _reduced(node: ast.Call) -> Number:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in REDUCTIONS or node.keywords or not node.args:
        wrong = f"{as_written(node)} is not allowed in a rule"
        raise RuleError(node.col_offset, wrong, "min, max and sum are the only functions")
    parts = [_read(part) for part in node.args]
    if len(parts) == 1 and isinstance(parts[0], List):
        over, reduction = parts[0], REDUCTIONS[name]
        return Number(lambda n: np.asarray(reduction(*over.of(n)), dtype=np.float64))
    numbers = [part for part in parts if isinstance(part, Number)]
    if name not in PAIRWISE or len(numbers) != len(parts) or len(parts) == 1:
        wrong = f"{as_written(node)} is not of a list"
        allowed = f"{name} of NUM_BLOCKS or NUM_CHANNELS, min and max also of two numbers or more"
        raise RuleError(node.col_offset, wrong, allowed)
    smaller = PAIRWISE[name]
    values = [part.value for part in numbers if part.value is not None]
    value = float(reduce(smaller, values)) if len(values) == len(numbers) else None
    return Number(lambda n: reduce(smaller, (part.of(n) for part in numbers)), value)
