"""What a config asks for is what the official trainer of branch HRNet-OCR would have done.

Its rules are written down here once more, by hand: `lib/datasets/base_dataset.py`,
`lib/utils/utils.py` and `tools/train.py`.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from hrnet_search.arch.hrnet_yaml import Config, parse_config
from hrnet_search.data.augment import augmented, draw_windows
from hrnet_search.errors import InputError
from hrnet_search.evaluate.training.descent import Descent, rate
from hrnet_search.evaluate.training.loss import Loss
from hrnet_search.library.keys import CITYSCAPES_WEIGHTS
from hrnet_search.library.schedule import Asked, asked_by, official_rule
from hrnet_search.library.settle import Settling
from hrnet_search.net.hrnet import build
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import IGNORED, DataSpec, Split
from hrnet_search.records.schedule import Schedule

ROOT = Path(__file__).parents[2]
GOLDEN: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "metrics.json").read_text())
SMALL = ROOT / "configs" / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
OWN = DataSpec("folder", 6)


def asked(changes: dict[str, Any] | None = None, data: DataSpec | None = None) -> Asked:
    """Return what the published yaml asks for, with values by `SECTION.KEY` in it."""
    return asked_by(config(changes or {}), data)


def config(changes: dict[str, Any]) -> Config:
    """Return the published yaml with values by `SECTION.KEY` in it."""
    sections = yaml.safe_load(SMALL.read_text())
    for key, value in changes.items():
        *path, last = key.split(".")
        place = sections
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return parse_config(yaml.safe_dump(sections))


def test_the_published_yaml_asks_for_the_published_schedule() -> None:
    found = asked()
    schedule = found.schedule
    assert (found.epochs, schedule.batch, schedule.crop) == (100, 4 * 32, (512, 1024))
    assert (schedule.optimiser, schedule.lr, schedule.momentum) == ("sgd", 0.05, 0.9)
    assert (schedule.weight_decay, schedule.nesterov) == (1e-4, False)
    assert (schedule.loss, schedule.class_weights) == ("cross_entropy", CITYSCAPES_WEIGHTS)
    assert (schedule.data.kind, schedule.data.classes, schedule.data.ignore) == (
        "cityscapes", 19, IGNORED,
    )  # fmt: skip
    assert schedule.data.train == Split("", "", "list/cityscapes/train.lst")
    assert (schedule.precision, schedule.ema, schedule.photometric) == ("fp32", 0, 0)


def test_learning_rates_of_1000_steps_are_those_of_the_official_poly_schedule() -> None:
    schedule = replace(asked().schedule, steps=1000)
    for step in range(1000):
        official = 0.05 * ((1 - float(step) / 1000) ** 0.9)
        assert rate(schedule, step) == pytest.approx(official, rel=1e-12)
    golden = GOLDEN["poly_lr"]
    same = replace(schedule, lr=golden["base_lr"], steps=golden["max_iters"])
    for step, (slow, fast) in golden["values"].items():
        assert rate(same, int(step)) == pytest.approx(slow, rel=1e-10)
        assert 10 * rate(same, int(step)) == pytest.approx(fast, rel=1e-10)


def official_draw(size: tuple[int, int], base: int, factor: int, crop: tuple[int, int]) -> Any:
    """Return (scale, resized, corner, flip) as the official loader draws them."""
    scale = 0.5 + random.randint(0, factor) / 10.0
    long = int(base * scale + 0.5)
    h, w = size
    new = (long, int(w * long / h + 0.5)) if h > w else (int(h * long / w + 0.5), long)
    padded = [max(length, least) for length, least in zip(new, crop, strict=True)]
    x = random.randint(0, padded[1] - crop[1])
    y = random.randint(0, padded[0] - crop[0])
    return scale, new, (y, x), bool(random.randint(0, 1))


@pytest.mark.parametrize("size", [(360, 480), (500, 300)])
def test_10000_scales_and_crops_follow_the_official_distribution(size: tuple[int, int]) -> None:
    draws, crop, base = 10_000, (96, 128), 256
    given = {"TRAIN.BASE_SIZE": base, "TRAIN.IMAGE_SIZE": [128, 96]}
    schedule = asked(given, OWN).schedule
    windows = draw_windows(np.random.default_rng(5), np.array([size] * draws), schedule)
    random.seed(7)
    official = [official_draw(size, base, 16, crop) for _ in range(draws)]
    theirs = Counter(new for _, new, _, _ in official)
    ours = Counter((int(h), int(w)) for h, w in windows.resized)
    assert set(ours) == set(theirs)
    assert len(ours) == 17
    for resized in theirs:
        assert abs(ours[resized] - draws / 17) < 5 * math.sqrt(draws / 17)
        for axis in (0, 1):
            room = max(0, resized[axis] - crop[axis])
            places = windows.corners[(windows.resized == resized).all(axis=1), axis]
            assert places.min() >= 0
            assert places.max() <= room
            spread = room / math.sqrt(12 * len(places)) + 1e-9
            assert abs(places.mean() - room / 2) < 5 * spread
            reference = [corner[axis] for _, new, corner, _ in official if new == resized]
            assert abs(places.mean() - np.mean(reference)) < 8 * spread
    assert abs(windows.flips.mean() - 0.5) < 0.025


def test_outside_of_an_image_its_crop_is_black_before_it_is_normalised() -> None:
    """The official loader pads with 0 and normalises after it."""
    schedule = replace(asked({}, OWN).schedule, crop=(8, 8), scale=(1.0, 1.0), long_side=4)
    images = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    windows = draw_windows(np.random.default_rng(0), np.array([[4, 4]]), schedule)
    cut, labels = augmented(images, torch.zeros(1, 4, 4, dtype=torch.uint8), windows, schedule)
    black = (0 - torch.tensor(OWN.mean)) / torch.tensor(OWN.std)
    outside = labels[0] == IGNORED
    assert int(outside.sum()) == 64 - 16
    torch.testing.assert_close(cut[0][:, outside].mean(dim=1), black)


def test_half_of_the_crops_are_up_to_ten_levels_brighter_or_darker() -> None:
    found = asked({"TRAIN.RANDOM_BRIGHTNESS": True}, OWN).schedule
    assert asked({}, OWN).schedule.brightness == 0
    windows = draw_windows(np.random.default_rng(0), np.array([[64, 64]] * 4000), found)
    assert windows.levels is not None
    levels = Counter(windows.levels.tolist())
    assert set(levels) == set(range(-10, 11))
    assert abs(levels[0] - 4000 * (0.5 + 0.5 / 21)) < 5 * math.sqrt(1000)


def u01(seed: int, n: int) -> torch.Tensor:
    """Return n doubles in [0, 1) by splitmix64, as the golden numbers were made."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def golden_batch() -> tuple[torch.Tensor, torch.Tensor]:
    logits = (4 * u01(4242, 2 * 6 * 9 * 11) - 2).reshape(2, 6, 9, 11)
    logits[:, 4] = -100
    labels = (u01(777, 2 * 9 * 11) * 7).floor().long()
    labels = torch.where(labels == 6, IGNORED, labels).reshape(2, 9, 11)
    return logits, torch.where(labels == 4, 0, labels)


