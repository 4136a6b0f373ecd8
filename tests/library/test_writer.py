"""What leaves a study says what the study knows, in the HRNet library's own words.

Keys, readers and what these do with ids are those of HRNet-Semantic-Segmentation, branch
HRNet-OCR: `lib/datasets/`, `lib/config/default.py`, `tools/train.py`, `experiments/`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import network

from hrnet_search.arch.hrnet_yaml import Config, cityscapes_sections, parse_config, read_config
from hrnet_search.export.official import merge_problems
from hrnet_search.library.keys import gpu_count
from hrnet_search.library.readers import ignored_label, is_renumbered
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DATA_KINDS, IGNORED, DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes

NETWORK = network(9)
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
OWN = DataSpec("folder", 11, ignore=11, size=(360, 480), root="/data/own")
SHAPES = DataSpec("shapes", 8, size=(96, 128))


def sections_of(
    data: DataSpec, base: dict[str, Any] | None = None, **schedule: Any
) -> dict[str, Any]:
    text = written(data, base, **schedule)[0]
    sections = parse_config(text).sections
    assert merge_problems(sections) == []
    return sections


def written(
    data: DataSpec, base: dict[str, Any] | None = None, **schedule: Any
) -> tuple[str, tuple[str, ...], str]:
    """Return text, keys left to set, and notes as one line."""
    config = Config(NETWORK, base or cityscapes_sections())
    plan = Schedule(data, **schedule)
    found = ConfigWriter.planned(config, plan).write(NETWORK, plan.id)
    return found.text, found.left, " | ".join(found.notes)


@pytest.mark.parametrize(
    ("kind", "reader", "classes", "lists"),
    [
        ("cityscapes", "cityscapes", 19, ["list/cityscapes/train.lst", "list/cityscapes/val.lst"]),
        ("ade20k", "ade20k", 150, ["list/ade20k/train.lst", "list/ade20k/val.lst"]),
        ("pascal-context-59", "pascal_ctx", 59, ["train", "val"]),
        ("pascal-context-60", "pascal_ctx", 60, ["train", "val"]),
        ("lip", "lip", 20, ["list/lip/trainList.txt", "list/lip/valList.txt"]),
        ("coco-stuff", "cocostuff", 171, ["list/cocostuff/train.lst", "list/cocostuff/val.lst"]),
    ],
)
def test_a_data_set_of_the_library_has_its_own_reader_as_in_experiments(
    kind: str, reader: str, classes: int, lists: list[str]
) -> None:
    base = cityscapes_sections()
    if kind == "cityscapes":
        base["DATASET"]["DATASET"] = "ade20k"
    data = replace(PRESETS[kind].spec, root="/data")
    found = sections_of(data, base)
    assert found["DATASET"] == {
        "DATASET": reader, "ROOT": "/data/", "NUM_CLASSES": classes,
        "TRAIN_SET": lists[0], "TEST_SET": lists[1],
    }  # fmt: skip
    assert found["TRAIN"]["IGNORE_LABEL"] == 255  # what every reader makes of unlabelled bytes
    assert written(data, base)[1] == ()


@pytest.mark.parametrize("kind", sorted(set(DATA_KINDS) - {"shapes"}))
@pytest.mark.parametrize("classes", [2, 19, 59, 60])
def test_no_reader_renumbers_ids_of_data_that_it_was_not_written_for(
    kind: str, classes: int
) -> None:
    """`cityscapes`, `ade20k` and `cocostuff` renumber ids, `pascal_ctx` those of 59 classes."""
    data = PRESETS[kind].spec if kind in PRESETS else DataSpec("folder", classes)
    found = sections_of(data)["DATASET"]
    own = {"pascal-context-59": "pascal_ctx", "pascal-context-60": "pascal_ctx"}
    if kind in ("folder", "camvid"):
        assert found["DATASET"] == ("lip" if data.classes == 59 else "pascal_ctx")
    else:
        assert found["DATASET"] == own.get(kind, kind.replace("-", ""))


def test_own_data_of_19_classes_leave_the_cityscapes_reader() -> None:
    text, left, notes = written(DataSpec("folder", 19, size=(64, 96)))
    assert parse_config(text).sections["DATASET"]["DATASET"] == "pascal_ctx"
    assert left == ("DATASET.ROOT", "DATASET.TRAIN_SET", "DATASET.TEST_SET")
    assert (
        "LEFT TO SET: DATASET.ROOT, DATASET.TRAIN_SET, DATASET.TEST_SET" in text.split("CUDNN")[0]
    )
    assert "five readers (cityscapes, ade20k, pascal_ctx, lip, cocostuff)" in notes


def test_sizes_are_those_of_the_study_width_first() -> None:
    found = sections_of(OWN, crop=(128, 192))
    assert (found["TRAIN"]["IMAGE_SIZE"], found["TRAIN"]["BASE_SIZE"]) == ([192, 128], 480)
    assert (found["TEST"]["IMAGE_SIZE"], found["TEST"]["BASE_SIZE"]) == ([480, 360], 360)
    assert (found["TRAIN"]["IGNORE_LABEL"], found["DATASET"]["NUM_CLASSES"]) == (11, 11)
    assert found["DATASET"]["ROOT"] == "/data/own/"


def test_sizes_that_the_study_noted_are_known_others_are_left_to_set() -> None:
    plan = Schedule(replace(OWN, size=None), crop=(128, 192))
    notes = Notes(schedule=NotedSchedule.of(plan))
    bare = ConfigWriter.of(notes).write(NETWORK, plan.id)
    assert bare.left[3:] == ("TRAIN.BASE_SIZE", "TEST.IMAGE_SIZE", "TEST.BASE_SIZE")
    sizes = {"train": (300, 400), "val": (480, 360)}
    found = ConfigWriter.of(replace(notes, image_sizes=sizes)).write(NETWORK, plan.id)
    assert found.left == bare.left[:3]
    sections = parse_config(found.text).sections
    assert (sections["TRAIN"]["BASE_SIZE"], sections["TEST"]["BASE_SIZE"]) == (400, 360)
    assert sections["TEST"]["IMAGE_SIZE"] == [360, 480]


@pytest.mark.parametrize("size", [(360, 480), (480, 360), (64, 64), (375, 500)])
def test_pascal_ctx_judges_images_of_one_size_whole(size: tuple[int, int]) -> None:
    """As its `resize_short_length`, `rand_crop` and `multi_scale_aug` do it."""
    test = sections_of(replace(OWN, size=size))["TEST"]
    short, long = min(size), max(size)
    # While it trains: the short side is BASE_SIZE, which changes nothing; padded to eights.
    assert test["BASE_SIZE"] == short
    padded = [-(-side // 8) * 8 for side in size]
    assert test["IMAGE_SIZE"] == padded[::-1]
    # Afterwards the long side is BASE_SIZE times the scale.
    (scale,) = test.get("SCALE_LIST", [1])
    assert int(test["BASE_SIZE"] * scale + 0.5) == long


def test_what_of_the_data_the_library_sees_otherwise_is_said() -> None:
    _, left, notes = written(replace(PRESETS["cityscapes"].spec, val_fraction=0.5))
    assert left == ("DATASET.TRAIN_SET", "DATASET.TEST_SET")
    assert "the lists are those of the whole data set" in notes
    assert written(PRESETS["cityscapes"].spec)[1] == ()
    two = written(replace(OWN, ignore=255, mapping=((0, 0), (3, IGNORED))))[2]
    assert "IGNORE_LABEL is 3: where masks hold 255 too" in two
    assert "where masks hold" not in written(OWN)[2]
    assert "resized images to 360 x 480, whatever their ratio" in two
    assert "masks are of one channel of 8 bits" in two


def test_a_network_that_starts_otherwise_than_in_the_study_is_said() -> None:
    base = cityscapes_sections()
    base["MODEL"] = {"PRETRAINED": "pretrained_models/hrnet.pth"}
    said = "in the study it started from random weights"
    assert said in written(OWN, base)[2]
    assert said not in written(OWN, base, init="pretrained")[2]
    assert said not in written(OWN)[2]


def test_images_of_many_sizes_have_the_long_side_that_the_library_gives_them() -> None:
    found = sections_of(PRESETS["ade20k"].spec, crop=(512, 512))
    assert (found["TRAIN"]["BASE_SIZE"], found["TEST"]["BASE_SIZE"]) == (520, 520)
    assert found["TEST"]["IMAGE_SIZE"] == [520, 520]
    small = sections_of(replace(PRESETS["cityscapes"].spec, size=(512, 1024)))
    assert (small["TRAIN"]["BASE_SIZE"], small["TEST"]["IMAGE_SIZE"]) == (1024, [1024, 512])


def test_a_base_of_the_same_reader_knows_where_its_lists_lie() -> None:
    base = cityscapes_sections()
    base["DATASET"].update(ROOT="/mine/", TRAIN_SET="t.lst", TEST_SET="val.lst")
    base["DATASET"]["EXTRA_TRAIN_SET"] = "extra.lst"
    kept = sections_of(replace(PRESETS["cityscapes"].spec, root="/data"), base)["DATASET"]
    assert kept == {**base["DATASET"], "NUM_CLASSES": 19}
    assert "EXTRA_TRAIN_SET" not in sections_of(OWN, base)["DATASET"]


def test_a_reader_that_the_user_added_is_kept_but_for_what_the_study_knows() -> None:
    base = cityscapes_sections()
    base["DATASET"].update(DATASET="mine", ROOT="/mine/")
    found = sections_of(OWN, base)
    assert found["DATASET"] == {**base["DATASET"], "NUM_CLASSES": 11}
    assert (found["TRAIN"]["IGNORE_LABEL"], written(OWN, base)[1]) == (11, ())


def test_loss_and_training_are_those_of_the_schedule() -> None:
    how: dict[str, Any] = {
        "loss": "ohem", "ohem_threshold": 0.7, "ohem_keep": 5000, "lr": 0.02, "momentum": 0.8,
        "weight_decay": 5e-4, "batch": 8, "flip": False, "scale": (0.5, 1.5),
    }  # fmt: skip
    base = cityscapes_sections()
    base["TRAIN"].update(NONBACKBONE_KEYWORDS=["last_layer"], NESTEROV=True)
    found = sections_of(OWN, base, **how)
    assert found["LOSS"] == {"USE_OHEM": True, "OHEMTHRES": 0.7, "OHEMKEEP": 5000 // 4}
    train = found["TRAIN"]
    assert (train["LR"], train["MOMENTUM"], train["WD"]) == (0.02, 0.8, 5e-4)
    assert (train["OPTIMIZER"], train["NESTEROV"], train["NONBACKBONE_KEYWORDS"]) == (
        "sgd", False, [],
    )  # fmt: skip
    assert (train["BATCH_SIZE_PER_GPU"], found["GPUS"]) == (2, "(0,1,2,3)")
    assert (train["FLIP"], train["MULTI_SCALE"], train["SCALE_FACTOR"]) == (False, True, 10)
    assert (train["RESUME"], train["END_EPOCH"]) == (False, 484)
    assert "300 steps of 8 images" in written(OWN, base, **how)[2]


@pytest.mark.parametrize("init", ["base", "shared"])
def test_the_rate_is_that_of_a_training_in_full_not_of_variants_that_inherit(init: str) -> None:
    """The library starts a network from random weights, whatever a study's trials started from."""
    found = sections_of(OWN, init=init, lr=0.02, init_lr=0.05)
    assert found["TRAIN"]["LR"] == 0.05
    assert "variants, which inherit, had 0.02" in written(OWN, init=init, lr=0.02, init_lr=0.05)[2]
    # One that a search found, or a user asked for, is theirs.
    found = sections_of(OWN, init=init, lr=0.01, init_lr=0.05)
    assert found["TRAIN"]["LR"] == 0.01


