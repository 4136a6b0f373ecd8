"""How figures look: our style file, and a person's own laid over it."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl

from hrnet_search.errors import Fault, InputError, shown

PAPER = Path(__file__).with_name("paper.mplstyle")
OPTION = "--style"

Style = dict[str, Any]


def style_of(own: Path | None = None) -> Style:
    """Return the settings of matplotlib that figures are drawn with.

    `own` is a matplotlib style file, whose settings replace ours one by one. Raise InputError for
    a file that is not one.
    """
    found = _read(PAPER)
    if own is not None:
        found |= _own(own)
    # Names of shapes in an SVG are drawn by chance otherwise: equal figures are equal bytes.
    return {**found, "svg.hashsalt": "hrnet-search"}


def styled(style: Style | None = None) -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws by a style, our own if none is given."""
    settings: Any = style or style_of()  # matplotlib types its keys one by one
    return mpl.rc_context(settings)


def _read(path: Path) -> Style:
    found: Any = mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False)
    return dict(found)


def _own(path: Path) -> Style:
    """Read a person's file; matplotlib would log what it cannot use, and go on without it."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("matplotlib")
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", DeprecationWarning)  # it can be used
            found = _read(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        said.append(getattr(error, "strerror", None) or str(error))
    finally:
        log.removeHandler(handler)
    if said:
        wrong = f"cannot be used: {shown(said[0].strip(), 300)}"
        allowed = "a matplotlib style file, a line a setting (`key: value`)"
        raise InputError(Fault(OPTION, str(path), wrong, allowed, file=str(path)))
    return found