def test_the_loss_of_a_fixed_batch_is_that_of_the_official_criterion() -> None:
    logits, labels = golden_batch()
    plain = Loss(asked({}, OWN).schedule, None, align_corners=False)
    assert float(plain(logits, labels)) == pytest.approx(GOLDEN["ce"], rel=1e-10)
    given = {"LOSS.USE_OHEM": True, "LOSS.OHEMTHRES": 0.05, "LOSS.OHEMKEEP": 25}
    assert asked(given, OWN).schedule.ohem_keep == 4 * 25  # each of four processes keeps its own
    hard = Loss(asked(given, OWN).schedule, None, align_corners=False)
    assert float(hard(logits, labels)) == pytest.approx(
        GOLDEN["ohem"]["thres=0.05,keep=100"], rel=1e-10
    )
    weight = torch.tensor(GOLDEN["ce_weighted"]["weight"], dtype=torch.float64)
    weighed = Loss(asked({}, OWN).schedule, weight, align_corners=False)
    assert float(weighed(logits, labels)) == pytest.approx(GOLDEN["ce_weighted"]["value"], rel=1e-9)


def test_weights_of_nonbackbone_keywords_learn_ten_times_as_fast() -> None:
    given = {"TRAIN.NONBACKBONE_KEYWORDS": ["last_layer"], "TRAIN.NONBACKBONE_MULT": 3}
    found = asked(given, OWN)
    config = parse_config(SMALL.read_text())
    network = build(config.architecture, 6)
    descent = Descent(network, replace(found.schedule, steps=10))
    descent.step(4)
    slow, fast = descent.state()["optimiser"]["param_groups"]
    assert slow["lr"] == pytest.approx(0.05 * 0.6**0.9)
    assert fast["lr"] == pytest.approx(10 * slow["lr"])
    heads = [n for n, _ in network.named_parameters() if "last_layer" in n]
    assert len(fast["params"]) == len(heads)
    assert any("NONBACKBONE_MULT 3" in note for note in found.notes)


