"""What a study trains in part first, before it is begun: how many networks, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from hrnet_search.arch.cost import Cost
from hrnet_search.errors import counted
from hrnet_search.records.search_options import FIDELITY, THAW
from hrnet_search.search.fidelity.first_study import FEWEST, first_trials
from hrnet_search.search.fidelity.rules import FIRST, first_schedule
from hrnet_search.search.fidelity.thaw import BYTES_A_PARAMETER
from hrnet_search.search.plan import Plan
from hrnet_search.space.generate import generate_points


def first_study(plan: Plan, costs: Sequence[Cost]) -> tuple[int, int]:
    """Return how many trials come first, beside those that count, and the steps of each.

    No more than the space has, nor than may be paused, by the `costs` of networks drawn from it.
    """
    rule = FIRST.get(plan.fidelity)
    if rule is None:
        return 0, 0
    wanted = first_trials(rule.share, plan.trials)
    count = len(generate_points(plan.space, wanted, plan.seed))
    if plan.fidelity != THAW:
        return count, first_schedule(plan).steps
    each = BYTES_A_PARAMETER * fmean([one.params for one in costs] or [0])
    return min(count, int(plan.paused / each) + 1 if each else count), plan.rungs[0]


def first_lines(plan: Plan, costs: Sequence[Cost]) -> list[str]:
    """Return in words what is trained in part first; no line where nothing is."""
    count, steps = first_study(plan, costs)
    if not count:
        return []
    pause = ", where they pause" if plan.fidelity == THAW else ""
    few = f"; nothing is learned from fewer than {FEWEST}" if count < FEWEST else ""
    first = f"first {counted(count, 'variant')} by {steps} of {plan.schedule.steps} steps"
    return [f"{first}{pause} ({FIDELITY}: {plan.fidelity}){few}"]
