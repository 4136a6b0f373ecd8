"""What weight files hold: tensors and plain values are read, nothing in a file is ever run."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from hrnet_search.errors import shown
from hrnet_search.net.file_kind import AGAIN, SAFETENSORS, NotWeightsError, kind_of

SAVE_TENSORS = "save its tensors alone: torch.save(network.state_dict(), FILE)"
MOST_NAMES = 200
"""Python objects of different classes in one file."""

_ASKED_FOR = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")
_RUNS = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|runpy|importlib|socket|ctypes|pty|pickle)\..*"
    r"|builtins\.(eval|exec|compile|open|__import__|breakpoint|input)"
)
"""What no checkpoint needs and an attacker does. Nothing else is run either."""

FILLED: dict[str, type] = {
    "Can only SETITEM": OrderedDict,
    "Can only extend lists": list,
    "Can only append to lists": list,
}
"""How the reader says that a stand-in is filled like a dict or a list (a defaultdict, a deque)."""


class StandIn:
    """Takes the place of every Python object beside the tensors, and keeps nothing of it."""

    named = ""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def read_content(path: Path, map_location: str | torch.device = "cpu") -> object:
    """Return what a file holds, whatever its name ends in; other objects than tensors and plain
    values are StandIns.

    Raise NotWeightsError, which says what the file is and what to do, if it is not one.
    """
    kind = kind_of(path)
    try:
        if kind == SAFETENSORS:
            return read_safetensors(path, map_location)
        return _unpickled(path, map_location)
    except NotWeightsError:
        raise
    except Exception as error:  # readers raise anything on what is not a weight file
        raise _unreadable(error) from error


def read_safetensors(path: Path, map_location: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Return the tensors of a safetensors file. Raise OSError, SafetensorError.

    Read, not mapped, as every file is: one that is cut while it is mapped ends the process.
    """
    found = safetensors.torch.load(path.read_bytes())
    return {name: tensor.to(map_location) for name, tensor in found.items()}


def _unpickled(path: Path, map_location: str | torch.device) -> object:
    """Read by torch's weights-only reader, which is told of one more StandIn until it can."""
    classes: dict[str, type] = {}
    while True:
        known: list[Any] = [(stand_in, name) for name, stand_in in classes.items()]
        try:
            # torch.load goes by a path's ending, and reads an open file as what it is.
            with torch.serialization.safe_globals(known), path.open("rb") as file:
                return torch.load(file, map_location, weights_only=True)
        except UnpicklingError as error:
            if not _learned(classes, str(error)) or len(classes) > MOST_NAMES:
                raise


def _learned(classes: dict[str, type], message: str) -> bool:
    """Add the stand-in that the reader lacked, or make it the container that it has to be."""
    if found := _ASKED_FOR.search(message):
        name = found[1] if "." in found[1] else f"builtins.{found[1]}"  # torch cuts that off
        if _RUNS.fullmatch(name):
            wrong = f"asks to run {shown(name)} when it is loaded; it was not run"
            raise NotWeightsError(wrong, "do not trust this file")
        new = name not in classes
        classes[name] = type(name, (StandIn,), {"named": name})
        return new
    filled = next((kind for words, kind in FILLED.items() if words in message), None)
    name = next((name for name in classes if f".{name}'>" in message), None)
    if filled is None or name is None:
        return False
    classes[name] = _container(filled)
    return True


def _container(kind: type) -> type:
    """Return a stand-in for a class whose pickled objects are filled like a dict or a list."""
    return type("Container", (), {"__new__": lambda *_: kind()})


def _unreadable(error: Exception) -> NotWeightsError:
    text = " ".join(str(error).split())
    if isinstance(error, EOFError) or "unexpected EOF" in text or "truncated" in text:
        return NotWeightsError(f"is cut short ({type(error).__name__} at its end)", AGAIN)
    if "storage has wrong byte size" in text:  # torch counts none in a file that is whole
        return NotWeightsError("is damaged (a part of it is missing or was changed)", AGAIN)
    if "Only persistent_load of storage" in text:
        return NotWeightsError("holds a pickled module, whose source would be run", SAVE_TENSORS)
    why = shown(text.rpartition("WeightsUnpickler error: ")[2], 120)
    return NotWeightsError(f"cannot be read ({type(error).__name__}: {why})", SAVE_TENSORS)
