"""Looks after the trial that runs in this process: what hangs is named, written down and left."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from hrnet_search import heartbeat
from hrnet_search.errors import StorageLostError, StudyError, warn_on_stderr
from hrnet_search.files import open_log
from hrnet_search.records.search_options import HANG_S
from hrnet_search.records.trial import TrialProgress, TrialTask
from hrnet_search.search.hangs import Silence, Steps
from hrnet_search.store.waiting import Warn

LOOK_S = 1.0
LEAVING_S = 30.0
"""Given to a trial that was told to leave; who waits in foreign code never hears of it."""

TOLD = signal.SIGUSR1


class TrialHungError(BaseException):
    """The trial gave no sign of life; no Exception, so that nothing takes it for its failure."""

    def __init__(self, silence: Silence) -> None:
        super().__init__(silence.where)
        self.silence = silence


class Watchdog:
    """Raises TrialHungError in the main thread while `over` a trial that gives no sign of life.

    If that is no help within `leaving_s`, since the thread waits in foreign code, the process
    ends with exit 4: what is committed, and the last checkpoint, stay.
    """

    def __init__(
        self,
        hang_s: float = HANG_S,
        say: Warn = warn_on_stderr,
        leaving_s: float = LEAVING_S,
    ) -> None:
        self._steps, self._say, self._leaving_s = Steps(hang_s), say, leaving_s
        self._look_s = min(LOOK_S, hang_s / 4)

    @contextmanager
    def over(self, task: TrialTask) -> Iterator[Callable[[TrialProgress], None]]:
        """Watch a trial; yields what takes its progress. Elsewhere than in the main thread no
        trial can be interrupted, and none is watched."""
        silence, over = Silence(task, self._steps), threading.Event()
        if threading.current_thread() is not threading.main_thread():
            yield silence.heard
            return

        def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            if not over.is_set():
                raise TrialHungError(silence)

        before = signal.signal(TOLD, leave)
        thread = threading.Thread(target=self._watch, args=(silence, over), daemon=True)
        thread.start()
        try:
            yield silence.heard
        finally:
            over.set()
            thread.join()
            signal.signal(TOLD, before)

    def _watch(self, silence: Silence, over: threading.Event) -> None:
        seen = heartbeat.beats()
        while not over.wait(self._look_s):
            before, seen = seen, heartbeat.beats()
            if seen != before:
                silence.heard()
            elif silence.look():
                self._end(silence, over)
                return

    def _end(self, silence: Silence, over: threading.Event) -> None:
        task, log = silence.task, _write_stacks(silence.task)
        what = f"trial {task.number} gives no sign of life for {silence.seconds:.0f} s"
        self._say(f"{what} {silence.where} (schedule.hang_s){log}: it is left")
        signal.pthread_kill(threading.main_thread().ident or 0, TOLD)
        if not over.wait(self._leaving_s):
            self._say(f"{what} and cannot be left: the process ends; run the same command again")
            os._exit(StorageLostError.exit_code)


def _write_stacks(task: TrialTask) -> str:
    """Append where every thread is to the trial's log; return where that is."""
    if not task.folder:
        return ""
    path = Path(task.folder, "logs", f"{task.key}.log")
    with suppress(OSError, StorageLostError, StudyError), open_log(path) as file:
        faulthandler.dump_traceback(file)
        return f", its stacks are in {path}"
    return ""
