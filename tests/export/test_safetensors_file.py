"""A safetensors file is enough to build the network that it holds the weights of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up import network
from safetensors import safe_open

from hrnet_search.export.member import Member
from hrnet_search.export.result import ExportOptions
from hrnet_search.export.safetensors_file import export_safetensors
from hrnet_search.export.trained import trained_network
from hrnet_search.net.hrnet import HRNet
from hrnet_search.net.weights import load_weights

MakeMember = Callable[..., Member]
PLAIN = network(6)
ONE, TWO, THREE, FOUR = PLAIN.stages
CAT = replace(PLAIN, stages=(ONE, TWO, THREE, replace(FOUR, fuse="CAT")))
NARROW = replace(PLAIN, stages=(ONE, TWO, THREE, THREE))


@pytest.mark.parametrize("architecture", [PLAIN, CAT, NARROW])
def test_its_yaml_and_tensors_give_the_trained_network_back(
    architecture: object, make_member: MakeMember, tmp_path: Path
) -> None:
    member = make_member(architecture, base="")
    (path,) = export_safetensors(member, tmp_path, ExportOptions()).written
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    (tmp_path / "config.yaml").write_text(facts["yaml"])
    built = HRNet(tmp_path / "config.yaml").eval()
    report = load_weights(built, path)
    assert (report.missing, report.unexpected, report.reshaped) == ((), (), ())
    images = torch.randn(1, 3, 33, 64)
    with torch.inference_mode():
        assert torch.equal(built(images), trained_network(member)(images))
    assert facts["classes"] == str(member.classes)
    assert facts["trial"] == str(member.result.key)
    assert float(facts["miou"]) == member.result.miou


def test_weights_that_were_not_kept_are_a_refusal(make_member: MakeMember, tmp_path: Path) -> None:
    found = export_safetensors(make_member(PLAIN, weights=False), tmp_path, ExportOptions())
    assert found.written == ()
    assert "its weights were not kept" in found.refused[0]
