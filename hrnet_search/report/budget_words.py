"""Budgets in the words that people give and copy: `latency_ms<=20, params<=3M`."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context

from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.report.trust.candidates import COSTS

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
NUMBER = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
BUDGET = re.compile(rf"\s*([a-z_]+)\s*<=?\s*({NUMBER})\s*([kMGT]?)\s*")
SIX_DIGITS_UP = Context(prec=6, rounding=ROUND_CEILING)


def budgets_of(text: str) -> dict[str, float]:
    """Return the largest values that words like `latency_ms<=20, params<=3M` allow, by objective.

    Raise InputError for others.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        match = BUDGET.fullmatch(part)
        if not match or match[1] not in COSTS:
            allowed = f"one of {', '.join(COSTS)}, as in latency_ms<=20 or macs<=2.5G, params<=3M"
            raise InputError(Fault("--pick", text, f"{shown(part)} is not a budget", allowed))
        if match[1] in found:
            raise InputError(Fault("--pick", text, f"{match[1]} is given twice", "each cost once"))
        found[match[1]] = float(match[2]) * UNITS[match[3]]
    return found


def budget_in_words(cost: str, most: float) -> str:
    """Return words that `budgets_of` reads, of six digits or a whole number, rounded up.

    So what costs exactly that much is within it.
    """
    if most == int(most):
        return f"{cost}<={int(most)}"
    return f"{cost}<={SIX_DIGITS_UP.create_decimal(most).normalize():f}"
