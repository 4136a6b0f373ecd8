"""The rules of `search.fidelity` by name."""

from __future__ import annotations

from hrnet_search.records import SHORT_FIRST, TO_THE_END
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.fidelity.rule import Rule, WholeTrainings
from hrnet_search.search.fidelity.short_first import MakeSampler, ShortFirst
from hrnet_search.search.fidelity.stopping import StopAtRungs
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Problem
from hrnet_search.search.trials import Trials
from hrnet_search.store.writer import StudyStore


def rule_of(
    plan: Plan,
    store: StudyStore,
    book: AskBook,
    trials: Trials,
    problem: Problem,
    make: MakeSampler,
) -> Rule:
    """Return the rule that a plan names, with the samplers that it needs."""
    if plan.fidelity == SHORT_FIRST:
        return ShortFirst(plan, book, trials, problem, make)
    sampler = make(problem, plan.trials)
    if plan.fidelity == TO_THE_END:
        return WholeTrainings(sampler)
    return StopAtRungs(plan, sampler, store, trials)
