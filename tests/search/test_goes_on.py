"""A study goes on with what its space file says now, wherever that may change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.errors import StudyError
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.search.begin import open_store
from hrnet_search.search.kept_space import keep_space
from hrnet_search.search.mirrors.outbox import places_of
from hrnet_search.search.mirrors.tracking_uri import tracking_of
from hrnet_search.search.plan import Plan
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import SpaceFile, load_space_file
from hrnet_search.space.schema import MODELINE, SCHEMA_FILE
from hrnet_search.store.study import Study, open_study

ROOT = Path(__file__).parents[2]
HERE = Path("study")
BASE = sorted((ROOT / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = """\
name: tiny
base: base.yaml  # beside this file
vary: {width: [2, 4], STAGE3.NUM_MODULES: [1, 2, 3, 4], STAGE4.NUM_MODULES: [1, 2, 3, 4]}
objectives: {miou: max, macs: min}
data:
  kind: folder
  classes: 2
  root: data
  cache: 1G
  train: {images: images, masks: masks}
  val: {images: images, masks: masks}
schedule: {steps: 8, batch: 4, crop: [64, 64], init: "weights/w.safetensors"}
latency: {size: [32, 32], device: cpu}
search: {sampler: random, trials: 40, confirm: 0.2}
tracking: {mlflow: off}
"""


@pytest.fixture
def spaces(tmp_path: Path) -> Path:
    """Return a folder with a base, data and weights, in which space files may be put."""
    from hrnet_search.net.hrnet import build
    from hrnet_search.net.weights import save_weights

    folder = tmp_path / "spaces"
    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) * (number + 1)
            picture = Image.fromarray(pixels % 2 if name == "masks" else pixels)
            (picture if name == "masks" else picture.convert("RGB")).save(
                folder / "data" / name / f"{number}.png"
            )
    (folder / "base.yaml").write_bytes(BASE.read_bytes())
    (folder / "weights").mkdir()
    file = load_space_file(put(folder, SPACE.replace(', init: "weights/w.safetensors"', "")))
    point = (0,) * len(file.space.choices)
    network = build(file.space.decode(point), 2)
    save_weights(network, folder / "weights" / "w.safetensors", {})
    return folder


def put(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def begin(path: Path, folder: Path, data_root: str | None = None) -> tuple[SpaceFile, Plan]:
    """Begin a study or go on with it, up to its first trial."""
    file = load_space_file(path, data_root)
    plan = plan_of(file, folder)
    open_store(file, plan, folder).close()
    return file, plan


def data_of(study: Study) -> DataSpec:
    noted = study.notes.schedule
    assert noted is not None
    return noted.data


@dataclass(frozen=True, slots=True)
class Change:
    """What is written instead of what in the file, and what has to be seen of it then."""

    old: str
    new: str
    seen: Callable[[Plan, Study], object]
    expected: object
    data_root: str | None = None


CHANGES = {
    "trials": Change(
        "trials: 40", "trials: 50", lambda p, s: (p.trials, s.notes.trials), (50, 50)
    ),
    "hours": Change(
        "trials: 40", "hours: 2.5", lambda p, s: (p.hours, s.notes.hours), (2.5, 2.5)
    ),
    "keep": Change(
        "trials: 40", "trials: 40, keep: front", lambda p, s: (p.keep, s.notes.keep),
        ("front", "front"),
    ),
    "confirm": Change("confirm: 0.2", "confirm: 0.5", lambda p, _: p.confirm, 0.5),
    "tracking": Change(
        "mlflow: off", "mlflow: off, optuna: auto", lambda _, s: list(places_of(s)), ["optuna"]
    ),
    "data.cache": Change("1G", "2G", lambda p, s: (p.schedule.data.cache, data_of(s).cache),
                         (2 * 10**9,) * 2),
    "data.max_pixels": Change(
        "1G", "1G\n  max_pixels: 5000", lambda p, s: (p.schedule.data.max_pixels,
        data_of(s).max_pixels), (5000,) * 2,
    ),
    "data.outside": Change(
        "1G", "1G\n  outside: true", lambda p, s: (p.schedule.data.outside, data_of(s).outside),
        (True,) * 2,
    ),
    "schedule.hang_s": Change(
        "batch: 4", "batch: 4, hang_s: 60",
        lambda _, s: load_space_file(s.folder / "space.yaml").hang_s, 60,
    ),
    "latency.seconds": Change(
        "device: cpu", "device: cpu, seconds: 2", lambda p, _: p.latency.seconds, 2
    ),
    "latency.device": Change("device: cpu", "device: auto", lambda p, _: p.device, "auto"),
    "data.root": Change(
        "root: data", "root: moved", lambda _, s: Path(data_of(s).root).name, "moved"
    ),
    "--data-root": Change(
        "root: data", "root: data", lambda _, s: Path(data_of(s).root).name, "moved", "moved"
    ),
    "schedule.init": Change(
        "weights/w", "moved.weights/w", lambda p, _: Path(p.schedule.init_path).parent.name,
        "moved.weights",
    ),
}  # fmt: skip


def documented() -> list[str]:
    """Return what docs/space-yaml.md says may change."""
    text = (ROOT / "docs" / "space-yaml.md").read_text()
    (sentence,) = re.findall(r"What may change is (.*?)\. ", text, re.DOTALL)
    return re.findall(r"`([^`]+)`", sentence)


def test_the_list_of_what_may_change_is_the_documented_one() -> None:
    assert documented() == list(CHANGES)


@pytest.mark.parametrize("key", CHANGES)
def test_what_may_change_takes_effect(
    key: str, spaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spaces)
    change, folder = CHANGES[key], tmp_path / "study"
    _, first = begin(put(spaces, SPACE), folder)
    before = open_study(folder)
    identity = before.notes.identity
    assert change.seen(first, before) != change.expected
    (spaces / "data").rename(spaces / "moved")
    (spaces / "weights").rename(spaces / "moved.weights")
    text = SPACE.replace("root: data", "root: moved").replace("weights/w", "moved.weights/w")
    text = text if change.new in text else text.replace(change.old, change.new)
    if change.data_root:
        (spaces / "data").mkdir()  # what the file names is there, and empty
        text = text.replace("root: moved", "root: data")
    file, plan = begin(put(spaces, text), folder, change.data_root)
    study = open_study(folder)
    assert change.seen(plan, study) == change.expected
    assert study.notes.identity == identity
    assert study.space_text == text
    # What the study keeps says the same, from any folder.
    monkeypatch.chdir("/")
    kept = load_space_file(folder / "space.yaml")
    assert without_words(kept) == without_words(file)
    assert plan_of(kept, folder).schedule.id == plan.schedule.id


def without_words(file: SpaceFile) -> SpaceFile:
    """Return what a file stands for, without how and where it is written."""
    schedule = replace(file.schedule, init="")
    base, beside = replace(file.base, path=""), Path(file.path).parent
    tracking = {
        name: uri.replace(str(beside), ".") for name, uri in tracking_of(file, HERE).items()
    }
    return replace(
        file,
        path="",
        text="",
        base=base,
        schedule=schedule,
        tracking=replace(file.tracking, **tracking),
        init_at=(0, 0),
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "search_spaces").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_study_keeps_all_that_a_shipped_space_names(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = load_space_file(path)
    (tmp_path / "study").mkdir()
    keep_space(file, [file.schedule], tracking_of(file, HERE), tmp_path / "study")
    again = load_space_file("study/space.yaml")
    assert Path(again.base.path) == tmp_path / "study" / "base.yaml"
    assert without_words(again) == without_words(file)
    comments = [line for line in file.text.splitlines() if line.startswith("#")]
    assert comments == [line for line in again.text.splitlines() if line.startswith("#")]


def test_colours_in_a_file_are_kept_too(
    spaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spaces / "palette").write_text("0 0 0 0\n255 0 0 1\n")
    text = SPACE.replace("  root: data\n", "").replace(
        "classes: 2", "classes: 2\n  colors: palette"
    )
    file = load_space_file(put(spaces, text))
    (tmp_path / "study").mkdir()
    keep_space(file, [file.schedule], tracking_of(file, HERE), tmp_path / "study")
    (spaces / "palette").unlink()
    monkeypatch.chdir(tmp_path / "study")
    assert load_space_file("space.yaml").schedule.data.colors == file.schedule.data.colors != ()


def test_a_study_begun_before_it_kept_its_base_does_when_it_goes_on(
    spaces: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    path = put(spaces, SPACE)
    begin(path, folder)
    (folder / "base.yaml").unlink()
    (folder / "space.yaml").write_text(SPACE)
    begin(path, folder)
    assert load_space_file(folder / "space.yaml").base.architecture.id


def test_a_study_in_a_relative_folder_is_that_of_its_full_name(
    spaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that a worker is handed depends on the folder that it runs in."""
    monkeypatch.chdir(tmp_path)
    path = put(spaces, SPACE).relative_to(tmp_path)
    file = load_space_file(path)
    plan = plan_of(file, Path("study"))
    assert plan.folder == str(tmp_path / "study")
    assert plan.schedule.data.root == str(spaces / "data")
    assert plan.schedule.init_path == str(spaces / "weights" / "w.safetensors")
    assert file.base.path == str(spaces / "base.yaml")
    with open_store(file, plan, Path("study")) as store:
        assert store.folder == tmp_path / "study"
    inherited = put(spaces, SPACE.replace('"weights/w.safetensors"', "base"))
    plan = plan_of(load_space_file(inherited), Path("other"))
    assert Path(plan.schedule.init_path).parent == tmp_path / "other" / "weights"


