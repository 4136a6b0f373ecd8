"""An exported HRNet-OCR, config and weights, computes what the official code computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from net.test_hrnet_golden import probe
from net.test_ocr_golden import case, network, official
from trained_like import keep_weights

from hrnet_search.arch.hrnet_yaml import parse_config
from hrnet_search.export.hrnet import export_hrnet
from hrnet_search.export.member import Member
from hrnet_search.export.result import ExportOptions
from hrnet_search.net.hrnet import build
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

NAME = "ocr_w18_small_v1_mid128"
ROUNDED = 1e-5
"""Of the largest logit: files hold float32, the official numbers are of float64."""


def test_an_exported_w18_small_v1_with_ocr_gives_the_official_logits(
    make_member: Callable[..., Member], tmp_path: Path
) -> None:
    """The official code's numbers for weights by formula (golden/ocr_w18_small_v1_mid128.json)."""
    architecture, classes = case(NAME)
    member = make_member(architecture, schedule=Schedule(DataSpec("shapes", classes)))
    keep_weights(member.folder, member.result.key, network(NAME, aligned := False).float())
    written = export_hrnet(member, tmp_path / "out", ExportOptions(weights=True)).written
    config, weights = written
    read = parse_config(config.read_text()).architecture
    assert read == architecture
    built = build(read, classes)
    state = torch.load(weights, weights_only=True)
    built.load_state_dict({name.removeprefix("model."): t for name, t in state.items()})
    built = built.double().eval()
    expected = official(NAME)["outputs"][f"align_corners_{str(aligned).lower()}"]
    for probed, numbers in expected.items():
        with torch.inference_mode():
            aux, main = built.outputs(probe(probed))
        for found, one in ((aux, numbers["aux"]), (main, numbers["main"])):
            flat = found.flatten()
            values = torch.tensor(one["values"], dtype=torch.float64)
            assert list(found.shape) == one["shape"]
            gap = (flat[one["positions"]] - values).abs().max()
            assert gap <= ROUNDED * one["absmax"], (probed, gap)
