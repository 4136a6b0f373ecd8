"""The samplers by name: `SAMPLERS[name](problem, seed=0, **options)`, and those of one's own.

Every one takes the planned number of `trials` and the `anchors`, points that are known to be
good designs, as options that may mean nothing to it. They raise TypeError for an option that they
do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Problem
from hrnet_search.search.samplers.grid import Grid
from hrnet_search.search.samplers.local import Local
from hrnet_search.search.samplers.own import load_factory, sampler_from
from hrnet_search.search.samplers.sampler import Propose, Sampler, offer_nothing

MakeSampler = Callable[..., Sampler]


def _without_anchors(method: Callable[[int, int | None], Propose]) -> MakeSampler:
    """Return the maker of a sampler from its method, given a seed and the trials planned."""

    def make(
        problem: Problem, seed: int = 0, *, trials: int | None = None, anchors: Sequence[Point] = ()
    ) -> Sampler:
        del anchors
        return Sampler(problem, method(seed, trials), seed)

    return make


def _optuna(kind: str) -> MakeSampler:
    def method(_seed: int, _trials: int | None) -> Propose:  # each proposal is seeded anew
        # Imported here: the other samplers do without Optuna's half second.
        from hrnet_search.search.samplers.optuna_samplers import OptunaProposals

        return OptunaProposals(kind)

    return _without_anchors(method)


def _pareto(
    problem: Problem,
    seed: int = 0,
    *,
    trials: int | None = None,
    anchors: Sequence[Point] = (),
) -> Sampler:
    # Imported here: the other samplers do without scikit-learn's second.
    from hrnet_search.search.samplers.pareto import Pareto

    return Sampler(problem, Pareto(problem, int(seed), trials, anchors), seed)


SAMPLERS: dict[str, MakeSampler] = {
    "pareto": _pareto,
    "random": _without_anchors(lambda _seed, _trials: offer_nothing),
    "grid": _without_anchors(lambda seed, _trials: Grid(seed)),
    "local": _without_anchors(lambda _seed, trials: Local(trials)),
    "optuna:tpe": _optuna("tpe"),
    "optuna:nsga2": _optuna("nsga2"),
    "optuna:gp": _optuna("gp"),
}


def maker_of(name: str) -> MakeSampler:
    """Return what makes the sampler of this name; raise InputError if it is not to be had."""
    return SAMPLERS[name] if name in SAMPLERS else sampler_from(load_factory(name))
