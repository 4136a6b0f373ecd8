"""Data from a space file to a study: presets are checked, bad files named, nothing else lost."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import miniature
import numpy as np
import pytest
from PIL import Image

from hrnet_search import open_study
from hrnet_search.cli import main
from hrnet_search.presets import PRESETS
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.begin import open_store
from hrnet_search.search.run import search
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import load_space_file

pytestmark = pytest.mark.usefixtures("one_check", "blank_pictures")
ROOT = Path(__file__).parents[1]
SPACE = f"""\
name: tiny
base: {ROOT / "configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"}
vary:
  width: [2, 4, 6]
  STAGE4.NUM_BRANCHES: [2]
  STAGE3.NUM_BRANCHES: [1]
  STAGE2.NUM_BRANCHES: [1]
objectives: {{miou: max, macs: min}}
data: {{kind: camvid}}
schedule: {{steps: 2, batch: 2, crop: [32, 32]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 3}}
tracking: {{mlflow: off}}
"""
CAMVID = "CamVid/{}/0001TP_{:06d}.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    miniature.make("camvid", tmp_path / "data", size=(32, 48))
    return tmp_path / "data"


def write_space(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in SPACE
    path = folder / "tiny.yaml"
    path.write_text(SPACE.replace(old, new))
    return path


# What is checked in a process of its own, since the tests' has loaded torch.
CHECK = """
import sys
from hrnet_search.cli import main
for root in sys.argv[1:]:
    for words in ([], ["--data-root", root]):
        code = main(["check", f"{root}/tiny.yaml", *words])
        print(code, "torch" in sys.modules)