def test_what_the_library_would_stop_at_does_not_stay() -> None:
    base = cityscapes_sections()
    base["TRAIN"]["OPTIMIZER"], base["GPUS"] = "adam", 0
    base["MODEL"] = {**base.get("MODEL", {}), "NUM_OUTPUTS": 2, "OCR": {"MID_CHANNELS": 8}}
    base["LOSS"] = {**base.get("LOSS", {}), "BALANCE_WEIGHTS": [0.4, 1]}
    found = sections_of(OWN, base, optimiser="adamw")
    assert (found["TRAIN"]["OPTIMIZER"], found["GPUS"]) == ("sgd", "(0,)")
    assert not {"NUM_OUTPUTS", "OCR"} & found["MODEL"].keys()
    assert "BALANCE_WEIGHTS" not in found["LOSS"]
    assert merge_problems(found) == []


def test_what_a_base_has_for_its_own_training_and_test_does_not_stay() -> None:
    """The library's `gen_sample` crops with MULTI_SCALE alone; `test.py` judges by TEST."""
    base = cityscapes_sections()
    base["TRAIN"].update(MULTI_SCALE=False, DOWNSAMPLERATE=2, RANDOM_BRIGHTNESS=True)
    base["TEST"].update(
        FLIP_TEST=True, MULTI_SCALE=True, SCALE_LIST=[0.5, 1, 2], MODEL_FILE="theirs.pth"
    )
    found = sections_of(OWN, base)
    train, test = found["TRAIN"], found["TEST"]
    assert (train["MULTI_SCALE"], train["DOWNSAMPLERATE"]) == (True, 1)
    assert train["RANDOM_BRIGHTNESS"] is False
    assert (test["FLIP_TEST"], test["MULTI_SCALE"]) == (False, False)
    assert test["SCALE_LIST"] == [480 / 360]
    assert "MODEL_FILE" not in test


