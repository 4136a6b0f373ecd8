"""Which weights of a study are kept as it goes: those of trials that may still matter.

Everything follows from what is committed, and weights go after the result that they belong to: a
study that is killed at any moment removes when it goes on what it would have removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hrnet_search.pareto import fronts
from hrnet_search.records.search_options import KEEP_ALL, KEEP_CONFIRMED
from hrnet_search.records.trial import COMPLETED, TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.plan import Plan
from hrnet_search.search.scores import scores_of
from hrnet_search.search.trials import Trials
from hrnet_search.store.kept import weights_path
from hrnet_search.store.trial_rows import BASE, CONFIRM, Ask

Means = dict[tuple[str, str], tuple[float, ...]]
"""Mean objectives by network and schedule."""

LAYERS = 3
"""Fronts that are kept while a study runs, each without those before.

More seeds may lower the mean of what is on the front, and bring back what was behind it.
"""


class KeptWeights:
    """Removes the weights of trials that cannot matter any more, by what a plan keeps."""

    def __init__(self, plan: Plan, book: AskBook, trials: Trials) -> None:
        self._plan, self._book, self._trials = plan, book, trials

    def tidy(self, layers: int = LAYERS) -> None:
        """Remove what is behind that many fronts; 1 when a study has ended."""
        plan = self._plan
        if plan.keep == KEEP_ALL or not plan.folder:
            return
        kept = {*self._near_the_front(layers), *self._unfinished()}
        if plan.keep == KEEP_CONFIRMED:
            kept |= {ask.key.architecture for ask, _ in self._ended() if ask.purpose == CONFIRM}
        for ask, result in self._ended():
            of_use = result.status == COMPLETED and ask.key.architecture in kept
            path = weights_path(Path(plan.folder), ask.key)
            if not of_use and ask.purpose != BASE and str(path) != plan.schedule.init_path:
                path.unlink(missing_ok=True)

    def _near_the_front(self, layers: int) -> Iterator[str]:
        """Yield the networks of the first fronts, by the means over all their seeds.

        Those are of networks within the floors of accuracy; while more seeds may come that change
        who is, of all networks too. What picks are from is the front by what is expected.
        """
        results = self._results()
        means = {name: self._trials.means(of) for name, of in results.items()}
        if self._trials.goals.floors and layers > 1:
            yield from self._fronts(means, layers)
        fits = {name: means[name] for name, of in results.items() if self._trials.fits(of)}
        yield from self._fronts(fits, layers)
        place = self._trials.goals.objectives.index(self._trials.goals.accuracy)
        scores = scores_of(self._plan, self._book)
        picked = {
            name: (*of[:place], scores[name[0]], *of[place + 1 :])
            for name, of in fits.items()
            if name[0] in scores
        }
        yield from self._fronts(picked, layers)

    def _fronts(self, means: Means, layers: int) -> Iterator[str]:
        names = list(means)
        for front in islice(fronts(list(means.values()), self._trials.goals.directions), layers):
            yield from (names[row][0] for row in front)

    def _unfinished(self) -> Iterator[str]:
        """Yield networks of which more trials were asked for: their means are not known yet."""
        asks, results = self._book.asks, self._book.results
        return (ask.key.architecture for number, ask in asks.items() if number not in results)

    def _results(self) -> dict[tuple[str, str], list[TrialResult]]:
        """Return the completed trials of each network by each schedule of the search."""
        found: dict[tuple[str, str], list[TrialResult]] = {}
        for ask, result in self._ended():
            counts = ask.key.schedule in self._plan.schedules.search
            if counts and result.status == COMPLETED and self._trials.values(result):
                found.setdefault((ask.key.architecture, ask.key.schedule), []).append(result)
        return found

    def _ended(self) -> Iterator[tuple[Ask, TrialResult]]:
        asks = self._book.asks
        return ((asks[number], result) for number, result in self._book.results.items())
