"""`repair`: a damaged study.db, rebuilt from what is whole."""

from __future__ import annotations

import argparse

from hrnet_search.commands.arguments import add_study, add_take_over
from hrnet_search.commands.outcome import DONE, TRIALS_FAILED, say


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `repair`."""
    add_study(sub)
    add_take_over(sub)


def command(options: argparse.Namespace) -> int:
    """Rebuild a damaged study.db; the damaged file is kept, what is lost is said."""
    from hrnet_search.store.repair import repair

    said, whole = repair(options.study, options.take_over)
    for line in said:
        say(line)
    return DONE if whole else TRIALS_FAILED