def test_a_root_that_is_known_only_relatively_is_not_named() -> None:
    """Studies that noted relative roots do not say what they were relative to."""
    noted = NotedSchedule("sc-0", Schedule(replace(OWN, root="data/own")))
    found = ConfigWriter.of(Notes(schedule=noted)).write(NETWORK, "sc-0")
    assert parse_config(found.text).sections["DATASET"]["ROOT"] == ""


def test_pascal_context_says_how_branches_read_its_splits() -> None:
    said = "takes TRAIN_SET and TEST_SET as lists of 'IMAGE MASK' below ROOT"
    assert said in written(PRESETS["pascal-context-59"].spec)[2]
    assert said not in written(PRESETS["lip"].spec)[2]


def test_a_batch_goes_to_as_many_gpus_as_take_equal_parts() -> None:
    found = sections_of(OWN, batch=6)
    assert (found["GPUS"], found["TRAIN"]["BATCH_SIZE_PER_GPU"]) == ("(0, 1, 2)", 2)
    found = sections_of(OWN, batch=7)
    assert (found["GPUS"], found["TRAIN"]["BATCH_SIZE_PER_GPU"]) == ("(0,)", 7)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"optimiser": "adamw"}, "trains by SGD alone: LR, MOMENTUM and WD are the"),
        ({"ema": 0.999}, "ema 0.999"),
        ({"warmup": 10}, "warmup 10"),
        ({"power": 1.0}, "power 1.0"),
        ({"photometric": 0.5}, "photometric 0.5"),
        ({"class_weights": "balanced"}, "class_weights balanced"),
        ({"precision": "bf16"}, "precision bf16"),
        ({"init": "base"}, "init base"),
        ({"scale": (0.75, 2.0)}, "scales are 0.5 to 2: the library's begin at 0.5"),
    ],
)
def test_what_does_not_carry_over_is_said(schedule: dict[str, Any], said: str) -> None:
    assert said in written(OWN, **schedule)[2]
    assert said not in written(OWN)[2]
    assert said in " ".join(written(OWN, **schedule)[0].replace("\n#  ", "").split())