def test_a_study_names_the_files_that_are_gone_and_new(spaces: Path, tmp_path: Path) -> None:
    path, folder = put(spaces, SPACE), tmp_path / "study"
    begin(path, folder)
    (spaces / "data" / "images" / "3.png").rename(spaces / "data" / "images" / "4.png")
    (spaces / "data" / "masks" / "3.png").rename(spaces / "data" / "masks" / "4.png")
    with pytest.raises(StudyError, match=r"image 4\.png, .* are new, .* image 3\.png, .*gone"):
        begin(path, folder)


def test_without_what_it_noted_of_its_files_a_study_goes_on_and_notes_it(
    spaces: Path, tmp_path: Path
) -> None:
    path, folder = put(spaces, SPACE), tmp_path / "study"
    begin(path, folder)
    kept = folder / "data.jsonl"
    whole, image = kept.read_text(), spaces / "data" / "images" / "0.png"
    pixels = image.read_bytes()
    for damaged in ("[]", whole[:-9], None):
        if damaged is None:
            kept.unlink()
        else:
            kept.write_text(damaged)
        image.write_bytes(pixels + b"0")
        with pytest.raises(
            StudyError, match=r"which of them is not known, .*data\.jsonl is missing"
        ):
            begin(path, folder)
        image.write_bytes(pixels)
        begin(path, folder)
        assert kept.read_text() == whole


