"""The brain of a study: asks, tells, stops and resumes; how and where trials run is a driver's.

Everything it decides follows from the space file and from what is committed in the store, so
that a study killed at any moment goes on as if it had not been.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from hrnet_search.arch.cost import Cost, cost
from hrnet_search.records.latency import INT8
from hrnet_search.records.point import Point
from hrnet_search.records.trial import (
    COMPLETED,
    PAUSED,
    STOPPED,
    TrialKey,
    TrialProgress,
    TrialResult,
    TrialTask,
    is_paused,
)
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.confirm.phase import ConfirmPhase
from hrnet_search.search.deaths import Death
from hrnet_search.search.earlier import expectation
from hrnet_search.search.failures import why_infeasible
from hrnet_search.search.fidelity.rules import first_schedule, rule_of
from hrnet_search.search.first_measurements import measured_at_start
from hrnet_search.search.in_time import InTime
from hrnet_search.search.initial_weights import why_no_base
from hrnet_search.search.kept_weights import KeptWeights
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Problem
from hrnet_search.search.reuse import Reuse
from hrnet_search.search.samplers import maker_of
from hrnet_search.search.samplers.history import ENUMERABLE
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.screening import LatencyScreen
from hrnet_search.search.slices import Slices
from hrnet_search.search.space_problem import LATENCY, latency_matters, problem_of
from hrnet_search.search.tasks import task_of
from hrnet_search.search.time_budget import TimeBudget
from hrnet_search.search.trials import Costs, Trials, have_ended
from hrnet_search.space.published import known_designs
from hrnet_search.store.findings import Screening
from hrnet_search.store.notes import Notes
from hrnet_search.store.trial_rows import BASE, SEARCH, SHORT, SLICES, Ask
from hrnet_search.store.writer import StudyStore


class Brain:
    """Turns a plan and a store into trials to run, one `ask` and one `tell` each."""

    def __init__(
        self,
        plan: Plan,
        store: StudyStore,
        reference_ms: float | None,
        reuse: Reuse | None = None,
        time: TimeBudget | None = None,
    ) -> None:
        """`time` is the budget of a plan in hours, and passes already."""
        self.plan = plan
        self._reuse = reuse or Reuse()
        self.why_ended = ""
        self._obstacle = ""
        self._store = store
        self._reference_ms = reference_ms
        self._schedules = plan.schedules  # kept, for they are asked for with every trial
        self._screen = LatencyScreen(plan.space)
        earlier = [expectation(plan.space, study) for study in plan.earlier]
        problem = problem_of(plan.space, plan.objectives, self._screen, earlier)
        self._book = AskBook(store, plan.trials, len(plan.seeds))
        self._trials = Trials(plan.goals, self._book)
        self._rule = rule_of(plan, store, self._book, self._trials, problem, self._make_sampler)
        self._slices = None
        if plan.slices:
            sampler = self._sampler_of(SLICES)
            self._slices = Slices(plan, self._book, self._trials, problem, sampler)
        self._judging = plan.slices.id if plan.slices else ""
        self._in_time = InTime(plan, self._book, time or TimeBudget())
        self._confirm = ConfirmPhase(plan, store, self._book, self._trials, self._in_time)
        self._kept = KeptWeights(plan, self._book, self._trials)
        self._costs: dict[int, Costs | None] = {}  # of trials that run
        self._noted: Screening | None = None
        self._weights: tuple[float, ...] = ()
        self._known_points: tuple[Point, ...] = ()
        self._known_for: tuple[tuple[str, int], ...] = ()
        self._resume()

    @property
    def counts(self) -> dict[str, int]:
        """Trials that have ended, by status."""
        return self._book.counts

    @property
    def ended(self) -> int:
        """Trials that have ended and count as such: infeasible ones cost no training."""
        return self._trials.ended

    @property
    def fell_short(self) -> bool:
        """Whether something kept it from what was asked for, or no variant was trained at all."""
        return bool(self._obstacle) or not self._trials.trained

    def ask(self) -> TrialTask | None:
        """Return the next trial, committed before it may start; None when there is none.

        Trials that were cut off come first. `why_ended` says why there is none left; while it
        is empty there may be one after the next `tell`.
        """
        self.why_ended = self._obstacle = self._find_obstacle()
        ask = None
        if not self._obstacle and not self._in_time.budget.over:
            ask = self._in_time.begun(self._book.waiting(self._rule.begins) or self._new())
        if ask is None:
            self.why_ended = self.why_ended or self._in_time.why_ended(self.ended)
            if self.why_ended:
                self._rule.conclude()
                # What stopped for failures is to go on, and so is what was cut off.
                if not self._obstacle and not self._book.running:
                    self._kept.tidy(layers=1)
            return None
        task = task_of(self.plan, ask, self._reference_ms)
        return replace(task, taken=self._taken(ask), before=self._book.shown(ask.number))

    def report(self, number: int, progress: TrialProgress) -> bool:
        """Take a trial's progress, commit what a rung showed; False stops the trial.

        Raise TimeSpentError where it is to be left as it is, to go on when there is more time.
        """
        self._in_time.budget.heard(number)
        if progress.latency is not None:
            ask = self._book.asks[number]
            known = TrialResult(ask.key, "", self._exact_cost(ask), progress.latency)
            self._costs[number] = self._trials.result_costs(known)
        if progress.rung is None:
            self._store.heartbeat()
            self._in_time.budget.check()
            return True
        self._store.rung(number, progress.rung)
        return self._rule.goes_on(self._book.asks[number], progress.rung, self._costs.get(number))

    def tell(self, number: int, result: TrialResult) -> bool:
        """Commit a result; False if the trial had one already, which then stands."""
        self._in_time.budget.end(number)
        if is_paused(self._book.asks[number].purpose == SHORT, result):
            return self._pause(number, result)
        first = self._book.tell(number, result)
        self._in_time.budget.note_now()
        if first:
            self._learn(number)
            self._kept.tidy()
        return first

    def _pause(self, number: int, result: TrialResult) -> bool:
        """Commit what a trial has shown at its first rung; False if that is known already."""
        if not self._book.is_open(number):
            return False
        self._book.pause(number, result)
        self._in_time.budget.note_now()
        self._take_paused(number)
        return True

    def _take_paused(self, number: int) -> None:
        ask, result = self._book.asks[number], self._book.paused[number]
        if result.latency is not None:
            self._screen.add(ask.architecture, result.latency.ms)
        self._tell_sampler(ask, result)

    def give_back(self, number: int, death: Death) -> TrialResult | None:
        """Take back a trial whose worker died; its result if that was once too often."""
        self._in_time.budget.end(number)
        exact = self._exact_cost(self._book.asks[number])
        failed = self._book.give_back(number, death, exact)
        self._in_time.budget.note_now()
        if failed is not None:
            self._learn(number)
        return failed

    def _make_sampler(self, problem: Problem, trials: int) -> Sampler:
        plan = self.plan
        return maker_of(plan.sampler)(
            problem, seed=plan.seed, trials=trials, anchors=known_designs(plan.space)
        )

    def _sampler_of(self, purpose: str) -> Sampler:
        sampler = self._rule.sampler_of(purpose)
        assert sampler, "nothing is asked for, or known, before there is one"
        return sampler

    def _resume(self) -> None:
        notes = self._store.notes()
        for architecture, ms in measured_at_start(notes):
            self._screen.add(architecture, ms)
        asks, results, in_order = self._book.asks, self._book.results, self._book.in_order()
        for number in in_order:  # all first, so that they are fitted once
            shown = self._book.shown(number)
            if shown is not None and shown.latency is not None:
                self._screen.add(asks[number].architecture, shown.latency.ms)
        for purpose in {ask.purpose for ask in asks.values()} - {BASE}:
            points = [ask.point for ask in asks.values() if ask.purpose == purpose and ask.point]
            self._sampler_of(purpose).pend(points)
        for number in in_order:  # of a first study: what paused among what ended otherwise
            if number in self._book.paused:
                self._take_paused(number)
            elif number in results and asks[number].purpose == SHORT:
                self._learn(number)
        self._known_points = notes.known_points or ()
        self._known_for = notes.known_for or (("", len(results)),) * len(self._known_points)
        known = deque(zip(self._known_points, self._known_for, strict=True))
        for ended, number in enumerate(results):
            while known and known[0][1][1] <= ended:
                self._tell_known(*known.popleft())
            if asks[number].purpose != SHORT:
                self._learn(number)
        for point, known_for in known:
            self._tell_known(point, known_for)
        searched = [ask for ask in asks.values() if ask.purpose == SEARCH]
        for ask in searched:  # a kill may have come between the seeds of one architecture
            self._ask_seeds(ask.point)

    def _learn(self, number: int) -> None:
        """Learn from a committed result."""
        ask, result = self._book.asks[number], self._book.results[number]
        self._costs.pop(number, None)
        if result.latency is not None:
            self._screen.add(ask.architecture, result.latency.ms)
        self._tell_sampler(ask, result)

    @property
    def _has_all(self) -> bool:
        return not self._in_time.budget.bounded and self.ended >= self.plan.trials

    def _new(self) -> Ask | None:
        """Return a trial that was not asked for before, None if there is none to ask for."""
        if self._has_all:
            self._confirm.note_why_no_duel()
            self.why_ended = have_ended(self.ended, self.plan.trials, len(self.plan.seeds))
            return None
        return self._book.waiting(self._rule.begins) if self._ask_next() else None

    def _ask_next(self) -> bool:
        """Commit what is to be tried next; False if there is nothing now, or nothing left."""
        plan = self.plan
        if plan.base and not self._trials.base:
            base = plan.space.base  # False while it is trained: nothing starts before it ends
            key = TrialKey(base.id, plan.base.id, plan.seeds[0])
            return self._book.commit(key, (), base, BASE)
        if self._slices and (asked := self._ask_slices(self._slices)) is not None:
            return asked
        timed = self._in_time.budget.bounded
        searching = timed or self._trials.asked(SEARCH) < plan.trials - plan.confirming
        if searching and self._ask_by_rule(kept=plan.confirm):
            return True
        if self._trials.searching:
            return False  # what confirms is chosen from all that was found
        if self._confirm.ask():
            return True
        return not self._book.running and self._ask_what_is_left(timed, searching)

    def _ask_slices(self, slices: Slices) -> bool | None:
        """Commit what shared weights are to judge next, then what its scores are held against.

        False while they judge, None when all of that was asked for.
        """
        if self._propose(SLICES):
            return True
        if self._trials.runs(SLICES):
            return False  # what is trained is chosen from all that was judged
        return self._confirm.ask_gate(slices.gate()) or None

    def _ask_what_is_left(self, timed: bool, searching: bool) -> bool:
        """Commit one more variant for the search; False, and `why_ended`, if there is none."""
        # What confirming has no time for, or no use, goes back to the search.
        if (timed or not searching) and self._propose():
            return True
        if self._in_time.why_ended(self.ended):
            return False
        found = "all variants within the limits were tried"
        if self.plan.space.size > ENUMERABLE:  # which nobody has listed
            found = "no more variants within the limits were found"
        tried = f"{found}{self._but_slow()}"
        self.why_ended = tried if searching else f"{tried}, and {self._confirm.why_none}"
        return False

    def _ask_by_rule(self, kept: float) -> bool:
        """Commit what the rule of fidelity has next; False if there is nothing now, or at all."""
        while (purpose := self._rule.next()) is not None:
            if self._propose(purpose, kept):
                return True
            if not self._rule.exhausted(purpose):
                return False
        return False

    def _but_slow(self) -> str:
        """Return that some may have been left out by what is predicted of their latency."""
        limited = any(limit.objective == LATENCY for limit in self.plan.space.limits)
        used = self._screen.fit is not None and self._screen.fit.used
        return ", except those predicted to be too slow" if limited and used else ""

    def _propose(self, purpose: str = SEARCH, kept: float = 0.0) -> bool:
        """Ask until a computation is named that is new to a purpose; False at the end.

        So it is if none would end in time, with a share of it `kept` for later.
        """
        self._note_screening()
        self._note_weights()
        ask: Callable[[], list[Point]] = self._sampler_of(purpose).ask
        if self._slices is not None:
            ask = self._slices.to_judge if purpose == SLICES else self._slices.to_train
        while points := self._in_time.proposed(ask, kept):
            if self._ask_seeds(points[0], purpose):
                return True
            self._remember_known(points[0], purpose)
        return False

    def _note_screening(self) -> None:
        """Note how well latency is predicted, when that has changed."""
        if not latency_matters(self.plan.space, self.plan.objectives):
            return  # and nothing is fitted
        found = self._screen.fit
        if found is None:
            return
        noted = Screening(found.n, found.loo_error, found.tau, found.used)
        if noted != self._noted:
            self._store.note(Notes(screening=noted))
            self._noted = noted

    def _note_weights(self) -> None:
        """Note how much each earlier study weighs now, in hundredths."""
        sampler = self._rule.sampler_of(SEARCH) if self.plan.earlier else None
        weights = tuple(round(w, 2) for w in sampler.weights()) if sampler else ()
        weights = weights[: len(self.plan.earlier)]
        if weights != self._weights:
            self._store.note(Notes(learned_weights=weights))
            self._weights = weights

    def _ask_seeds(self, point: Point, purpose: str = SEARCH) -> bool:
        """Commit an ask for each seed of a point that has none; False if all have."""
        architecture = self.plan.space.decode(point)
        schedule = self._schedules.of(point)
        keys = [TrialKey(architecture.id, schedule, s) for s in self.plan.seeds]
        if purpose == SLICES:
            assert self._slices, "they judge"
            keys = [self._slices.key(architecture.id)]
        elif purpose == SHORT:
            keys = [TrialKey(architecture.id, first_schedule(self.plan).id, self.plan.seeds[0])]
        # All of them, whatever the first says: a generator would end at the first new one.
        committed = [self._book.commit(key, point, architecture, purpose) for key in keys]
        return any(committed)

    def _remember_known(self, point: Point, purpose: str) -> None:
        """Commit a point that spells a computation asked for before, and for what it was proposed.

        A resumed sampler has to have seen what this one saw.
        """
        self._known_points = (*self._known_points, point)
        self._known_for = (*self._known_for, (purpose, len(self._book.results)))
        self._store.note(Notes(known_points=self._known_points, known_for=self._known_for))
        self._tell_known(point, self._known_for[-1])

    def _tell_known(self, point: Point, known_for: tuple[str, int]) -> None:
        """Tell the samplers that have asked for a network of another point that spells it.

        It was proposed for a purpose, whose sampler hears what came of a trial that another had
        asked for, when so many trials had ended: what ended later came of it later.
        """
        proposed, ended = known_for
        name, asks = self.plan.space.decode(point).id, self._book.asks
        same = [ask for ask in asks.values() if ask.key.architecture == name]
        purposes = {ask.purpose for ask in same} - {BASE}
        for purpose in sorted(purposes | ({proposed} if proposed else set())):
            self._sampler_of(purpose).pend([point])
        own = self._schedules.of(point)
        for number, result in islice(self._book.results.items(), ended):
            ask = asks[number]
            alike = ask.key.schedule == own or ask.key.schedule not in self._schedules.search
            if ask.key.architecture == name and alike:
                self._tell_sampler(replace(ask, point=point), result)
                if ask.purpose == SHORT and proposed not in ("", SHORT):
                    # It ended before it could pause: there is nothing to go on with.
                    self._sampler_of(proposed).tell(point, None)

    def _find_obstacle(self) -> str:
        """Return why what was asked for cannot be trained, empty if it can or is."""
        if self._has_all:
            return ""
        base, first = self._trials.base, self.plan.base
        if base and first and (why := why_no_base(base, self.plan.folder, first)):
            return why
        if why := self._book.why_stop:
            return why
        limits = {limit.objective: limit.at_most for limit in self.plan.space.limits}
        too_slow, too_large = self._trials.infeasible(limits.get(LATENCY))
        return why_infeasible(too_large, too_slow, self.plan.networks)

    def _taken(self, ask: Ask) -> TrialResult | None:
        """Return what another study has found of a trial, with its files here; None if nothing."""
        found = self._reuse.get(ask.key)
        if found is None or found.result.score(self.plan.signal) is None:
            return None
        if ask.purpose == SHORT and ask.key.schedule in self._schedules.search:
            return found.paused(self.plan.rungs[0])  # the rest once this trial is to go on
        if ask.purpose == BASE and not found.weights.is_file():
            return None  # they are what it is for
        if self.plan.latency.precision == INT8 and not found.judged_in_int8(self.plan.latency):
            return None
        if folder := Path(self.plan.folder) if self.plan.folder else None:
            if not found.starts_in(folder):
                return None
            found.copy_files(folder)
        return found.noted()

    def _tell_sampler(self, ask: Ask, result: TrialResult) -> None:
        told = (self._judging,) if self._judging else self._schedules.search
        if ask.purpose != SHORT and ask.key.schedule not in told:
            return  # another schedule's accuracies are not those of the search
        if self._slices is not None and self._slices.whole:
            return  # nobody asks it
        sampler, costs = self._sampler_of(ask.purpose), self._trials.result_costs(result)
        if result.status == STOPPED and result.rungs:
            fidelity = result.rungs[-1].step / self.plan.schedule.steps
            sampler.tell(ask.point, result.score(self.plan.signal), fidelity, costs=costs)
        elif result.status in (COMPLETED, PAUSED):
            sampler.tell(ask.point, self._score(result), costs=costs)
        else:
            sampler.tell(ask.point, None)

    def _score(self, result: TrialResult) -> float | None:
        """Return what a sampler is told of a trial that completed.

        Less by what it falls short of the limits, so that a search climbs to where they hold.
        """
        score = result.score(self.plan.signal)
        return None if score is None else score - self._trials.goals.short(result)

    def _exact_cost(self, ask: Ask) -> Cost:
        return cost(ask.architecture, self.plan.latency.size, self.plan.schedule.data.classes)
