"""What commands take from the command line: the parser, numbers, and what several take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

from hrnet_search.commands.outcome import BAD_INPUT
from hrnet_search.device_names import DEVICES, is_device
from hrnet_search.errors import Fault, InputError, clean, nearest, shown
from hrnet_search.paths import expanded, why_not_written

MOST_HOURS = 1e6
"""Device-hours of a study at most, as the space file has it."""

SHARE = "0 or more, below 1e6"

N = TypeVar("N", int, float)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line that names the command and where it is explained."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit."""
        self.exit(BAD_INPUT, self._line(message))

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Say which of these words are not known, and exit.

        Words beside unknown options are most likely their values.
        """
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not options:
            self.error(f"unexpected: {shown(' '.join(words))}")
        wrong = (f"{shown(option)} is not a known option{self._near(option)}" for option in options)
        self.exit(BAD_INPUT, "".join(map(self._line, wrong)))

    def _line(self, message: str) -> str:
        return f"{self.prog}: {clean(message)} ({self.prog} --help)\n"

    def _near(self, option: str) -> str:
        return nearest(option, list(self._option_string_actions))


def _read(
    kind: Callable[[str], N], text: str, fits: Callable[[N], bool], wrong: str, allowed: str
) -> N:
    """Return a number; raise ArgumentTypeError for what is not one, or does not fit."""
    try:
        number = kind(text)
    except ValueError:
        wrong = "is not an integer" if kind is int else "is not a number"
    else:
        if fits(number):
            return number
    raise argparse.ArgumentTypeError(f"{shown(text)} {wrong}, allowed: {allowed}")


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    return _read(int, text, lambda n: n > 0, "is not positive", "1 or more")


def whole(text: str) -> int:
    """Read an integer of at least 0."""
    return _read(int, text, lambda n: n >= 0, "is not allowed", "an integer of at least 0")


def integer(text: str) -> int:
    """Read an integer."""
    return _read(int, text, lambda _: True, "", "an integer")


def port(text: str) -> int:
    """Read the number of a port."""
    return _read(int, text, lambda n: 0 < n < 65536, "is no port", "1 to 65535")


def number(text: str) -> float:
    """Read a finite number."""
    return _read(float, text, math.isfinite, "is not a number", "a number")


def share(text: str) -> float:
    """Read a number of at least 0."""
    return _read(float, text, _is_share, "is not allowed", SHARE)


def _is_share(number: float) -> bool:
    return 0 <= number < 1e6


def require_shares(*shares: tuple[str, float | None]) -> None:
    """Raise InputError for shares, by name, that `share` would not read; None passes."""
    faults = [
        Fault(name, given, f"{shown(given)} is not allowed", SHARE)
        for name, given in shares
        if given is not None and not _is_share(given)
    ]
    if faults:
        raise InputError(faults)


def hours(text: str) -> float:
    """Read a number of hours above 0."""
    allowed = f"above 0, at most {MOST_HOURS:g}"
    return _read(float, text, lambda n: 0 < n <= MOST_HOURS, "is not allowed", allowed)


def device(text: str) -> str:
    """Read the name of a device."""
    if is_device(text):
        return text
    wrong = f"{shown(text)} is not known, allowed: {DEVICES}"
    raise argparse.ArgumentTypeError(wrong)


def named(text: str) -> str:
    """Read the name of a file or folder; an empty one would be the folder that one is in."""
    if not text:
        allowed = "the name of a file or folder"
        raise argparse.ArgumentTypeError(f"'' names nothing, allowed: {allowed}")
    return expanded(text)


def output(text: str) -> str:
    """Read a folder to write to, which is there or can be made."""
    path = named(text)
    if why := why_not_written(path):
        raise argparse.ArgumentTypeError(f"{shown(path, 300)}: {why}")
    return path


def offer(action: argparse.Action, words: Callable[[], Iterable[str]]) -> None:
    """Say what completion offers for an argument that reads its words by itself.

    `words` is called when a script is made, so that no command has to load what knows them.
    """
    vars(action)["offered"] = words


def offered(action: argparse.Action) -> list[str]:
    """Return what completion offers for an argument beside its choices."""
    words = vars(action).get("offered")
    return list(words()) if words else []


def add_progress(sub: argparse.ArgumentParser) -> None:
    """Take what a program that drives a command asks for."""
    events = "an event a line of JSON instead (docs/events.md)"
    sub.add_argument("--progress", choices=["json"], help=events)


def add_space(sub: argparse.ArgumentParser) -> None:
    """Take a space file, and where its data lie."""
    sub.add_argument("space", type=expanded, metavar="SPACE", help="space file (yaml)")
    sub.add_argument(
        "--data-root", type=expanded, metavar="DIR", help="where the images and masks are"
    )


def add_study(sub: argparse.ArgumentParser) -> None:
    """Take one study."""
    sub.add_argument("study", type=expanded, metavar="STUDY", help="study folder")


def add_take_over(sub: argparse.ArgumentParser) -> None:
    """Take whether a driver that cannot be looked at is known to be gone."""
    gone = "take over from a driver on another host that is known to be gone"
    sub.add_argument("--take-over", action="store_true", help=gone)


def add_reuse(sub: argparse.ArgumentParser) -> None:
    """Take other studies, whose finished trials are taken over."""
    taken = "take over finished trials of another study (may be repeated)"
    sub.add_argument(
        "--reuse", action="append", default=[], type=expanded, metavar="STUDY", help=taken
    )


def require_positive(*counts: tuple[str, object]) -> None:
    """Raise InputError for counts, by name, that are not integers of at least 1; None passes."""
    faults = [
        Fault(name, count, f"{shown(count)} {wrong}", "1 or more")
        for name, count in counts
        if count is not None and (wrong := _wrong_count(count))
    ]
    if faults:
        raise InputError(faults)


def _wrong_count(count: object) -> str:
    if isinstance(count, bool) or not isinstance(count, int):
        return "is not an integer"
    return "" if count > 0 else "is not positive"