def test_keys_that_no_line_of_the_official_trainer_reads_are_named() -> None:
    given = {"LOSS.CLASS_BALANCE": True, "TRAIN.LR_STEP": [30, 60], "TRAIN.LR_FACTOR": 0.1}
    (note,) = [n for n in asked(given).notes if n.startswith("no line")]
    assert "LOSS.CLASS_BALANCE" in note
    assert "TRAIN.LR_STEP" in note
    assert "LR_FACTOR" not in note  # that is its default
    assert asked(given).schedule == asked().schedule


WRONG = {
    "TRAIN.LR": "fast", "TRAIN.MOMENTUM": 1.5, "TRAIN.END_EPOCH": 0, "TRAIN.OPTIMIZER": "adam",
    "TRAIN.IMAGE_SIZE": [512], "TRAIN.BATCH_SIZE_PER_GPU": -1, "TRAIN.MULTI_SCALE": False,
    "TRAIN.DOWNSAMPLERATE": 2, "TRAIN.EXTRA_EPOCH": 484, "LOSS.BALANCE_WEIGHTS": [0.4, 1],
    "LOSS.OHEMKEEP": 1.5, "DATASET.DATASET": "mine", "DATASET.NUM_CLASSES": 12,
}  # fmt: skip


def test_every_value_that_is_not_trained_here_is_named_in_one_round() -> None:
    with pytest.raises(InputError) as raised:
        asked(WRONG)
    named = {fault.path for fault in raised.value.faults}
    assert named >= set(WRONG) - {"DATASET.NUM_CLASSES"}


TOO_LARGE: dict[str, list[Any]] = {
    "TRAIN.SCALE_FACTOR": [96, 10**9], "TRAIN.BASE_SIZE": [2**14 + 1], "TRAIN.LR": [101, math.inf],
    "TRAIN.IMAGE_SIZE": [[100_000, 100_000], [1, 1], [512, 31]], "TRAIN.END_EPOCH": [10**9],
    "TRAIN.BATCH_SIZE_PER_GPU": [4097], "TRAIN.WD": [2], "LOSS.OHEMKEEP": [10**13],
}  # fmt: skip


@pytest.mark.parametrize("key", TOO_LARGE)
def test_what_a_space_file_may_not_hold_a_config_may_not_either(key: str) -> None:
    for value in TOO_LARGE[key]:
        with pytest.raises(InputError) as raised:
            asked({key: value}, OWN)
        (fault,) = raised.value.faults
        assert fault.path == key
    assert asked({"TRAIN.SCALE_FACTOR": 95}, OWN).schedule.scale == (0.5, 10.0)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("TRAIN.LRATE", ""), ("TRAIN.END_EPOCHS", "TRAIN.END_EPOCH"), ("TRAIN.Wd", "TRAIN.WD"),
        ("LOSS.USE_OHEMM", "LOSS.USE_OHEM"), ("TEST.FLIP_TESTS", "TEST.FLIP_TEST"),
        ("DATASET.ROOTS", "DATASET.ROOT"), ("MODEL.HEADS", ""), ("OPTIM", ""),
    ],
)  # fmt: skip
def test_a_key_that_the_library_does_not_know_is_a_fault(key: str, meant: str) -> None:
    """Its merge stops there; the default in its place is what nobody asked for."""
    with pytest.raises(InputError) as raised:
        asked({key: 1})
    (fault,) = raised.value.faults
    assert fault.path == key
    assert "the HRNet library knows no such key" in fault.wrong
    assert (f"did you mean {meant}?" in fault.wrong) == bool(meant)


