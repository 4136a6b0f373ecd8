"""The one writer of configs: an architecture, and what its study knows, in the library's terms."""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import (
    Config,
    cityscapes_sections,
    config_text,
    parse_config,
)
from hrnet_search.errors import shown
from hrnet_search.library.settle import Noted, Settling, Sizes
from hrnet_search.records import Schedule

IMAGE_SIZES = "image_sizes"
"""Where a study notes its largest image (height, width) by split, as JSON."""

SCHEDULES = "arm_schedules"
"""Where an ablation notes the schedules of its arms, as a JSON list."""

WIDTH = 96


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """A written config: its text, the keys left to set, and what it does not say of the study."""

    text: str
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigWriter:
    """Writes every config that leaves a study, so that one name has one content.

    `schedules` are as noted, by id. By a schedule that was not noted only the data are known.
    """

    base: Config | None = None
    schedules: Mapping[str, Noted] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)

    @staticmethod
    def of(meta: Mapping[str, str]) -> ConfigWriter:
        """Return the writer of a study, from what it noted."""
        text = meta.get("base_yaml", "")
        found = [_json(meta, name) for name in ("schedule", "long_schedule")]
        found += _json(meta, SCHEDULES) or []
        schedules = {schedule["id"]: schedule for schedule in found if schedule}
        base = parse_config(text) if text else None
        return ConfigWriter(base, schedules, _json(meta, IMAGE_SIZES) or {})

    @staticmethod
    def planned(base: Config, schedule: Schedule) -> ConfigWriter:
        """Return the writer of configs that are to be trained by a schedule."""
        return ConfigWriter(base, {schedule.id: noted(schedule)})

    def write(self, architecture: Architecture, schedule: str) -> StudyConfig:
        """Return the config of a network that was trained by a schedule, named by its id."""
        base = self.base or Config(architecture, cityscapes_sections())
        found = self.schedule(schedule)
        if type(found.get("data", {}).get("classes")) is not int:
            return StudyConfig(config_text(architecture, base))
        sections = copy.deepcopy(base.sections)
        settling = Settling(sections, found, self.sizes)
        settling.settle()
        left, notes = tuple(settling.left), tuple(settling.notes)
        text = config_text(
            architecture, Config(base.architecture, sections), _head(found["data"], left, notes)
        )
        return StudyConfig(text, left, notes)

    def schedule(self, name: str) -> Noted:
        """Return a schedule by its id; of one that was not noted, the study's data."""
        if name in self.schedules:
            return self.schedules[name]
        return next(({"data": s["data"]} for s in self.schedules.values() if s.get("data")), {})


def noted(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as a study notes it: lists for tuples, an absolute root, its id."""
    found: dict[str, Any] = json.loads(json.dumps({**asdict(schedule), "id": schedule.id}))
    if root := found["data"]["root"]:
        found["data"]["root"] = str(Path(root).absolute())
    return found


def _head(data: Noted, left: tuple[str, ...], notes: tuple[str, ...]) -> list[str]:
    """Return what a config says of its study, as lines of a comment."""
    lines = [f"for {shown(data['kind'])}, {data['classes']} classes"]
    if left:
        lines.append(f"LEFT TO SET: {', '.join(left)}")
    for note in notes:
        lines += textwrap.wrap(f"- {note}", WIDTH, subsequent_indent="  ")
    return lines


def _json(meta: Mapping[str, str], name: str) -> Any:
    return json.loads(meta.get(name) or "null")
