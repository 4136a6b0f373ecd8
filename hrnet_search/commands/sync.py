"""`sync`: the mirrors of a study, brought up to date."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import add_study
from hrnet_search.commands.outcome import DONE, TRIALS_FAILED, say, warn
from hrnet_search.commands.space_file import load
from hrnet_search.errors import counted
from hrnet_search.paths import expanded
from hrnet_search.told import Told, nobody

if TYPE_CHECKING:
    from hrnet_search.search.mirrors.outbox import Synced


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `sync`."""
    add_study(sub)
    space = "its space file, for the passwords in it, which the study does not keep"
    sub.add_argument("--space", type=expanded, metavar="SPACE", help=space)
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")


def command(options: argparse.Namespace) -> int:
    """Bring the mirrors of a study up to date."""
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.commands.working import working

    with working(Terminal(options.plain)) as told:
        found = sync(options.study, options.space, warn, told)
    if not found:
        say("tracking is off: there is nothing to sync")
    for name, mirror in found.items():
        say(f"{name}: {counted(mirror.sent, 'trial')} sent, {mirror.waiting} waiting")
    return DONE if all(mirror.up_to_date for mirror in found.values()) else TRIALS_FAILED


def sync(
    study: str | Path,
    space: str | Path | None,
    warn: Callable[[str], None],
    told: Told = nobody,
) -> dict[str, Synced]:
    """Send what waits; return by mirror what was sent, and what still waits.

    Raise StudyError for what is not a study, or a space file that is not its own.
    """
    from hrnet_search.search.mirrors.outbox import sync as sync_mirrors

    file = None if space is None else load(space, None, warn)
    return sync_mirrors(Path(expanded(str(study))), warn, file, told)
