"""What the duels of a study say, in numbers and in words: is its pick better than the known one?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from hrnet_search.counts import digits, in_units
from hrnet_search.duel_rule import BETTER, FEWEST_PAIRS, OPEN, WORSE, Verdict, verdicts
from hrnet_search.errors import shown
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.records.trial import TrialKey, TrialResult
from hrnet_search.report.trust.believed import Expected
from hrnet_search.report.trust.trials import Trial, mean_costs_of, seeds_of
from hrnet_search.store.duels import Duel, Duels, pairs_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import as_they_count, search_ids
from hrnet_search.store.trial_rows import BASE, SLICES

PICK, RIVAL = "pick", "rival"
SPELT = ("two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Fought:
    """One duel and what it says; `pick` is the number of the first trial of its pick.

    `now` is that of what would be picked by all that is known now, and `known` says that this is
    the other network of the duel. `longer` is how many times the search's steps its trainings have.
    """

    duel: Duel
    verdict: Verdict
    pick: int
    now: int
    longer: float
    known: bool = False

    @property
    def line(self) -> str:
        """The duel in one sentence for people, without a full stop."""
        return _line(self)


def fought(
    notes: Notes, trials: Sequence[Trial], foretold: Expected | None = None
) -> tuple[Fought, ...]:
    """Return the duels that a study noted with their verdicts, in their order.

    `foretold` is what the study's networks are believed or expected to reach by the long schedule,
    if anything.
    """
    known = notes.duels or Duels()
    results = {ask.key: result for ask, result in trials if result is not None}
    first: dict[str, int] = {}
    searched = search_ids(notes)
    for ask, _ in trials:  # what only judged it, or trained it first, is not what was picked
        if ask.key.schedule in searched and ask.purpose not in (BASE, SLICES):
            first.setdefault(ask.key.architecture, ask.number)

    def of(duel: Duel, verdict: Verdict) -> Fought:
        now = _picked_now(duel, notes, trials, foretold)
        numbers = first.get(duel.pick, -1), first.get(now, -1)
        return Fought(duel, verdict, *numbers, _longer(notes), now == duel.rival)

    return tuple(map(of, known.duels, _verdicts(known, results, notes.goals.accuracy)))


def duel_lines(
    notes: Notes, trials: Sequence[Trial], foretold: Expected | None = None
) -> tuple[str, ...]:
    """Return what the duels of a study say, or why there is none; nothing before that is known."""
    found = fought(notes, trials, foretold)
    known = notes.duels
    if known is not None and known.why and not found:
        return (f"no duel with a published network or the base: {shown(known.why, 300)}",)
    return tuple(shown(one.line, 600) for one in found)


def part_in(notes: Notes, trials: Sequence[Trial]) -> dict[int, str]:
    """Return which trials are of duels, by number: the budget, and the side of it."""
    known = notes.duels or Duels()
    results = {ask.key: result for ask, result in trials if result is not None}
    sides: dict[TrialKey, list[str]] = {}
    for duel in known.duels:
        for seed in pairs_of(duel, results, notes.goals.accuracy).seeds:
            for key, side in zip(duel.keys(seed), (PICK, RIVAL), strict=True):
                sides.setdefault(key, []).append(f"{budget_of(duel)}: {side}")
    return {ask.number: "; ".join(sides[ask.key]) for ask, _ in trials if ask.key in sides}


def fought_for(notes: Notes) -> tuple[Duel, ...]:
    """Return the duels of a study."""
    return (notes.duels or Duels()).duels


def budget_of(duel: Duel) -> str:
    """Return a budget as people write it: 5 ms, 160 M MACs."""
    cost = OBJECTIVES[duel.cost]
    if cost.unit:
        return f"{digits(duel.budget)} {cost.unit}"
    number, letter = in_units(duel.budget)
    return f"{digits(number)} {letter} {cost.label}" if letter else f"{number:g} {cost.label}"


def _verdicts(
    known: Duels, results: Mapping[TrialKey, TrialResult], accuracy: Objective
) -> list[Verdict]:
    """Return a verdict for each duel; one without device time says nothing."""
    rows = [
        (d.most or FEWEST_PAIRS, pairs_of(d, results, accuracy).differences) for d in known.duels
    ]
    said = verdicts(rows[: known.family])
    return said + [verdicts([row])[0] for row in rows[known.family :]]


def _picked_now(
    duel: Duel, notes: Notes, trials: Sequence[Trial], foretold: Expected | None
) -> str:
    """Return the best network within a duel's budget, as `--pick` finds it.

    By what is foretold, or else by the mean over seeds of the search's.
    """
    goals, searched = notes.goals, search_ids(notes)
    trials = as_they_count(trials, notes)
    costs = mean_costs_of(trials, searched, duel.cost)
    floors = [(f, seeds_of(trials, searched, f.objective.key)) for f in goals.floors]
    means = {a: fmean(of) for a, of in seeds_of(trials, searched, goals.accuracy.key).items()}
    if foretold is not None:
        means = {a: score for a, score in foretold.scores().items() if a in means}
    seen = {
        architecture: mean
        for architecture, mean in means.items()
        if costs.get(architecture, math.inf) <= duel.budget
        and all(architecture in of and floor.keeps(fmean(of[architecture])) for floor, of in floors)
    }
    best = max(seen, key=lambda one: (seen[one], -costs[one]), default=duel.pick)
    lowest = -math.inf
    return best if seen.get(best, lowest) > seen.get(duel.pick, lowest) else duel.pick


def _longer(notes: Notes) -> float:
    long, short = notes.long_schedule, notes.schedule
    return long.schedule.steps / short.schedule.steps if long and short else 0.0


def _line(one: Fought) -> str:
    duel, said = one.duel, one.verdict
    ahead = f"{duel.name} itself, #{one.now}" if one.known else f"#{one.now}"
    since = "" if one.now == one.pick else f", now behind {ahead}"
    pick = f"the pick for {budget_of(duel)} (#{one.pick}{since})"
    why = f": {duel.why}" if duel.why else ""
    if not said.pairs:
        pick = f"the pick for {budget_of(duel)} (#{one.now})"  # nothing is said of another
        state = "was not compared" if duel.why else "is still to be compared"
        return f"{pick} {state} with {duel.name} by longer trainings{why}"
    if said.pairs < FEWEST_PAIRS:
        return f"{pick} against {duel.name}: one seed each decides nothing{why}"
    how = f"by {_times(one.longer)}, {_spelt(said.pairs)} seeds each"
    low, high = 100 * said.low, 100 * said.high
    if said.called == BETTER:
        better = f"{100 * said.mean:.1f} points better than {duel.name} [{low:z.1f}, {high:z.1f}]"
        return f"{pick} is {better}, {how}"
    if said.called == WORSE:
        worse = f"{-100 * said.mean:.1f} points worse than {duel.name} [{-high:z.1f}, {-low:z.1f}]"
        return f"{pick} is {worse}, {how}"
    interval = f" [{low:z.1f}, {high:z.1f}]" if math.isfinite(low) else ", no interval"
    yet = " yet" if said.called == OPEN and not duel.why else ""
    return (
        f"{pick} is not shown to be better than {duel.name}{yet}:"
        f" {100 * said.mean:+z.1f} points{interval}, {how}{why}"
    )


def _times(longer: float) -> str:
    if not longer:
        return "a longer schedule"
    return f"{_spelt(longer)} times the schedule"


def _spelt(count: float) -> str:
    whole = int(count)
    return SPELT[whole - 2] if whole == count and 2 <= whole < 10 else f"{count:g}"
