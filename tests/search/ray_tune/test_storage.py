"""Files of running trials on a path that all nodes see, and the trial that goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from made_up import NOTES, ask, result

from hrnet_search.commands.driver import bring_back_checkpoints
from hrnet_search.commands.terminal import Terminal
from hrnet_search.errors import InputError
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.ray_tune.job import Courier, stored
from hrnet_search.search.ray_tune.storage import Storage
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore

TASK = TrialTask(0, ask(0).key, ask(0).architecture, Schedule(DataSpec("shapes", 8)), (10,))


@pytest.fixture(params=["path", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A plain path, pyarrow's own URL, and one that only fsspec knows."""
    fsspec.filesystem("memory").store.clear()
    place = tmp_path / "stored"
    return {"path": str(place), "file": place.as_uri(), "memory": "memory://stored"}[request.param]


def test_what_is_stored_is_fetched(url: str, tmp_path: Path) -> None:
    storage, local = Storage(url), tmp_path / "a"
    local.write_bytes(b"x" * 3_000_000)
    assert not storage.get("deep/er/a", tmp_path / "b")
    assert storage.names("deep/er") == []
    storage.put(local, "deep/er/a")
    storage.put(local, "deep/er/a")
    assert storage.names("deep/er") == ["deep/er/a"]
    assert storage.get("deep/er/a", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == local.read_bytes()
    storage.remove("deep/er/a")
    storage.remove("deep/er/a")
    assert storage.names("deep/er") == []


def test_an_unknown_url_is_bad_input() -> None:
    with pytest.raises(InputError, match="--storage"):
        Storage("nowhere://bucket/x")


def worker(upto: int, seen: list[str]) -> Callable[..., TrialResult]:
    """Return what trains to a step, writing what it did into its checkpoint as it goes."""

    def run(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        checkpoint = Path(task.folder, "checkpoints", str(task.key), "last.pt")
        seen.append(checkpoint.read_text() if checkpoint.exists() else "")
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        for step in range(1, upto + 1):
            checkpoint.write_text(str(step))
            report(TrialProgress("train", step, 10))
        if upto < 10:
            raise OSError("the node is lost")
        weights = Path(task.folder, "weights", f"{task.key}.safetensors")
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_text("trained")
        return replace(result(0), key=task.key)

    return run


def test_a_trial_goes_on_where_another_node_left_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    storage, study = Storage(url), tmp_path / "study"

    def on_node(name: str, upto: int) -> TrialResult:
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / name))
        return stored(worker(upto, seen), storage, "s1")(TASK, lambda _: True)

    with pytest.raises(OSError, match="lost"):
        on_node("one", upto=4)
    on_node("two", upto=10)
    assert seen == ["", "4"]
    assert storage.names(f"s1/checkpoints/{TASK.key}")  # until its result is committed
    Courier(storage, "s1", study).fetch(TASK)
    Courier(storage, "s1", study).committed(TASK)
    assert storage.names(f"s1/checkpoints/{TASK.key}") == []
    assert (study / "weights" / f"{TASK.key}.safetensors").read_text() == "trained"
    for folder in ("weights", f"checkpoints/{TASK.key}"):
        assert storage.names(f"s1/{folder}") == [], "nothing is left where it passed through"


def test_weights_to_start_from_go_to_the_nodes(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "base.safetensors"
    weights.write_text("the base's")
    schedule = replace(
        TASK.schedule, init=str(weights), init_fingerprint="f00d", init_path=str(weights)
    )
    task = replace(TASK, schedule=schedule)
    storage = Storage(url)
    courier = Courier(storage, "s1", tmp_path / "study")
    for _ in range(2):
        courier.send(task)
    courier.send(TASK)
    assert storage.names("s1/init") == ["s1/init/f00d.safetensors"]
    weights.unlink()  # no node but the driver's ever had it
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    read: list[str] = []

    def run(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        read.append(Path(task.schedule.init_path).read_text())
        assert Path(task.schedule.init_path).is_relative_to(tmp_path / "node")
        return replace(result(0), key=task.key)

    for _ in range(2):
        stored(run, storage, "s1")(task, lambda _: True)
    assert read == ["the base's"] * 2


def test_a_checkpoint_goes_where_its_trial_goes_on(tmp_path: Path) -> None:
    """A study may be begun inline and go on with a storage, or the other way round."""
    storage, study = Storage(str(tmp_path / "storage")), tmp_path / "study"
    local = study / "checkpoints" / str(TASK.key) / "last.pt"
    local.parent.mkdir(parents=True)
    local.write_text("step 4")
    Courier(storage, "s1", study).send(TASK)
    name = f"s1/checkpoints/{TASK.key}/last.pt"
    assert storage.names(f"s1/checkpoints/{TASK.key}") == [name]
    (tmp_path / "newer").write_text("step 7")
    storage.put(tmp_path / "newer", name)
    Courier(storage, "s1", study).send(TASK)  # what it has is where the trial was last
    Courier(storage, "s1", study).bring_back([TASK.key, replace(TASK.key, seed=9)])
    assert local.read_text() == "step 7"
    assert storage.names(f"s1/checkpoints/{TASK.key}") == []


def test_checkpoints_that_cannot_be_brought_back_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    StudyStore.create(tmp_path / "study", NOTES)
    with StudyStore(tmp_path / "study") as store:
        store.ask(ask(0))
        store.note(Notes(storage="nosuch://bucket"))
        bring_back_checkpoints(store, Terminal(plain=True))
        assert store.notes().storage == "nosuch://bucket"
    said = capsys.readouterr().err
    assert "checkpoints of 1 trial lie in nosuch://bucket" in said
    assert "they begin anew" in said