def test_by_adamw_the_bases_descent_stays() -> None:
    train = sections_of(OWN, optimiser="adamw", lr=1e-4)["TRAIN"]
    assert (train["OPTIMIZER"], train["LR"]) == ("sgd", 0.01)


def test_a_rate_of_the_base_for_another_batch_is_said() -> None:
    """No line of such a file is wrong by itself: together they do not learn what the study did."""
    base = cityscapes_sections()
    base["TRAIN"]["BATCH_SIZE_PER_GPU"] = 4
    images = 4 * gpu_count(base)
    said = f"LR 0.01 is the base's for {images} images a step, this file has 2: set LR"
    assert said in written(OWN, base, optimiser="adamw", batch=2)[2]
    assert "is the base's for" not in written(OWN, base, optimiser="adamw", batch=images)[2]
    assert "is the base's for" not in written(OWN, base, batch=2)[2], "the study's, by SGD"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (replace(OWN, mapping=((7, 0), (9, 1))), "write masks of ids 0 to 10, and 255"),
        (replace(OWN, mean=(0.5, 0.5, 0.5)), "normalises with ImageNet's mean and std"),
        (replace(OWN, swaps=((1, 2),)), "TRAIN.FLIP is false"),
        (DataSpec("folder", 59), "lip would exchange classes 14 to 19"),
        (PRESETS["cityscapes"].spec, "weighs Cityscapes' classes"),
    ],
)
def test_what_the_library_would_do_otherwise_with_data_is_said(data: DataSpec, said: str) -> None:
    assert said in written(data)[2]
    assert said not in written(OWN)[2]


