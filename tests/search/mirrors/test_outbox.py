"""Mirrors: one run a trial, however often it is sent, whatever fails, and never in the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_up import NOTES, ask, result
from search.mirrors.tensorboard_reader import INSTALLED, hparams_of

from hrnet_search.arch.hrnet_yaml import parse_config
from hrnet_search.cli import main
from hrnet_search.errors import StorageLostError
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import MIRROR_NAMES
from hrnet_search.records.trial import FAILED, INFEASIBLE, STOPPED, TrialKey, TrialResult
from hrnet_search.search.mirrors.mlflow_mirror import PARENT_TAG, TRIAL_TAG
from hrnet_search.search.mirrors.outbox import MIRRORS, Line, Mirror, Outbox, places_of, sync
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

RESULTS = [
    result(0, miou=0.5, kept=0.25),
    replace(result(1), status=FAILED, error='it\'s "broken"', miou=None, rungs=()),
    replace(result(2), status=INFEASIBLE, miou=None, rungs=()),
    replace(result(3), status=STOPPED),
]
MADE_UP = replace(
    NOTES,
    study_id="s1",
    identity={"limits": [["params", 1001]]},
    choices=("width", "STAGE4.NUM_BLOCKS"),
    levels=((4, 6, 8), ([1, 1], [2, 2])),
    schedule=NotedSchedule("sc-0", Schedule(DataSpec("folder", 11, ignore=7))),
)


def asked(number: int) -> Ask:
    return replace(ask(number), point=(number % 3, number % 2))


def make_study(folder: Path, tracking: Mapping[str, str], results: list[TrialResult]) -> Path:
    StudyStore.create(folder, replace(MADE_UP, tracking=tracking))
    with StudyStore(folder) as store:
        for number, one in enumerate(results):
            store.ask(asked(number))
            store.finish(number, one)
    return folder


def seen_in_mlflow(folder: Path) -> list[tuple[str, str]]:
    return sorted((r.data.tags[TRIAL_TAG], r.info.status) for r in children(folder))


def children(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_url(folder / "mlflow.db"))
    experiment = client.get_experiment_by_name("made-up")
    runs = client.search_runs([experiment.experiment_id])
    assert len([r for r in runs if PARENT_TAG not in r.data.tags]) == 1
    return [r for r in runs if PARENT_TAG in r.data.tags]


def seen_in_optuna(folder: Path) -> list[tuple[str, str]]:
    return sorted((t.user_attrs["key"], t.state.name) for t in optuna_study(folder).trials)


def optuna_study(folder: Path) -> Any:
    import optuna

    return optuna.load_study(study_name="made-up-s1", storage=sqlite_url(folder / "optuna.db"))


def seen_in_tensorboard(folder: Path) -> list[tuple[str, str]]:
    runs = (hparams_of(run) for run in (folder / "tensorboard").glob("trial-*"))
    keys = ((TrialKey(r["architecture"], r["schedule"], int(r["seed"])), r["status"]) for r in runs)
    return sorted((str(key), status) for key, status in keys)


SEEN: dict[str, tuple[Callable[[Path], list[tuple[str, str]]], list[str]]] = {
    "mlflow": (seen_in_mlflow, ["FINISHED", "FAILED", "KILLED", "FINISHED"]),
    "optuna": (seen_in_optuna, ["COMPLETE", "FAIL", "PRUNED", "PRUNED"]),
    "tensorboard": (seen_in_tensorboard, [result.status for result in RESULTS]),
}


def test_the_table_is_what_a_space_file_may_name() -> None:
    assert tuple(MIRRORS) == MIRROR_NAMES
    assert SEEN.keys() == MIRRORS.keys()


HERE = [pytest.param(name, marks=() if name != "tensorboard" else INSTALLED) for name in MIRRORS]


def mirror_of(folder: Path, name: str) -> Mirror:
    study = open_study(folder)
    return MIRRORS[name](places_of(study)[name], study)


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_every_mirror_shows_each_trial_once(name: str, tmp_path: Path) -> None:
    """Sent as it ended, again by sync, by a second process, and from a mirror cut off halfway."""
    folder = make_study(tmp_path / "study", {name: "auto"}, RESULTS)
    warnings: list[str] = []
    first = mirror_of(folder, name)
    assert first.known() == {}
    first.send(asked(0), RESULTS[0])
    first.close()
    assert sync(folder, warnings.append) == {name: (3, 0, True)}
    assert sync(folder, warnings.append) == {name: (0, 0, True)}
    look, states = SEEN[name]
    expected = sorted((str(r.key), s) for r, s in zip(RESULTS, states, strict=True))
    assert look(folder) == expected
    assert warnings == []


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_a_trial_that_failed_and_ran_again_is_shown_as_it_ended_last(
    name: str, tmp_path: Path
) -> None:
    failed = replace(RESULTS[0], status=FAILED, error="broken", miou=None, rungs=())
    folder = make_study(tmp_path / "study", {name: "auto"}, [failed])
    assert sync(folder, print) == {name: (1, 0, True)}
    with StudyStore(folder) as store:
        assert store.retry_failed() == 1
        store.finish(0, RESULTS[0])
    assert sync(folder, print) == {name: (1, 0, True)}
    assert sync(folder, print) == {name: (0, 0, True)}
    look, states = SEEN[name]
    assert (str(RESULTS[0].key), states[0]) in look(folder)


def test_a_run_of_mlflow_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"mlflow": "auto"}, RESULTS[:1])
    first: Any = mirror_of(folder, "mlflow")
    first.known()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.log_text", _raise)
        with pytest.raises(OSError, match="cut off"):
            first.send(asked(0), RESULTS[0])
    assert sync(folder, print) == {"mlflow": (1, 0, True)}
    assert seen_in_mlflow(folder) == [(str(RESULTS[0].key), "FINISHED")]


def _raise(*_: object) -> None:
    raise OSError("cut off")


def test_mlflow_has_what_a_trial_found(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"mlflow": "auto"}, RESULTS[:2])
    sync(folder, print)
    runs = {r.data.tags[TRIAL_TAG]: r for r in children(folder)}
    run = runs[str(RESULTS[0].key)]
    assert run.data.metrics["miou"] == 0.5
    assert run.data.metrics["soft_iou"] == 0.4
    assert run.data.metrics["kept"] == 0.25
    assert "training_loss" not in run.data.metrics, "it is not known"
    assert run.data.metrics["latency_ms"] == 1.5
    assert run.data.metrics["macs"] == 2000
    assert run.data.params["STAGE3.NUM_CHANNELS"] == "[1, 2, 4]"
    assert runs[str(RESULTS[1].key)].data.tags["error"] == 'it\'s "broken"'
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_url(folder / "mlflow.db"))
    history = client.get_metric_history(run.info.run_id, "miou")
    assert {(m.step, m.value) for m in history} == {(10, 0.5)}
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["config.yaml"]
    config = (
        folder / "mlflow-artifacts" / run.info.run_id / "artifacts" / "config.yaml"
    ).read_text()
    sections = parse_config(config).sections
    assert (sections["DATASET"]["NUM_CLASSES"], sections["TRAIN"]["IGNORE_LABEL"]) == (11, 7)


def test_optuna_has_values_levels_and_constraints(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"optuna": "auto"}, RESULTS)
    sync(folder, print)
    study = optuna_study(folder)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    trial = study.trials[0]
    assert trial.values == [0.5, 2000.0]
    assert trial.params == {"width": 4, "STAGE4.NUM_BLOCKS": "[1, 1]"}
    assert type(trial.distributions["width"]).__name__ == "IntDistribution"
    assert trial.user_attrs["rungs"] == [[10, 0.5]]
    over = [t.system_attrs["constraints"][0] for t in study.trials]
    assert over == pytest.approx([1000 / 1001 - 1, 0.0, 1002 / 1001 - 1, 1003 / 1001 - 1])
    assert [t.number for t in study.best_trials] == [0]


def test_optuna_has_networks_that_stand_at_no_point(tmp_path: Path) -> None:
    """The base, and what a pick is compared with."""
    folder = make_study(tmp_path / "study", {"optuna": "auto"}, RESULTS[:1])
    with StudyStore(folder) as store:
        store.ask(replace(asked(1), point=(), purpose="confirm"))
        store.finish(1, result(1, miou=0.4))
    sync(folder, print)
    first, second = optuna_study(folder).trials
    assert (len(first.params), second.params, second.values) == (2, {}, [0.4, 2001.0])


def test_optuna_compares_no_long_trainings_with_those_of_the_search(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"optuna": "auto"}, [])
    short = MADE_UP.schedule
    assert short is not None
    with StudyStore(folder) as store:
        for number, schedule in enumerate((short.id, "sc-long")):
            one = asked(number)
            key = replace(one.key, schedule=schedule)
            store.ask(replace(one, key=key, purpose=("search", "confirm")[number]))
            store.finish(number, replace(result(number, miou=0.4 + number / 10), key=key))
    sync(folder, print)
    study = optuna_study(folder)
    assert [t.number for t in study.best_trials] == [0]
    long = study.trials[1]
    assert (long.state.name, long.values) == ("PRUNED", None)
    assert long.user_attrs["values by its schedule"] == [0.5, 2001.0]


def test_what_is_not_known_to_keep_a_limit_of_accuracy_does_not_for_optuna(tmp_path: Path) -> None:
    limits = [["iou[0]", {"at_least": 0.3}]]
    notes = replace(MADE_UP, tracking={"optuna": "auto"}, identity={"limits": limits})
    StudyStore.create(tmp_path / "study", notes)
    unknown = replace(RESULTS[0], rungs=())
    with StudyStore(tmp_path / "study") as store:
        store.ask(asked(0))
        store.finish(0, unknown)
    floors = open_study(tmp_path / "study").notes.goals.floors
    assert [floor.objective.name for floor in floors] == ["iou[0]"]
    sync(tmp_path / "study", print)
    (trial,) = optuna_study(tmp_path / "study").trials
    assert trial.system_attrs["constraints"] == [1.0]


class Flaky:
    """A mirror that fails when told to, sometimes after it took the trial."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.outcomes: list[str] = []
        self.down, self.late = False, False
        self.free = threading.Event()
        self.free.set()

    def known(self) -> dict[str, str]:
        self._maybe()
        return dict.fromkeys(self.keys, "completed")

    def send(self, ask: Ask, result: TrialResult) -> None:
        self.free.wait(30)
        self._maybe()
        self.keys.append(str(ask.key))
        if self.late:
            raise TimeoutError("the answer was lost")

    def conclude(self, outcome: str) -> None:
        self._maybe()
        self.outcomes.append(outcome)

    def attach(self) -> None:
        self._maybe()

    def close(self) -> None: ...

    def _maybe(self) -> None:
        if self.down:
            raise ConnectionError("no\nroute")


