"""Notes of a study as they are kept and shown: without the passwords of its mirrors."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hrnet_search.redaction import redacted_address
from hrnet_search.space.rewrite import without_secrets

TRACKING, SPACE_TEXT = "tracking", "space_text"


def redacted_note(name: str, value: str) -> str:
    """Return a note without secrets; most have none to lose."""
    if name == SPACE_TEXT:
        return without_secrets(value)
    if name != TRACKING:
        return value
    places = addresses(value)
    kept = {mirror: redacted_address(place) for mirror, place in places.items()}
    return value if kept == places else json.dumps(kept)


def redacted_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Return notes by name without secrets."""
    return {name: redacted_note(name, value) for name, value in notes.items()}


def addresses(tracking: str) -> dict[str, str]:
    """Return the addresses of a study's mirrors from its note.

    Studies begun before there were several mirrors have the address of the one.
    """
    if not tracking.startswith("{"):
        return {"mlflow": tracking}
    found: dict[str, str] = json.loads(tracking)
    return found