def test_what_is_judged_otherwise_than_by_the_official_scripts_is_said() -> None:
    notes = asked({"TEST.NUM_SAMPLES": 200}).notes
    assert "TEST.NUM_SAMPLES: 200: not obeyed, all validation images are judged" in notes
    assert not any("NUM_SAMPLES" in note for note in asked().notes)
    both = {"MODEL.NAME": "seg_hrnet_ocr", "MODEL.NUM_OUTPUTS": 2, "LOSS.BALANCE_WEIGHTS": [0.4, 1]}
    notes = asked({**both, "TEST.OUTPUT_INDEX": 0}).notes
    assert "TEST.OUTPUT_INDEX: 0: not obeyed, the main output is judged" in notes
    assert not any("OUTPUT_INDEX" in note for note in asked({**both, "TEST.OUTPUT_INDEX": 1}).notes)


def test_nesterov_needs_a_momentum() -> None:
    with pytest.raises(
        InputError, match=r"TRAIN\.NESTEROV: true is not trained with TRAIN\.MOM.* 0"
    ):
        asked({"TRAIN.NESTEROV": True, "TRAIN.MOMENTUM": 0}, OWN)
    assert asked({"TRAIN.NESTEROV": True}, OWN).schedule.nesterov


@pytest.mark.parametrize("gpus", [4, "4", "0-3", "()", [], [True]])
def test_gpus_that_are_no_list_are_not_one_gpu(gpus: object) -> None:
    with pytest.raises(InputError, match=r"GPUS: .* is not trained here, allowed: a list of GPUs"):
        asked({"GPUS": gpus}, OWN)


def test_weights_that_are_no_text_are_not_none() -> None:
    with pytest.raises(InputError, match=r"MODEL\.PRETRAINED: .* is not trained here, allowed: te"):
        asked({"MODEL.PRETRAINED": ["a.pth"]}, OWN)


def test_a_batch_on_all_gpus_is_no_larger_than_one_of_a_space_file() -> None:
    with pytest.raises(InputError, match=r"BATCH_SIZE_PER_GPU: 2049 on each of 2 GPUs .* 4096 on"):
        asked({"TRAIN.BATCH_SIZE_PER_GPU": 2049, "GPUS": "(0, 1)"}, OWN)
    assert asked({"TRAIN.BATCH_SIZE_PER_GPU": 2048, "GPUS": "(0, 1)"}, OWN).schedule.batch == 4096


@pytest.mark.parametrize(
    ("key", "value"),
    [("IMAGE_SIZE", [0, 512]), ("IMAGE_SIZE", [16385, 1]), ("BASE_SIZE", 16385),
     ("SCALE_LIST", [17])],
)  # fmt: skip
def test_sizes_that_no_image_may_have_are_not_tested_at(key: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"TEST\.{key}"):
        official_rule(config({f"TEST.{key}": value}))


def test_an_ocr_config_asks_for_two_outputs_by_their_weights() -> None:
    """train.py counts NUM_OUTPUTS and multiplies their losses by BALANCE_WEIGHTS."""
    both = {"MODEL.NAME": "seg_hrnet_ocr", "MODEL.NUM_OUTPUTS": 2}
    keys = {"TRAIN.NONBACKBONE_KEYWORDS": ["cls", "aux", "ocr"]}
    found = asked({**both, **keys, "LOSS.BALANCE_WEIGHTS": [0.3, 1], "LOSS.USE_OHEM": True})
    assert (found.schedule.aux_weight, found.schedule.loss) == (0.3, "ohem")
    assert asked().schedule.aux_weight == 0.4  # which a plain head never reads
    for wrong in ([1], [0.4, 1, 1], [0.4, 0.5], [-1, 1], "x"):
        with pytest.raises(InputError, match=r"LOSS\.BALANCE_WEIGHTS"):
            asked({**both, "LOSS.BALANCE_WEIGHTS": wrong})
    with pytest.raises(InputError, match=r"MODEL\.NUM_OUTPUTS"):
        asked({"MODEL.NAME": "seg_hrnet_ocr", "LOSS.BALANCE_WEIGHTS": [0.4, 1]})