def test_a_study_holds_the_schema_that_its_space_file_names(tmp_path: Path) -> None:
    file = load_space_file(ROOT / "search_spaces" / "quickstart.yaml")
    folder = tmp_path / "study"
    folder.mkdir()
    for modeline, kept in (
        (MODELINE, True),
        ("# yaml-language-server: $schema=../spaces/mine.json", True),
        ("# yaml-language-server: $schema=https://a.org/s.json", False),
        ("# nothing", False),
    ):
        text = file.text.replace(MODELINE, modeline)
        keep_space(replace(file, text=text), [file.schedule], tracking_of(file, HERE), folder)
        first = (folder / "space.yaml").read_text().splitlines()[0]
        assert first == (MODELINE if kept else modeline)
        assert (folder / SCHEMA_FILE).exists() == kept
        (folder / SCHEMA_FILE).unlink(missing_ok=True)


def test_two_studies_of_one_space_are_two_studies(spaces: Path, tmp_path: Path) -> None:
    """Of one storage, or one server of runs, each has its own."""
    path = put(spaces, SPACE)
    ids = []
    for name in ("one", "two"):
        begin(path, tmp_path / name)
        ids.append(open_study(tmp_path / name).notes.study_id)
        begin(path, tmp_path / name)
        assert open_study(tmp_path / name).notes.study_id == ids[-1]
    assert len(set(ids)) == 2
