"""`fidelity: thaw`: many variants to the first rung, where they pause; the most promising go on.

What goes on is chosen beside what is new, by the one sampler: a proposal that is paused is taken
from its checkpoint to the end of its schedule, any other from its first step.
"""

from __future__ import annotations

from functools import cached_property

from hrnet_search.arch.cost import cost
from hrnet_search.records.trial import RungResult
from hrnet_search.search.fidelity.first_study import FirstStudy
from hrnet_search.search.trials import Costs
from hrnet_search.store.trial_rows import SHORT, Ask

PAUSED_TRIALS = 0.6
"""Trials that are paused at the first rung for each whole one that a study is of."""

BYTES_A_PARAMETER = 16
"""Of a checkpoint, at most: weights, two moments and averaged weights, four bytes each."""


class Thaw(FirstStudy):
    """Pauses trials at the first rung, while their checkpoints take less than `Plan.paused`."""

    share = PAUSED_TRIALS

    @cached_property
    def _counted(self) -> dict[int, int]:
        return {}

    @property
    def step(self) -> int:
        """The first rung."""
        return self._plan.rungs[0]

    def goes_on(self, ask: Ask, rung: RungResult, costs: Costs | None) -> bool:  # noqa: ARG002
        """Return whether a trial is one of the search: others pause."""
        return ask.purpose != SHORT or rung.step >= self._plan.rungs[-1]

    @property
    def _asks_more(self) -> bool:
        return super()._asks_more and self._bytes() < self._plan.paused

    def _bytes(self) -> int:
        """Return what checkpoints of the trials that are paused, or will be, take at most."""
        asks = self._book.asks.items()
        kept = [ask for n, ask in asks if ask.purpose == SHORT and n not in self._book.results]
        return BYTES_A_PARAMETER * sum(self._parameters(ask) for ask in kept)

    def _parameters(self, ask: Ask) -> int:
        if ask.number not in self._counted:
            size, classes = self._plan.latency.size, self._plan.schedule.data.classes
            self._counted[ask.number] = cost(ask.architecture, size, classes).params
        return self._counted[ask.number]
