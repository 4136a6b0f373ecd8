"""Counts as people read them: with k, M or G, powers of 1000."""

from __future__ import annotations

UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def in_units(count: float) -> tuple[float, str]:
    """Return a count in the largest unit that it reaches, and the unit's letter: 1.5 and M."""
    # Rounded first: 999,700 are 1M and not 1000k.
    rounded = float(f"{count:.3g}")
    factor, letter = next((unit for unit in UNITS if rounded >= unit[0]), (1.0, ""))
    return count / factor, letter


def short(count: float) -> str:
    """Return a count at three digits: 1.5M."""
    number, letter = in_units(count)
    return f"{digits(number)}{letter}"


def digits(number: float) -> str:
    """Return a number at three digits, more before the point in full: 1500 and never 1.5e+03."""
    return f"{number:.3g}" if number < 999.5 else f"{number:.0f}"


def aligned(count: int) -> str:
    """Return a count for a column of a table: 1.50 M, and those below 1000 whole."""
    number, letter = in_units(count)
    return f"{number:.2f} {letter}" if letter else str(count)
