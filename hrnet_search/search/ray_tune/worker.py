"""The process that runs trials for Tune: one after the other, each in a thread of its own."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ray import get_runtime_context, tune

from hrnet_search import heartbeat
from hrnet_search.errors import DeviceLostError, StorageLostError
from hrnet_search.evaluate.machine.oom_kills import OomKills, oom_kills
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.store.host import Host, process_start, this_host

Report = Callable[[TrialProgress], bool]
Run = Callable[[TrialTask, Report], TrialResult]

TASK, PROGRESS, RESULT, LEFT, LOST = "task", "progress", "result", "left", "lost"
BEAT, PLACE, GPU = "beat", "place", "gpu"
"""Keys of what goes to a worker, and of what it sends back: PLACE always, and one of the others.
GPU is, to a worker, the GPUs that are not used again, and from one its own that is lost."""

GO_ON, STOP, LEAVE = "go on", "stop", "leave"
"""What a worker is told: to stop a trial is the brain's, to leave it for later the driver's."""

EVERY_S = 1.0
"""Seconds between reports that no decision depends on."""

LEAVING_S = 1.0
"""Given to a trial whose worker is taken away."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial runs: Ray's node, the machine, the process and when that started, and the
    kernel's counts of processes ended for want of memory when the trial began."""

    node: str
    host: Host
    pid: int
    start: str
    kills: OomKills


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Tune's view of a worker: `step` is one report, `reset_config` the next trial.

    `make_run` makes what runs trials, once a process, so that data stay open in between.
    """

    def setup(self, config: dict[str, Any], make_run: Callable[[], Run]) -> None:  # noqa: ARG002
        with suppress(OSError):  # it leads a group already
            os.setpgid(0, 0)  # so that it can be ended with whatever it starts
        self._run = make_run()
        self._trial: RunningTrial | None = None
        self._place: Place | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:  # noqa: ARG002
        """Make room for the next trial in the same process."""
        self.cleanup()
        return True

    def told(self, verdict: str) -> None:
        """Hear what the brain says to the last report, before the next is asked for."""
        if self._trial is not None:
            self._trial.told(verdict)

    def step(self) -> dict[str, Any]:
        """Let the trial go on and return its next report, or its end.

        The trial begins here, not in `setup`: Tune may give a trial to a worker that was freed
        while a new one started for it, and the new one another. The first report is where that is:
        who watches has to know before anything can hang.
        """
        if self._place is None:
            self._place = _own_place()
            return {BEAT: True, PLACE: self._place}
        if self._trial is None:
            _check_gpu(self.config[TASK], self.config[GPU])
            self._trial = RunningTrial(self._run, self.config[TASK])
        return {**self._trial.next(), PLACE: self._place}

    def cleanup(self) -> None:
        """Have the trial that runs, if one does, save where it is and end."""
        if self._trial is not None:
            self._trial.leave()
        self._trial = self._place = None


def _own_place() -> Place:
    pid, node = os.getpid(), get_runtime_context().get_node_id()
    return Place(node, this_host(), pid, process_start(pid) or "", oom_kills())


def _check_gpu(task: TrialTask, lost: Sequence[str]) -> None:
    """Raise DeviceLostError if Ray handed out a GPU that was lost."""
    if lost:
        from hrnet_search.evaluate.machine.devices import (
            own_gpu,  # torch, which a job may do without
        )

        if (own := own_gpu(task.device)) in lost:
            raise DeviceLostError(own, "lost before")


class RunningTrial:
    """A trial in its thread: at a rung it stands still until `next` asks it to go on."""

    def __init__(self, run: Run, task: TrialTask) -> None:
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: queue.Queue[bool] = queue.Queue()
        self._going, self._leaving, self._waits = True, False, False
        self._reported, self._beats, self._rungs = 0.0, heartbeat.beats(), task.rungs
        self._thread = threading.Thread(target=self._main, args=(run, task), daemon=True)
        self._thread.start()

    def told(self, verdict: str) -> None:
        self._going = verdict == GO_ON
        self._leaving = verdict == LEAVE

    def next(self) -> dict[str, Any]:
        """Return the next report, or a sign of life before it; raise what the trial raised."""
        if self._waits:
            self._waits = False
            self._answers.put(self._going)
        while True:
            try:
                said = self._said.get(timeout=EVERY_S)
                break
            except queue.Empty:
                before, self._beats = self._beats, heartbeat.beats()
                if self._beats != before:
                    return {BEAT: True}
        if "raised" in said:
            raise said["raised"]
        self._waits = PROGRESS in said and said[PROGRESS].rung is not None
        return said

    def leave(self) -> None:
        """Have the trial save where it is and end, if it does so soon."""
        self._leaving = True
        self._answers.put(False)
        self._thread.join(LEAVING_S)

    def _main(self, run: Run, task: TrialTask) -> None:
        try:
            self._said.put({RESULT: run(task, self._report), "done": True})
        except KeyboardInterrupt:
            self._said.put({LEFT: True, "done": True})
        except StorageLostError as error:  # the study's trouble: its driver stops it
            self._said.put({LOST: str(error), "done": True})
        except DeviceLostError as error:
            self._said.put({GPU: error})
            self._said.put({"raised": error})  # which has Tune end this process
        except BaseException as error:
            self._said.put({"raised": error})

    def _report(self, progress: TrialProgress) -> bool:
        if self._leaving:
            raise KeyboardInterrupt
        if progress.rung is not None:
            self._said.put({PROGRESS: progress})
            going = self._answers.get()
            if self._leaving:
                raise KeyboardInterrupt
            return going
        now = time.monotonic()
        due = now - self._reported >= EVERY_S and self._said.empty()
        # Who watches must know of a rung before it is judged: that may take longer than a step.
        if due or progress.latency is not None or progress.step in self._rungs:
            self._reported = now
            self._said.put({PROGRESS: progress})
        return True
