"""The `tracking` section of a space file: where else a study can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from hrnet_search.paths import expanded
from hrnet_search.records.schedule import AUTO
from hrnet_search.records.search_options import MIRROR_NAMES
from hrnet_search.space.kinds import Kind, Text
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.sections import taken


@dataclass(frozen=True, slots=True)
class TrackingSpec:
    """The `tracking` section, by mirror: auto (a file or folder in the study), off, or a URI."""

    mlflow: str = "auto"
    optuna: str = "off"
    tensorboard: str = "off"


@dataclass(frozen=True)
class Mirror(Text):
    """An address; `off` is a word here, though YAML readers make it false."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.value == "off":
            return "off"
        text = super().read(reader, node, path)
        return expanded(text) if text else None


@dataclass(frozen=True)
class InStudy(Kind[str]):
    """Whether a mirror is kept in the study, which it cannot be elsewhere: `auto` or `off`."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.value in (AUTO, "off"):
            return str(node.value)
        wanted = reader.boolean(node, path)
        return None if wanted is None else AUTO if wanted else "off"

    @property
    def schema(self) -> dict[str, Any]:
        return {"enum": [True, False, "auto", "off"]}


TRACKING: dict[str, Kind[Any]] = {
    **dict.fromkeys(MIRROR_NAMES, Mirror()),
    "tensorboard": InStudy(),
}


def read_tracking(section: Section) -> TrackingSpec:
    """Return where the mirrors are."""
    return TrackingSpec(**taken(section, TRACKING, TrackingSpec()))
