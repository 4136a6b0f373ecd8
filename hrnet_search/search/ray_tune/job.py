"""What a worker process does with a task: the trial itself, and where its files lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_search.evaluate.gate import shared_folder
from hrnet_search.evaluate.trial import Worker
from hrnet_search.records import TrialProgress, TrialResult, TrialTask
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
        name = f"{study}/checkpoints/{task.key}/{CHECKPOINT}"
        local = folder / "checkpoints" / str(task.key) / CHECKPOINT
        storage.get(name, local)
        upload = _uploader(storage, local, name)

        def told(progress: TrialProgress) -> bool:
            upload()
            return report(progress)

        try:
            result = run(replace(task, folder=str(folder)), told)
        except KeyboardInterrupt:
            upload()
            raise
        for kept in KEPT:
            for path in (folder / kept).glob(f"{task.key}.*"):
                storage.put(path, f"{study}/{kept}/{path.name}")
                path.unlink()
        storage.remove(name)
        return result

    return run_stored


def fetcher(storage: Storage, study: str, folder: Path) -> Callable[[TrialTask], None]:
    """Return what brings the files of a trial that ended from `storage` to the study."""

    def fetch(task: TrialTask) -> None:
        for kept in KEPT:
            for name in storage.names(f"{study}/{kept}"):
                base = name.rpartition("/")[2]
                if base.startswith(f"{task.key}."):
                    storage.get(name, folder / kept / base)
                    storage.remove(name)

    return fetch


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
