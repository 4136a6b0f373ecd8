"""Who computes on a device now: trainings together, a latency measurement alone.

Two lock files a device, in a folder that all processes of a user on this machine share. A
training holds the *room*, shared, and steps out between two steps when somebody waits at the
*door*; who measures closes the door and then waits for the room to be empty. So a measurement
waits for one step at most, is never starved by trainings that follow one another, and a paused
training only keeps its memory. The kernel frees the locks of a process that dies; one that is
stopped or hangs is waited for with a bound, then named and passed.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hrnet_search import heartbeat
from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate.machine.lock_holders import holders

CPU = "cpu"

BOUND_S = 600.0
"""Waited for others at a gate, by default: longer than any step and most measurements take."""

TOLD_S = 10.0
"""Waited before people are told for whom, who see nothing move."""

LOOK_S, SELDOM_S = 0.002, 0.1
"""Between two looks at a gate, at first and at most: who waits must not disturb who measures."""


class DeviceGate:
    """Keeps trainings and measurements of this machine apart; a context manager.

    Inside, this process computes on the CPU and, if `gpu` names one by its uuid, on that GPU;
    `measured` says on which of the two latency is measured; without `cpu` that GPU alone is
    meant. Not for several threads.

    Nobody is waited for longer than `bound_s` seconds: then the gate is passed, and `passed` says
    in a line who held it.
    """

    def __init__(
        self,
        gpu: str = "",
        measured: str = CPU,
        folder: Path | None = None,
        bound_s: float = BOUND_S,
        cpu: bool = True,
    ) -> None:
        assert measured in (CPU, gpu), "measured on a device that is used"
        folder = folder or shared_folder()
        self.passed: list[str] = []
        names = [name for name in (CPU if cpu else "", gpu) if name]
        self._devices = [_Device(folder, name, bound_s, self.passed.append) for name in names]
        self._measured = next(d for d in self._devices if d.name == measured)

    def __enter__(self) -> DeviceGate:
        for device in self._devices:  # always the CPU first: no two wait for each other
            device.enter()
        return self

    def __exit__(self, *_: object) -> None:
        for device in reversed(self._devices):
            device.leave()

    def pause(self) -> None:
        """Step out while somebody measures or waits to; costs microseconds if nobody does."""
        if any(device.wanted() for device in self._devices):
            self.__exit__()
            self.__enter__()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the measured device for this process alone."""
        self.__exit__()
        try:
            with ExitStack() as stack:
                for device in self._devices:
                    hold = device.alone() if device is self._measured else device.among_others()
                    stack.enter_context(hold)
                yield
        finally:
            self.__enter__()


class _Device:
    """The two locks of one device; `say` hears of those that were held for too long."""

    def __init__(self, folder: Path, name: str, bound_s: float, say: Callable[[str], None]) -> None:
        self.name, self._bound_s, self._say = name, bound_s, say
        self._passed: set[int] = set()
        safe = re.sub(r"[^A-Za-z0-9-]", "-", name)
        self._door = _open(folder / f"{safe}.door")
        self._room = _open(folder / f"{safe}.room")

    def enter(self) -> None:
        """Pass the door and be in the room with others; waits for those who measure."""
        self._pass(fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)

    def leave(self) -> None:
        fcntl.flock(self._room, fcntl.LOCK_UN)

    def wanted(self) -> bool:
        """Say whether somebody measures or waits to, who was not passed already."""
        if not self._try(self._door, fcntl.LOCK_SH):
            return self._door not in self._passed
        fcntl.flock(self._door, fcntl.LOCK_UN)
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        self._pass(fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
            fcntl.flock(self._door, fcntl.LOCK_UN)

    @contextmanager
    def among_others(self) -> Iterator[None]:
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def _pass(self, how: int) -> None:
        """Lock the door, then the room; who was passed at the door is not waited for again."""
        if self._lock(self._door, how):
            self._lock(self._room, how)
        else:
            self._try(self._room, how)

    def _lock(self, descriptor: int, how: int) -> bool:
        """Get a lock, or pass whoever holds it for longer than the bound: then False."""
        pause, began, told = LOOK_S, time.monotonic(), False
        with heartbeat.waiting():
            while not self._try(descriptor, how):
                if descriptor in self._passed:
                    return False
                waited = time.monotonic() - began
                if waited >= self._bound_s:
                    self._passed.add(descriptor)
                    self._say(
                        f"{_who(descriptor)} held the latency gate of {self.name} for more than"
                        f" {self._bound_s:g} s and was passed"
                    )
                    return False
                if waited >= TOLD_S and not told:
                    told = True
                    sys.stderr.write(
                        f"waiting for {_who(descriptor)}, in the latency gate of {self.name}:"
                        f" {self._bound_s:g} s at most\n"
                    )
                time.sleep(pause)
                pause = min(SELDOM_S, 1.5 * pause)
        return True

    def _try(self, descriptor: int, how: int) -> bool:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._passed.discard(descriptor)
        return True

    def __del__(self) -> None:
        for descriptor in (self._door, self._room):
            os.close(descriptor)


def _who(descriptor: int) -> str:
    return " and ".join(holders(descriptor)) or "a process that is not seen from here"


def shared_folder() -> Path:
    """Return this user's folder for locks on this machine; raise InputError if it is not theirs."""
    folder = Path(tempfile.gettempdir(), f"hrnet-search-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        wrong = "is not a folder of this user alone"
        raise InputError(Fault("", None, wrong, "remove it, or set TMPDIR", str(folder)))
    return folder


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
