"""Mirrors of a study: where else its trials can be seen, and what keeps them up to date.

A mirror may be down, slow or deleted: study.db is the truth, from which it is fed and made
whole again.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from hrnet_search.errors import Fault, InputError, ReaderLeftError, StudyError, shown
from hrnet_search.paths import absolute
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.redaction import is_redacted, redacted, secrets_of
from hrnet_search.search.mirrors.mlflow_mirror import MlflowMirror
from hrnet_search.search.mirrors.mlflow_rows import how_ended
from hrnet_search.search.mirrors.optuna_mirror import OptunaMirror
from hrnet_search.search.mirrors.tensorboard_mirror import TensorBoardMirror
from hrnet_search.search.mirrors.tracking_uri import (
    OFF,
    REDACTED,
    filled,
    noted_tracking,
    tracking_of,
)
from hrnet_search.space.load import SpaceFile
from hrnet_search.store.notes import BROKEN, DONE, INTERRUPTED, RUNNING
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import SLICES, Ask
from hrnet_search.told import Told, nobody

Trial = tuple[Ask, TrialResult]

REFUSED = "INVALID_PARAMETER_VALUE"
"""The code of an error of MLflow's by which a server says that it does not take something."""

KNOWN_S = 60.0
"""After which a mirror is asked again what it has: `sync` may have sent it some meanwhile."""

RETRY_S = 60.0
"""After a failure a server is left alone this long."""

FLUSH_S = 60.0
"""At the end of a study a slow server gets this long; what is left waits for `sync`."""


