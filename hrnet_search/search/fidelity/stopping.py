"""`fidelity: stop`: a trial ends at a rung when it will hardly reach the front of its cost.

Of several seeds the first decides for all: stopped each by itself, those that complete would be the
lucky ones, and their mean would favour networks whose unlucky seeds were stopped.
"""

from __future__ import annotations

from dataclasses import replace

from hrnet_search.records.trial import STOPPED, RungResult, TrialKey
from hrnet_search.search import rungs
from hrnet_search.search.fidelity.rule import WholeTrainings
from hrnet_search.search.plan import Plan
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.trials import Costs, Trials
from hrnet_search.store.notes import Notes
from hrnet_search.store.trial_rows import SEARCH, Ask
from hrnet_search.store.writer import StudyStore


class StopAtRungs(WholeTrainings):
    """Stops a trial whose chance at a rung is below `Plan.stop`: see `rungs.py`."""

    def __init__(self, plan: Plan, sampler: Sampler, store: StudyStore, trials: Trials) -> None:
        super().__init__(sampler)
        self._plan, self._store, self._trials = plan, store, trials

    def begins(self, ask: Ask) -> bool:
        """Return whether the first seed of a network has ended, for the others.

        Beside it they would complete where a faster worker had them, and it was stopped then.
        """
        first = self._first_of(ask.key)
        decides = self._plan.stop > 0 and ask.purpose == SEARCH and ask.key != first
        return not (decides and self._trials.open(first))

    def goes_on(self, ask: Ask, rung: RungResult, costs: Costs | None) -> bool:
        """Return whether a trial may still end on the front of its cost neighbourhood."""
        if not self._plan.stop:
            return True  # without looking at every trial there is
        last = rung.step >= self._plan.rungs[-1]
        if last or ask.purpose != SEARCH:
            return True
        first = self._first_of(ask.key)
        if ask.key != first:
            return not self._trials.has(first, STOPPED)
        if costs is None or rungs.is_audited(first):
            return True
        signal = self._plan.signal
        curve = rungs.Curve(costs, rungs.seen([rung], signal))
        others = [rungs.curve_of(t.result, t.costs, signal) for t in self._trials.searched()]
        return rungs.chance(curve, rung.step, others) >= self._plan.stop

    def conclude(self) -> None:
        """Note what the rule would have cost, by the trials that ran on whatever it said."""
        if not self._plan.stop or len(self._plan.rungs) < 2:
            return
        searched = self._trials.searched()
        ended = [(t.key, t.result, t.costs) for t in searched if t.key == self._first_of(t.key)]
        front = {self._first_of(key) for key in self._trials.front()}
        found = rungs.audit(ended, front, self._plan.stop, self._plan.signal)
        self._store.note(Notes(rung_audit=found))

    def _first_of(self, key: TrialKey) -> TrialKey:
        """Return the trial that decides whether a trial's network goes on."""
        return replace(key, seed=self._plan.seeds[0])
