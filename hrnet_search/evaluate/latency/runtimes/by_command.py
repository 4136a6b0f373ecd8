"""Networks on a device of the user's own: by any program that takes an ONNX file and prints ms."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

import torch
from torch import nn

from hrnet_search import heartbeat
from hrnet_search.content_hash import hash_of
from hrnet_search.errors import Fault, InputError, LatencyError
from hrnet_search.evaluate.latency.runtimes.exported import (
    EXPORTING,
    OnnxFiles,
    onnx_files,
    require,
)
from hrnet_search.evaluate.latency.runtimes.program import Began, timings
from hrnet_search.evaluate.latency.runtimes.protocol import Facts
from hrnet_search.evaluate.latency.setting import Setting
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.evaluate.machine.gate import BOUND_S, SELDOM_S, shared_folder
from hrnet_search.evaluate.machine.process_groups import end_group
from hrnet_search.paths import is_file
from hrnet_search.records.latency import COMMAND, ONNX_FILE, LatencySpec, command_problem
from hrnet_search.redaction import redacted
from hrnet_search.store.host import process_start

A_NOTE = 100
"""More bytes than the note of a process has."""


MOST_DIGITS = 10
"""No process has a number of more digits: a note that has is damaged."""


class CommandRuntime:
    """A program, run for each sample: what it prints is what its device took."""

    a_process_each = True

    def facts(self, spec: LatencySpec, device: torch.device) -> Facts:  # noqa: ARG002
        """Return the command as the device."""
        if problem := command_problem(spec.command):
            raise InputError(Fault("latency.command", None, *problem))
        require(COMMAND, EXPORTING, " ".join(EXPORTING))
        name, version = redacted(shlex.join(spec.command)), _files(spec.command)
        return Facts(COMMAND, spec.precision, device=name, version=version)

    @contextmanager
    def session(self, spec: LatencySpec, setting: Setting) -> Iterator[CommandSession]:
        """Have the command for this process alone, and a folder for the files."""
        with _alone(spec.command, BOUND_S + spec.seconds) as began, onnx_files(setting) as files:
            yield CommandSession(spec, files, began)


@dataclass(frozen=True, slots=True)
class CommandSession:
    """The program and the files that it is given."""

    spec: LatencySpec
    files: OnnxFiles
    began: Began

    def prepare(self, network: nn.Module) -> CommandNetwork:
        """Export a network."""
        return CommandNetwork(self.files.written(network), self.spec, self.began)


@dataclass(frozen=True, slots=True)
class CommandNetwork:
    """A network as a file."""

    path: Path
    spec: LatencySpec
    began: Began

    def peak_memory(self) -> None:
        """Return nothing: a program says only how long it takes."""

    def timer(self) -> Timer:
        """Return what runs the program once a sample, and says the median that it printed."""
        command = [part.replace(ONNX_FILE, str(self.path)) for part in self.spec.command]

        def time_ms(calls: int = 1) -> float:  # noqa: ARG001
            return statistics.median(timings(command, self.spec.seconds, self.began))

        return time_ms


def _files(command: Sequence[str]) -> str:
    """Return a word for what is in the files that a command names; empty where it names none.

    With another content it is another program, whose latencies are compared with none of before.
    Files behind the network's are what it writes, perhaps; what it starts, on a board say, is not
    seen.
    """
    paths = [Path(part) for part in takewhile(lambda part: ONNX_FILE not in part, command)]
    files = [path for path in paths if is_file(path)]  # a script in an argument may be any length
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return f"files {hash_of(digests)}" if digests else ""


@contextmanager
def _alone(command: Sequence[str], bound_s: float = BOUND_S) -> Iterator[Began]:
    """Run no command beside itself, whichever study or `profile` of this user wants to.

    Yields what notes in the lock's file which process the command is: one whose driver was killed
    may run on, and is ended here. A queue is waited for, however long it is: raise LatencyError
    where whoever has the lock has neither begun nor ended a run for `bound_s` seconds.
    """
    path = shared_folder() / f"command-{hash_of(list(command))}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    seen, since = _noted(descriptor), time.monotonic()
    try:
        with heartbeat.waiting():
            while not _locked(descriptor):
                if (now := _noted(descriptor)) != seen:
                    seen, since = now, time.monotonic()
                if time.monotonic() > since + bound_s:
                    wrong = "latency.command is held by another process that has begun no run"
                    raise LatencyError(f"{wrong} for over {bound_s:g} s")
                time.sleep(SELDOM_S)
        _end_last(descriptor)
        try:
            yield partial(_note, descriptor)
        finally:
            os.ftruncate(descriptor, 0)  # it has ended, or was ended
    finally:
        os.close(descriptor)


def _note(descriptor: int, pid: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{pid} {process_start(pid) or ''}".encode(), 0)


def _noted(descriptor: int) -> str:
    return os.pread(descriptor, A_NOTE, 0).decode(errors="replace")


def _end_last(descriptor: int) -> None:
    """End the process that was noted last, if it is still there."""
    pid, _, start = _noted(descriptor).partition(" ")
    if pid.isdecimal() and len(pid) < MOST_DIGITS:
        end_group(int(pid), start)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
