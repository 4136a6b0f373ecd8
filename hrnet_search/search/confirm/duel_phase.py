"""Which training a study's duels need next, and what the study notes of them.

Everything follows from results that are committed, and from the duels as they were noted before
their first training: a study killed in the middle of one asks for what it would have asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hrnet_search.duel_rule import FEWEST_PAIRS, FUTILE_FROM, MOST_PAIRS, OPEN, verdicts
from hrnet_search.errors import counted
from hrnet_search.records.trial import TrialKey
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.confirm.choice import fresh_seeds
from hrnet_search.search.confirm.device_time import DeviceTime
from hrnet_search.search.confirm.duels import Match, budgeted, matches
from hrnet_search.search.confirm.rivals import Rivals
from hrnet_search.search.plan import Plan
from hrnet_search.search.space_problem import LATENCY
from hrnet_search.store.duels import Duel, Duels, Pairs, pairs_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore

NONE_COMPLETED = "its trainings did not complete"
NO_SEEDS_LEFT = "too many of its trainings did not complete"


@dataclass(frozen=True, slots=True)
class Next:
    """What a duel needs: a training, or to wait for those that run; else why it does not go on."""

    key: TrialKey | None = None
    waits: bool = False
    why: str = ""


class DuelPhase:
    """Names the trainings of a study's duels one by one, in the order of their tests."""

    def __init__(
        self, plan: Plan, store: StudyStore, book: AskBook, rivals: Rivals, time: DeviceTime
    ) -> None:
        self._plan, self._store, self._book = plan, store, book
        self._rivals, self._time = rivals, time
        self._seeds = fresh_seeds(plan.seeds)[1]
        self._cost = budgeted(plan.objectives, plan.space.limits)
        base, long = plan.space.base.id, plan.long_schedule.id
        self._first_of_base = TrialKey(base, long, self._seeds[0])

    def next(self) -> Next:
        """Return what is needed now, by whichever duel; nothing where none goes on."""
        base = self._base()
        if base.key or base.waits:
            return base
        known = self._settled()
        for place in range(len(known.duels)):
            known = self._begun(known, place)
            needed = self._needed(known, place)
            known = self._note(known, place, why=needed.why)
            if needed.key or needed.waits:
                return needed
        return Next()

    def choose(self) -> None:
        """Note the duels of a study with no time left for them, and why, if none were noted."""
        if self._store.notes().duels is None:
            self.next()

    def none(self, why: str) -> None:
        """Note why no duel is chosen, unless one has begun."""
        known = self._store.notes().duels
        if known is None or not known.family:
            self._write(Duels(why=why))

    def keys(self) -> set[TrialKey]:
        """Return all trainings that duels may need."""
        known = self._store.notes().duels or Duels()
        of_duels = (key for duel in known.duels for seed in duel.seeds for key in duel.keys(seed))
        return {self._first_of_base, *of_duels}

    def _base(self) -> Next:
        """Return the first training of a base whose latency, a budget, nothing else has shown."""
        key = self._first_of_base
        if self._cost != LATENCY or self._rivals.latency(key.architecture) is not None:
            return Next()
        if key in self._book:
            return Next(waits=self._book.runs(key))
        seconds = 2 * FEWEST_PAIRS * self._time.expected(key)
        afforded = self._time.affords(2 * FEWEST_PAIRS, seconds)
        return Next(key if afforded and self._rivals.found(self._cost) else None)

    def _settled(self) -> Duels:
        """Return the study's duels, which are chosen anew until the first one begins."""
        known = self._store.notes().duels
        if known is not None and known.family:
            return known
        limits = {limit.objective: limit.at_most for limit in self._plan.space.limits}
        found, rivals = self._rivals.found(self._cost), self._rivals.known(self._cost)
        chosen, why = matches(found, rivals, limits.get(self._cost))
        budget = self._plan.hours or float(self._plan.trials)
        new = Duels(tuple(self._duel(match) for match in chosen), 0, why, budget)
        if known is not None and new == _without_reasons(known):
            return known  # why they do not begin was said when most was left of this budget
        return self._write(new)

    def _duel(self, match: Match) -> Duel:
        return Duel(
            cost=self._cost,
            budget=match.budget,
            pick=match.pick.architecture,
            rival=match.rival.architecture,
            name=match.rival.name,
            # Both sides by the pick's: what differs is the network alone.
            schedule=match.pick.long or self._first_of_base.schedule,
            seeds=self._seeds,
        )

    def _begun(self, known: Duels, place: int) -> Duels:
        """Settle how many pairs a duel may have, and with the first how many duels there are.

        Both before its first training, by device time alone: they decide what a verdict takes.
        """
        duel = known.duels[place]
        if duel.most:
            return known
        pairs = self._affordable(duel)
        family = known.family or min(len(known.duels), max(1, pairs // FUTILE_FROM))
        if pairs < FEWEST_PAIRS or place >= family:
            return self._note(known, place, why=duel.why or self._too_little(duel))
        most = min(MOST_PAIRS, max(FEWEST_PAIRS, pairs - FUTILE_FROM * (family - 1 - place)))
        return self._note(replace(known, family=family), place, most=most, why="")

    def _needed(self, known: Duels, place: int) -> Next:
        """Return what one duel needs: pairs up to the next look, while it is open."""
        duel = known.duels[place]
        if not duel.most:
            return Next(why=duel.why)
        pairs = [self._pairs(one) for one in known.duels[: known.family]]
        own, void = pairs[place].differences, pairs[place].void
        said = verdicts([(d.most, p.differences) for d, p in zip(known.duels, pairs, strict=False)])
        if said[place].called != OPEN:
            return Next()
        if void >= FEWEST_PAIRS and not own:
            return Next(why=NONE_COMPLETED)
        looked_at = len(own) + void + max(1, FEWEST_PAIRS - len(own))
        keys = [key for seed in pairs[place].seeds[:looked_at] for key in duel.keys(seed)]
        key = next((key for key in keys if key not in self._book), None)
        waits = any(self._book.runs(key) for key in keys)
        if key is None and not waits:
            return Next(why=NO_SEEDS_LEFT)
        if key is None or self._affords_pair(duel, key):
            return Next(key, waits)
        return Next(waits=waits, why=self._too_little(duel))

    def _affords_pair(self, duel: Duel, key: TrialKey) -> bool:
        """Whether there is time for a training, and for the other of its pair if that is new."""
        new = [one for one in duel.keys(key.seed) if one not in self._book]
        return self._time.affords(len(new), sum(map(self._time.expected, new)))

    def _affordable(self, duel: Duel) -> int:
        """Return for how many pairs of a duel there is time."""
        seconds, trials = 0.0, 0
        for pairs, seed in enumerate(duel.seeds[:MOST_PAIRS]):
            new = [key for key in duel.keys(seed) if key not in self._book]
            seconds += sum(map(self._time.expected, new))
            trials += len(new)
            if not self._time.affords(trials, seconds):
                return pairs
        return MOST_PAIRS

    def _too_little(self, duel: Duel) -> str:
        """Return that there is no time for a pair, or for as many as a duel begins with."""
        fewest = 1 if duel.most else FEWEST_PAIRS
        pairs = "another pair" if duel.most else f"{fewest} pairs"
        if (left := max(0, self._time.trials_left)) < 2 * fewest:
            confirm = f"{counted(left, 'trial')} {'is' if left == 1 else 'are'} left to confirm"
            return f"{pairs} of trainings would take {2 * fewest} trials, and {confirm}"
        seconds = fewest * sum(map(self._time.expected, duel.keys(duel.seeds[-1])))
        spare = max(0.0, self._time.left)
        return (
            f"{pairs} of trainings would take {_spelt(seconds)}, and {_spelt(spare)} are left"
            f" {self._time.source}"
        )

    def _pairs(self, duel: Duel) -> Pairs:
        results = {result.key: result for result in self._book.results.values()}
        return pairs_of(duel, results, self._plan.goals.accuracy)

    def _note(self, known: Duels, place: int, **changes: int | str) -> Duels:
        changed = replace(known.duels[place], **changes)  # type: ignore[arg-type]
        duels = (*known.duels[:place], changed, *known.duels[place + 1 :])
        return self._write(replace(known, duels=duels))

    def _write(self, known: Duels) -> Duels:
        """Note duels as they are now, if that is news."""
        if self._store.notes().duels != known:
            self._store.note(Notes(duels=known))
        return known


def _without_reasons(known: Duels) -> Duels:
    return replace(known, duels=tuple(replace(duel, why="") for duel in known.duels))


def _spelt(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
