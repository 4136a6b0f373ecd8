"""Optuna storage as a mirror, so that its dashboard, plots and importances work on a study."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from hrnet_search.records.objective import PLAIN
from hrnet_search.records.trial import COMPLETED, FAILED, TrialResult
from hrnet_search.search.mirrors.address_faults import make_folder_of
from hrnet_search.search.mirrors.mlflow_rows import how_ended
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.schedules import search_ids
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import BASE, Ask

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

KEY = "key"
DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}


class OptunaMirror:
    """A multi-objective Optuna study beside ours, written trial by trial.

    Parameters are the space's choices: whole numbers at equal steps as integers, other levels
    as categories. Completed trials of the search's schedules are COMPLETE; stopped and infeasible
    ones PRUNED, which has no values, and so are longer trainings and the base, whose accuracies are
    of another schedule than those beside them (an attribute has them); failed ones FAIL. Limits are
    constraints, as value over limit minus 1; those of accuracy as 1 minus that, so that above 0
    means broken, as an accuracy that is not known counts.
    """

    def __init__(self, url: str, study: Study) -> None:
        self._url = sqlite_url(study.folder / "optuna.db") if url == "auto" else url
        notes = self._notes = study.notes
        self._name = f"{study.name}-{notes.study_id}" if notes.study_id else study.name
        self._goals, self._searched = notes.goals, search_ids(notes)
        self._choices, self._levels = notes.choices or (), notes.levels or ()
        limits = (notes.identity or {}).get("limits", [])
        self._limits: list[tuple[str, float]] = [
            (name, most) for name, most in limits if name in PLAIN and PLAIN[name].is_cost
        ]
        self._study: Any = None
        self._storage: Any = None

    def known(self) -> dict[str, str]:
        """Return how the trials that are there ended, by key: the last if one ran twice."""
        self.close()  # connections to a server that went away
        with _quiet():
            self._study = self._open()
            trials = self._study.get_trials(deepcopy=False)
        told = [trial.user_attrs for trial in trials if KEY in trial.user_attrs]
        return {one[KEY]: how_ended(one.get("status", ""), one.get("error", "")) for one in told}

    def send(self, ask: Ask, result: TrialResult) -> None:
        """Add one trial, in one transaction."""
        with _quiet():
            self._study.add_trial(self._trial(ask, result))

    def conclude(self, outcome: str) -> None:
        """Note on the Optuna study what ours is, and how it stands."""
        notes = self._notes
        told = {
            "hrnet-search": notes.study_id or "",
            "outcome": outcome,
            "device": notes.device or "",
            **{str(key): value for key, value in (notes.identity or {}).items()},
        }
        with _quiet():
            known = self._study.user_attrs
            for name, value in told.items():
                if known.get(name) != value:
                    self._study.set_user_attr(name, value)

    def attach(self) -> None:
        """Do nothing: Optuna keeps no files."""

    def close(self) -> None:
        """Close the connections to the database."""
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()
        self._storage = None

    def _open(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kept: dict[str, Any] = {
            "pool_pre_ping": True
        }  # a database that was restarted is connected to again
        if self._url.startswith("postgresql"):
            kept |= {"connect_args": {"connect_timeout": 5}}
        make_folder_of(self._url)
        storage = self._storage = optuna.storages.RDBStorage(self._url, engine_kwargs=kept)
        directions = [DIRECTIONS[one.direction] for one in self._goals.objectives]
        study = optuna.create_study(
            storage=storage, study_name=self._name, directions=directions, load_if_exists=True
        )
        study.set_metric_names([one.name for one in self._goals.objectives])
        return study

    def _trial(self, ask: Ask, result: TrialResult) -> Any:
        from optuna.trial import TrialState, create_trial

        found = [one.of(result) for one in self._goals.objectives]
        values = [value for value in found if value is not None]
        state = TrialState.FAIL if result.status == FAILED else TrialState.PRUNED
        searched = ask.purpose != BASE and ask.key.schedule in self._searched
        if result.status == COMPLETED and len(values) == len(found) and searched:
            state = TrialState.COMPLETE
        over = self._over(result)
        attributes: dict[str, Any] = {
            KEY: str(ask.key),
            "architecture": ask.key.architecture,
            "seed": ask.key.seed,
            "purpose": ask.purpose,
            "status": result.status,
            "rungs": [[rung.step, rung.miou] for rung in result.rungs],
            "wall_s": result.wall_s,
            "error": result.error,
            **_costs(result),
        }
        if result.status == COMPLETED and not searched:
            attributes["values by its schedule"] = found
        accuracy = self._goals.accuracy.key
        scores = ((rung.step, rung.score(accuracy)) for rung in result.rungs)
        trial = create_trial(
            state=state,
            values=values if state == TrialState.COMPLETE else None,
            # The base, and what a pick is compared with, may stand at no point of the space.
            params=self._params(ask) if ask.point else {},
            distributions=self._distributions() if ask.point else {},
            user_attrs=attributes,
            intermediate_values={step: score for step, score in scores if score is not None},
            system_attrs={"constraints": over} if self._limits or self._goals.floors else None,
        )
        if result.began is not None:
            trial.datetime_start = datetime.fromtimestamp(result.began)
            trial.datetime_complete = datetime.fromtimestamp(result.began + result.wall_s)
        return trial

    def _over(self, result: TrialResult) -> list[float]:
        """Return by which share each limit is broken, those that are kept at most 0."""
        limits = [(PLAIN[name].of(result), most) for name, most in self._limits]
        floors = [(f.objective.of(result), f.at_least) for f in self._goals.floors]
        over = [0.0 if value is None else value / most - 1 for value, most in limits]
        return over + [1.0 if value is None else 1 - value / least for value, least in floors]

    def _params(self, ask: Ask) -> dict[str, Any]:
        levels = (values[i] for values, i in zip(self._levels, ask.point, strict=True))
        return {name: _shown(level) for name, level in zip(self._choices, levels, strict=True)}

    def _distributions(self) -> dict[str, BaseDistribution]:
        return dict(zip(self._choices, map(_distribution, self._levels), strict=True))


def _costs(result: TrialResult) -> dict[str, Any]:
    """Return every cost that is known of a trial."""
    found = {name: one.of(result) for name, one in PLAIN.items() if one.is_cost}
    return {name: value for name, value in found.items() if value is not None}


def _distribution(levels: Sequence[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    steps = {b - a for a, b in pairwise(levels)} if all(type(v) is int for v in levels) else set()
    if len(steps) == 1 and min(steps) > 0:
        return IntDistribution(levels[0], levels[-1], step=steps.pop())
    return CategoricalDistribution([_shown(level) for level in levels])


def _shown(level: Any) -> Any:
    return str(level) if isinstance(level, list) else level


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep notes of Optuna and SQLAlchemy on features of their own off the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
