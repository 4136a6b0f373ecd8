"""The space file of a study as the study keeps it: it begins the same study again, anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hrnet_search.files import write_whole
from hrnet_search.paths import absolute
from hrnet_search.records.schedule import NO_INIT, TRAINED_FIRST, Schedule
from hrnet_search.redaction import redacted_address
from hrnet_search.space.load import SpaceFile
from hrnet_search.space.rewrite import Keys, rewritten, without_secrets
from hrnet_search.space.schema import SCHEMA_FILE, beside, schema_text
from hrnet_search.store.database import storage

SPACE_FILE, BASE_FILE, COLORS_FILE = "space.yaml", "base.yaml", "colors.txt"


def keep_space(
    file: SpaceFile, schedules: Iterable[Schedule], tracking: Mapping[str, str], folder: Path
) -> None:
    """Write a study's space.yaml, so that it reads the same from there, and what it names.

    Its base, colours in a file and the schema that it names are copies beside it; where data,
    weights and mirrors lie is said in full, passwords of mirrors are left out.
    `schedules` are settled, and say what their starts stand for. Raise StorageLostError.
    """
    named = {BASE_FILE: Path(file.base.path)}
    starts = {s.init: s.init_path for s in schedules if s.init not in (NO_INIT, *TRAINED_FIRST)}

    def value_of(keys: Keys, written: str) -> str | None:
        match keys:
            case ("data", "colors"):
                named[COLORS_FILE] = absolute(written, Path(file.path).parent)
                return COLORS_FILE
            case ("tracking", name):
                return redacted_address(tracking.get(name, written))
            case ("schedule", "init") | ("ablate", "factors", _, "levels", _):
                return starts.get(written)
        return _in_full(file, keys, written)

    text, has_schema = beside(rewritten(without_secrets(file.text), value_of))
    with storage(folder):
        if has_schema:
            write_whole(folder / SCHEMA_FILE, schema_text().encode())
        for name, path in named.items():
            write_whole(folder / name, path.read_bytes())
        write_whole(folder / SPACE_FILE, text.encode())


def _in_full(file: SpaceFile, keys: Keys, written: str) -> str | None:
    """Return what stands for a text of a space file wherever it is read; None: as it is."""
    match keys:
        case ("base",):
            return BASE_FILE
        case ("data", "root"):
            return file.schedule.data.root
        case ("latency", "command", "0") if file.latency.command:
            return file.latency.command[0]
        case ("search", "learn_from", _):
            return str(absolute(written, Path(file.path).parent))
    return None
