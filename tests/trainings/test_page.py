"""The page of a training, and its MLflow run: what its folder holds, and how to repeat it."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from large_study import make_study
from safetensors.numpy import load_file

from hrnet_search.cli import main
from hrnet_search.report.commands import training_commands
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.report.page.training import gather_training, training_html
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.search.mirrors.mlflow_training import send_training
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.trainings import (
    Teacher,
    read_curve,
    read_record,
    read_results,
    weights_file,
    write_record,
    write_results,
)

NASTY = "<script>alert(1)</script>"


def test_the_page_shows_what_the_folder_holds_and_loads_nothing(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(trained)]) == 0
    out = capsys.readouterr().out
    html = (trained / "report" / "report.html").read_text()
    best = read_results(trained).best
    assert best is not None
    assert f"mIoU {best.miou:.2%} at step {best.step}" in out
    assert f"<b>mIoU {best.miou:.2%}</b>" in html
    assert set(re.findall(r'data-figure="(\w+)"', html)) == {
        "loss", "lr", "miou", "classes", "confusion",
    }  # fmt: skip
    assert html.count("data:image/png;base64,") == 3 * 4
    assert "default-src &#39;none&#39;" in html
    assert not re.search(r'(src|href)="https?:', html)
    page = gather_training(trained)
    assert page.confusion is not None
    assert page.confusion.sum() == 5 * 64 * 64


@pytest.mark.parametrize("words", [["--pick", "macs<=1G"], ["--style", "x.mplstyle"]])
def test_what_only_a_study_can_answer_is_not_passed_over(
    trained: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(trained), *words]) == 2
    assert f"{words[0]}: is for studies, and {trained} is a training" in capsys.readouterr().err


def test_the_command_on_the_page_trains_the_same_again(trained: Path, tmp_path: Path) -> None:
    again = shlex.split(training_commands(read_record(trained), trained)[0])
    assert again[0] == "hrnet-search"
    place = again.index("-o") + 1
    again[place] = str(tmp_path / "again")
    assert main([*again[1:], "--mlflow", "off"]) == 0
    one, other = (load_file(weights_file(p, "last")) for p in (trained, tmp_path / "again"))
    assert all((one[name] == other[name]).all() for name in one)


def test_a_training_that_has_judged_nothing_has_a_page_too(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "young"
    folder.mkdir()
    shutil.copy(trained / "training.json", folder)
    assert main(["report", str(folder)]) == 0
    assert "it has not ended" in capsys.readouterr().out
    assert "It was not judged yet." in (folder / "report" / "report.html").read_text()


def test_what_users_wrote_is_escaped(trained: Path) -> None:
    page = gather_training(trained)
    nasty = replace(page, name=NASTY, classes=(NASTY, "a", "b"), facts=((NASTY, NASTY),))
    assert NASTY not in training_html(nasty).decode()


def test_a_folder_that_is_damaged_is_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    content = (trained / "training.json").read_text()
    (folder / "training.json").write_text(content[: len(content) // 2])
    assert main(["report", str(folder)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}/training.json: is not what was written")


def test_a_training_is_one_mlflow_run(trained: Path, tmp_path: Path) -> None:
    """Sent twice, as after a kill, it is still one."""
    from mlflow import MlflowClient

    from hrnet_search.search.mirrors.tracking_uri import sqlite_url

    found = read_record(trained), read_results(trained), read_curve(trained)
    for _ in range(2):
        send_training("auto", tmp_path, *found)
    client = MlflowClient(tracking_uri=sqlite_url(tmp_path / "mlflow.db"))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["lr"] == "0.01"
    assert run.data.params["STAGE4.NUM_CHANNELS"] == "[4, 8, 16, 32]"
    history = client.get_metric_history(run.info.run_id, "miou")
    assert [m.value for m in history] == [rung.miou for rung in found[1].rungs]
    assert len(client.get_metric_history(run.info.run_id, "lr")) == 6
    taught = replace(found[0], teacher=Teacher("/teacher.onnx", "0f", 2.0, 0.5))
    send_training("auto", tmp_path, taught, *found[1:])  # another training, not a newer one
    runs = client.search_runs([experiment.experiment_id])
    teachers = {run.data.params.get("teacher") for run in runs}
    assert teachers == {None, "0f, weight 0.5, temperature 2"}
    # The same in another folder, or a colleague's, takes the place of none.
    begun = replace(found[1].sessions[0], began="2020-01-01T00:00:00+00:00")
    send_training("auto", tmp_path, found[0], replace(found[1], sessions=(begun,)), found[2])
    assert len(client.search_runs([experiment.experiment_id])) == len(runs) + 1


@pytest.mark.slow  # MLflow tries a database for 100 s
def test_a_server_that_is_down_costs_no_training(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_record(trained)
    again = shlex.split(training_commands(record, trained)[0])[1:]
    again[again.index("-o") + 1] = str(trained)
    nowhere = "postgresql://user:secret@127.0.0.1:9/none"
    assert main([*again, "--mlflow", nowhere]) == 0
    err = capsys.readouterr().err
    assert "no MLflow run, but the training is kept" in err
    assert "secret" not in err


def test_a_study_shows_its_trainings_and_ranks_by_the_longest(
    trained: Path, tmp_path: Path
) -> None:
    """Networks trained in full beside it are its longest schedule, where most have one."""
    folder = tmp_path / "study"
    study = make_study(folder, 12, confirmed=0, study_id="st-1")
    before = evidence_of(study)
    assert before.ranking is None
    record, results = read_record(trained), read_results(trained)
    assert study.notes.schedule is not None
    longer = replace(study.notes.schedule.schedule, steps=10**5)
    record = replace(record, schedule=NotedSchedule.of(longer))
    rows = study.variants().to_dict("records")
    networks = {ask.number: ask.architecture for ask, _ in study.trials()}
    for place, row in enumerate(rows):
        own = tmp_path / f"trained-{place:02}"
        own.mkdir()
        origin = {"study_id": "st-1", "trial": str(row["number"])}
        one = replace(record, architecture=networks[int(row["number"])], origin=origin)
        write_record(one, own)
        end = replace(results.rungs[-1], miou=float(row["miou"]) + 0.1)
        write_results(replace(results, rungs=(end,), ended=place > 0), own)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "training.json").write_text("{")
    after = evidence_of(study)
    assert after.ranking is not None
    assert after.ranking.n == len(rows) - 1  # one has not ended
    assert after.ranking.tau.high > 0.8
    page = gather(study)
    assert [one.trial for one in page.trainings] == [int(row["number"]) for row in rows]
    assert page.trainings[0].final is None
    assert page.trainings[1].final == pytest.approx(float(rows[1]["miou"]) + 0.1)
    assert page.trainings[1].short == pytest.approx(float(rows[1]["miou"]))
    html = page_html(page).decode()
    assert 'id="trainings"' in html
    assert "trained-01" in html
