"""mmsegmentation's files are shaped as its own, and its tensors are ours, one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import network
from random_networks import draw
from trained_like import trained_like

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.cost import cost
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.arch.targets import MMSEG, target_problems
from hrnet_search.export.member import Member, front_of
from hrnet_search.export.mmseg import (
    config_source,
    export_mmseg,
    model_config,
    tensor_problems,
)
from hrnet_search.export.mmseg_structure import model_tensors
from hrnet_search.export.result import ExportOptions
from hrnet_search.export.trained import empty_state, shapes_of
from hrnet_search.net.hrnet import build
from hrnet_search.net.mmseg_names import FOLDED as BIASES
from hrnet_search.net.mmseg_names import mmseg_name, to_mmseg
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.store.study import Study

MakeMember = Callable[..., Member]

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = {
    18: "seg_hrnet_w18_sgd_lr5e-2_wd1e-4_bs32_x100.yaml",
    48: "seg_hrnet_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484.yaml",
}
PLAIN = network(8)
FIRST, SECOND, THIRD, FOURTH = PLAIN.stages
CAT = Architecture((FIRST, replace(SECOND, fuse="CAT"), THIRD, FOURTH))
CROSSED = Architecture((FIRST, SECOND, THIRD, replace(FOURTH, channels=(9, 16, 32, 64))))
FOLDED, FOLDED_INTO = next(iter(BIASES.items()))
NORM = {"type": "SyncBN", "requires_grad": True}


def published(width: int) -> dict[str, Any]:
    """Return the model of mmsegmentation's fcn_hr18 and fcn_hr48, as far as it is structure.

    `configs/_base_/models/fcn_hr18.py`, and `configs/hrnet/fcn_hr48_4xb2-80k_cityscapes-*.py`
    which changes the channels in it.
    """
    widths = [width, 2 * width, 4 * width, 8 * width]
    numbers = ((1, 2), (4, 3), (3, 4))  # modules and branches of stages 2 to 4
    stages = {
        f"stage{number}": {
            "num_modules": modules,
            "num_branches": branches,
            "block": "BASIC",
            "num_blocks": (4,) * branches,
            "num_channels": tuple(widths[:branches]),
        }
        for number, (modules, branches) in enumerate(numbers, start=2)
    }
    first = {"num_modules": 1, "num_branches": 1, "block": "BOTTLENECK"}
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
            "pad_val": 0,
            "seg_pad_val": 255,
        },
        "backbone": {
            "type": "HRNet",
            "norm_cfg": NORM,
            "norm_eval": False,
            "extra": {"stage1": {**first, "num_blocks": (4,), "num_channels": (64,)}, **stages},
        },
        "decode_head": {
            "type": "FCNHead",
            "in_channels": widths,
            "in_index": (0, 1, 2, 3),
            "channels": sum(widths),
            "input_transform": "resize_concat",
            "kernel_size": 1,
            "num_convs": 1,
            "concat_input": False,
            "dropout_ratio": -1,
            "num_classes": 19,
            "norm_cfg": NORM,
            "align_corners": False,
            "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
        },
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }


def read(path: Path) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(path.read_text(), {}, namespace)
    model: dict[str, Any] = namespace["model"]
    return model


@pytest.mark.parametrize("width", [18, 48])
def test_w18_and_w48_are_the_published_configs(
    width: int, make_member: MakeMember, tmp_path: Path
) -> None:
    shipped = CONFIGS / SHIPPED[width]
    architecture = read_config(shipped).architecture
    schedule = Schedule(DataSpec("shapes", 19))
    member = make_member(architecture, schedule=schedule, weights=False)
    config, _ = export_mmseg(member, tmp_path, ExportOptions()).written
    found = read(config)
    assert found.pop("pretrained") is None  # theirs names ImageNet weights
    assert found["data_preprocessor"].pop("size") == schedule.crop  # theirs is in other files
    assert found["decode_head"].pop("ignore_index") == 255  # theirs by default
    assert found == published(width)
    # The head's first bias apart, they have the parameters of the official network.
    trained = {n: s for n, s in model_tensors(found).items() if "running" not in n and s}
    official = cost(architecture, (64, 64), 19).params
    assert sum(torch.Size(shape).numel() for shape in trained.values()) == official - 15 * width


def test_random_networks_map_one_to_one_onto_its_tensors(make_member: MakeMember) -> None:
    rng, expressed = random.Random(3), 0
    base = make_member(PLAIN, weights=False)
    for _ in range(60):
        architecture = replace(draw(rng, most=2), align_corners=False)
        if target_problems(MMSEG, architecture):
            continue
        expressed += 1
        member = replace(base, architecture=architecture)
        ours = empty_state(member)
        names = [mmseg_name(name) for name in ours if name != FOLDED]
        assert len(set(names)) == len(names) == len(ours) - 1
        theirs = model_tensors(model_config(member))
        assert set(names) == set(theirs)
        assert shapes_of(to_mmseg(ours)) == {name: theirs[name] for name in names}
        assert tensor_problems(config_source(member, model_config(member)), to_mmseg(ours)) == []
    assert expressed >= 5


def test_the_heads_first_bias_is_folded_exactly() -> None:
    network = trained_like(PLAIN, 3)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        theirs = to_mmseg(network.state_dict())
        network.get_parameter(FOLDED).zero_()
        network.get_buffer("last_layer.1.running_mean").copy_(theirs[FOLDED_INTO])
        found = network(images)
    unfolded = trained_like(PLAIN, 3).get_buffer("last_layer.1.running_mean")
    assert (theirs[FOLDED_INTO] - unfolded).abs().max() > 0.1
    assert (found - expected).abs().max() < 1e-5 * (expected.max() - expected.min())


def test_slices_are_a_checkpoint_to_start_from(
    make_sharing: Callable[..., tuple[Study, SharedNetwork]], tmp_path: Path
) -> None:
    study, shared = make_sharing(PLAIN, weights=False)
    (member,) = front_of(study)
    config, keys, start = export_mmseg(member, tmp_path, ExportOptions(slices=True)).written
    assert start.name == f"{config.stem}_slice.pth"
    tensors = torch.load(start, weights_only=True)["state_dict"]
    assert shapes_of(tensors) == model_tensors(read(config))
    names = json.loads(keys.read_text())["names"]
    slices = shared.slices(build(PLAIN, member.classes))
    held = [key for key in slices if key in names]
    assert len(held) > 100
    assert all(torch.equal(tensors[names[key]], slices[key]) for key in held)


def test_weights_are_a_checkpoint_of_mmengine(make_member: MakeMember, tmp_path: Path) -> None:
    data = DataSpec("folder", 3, names=("road", "car", "sky"))
    member = make_member(PLAIN, schedule=Schedule(data))
    config, keys, weights = export_mmseg(member, tmp_path, ExportOptions(weights=True)).written
    assert "." not in config.stem
    content = torch.load(weights, weights_only=True)
    assert content["meta"]["dataset_meta"]["classes"] == ["road", "car", "sky"]
    assert len(content["meta"]["dataset_meta"]["palette"]) == 3
    tensors = content["state_dict"]
    assert shapes_of(tensors) == model_tensors(read(config))
    ours, names = trained_like(PLAIN, 3).state_dict(), json.loads(keys.read_text())
    assert names["folded"] == {FOLDED: f"taken off {FOLDED_INTO}"}
    assert {*names["names"], FOLDED} == set(ours)
    same = [n for n, other in names["names"].items() if torch.equal(ours[n], tensors[other])]
    assert set(ours) - set(same) == {FOLDED, "last_layer.1.running_mean"}


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        (
            Architecture((FIRST, replace(SECOND, fuse="CAT"), THIRD, FOURTH)),
            "STAGE2.FUSE_METHOD CAT",
        ),
        (replace(PLAIN, align_corners=True), "ALIGN_CORNERS true"),
        (replace(PLAIN, final_kernel=3), "FINAL_CONV_KERNEL 3"),
        (CROSSED, "transition3 changes the channels of branch 0"),
    ],
)
def test_what_it_cannot_express_is_refused_by_name(
    architecture: Architecture, reason: str, make_member: MakeMember, tmp_path: Path
) -> None:
    member = make_member(architecture)
    found = export_mmseg(member, tmp_path / "out", ExportOptions(weights=True))
    assert found.written == ()
    assert reason in found.refused[0]
    assert not (tmp_path / "out").exists()
    forced = export_mmseg(member, tmp_path, ExportOptions(as_is=True))
    assert "NOT as it was searched" in forced.written[0].read_text()


def test_fewer_branches_and_empty_stages_are_expressed(make_member: MakeMember) -> None:
    empty = Architecture((FIRST, SECOND, replace(THIRD, modules=0), replace(THIRD, modules=2)))
    assert target_problems(MMSEG, empty) == []
    one = Stage(1, "BASIC", (1,), (7,))
    alone = Architecture((FIRST, one, one, one), align_corners=True)
    assert target_problems(MMSEG, alone) == []  # nothing is fused; its head aligns
    member = make_member(empty, weights=False)
    head = model_config(member)["decode_head"]
    assert (head["in_channels"], head["in_index"]) == ([8, 16, 32], (0, 1, 2))
    assert "multiples of 16" in config_source(member, model_config(member))


def test_the_ignored_label_and_the_crop_are_the_studys(make_member: MakeMember) -> None:
    """`BaseDecodeHead(ignore_index)`, `stack_batch(size, seg_pad_val)` of mmsegmentation 1.2."""
    schedule = Schedule(DataSpec("folder", 11, ignore=11), crop=(64, 96))
    model = model_config(make_member(PLAIN, weights=False, schedule=schedule))
    assert model["decode_head"]["ignore_index"] == 11
    assert model["data_preprocessor"]["seg_pad_val"] == 11
    assert model["data_preprocessor"]["size"] == (64, 96)
    assert "size_divisor" not in model["data_preprocessor"]  # it stops on both


def test_what_its_losses_and_flips_do_not_do_is_said(make_member: MakeMember) -> None:
    data = DataSpec("folder", 5, swaps=((1, 2),))
    schedule = Schedule(data, loss="ohem", class_weights="balanced", crop=(64, 96))
    member = make_member(PLAIN, weights=False, schedule=schedule)
    source = config_source(member, model_config(member))
    for said in ("with OHEM; these losses", "class weights, balanced", "mirror: 1 and 2;"):
        assert said in source


def test_tensors_that_are_not_the_configs_are_found(make_member: MakeMember) -> None:
    member = make_member(PLAIN, weights=False)
    text = config_source(member, model_config(member))
    state = to_mmseg(empty_state(member))
    assert tensor_problems(text, state) == []
    lost = dict(state)
    del lost["backbone.conv1.weight"]
    assert tensor_problems(text, lost) == [
        "1 tensors have no equal there, backbone.conv1.weight first"
    ]
    wider = text.replace("num_channels=(8, 16, 32, 64)", "num_channels=(9, 16, 32, 64)")
    assert wider != text
    assert len(tensor_problems(wider, state)) == 1