"""


def test_check_takes_every_preset_with_and_without_a_root_and_without_torch(
    tmp_path: Path,
) -> None:
    for kind in PRESETS:
        miniature.make(kind, tmp_path / kind)
        write_space(tmp_path / kind, "kind: camvid", f"kind: {kind}")
    command = [sys.executable, "-c", CHECK, *(str(tmp_path / kind) for kind in PRESETS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    *said, last = done.stdout.split("0 False\n")
    assert last == ""
    for i, kind in enumerate(PRESETS):
        without, looked = (text.splitlines() for text in said[2 * i : 2 * i + 2])
        assert without[1] == "the data were not looked at: no root (--data-root DIR)"
        starts = ("train: 5 images, 5 masks; ", "val: 3 images, 3 masks; ")
        for line, start in zip(looked[1:3], starts, strict=True):
            assert line.startswith(start)
            assert f" of {len(PRESETS[kind].names)} classes occur" in line
        assert "decoded images: 0.0983 MB, kept in the study's folder" in looked


def test_check_says_what_is_beyond_the_limit(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = write_space(tmp_path, "kind: camvid", "kind: camvid, cache: 1k")
    assert main(["check", str(space), "--data-root", str(root)]) == 0
    line = "decoded images: 0.0492 MB, more than data.cache allows (1e-06 GB): decoded on every"
    assert line in capsys.readouterr().out
    assert main(["check", str(space), "--data-root", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decoded_bytes"] == 4 * 32 * 48 * 8


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `run` begin its study, and leave before anything is measured or trained."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hrnet_search.search.run.search", leave)


@pytest.mark.usefixtures("no_search")
def test_what_data_hold_and_are_worth_is_said_by_check_and_run_and_stays_in_the_study(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images that both splits have make accuracies worthless, and nothing else shows it."""
    copy = root / "CamVid/val/0001TP_000000.png"
    copy.write_bytes((root / "CamVid/train/0001TP_000003.png").read_bytes())
    (root / "CamVid/train/Thumbs.db").write_text("")
    space, study = write_space(tmp_path), tmp_path / "study"
    held = [
        "train: 5 images, 5 masks; 11 of 11 classes occur",
        "train: 1 file not used: Thumbs.db",
        "val: 3 images, 3 masks; 11 of 11 classes occur",
        (
            "warning: 1 of 3 validation images are trained on as well, 1 of them as copies "
            "(val/0001TP_000000.png is train/0001TP_000003.png): accuracy on them says little "
            "about new images"
        ),
    ]
    words = [str(space), "--data-root", str(root)]
    assert main(["check", *words]) == 0
    assert capsys.readouterr().out.splitlines()[1:5] == held
    assert main(["check", *words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["train"]["images"], data["val"]["masks"], len(data["warnings"])) == (5, 3, 1)
    assert main(["run", *words, "-o", str(study)]) == 130
    assert capsys.readouterr().out.splitlines()[:4] == held
    shutil.rmtree(root)
    assert main(["report", str(study)]) == 0
    assert held[3] in capsys.readouterr().out
    assert held[3].removeprefix("warning: ") in (study / "report/report.html").read_text()


@pytest.mark.usefixtures("no_search")
def test_a_part_of_one_folder_is_trained_on_and_the_rest_judged(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = write_space(tmp_path, "kind: camvid", "kind: camvid, val: {fraction: 0.4, seed: 3}")
    study = tmp_path / "study"
    words = ["run", str(space), "--data-root", str(root), "-o", str(study)]
    assert main(words) == 130
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(";")[0] for line in lines[:2]] == [
        "train: 3 images, 3 masks",
        "val: 2 images, 2 masks",
    ]
    space.write_text(space.read_text().replace("seed: 3", "seed: 4"))
    assert main(words) == 2
    assert "data.seed: is 4, was 3" in capsys.readouterr().err


def test_a_home_is_found_wherever_a_path_is_taken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` as shells and OpenSSH's files have it; one of an unknown user stays as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    base = tmp_path / "base.yaml"
    base.write_bytes(next((ROOT / "configs").glob("*v1*")).read_bytes())
    space = write_space(tmp_path, "kind: camvid", "kind: camvid, root: ~/data")
    text = re.sub("base: .*", "base: ~/base.yaml", space.read_text())
    split = "train: {images: ~/data/CamVid/train, masks: ~/data/CamVid/trainannot}"
    space.write_text(text.replace("root: ~/data", f"root: ~/data, {split}"))
    assert root == tmp_path / "data"
    assert main(["check", "~/tiny.yaml"]) == 0
    assert main(["check", "~/tiny.yaml", "--data-root=~/data"]) == 0
    assert main(["generate", "~/tiny.yaml", "-n", "1", "--output=~/configs"]) == 0
    assert list((tmp_path / "configs").glob("*.yaml"))
    assert main(["check", "~/tiny.yaml", "--data-root=~nobody-of-this-name/x"]) == 2


def cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def other_size(path: Path) -> None:
    miniature.write_mask(path, np.zeros((9, 9), dtype=np.uint8))


def out_of_range(path: Path) -> None:
    miniature.write_mask(path, np.full((32, 48), 12, dtype=np.uint8))


def in_colours(path: Path) -> None:
    rows = np.zeros((32, 48, 3), dtype=np.uint8)
    rows[:9] = (128, 64, 128)
    Image.fromarray(rows).save(path)


def emptied(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def no_pairs(path: Path) -> None:
    emptied(path)
    emptied(path.with_name("valannot"))


def one_class(path: Path) -> None:
    for file in path.iterdir():
        miniature.write_mask(file, np.full((32, 48), 11 if "1.png" in file.name else 4, np.uint8))


# How a data set goes bad: what happens to which path, and what the one line says of it.
BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "unreadable image": (cut_file, CAMVID.format("train", 2), "{} cannot be read ("),
    "unreadable mask": (cut_file, CAMVID.format("valannot", 0), "{} cannot be read ("),
    "missing mask": (Path.unlink, CAMVID.format("trainannot", 3), "train/0001TP_000003.png has no"),
    "missing image": (Path.unlink, CAMVID.format("val", 1), "valannot/0001TP_000001.png has no im"),
    "size mismatch": (other_size, CAMVID.format("trainannot", 1), "{} is 9 x 9, its image"),
    "label out of range": (out_of_range, CAMVID.format("valannot", 2), "{} holds label 12, allowe"),
    "colours": (
        in_colours,
        CAMVID.format("valannot", 1),
        "{} is a mask in 2 colours: [0, 0, 0] (1",
    ),
    "empty validation": (no_pairs, "CamVid/val", "{} with"),
    "one class": (one_class, "CamVid/trainannot", "{}/0001TP_000000.png and the other 4 masks"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", ["check", "run"])
def test_bad_data_are_one_line_that_names_the_file_and_start_nothing(
    kind: str, command: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, where, message = BAD[kind]
    damage(root / where)
    space = write_space(tmp_path)
    words = [command, str(space), "--data-root", str(root)]
    study = tmp_path / "study"
    assert main([*words, "-o", str(study)] if command == "run" else words) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"{space}:9:7: data.")
    assert message.format(root / where) in line
    assert captured.out == ""
    assert not study.exists()


class Meddling:
    """A listener that does something to the data when a trial has ended."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = list(acts)

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def returned(self, task: TrialTask, reason: str) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        if self.acts:
            self.acts.pop(0)()


def search_while(
    space: Path, root: Path, study: Path, acts: Sequence[Callable[[], object]], first: int
) -> list[TrialResult]:
    """Search; the first acts come between preflight and search, the others after each trial."""
    file = load_space_file(space, str(root))
    plan = replace(plan_of(file, study), device="cpu")
    for act in acts[:first]:
        act()
    with open_store(file, plan, study) as store:
        search(plan, store, [Meddling(*acts[first:])], lambda _: None)
        return [result for _, result in sorted(store.finished())]


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_image_that_breaks_in_mid_run_fails_its_trial_alone(
    split: str, root: Path, tmp_path: Path
) -> None:
    """Beyond the cache's limit images are decoded on every access, so the break is met."""

    def break_() -> None:
        for path in (root / f"CamVid/{split}").iterdir():
            cut_file(path)

    def fix() -> None:
        miniature.make("camvid", root, size=(32, 48))

    space = write_space(tmp_path, "kind: camvid", "kind: camvid, cache: 0")
    study = tmp_path / "study"
    results = search_while(space, root, study, [break_, fix], first=0)
    assert [result.status for result in results] == ["completed", "failed", "completed"]
    name = re.escape(f"data.{split}: {root}/CamVid/{split}/0001TP_")
    assert re.match(rf"{name}\d{{6}}\.png cannot be read \(", results[1].error)
    for number in (0, 2):
        assert (study / "evaluation" / f"{results[number].key}.npz").is_file()
    assert "cannot be read" in (study / "logs" / f"{results[1].key}.log").read_text()
    assert not list((study / "cache").glob("*.images"))


def test_an_image_that_breaks_before_it_was_kept_fails_trials_until_it_is_mended(
    root: Path, tmp_path: Path
) -> None:
    image = root / CAMVID.format("val", 1)
    whole = image.read_bytes()
    acts = [lambda: cut_file(image), lambda: image.write_bytes(whole)]
    study = tmp_path / "study"
    results = search_while(write_space(tmp_path), root, study, acts, first=1)
    assert [result.status for result in results] == ["failed", "completed", "completed"]
    assert results[0].error.startswith(f"data.val: {image} cannot be read (")
    assert {p.suffix for p in (study / "cache").iterdir()} == {"", ".images"}


def test_an_image_that_breaks_after_it_was_kept_is_not_needed(root: Path, tmp_path: Path) -> None:
    acts = [lambda: cut_file(root / CAMVID.format("val", 1))]
    results = search_while(write_space(tmp_path), root, tmp_path / "study", acts, first=0)
    assert [result.status for result in results] == ["completed"] * 3


def test_a_study_whose_images_stay_broken_stops_by_its_rules(root: Path, tmp_path: Path) -> None:
    image = root / CAMVID.format("train", 1)
    space = write_space(tmp_path, "trials: 3", "trials: 9")
    space.write_text(space.read_text().replace("[2, 4, 6]", "[2, 3, 4, 5, 6, 7, 8, 9, 10]"))
    study = tmp_path / "study"
    results = search_while(space, root, study, [lambda: cut_file(image)], first=1)
    assert [result.status for result in results] == ["failed"] * 3
    assert all(str(image) in result.error for result in results)


def test_names_and_kept_images_belong_to_the_study_and_outlast_a_run(
    root: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    words = ["run", str(write_space(tmp_path)), "--data-root", str(root), "-o", str(study)]
    assert main([*words, "--trials", "1"]) == 0
    noted = open_study(study).notes.schedule
    assert noted is not None
    assert noted.data.names == PRESETS["camvid"].spec.names
    kept = {path: path.stat().st_mtime_ns for path in (study / "cache").glob("*.images")}
    assert len(kept) == 2
    assert main([*words, "--trials", "2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
