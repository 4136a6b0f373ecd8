"""The samplers by name: `SAMPLERS[name](problem, seed=0, **options)`.

Every one takes the planned number of `trials` as an option, and raises TypeError for an option
that it does not have.
"""

from __future__ import annotations

from collections.abc import Callable

from hrnet_search.search.problem import Problem
from hrnet_search.search.samplers.grid import Grid
from hrnet_search.search.samplers.sampler import Propose, Sampler, offer_nothing

MakeSampler = Callable[..., Sampler]


def _without_plan(method: Callable[[int], Propose]) -> MakeSampler:
    """Return the maker of a sampler that works the same however many trials are planned."""

    def make(problem: Problem, seed: int = 0, *, trials: int | None = None) -> Sampler:
        del trials
        return Sampler(problem, method(seed), seed)

    return make


def _optuna(kind: str) -> MakeSampler:
    def method(_seed: int) -> Propose:  # each proposal is seeded anew
        # Imported here: the other samplers do without Optuna's half second.
        from hrnet_search.search.samplers.optuna_samplers import OptunaProposals

        return OptunaProposals(kind)

    return _without_plan(method)


SAMPLERS: dict[str, MakeSampler] = {
    "random": _without_plan(lambda _seed: offer_nothing),
    "grid": _without_plan(Grid),
    "optuna:tpe": _optuna("tpe"),
    "optuna:nsga2": _optuna("nsga2"),
    "optuna:gp": _optuna("gp"),
}
