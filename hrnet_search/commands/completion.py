"""`completion`: a script by which a shell completes commands, options, words and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hrnet_search.commands.arguments import named, offered, output
from hrnet_search.commands.outcome import DONE, say_as_it_is
from hrnet_search.paths import expanded

SHELLS = ("bash", "zsh", "fish", "tcsh")
FOLDERS = ("DIR", "STUDY")


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `completion`."""
    sub.add_argument("shell", choices=SHELLS, help="whose script it is")


def command(options: argparse.Namespace) -> int:
    """Print a script by which a shell completes commands, options, words and files."""
    say_as_it_is(completion(options.top, options.shell))
    return DONE


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of a shell for a parser and its commands."""
    import shtab

    for action in _arguments(parser):
        words = offered(action)
        if words:
            action.choices = words
        elif action.type in (expanded, named, output):
            folder = action.type is output or action.metavar in FOLDERS
            vars(action)["complete"] = shtab.DIRECTORY if folder else shtab.FILE
    script: str = shtab.complete(parser, shell)
    return script


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _arguments(sub)
