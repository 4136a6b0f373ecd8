"""What the official library makes of a config: its strict merge, its branches, its test script.

Rules of `lib/config/default.py` (branch HRNet-OCR) and of yacs, which merges a yaml into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.config_reader import OCR_BRANCH, OCR_READERS
from hrnet_search.arch.targets import HRNET, crossed_transitions, target_problems
from hrnet_search.arch.yaml_nodes import decoded
from hrnet_search.library.keys import DEFAULTS

TRAINED_IN = "model."
"""What the official train.py puts before every name."""

STRIPPED = 6
"""Characters that the official test.py takes off every name, whatever they are."""

Schema = dict[str, Any]

ONLY_OCR = ("MODEL.ALIGN_CORNERS", *OCR_BRANCH)
"""Keys that the branches pytorch-v1.1 and master do not know, and stop on."""


OLDER_READERS = {
    **{reader: f"it has no reader {reader}" for reader in OCR_READERS},
    "pascal_ctx": "its pascal_ctx reads PASCAL-Context alone, through the Detail API",
}
"""What the branches pytorch-v1.1 and master make of readers of HRNet-OCR."""


def merge_problems(sections: dict[str, Any]) -> list[str]:
    """Return why the library's strict merge would stop on a config; empty if it takes it.

    Unknown keys outside MODEL.EXTRA stop it, and values of another type than the default's:
    an integer is not a float, but a string that reads as a literal counts as that literal.
    """
    return list(_merge(sections, DEFAULTS, ""))


def branch_notes(architecture: Architecture, sections: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each branch of the official library and what it makes of a config."""
    wrong = target_problems(HRNET, architecture)
    current = "; ".join(wrong) if wrong else "runs it as meant"
    unknown = [key for key in ONLY_OCR if _has(sections, key)]
    drop = f"after {', '.join(unknown)} is taken out of it" if unknown else "as it is"
    old = list(wrong)
    if architecture.align_corners:
        old.append("it interpolates with align_corners False only")
    older = "; ".join(old) if old else f"runs it {drop}"
    crossing = crossed_transitions(architecture)
    crossed = "; ".join([*old, *crossing]) if crossing else older
    reader = str((sections.get("DATASET") or {}).get("DATASET"))
    if note := OLDER_READERS.get(reader, ""):
        older, crossed = f"{older}; {note}", f"{crossed}; {note}"
    return [("HRNet-OCR", current), ("pytorch-v1.1", crossed), ("master", older)]


def _merge(found: dict[str, Any], known: Schema, path: str) -> Iterator[str]:
    for key, value in found.items():
        where = f"{path}.{key}" if path else str(key)
        if not isinstance(key, str):
            yield f"{where}: the key is not text"
        elif key not in known:
            yield f"{where}: the library knows no such key"
        elif isinstance(known[key], dict) and known[key]:
            if isinstance(value, dict):
                yield from _merge(value, known[key], where)
            else:
                yield f"{where}: a section is expected there"
        else:
            yield from _typed(decoded(value), type(known[key]), where)


def _typed(value: Any, kind: type, where: str) -> Iterator[str]:
    same = type(value) is kind or value is None or {type(value), kind} == {tuple, list}
    if kind is dict:
        same = isinstance(value, dict)
    if not same or (value is None and kind is dict):
        yield f"{where}: the library takes {kind.__name__} there, not {type(value).__name__}"


def _has(sections: dict[str, Any], path: str) -> bool:
    section, _, key = path.partition(".")
    return key in (sections.get(section) or {})
