"""`init`: a space file and its base to start from, filled from the data where they are."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from hrnet_search.commands.arguments import offer, output
from hrnet_search.commands.outcome import DONE, say
from hrnet_search.paths import expanded

DEFAULT_BASE = "w18-small-v1"


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `init`."""
    add = sub.add_argument
    add("folder", type=output, metavar="DIR", help="where space.yaml and base.yaml are written")
    add("--data-root", type=expanded, metavar="DIR", help="where the images and masks are")
    kinds = "kind of data, as data.kind in a space file (as the folder looks; else shapes)"
    offer(add("--kind", metavar="KIND", help=kinds), _kinds)
    bases = "published network to vary: w18-small-v1, w18-small-v2, w18, w30, w32, w40, w48"
    base = add("--base", default=DEFAULT_BASE, metavar="NAME", help=f"{bases} ({DEFAULT_BASE})")
    offer(base, _bases)


def _kinds() -> Iterable[str]:
    from hrnet_search.records.data_spec import DATA_KINDS

    return DATA_KINDS


def _bases() -> Iterable[str]:
    from hrnet_search.space.published import PUBLISHED

    return PUBLISHED


def command(options: argparse.Namespace) -> int:
    """Write a space file and its base to start from, filled from the data with --data-root."""
    # Imported here: every command loads this file, and answers at once without numpy.
    from hrnet_search.commands.starting_point import init

    written = init(options.folder, options.data_root, options.kind, options.base)
    for line in written.found:
        say(line)
    for line in written.left:
        say(f"left to you: {line}")
    say(f"written: {written.space}, {written.base}")
    say(f"next: hrnet-search check {written.space}")
    return DONE
