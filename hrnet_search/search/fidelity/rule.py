"""Rule: what a brain asks of `search.fidelity`, and the rule that trains all to the end."""

from __future__ import annotations

from typing import Protocol

from hrnet_search.records.trial import RungResult
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.trials import Costs
from hrnet_search.store.trial_rows import SEARCH, Ask


class Rule(Protocol):
    """Says what a free worker trains next, and which trial goes on at a rung.

    Everything it says follows from what is committed, so a study that goes on hears the same.
    """

    def next(self) -> str | None:
        """Return the purpose of the next trial of the search; None: not before one has ended."""

    def exhausted(self, purpose: str) -> bool:
        """Take that no new point is left for a purpose; whether another may be next."""

    def sampler_of(self, purpose: str) -> Sampler | None:
        """Return who proposes the points of a purpose and learns from its trials.

        None where there is no such purpose, or not yet.
        """

    def begins(self, ask: Ask) -> bool:
        """Return whether a trial that waits may begin now; if not, it may when one has ended."""

    def goes_on(self, ask: Ask, rung: RungResult, costs: Costs | None) -> bool:
        """Return whether a trial goes on at a rung; `costs` are its own, None if not known."""

    def conclude(self) -> None:
        """Note how the rule did, once the study has ended."""


class WholeTrainings:
    """Trains every variant to the end of its schedule."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def next(self) -> str | None:
        """Return that the search goes on."""
        return SEARCH

    def exhausted(self, purpose: str) -> bool:  # noqa: ARG002 -- there is one
        """Return that nothing else may be next."""
        return False

    def sampler_of(self, purpose: str) -> Sampler | None:  # noqa: ARG002 -- there is one
        """Return the study's sampler."""
        return self._sampler

    def begins(self, ask: Ask) -> bool:  # noqa: ARG002
        """Return that every trial does."""
        return True

    def goes_on(self, ask: Ask, rung: RungResult, costs: Costs | None) -> bool:  # noqa: ARG002
        """Return that every trial does."""
        return True

    def conclude(self) -> None:
        """Note nothing."""
