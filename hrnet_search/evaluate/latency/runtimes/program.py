"""A program that prints milliseconds: run with a bound on its time and on what it prints."""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hrnet_search import heartbeat
from hrnet_search.errors import LatencyError, shown

MOST_BYTES = 1 << 20
"""What a program may print; more than any list of timings, and less than fills memory."""

A_READ = 1 << 16
WANTED = 'milliseconds, one a line or {"ms": [...]}'


Began = Callable[[int], None]
"""Hears which process a program is, which leads a group."""


def timings(command: Sequence[str], seconds: float, began: Began = lambda _: None) -> list[float]:
    """Run `latency.command` and return the milliseconds that it prints, as `Program` runs it.

    Raise LatencyError, one line, where it prints anything else.
    """
    program = Program("latency.command", f"{seconds:g} s (latency.seconds)")
    said = program.output(command, seconds, began)
    try:
        return milliseconds(said)
    except ValueError as error:
        raise program.failed(str(error)) from None


def milliseconds(text: str) -> list[float]:
    """Return the timings in what a program printed; raise ValueError, which says what is wrong."""
    if text.lstrip().startswith("{"):
        found = _listed(text)
    else:
        found = [_number(line) for line in filter(None, map(str.strip, text.splitlines()))]
    if not found:
        raise ValueError(f"printed nothing, wanted: {WANTED}")
    for value in found:
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"printed {value}, which is not a time, wanted: {WANTED}")
    return found


def _listed(text: str) -> list[float]:
    try:
        found = json.loads(text)["ms"]
        if isinstance(found, list):
            return [_number(value) for value in found]
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    raise ValueError(f"printed {shown(text.strip())}, wanted: {WANTED}")


def _number(value: object) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"printed {shown(value)}, wanted: {WANTED}")


@dataclass(frozen=True, slots=True)
class Program:
    """A program by the `name` that messages have for it, and their words for its time."""

    name: str
    bound: str

    def output(self, command: Sequence[str], seconds: float, began: Began = lambda _: None) -> str:
        """Run a command, no shell, and return what it prints.

        It is killed, with what it has started, after `seconds`. Raise LatencyError, one line,
        where it does not start, does not end in time, fails, or prints too much.
        """
        said, complaints, code = self._run(command, seconds, began)
        if code:
            last = _last_line(complaints) or _last_line(said)
            how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
            raise self.failed(f"{how}{f': {last}' if last else ''}")
        return said.decode(errors="replace")

    def failed(self, what: str) -> LatencyError:
        """Return what is to be raised."""
        return LatencyError(f"{self.name} {what}")

    def _run(
        self, command: Sequence[str], seconds: float, began: Began
    ) -> tuple[bytes, bytes, int]:
        """Return what it says, the end of what it complains of, and its exit code."""
        end = time.monotonic() + seconds
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,  # so that it can be killed with whatever it starts
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise LatencyError(f"{self.name}: {shown(command[0])} does not start: {why}") from None
        with process, heartbeat.waiting():
            try:
                began(process.pid)
                said, complaints = self._read(process, end)
                code = process.wait(max(0.0, end - time.monotonic()))
            except (TimeoutError, subprocess.TimeoutExpired):
                raise self.failed(f"gave no answer within {self.bound}") from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return said, complaints, code

    def _read(self, process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bytes]:
        """Read both outputs to their ends; raise TimeoutError, LatencyError for too much."""
        assert process.stdout
        assert process.stderr
        said, complaints = bytearray(), bytearray()
        with selectors.DefaultSelector() as ready:
            for stream, kept in ((process.stdout, said), (process.stderr, complaints)):
                ready.register(stream, selectors.EVENT_READ, kept)
            while ready.get_map():
                events = ready.select(max(0.0, end - time.monotonic()))
                if not events:
                    raise TimeoutError
                for key, _ in events:
                    _take(key.fileobj, key.data, ready)
                if len(said) > MOST_BYTES:
                    raise self.failed(f"prints more than {MOST_BYTES >> 20} MiB")
                del complaints[:-A_READ]
        return bytes(said), bytes(complaints)


def _take(stream: Any, kept: bytearray, ready: selectors.DefaultSelector) -> None:
    chunk = os.read(stream.fileno(), A_READ)
    kept += chunk
    if not chunk:
        ready.unregister(stream)


def _last_line(text: bytes) -> str:
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    return shown(lines[-1].strip(), 200) if lines else ""