def test_an_outage_costs_one_warning_and_is_made_up_for() -> None:
    mirror, warnings = Flaky(), list[str]()
    line = Line("flaky", mirror, warnings.append, meanwhile="the search goes on")
    trials = [(ask(n), result(n)) for n in range(6)]
    mirror.down = True
    line.waiting.extend(trials[:2])
    line.push(float("inf"))
    line.waiting.extend(trials[2:3])
    line.push(float("inf"))  # left alone for a while
    assert (len(line.waiting), line.sent) == (3, 0)
    mirror.down, mirror.late = False, True
    line.push(float("inf"), again=True)
    mirror.late = False
    line.waiting.extend(trials[3:])
    line.push(float("inf"), again=True)
    assert mirror.keys == [str(a.key) for a, _ in trials]
    assert not line.waiting
    assert warnings == ["flaky cannot be reached, the search goes on (no route)"]


def test_what_is_refused_is_not_called_an_outage_and_nothing_goes_on_without_a_search() -> None:
    class RefusedError(Exception):
        error_code = "INVALID_PARAMETER_VALUE"

    class Strict(Flaky):
        def send(self, ask: Ask, result: TrialResult) -> None:
            raise RefusedError("invalid value")

    for mirror, said in (
        (Strict(), "strict refuses what it is sent (invalid value)"),
        (Flaky(), "strict cannot be reached (no route)"),
    ):
        warnings: list[str] = []
        line = Line("strict", mirror, warnings.append)
        mirror.down = not isinstance(mirror, Strict)
        line.waiting.append((ask(0), result(0)))
        line.push(float("inf"))
        assert warnings == [said]


