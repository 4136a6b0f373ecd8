"""Between the brain and Tune: who is asked, who is told, and what workers hear.

Tune places trials and watches over workers. What is tried, stopped and ended is the brain's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hrnet_search.errors import DeviceLostError, StorageLostError, warn_on_stderr
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask, is_paused
from hrnet_search.search.deaths import Death
from hrnet_search.search.driver import Asking, Listener, given_back
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.job import Courier
from hrnet_search.search.ray_tune.watch import Watch, reason_of
from hrnet_search.search.ray_tune.worker import (
    BEAT,
    GO_ON,
    GPU,
    LEAVE,
    LEFT,
    LOST,
    PLACE,
    PROGRESS,
    RESULT,
    STOP,
    TASK,
    Place,
)
from hrnet_search.search.time_budget import TimeSpentError

LEAVING_S = 5.0
"""After an interruption workers have this long to save their trials and end."""

PLACED_S = 120.0
"""Waited for a worker to begin before people are told: Ray itself says nothing."""

MOST_REFUSED = 20
"""Times that Ray may hand out a GPU that is lost before a study ends for it."""


class Conductor:
    """Runs a brain's trials through Tune's hooks, at most `workers` at a time.

    Tune swallows what its hooks raise, so it is kept in `error`, and everything ends.
    `courier` brings files to workers that do not see the study, and back; None: all see it.
    `watch` knows which workers hang, and why one died.
    """

    def __init__(
        self,
        brain: Asking,
        workers: int,
        listeners: Sequence[Listener],
        interrupt: Interrupt,
        courier: Courier | None,
        watch: Watch,
        say: Callable[[str], None] = warn_on_stderr,
    ) -> None:
        self._say, self._placing, self._told = say, dict[str, float](), False
        self.error: BaseException | None = None
        self._brain, self._workers = brain, workers
        self._listeners, self._interrupt, self._courier = listeners, interrupt, courier
        self._watch = watch
        self._open: dict[str, TrialTask] = {}
        self._deaths: dict[str, Death] = {}
        self._leaving_since: float | None = None
        self._idle = False
        self._lost_gpus: dict[str, DeviceLostError] = {}
        self._refused = 0

    @property
    def leaving(self) -> bool:
        """Whether nothing new may begin: after an interruption, or an error."""
        if self._leaving_since is None and (self._interrupt.asked or self.error is not None):
            self._leaving_since = time.monotonic()
        return self._leaving_since is not None

    @property
    def over(self) -> bool:
        """Whether everything has to end now: nothing runs any more, or not to be waited for."""
        if not self.leaving or self._leaving_since is None:
            return False
        late = time.monotonic() - self._leaving_since > LEAVING_S
        # Of a storage that is lost a worker may still see enough to save its trial.
        at_once = self.error is not None and not isinstance(self.error, StorageLostError)
        return late or not self._open or at_once

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's config, None for not now, or that there is no more."""
        if self.leaving:
            return str(Searcher.FINISHED)
        if self._idle or len(self._open) >= self._workers:
            return None
        task = self._guarded(self._brain.ask)
        if task is None:
            self._idle = True  # until something has ended
            over = self.error is not None or (self._brain.why_ended and not self._open)
            return str(Searcher.FINISHED) if over else None
        self._open[trial_id] = task
        self._placing[trial_id] = time.monotonic()
        if self._courier:
            self._guarded(self._courier.send, task)
        for listener in self._listeners:
            self._guarded(listener.started, task)
        return {TASK: task, GPU: tuple(self._lost_gpus)}

    def verdict(self, trial_id: str, progress: TrialProgress) -> str:
        """Return what a worker hears to its report."""
        task = self._open.get(trial_id)
        if task is None or self.leaving:
            return LEAVE
        for listener in self._listeners:
            self._guarded(listener.progressed, task, progress)
        try:
            going = self._guarded(self._brain.report, task.number, progress)
        except TimeSpentError:
            return LEAVE
        return LEAVE if self.error is not None else GO_ON if going else STOP

    def heard(self, trial_id: str, place: Place, progress: TrialProgress | None) -> None:
        """Take a worker's sign of life, perhaps with where its trial is."""
        self._placing.pop(trial_id, None)
        if (task := self._open.get(trial_id)) is not None:
            self._watch.heard(trial_id, task, place, progress)

    def lost_gpu(self, trial_id: str, error: DeviceLostError) -> None:
        """Do with one worker less: its GPU, which Ray would hand out again, is not used again."""
        self._lost_gpus[error.device] = error
        self._workers -= 1
        self._deaths[trial_id] = Death(str(error), charged=False)
        if self._workers < 1:
            self.error = self.error or error

    def look(self) -> None:
        """Look after the workers, and end those that hang."""
        if not self.leaving:
            self._guarded(self._watch.look)
            self._tell_of_no_room()

    def _tell_of_no_room(self) -> None:
        """Say once that no worker begins: the last node with room for one may be lost."""
        waited = [time.monotonic() - since for since in self._placing.values()]
        if self._told or not waited or len(waited) < len(self._open) or min(waited) < PLACED_S:
            return
        self._told = True
        self._say(
            f"no worker has begun for {PLACED_S:g} s: where no node has room for one, the study"
            " waits until one has; Ctrl-C ends it, and the same command goes on"
        )

    def died(self, trial_id: str, said: str) -> None:
        """Note why a worker died, of which Ray says something; `ended` follows."""
        if self.leaving or trial_id in self._deaths:
            return
        self._deaths[trial_id] = self._watch.death(trial_id, said)
        for error in self._lost_gpus.values():
            if f"DeviceLostError: {error.device} " in said:  # Ray handed it out once more
                self._refused += 1
                self._deaths[trial_id] = Death(said, charged=False)
                if self._refused > MOST_REFUSED:
                    self.error = self.error or error

    def lost(self, trial_id: str, reason: str) -> None:
        """Stop the study: a worker could not write what it had to; no trial has failed."""
        self.error = self.error or StorageLostError(reason)
        self._open.pop(trial_id, None)
        self._placing.pop(trial_id, None)

    def ended(self, trial_id: str, result: TrialResult | None, error: bool) -> None:
        """Tell the brain how a trial ended; without a result it was left for later."""
        self._idle = False
        task = self._open.pop(trial_id, None)
        self._placing.pop(trial_id, None)
        death = self._deaths.pop(trial_id, Death("its worker died"))
        self._watch.forget(trial_id)
        if task is None or self.error is not None:
            return
        if error and not self.leaving:
            result = self._guarded(given_back, self._brain, task, death, self._listeners)
        elif result is not None:
            if self._courier:
                self._guarded(self._courier.fetch, task)
            if self.error is None:  # else its files are still away: it ends once they are here
                self._guarded(self._brain.tell, task.number, result)
            if self._courier and self.error is None and not is_paused(task.beside, result):
                self._guarded(self._courier.committed, task)
        if result is not None and self.error is None:
            for listener in self._listeners:
                self._guarded(listener.ended, task, result)

    def __getstate__(self) -> dict[str, object]:
        """Give Tune nothing to pickle: it does so for a resume of its own, which is never used."""
        return {}

    def _guarded(self, call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except TimeSpentError:
            raise
        except BaseException as error:
            self.error = self.error or error
            return None


class BrainSearcher(Searcher):  # type: ignore[misc]
    """Tune's search algorithm: the brain asks and is told, Tune keeps no state of it."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__(metric=None, mode=None)
        self._conductor = conductor

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        return self._conductor.suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler hears every report, this only those that go on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        said = result or {}
        if LOST in said:
            self._conductor.lost(trial_id, said[LOST])
        self._conductor.ended(trial_id, said.get(RESULT), error)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a study is resumed from study.db")


class BrainScheduler(FIFOScheduler):  # type: ignore[misc]
    """Tune's scheduler: carries out what the brain says to a report.

    A worker is told, rather than taken away, so that a stopped trial ends as one run inline
    does: it keeps its evaluation and says what it cost.
    """

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        self._conductor.heard(trial.trial_id, result[PLACE], result.get(PROGRESS))
        if GPU in result:
            self._conductor.lost_gpu(trial.trial_id, result[GPU])
        if PROGRESS in result:
            verdict = self._conductor.verdict(trial.trial_id, result[PROGRESS])
            if verdict != GO_ON:
                trial.temporary_state.ray_actor.told.remote(verdict)
        assert {PROGRESS, BEAT, RESULT, LEFT, LOST, GPU} & set(result)
        return str(TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        written = Path(trial.error_file)
        error = written.read_text(errors="replace") if written.is_file() else ""
        self._conductor.died(trial.trial_id, reason_of(error))


class LeaveInTime(Stopper):  # type: ignore[misc]
    """Has workers looked after, and ends an interrupted run when they have had their time.

    Tune asks it at every turn of its loop. It ends by raising, since what Tune does at a regular
    end would wait for workers once more.
    """

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._conductor.look()
        if self._conductor.over:
            raise KeyboardInterrupt
        return False
