"""What worker processes run in tests: nothing is trained; time, deaths, hangs and rungs on demand.

Workers import this, so it imports nothing of a driver and no torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from search.made_up_trials import run_made_up

from hrnet_search import heartbeat
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.ray_tune.worker import Report, Run


@dataclass(frozen=True, slots=True)
class Simulated:
    """Makes what runs trials of some seconds, noting each start and end in `journal`."""

    journal: str
    seconds: float = 0.0

    def __call__(self) -> Run:
        return self.run

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        self.note("start", task)
        for step in range(1, 11):
            time.sleep(self.seconds / 10)
            report(TrialProgress("train", step, 10, 1.0))
        result = run_made_up(task, report)
        self.note("end", task)
        return result

    def note(self, what: str, task: TrialTask) -> None:
        with Path(self.journal).open("a") as file:
            file.write(f"{what} {task.number} {os.getpid()}\n")


@dataclass(frozen=True, slots=True)
class Dying:
    """Makes workers that kill themselves in some trials: `times` a trial, `always` for ever."""

    folder: str
    times: int
    every: int = 3

    def __call__(self) -> Run:
        return self.run

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        attempts = Path(self.folder, f"attempts-{task.number}")
        with attempts.open("a") as file:
            file.write("x")
        if task.number % self.every == 0 and attempts.stat().st_size <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_made_up(task, report)


@dataclass(frozen=True, slots=True)
class Rungs:
    """Makes workers that report rungs and end as they are told."""

    def __call__(self) -> Run:
        return self.run

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        result = run_made_up(task, lambda _: True)
        for rung in result.rungs:
            if not report(TrialProgress("evaluate", rung.step, 10, rung=rung)):
                return replace(result, status="stopped", rungs=result.rungs[:1], wall_s=7.0)
        return result


@dataclass(frozen=True, slots=True)
class Saving:
    """Makes workers whose long trials save when they have to leave, as real ones do."""

    folder: str

    def __call__(self) -> Run:
        return self.run

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        try:
            for step in range(30 if task.number >= 2 else 1):
                time.sleep(0.2)
                report(TrialProgress("train", step, 1000, 1.0))
        except KeyboardInterrupt:
            Path(self.folder, f"saved-{task.number}").touch()
            raise
        return run_made_up(task, report)


@dataclass(frozen=True, slots=True)
class Stopping:
    """Makes workers that stop themselves, or wait for ever, in their first `times` attempts at
    trial 1; all others take three seconds for one step, beating meanwhile."""

    folder: str
    times: int
    how: str

    def __call__(self) -> Run:
        return self.run

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        report(TrialProgress("train", 7, 10, 1.0))
        if task.number == 1:
            attempts = Path(self.folder, "attempts")
            with attempts.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if len(attempts.read_text().splitlines()) <= self.times:
                self.hang()
        elif task.number == 0:
            for _ in range(30):
                time.sleep(0.1)
                heartbeat.beat()
        return run_made_up(task, report)

    def hang(self) -> None:
        child = subprocess.Popen(["sleep", "600"])
        Path(self.folder, f"child-{child.pid}").touch()
        time.sleep(2)  # until the driver has heard of the step: before it the limit is longer
        if self.how == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()  # as for a data loader that died


def held(journal: str, done: str) -> Callable[[], Run]:
    """Return what makes workers that note the node of each trial that they begin.

    A trial that was begun less than three times goes on until `done` is there. So the first
    node stays busy, and what a second one runs is there to be lost.
    """

    def make() -> Run:
        def run(task: TrialTask, report: Report) -> TrialResult:
            from ray import get_runtime_context

            with Path(journal).open("a") as file:
                file.write(f"{task.number} {get_runtime_context().get_node_id()}\n")
            again = Path(journal).read_text().split()[::2].count(str(task.number)) == 3
            while not again and not Path(done).exists():
                time.sleep(0.1)
                report(TrialProgress("train", 1, 10, 1.0))
            return run_made_up(task, report)

        return run

    return make
