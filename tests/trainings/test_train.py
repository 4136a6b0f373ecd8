"""`train`: what its folder holds, what it goes on with, and what it refuses in one line."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import miniature
import numpy as np
import pytest
import torch
import yaml
from made_up import NOTES, TINY, network, result
from PIL import Image
from safetensors.numpy import load_file
from small_configs import BRIEF, tiny_command
from torch import Tensor

import hrnet_search
from hrnet_search.arch.hrnet_yaml import config_text, parse_config
from hrnet_search.cli import main
from hrnet_search.data.dataset import inventory_of
from hrnet_search.errors import InputError
from hrnet_search.evaluate.training.attempts import start_network
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.metrics import confusion, miou
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.net.weights import load_weights, save_weights
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey, TrialTask
from hrnet_search.report.budget_words import budgets_of
from hrnet_search.report.commands import training_commands
from hrnet_search.store.evaluations import read_confusions
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.trainings import (
    evaluation_file,
    read_curve,
    read_record,
    read_results,
    weights_file,
)
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore
from hrnet_search.trainings import run as run_module
from hrnet_search.trainings.keeper import Keeper
from hrnet_search.trainings.plan import Overrides, plan_of
from hrnet_search.trainings.starts import of_config, of_study


def tensors(path: Path) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in load_file(path).items()}


def test_a_training_is_a_folder_whose_parts_agree(trained: Path) -> None:
    record, results = read_record(trained), read_results(trained)
    assert (record.epoch, record.rungs, results.ended) == (3, (3, 6), True)
    assert [rung.step for rung in results.rungs] == [3, 6]
    for which, rung in (("best", results.best), ("last", results.final)):
        assert rung is not None
        found = read_confusions(evaluation_file(trained, which))
        assert found is not None
        assert found.sum() == 5 * 64 * 64
        assert miou(torch.from_numpy(found.sum(axis=0).astype("int64"))) == rung.miou
        with (trained / f"classes_{which}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row["iou"]) for row in rows] == pytest.approx(list(rung.iou))
        assert sum(int(row["pixels"]) for row in rows) == 5 * 64 * 64
        assert load_weights(build(TINY, 3), weights_file(trained, which)).missing == ()
    curve = read_curve(trained)
    assert [step for step, _, _ in curve] == [1, 2, 3, 4, 5, 6]
    assert [lr for _, lr, _ in curve] == pytest.approx(
        [0.01 * (1 - step / 6) ** 0.9 for step in range(6)]
    )
    said = (trained / "logs" / "train.log").read_text().splitlines()
    assert said[0] == "train: 12 images, drawn"
    assert any("no line of the official trainer reads" in line for line in said)
    assert sum(line.startswith("step ") for line in said) == 2


def test_the_weights_are_those_that_were_judged(trained: Path, config: Path, space: Path) -> None:
    """Built from the config in the folder, they decide as the training's own record says."""
    from hrnet_search.data.batches import validation_batches
    from hrnet_search.data.dataset import open_dataset

    record = read_record(trained)
    net = hrnet_search.HRNet(trained / "config.yaml", classes=3)
    load_weights(net, weights_file(trained, "last"))
    net.eval()
    data = record.schedule.schedule.data
    found = torch.zeros(3, 3, dtype=torch.int64)
    for images, labels, _ in validation_batches(open_dataset(data, "val"), data, 5, "cpu"):
        with torch.no_grad():
            logits = torch.nn.functional.interpolate(net(images), (64, 64), mode="bilinear")
        found += confusion(logits.argmax(dim=1), labels, 3)
    final = read_results(trained).final
    assert final is not None
    assert miou(found) == pytest.approx(final.miou, abs=1e-4)


def test_the_record_says_where_each_value_came_from(trained: Path) -> None:
    record = json.loads((trained / "training.json").read_text())
    origin = record["came_from"]
    assert (origin["batch"], origin["crop"], origin["steps"]) == ("--batch", "--crop", "--epochs")
    assert (origin["lr"], origin["data"], origin["long_side"]) == (
        "config",
        "--data",
        "--base-size",
    )
    assert record["schedule"]["padding"] == "black"


@pytest.mark.parametrize(
    ("asked", "came_from"),
    [
        ({"optimiser": "adamw"}, "--optimiser"),
        ({"optimiser": "adamw", "lr": 0.001}, "--lr"),
        ({"optimiser": "sgd"}, "config"),
    ],
)
def test_a_rate_that_came_with_an_optimiser_is_said_to(
    config: Path, space: Path, asked: dict[str, Any], came_from: str
) -> None:
    start = of_config(str(config), str(space), None)
    plan = plan_of(start, Overrides(steps=3, batch=4, crop=(64, 64), base_size=0, **asked), "cpu")
    assert plan.record.came_from["lr"] == came_from


