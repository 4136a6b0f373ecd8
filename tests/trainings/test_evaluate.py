"""`evaluate`: the same weights are worth what the training said, and what is wrong is one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import miniature
import pytest
import yaml
from made_up import network
from safetensors.torch import load_file
from small_configs import BRIEF, write_files

import hrnet_search
from hrnet_search.cli import main
from hrnet_search.evaluate.inference import Protocol
from hrnet_search.library.schedule import OfficialRule
from hrnet_search.net.hrnet import build
from hrnet_search.net.weights import save_weights
from hrnet_search.store.evaluations import miou_interval, read_confusions
from hrnet_search.store.trainings import (
    evaluation_file,
    read_record,
    read_results,
    weights_file,
)
from hrnet_search.trainings import judged as judged_module
from hrnet_search.trainings.judged import protocol_of
from hrnet_search.trainings.keeper import described


@pytest.mark.parametrize("which", ["best", "last"])
def test_weights_are_judged_as_the_training_judged_them(trained: Path, which: str) -> None:
    """To the last pixel: the same images, batches and arithmetic."""
    found = hrnet_search.evaluate(trained, which=which)
    own = read_confusions(evaluation_file(trained, which))
    assert own is not None
    assert (found.evaluation.confusions == own).all()
    results = read_results(trained)
    rung = results.best if which == "best" else results.final
    assert rung is not None
    assert found.figures.miou == pytest.approx(rung.miou, rel=1e-12)
    assert found.figures.miou_present == pytest.approx(rung.miou_present, rel=1e-12)
    low, high = miou_interval(own)
    assert (found.intervals["miou"].low, found.intervals["miou"].high) == pytest.approx((low, high))


def test_a_config_with_weights_is_the_same_network(trained: Path, tmp_path: Path) -> None:
    config, space = write_files(tmp_path)
    weights = weights_file(trained, "last")
    one = hrnet_search.evaluate(config, weights, data=space, batch=2)
    other = hrnet_search.evaluate(trained, which="last", batch=2)
    assert one.plain()["miou"] == pytest.approx(other.plain()["miou"], abs=1e-4)


def test_windows_flips_and_scales_are_taken_and_tables_written(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--flip", "--scales", "0.5", "1", "--window", "48", "40", "--stride", "20", "20"]
    assert main(["evaluate", str(trained), *words, "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((out / "evaluation.json").read_text())
    assert said["protocol"]["window"] == [48, 40]
    assert said["images"] == 5
    assert [row["name"] for row in said["classes"]] == ["ground", "line", "stripes"]
    assert (out / "classes.csv").read_text().splitlines()[0].startswith("class,name,iou,f1")
    assert read_confusions(out / "evaluation.npz") is not None
    assert main(["evaluate", str(trained), "--no-boundary"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mIoU: ")
    assert "(95% " in lines[0]
    assert not any(line.startswith("boundary F-score") for line in lines)
    assert lines[-1].startswith("weights: ")


def test_how_far_it_is_is_said_to_people_and_not_to_programs(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hrnet_search.commands.working.LINE_S", 0.0)
    words = ["evaluate", str(trained), "--batch", "2", "--no-boundary"]
    assert main(words) == 0
    said = capsys.readouterr()
    lines = [line.partition("]")[0] for line in said.err.splitlines() if line.startswith("[")]
    assert lines == ["[0/5", "[2/5", "[4/5"]
    assert said.out.startswith("mIoU: ")
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["images"] == 5
    assert not [line for line in said.err.splitlines() if line.startswith("[")]


def test_tables_of_somebody_are_not_written_over(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "classes.csv"
    mine.write_text("mine")
    command = ["evaluate", str(trained), "--no-boundary", "-o", str(tmp_path)]
    assert main(command) == 2
    assert f"{mine} is there already, and `evaluate` has not written it" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    mine.unlink()
    assert [main(command), main(command)] == [0, 0]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"mean": "[0.5, 0.4, 0.3]"}, "takes images normalised with (0.5, 0.4, 0.3)"),
        ({"names": '["line", "ground", "x"]'}, "has the class line where the data have ground"),
    ],
)
def test_weights_that_say_they_are_of_other_images_are_not_judged_on_these(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    facts: dict[str, str],
    said: str,
) -> None:
    own, weights = weights_file(trained, "best"), tmp_path / "w.safetensors"
    save_weights(load_file(own), weights, described(read_record(trained)) | facts)
    assert main(["evaluate", str(trained), "--weights", str(weights)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_what_is_to_be_said_of_how_a_config_is_judged_is(trained: Path, tmp_path: Path) -> None:
    """What its training alone goes by is not."""
    config, space = write_files(tmp_path)
    sections = yaml.safe_load(config.read_text())
    sections.setdefault("TEST", {})["NUM_SAMPLES"] = 1
    sections["TRAIN"]["RANDOM_BRIGHTNESS_SHIFT_VALUE"] = 7
    sections["TRAIN"]["FREEZE_LAYERS"] = "conv1"
    config.write_text(yaml.safe_dump(sections))
    found = hrnet_search.evaluate(config, weights_file(trained, "last"), data=space)
    notes = " ".join(found.plain()["notes"])
    assert "TEST.NUM_SAMPLES: 1: not obeyed" in notes
    assert "FREEZE_LAYERS" not in notes


def test_the_protocol_of_a_config_is_that_of_its_reader() -> None:
    tested = OfficialRule((1.0, 1.5), True, (512, 1024), 2048, cityscapes=True)
    assert protocol_of(tested) == Protocol(
        (1.0, 1.5), True, (512, 1024), (512, 1024), 2048, 1.0, True
    )
    other = protocol_of(OfficialRule((1.0,), False, (480, 480), 520, cityscapes=False))
    assert (other.window, other.steps, other.shifted) == ((480, 480), (320, 320), False)


def test_images_that_were_trained_on_need_not_be_there(tmp_path: Path) -> None:
    """As of a machine that has the validation images alone; nor are they decoded where they are."""
    config, _ = write_files(tmp_path)
    root, folder, space = tmp_path / "data", tmp_path / "t", tmp_path / "camvid.yaml"
    miniature.make("camvid", root, size=(64, 64))
    space.write_text(
        f"name: x\nbase: {config}\nvary: {{width: [4, 8]}}\nobjectives: {{miou: max, macs: min}}\n"
        f"data: {{kind: camvid, root: {root}}}\nschedule: {{steps: 1, batch: 2}}\n"
    )
    given = ["--data", str(space), "--steps", "1", *BRIEF]
    assert main(["train", str(config), "-o", str(folder), *given]) == 0
    for name in ("train", "trainannot"):
        shutil.rmtree(root / "CamVid" / name)
    for source, weights in ((folder, None), (config, weights_file(folder, "last"))):
        data = None if weights is None else space
        found = hrnet_search.evaluate(source, weights, data=data, boundary=False)
        assert found.figures.miou == read_results(folder).rungs[-1].miou
        assert not any("not the validation images" in note for note in found.notes)
    (next((root / "CamVid" / "val").iterdir())).unlink()
    assert main(["evaluate", str(folder)]) == 2


def test_more_images_than_memory_holds_are_decoded_one_by_one(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = hrnet_search.evaluate(trained)
    monkeypatch.setattr(judged_module, "IN_MEMORY", 5 * 4 * 64 * 64 - 1)
    monkeypatch.setattr(judged_module, "ImageStore", None)
    assert hrnet_search.evaluate(trained).plain() == found.plain()


def test_scores_that_are_not_finite_are_not_judged(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, space = write_files(tmp_path)
    state = load_file(weights_file(trained, "last"))
    state["last_layer.3.weight"].fill_(3e38)
    save_weights(state, tmp_path / "w.safetensors", {})
    words = ["--data", str(space), "--weights", str(tmp_path / "w.safetensors")]
    assert main(["evaluate", str(config), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "w.safetensors: its scores are not finite for the image " in line


WRONG = {
    "no weights of a config": (["CONFIG", "--data", "SPACE"], "a config has no weights"),
    "weights of another network": (
        ["CONFIG", "--data", "SPACE", "--weights", "OTHER"], "are not those of hr-"
    ),
    "a file of no weights": (["CONFIG", "--data", "SPACE", "--weights", "CONFIG"], "is text"),
    "a stride of no window": (["DIR", "--stride", "8", "8"], "is of windows, and there are none"),
    "a stride over the window": (
        ["DIR", "--window", "8", "8", "--stride", "9", "8"], "leaves pixels out"
    ),
    "a scale of nothing": (["DIR", "--scales", "0"], "are not scales"),
    **{
        f"{name} {values[0]}": (["DIR", name, *values], f"{name}: ")
        for name, values in (
            ("--window", ["16385", "1"]),
            ("--stride", ["16385", "1"]),
            ("--base-size", ["16385"]),
            ("--batch", ["4097"]),
            ("--scales", ["17"]),
        )
    },
    "images enlarged beyond all bounds": (
        ["DIR", "--base-size", "8193", "--scales", "0.5", "2"],
        "--base-size: 8193 pixels at a scale of 2 are 16386, allowed: at most 16384 at every",
    ),
    "best of a config": (
        ["CONFIG", "--data", "SPACE", "--weights", "OTHER", "--which", "best"], "--which: best is"
    ),
    "best of no training": (
        ["CONFIG", "--which", "best"], "is not a training, allowed: with the folder of a training"
    ),
    "best of other weights": (
        ["DIR", "--weights", "OTHER", "--which", "last"], "--which: last is not used with --weights"
    ),
    "a trial of a training": (["DIR", "--trial", "1"], "is a training, with a network and data"),
    "a pick of a training": (["DIR", "--pick", "macs<=1G"], "is a training, with a network and"),
    "other data of a training": (["DIR", "--data", "SPACE"], "--data: "),
    "a device that is not here": (["DIR", "--device", "cuda:99"], "--device: there is no such"),
    "data that are nowhere": (
        ["ROOTLESS", "--weights", "OTHER"], "DATASET.ROOT: names no folder, allowed: --data-root"
    ),
    "a folder of nothing": (["EMPTY"], "is a folder, and not a study"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_and_exit_2(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, space = write_files(tmp_path)
    other, empty = tmp_path / "other.safetensors", tmp_path / "empty"
    save_weights(build(network(8), 3), other, {})
    empty.mkdir()
    rootless = tmp_path / "rootless.yaml"
    rootless.write_text(config.read_text().replace("ROOT: data/", "ROOT: ''"))
    places = {"CONFIG": config, "SPACE": space, "DIR": trained, "OTHER": other, "EMPTY": empty,
              "ROOTLESS": rootless}  # fmt: skip
    given, wrong = WRONG[name]
    assert main(["evaluate", *(str(places.get(word, word)) for word in given)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert wrong in line
