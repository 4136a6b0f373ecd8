"""Networks with an OCR head leave a study in every format, judged by their second output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from trained_like import trained_like

from hrnet_search.arch.architecture import OCR, Architecture, Stage
from hrnet_search.arch.hrnet_yaml import config_text, parse_config
from hrnet_search.export.hrnet import export_hrnet
from hrnet_search.export.member import Member
from hrnet_search.export.mmseg import export_mmseg, model_config
from hrnet_search.export.mmseg_structure import model_tensors
from hrnet_search.export.official import merge_problems
from hrnet_search.export.onnx_file import export_onnx
from hrnet_search.export.result import ExportOptions
from hrnet_search.export.safetensors_file import export_safetensors
from hrnet_search.export.trained import shapes_of
from hrnet_search.net.hrnet import build
from hrnet_search.net.tensor_names import hrnet_tensors
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

MakeMember = Callable[..., Member]
FIRST = Stage(1, "BASIC", (1,), (8,))
SECOND, THIRD, FOURTH = (
    Stage(1, "BASIC", (1,) * n, tuple(8 * 2**b for b in range(n))) for n in (2, 3, 4)
)
NETWORK = Architecture((FIRST, SECOND, THIRD, FOURTH), OCR, mid_channels=12, key_channels=6)
SCHEDULE = Schedule(DataSpec("shapes", 5), loss="ohem", aux_weight=0.3)
WEIGHTS = ExportOptions(weights=True)


@pytest.fixture
def member(make_member: MakeMember) -> Member:
    return make_member(NETWORK, schedule=SCHEDULE)


def outputs(state: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    network = build(NETWORK, 5).eval()
    network.load_state_dict(state, strict=True)
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        return network.outputs(torch.randn(2, 3, 64, 96, generator=generator))


def test_the_hrnet_library_trains_and_tests_it_as_seg_hrnet_ocr(
    member: Member, tmp_path: Path
) -> None:
    """Two outputs, their weights, and the official names behind `model.`."""
    config, weights = export_hrnet(member, tmp_path, WEIGHTS).written
    sections = yaml.safe_load(config.read_text())
    assert sections["MODEL"]["NAME"] == "seg_hrnet_ocr"
    assert sections["MODEL"]["NUM_OUTPUTS"] == 2
    assert sections["MODEL"]["OCR"] == {"MID_CHANNELS": 12, "KEY_CHANNELS": 6}
    assert sections["LOSS"]["BALANCE_WEIGHTS"] == [0.3, 1]
    assert merge_problems(sections) == []
    assert parse_config(config.read_text()).architecture == NETWORK
    found = torch.load(weights, weights_only=True)
    same = outputs({name[6:]: tensor for name, tensor in found.items()})
    expected = outputs(trained_like(NETWORK, 5).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(same, expected, strict=True))


def test_a_last_stage_of_fewer_branches_is_refused_by_the_library_alone(
    make_member: MakeMember, tmp_path: Path
) -> None:
    three = replace(NETWORK, stages=(FIRST, SECOND, THIRD, THIRD))
    member = make_member(three, schedule=SCHEDULE)
    (refused,) = export_hrnet(member, tmp_path, ExportOptions()).refused
    assert "crashes on 3 branches" in refused
    assert export_mmseg(member, tmp_path, WEIGHTS).refused == ()


def test_a_plain_variant_of_a_base_with_ocr_has_one_output_and_the_other_way_about() -> None:
    plain = replace(NETWORK, head="seg_hrnet")
    base = parse_config(config_text(NETWORK))
    sections = yaml.safe_load(config_text(plain, base))
    assert not {"NUM_OUTPUTS", "OCR"} & sections["MODEL"].keys()
    assert "BALANCE_WEIGHTS" not in sections["LOSS"]
    back = yaml.safe_load(config_text(NETWORK, parse_config(config_text(plain))))
    assert back["MODEL"]["NUM_OUTPUTS"] == 2
    assert back["LOSS"]["BALANCE_WEIGHTS"] == [0.4, 1]


def test_mmsegmentation_gets_a_cascade_of_an_fcn_head_and_an_ocr_head(
    member: Member, tmp_path: Path
) -> None:
    """Names and shapes by its own sources; read back, its tensors compute the same."""
    config, _, weights = export_mmseg(member, tmp_path, WEIGHTS).written
    namespace: dict[str, Any] = {}
    exec(config.read_text(), {}, namespace)
    model = namespace["model"]
    assert model == model_config(member)
    assert (model["type"], model["num_stages"]) == ("CascadeEncoderDecoder", 2)
    pixels, ocr = model["decode_head"]
    assert (pixels["type"], pixels["loss_decode"]["loss_weight"]) == ("FCNHead", 0.3)
    assert (ocr["type"], ocr["channels"], ocr["ocr_channels"]) == ("OCRHead", 12, 6)
    assert ocr["dropout_ratio"] == 0.05
    assert "OHEM" in config.read_text()
    content = torch.load(weights, weights_only=True)
    assert shapes_of(content["state_dict"]) == model_tensors(model)
    again = hrnet_tensors(content)
    assert "OCRHead" in str(again)
    expected = outputs(trained_like(NETWORK, 5).state_dict())
    for ours, theirs in zip(expected, outputs(again.tensors), strict=True):
        assert (ours - theirs).abs().max() < 1e-5 * ours.abs().max()


@pytest.mark.slow
@pytest.mark.xdist_group("onnx")
def test_onnx_and_safetensors_hold_what_is_judged(member: Member, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    (written,) = export_onnx(member, tmp_path, ExportOptions()).written
    session = onnxruntime.InferenceSession(written.read_bytes(), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["logits"]
    (kept,) = export_safetensors(member, tmp_path, ExportOptions()).written
    state = load_file(kept)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 96, generator=generator)
    (logits,) = session.run(None, {"images": images.numpy()})
    main = outputs(state)[1]
    assert (torch.from_numpy(logits) - main).abs().max() < 1e-3 * (main.max() - main.min())
