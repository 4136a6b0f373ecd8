"""The exception family: every error a user can cause or meet, with its exit code."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hrnet_search.redaction import redacted

LONGEST_ADDRESS = 2000
"""Characters of a value that are looked at for a password beyond those that are shown."""

MESSAGE_LENGTH = 500
"""Characters at most of an error that is told in one line; a log or a traceback has the rest."""

NEAR = 0.75
"""Likeness, as difflib counts it, from which a name is taken for another one misspelt."""

MOST_HINTS = 100
MOST_LINES = 50
"""Lines of problems that one command prints."""

LONGEST_FILE = 1000
"""Characters at most of a file's name in a message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with what a user gave: where it stands, what is wrong, what is allowed.

    `path` is the key as the user writes it (`STAGE3.NUM_BLOCKS`), `value` the offending value,
    `wrong` and `allowed` two phrases of one sentence. `instead` says what to do, where no other
    value is right. `line` and `column` count from 1; 0 means that the place is not known.
    """

    path: str
    value: object
    wrong: str
    allowed: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    instead: str = ""

    def at(self, file: str, line: int = 0, column: int = 0) -> Fault:
        """Return the same fault with its place in a file."""
        return replace(self, file=file, line=line, column=column)

    def __str__(self) -> str:
        file = shown(self.file, LONGEST_FILE)
        place = ":".join(str(part) for part in (file, self.line, self.column) if part)
        allowed = f"allowed: {self.allowed}" if self.allowed else ""
        what = ", ".join(part for part in (self.wrong, allowed, self.instead) if part)
        text = ": ".join(part for part in (place, self.path, what) if part)
        # One line each, whatever a file name or a value had in it.
        return printable(redacted(text))


class HrnetSearchError(Exception):
    """Base of every error that is not a defect of this package."""

    exit_code = 2


class InputError(HrnetSearchError, ValueError):
    """What a user gave is wrong; `faults` holds every problem that was found."""

    def __init__(self, faults: Fault | Iterable[Fault] | str) -> None:
        if isinstance(faults, str):
            faults = Fault("", None, faults)
        self.faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class ArchitectureError(InputError):
    """An architecture, or the yaml of one, is not a network that can be built."""


class SpaceError(InputError):
    """A space file is wrong."""


class DataError(InputError):
    """Training or validation data are missing, unreadable or inconsistent."""


class WeightsError(InputError):
    """A weight file is missing, unreadable or does not fit the network."""


class StudyError(InputError):
    """A folder is not a study, or not the study that was meant."""


class StudyExistsError(StudyError):
    """A study was to be begun where there is one."""


class StudyDamagedError(StudyError):
    """What a study's database holds is not what was written; nothing of it is shown."""

    exit_code = 4


class StudyInUseError(HrnetSearchError):
    """Another driver holds the study."""

    exit_code = 3


class StorageLostError(HrnetSearchError):
    """The study's storage went away or refuses to be written."""

    exit_code = 4


class ClusterLostError(HrnetSearchError):
    """What runs the workers has ended; what was committed stays."""

    exit_code = 4


class DeviceLostError(HrnetSearchError):
    """A GPU answers no more in this process; `device` is its uuid."""

    exit_code = 4

    def __init__(self, device: str, why: str) -> None:
        self.device = device
        super().__init__(f"{device} answers no more ({why})")

    def __reduce__(self) -> tuple[type[DeviceLostError], tuple[str, str]]:
        why = str(self).partition(" (")[2][:-1]
        return type(self), (self.device, why)


class ReportError(HrnetSearchError):
    """Parts of a report could not be made, a line each; all others were, and the results stand."""

    exit_code = 1


class ReaderLeftError(BrokenPipeError):
    """Whoever read standard output has left; a socket or a child that breaks off is another."""


class TrainingError(HrnetSearchError):
    """A trial cannot go on: a loss that is not finite, an empty validation set."""

    exit_code = 1


class LatencyError(HrnetSearchError):
    """A network was not timed: what was to run it did not, or said nothing of use."""

    exit_code = 1


def printable(text: str) -> str:
    """Return a text whose every character a terminal shows: no control, no change of direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def clean(text: str) -> str:
    """Return lines as they may reach a terminal: printable, no passwords in addresses."""
    return "\n".join(map(printable, redacted(text).split("\n")))


def warn_on_stderr(text: str) -> None:
    """Print a line on standard error, for people alone; where that is not writable, go on."""
    with suppress(OSError):
        print(clean(text), file=sys.stderr, flush=True)


def shown(value: object, limit: int = 60) -> str:
    """Return `value` as it may stand in a message: printable, at most `limit` characters.

    Passwords in addresses are left out.
    """
    text = value if isinstance(value, str) else repr(value)
    # What is cut would hide where a password ends.
    text = printable(redacted(text[: 4 * limit + LONGEST_ADDRESS])[: 4 * limit])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def one_line(error: Exception, limit: int = MESSAGE_LENGTH) -> str:
    """Return an error as one printable line; foreign ones with their kind."""
    text = "; ".join(filter(None, map(str.strip, str(error).splitlines())))
    if not isinstance(error, HrnetSearchError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return shown(text, limit)


def first_line(error: Exception) -> str:
    """Return what a foreign error says first, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def counted(count: int, what: str) -> str:
    """Return a count of something that has a plural in s."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def briefly(problems: Sequence[str]) -> list[str]:
    """Return as many lines as a person reads, the last one a count of what was left out."""
    if len(problems) <= MOST_LINES:
        return list(problems)
    kept = list(problems[: MOST_LINES - 1])
    return [*kept, f"and {len(problems) - len(kept):,} more problems"]


def nearest(name: str, known: Sequence[str], said: int = 0) -> str:
    """Return `, did you mean ...?` for the one known name that is likely meant; else nothing.

    That is the one it is a misspelling of, or the one that it says in more words or in fewer
    (`crop_size` for `crop`). Of two that are as near, none is named. `said` is how many problems
    were named before: after a hundred nobody reads hints, and ten thousand take seconds.
    """
    if said >= MOST_HINTS:
        return ""
    name = name[:100].lower()
    likeness = {k: difflib.SequenceMatcher(None, name, k.lower()).ratio() for k in known}
    best = max(likeness.values(), default=0.0)
    near = [k for k, ratio in likeness.items() if ratio == best] if best >= NEAR else []
    words = set(re.split(r"[^a-z0-9]+", name)) - {""}
    inside = [k for k in known if words and set(re.split(r"[^a-z0-9]+", k.lower())) <= words]
    for found in (near, inside):
        if len(found) == 1:
            return f", did you mean {found[0]}?"
    return ""
