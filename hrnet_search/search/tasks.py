"""What a worker is handed for a trial that was asked for."""

from __future__ import annotations

from dataclasses import replace

from hrnet_search.records.trial import TrialTask
from hrnet_search.search.fidelity.rules import first_schedule
from hrnet_search.search.initial_weights import networks_that_share
from hrnet_search.search.plan import Plan
from hrnet_search.search.trials import BESIDE
from hrnet_search.store.trial_rows import BASE, SEARCH, SHORT, SLICES, Ask


def task_of(plan: Plan, ask: Ask, reference_ms: float | None) -> TrialTask:
    """Return the task of a trial; `reference_ms` is the latency of the reference network."""
    if ask.purpose == BASE:
        assert plan.base, "asked for by such a plan only"
        steps = plan.base.steps
        task = TrialTask(ask.number, ask.key, ask.architecture, plan.base, (steps,), beside=True)
        sharing = networks_that_share(plan.space) if plan.base.networks else ()
        task = replace(task, sharing=sharing, size=plan.latency.size)
        return replace(task, device=plan.device, folder=plan.folder)
    if ask.purpose == SLICES:
        assert plan.slices, "asked for by such a plan only"
        task = TrialTask(ask.number, ask.key, ask.architecture, plan.slices, (0,))
        task = replace(task, size=plan.latency.size)
        return replace(task, device=plan.device, folder=plan.folder)
    limits = {limit.objective: limit.at_most for limit in plan.space.limits}
    searching = ask.key.schedule in plan.schedules.search
    schedule = plan.schedules.get(ask.key.schedule)
    if ask.purpose == SHORT:
        schedule = first_schedule(plan)
    assert schedule, "asked for by a schedule of the plan"
    return TrialTask(
        number=ask.number,
        key=ask.key,
        architecture=ask.architecture,
        schedule=schedule,
        rungs=plan.rungs if searching else (schedule.steps,),
        latency=plan.latency,
        reference_ms=reference_ms,
        # Confirming trials are of networks that kept the limit when they were chosen.
        latency_limit_ms=limits.get("latency_ms") if ask.purpose in (SEARCH, SHORT) else None,
        device=plan.device,
        folder=plan.folder,
        beside=ask.purpose in BESIDE,
    )
