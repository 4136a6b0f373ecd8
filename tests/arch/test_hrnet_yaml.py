"""The HRNet library's yaml: read as it runs there, written so that its strict merge takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from yacs.config import CfgNode

from hrnet_search import Architecture
from hrnet_search.arch.architecture import Stage
from hrnet_search.arch.hrnet_yaml import (
    Config,
    cityscapes_sections,
    class_count,
    config_text,
    read_config,
)
from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.arch.yaml_nodes import decoded
from hrnet_search.errors import ArchitectureError, InputError
from hrnet_search.library.schedule import asked_by
from hrnet_search.records.data_spec import DataSpec

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))
SMALL = CONFIGS / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"

# The keys that the library's defaults know, with values of the types its merge insists on.
LIBRARY: dict[str, Any] = {
    "OUTPUT_DIR": "", "LOG_DIR": "", "GPUS": (0,), "WORKERS": 4, "PRINT_FREQ": 20,
    "AUTO_RESUME": False, "PIN_MEMORY": True, "RANK": 0,
    "CUDNN": {"BENCHMARK": True, "DETERMINISTIC": False, "ENABLED": True},
    "MODEL": {"NAME": "seg_hrnet", "PRETRAINED": "", "ALIGN_CORNERS": True, "NUM_OUTPUTS": 1,
              "OCR": {"MID_CHANNELS": 512, "KEY_CHANNELS": 256, "DROPOUT": 0.05, "SCALE": 1}},
    "LOSS": {"USE_OHEM": False, "OHEMTHRES": 0.9, "OHEMKEEP": 100000, "CLASS_BALANCE": False,
             "BALANCE_WEIGHTS": [1]},
    "DATASET": {"ROOT": "", "DATASET": "cityscapes", "NUM_CLASSES": 19, "TRAIN_SET": "",
                "EXTRA_TRAIN_SET": "", "TEST_SET": ""},
    "TRAIN": {"IMAGE_SIZE": [1024, 512], "BASE_SIZE": 2048, "DOWNSAMPLERATE": 1, "FLIP": True,
              "MULTI_SCALE": True, "SCALE_FACTOR": 16, "LR": 0.01, "OPTIMIZER": "sgd",
              "MOMENTUM": 0.9, "WD": 0.0001, "NESTEROV": False, "IGNORE_LABEL": -1,
              "BEGIN_EPOCH": 0, "END_EPOCH": 484, "RESUME": False, "BATCH_SIZE_PER_GPU": 32,
              "SHUFFLE": True},
    "TEST": {"IMAGE_SIZE": [2048, 1024], "BASE_SIZE": 2048, "BATCH_SIZE_PER_GPU": 32,
             "FLIP_TEST": False, "MULTI_SCALE": False},
}  # fmt: skip


def merged(path: Path) -> CfgNode:
    """Merge a file as the library's update_config does: types strict, keys known, EXTRA open."""
    defaults = CfgNode(LIBRARY)
    defaults.MODEL.EXTRA = CfgNode(new_allowed=True)
    defaults.merge_from_file(str(path))
    return defaults


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write the small config with one change to what it says."""
    sections = yaml.safe_load(SMALL.read_text())
    change(sections)
    return write(folder, yaml.safe_dump(sections, sort_keys=False))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_configs_are_complete_for_the_library(path: Path) -> None:
    config = merged(path)
    assert config.MODEL.EXTRA.STAGE4.NUM_BRANCHES == 4
    assert target_problems(HRNET, Architecture.from_yaml(path)) == []
    if "bs32" in path.stem:
        assert (config.TRAIN.LR, config.TRAIN.WD) == (0.05, 0.0001)
        assert (config.TRAIN.BATCH_SIZE_PER_GPU, config.TRAIN.END_EPOCH) == (32, 100)
    else:
        assert (config.TRAIN.LR, config.TRAIN.WD) == (0.01, 0.0005)
        assert config.TRAIN.BATCH_SIZE_PER_GPU * len(config.GPUS) == 12


def test_seven_configs_are_shipped() -> None:
    widths = [Architecture.from_yaml(p).width for p in SHIPPED]
    assert widths == [18, 18, 48, 18, 16, 18, 30, 32, 40, 48]  # those with OCR first


def test_random_architectures_survive_the_round_trip(
    architectures: Callable[[int, int], list[Architecture]], tmp_path: Path
) -> None:
    for architecture in architectures(100, 20):
        path = tmp_path / "variant.yaml"
        architecture.to_yaml(path)
        merged(path)
        read = Architecture.from_yaml(path)
        assert read.id == architecture.id
        for ours, theirs in zip(architecture.stages[1:], read.stages[1:], strict=True):
            assert ours == theirs


def test_a_written_variant_keeps_what_is_no_architecture(tmp_path: Path) -> None:
    like = changed(
        tmp_path,
        lambda s: (
            s["DATASET"].update(ROOT="mine/", NUM_CLASSES=7, TRAIN_SET="a b.lst"),
            s["TRAIN"].update(LR=0.5),
            s["MODEL"].update(PRETRAINED="weights.pth"),
        ),
    )
    architecture = Architecture.from_yaml(like)
    wider = replace(
        architecture,
        stages=(*architecture.stages[:3], replace(architecture.stages[3], channels=(8, 8, 8, 8))),
    )
    wider.to_yaml(tmp_path / "variant.yaml", like=like)
    config = merged(tmp_path / "variant.yaml")
    assert config.DATASET.ROOT == "mine/"
    assert config.DATASET.NUM_CLASSES == 7
    assert config.DATASET.TRAIN_SET == "a b.lst"
    assert config.TRAIN.LR == 0.5
    # Weights of another architecture would crash the library's loading.
    assert config.MODEL.PRETRAINED == ""
    architecture.to_yaml(tmp_path / "same.yaml", like=like)
    assert merged(tmp_path / "same.yaml").MODEL.PRETRAINED == "weights.pth"


def test_the_typo_in_stage_1_is_read(tmp_path: Path) -> None:
    def misspell(sections: dict[str, Any]) -> None:
        stage = sections["MODEL"]["EXTRA"]["STAGE1"]
        stage["NUM_RANCHES"] = stage.pop("NUM_BRANCHES")

    path = changed(tmp_path, misspell)
    assert Architecture.from_yaml(path).id == Architecture.from_yaml(SMALL).id


def test_what_the_library_never_reads_of_stage_1_changes_nothing(tmp_path: Path) -> None:
    def clutter(sections: dict[str, Any]) -> None:
        stage = sections["MODEL"]["EXTRA"]["STAGE1"]
        stage.update(NUM_BRANCHES=4, NUM_MODULES=7, NUM_BLOCKS=[1, 9], NUM_CHANNELS=[32, 3])
        del stage["FUSE_METHOD"]

    path = changed(tmp_path, clutter)
    assert Architecture.from_yaml(path).id == Architecture.from_yaml(SMALL).id


def test_a_missing_align_corners_is_false_and_written(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda s: s["MODEL"].pop("ALIGN_CORNERS"))
    architecture = Architecture.from_yaml(path)
    assert architecture.align_corners is False
    architecture.to_yaml(tmp_path / "out.yaml", like=path)
    assert yaml.safe_load((tmp_path / "out.yaml").read_text())["MODEL"]["ALIGN_CORNERS"] is False


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TRAIN.RANDOM_BRIGHTNESS", True), ("TRAIN.NONBACKBONE_KEYWORDS", ["cls_head"]),
        ("TEST.OUTPUT_INDEX", 0), ("DATASET.DATASET", "ade20k"), ("DATASET.DATASET", "cocostuff"),
    ],
)  # fmt: skip
def test_other_sections_say_of_which_branch_a_config_is_too(
    tmp_path: Path, key: str, value: object
) -> None:
    section, _, name = key.partition(".")

    def change(sections: dict[str, Any]) -> None:
        sections["MODEL"].pop("ALIGN_CORNERS")
        sections.setdefault(section, {})[name] = value

    assert Architecture.from_yaml(changed(tmp_path, change)).align_corners is True


@pytest.mark.parametrize("key", ["MODEL.NUM_OUTPUTS", "LOSS.BALANCE_WEIGHTS", "MODEL.NAME"])
def test_a_missing_align_corners_is_true_in_what_the_ocr_branch_alone_can_read(
    tmp_path: Path, key: str
) -> None:
    """The other branches end at a key that they do not know; this one's default is true."""
    values = {"NUM_OUTPUTS": 1, "BALANCE_WEIGHTS": [1], "NAME": "seg_hrnet_ocr"}
    section, _, name = key.partition(".")

    def change(sections: dict[str, Any]) -> None:
        sections["MODEL"].pop("ALIGN_CORNERS")
        sections[section][name] = values[name]
        if name == "NAME":  # with what its trainer asks of it
            sections["MODEL"]["NUM_OUTPUTS"], sections["LOSS"]["BALANCE_WEIGHTS"] = 2, [0.4, 1]

    path = changed(tmp_path, change)
    assert Architecture.from_yaml(path).align_corners is True
    (note,) = [n for n in asked_by(read_config(path), DataSpec("shapes", 8)).notes if "ALIGN" in n]
    said = "MODEL.ALIGN_CORNERS is not said: true, the default of the library's branch HRNet-OCR"
    assert note == said
    plain = changed(tmp_path, lambda s: s["MODEL"].pop("ALIGN_CORNERS"))
    (note,) = [n for n in asked_by(read_config(plain), DataSpec("shapes", 8)).notes if "ALIGN" in n]
    assert "false, as without the key; true would be of the library's branch HRNet-OCR" in note


