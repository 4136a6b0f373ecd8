"""The one writer of configs: an architecture, and what its study knows, in the library's terms."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import (
    Config,
    cityscapes_sections,
    config_text,
    parse_config,
)
from hrnet_search.errors import shown
from hrnet_search.library.settle import Settling, Sizes
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import NO_INIT, Schedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import noted_schedules

WIDTH = 96
UNKNOWN = DataSpec("", 0)
"""Data of which nothing is known; no data set has 0 classes."""


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """A written config: its text, the keys left to set, and what it does not say of the study."""

    text: str
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigWriter:
    """Writes every config that leaves a study, so that one name has one content.

    `schedules` are by the ids of trials' keys. Of one that is not among them only the data are
    known, which are those of the others.
    """

    base: Config | None = None
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)

    @staticmethod
    def of(notes: Notes) -> ConfigWriter:
        """Return the writer of a study, from what it noted."""
        base = parse_config(notes.base_yaml) if notes.base_yaml else None
        return ConfigWriter(base, noted_schedules(notes), notes.image_sizes or {})

    @staticmethod
    def planned(base: Config, *schedules: Schedule) -> ConfigWriter:
        """Return the writer of configs that are to be trained by one of some schedules."""
        return ConfigWriter(base, {schedule.id: schedule for schedule in schedules})

    def write(self, architecture: Architecture, schedule: str) -> StudyConfig:
        """Return the config of a network that was trained by a schedule, named by its id."""
        base = self.base or Config(architecture, cityscapes_sections())
        data = self.data(schedule)
        if data == UNKNOWN:
            return StudyConfig(config_text(architecture, base))
        sections = copy.deepcopy(base.sections)
        settling = Settling(sections, data, self.schedules.get(schedule), self.sizes)
        settling.settle()
        known = self.schedules.get(schedule)
        if architecture.has_ocr and known:
            sections["LOSS"]["BALANCE_WEIGHTS"] = [known.aux_weight, 1]
        left, notes = tuple(settling.left), (*settling.notes, *_start(base, architecture, known))
        text = config_text(
            architecture, Config(base.architecture, sections), _head(data, left, notes)
        )
        return StudyConfig(text, left, notes)

    def data(self, schedule: str) -> DataSpec:
        """Return the data of a schedule by its id, of one that was not noted the study's."""
        found = self.schedules.get(schedule)
        known = (s.data for s in self.schedules.values() if s.data != UNKNOWN)
        return found.data if found else next(known, UNKNOWN)


def _start(base: Config, network: Architecture, schedule: Schedule | None) -> Iterator[str]:
    """Yield that a network starts from other weights than it had in the study, if so."""
    weights = str((base.sections.get("MODEL") or {}).get("PRETRAINED") or "")
    same = base.architecture is not None and base.architecture.id == network.id
    if schedule and schedule.init == NO_INIT and weights and same:
        yield (
            f"MODEL.PRETRAINED is {shown(weights)}, the base's: in the study it started from random"
            " weights, and so do the configs of all its other networks"
        )


def _head(data: DataSpec, left: tuple[str, ...], notes: tuple[str, ...]) -> list[str]:
    """Return what a config says of its study, as lines of a comment."""
    lines = [f"for {shown(data.kind)}, {data.classes} classes"]
    if left:
        lines.append(f"LEFT TO SET: {', '.join(left)}")
    for note in notes:
        lines += textwrap.wrap(f"- {note}", WIDTH, subsequent_indent="  ")
    return lines
