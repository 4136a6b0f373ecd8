"""What a study is to reach: its objectives, and the accuracies that a variant must have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_search.class_iou import UnknownClassError
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.objective import OBJECTIVES, Objective, objective
from hrnet_search.records.trial import TrialResult

AT_MOST, AT_LEAST = "at_most", "at_least"
"""How a limit says on which side it is; costs have the first without a word."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What must hold of a result: an accuracy of at least this."""

    objective: Objective
    at_least: float

    def keeps(self, value: float | None) -> bool:
        """Say whether a value is enough; one that is not known is not."""
        return value is not None and value >= self.at_least

    def short(self, result: TrialResult) -> float:
        """Return by how much a result falls short, 0 if it does not or its value is not known."""
        value = self.objective.of(result)
        return 0.0 if value is None else max(0.0, self.at_least - value)


@dataclass(frozen=True, slots=True)
class Goals:
    """Objectives in their order, and floors."""

    objectives: tuple[Objective, ...]
    floors: tuple[Floor, ...] = ()

    @staticmethod
    def of(
        names: Iterable[str], floors: Iterable[tuple[str, float]] = (), data: DataSpec | None = None
    ) -> Goals:
        """Return what names stand for with these data; those of another version are left out."""
        found = [known(name, data) for name in names]
        bounds = [(known(name, data), at_least) for name, at_least in floors]
        return Goals(
            tuple(one for one in found if one) or (OBJECTIVES[MIOU],),
            tuple(Floor(one, at_least) for one, at_least in bounds if one),
        )

    @property
    def accuracy(self) -> Objective:
        """The objective that is maximised."""
        return next((o for o in self.objectives if not o.is_cost), OBJECTIVES[MIOU])

    @property
    def costs(self) -> tuple[Objective, ...]:
        """The objectives that are minimised, in their order."""
        return tuple(o for o in self.objectives if o.is_cost)

    @property
    def directions(self) -> list[str]:
        return [o.direction for o in self.objectives]

    @property
    def accuracies(self) -> tuple[Objective, ...]:
        """All that are asked for beside mIoU, as objective or limit: each once."""
        asked = (self.accuracy, *(floor.objective for floor in self.floors))
        return tuple({o.key: o for o in asked if o.key != MIOU}.values())

    def keeps_floors(self, result: TrialResult) -> bool:
        """Say whether a result has every accuracy that it must have."""
        return all(floor.keeps(floor.objective.of(result)) for floor in self.floors)

    def short(self, result: TrialResult) -> float:
        """Return by how much a result falls short of its floors, all together."""
        return sum(floor.short(result) for floor in self.floors)


def known(name: str, data: DataSpec | None = None) -> Objective | None:
    """Return what a name stands for with these data, None if it is not known."""
    classes, names = (data.classes, data.names) if data else (0, ())
    try:
        return objective(name, classes, names)
    except (KeyError, UnknownClassError):
        return None