def test_a_misspelt_key_of_the_model_is_a_fault(tmp_path: Path) -> None:
    """It would be another network; keys of other libraries are none that are near."""

    def change(sections: dict[str, Any]) -> None:
        sections["MODEL"]["ALIGN_CORNER"] = sections["MODEL"].pop("ALIGN_CORNERS")

    with pytest.raises(ArchitectureError, match=r"ALIGN_CORNER: is not a known key, did you mean"):
        read_config(changed(tmp_path, change))
    more = {"NUM_JOINTS": 17, "TARGET_TYPE": "gaussian", "SIGMA": 2}
    read_config(changed(tmp_path, lambda s: s["MODEL"].update(more)))


def test_a_count_of_classes_in_quotes_is_that_count(tmp_path: Path) -> None:
    """As yacs decodes it."""
    path = changed(tmp_path, lambda s: s["DATASET"].update(NUM_CLASSES="3"))
    assert class_count(read_config(path)) == 3
    with pytest.raises(InputError, match="is not a class count"):
        class_count(read_config(changed(tmp_path, lambda s: s["DATASET"].update(NUM_CLASSES="x"))))


def test_an_ocr_config_gives_its_backbone_and_its_head(tmp_path: Path) -> None:
    def to_ocr(sections: dict[str, Any]) -> None:
        sections["MODEL"].update(NAME="seg_hrnet_ocr", NUM_OUTPUTS=2)
        sections["LOSS"]["BALANCE_WEIGHTS"] = [0.4, 1]
        del sections["MODEL"]["EXTRA"]["FINAL_CONV_KERNEL"]  # its heads never read it

    path = changed(tmp_path, to_ocr)
    found = Architecture.from_yaml(path)
    assert found.head == "seg_hrnet_ocr"
    assert found.stages == Architecture.from_yaml(SMALL).stages
    assert (found.mid_channels, found.key_channels) == (512, 256)  # the official defaults
    # A plain network written like it must not keep what two outputs need.
    text = config_text(replace(found, head="seg_hrnet"), read_config(path))
    sections = yaml.safe_load(text)
    assert "NUM_OUTPUTS" not in sections["MODEL"]
    assert "BALANCE_WEIGHTS" not in sections["LOSS"]


