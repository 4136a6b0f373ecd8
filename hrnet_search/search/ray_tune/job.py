"""What a worker process does with a task: the trial itself, and where its files lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_search.errors import StorageLostError
from hrnet_search.evaluate.machine.gate import shared_folder
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.files import checkpoint_folder, writing
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.ray_tune.storage import Storage
from hrnet_search.search.ray_tune.worker import Report, Run

KEPT = ("weights", "evaluation", "logs")
CHECKPOINT = "last.pt"


@dataclass(frozen=True, slots=True)
class Job:
    """Makes what runs trials in a worker; travels to it.

    `storage` is a URL that all nodes see, for files that the study folder, which they do not
    see, gets in the end; empty: all nodes see the study folder. `study` names it there.
    """

    storage: str = ""
    study: str = ""

    def __call__(self) -> Run:
        run: Run = Worker().run
        return stored(run, Storage(self.storage), self.study) if self.storage else run


def stored(run: Run, storage: Storage, study: str) -> Run:
    """Return `run` with checkpoints that go through `storage`, and files that end there."""
    folder = shared_folder() / study

    def run_stored(task: TrialTask, report: Report) -> TrialResult:
        name = _checkpoint(task.key, study)
        local = checkpoint_folder(folder, task.key) / CHECKPOINT
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        storage.get(name, local)
        upload = _uploader(storage, local, name)

        def told(progress: TrialProgress) -> bool:
            upload()
            return report(progress)

        try:
            result = run(_here(task, storage, study, folder), told)
        except KeyboardInterrupt:
            upload()
            raise
        except StorageLostError:
            with suppress(StorageLostError):  # of the same, most likely; the first says why
                upload()
            raise
        upload()
        for kept in KEPT:
            for path in (folder / kept).glob(f"{task.key}.*"):
                storage.put(path, f"{study}/{kept}/{path.name}")
                path.unlink()
        shutil.rmtree(local.parent, ignore_errors=True)
        return result

    return run_stored


class Courier:
    """Brings files between the study and workers that do not see it, by way of `storage`."""

    def __init__(self, storage: Storage, study: str, folder: Path) -> None:
        self._storage, self._study, self._folder = storage, study, folder
        self._sent: set[str] = set()

    def send(self, task: TrialTask) -> None:
        """Store what a trial starts from, once for all trials that do."""
        name = _initial(task, self._study)
        if name and name not in self._sent:
            self._storage.put(Path(task.schedule.init_path), name)
            self._sent.add(name)
        # Of a trial that was cut off or paused where the study's own folder was seen.
        local, name = self._local(task.key), _checkpoint(task.key, self._study)
        if local.is_file() and not self._storage.names(name.rpartition("/")[0]):
            self._storage.put(local, name)

    def bring_back(self, keys: Iterable[TrialKey]) -> None:
        """Bring checkpoints of trials that wait to the study, for those who see its folder."""
        for key in keys:
            name = _checkpoint(key, self._study)
            if self._storage.get(name, self._local(key)):
                self._storage.remove(name)

    def _local(self, key: TrialKey) -> Path:
        return checkpoint_folder(self._folder, key) / CHECKPOINT

    def fetch(self, task: TrialTask) -> None:
        """Bring the files of a trial that ended to the study."""
        for kept in KEPT:
            for name in self._storage.names(f"{self._study}/{kept}"):
                base = name.rpartition("/")[2]
                if base.startswith(f"{task.key}."):
                    self._storage.get(name, self._folder / kept / base)
                    self._storage.remove(name)

    def committed(self, task: TrialTask) -> None:
        """Remove the checkpoint of a trial whose result is safe."""
        self._storage.remove(_checkpoint(task.key, self._study))


def _checkpoint(key: TrialKey, study: str) -> str:
    """Return the name under which a trial's checkpoint is stored."""
    return f"{study}/checkpoints/{key}/{CHECKPOINT}"


def _initial(task: TrialTask, study: str) -> str:
    """Return the name under which a trial's initial weights are stored; empty: it has none."""
    schedule = task.schedule
    if not schedule.init_path:
        return ""
    return f"{study}/init/{schedule.init_fingerprint}{Path(schedule.init_path).suffix}"


def _here(task: TrialTask, storage: Storage, study: str, folder: Path) -> TrialTask:
    """Return the task as this node runs it: its folder, and its initial weights fetched."""
    task = replace(task, folder=str(folder))
    if not (name := _initial(task, study)):
        return task
    local = folder / "init" / name.rpartition("/")[2]
    if not local.exists():
        storage.get(name, local)
    return replace(task, schedule=replace(task.schedule, init_path=str(local)))


def _uploader(storage: Storage, local: Path, name: str) -> Callable[[], None]:
    """Return what stores a checkpoint if there is a newer one than at the last call."""
    seen = _written(local)

    def upload() -> None:
        nonlocal seen
        now = _written(local)
        if now and now != seen:
            storage.put(local, name)
            seen = now

    return upload


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
