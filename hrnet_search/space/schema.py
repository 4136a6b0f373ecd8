"""A JSON Schema of the space file, made of the kinds that the loader reads it by.

For editors: it says what every key may hold, by itself. What keys mean together, what files hold
and which networks a space has is what `hrnet-search check` says.
"""

from __future__ import annotations

import json
import re

from hrnet_search.presets import PRESETS
from hrnet_search.records.objective import PLAIN
from hrnet_search.space.ablate import UNREAD
from hrnet_search.space.data_section import DATA, required_data
from hrnet_search.space.kinds import Keys, Schema
from hrnet_search.space.load import BASE, KEYS, NAME, PARTS, REQUIRED, SEARCHED
from hrnet_search.space.objectives import MOST_COSTS
from hrnet_search.space.sections import REQUIRE, TARGET
from hrnet_search.space.vary import PATHS, choice_schema

SCHEMA_FILE = "space.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""The first line of a space file, by which editors find the schema beside it."""

_MODELINE = re.compile(r"^# yaml-language-server: *\$schema=(?![a-z]+://|/)\S+", re.MULTILINE)
DESCRIPTIONS = {
    "name": "Names the study's folder",
    "base": "An HRNet-library yaml, relative to this file; what is not varied stays as it is there",
    "vary": "The choices of the space: levels by path; schedule.KEY is how variants are trained",
    "ablate": "Factors of an ablation, in place of a search",
    "target": "What every variant has to run on as it was searched",
    "require": "Rules that every variant keeps: comparisons of its keys and costs",
    "limits": "What a variant may cost at most, at latency.size; k, M and G are powers of 1000."
    " {at_least: 0.5} of an accuracy",
    "objectives": "miou: max or iou[CLASS,...]: max, and up to two costs",
    "data": "What variants are trained and judged on",
    "schedule": "How a variant is trained and judged",
    "latency": "How latency is measured",
    "search": "Which sampler searches, and for how long",
    "tracking": "Where the mirrors in MLflow, Optuna and TensorBoard are",
}


def space_schema() -> Schema:
    """Return the schema, JSON Schema 2020-12."""
    properties = {
        "name": NAME.schema,
        "base": BASE.schema,
        "vary": _vary(),
        "target": TARGET.schema,
        "require": REQUIRE.schema,
        "data": _data(),
        **{key: keys.schema for key, keys in PARTS.items()},
    }
    properties["ablate"]["required"] = ["factors"]
    costs = {"propertyNames": {"enum": [name for name, row in PLAIN.items() if row.is_cost]}}
    properties["objectives"] |= {"not": costs, "maxProperties": 1 + MOST_COSTS}
    seeds = {"not": {"required": ["seeds"]}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Space file of hrnet-search",
        "type": "object",
        "properties": {key: {"description": DESCRIPTIONS[key], **properties[key]} for key in KEYS},
        "additionalProperties": False,
        "required": list(REQUIRED),
        "if": {"required": ["ablate"]},
        "then": {"properties": {**dict.fromkeys(("vary", *UNREAD), False), "schedule": seeds}},
        "else": {"required": list(SEARCHED)},
    }


def schema_text() -> str:
    """Return the schema as it is printed, and written beside a space file."""
    return json.dumps(space_schema(), indent=1) + "\n"


def beside(text: str) -> tuple[str, bool]:
    """Return a space file's text that names the schema beside it, and whether it names one.

    One that it names by a relative path would not be found from elsewhere.
    """
    changed, count = _MODELINE.subn(lambda _: MODELINE, text)
    return changed, count > 0


def _vary() -> Schema:
    return {
        "type": "object",
        "properties": {path: choice_schema(path) for path in PATHS},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _data() -> Schema:
    """Return what data may be: keys and their values by kind, all presets alike."""
    kinds = {"shapes": ["shapes"], "folder": ["folder"], next(iter(PRESETS)): list(PRESETS)}
    ways = [
        {
            "if": {"properties": {"kind": {"enum": alike}}, "required": ["kind"]},
            "then": Keys(DATA[kind], required_data(kind)).schema,
        }
        for kind, alike in kinds.items()
    ]
    both = {"not": {"required": ["mapping", "colors"]}}
    kind = DATA["shapes"]["kind"].schema
    return {
        "type": "object",
        "properties": {"kind": kind},
        "required": ["kind"],
        "allOf": [*ways, both],
    }