@pytest.mark.parametrize("ohem", [False, True])
@pytest.mark.parametrize("widths", [None, (128, 64)])
def test_an_ocr_config_as_published_round_trips(
    tmp_path: Path, ohem: bool, widths: tuple[int, int] | None
) -> None:
    """All eight of experiments/ name two outputs and their weights, and leave OCR as it is."""

    def to_published(sections: dict[str, Any]) -> None:
        model = sections["MODEL"]
        model.update(NAME="seg_hrnet_ocr", NUM_OUTPUTS=2)
        del model["ALIGN_CORNERS"]
        if widths:
            model["OCR"] = {"MID_CHANNELS": widths[0], "KEY_CHANNELS": widths[1], "DROPOUT": 0.05}
        stage1 = model["EXTRA"]["STAGE1"]
        stage1["NUM_RANCHES"] = stage1.pop("NUM_BRANCHES")
        sections["LOSS"].update(USE_OHEM=ohem, BALANCE_WEIGHTS=[0.4, 1])

    path = changed(tmp_path, to_published)
    found = read_config(path).architecture
    assert (found.mid_channels, found.key_channels) == (widths or (512, 256))
    found.to_yaml(tmp_path / "again.yaml", like=path)
    again = merged(tmp_path / "again.yaml")
    assert Architecture.from_yaml(tmp_path / "again.yaml") == found
    assert (again.MODEL.NAME, again.MODEL.NUM_OUTPUTS) == ("seg_hrnet_ocr", 2)
    assert (widths or (512, 256)) == (again.MODEL.OCR.MID_CHANNELS, again.MODEL.OCR.KEY_CHANNELS)
    assert again.LOSS.BALANCE_WEIGHTS == [0.4, 1]
    assert ohem == again.LOSS.USE_OHEM


