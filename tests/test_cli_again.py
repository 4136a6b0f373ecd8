"""A study in its folder: begun from anywhere, gone on with, and begun again from what it keeps."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import TINY
from PIL import Image

from hrnet_search import open_study
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.cli import main
from hrnet_search.evaluate.machine import devices
from hrnet_search.evaluate.training import trial
from hrnet_search.records.trial import FAILED, TrialResult
from hrnet_search.report.page.gather import gather
from hrnet_search.search import begin
from hrnet_search.search.mirrors.outbox import MIRRORS, places_of
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[1]
SPACE = """\
name: tiny
base: ../configs/base.yaml
vary: {width: [2, 4], STAGE2.NUM_BRANCHES: [1], STAGE3.NUM_BRANCHES: [1, 2]}
objectives: {miou: max, macs: min}
data: {kind: folder, classes: 2, train: {images: i, masks: m}, val: {images: i, masks: m}}
schedule: {steps: 2, batch: 2, crop: [64, 64]}
latency: {size: [32, 32], seconds: 0.05}
search: {sampler: random, trials: 9}
tracking: {mlflow: off}
"""
DRAWN = SPACE.replace(
    "{kind: folder, classes: 2, train: {images: i, masks: m}, val: {images: i, masks: m}}",
    "{kind: shapes, size: [64, 64], train: 8, val: 4}",
)


@pytest.fixture
def project(tmp_path: Path, one_check: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, the current one, with spaces/tiny.yaml, its base, and images."""
    folder = tmp_path / "a project"
    for name in ("spaces", "configs", "data/i", "data/m"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "base.yaml").write_text(config_text(TINY))
    (folder / "spaces" / "tiny.yaml").write_text(SPACE)
    (folder / "spaces" / "drawn.yaml").write_text(DRAWN)
    rng = np.random.default_rng(0)
    for number in range(3):
        image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / "data" / "i" / f"{number}.png")
        Image.fromarray(image[:, :, 0] // 128).save(folder / "data" / "m" / f"{number}.png")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("blank_pictures")
def test_the_command_on_the_page_begins_the_same_study_from_another_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "spaces/tiny.yaml", "-o", "my studies/#1", "--data-root", "data"]
    assert main([*words, "--trials", "1", "--plain"]) == 0
    study = open_study("my studies/#1")
    command = gather(study).commands[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("spaces", "configs"):  # all that it needs is the study, and the data
        shutil.rmtree(project / name)
    program, *rest = shlex.split(command)
    assert program == "hrnet-search"
    assert main(rest) == 0
    assert list(elsewhere.iterdir()) == []
    again = open_study(project / "my studies" / "#1-again")
    for name in ("identity", "trials"):
        assert getattr(again.notes, name) == getattr(study.notes, name)
    columns = ["architecture", "schedule", "seed", "miou"]
    assert again.results()[columns].equals(study.results()[columns])
    for other in gather(study).commands[1:]:
        assert str(project / "my studies" / "#1") in shlex.split(other)
    assert main(shlex.split(gather(study).commands[1])[1:]) == 0


@pytest.mark.usefixtures("blank_pictures")
def test_a_study_goes_on_with_the_tracking_of_its_file_now(project: Path) -> None:
    """A new mirror has what ended before it was named; from the relative URL Optuna's docs use."""
    path = project / "spaces" / "drawn.yaml"
    words = ["run", "spaces/drawn.yaml", "--plain", "--trials"]
    assert main([*words, "1"]) == 0
    path.write_text(DRAWN.replace("mlflow: off", 'mlflow: off, optuna: "sqlite:///mine.db"'))
    assert main([*words, "2"]) == 0
    study = open_study("results/tiny")
    ((name, uri),) = places_of(study).items()
    mirror = MIRRORS[name](uri, study)
    keys = {str(ask.key) for ask, _ in study.trials()}
    assert set(mirror.known()) == keys
    assert len(keys) == 2
    mirror.close()
    assert (project / "spaces" / "mine.db").is_file()


def edit(path: Path) -> None:
    """Change the last byte of a file that counts; its size and its times stay."""
    before = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.usefixtures("blank_pictures")
def test_files_that_changed_between_two_runs_are_named_and_nothing_goes_on(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mask of the same size and time on disk is another; the study has both of its trials."""
    for number in range(3):  # uncompressed: another pixel is another byte, and no other size
        for part in ("i", "m"):
            old = project / "data" / part / f"{number}.png"
            Image.open(old).save(old.with_suffix(".bmp"))
            old.unlink()
    words = ["run", "spaces/tiny.yaml", "--data-root", "data", "--plain", "--trials"]
    assert main([*words, "1"]) == 0
    assert "the data are those" not in capsys.readouterr().out
    assert main([*words, "2"]) == 0
    said = "the data are those that it was begun with: 12 files compared, every byte"
    assert said in capsys.readouterr().out
    assert said in Path("results/tiny/logs/progress.log").read_text()
    edit(project / "data" / "m" / "1.bmp")
    assert main([*words, "3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("spaces/tiny.yaml:5:7: data: files are not those that ")
    assert "train mask 1.bmp, val mask 1.bmp have other content" in line
    assert line.endswith("allowed: the files as they were, or another folder with -o")


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.slow
def test_going_on_under_another_version_is_in_the_log_the_page_and_the_summary(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "spaces/drawn.yaml", "--plain", "--trials"]
    assert main([*words, "1"]) == 0
    assert "versions" not in capsys.readouterr().out
    later = tuple((k, "99.0" if k == "torch" else v) for k, v in devices.versions())
    for module in (begin, trial):
        monkeypatch.setattr(module, "versions", lambda: later)
    assert main([*words, "2"]) == 0
    old = dict(devices.versions())["torch"]
    out = capsys.readouterr().out
    said = f"those of trials that have ended: now torch 99.0, before torch {old};"
    both = f"torch {old} (1 trial, the first is #0); torch 99.0 (1 trial, the first is #1)"
    assert said in out
    assert f"warning: trials ran under 2 sets of versions: {both}" in out
    assert said in Path("results/tiny/logs/progress.log").read_text()
    assert both in Path("results/tiny/report/report.html").read_text()
    table = Path("results/tiny/report/trials.csv").read_text().splitlines()
    for row, version in zip(csv.DictReader(table), (old, "99.0"), strict=True):
        assert f"torch {version}" in row["versions"]


@pytest.mark.usefixtures("blank_pictures")
def test_a_study_without_its_base_or_any_trained_variant_is_not_done(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "spaces" / "drawn.yaml"
    path.write_text(DRAWN.replace("steps: 2,", "steps: 2, init: base,"))
    words = ["run", "spaces/drawn.yaml", "--plain", "--trials"]
    assert main([*words, "1"]) == 0
    assert "[1/1] trial 1 completed" in capsys.readouterr().out, "the base is none of them"
    for kept in Path("results/tiny/weights").iterdir():
        kept.unlink()
    assert main([*words, "2"]) == 1
    assert "the base's weights are gone" in capsys.readouterr().out
    assert open_study("results/tiny").outcome == "failed"
    path.write_text(DRAWN.replace("objectives:", "limits: {latency_ms: 0.0001}\nobjectives:"))
    assert main([*words, "1", "-o", "none"]) == 1
    assert "no trial of the search has completed" in capsys.readouterr().out
    assert set(open_study("none").results()["status"]) == {"infeasible"}
    assert open_study("none").outcome == "failed"


def listing(folder: Path) -> list[str]:
    """Return the files of a study, but for what Ray and databases keep for themselves."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = sorted(str(file) for file in files if file.parts[:2] != ("logs", "ray"))
    return [name for name in names if not name.endswith(("-wal", "-shm", "-journal"))]


@pytest.mark.ray
@pytest.mark.slow  # Ray starts twice
def test_workers_leave_in_a_relative_folder_what_an_inline_run_does(
    project: Path, tmp_path: Path
) -> None:
    """From another current directory, interrupted in the middle of a training, and gone on."""
    space = project / "spaces" / "drawn.yaml"
    space.write_text(DRAWN.replace("steps: 2,", "steps: 30, init: base, init_steps: 4,"))
    words = ["run", str(space), "--trials", "2", "--plain"]
    inline, many = tmp_path / "inline", tmp_path / "many"
    for folder in (inline, many):
        folder.mkdir()
    os.chdir(inline)
    assert main(words) == 0

    command = [sys.executable, "-m", "hrnet_search.cli", *words, "--workers", "1"]
    with subprocess.Popen(command, cwd=many, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("trial 0 "):  # the base has ended
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    study = many / "results" / "tiny"
    (kept,) = (study / "weights").iterdir()
    assert len(list((study / "evaluation").iterdir())) == 1

    os.chdir(many)
    assert main([*words, "--workers", "1"]) == 0
    assert listing(study) == listing(inline / "results" / "tiny")
    columns = ["architecture", "schedule", "seed", "status"]
    found, expected = (open_study(f / "results" / "tiny").results() for f in (many, inline))
    assert found[columns].equals(expected[columns])
    noted = open_study(study).notes.schedule
    assert noted is not None
    assert noted.schedule.init_path == str(kept)
    assert [path.name for path in many.iterdir()] == ["results"]


@pytest.mark.ray
@pytest.mark.usefixtures("blank_pictures")
def test_a_command_that_is_refused_leaves_a_study_as_it_was(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing ran: neither its outcome nor its failures are those of another run."""
    words = ["run", "spaces/drawn.yaml", "--plain", "--trials", "2"]
    assert main(words) == 0
    folder = Path("results/tiny")
    with StudyStore(folder) as store:
        first = store.asks()[0]
        again = replace(first, number=2, key=replace(first.key, seed=7))
        store.ask(again)
        failed = TrialResult(again.key, FAILED, error="broken", wall_s=1.0)
        store.finish(2, failed)
    before = open_study(folder)
    capsys.readouterr()
    assert main([*words, "--workers", "64", "--memory-per-trial", "999", "--retry-failed"]) == 2
    after = open_study(folder)
    assert (before.outcome, after.outcome) == ("done", "done")
    assert [r.status for _, r in after.trials() if r] == ["completed", "completed", "failed"]