def outbox(folder: Path, mirror: Mirror, warnings: list[str]) -> Outbox:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MIRRORS, "mlflow", lambda uri, study: mirror)
        return Outbox(folder, warnings.append)


def run_trials(folder: Path, box: Outbox, count: int) -> None:
    """Ask and finish trials, and tell the outbox of each."""
    with StudyStore(folder) as store:
        for number in range(count):
            store.ask(asked(number))
            store.finish(number, result(number))
            box.ended(None, result(number))  # type: ignore[arg-type]


def test_a_slow_mirror_slows_no_trial_and_gets_all(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"mlflow": "x"}, [])
    mirror, warnings = Flaky(), list[str]()
    mirror.free.clear()
    with outbox(folder, mirror, warnings) as box:
        run_trials(folder, box, 8)
        assert mirror.keys == [], "all have ended before the mirror took the first"
        mirror.free.set()
    assert mirror.keys == [str(ask(n).key) for n in range(8)]
    assert warnings == []


def test_a_mirror_that_is_down_for_good_says_what_waits(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"mlflow": "x"}, [])
    mirror, warnings = Flaky(), list[str]()
    mirror.down = True
    with outbox(folder, mirror, warnings) as box:
        run_trials(folder, box, 3)
    command = f"hrnet-search sync {folder}"
    assert warnings[1:] == [f"3 trials wait for mlflow: {command} sends them"]
    assert len(open_study(folder).ended()) == 3


