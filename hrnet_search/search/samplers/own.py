"""A sampler of one's own, named `package.module:factory` where the name of one of ours may be.

`factory(problem, *, seed, trials, anchors)` returns `propose(history, rng)`, which offers points as
`Propose` says. What it offers is held to the axes here and to all else by `Sampler`, so whatever
it does no trial runs twice, over a limit or out of the space.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.records.point import Point
from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.history import History
from hrnet_search.search.samplers.sampler import Propose, Sampler

Factory = Callable[..., Propose]

WHERE = "search.sampler"
ALLOWED = "package.module:factory, importable from here, as docs/samplers.md describes"


def load_factory(name: str) -> Factory:
    """Return what `package.module:factory` names; raise InputError with what stands against it.

    Modules in the current folder are found as well.
    """
    module, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.append("")  # last, so that it hides nothing
    try:
        found = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:  # of any kind: the module is the user's
        wrong = f"it cannot be imported ({type(error).__name__}: {error})"
        raise InputError(Fault(WHERE, name, wrong, ALLOWED)) from error
    if not callable(found):
        wrong = f"{shown(found)} cannot be called"
        raise InputError(Fault(WHERE, name, wrong, ALLOWED))
    factory: Factory = found
    return factory


def sampler_from(factory: Factory) -> Callable[..., Sampler]:
    """Return the maker of samplers, as those in SAMPLERS are, from a factory of proposals."""

    def make(
        problem: Problem, seed: int = 0, *, trials: int | None = None, anchors: Sequence[Point] = ()
    ) -> Sampler:
        propose = factory(problem, seed=int(seed), trials=trials, anchors=tuple(anchors))
        if not callable(propose):
            wrong = f"its factory returned {shown(propose)}, which cannot be called"
            raise InputError(Fault(WHERE, None, wrong, ALLOWED))
        return Sampler(problem, _on_axes(propose), seed)

    return make


def check_own(name: str, problem: Problem, **options: Any) -> None:
    """Raise InputError unless a sampler of one's own can be made for a problem and proposes."""
    make = sampler_from(load_factory(name))
    try:
        make(problem, **options).ask()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # of any kind: the code is the user's
        wrong = f"its first proposal failed ({type(error).__name__}: {error})"
        raise InputError(Fault(WHERE, name, wrong, ALLOWED)) from error


def _on_axes(propose: Propose) -> Propose:
    def checked(history: History, rng: np.random.Generator) -> Iterator[Points]:
        counts = history.problem.counts
        for offered in propose(history, rng):
            points = np.asarray(offered)
            whole = points.dtype.kind in "iu" and points.ndim == 2
            if not whole or points.shape[1] != len(counts):
                wrong = f"it offers {_shape(points)}"
                allowed = f"arrays of integers [k, {len(counts)}], one row a point"
                raise InputError(Fault(WHERE, None, wrong, allowed))
            if ((points < 0) | (points >= counts)).any():
                row = points[((points < 0) | (points >= counts)).any(axis=1)][0]
                wrong = f"it offers {tuple(row.tolist())}, which is not on the axes"
                allowed = f"level indices from 0, below {counts}"
                raise InputError(Fault(WHERE, None, wrong, allowed))
            yield points.astype(np.int64)

    return checked


def _shape(points: np.ndarray[Any, Any]) -> str:
    return f"an array of {points.dtype} {list(points.shape)}"
