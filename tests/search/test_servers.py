"""Mirrors on real servers that are killed in mid-run: the study does not notice, sync fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from search import servers
from search.servers import MlflowServer, Postgres
from search.tabulated import SPACE, drive, plan

from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.mirrors.outbox import Outbox, sync
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("servers"),  # one process, and so one of each server
    pytest.mark.skipif(bool(servers.why_no_postgres()), reason=servers.why_no_postgres()),
]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder = tmp_path_factory.mktemp("postgres")
    for part in (folder, *folder.parents[:3]):  # user postgres has to come through
        part.chmod(part.stat().st_mode | 0o055)
    started = Postgres(folder / "cluster")
    yield started
    started.kill()


@pytest.fixture(scope="module")
def mlflow(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(tmp_path_factory.mktemp("mlflow"), postgres.database("mlflow"))
    yield started
    started.kill()


class At:
    """A listener that does something when some number of trials has ended."""

    def __init__(self, moments: dict[int, Callable[[], None]]) -> None:
        self.moments, self.count = moments, 0

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def returned(self, task: TrialTask, reason: str) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        self.count += 1
        self.moments.get(self.count, lambda: None)()


def search(
    folder: Path, tracking: dict[str, str], moments: dict[int, Callable[[], None]]
) -> tuple[list[list[object]], list[str]]:
    """Run a study of 24 trials with its mirrors; return what it found and what was said."""
    said: list[str] = []
    notes = Notes(
        name=folder.name,
        study_id=folder.name,
        objectives=("miou", "macs"),
        choices=tuple(choice.path for choice in SPACE.choices),
        levels=tuple(choice.values for choice in SPACE.choices),
        tracking=tracking,
    )
    StudyStore.create(folder, notes)
    with Outbox(folder, said.append) as box:
        drive(folder, plan("random", 24), [box, At(moments)])
    table = open_study(folder).results().fillna({"miou": -1})
    return list(table[["number", "architecture", "status", "miou"]].values.tolist()), said


def runs(url: str, name: str) -> Counter[str]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id])
    return Counter(r.data.tags.get("hrnet_search.trial", "parent") for r in found)


def test_servers_killed_in_mid_run_change_nothing(
    postgres: Postgres, mlflow: MlflowServer, tmp_path: Path
) -> None:
    expected, _ = search(tmp_path / "quiet", {"mlflow": "off"}, {})
    tracking = {"mlflow": mlflow.url}
    found, said = search(tmp_path / "killed", tracking, {8: mlflow.kill, 16: postgres.kill})
    assert found == expected
    assert said[0].startswith("mlflow cannot be reached, the search goes on")
    assert [line for line in said if "trials wait for mlflow" in line]
    assert len(said) == 2
    postgres.start()
    mlflow.start()
    sent, waiting, _ = sync(tmp_path / "killed", said.append)["mlflow"]
    assert sent > 0
    assert waiting == 0
    counts = runs(mlflow.url, "killed")
    assert len(counts) == 25
    assert set(counts.values()) == {1}, "one run a trial, one parent"
    assert sync(tmp_path / "killed", said.append) == {"mlflow": (0, 0, True)}


def test_a_database_that_comes_back_gets_every_trial_once(
    postgres: Postgres, tmp_path: Path
) -> None:
    def restart() -> None:
        postgres.kill()
        postgres.start()

    url = postgres.database("optuna")
    tracking = {"mlflow": "off", "optuna": url}
    search(tmp_path / "optuna", tracking, {8: restart, 16: restart})
    sync(tmp_path / "optuna", print)
    import optuna

    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="optuna-optuna", storage=storage)
    keys = Counter(trial.user_attrs["key"] for trial in study.trials)
    storage.remove_session()
    storage.engine.dispose()
    assert len(keys) == 24
    assert set(keys.values()) == {1}