class Mirror(Protocol):
    """One place where trials that ended are shown. Methods raise whatever goes wrong."""

    def known(self) -> dict[str, str]:
        """Return how the trials ended that are there whole, by key; called before `send`."""
        ...

    def send(self, ask: Ask, result: TrialResult) -> None:
        """Show one trial that is not there whole; what is there of it is completed."""
        ...

    def conclude(self, outcome: str) -> None:
        """Show the study itself, and how its last run stands, one of OUTCOMES; after `known`."""
        ...

    def attach(self) -> None:
        """Show the files of the study's report, where files are taken; after `known`."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


MIRRORS: dict[str, Callable[[str, Study], Mirror]] = {
    "mlflow": MlflowMirror,
    "optuna": OptunaMirror,
    "tensorboard": lambda _, study: TensorBoardMirror(study),  # its place is the study
}


def places_of(study: Study, file: SpaceFile | None = None) -> dict[str, str]:
    """Return where a study is mirrored to, by mirror: as its space file says, else its notes.

    The study keeps no password and no value of a variable. Raise SpaceError for a variable that
    is not set.
    """
    if file is not None:
        places = tracking_of(file, study.folder)
    else:
        noted = study.notes.tracking or {}
        places = {name: filled(uri, name) for name, uri in noted.items()}
    return {name: uri for name, uri in places.items() if uri != OFF}


def lines_of(
    study: Study,
    warn: Callable[[str], None],
    file: SpaceFile | None = None,
    meanwhile: str = "",
    told: Told = nobody,
) -> dict[str, Line]:
    """Return a line to every mirror of a study; `meanwhile` goes on where one does not answer."""
    return {
        name: Line(name, _mirror(name, uri, study), warn, uri, meanwhile, told)
        for name, uri in places_of(study, file).items()
    }


def _mirror(name: str, uri: str, study: Study) -> Mirror:
    return Nowhere(name) if is_redacted(uri) else MIRRORS[name](uri, study)


class Nowhere:
    """A mirror whose password is not known here; it is never looked for without one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def known(self) -> dict[str, str]:
        """Raise InputError: what to do."""
        raise InputError(f"{self._name}: {REDACTED}")

    def send(self, ask: Ask, result: TrialResult) -> None:
        """Send nothing."""

    def conclude(self, outcome: str) -> None:
        """Show nothing."""

    def attach(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class Synced(NamedTuple):
    """What `sync` did for a mirror: trials sent, trials that wait, whether it shows the study."""

    sent: int
    waiting: int
    up_to_date: bool


class Line:
    """What waits for one mirror, in order; after a failure nothing is sent for a while."""

    def __init__(
        self,
        name: str,
        mirror: Mirror,
        warn: Callable[[str], None],
        uri: str = "",
        meanwhile: str = "",
        told: Told = nobody,
    ) -> None:
        """`meanwhile` is what goes on where the mirror does not answer; `told` hears of trials."""
        self._secrets = secrets_of(uri)
        self.waiting: deque[Trial] = deque()
        self.sent = 0
        self._name, self._mirror, self._warn = name, mirror, warn
        self._known: dict[str, str] | None = None
        self._asked = float("-inf")
        self._not_before = float("-inf")
        self._warned = False
        self._meanwhile = f", {meanwhile}" if meanwhile else ""
        self._told = told

    def push(self, deadline: float, again: bool = False) -> None:
        """Send what waits until `deadline` (monotonic); `again` tries whatever happened before."""
        if not again and time.monotonic() < self._not_before:
            return
        try:
            now = time.monotonic()
            if self._known is None or (self.waiting and now - self._asked > KNOWN_S):
                self._known, self._asked = self._mirror.known(), now
            while self.waiting and time.monotonic() < deadline:
                ask, result = self.waiting[0]
                # A trial that failed may have run again since it was sent.
                how = how_ended(result.status, result.error)
                if self._known.get(str(ask.key)) != how:
                    parts = self.sent + len(self.waiting)
                    self._told(self.sent, parts, f"{self._name}: trial {ask.number}")
                    self._mirror.send(ask, result)
                    self._known[str(ask.key)] = how
                    self.sent += 1
                self.waiting.popleft()
        except Exception as error:  # whatever a server, its database or the network come up with
            self._failed(error)

    def conclude(self, outcome: str, attach: bool = False) -> bool:
        """Show how the study stands, `attach` with its report; return whether it is shown.

        `sync` shows what cannot be now.
        """
        if self.waiting:
            return False  # it does not answer
        try:
            if self._known is None:
                self._known = self._mirror.known()
            self._mirror.conclude(outcome)
            if attach:
                self._mirror.attach()
        except Exception as error:
            self._failed(error)
            return False
        return True

    def close(self) -> None:
        """Let go of the mirror, whatever it says."""
        with suppress(Exception):
            self._mirror.close()

    def _failed(self, error: Exception) -> None:
        self._known = None  # what arrived is asked for when it answers again
        self._not_before = time.monotonic() + RETRY_S
        self._say(error)

    def _say(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            if isinstance(error, InputError):
                self._warn(str(error))
                return
            what = " ".join(redacted(str(error), self._secrets).split())[:200]
            refused = getattr(error, "error_code", "") == REFUSED
            wrong = "refuses what it is sent" if refused else "cannot be reached"
            self._warn(f"{self._name} {wrong}{self._meanwhile} ({what})")


def mirrored(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that mirrors show: not the thousands that are judged by slices."""
    return [(ask, result) for ask, result in trials if ask.purpose != SLICES]


class Outbox:
    """Feeds the mirrors of a study from a thread, so that no trial waits for one; a listener.

    A context manager: at its end the mirrors are brought up to date, if they answer.
    """

    def __init__(
        self, folder: Path, warn: Callable[[str], None], file: SpaceFile | None = None
    ) -> None:
        """`file` is the space file that is run, which knows the passwords that a study does not."""
        self._study, self._warn = open_study(folder), warn
        self._lines = lines_of(self._study, warn, file, "the search goes on")
        words = ["hrnet-search", "sync", str(absolute(folder))]
        if file and any(map(is_redacted, noted_tracking(file).values())):
            words += ["--space", str(absolute(file.path))]
        self._sync = shlex.join(words)
        self._seen = 0
        self._ending = False
        self._outcome = DONE
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._main, name="mirrors", daemon=True)

    def __enter__(self) -> Outbox:
        if self._lines:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._lines:
            return
        self._outcome = DONE if kind is None else outcome_of(kind)
        self._ending = True
        self._wake.set()
        # Whoever interrupts, or has lost the study, does not wait.
        self._thread.join(FLUSH_S if kind is None else 0.5)
        for name, line in self._lines.items():
            waiting = len(line.waiting)
            if waiting and kind is None:
                self._warn(f"{waiting} trials wait for {name}: {self._sync} sends them")

    def started(self, task: TrialTask) -> None:
        """Send nothing: a trial is sent when it has ended."""

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        """Send nothing: a trial is sent when it has ended."""

    def returned(self, task: TrialTask, reason: str) -> None:
        """Send nothing: the trial is tried again."""

    def ended(self, task: TrialTask, result: TrialResult) -> None:  # noqa: ARG002
        """Wake the thread, which reads what has ended from the study."""
        self._wake.set()

    def _main(self) -> None:
        for line in self._lines.values():
            line.conclude(RUNNING)
        while not self._ending:
            self._round(again=False)
            self._wake.wait(RETRY_S)
            self._wake.clear()
        self._round(again=True)
        for line in self._lines.values():
            line.conclude(self._outcome)
            line.close()

    def _round(self, again: bool) -> None:
        try:
            new = self._study.ended(self._seen)
        except Exception:
            return  # a study that was removed: its driver says so
        self._seen += len(new)
        for line in self._lines.values():
            line.waiting.extend(mirrored(new))
            line.push(time.monotonic() + FLUSH_S, again)


def outcome_of(kind: type[BaseException]) -> str:
    """Return how a run stands that ended with an exception, as where nobody reads it any more."""
    return INTERRUPTED if issubclass(kind, KeyboardInterrupt | ReaderLeftError) else BROKEN


def show_report(folder: Path, warn: Callable[[str], None], file: SpaceFile | None = None) -> None:
    """Show what the report of a study holds in its mirrors, where they take files."""
    study = open_study(folder)
    for line in lines_of(study, warn, file).values():
        line.conclude(study.outcome, attach=True)
        line.close()


def sync(
    folder: Path,
    warn: Callable[[str], None],
    file: SpaceFile | None = None,
    told: Told = nobody,
) -> dict[str, Synced]:
    """Bring the mirrors of a study up to date; return what was done for each.

    `file` says where they are, and their passwords, instead of the study. Raise StudyError if
    it is another study's.
    """
    study = open_study(folder)
    if file is not None and file.name != study.name:
        wrong = f"is the space of {shown(file.name)}, the study is {shown(study.name)}"
        raise StudyError(Fault("--space", file.path, wrong, "its own", file.path))
    found = {}
    for name, line in lines_of(study, warn, file, told=told).items():
        line.waiting.extend(mirrored(study.ended(0)))
        line.push(float("inf"), again=True)
        up_to_date = line.conclude(study.outcome, attach=True)
        line.close()
        found[name] = Synced(line.sent, len(line.waiting), up_to_date)
    return found