def test_the_same_command_again_trains_nothing_more(
    trained: Path, config: Path, space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trained / "weights" / "last.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(run_module, "train_alone", None)
    assert main(tiny_command(config, space, trained)) == 0
    assert (trained / "weights" / "last.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (("--lr", "0.1"), "schedule.lr: is 0.1, was 0.01"),
        (("--seed", "4"), "seed: is 4, was 0"),
        (("--judged", "1"), "rungs: is [6], was [3, 6]"),
    ],
)
def test_another_training_is_refused_in_the_folder_by_name(
    trained: Path,
    config: Path,
    space: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    key: str,
) -> None:
    kept = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(tiny_command(config, space, trained, *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{key} when {trained} was begun")
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_from_python_it_returns_where_its_weights_are(
    config: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = hrnet_search.train(
        config,
        tmp_path / "t",
        data=space,
        steps=2,
        batch=4,
        crop=(64, 64),
        base_size=0,
        mlflow="off",
    )
    assert found.last_weights.is_file()
    assert found.best_weights.is_file()
    assert 0 <= found.miou <= found.best_miou <= 1
    assert capsys.readouterr().out == ""


def test_a_full_disk_is_exit_4_and_nothing_is_lost(
    trained: Path,
    config: Path,
    space: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The disk fills up as weights are written; the same command goes on when there is room."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def judged(self: Keeper, *given: Any) -> None:
        if given[1].rung.step == 6:
            monkeypatch.setattr(os, "write", full)
        own(self, *given)

    own, folder = Keeper.judged, tmp_path / "full"
    monkeypatch.setattr(Keeper, "judged", judged)
    capsys.readouterr()
    assert main(tiny_command(config, space, folder)) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}/weights/last.safetensors: cannot be written: No space left")
    assert line.endswith("run the same command again")
    monkeypatch.undo()
    assert main(tiny_command(config, space, folder)) == 0
    for name in ("weights/last.safetensors", "weights/best.safetensors", "curve.csv"):
        same = tensors if name.endswith("safetensors") else Path.read_bytes
        assert same(folder / name) == same(trained / name)


def test_a_second_process_is_refused(
    config: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    with run_module.held(folder / run_module.LOCK):
        assert main(tiny_command(config, space, folder)) == 3
    assert "another process trains in it" in capsys.readouterr().err


def test_what_a_killed_process_wrote_half_is_swept_and_bars_nobody(
    config: Path, space: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    halves = [folder / ".training.json.99.tmp", folder / "checkpoints" / ".last.pt.99.tmp"]
    halves[0].write_bytes(b"half")
    (folder / "config.yaml").write_text(of_config(str(config), str(space), None).config)
    cut_off(config, space, folder, at=2)
    halves[1].write_bytes(b"half")
    mine = folder / "draft.tmp"
    mine.write_text("mine")
    assert main(tiny_command(config, space, folder)) == 0
    assert not [path for path in halves if path.exists()]
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["config.yaml", "draft.tmp", "logs/a.log", "checkpoints/last.pt"])
def test_a_folder_of_somebody_is_not_taken_for_a_training_that_was_killed(
    config: Path,
    space: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """A config beside its run, say: it would be written anew, without its comments."""
    folder = tmp_path / "exp"
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_text(f"# mine\n{config.read_text()}")
    before = path.read_bytes()
    given = path if name == "config.yaml" else config
    assert main(tiny_command(given, space, folder)) == 2
    assert "it is not a training, allowed: another folder" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [one for one in folder.rglob("*") if one.is_file()] == [path]


def test_files_of_the_data_that_changed_are_named(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And data that lie elsewhere, the same to the last byte, are the same."""
    root, folder = tmp_path / "data", tmp_path / "t"
    miniature.make("camvid", root, size=(64, 64))
    space = tmp_path / "camvid.yaml"
    space.write_text(
        f"name: x\nbase: {config}\nvary: {{width: [4, 8]}}\nobjectives: {{miou: max, macs: min}}\n"
        "data: {kind: camvid}\nschedule: {steps: 1, batch: 2}\n"
    )

    def again(where: Path) -> int:
        more = (
            "--data-root",
            str(where),
            "--steps",
            "1",
            "--batch",
            "4",
            "--crop",
            "64",
            "64",
            "--mlflow",
            "off",
        )
        return main(["train", str(config), "--data", str(space), "-o", str(folder), *more])

    assert again(root) == 0
    moved = root.rename(tmp_path / "moved")
    assert again(moved) == 0
    (image, *_) = sorted((moved / "CamVid" / "train").glob("*.png"))
    image.write_bytes((moved / "CamVid" / "val" / image.name).read_bytes() + b" ")
    capsys.readouterr()
    assert again(moved) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert image.name in line
    assert "data: files are not those" in line
    # What it is judged on is as it was; the training images are no matter.
    asked: dict[str, Any] = {"data_root": moved, "boundary": False}
    found = hrnet_search.evaluate(folder, **asked)
    assert found.notes == ()
    (mask, *_) = sorted((moved / "CamVid" / "valannot").glob("*.png"))
    mask.write_bytes(mask.read_bytes() + b" ")
    (note,) = hrnet_search.evaluate(folder, **asked).notes
    assert note.startswith(f"not the validation images of its training: val mask {mask.name} has")
    assert main(["evaluate", str(folder), "--data-root", str(moved)]) == 0
    assert note in capsys.readouterr().out


REFUSED = {
    "no such config": (["no.yaml"], "no.yaml"),
    "a folder": (["."], "is a folder, and not a study"),
    "a trial of a config": (["CONFIG", "--trial", "1"], "is not a study"),
    "no data": (["CONFIG"], "DATASET.ROOT: data/ is not a folder, allowed: --data-root DIR"),
    "no such data": (["CONFIG", "--data-root", "nowhere"], "--data-root: nowhere is not a folder"),
    "empty data": (["CONFIG", "--data-root", "EMPTY"], "data.train"),
    "too large a batch": (["CONFIG", "--data", "SPACE", "--batch", "99"], "99 is more than the 12"),
    "one pixel": (["CONFIG", "--data", "SPACE", "--batch", "1", "--crop", "8", "8"], "--crop"),
    "no such weights": (["CONFIG", "--data", "SPACE", "--init", "no.pt"], "no.pt is not a file"),
    "no HRNet": (["CONFIG", "--data", "SPACE", "--init", "CONFIG"], "is text"),
    "an optimiser": (["CONFIG", "--data", "SPACE", "--optimiser", "lamb"], "lamb is not known"),
    "no pretrained": (
        ["CONFIG", "--data", "SPACE", "--init", "pretrained"],
        "MODEL.PRETRAINED: names no file, allowed: a weight file, or --init none",
    ),
    "a device": (["CONFIG", "--data", "SPACE", "--device", "cuda:99"], "--device: there is no"),
    "no such teacher": (["CONFIG", "--data", "SPACE", "--teacher", "no.pt"], "no.pt is not a file"),
    "a teacher of text": (["CONFIG", "--data", "SPACE", "--teacher", "CONFIG"], "is text"),
    "a temperature": (
        ["CONFIG", "--data", "SPACE", "--teacher", "t.safetensors", "--temperature", "0"],
        "--temperature: 0.0",
    ),
    "how nobody teaches": (
        ["CONFIG", "--data", "SPACE", "--teacher-weight", "0.3"],
        "--teacher-weight: there is no teacher, allowed: with --teacher FILE",
    ),
    "a share": (
        ["CONFIG", "--data", "SPACE", "--teacher", "t.safetensors", "--teacher-weight", "2"],
        "a number above 0 to 1",
    ),
    **{
        f"{name} {values[0]}": (["CONFIG", "--data", "SPACE", name, *values], f"{name}: ")
        for name, values in (
            ("--seed", ["99999999999999999999"]),
            ("--crop", ["1", "1"]),
            ("--crop", ["100000", "100000"]),
            ("--steps", ["999999999999"]),
            ("--epochs", ["999999999999"]),
            ("--batch", ["4097"]),
            ("--accumulate", ["4097"]),
            ("--base-size", ["16385"]),
            ("--judged", ["999999999999"]),
            ("--lr", ["101"]),
            ("--ema", ["0.999999"]),
            ("--temperature", ["101", "--teacher", "t.safetensors"]),
        )
    },
    "epochs of too many steps": (
        ["CONFIG", "--data", "SPACE", "--epochs", "99999999"],
        "steps (--epochs): 299999997 is not allowed, allowed: an integer from 1 to 100000000",
    ),
    "another folder": (["CONFIG", "--data", "SPACE", "-o", "FULL"], "it is not a training"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_one_line_and_exit_2(
    name: str, config: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    given, wrong = REFUSED[name]
    places = {"CONFIG": config, "SPACE": space, "EMPTY": "empty", "FULL": "full"}
    more = ["--batch", "4"] if "--batch" not in given else []
    assert main(["train", *(str(places.get(word, word)) for word in given), *more]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (2 if name == "empty data" else 1)
    assert wrong in lines[0]
    assert not (tmp_path / "results").exists()


def test_a_config_of_another_task_is_named_for_what_it_is(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose = tmp_path / "pose.yaml"
    pose.write_text(config.read_text().replace("NAME: seg_hrnet", "NAME: pose_hrnet"))
    assert main(["train", str(pose)]) == 2
    assert "keypoint network" in capsys.readouterr().err


def test_pretrained_weights_that_are_not_there_end_it_before_it_begins(
    config: Path, space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The official trainer begins at random then, without a word."""
    named = config.read_text().replace("PRETRAINED: ''", "PRETRAINED: imagenet.pth")
    config.write_text(named)
    assert main(["train", str(config), "--data", str(space), *BRIEF]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "MODEL.PRETRAINED: imagenet.pth is not a file (looked for " in line
    weights = config.with_name("imagenet.pth")
    torch.save(build(TINY, 7).state_dict(), weights)
    plan = plan_of(of_config(str(config), str(space), None), Overrides(batch=4, crop=(64, 64)))
    schedule = plan.record.schedule.schedule
    assert schedule.init == "pretrained"
    assert len(schedule.init_fingerprint) == 12
    assert any(str(weights) in line for line in plan.lines)


@pytest.mark.parametrize(
    ("reader", "classes"), [("pascal_ctx", 59), ("pascal_ctx", 60), ("lip", 20), ("ade20k", 150)]
)
def test_lines_of_a_list_begin_at_root_as_in_the_library(
    reader: str, classes: int, tmp_path: Path
) -> None:
    """`os.path.join(self.root, line)` of every reader of branch HRNet-OCR."""
    for split in ("train", "val"):
        lines = []
        for folder in ("img", "ann"):
            (tmp_path / folder / split).mkdir(parents=True)
            for number in range(2):
                pixels = np.full((40, 40), 7 + number, dtype=np.uint8)
                picture = Image.fromarray(pixels)
                picture = picture.convert("RGB") if folder == "img" else picture
                picture.save(tmp_path / folder / split / f"{number}.png")
        lines = [f"img/{split}/{n}.png ann/{split}/{n}.png" for n in range(2)]
        (tmp_path / f"{split}.lst").write_text("\n".join(lines))
    sections = yaml.safe_load(config_text(TINY))
    lists = {"TRAIN_SET": "train.lst", "TEST_SET": "val.lst"}
    sections["DATASET"].update(DATASET=reader, NUM_CLASSES=classes, ROOT=f"{tmp_path}/", **lists)
    sections["TRAIN"].update(IMAGE_SIZE=[32, 32], BASE_SIZE=40)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(sections))
    data = of_config(str(tmp_path / "c.yaml"), None, None).schedule.data
    inventory = inventory_of(data)
    assert (inventory.train.images, inventory.val.images) == (2, 2)


def test_of_lists_that_are_not_there_the_data_sets_own_folders_are_read(tmp_path: Path) -> None:
    root, path = tmp_path / "data", tmp_path / "city.yaml"
    miniature.make("cityscapes", root)
    path.write_text(config_text(TINY))
    asked = Overrides(batch=2, crop=(64, 64), base_size=0, steps=1)
    plan = plan_of(of_config(str(path), None, str(root)), asked)
    assert any("train.lst is not there" in line for line in plan.lines)
    inventory = plan.record.data_holds
    assert inventory is not None
    assert (inventory.train.images, inventory.val.images) == (5, 3)
    for split, key in (("train", "train"), ("val", "val")):
        rows = [
            f"cityscapes/{image.relative_to(root / 'cityscapes')}\t"
            f"cityscapes/gtFine/{key}/aachen/"
            f"{image.name.replace('leftImg8bit', 'gtFine_labelIds')}"
            for image in sorted((root / "cityscapes" / "leftImg8bit" / key).rglob("*.png"))
        ]
        (root / "list" / "cityscapes").mkdir(parents=True, exist_ok=True)
        (root / "list" / "cityscapes" / f"{split}.lst").write_text("\n".join(rows[:2]) + "\n")
    plan = plan_of(of_config(str(path), None, str(root)), asked)
    assert plan.record.data_holds is not None
    assert plan.record.data_holds.train.images == 2
    assert plan.record.schedule.schedule.class_weights[0] == 0.8373  # the reader's own


def test_an_epoch_meets_an_image_as_often_as_its_list_names_it(tmp_path: Path) -> None:
    """As the official loader: the length of the list, in whole batches."""
    root, path = tmp_path / "data", tmp_path / "city.yaml"
    miniature.make("cityscapes", root)
    path.write_text(config_text(TINY))
    (root / "list" / "cityscapes").mkdir(parents=True)
    for split in ("train", "val"):
        images = sorted((root / "cityscapes" / "leftImg8bit" / split).rglob("*.png"))[:2]
        masks = f"cityscapes/gtFine/{split}/aachen/"
        rows = [
            f"cityscapes/{image.relative_to(root / 'cityscapes')}"
            f"\t{masks}{image.name.replace('leftImg8bit', 'gtFine_labelIds')}\n"
            for image in images
        ]
        again = 4 if split == "train" else 1
        (root / "list" / "cityscapes" / f"{split}.lst").write_text("".join(again * rows))
    asked = Overrides(batch=3, crop=(64, 64), base_size=0, epochs=5)
    plan = plan_of(of_config(str(path), None, str(root)), asked)
    assert plan.record.data_holds is not None
    assert (plan.record.data_holds.train.images, plan.record.data_holds.train.length) == (2, 8)
    assert (plan.record.epoch, plan.record.schedule.schedule.steps) == (2, 10)


def test_images_that_a_config_enlarges_are_said(config: Path, space: Path) -> None:
    plan = plan_of(of_config(str(config), str(space), None), Overrides(batch=4, crop=(64, 64)))
    (line,) = [line for line in plan.lines if "BASE_SIZE" in line]
    assert "BASE_SIZE 2048 enlarges images 32.0 times" in line


def test_epochs_are_whole_batches_and_judged_at_their_ends(config: Path, space: Path) -> None:
    """tools/train.py: the loader drops what does not fill a batch."""
    start = of_config(str(config), str(space), None)
    for asked, steps, rungs in (
        (Overrides(batch=5, crop=(64, 64), epochs=4), 8, (2, 4, 6, 8)),
        (Overrides(batch=5, crop=(64, 64), epochs=4, judged=2), 8, (4, 8)),
        (Overrides(batch=5, crop=(64, 64), steps=5, judged=9), 5, (2, 4, 5)),
        (Overrides(batch=5, crop=(64, 64), steps=3, judged=1), 3, (3,)),
        (Overrides(batch=5, crop=(64, 64), steps=5, judged=2), 5, (4, 5)),
        (Overrides(batch=12, crop=(64, 64)), start.epochs, None),
    ):
        record = plan_of(start, asked).record
        assert record.schedule.schedule.steps == steps
        if rungs:
            assert record.rungs == rungs
        assert len(record.rungs) <= asked.judged


DATA = DataSpec("shapes", 3, ("a", "b", "c"), size=(64, 64), train_images=8, val_images=2)
SHORT = Schedule(
    DATA, steps=10, batch=4, crop=(64, 64), optimiser="adamw", lr=0.005, warmup=2, ema=0.5
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a study of three networks, of which the last is the best and the most expensive."""
    folder = tmp_path / "study"
    notes = replace(
        NOTES, schedule=NotedSchedule.of(SHORT), base_yaml=config_text(TINY), levels=(), choices=()
    )
    StudyStore.create(folder, notes)
    with StudyStore(folder) as store:
        for number, mean in enumerate((0.3, 0.5, 0.6)):
            one = network(2 * number + 2)
            key = TrialKey(one.id, SHORT.id, 0)
            store.ask(Ask(number, key, (number,), one))
            store.finish(number, replace(result(number, mean), key=key))
    return folder


def test_a_trial_of_a_study_is_trained_with_its_data_and_its_schedule_stretched(
    study: Path, tmp_path: Path
) -> None:
    found = hrnet_search.train(
        study, tmp_path / "t", pick="latency_ms<=2.6", steps=15, judged=1, mlflow="off"
    )
    record = read_record(found.folder)
    schedule = record.schedule.schedule
    assert record.architecture == network(4)
    assert (schedule.steps, schedule.warmup, schedule.ema) == (15, 3, 0.5)
    assert replace(schedule, steps=10, warmup=2, fingerprint="") == replace(SHORT, fingerprint="")
    assert record.origin["trial"] == "1"
    assert record.origin["pick"] == "latency_ms<=2.6"
    assert record.came_from["batch"] == "study"


def test_a_batch_of_more_images_than_there_are_is_trained_as_its_study_trains(study: Path) -> None:
    images = SHORT.data.train_images
    plan = plan_of(of_study(str(study), 1, None), Overrides(batch=images + 1, epochs=3))
    assert (plan.record.epoch, plan.record.rungs) == (1, (1, 2, 3))


@pytest.fixture
def sharing(study: Path) -> tuple[Path, SharedNetwork]:
    """Return the study with weights that its networks share, as its last trial left them."""
    classes = SHORT.data.classes
    shared = SharedNetwork.of([network(4), network(6)], classes)
    key = TrialKey(TINY.id, "sc-0123456789ab", 0)
    with StudyStore(study) as store:
        store.ask(Ask(3, key, (), TINY, "base"))
        store.finish(3, replace(result(3), key=key))
    save_weights(shared, study / "weights" / f"{key}.safetensors", shared.metadata())
    return study, shared


def test_a_pick_starts_from_its_slices_at_the_whole_rate(
    sharing: tuple[Path, SharedNetwork], tmp_path: Path
) -> None:
    study, shared = sharing
    start = of_study(str(study), 1, None)
    plan = plan_of(start, Overrides(steps=2, init="shared"))
    schedule = plan.record.schedule.schedule
    assert (schedule.init, schedule.lr) == ("shared", SHORT.lr)
    assert re.search(r"init: .*: (\d+) of \1 tensors from shared weights", " ".join(plan.lines))
    task = TrialTask(0, TrialKey("", "", 0), start.architecture, schedule, (2,))
    slices = shared.slices(start_network(task)[0])
    own = dict(start_network(task)[0].named_parameters())
    assert all(torch.equal(slices[name], own[name]) for name in own)
    # A study whose trials start from them names them as its own trainings do.
    known = replace(SHORT, init="shared", init_path=schedule.init_path, init_fingerprint="0f")
    both = [
        plan_of(replace(start, schedule=known), Overrides(steps=2, init=init)).record.schedule.id
        for init in (None, "shared")
    ]
    assert both[0] == both[1]
    again = shlex.split(training_commands(plan.record, tmp_path)[0])
    assert again[again.index("--init") + 1] == "shared"
    faster = plan_of(start, Overrides(steps=2, init="shared", lr=0.03))
    assert faster.record.schedule.schedule.lr == 0.03
    # A training in full is at the whole rate, whatever short ones that inherit were trained at.
    inherits = replace(known, lr=0.002, init_lr=0.005)
    whole = [
        plan_of(replace(start, schedule=inherits), Overrides(steps=2, init=init, lr=lr))
        for init, lr in ((None, None), ("shared", None), ("shared", 0.002), (None, 0.002))
    ]
    rates = [one.record.schedule.schedule.lr for one in whole]
    assert rates == [0.005, 0.005, 0.002, 0.002]
    assert [one.record.came_from["lr"] for one in whole] == ["study", "--init", "--lr", "--lr"]
    for one in whole:  # as it was trained, whatever another version would take
        words = shlex.split(training_commands(one.record, tmp_path)[0])
        assert float(words[words.index("--lr") + 1]) == one.record.schedule.schedule.lr
        assert (words.count("--lr"), words.count("--init")) == (1, "--init" in words)
    searched = plan_of(
        replace(start, schedule=replace(inherits, lr=0.001)), Overrides(steps=2)
    ).record.schedule.schedule
    assert searched.lr == 0.001, "a rate that was searched is the network's own"
    other, usual = ("sgd", 0.05) if SHORT.optimiser == "adamw" else ("adamw", 0.005)
    for init in (None, "shared", "none"):
        by_other = Overrides(steps=2, init=init, optimiser=other)
        made = plan_of(replace(start, schedule=inherits), by_other).record.schedule.schedule
        assert (made.init, made.lr) == (init or "shared", usual)
    for asked, lr in ((None, 0.005), (0.03, 0.03)):
        fresh = plan_of(
            replace(start, schedule=inherits), Overrides(steps=2, init="none", lr=asked)
        ).record.schedule.schedule
        assert (fresh.init, fresh.lr) == ("none", lr)
        assert fresh == fresh.from_scratch(), "nothing of what it would have started from is left"
    found = hrnet_search.train(
        study, tmp_path / "t", trial=1, init="shared", steps=2, judged=1, mlflow="off"
    )
    assert read_record(found.folder).came_from["init"] == "--init"


def test_a_network_that_slices_alone_judged_is_trained_as_its_study_trains(
    sharing: tuple[Path, SharedNetwork],
) -> None:
    study, _ = sharing
    key = TrialKey(network(6).id, "sc-ba9876543210", 0)
    with StudyStore(study) as store:
        store.ask(Ask(4, key, (), network(6), "slices"))
        store.finish(4, replace(result(4), key=key))
    for number, wanted in ((4, network(6)), (3, TINY)):  # the last is the base's, whose weights
        start = of_study(str(study), number, None)  # others share
        assert start.architecture == wanted
        assert replace(start.schedule, fingerprint="") == replace(SHORT, fingerprint="")
    start = of_study(str(study), 4, None)
    plan = plan_of(start, Overrides(steps=2, init="shared"))
    assert plan.record.schedule.schedule.init == "shared"
    configs = (start.config, of_study(str(study), 1, None).config)
    its, others = (parse_config(text).sections["TRAIN"] for text in configs)
    assert its == others


def test_shared_weights_are_found_where_a_study_lies_now(
    sharing: tuple[Path, SharedNetwork], tmp_path: Path
) -> None:
    """A schedule notes where they lay when the study was begun."""
    study, _ = sharing
    noted = replace(
        SHORT, init="shared", init_path="/elsewhere/w.safetensors", init_fingerprint="0f"
    )
    start = of_study(str(study.rename(tmp_path / "moved")), 1, None)
    plan = plan_of(replace(start, schedule=noted), Overrides(steps=2))
    found = plan.record.schedule.schedule
    assert found.init_path.startswith(str(tmp_path / "moved"))
    assert found.init_fingerprint == "0f"


def test_slices_are_only_where_a_study_trained_shared_weights(study: Path) -> None:
    start = of_study(str(study), 1, None)
    with pytest.raises(InputError, match="--init: there are no shared weights to start from"):
        plan_of(start, Overrides(steps=2, init="shared"))


def test_a_study_is_picked_from_by_trial_budget_or_mean_miou(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert of_study(str(study), 0, None).architecture == network(2)
    assert of_study(str(study), None, None).architecture == network(6)
    assert of_study(str(study), None, "params <= 1.0005k").architecture == network(2)
    assert of_study(str(study), None, None).epochs == 484
    for given, wrong in (
        (["--trial", "7"], "the study has no trial 7, allowed: 0 to 2"),
        (["--pick", "latency_ms<=1"], "no network of the study has latency_ms<=1"),
        (["--pick", "miou<=1"], "miou<=1 is not a budget"),
        (["--data", "x.yaml"], "a study has data of its own"),
    ):
        assert main(["train", str(study), *given]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert wrong in line


def test_budgets_are_read_in_units() -> None:
    assert budgets_of("macs<=2.5G") == {"macs": 2.5e9}
    assert budgets_of("latency_ms < 20, params<=3M") == {"latency_ms": 20.0, "params": 3e6}
    for wrong in ("params<=3M, params<=2M", "params<=3M,", "width<=3"):
        with pytest.raises(InputError, match="--pick"):
            budgets_of(wrong)


def test_a_checkpoint_of_another_network_is_said_and_nothing_is_written_over(
    trained: Path,
    config: Path,
    space: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "other"
    cut_off(config, space, folder, at=5)
    checkpoints = Checkpoints(folder / "checkpoints")
    state, kept = checkpoints.load(), read_results(folder).rungs
    assert state is not None
    checkpoints.save({**state, "network": build(network(4), 3).state_dict()})
    assert main(tiny_command(config, space, folder)) == 4
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "another layout" in one]
    assert line.startswith(f"{checkpoints.path}: has another layout (")
    assert "another folder with -o" in line
    assert read_results(folder).rungs == kept
    checkpoints.save(state)
    assert main(tiny_command(config, space, folder)) == 0
    name = "weights/last.safetensors"
    assert tensors(folder / name) == tensors(trained / name)


def cut_off(config: Path, space: Path, folder: Path, at: int) -> None:
    """Train until Ctrl-C at a step: all is saved."""
    stepped = Keeper.stepped

    def interrupted(keeper: Keeper, step: int, loss: float) -> None:
        stepped(keeper, step, loss)
        if step == at:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "stepped", interrupted)
        assert main(tiny_command(config, space, folder)) == 130


def without_room(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let no more than `most` images through a network in training at once."""
    forward = HighResolutionNet.forward

    def limited(self: HighResolutionNet, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.training and len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, images)

    monkeypatch.setattr(HighResolutionNet, "forward", limited)


def test_out_of_memory_a_training_goes_on_from_its_checkpoint_in_more_parts(
    config: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "training"
    cut_off(config, space, folder, at=5)
    judged, curve = read_results(folder).rungs, read_curve(folder)
    without_room(monkeypatch, most=2)
    assert main(tiny_command(config, space, folder)) == 0
    results = read_results(folder)
    assert (results.rungs[:1], results.sessions[-1].step) == (judged, 5)
    assert read_curve(folder)[:5] == curve[:5]
    assert any("was taken in 2 parts" in note for note in results.sessions[-1].notes)


def test_a_training_that_finds_no_room_when_it_goes_on_loses_nothing(
    trained: Path,
    config: Path,
    space: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As where another program has filled the GPU meanwhile."""
    folder = tmp_path / "training"
    cut_off(config, space, folder, at=5)
    judged = read_results(folder).rungs
    without_room(monkeypatch, most=0)
    capsys.readouterr()
    assert main(tiny_command(config, space, folder)) == 1
    assert "the same command goes on where there is more room" in capsys.readouterr().err
    assert read_results(folder).rungs == judged
    monkeypatch.undo()
    assert main(tiny_command(config, space, folder)) == 0
    for which in ("best", "last"):
        name = f"weights/{which}.safetensors"
        assert tensors(folder / name) == tensors(trained / name)


def flip(path: Path) -> None:
    """Change a bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["is damaged", "is gone"])
def test_of_a_checkpoint_that_is_no_more_it_goes_on_from_that_of_the_best_judgement(
    config: Path,
    space: Path,
    tmp_path: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    how: str,
) -> None:
    folder = tmp_path / "training"
    cut_off(config, space, folder, at=5)
    judged = read_results(folder).rungs
    assert judged
    last = folder / "checkpoints" / "last.pt"
    flip(last) if how == "is damaged" else last.unlink()
    best = last.with_name("best.pt")
    whole = best.read_bytes()
    flip(best)
    kept = (folder / "weights" / "best.safetensors").read_bytes()
    capsys.readouterr()
    assert main(tiny_command(config, space, folder)) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{last}: {how}, and so is what was judged" in line
    assert "another folder with -o" in line
    assert read_results(folder).rungs == judged
    assert (folder / "weights" / "best.safetensors").read_bytes() == kept
    best.write_bytes(whole)
    assert main(tiny_command(config, space, folder)) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert f"{last} {how}: going on from {best}" in said
    assert read_results(folder).rungs == read_results(trained).rungs
    name = "weights/last.safetensors"
    assert tensors(folder / name) == tensors(trained / name)


def test_results_that_are_gone_are_those_of_the_checkpoint(
    config: Path, space: Path, tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "training"
    cut_off(config, space, folder, at=5)
    (folder / "results.json").unlink()
    assert main(tiny_command(config, space, folder)) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert "results.json is gone, what was judged is in its checkpoint" in said
    assert read_results(folder).rungs == read_results(trained).rungs
    for which in ("best", "last"):
        name = f"weights/{which}.safetensors"
        assert tensors(folder / name) == tensors(trained / name)


@pytest.mark.parametrize("which", ["best", "last"])
def test_weights_of_an_ended_training_that_are_gone_are_named(
    config: Path,
    space: Path,
    tmp_path: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    which: str,
) -> None:
    folder = tmp_path / "training"
    shutil.copytree(trained, folder)
    lost = folder / "weights" / f"{which}.safetensors"
    lost.unlink()
    assert main(tiny_command(config, space, folder)) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{lost}: is gone: the training has ended" in line
    assert main(["evaluate", str(folder), "--which", which]) == 2
    assert "is gone, allowed: the file as it was" in capsys.readouterr().err


def test_weights_of_another_network_start_what_they_fit(
    config: Path, space: Path, tmp_path: Path
) -> None:
    """As `schedule.init` does: layer by layer, and it is said what they are."""
    weights = tmp_path / "wide.safetensors"
    save_weights(build(network(8), 3), weights, {})
    start = of_config(str(config), str(space), None)
    plan = plan_of(start, Overrides(batch=4, crop=(64, 64), init=str(weights)))
    (line,) = [line for line in plan.lines if line.startswith("init: ")]
    assert str(weights) in line
