"""When the surrogate's hyperparameters are fitted, and to what.

Fits are a function of the results told first: one that goes on from a history that it was told
repeats the last few, and has the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from hrnet_search.search.problem import Floats
from hrnet_search.search.samplers.history import History
from hrnet_search.search.samplers.surrogate import Data, fitted

FIRST = 3
"""Results that the first fit waits for."""

GROWTH = 1.2
IN_A_ROW = 4
"""Every Nth fit starts from the priors, so that only the last few are ever repeated."""

COLD, WARM = 40, 15
"""Iterations of a fit from the priors, and from the last one."""

DataOf = Callable[[History], Data | None]
"""What there is to fit to in a history, None while it is too little."""


class Fits:
    """Hyperparameters, fitted anew whenever the results have grown by a fifth."""

    def __init__(self, data_of: DataOf) -> None:
        self._data_of = data_of
        self._found: dict[int, Floats | None] = {}
        self._sizes = [FIRST]

    def latest(self, history: History) -> Floats | None:
        """Return the logarithms of the hyperparameters, None while too little was seen."""
        while self._sizes[-1] <= history.tells:
            self._sizes.append(ceil(GROWTH * self._sizes[-1]))
        return self._fit(history, len(self._sizes) - 2)

    def _fit(self, history: History, number: int) -> Floats | None:
        if number < 0:
            return None
        if number not in self._found:
            warm = self._fit(history, number - 1) if number % IN_A_ROW else None
            data = self._data_of(history.after(self._sizes[number]))
            iterations = COLD if warm is None else WARM
            self._found[number] = None if data is None else fitted(data, warm, iterations)
        return self._found[number]