def test_values_are_decoded_as_yacs_does() -> None:
    found = asked({"TRAIN.LR": "5e-3", "GPUS": "(0,1)", "TRAIN.BATCH_SIZE_PER_GPU": "3"}, OWN)
    assert (found.schedule.lr, found.schedule.batch) == (0.005, 6)


READERS = {
    "ade20k": ("ade20k", 150),
    "cocostuff": ("coco-stuff", 171),
    "lip": ("lip", 20),
    "pascal_ctx": ("pascal-context-59", 59),
}


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_stands_for_its_data_set(reader: str) -> None:
    kind, classes = READERS[reader]
    given = {"DATASET.DATASET": reader, "DATASET.NUM_CLASSES": classes}
    found = asked({**given, "DATASET.TRAIN_SET": "train", "DATASET.TEST_SET": "val"}).schedule
    assert (found.data.kind, found.data.classes) == (kind, classes)
    assert found.class_weights == "none"
    assert (found.data.size is not None) == (reader == "lip")  # it stretches images


@pytest.mark.parametrize(("classes", "pairs"), [(14, 0), (15, 0), (16, 1), (19, 2), (20, 3)])
def test_lip_exchanges_the_classes_that_there_are(classes: int, pairs: int) -> None:
    found = asked({"DATASET.DATASET": "lip", "DATASET.NUM_CLASSES": classes}).schedule.data
    assert found.swaps == PRESETS["lip"].swaps[:pairs]


def test_own_data_are_read_by_lists_with_ids_as_they_are_stored() -> None:
    given = {"DATASET.DATASET": "pascal_ctx", "DATASET.NUM_CLASSES": 5, "TRAIN.IGNORE_LABEL": 11}
    data = asked(
        {**given, "DATASET.TRAIN_SET": "a.lst", "DATASET.TEST_SET": "val.lst"}
    ).schedule.data
    assert data == replace(
        DataSpec("folder", 5, ignore=11), train=Split("", "", "a.lst"), val=Split("", "", "val.lst")
    )


@pytest.mark.parametrize(("reader", "classes"), [("pascal_ctx", 60), ("lip", 20)])
def test_the_loss_ignores_the_label_that_a_config_says(reader: str, classes: int) -> None:
    """Where ids are taken as stored; -1, the library's default, ignores nothing that is there."""
    given = {"DATASET.DATASET": reader, "DATASET.NUM_CLASSES": classes}
    own = asked({**given, "TRAIN.IGNORE_LABEL": 7}).schedule.data
    assert (own.kind, own.ignore, own.names) == ("folder", 7, ())
    for label in (255, -1):
        data = asked({**given, "TRAIN.IGNORE_LABEL": label}).schedule.data
        assert (data.kind in PRESETS, data.ignore) == (True, 255)


def test_what_settle_writes_is_read_back() -> None:
    """Both directions of one mapping: a study's schedule as a config, and that config's."""
    data = DataSpec("folder", 5, train=Split("a", "b"), val=Split("c", "d"))
    schedule = Schedule(
        data, batch=12, crop=(96, 160), lr=0.02, weight_decay=5e-4, scale=(0.5, 1.7), flip=False,
        loss="ohem", ohem_threshold=0.7, ohem_keep=1000,
    )  # fmt: skip
    sections = yaml.safe_load(SMALL.read_text())
    Settling(sections, data, schedule, {"train": (200, 300), "val": (200, 300)}).settle()
    found = asked_by(parse_config(yaml.safe_dump(sections)), data).schedule
    same = (
        "batch", "crop", "lr", "momentum", "weight_decay", "scale", "flip", "loss",
        "ohem_threshold", "ohem_keep",
    )  # fmt: skip
    assert [getattr(found, key) for key in same] == [getattr(schedule, key) for key in same]
    assert found.long_side == 300