def extra(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(sections: dict[str, Any]) -> None:
        *stage, last = key.split(".")
        target = sections["MODEL"]["EXTRA"]
        for part in stage:
            target = target[part]
        target[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (extra("STAGE2.NUM_BRANCHS", 2), "did you mean NUM_BRANCHES?"),
        (extra("STAGE5", {}), "MODEL.EXTRA.STAGE5: is not a known key"),
        (extra("STAGE2.NUM_BLOCKS", [4]), "1 entries for 2 branches"),
        (extra("STAGE2.NUM_BLOCKS", 4), "is not a list of counts"),
        (extra("STAGE2.NUM_BLOCKS", [4, "x"]), "x is not an integer"),
        (extra("STAGE2.NUM_BLOCKS", [4, 0]), "0 is not a count"),
        (extra("STAGE2.NUM_MODULES", "2"), "2 is not a count"),
        (extra("STAGE3.BLOCK", "basic"), "basic is not known, allowed: BASIC, BOTTLENECK"),
        (extra("STAGE3.FUSE_METHOD", "ADD"), "allowed: SUM, CAT"),
        (extra("STAGE4.NUM_BRANCHES", 5), "allowed: an integer from 1 to 4"),
        (extra("FINAL_CONV_KERNEL", 5), "allowed: 1, 3"),
        (extra("STAGE3", [1]), "is not a mapping"),
        (lambda s: s["MODEL"].pop("EXTRA"), "MODEL.EXTRA: is missing"),
        (lambda s: s["MODEL"]["EXTRA"].pop("STAGE4"), "MODEL.EXTRA.STAGE4: is missing"),
        (lambda s: s["MODEL"]["EXTRA"]["STAGE4"].pop("FUSE_METHOD"), "FUSE_METHOD: is missing"),
        (lambda s: s["MODEL"]["EXTRA"].pop("FINAL_CONV_KERNEL"), "FINAL_CONV_KERNEL: is missing"),
        (lambda s: s["MODEL"].update(NAME="seg_unet"), "seg_unet is not known"),
        (lambda s: s["MODEL"].update(ALIGN_CORNERS="yes"), "ALIGN_CORNERS"),
        (lambda s: s.pop("MODEL"), "MODEL: is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    path = changed(tmp_path, change)
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_yaml(path)
    assert message in str(caught.value)
    for fault in caught.value.faults:
        assert fault.file == str(path)
        assert fault.line >= 1
        assert fault.column >= 1
        assert "\n" not in str(fault)


@pytest.mark.parametrize("value", ["010", "1e0", "1:30", "2020-01-01", "2020-99-99", "no", "1_0"])
def test_a_number_that_yaml_reads_otherwise_is_refused_as_written(
    value: str, tmp_path: Path
) -> None:
    text = SMALL.read_text().replace("NUM_MODULES: 1", f"NUM_MODULES: {value}", 2)
    with pytest.raises(ArchitectureError, match=f"NUM_MODULES: {value}: "):
        Architecture.from_yaml(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "a", "a: [", "a: *b", "\0", "MODEL: 1\nMODEL: 2", "- &x 1", "!!set {a}", "[" * 50],
)
def test_a_file_that_is_no_config_is_one_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.from_yaml(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"absent\.yaml: .*No such file"):
        Architecture.from_yaml(tmp_path / "absent.yaml")


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    def spoil(sections: dict[str, Any]) -> None:
        sections["MODEL"]["EXTRA"]["STAGE2"]["BLOK"] = 1
        sections["MODEL"]["EXTRA"]["STAGE3"]["NUM_BLOCKS"] = [1]
        del sections["MODEL"]["EXTRA"]["STAGE4"]["BLOCK"]

    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_yaml(changed(tmp_path, spoil))
    assert len(caught.value.faults) == 3


def test_all_faults_of_values_come_in_the_same_round(tmp_path: Path) -> None:
    def spoil(sections: dict[str, Any]) -> None:
        sections["MODEL"].update(NAME="seg_unet", ALIGN_CORNERS=3)
        extra = sections["MODEL"]["EXTRA"]
        extra.update(FINAL_CONV_KERNEL=5, WITH_HEAD=True)
        del extra["STAGE1"]
        extra["STAGE2"].update(BLOCK="basic", NUM_BLOCKS=[2, "x"], NUM_CHANNELS=[16, 0])
        extra["STAGE3"].update(NUM_MODULES=-1, NUM_BLOCKS=[1], FUSE_METHOD="ADD")
        extra["STAGE4"].update(NUM_BRANCHES=9)

    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_yaml(changed(tmp_path, spoil))
    assert sorted(fault.path.removeprefix("MODEL.") for fault in caught.value.faults) == [
        "ALIGN_CORNERS",
        "EXTRA.FINAL_CONV_KERNEL",
        "EXTRA.STAGE1",
        "EXTRA.STAGE2.BLOCK",
        "EXTRA.STAGE2.NUM_BLOCKS",
        "EXTRA.STAGE2.NUM_CHANNELS",
        "EXTRA.STAGE3.FUSE_METHOD",
        "EXTRA.STAGE3.NUM_BLOCKS",
        "EXTRA.STAGE3.NUM_MODULES",
        "EXTRA.STAGE4.NUM_BRANCHES",
        "EXTRA.WITH_HEAD",
        "NAME",
    ]


def test_faults_of_an_ocr_head_come_with_the_others(tmp_path: Path) -> None:
    def spoil(sections: dict[str, Any]) -> None:
        ocr = {"MID_CHANNEL": 512, "KEY_CHANNELS": 0, "SCALE": 1}
        extra = sections["MODEL"].pop("EXTRA")
        sections["MODEL"].update(NAME="seg_hrnet_ocr", OCR=ocr, EXTRA=extra)
        sections["MODEL"]["EXTRA"]["STAGE2"]["BLOCK"] = "basic"

    with pytest.raises(ArchitectureError) as caught:
        read_config(changed(tmp_path, spoil))
    assert [f.path for f in caught.value.faults] == [
        "MODEL.OCR.MID_CHANNEL", "MODEL.OCR.KEY_CHANNELS", "MODEL.EXTRA.STAGE2.BLOCK",
    ]  # fmt: skip


def test_branches_that_decrease_are_said_beside_other_faults(tmp_path: Path) -> None:
    def spoil(sections: dict[str, Any]) -> None:
        fewer = {"NUM_BRANCHES": 2, "NUM_BLOCKS": [1, 1], "NUM_CHANNELS": [16, 32]}
        sections["MODEL"]["EXTRA"]["STAGE4"].update(fewer)
        sections["MODEL"]["NAME"] = "seg_unet"

    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_yaml(changed(tmp_path, spoil))
    said = str(caught.value)
    assert "STAGE4.NUM_BRANCHES: 2 branches after 3 in STAGE3" in said
    assert "seg_unet is not known" in said


def test_form_and_content_are_judged_in_one_round(tmp_path: Path) -> None:
    text = SMALL.read_text().replace("NAME: seg_hrnet", "NAME: &n seg_unet\n  NAME: seg_unet")
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_yaml(write(tmp_path, text))
    said = str(caught.value)
    assert all(word in said for word in ("the anchor &n", "repeated", "seg_unet is not known"))


@pytest.mark.parametrize(
    ("name", "more", "what"),
    [
        # MODEL.NAME in the configs of HRNet-Image-Classification, deep-high-resolution-net,
        # HigherHRNet and HRNet-Facial-Landmark-Detection.
        ("cls_hrnet", {}, "an image classification network"),
        ("pose_hrnet", {"NUM_JOINTS": 17}, "a keypoint network"),
        ("pose_higher_hrnet", {}, "a keypoint network"),
        ("hrnet", {"NUM_JOINTS": 98}, "a keypoint network"),
    ],
)
def test_a_config_of_the_familys_other_libraries_is_named_for_what_it_is(
    name: str, more: dict[str, Any], what: str, tmp_path: Path
) -> None:
    path = changed(tmp_path, lambda s: s["MODEL"].update(NAME=name, **more))
    with pytest.raises(ArchitectureError, match=f"MODEL.NAME: {name} is the name of {what}"):
        Architecture.from_yaml(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # As in HRNet-MaskRCNN-Benchmark, and configs of detectron2 that inherit the rest.
        ("MODEL:\n  META_ARCHITECTURE: GeneralizedRCNN\nSOLVER: {}\n", ":2:3: MODEL.META_ARCH"),
        ("_BASE_: ../Base.yaml\nMODEL: {WEIGHTS: x}\n", ":1:1: _BASE_: is a key of detectron2"),
        ("[1, 2]\n", "is not a mapping"),
    ],
)
def test_a_file_of_another_kind_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_yaml(write(tmp_path, text))
    assert said in str(caught.value)
    assert len(caught.value.faults) == 1


def test_a_config_in_python_is_one_line(tmp_path: Path) -> None:
    # As mmsegmentation's are.
    text = "_base_ = ['../_base_/models/fcn_hr18.py']\nmodel = dict(backbone=dict())\n"
    for name in ("fcn_hr18.py", "fcn_hr18.yaml"):
        named = tmp_path / name
        named.write_text(text)
        with pytest.raises(ArchitectureError) as caught:
            Architecture.from_yaml(named)
        (fault,) = caught.value.faults
        assert "is a config in Python, as mmsegmentation's are" in str(fault)


def test_the_comment_says_what_the_official_library_makes_of_it() -> None:
    small = Architecture.from_yaml(SMALL)
    assert "runs it as meant" in config_text(small)
    cat = replace(small, stages=(*small.stages[:3], replace(small.stages[3], fuse="CAT")))
    assert "STAGE4.FUSE_METHOD CAT runs as SUM there" in config_text(cat)
    three = Stage(1, "BASIC", (2, 2, 2), (16, 32, 64))
    fewer = replace(small, stages=(*small.stages[:3], three))
    assert "its head crashes on 3 branches" in config_text(fewer)


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    small = read_config(SMALL)
    assert config_text(small.architecture, Config(small.architecture, cityscapes_sections())) == (
        config_text(small.architecture)
    )
    small.architecture.to_yaml(tmp_path / "a.yaml")
    small.architecture.to_yaml(tmp_path / "a.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize(
    "key",
    [
        "MODEL.NAME", "MODEL.EXTRA.FINAL_CONV_KERNEL", "MODEL.EXTRA.STAGE3.NUM_MODULES",
        "MODEL.EXTRA.STAGE3.NUM_BRANCHES", "MODEL.EXTRA.STAGE4.BLOCK",
        "MODEL.EXTRA.STAGE2.FUSE_METHOD",
    ],
)  # fmt: skip
def test_an_empty_key_is_not_another_network(tmp_path: Path, key: str) -> None:
    def empty(config: dict[str, Any]) -> None:
        *sections, last = key.split(".")
        for section in sections:
            config = config[section]
        config[last] = None

    with pytest.raises(InputError, match=f"{key}: is empty, allowed: a value"):
        read_config(changed(tmp_path, empty))


@pytest.mark.parametrize("text", ["{[1]: 2}", "-" * 5000 + "1"])
def test_text_that_is_no_literal_stays_text(text: str) -> None:
    assert decoded(text) == text
