"""What several commands ask of a space file and of the data that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.counts import digits
from hrnet_search.errors import Fault, InputError
from hrnet_search.paths import absolute, expanded, several, why_not_written

if TYPE_CHECKING:
    from hrnet_search.inventory import Inventory
    from hrnet_search.search.initial_weights import Initial
    from hrnet_search.space.load import SpaceFile

RESULTS = Path("results")


def load(space: str | Path, data_root: str | Path | None, warn: Callable[[str], None]) -> SpaceFile:
    """Return a space file; raise SpaceError with every problem of it."""
    from hrnet_search.space.load import load_space_file

    root = None if data_root is None else str(data_root)
    file = load_space_file(expanded(str(space)), root)
    if data_root is not None and not file.schedule.data.in_files:
        warn(f"--data-root: not used: data of kind {file.schedule.data.kind} need no files")
    return file


def load_search(
    space: str | Path, data_root: str | Path | None, warn: Callable[[str], None]
) -> SpaceFile:
    """Return the space file of a search whose data are somewhere; raise InputError for others."""
    file = load(space, data_root, warn)
    if file.ablation is not None:
        wrong = "is an ablation, nothing is searched"
        raise InputError(Fault("ablate", None, wrong, "hrnet-search ablate", file.path))
    _require_root(file)
    return file


def learning_from(file: SpaceFile, studies: str | Path | Sequence[str | Path]) -> SpaceFile:
    """Return a space file that learns from other studies than it says, if any are given.

    What is kept of it says so too, so that it begins the same study again.
    """
    if not (named := several(studies)):
        return file
    from hrnet_search.records.search_options import ALONE, SHARED
    from hrnet_search.space.rewrite import with_entry
    from hrnet_search.space.search_section import LEARNING, why_not_learning

    if file.search.evaluator == SHARED:
        wrong = f"does not go with evaluator: {SHARED}"
        raise InputError(Fault("--learn-from", None, wrong, f"evaluator: {ALONE}"))
    if why := why_not_learning(file.search.sampler):
        raise InputError(Fault("--learn-from", None, why, f"{LEARNING}"))
    places = tuple(str(absolute(study)) for study in named)
    text = with_entry(file.text, "search", "learn_from", list(places))
    return replace(file, text=text, search=replace(file.search, learn_from=places))


def load_ablation(
    space: str | Path, data_root: str | Path | None, warn: Callable[[str], None]
) -> SpaceFile:
    """Return the space file of an ablation whose data are somewhere; InputError for others."""
    file = load(space, data_root, warn)
    if file.ablation is None:
        wrong = "is missing, the file asks for a search"
        raise InputError(Fault("ablate", None, wrong, "hrnet-search run", file.path))
    _require_root(file)
    return file


def study_folder(file: SpaceFile, folder: str | Path | None) -> Path:
    """Return where the study is, for this process and all others.

    Raise InputError for a folder that can be neither written to nor made.
    """
    if folder is None:
        return absolute(RESULTS / file.name)
    place = absolute(folder)
    if wrong := why_not_written(str(place)) if str(folder) else "'' names nothing":
        raise InputError(Fault("", folder, wrong, "the name of a folder", str(folder)))
    return place


def look_at_data(file: SpaceFile) -> Inventory | None:
    """Raise DataError for what is wrong with the data; None if nobody says where they are."""
    if _has_no_root(file):
        return None
    from hrnet_search.data.dataset import inspect_data

    return inspect_data(file)


def seen(data: Inventory | None) -> dict[str, object]:
    """Return what was seen of the data, for programs to read."""
    return {"data_looked_at": data is not None, "data": asdict(data) if data else None}


def data_lines(file: SpaceFile, data: Inventory | None) -> Iterator[str]:
    """Yield what was seen of the data, for people."""
    if data is None:
        yield "the data were not looked at: no root (--data-root DIR)"
    else:
        yield from data.lines(file.schedule.data)


def initial_weights(file: SpaceFile) -> Initial:
    """Return what `check` looks at initial weights with: as a run in the usual folder does."""
    from hrnet_search.search.initial_weights import Initial

    return Initial(file, RESULTS / file.name, elsewhere=True)


def decoded_line(taken: int, limit: int) -> str:
    """Return how large the decoded images are, and what that means for a study."""
    if taken > limit:
        kept = f"more than data.cache allows ({digits(limit / 1e9)} GB): decoded on every access"
    else:
        kept = "kept in the study's folder"
    size = f"{digits(taken / 1e9)} GB" if taken >= 1e9 else f"{digits(taken / 1e6)} MB"
    return f"decoded images: {size}, {kept}"


def _require_root(file: SpaceFile) -> None:
    if _has_no_root(file):
        wrong = "the data have no root"
        raise InputError(Fault("data.root", None, wrong, "--data-root DIR", file.path))


def _has_no_root(file: SpaceFile) -> bool:
    return file.schedule.data.in_files and not file.schedule.data.root
