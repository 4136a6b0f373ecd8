"""The OCR head against what the official `seg_hrnet_ocr.py` computes (golden/ocr_*.json)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from net.test_hrnet_golden import (
    CASES,
    GOLDEN,
    RELATIVE,
    assert_official,
    filled,
    probe,
    uniform,
)
from torch import Tensor, nn

from hrnet_search.arch.architecture import OCR, Architecture
from hrnet_search.arch.cost import attention_macs, cost
from hrnet_search.net.hrnet import HighResolutionNet, build

NAMES = ("ocr_w18_small_v1_mid128", "ocr_w18_small_v2", "ocr_w48")


@lru_cache(maxsize=1)
def official(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def case(name: str) -> tuple[Architecture, int]:
    """Return the network of a golden file: the backbone is that of a plain one."""
    trunk = CASES[name.removeprefix("ocr_").removesuffix("_mid128")][0]
    ocr = official(name)["ocr"]
    widths = {"mid_channels": ocr["MID_CHANNELS"], "key_channels": ocr["KEY_CHANNELS"]}
    classes = dict(official(name)["state_dict"])["cls_head.bias"][0]
    return replace(trunk, head=OCR, **widths), classes


def network(name: str, align_corners: bool) -> HighResolutionNet:
    architecture, classes = case(name)
    with torch.device("meta"):
        built = build(replace(architecture, align_corners=align_corners), classes)
    tensors = {key: filled(key, tuple(shape)) for key, shape in official(name)["state_dict"]}
    built.load_state_dict(tensors, strict=True, assign=True)
    return built


@pytest.mark.parametrize("name", NAMES)
def test_names_order_and_shapes_are_the_official_ones(name: str) -> None:
    with torch.device("meta"):
        built = build(*case(name))
    entries = [[key, list(tensor.shape)] for key, tensor in built.state_dict().items()]
    assert entries == official(name)["state_dict"]


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_the_official_ones(name: str) -> None:
    architecture, classes = case(name)
    macs = official(name)["macs"]
    found = cost(architecture, (512, 1024), classes)
    assert found.params == official(name)["num_params"]
    assert found.macs == macs["conv"] == sum(macs["conv_by_top"].values())
    products = attention_macs(architecture, (512, 1024), classes)
    assert products == sum(macs["matmul_not_in_conv"].values())


@pytest.mark.parametrize("name", [*NAMES[:2], pytest.param(NAMES[2], marks=pytest.mark.slow)])
def test_both_outputs_are_the_official_ones_for_both_align_corners(name: str) -> None:
    networks = {aligned: network(name, aligned).eval() for aligned in (False, True)}
    for aligned, built in networks.items():
        expected = official(name)["outputs"][f"align_corners_{str(aligned).lower()}"]
        assert len(expected) == 3
        for probed, numbers in expected.items():
            with torch.inference_mode():
                aux, main = built.outputs(probe(probed))
                assert_official(aux, numbers["aux"])
                assert_official(main, numbers["main"])
                if probed == "sin_1x3x64x96":
                    assert torch.equal(built(probe(probed)), main)


def cross_entropy(logits: Tensor, classes: int, aligned: bool) -> Tensor:
    u = uniform(777, 2 * 64 * 96)
    labels = torch.from_numpy(np.floor(u * (classes + 1))).long().reshape(2, 64, 96)
    labels[labels == classes] = 255
    full = F.interpolate(logits, (64, 96), mode="bilinear", align_corners=aligned)
    return F.cross_entropy(full, labels, ignore_index=255)


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_training_step_is_the_official_one(name: str) -> None:
    expected, classes = official(name)["train_step"], case(name)[1]
    aligned = official(name)["yaml_align_corners"]
    built = network(name, aligned).train()
    for module in built.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    aux, main = built(probe(expected["input"]))
    assert_official(aux, expected["aux"])
    assert_official(main, expected["main"])
    losses = [cross_entropy(logits, classes, aligned) for logits in (aux, main)]
    assert losses[0].item() == pytest.approx(expected["ce_aux"], rel=RELATIVE)
    assert losses[1].item() == pytest.approx(expected["ce_main"], rel=RELATIVE)
    (0.4 * losses[0] + losses[1]).backward()  # type: ignore[no-untyped-call]
    norms = {key: built.get_parameter(key).grad.norm().item() for key in expected["grad_norms"]}  # type: ignore[union-attr]
    assert norms == pytest.approx(expected["grad_norms"], rel=1e-8)


def test_the_head_starts_as_the_official_one() -> None:
    """N(0, 0.001) before it; torch's start for all of whose name holds `cls`, `aux` or `ocr`."""
    torch.manual_seed(0)
    built = build(*case(NAMES[0]))
    own = [
        name for name, _ in built.named_modules() if any(p in name for p in ("cls", "aux", "ocr"))
    ]
    for name, module in built.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        spread = module.weight.std().item()
        bound = module.weight[0].numel() ** -0.5  # torch: uniform within it
        expected = bound / 3**0.5 if name in own else 0.001
        assert spread == pytest.approx(expected, rel=0.15), name
