"""The rules of `search.fidelity` by name."""

from __future__ import annotations

from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import SHORT_FIRST, THAW, TO_THE_END
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.fidelity.first_study import MakeSampler
from hrnet_search.search.fidelity.rule import Rule, WholeTrainings
from hrnet_search.search.fidelity.short_first import ShortFirst, short_schedule
from hrnet_search.search.fidelity.stopping import StopAtRungs
from hrnet_search.search.fidelity.thaw import Thaw
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Problem
from hrnet_search.search.trials import Trials
from hrnet_search.store.writer import StudyStore

FIRST = {SHORT_FIRST: ShortFirst, THAW: Thaw}
"""Rules by which many variants are trained in part first."""


def rule_of(
    plan: Plan,
    store: StudyStore,
    book: AskBook,
    trials: Trials,
    problem: Problem,
    make: MakeSampler,
) -> Rule:
    """Return the rule that a plan names, with the samplers that it needs."""
    if plan.fidelity in FIRST:
        return FIRST[plan.fidelity](plan, store, book, trials, problem, make)
    sampler = make(problem, plan.networks)
    if plan.fidelity == TO_THE_END:
        return WholeTrainings(sampler)
    return StopAtRungs(plan, sampler, store, trials)


def first_schedule(plan: Plan) -> Schedule:
    """Return the schedule by which what comes first is trained: one of its own, or the search's."""
    return short_schedule(plan.schedule) if plan.fidelity == SHORT_FIRST else plan.schedule