def test_sync_ends_with_1_where_the_study_itself_cannot_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its trials were sent, and its own run still says that it runs."""

    class Half(Flaky):
        def conclude(self, outcome: str) -> None:
            raise ConnectionError("no route")

    def given(mirror: Mirror, uri: str, study: Study) -> Mirror:
        return mirror

    folder = make_study(tmp_path / "study", {"mlflow": "x"}, RESULTS)
    for mirror, code in ((Half(), 1), (Flaky(), 0)):
        monkeypatch.setitem(MIRRORS, "mlflow", partial(given, mirror))
        assert main(["sync", str(folder)]) == code
        assert "4 trials sent, 0 waiting" in capsys.readouterr().out


def test_sync_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_study(tmp_path / "study", {"mlflow": "x"}, RESULTS)
    monkeypatch.setitem(MIRRORS, "mlflow", lambda _uri, _study: Flaky())
    monkeypatch.setattr("hrnet_search.commands.working.LINE_S", 0.0)
    assert main(["sync", str(folder)]) == 0
    said = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == [f"[{n}/4] mlflow: trial {n}" for n in range(4)]


def test_whoever_is_interrupted_does_not_wait_for_a_mirror(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", {"mlflow": "x"}, RESULTS)
    mirror = Flaky()
    mirror.free.clear()
    with pytest.raises(StorageLostError), outbox(folder, mirror, []):
        raise StorageLostError("gone")
    assert mirror.keys == [], "the mirror still holds the first"
    mirror.free.set()


def test_an_older_study_knows_its_mlflow(tmp_path: Path) -> None:
    """It noted the address of the only mirror that there was, without its name."""
    off, auto = (Notes.read({"tracking": text}).tracking or {} for text in ("off", "auto"))
    folder = make_study(tmp_path / "study", off, [])
    assert places_of(open_study(folder)) == {}
    other = make_study(tmp_path / "other", auto, [])
    assert list(places_of(open_study(other))) == ["mlflow"]


def test_what_another_has_sent_meanwhile_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sync` beside a study that runs."""
    mirror = Flaky()
    line = Line("mlflow", mirror, print)
    line.push(float("inf"))
    mirror.keys.append(str(asked(0).key))
    monkeypatch.setattr("hrnet_search.search.mirrors.outbox.KNOWN_S", 0.0)
    line.waiting.append((asked(0), RESULTS[0]))
    line.push(float("inf"))
    assert mirror.keys == [str(asked(0).key)]
    assert not line.waiting