def test_mirror_images_that_would_exchange_classes_are_not_made() -> None:
    assert sections_of(replace(OWN, swaps=((1, 2),)))["TRAIN"]["FLIP"] is False
    assert sections_of(DataSpec("folder", 59))["TRAIN"]["FLIP"] is False
    assert sections_of(PRESETS["lip"].spec)["TRAIN"]["FLIP"] is True  # it exchanges the right ones


@pytest.mark.parametrize(
    ("data", "label", "renumbered"),
    [
        (OWN, 11, False),
        (replace(OWN, mapping=((0, 0), (1, 1), (7, IGNORED))), 7, False),
        (replace(OWN, mapping=((0, 0), (6, IGNORED), (7, IGNORED))), IGNORED, True),
        (replace(OWN, mapping=((0, 1), (1, 0))), IGNORED, True),
        (replace(OWN, colors=(((255, 0, 0), 1),)), IGNORED, True),
        (PRESETS["ade20k"].spec, IGNORED, False),
        (PRESETS["camvid"].spec, 11, False),
    ],
)
def test_the_ignored_label_is_that_of_masks_as_a_reader_of_ids_finds_them(
    data: DataSpec, label: int, renumbered: bool
) -> None:
    assert (ignored_label(data), is_renumbered(data)) == (label, renumbered)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_base_becomes_a_config_that_the_strict_merge_takes(path: Path) -> None:
    base = read_config(path)
    for data in (OWN, SHAPES, *(preset.spec for preset in PRESETS.values())):
        plan = Schedule(data)
        text = ConfigWriter.planned(base, plan).write(base.architecture, plan.id).text
        assert merge_problems(parse_config(text).sections) == []


def test_of_an_arm_whose_schedule_was_not_noted_the_data_are_known() -> None:
    notes = Notes(schedule=NotedSchedule.of(Schedule(OWN)))
    found = parse_config(ConfigWriter.of(notes).write(NETWORK, "sc-other").text).sections
    assert (found["DATASET"]["NUM_CLASSES"], found["TRAIN"]["IGNORE_LABEL"]) == (11, 11)
    assert found["TRAIN"]["LR"] == cityscapes_sections()["TRAIN"]["LR"]


def test_without_a_word_on_data_the_base_stays_as_it_is_but_never_resumes() -> None:
    base = Config(NETWORK, {**cityscapes_sections(), "TRAIN": {"RESUME": True}})
    sections = parse_config(ConfigWriter(base).write(NETWORK, "").text).sections
    assert sections["DATASET"] == cityscapes_sections()["DATASET"]
    assert sections["TRAIN"] == {"RESUME": False}


def test_a_note_that_is_no_data_leaves_the_base_as_it_is() -> None:
    text = '{"id": "sc-1", "data": {"kind": "folder", "classes": "<b>many</b>"}}'
    writer = ConfigWriter.of(Notes.read({"schedule": text}))
    assert (
        parse_config(writer.write(NETWORK, "sc-1").text).sections["DATASET"]
        == (cityscapes_sections()["DATASET"])
    )


def test_what_people_call_their_data_cannot_break_the_file() -> None:
    data = replace(OWN, kind="a\nMODEL: 1\n")
    assert sections_of(data)["DATASET"]["NUM_CLASSES"] == 11
