"""How long work tells how far it is, to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Told = Callable[[int, int, str], None]
"""Told before each part how many are done, how many there are, and which one it is."""


def nobody(done: int, parts: int, name: str) -> None:
    """Show nothing."""
