"""`schema`: the JSON Schema of the space file, for editors."""

from __future__ import annotations

import argparse

from hrnet_search.commands.outcome import DONE, say_as_it_is


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `schema`: none."""


def command(_: argparse.Namespace) -> int:
    """Print a JSON Schema of the space file, by which editors complete and check one."""
    # Imported here: every command loads this file, and answers at once without numpy.
    from hrnet_search.space.schema import schema_text

    say_as_it_is(schema_text().rstrip())
    return DONE
