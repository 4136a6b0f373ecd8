"""ONNX files compute what torch computes, at sizes and batches that they were not traced at."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from made_up import network
from random_networks import draw
from trained_like import keep_weights, trained_like

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import parse_config, read_config
from hrnet_search.export import onnx_file
from hrnet_search.export.member import Member
from hrnet_search.export.onnx_file import export_onnx
from hrnet_search.export.result import ExportOptions
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.net.onnx_model import (
    TOLERANCE,
    checked_shapes,
    difference_problem,
    largest_difference,
    to_onnx,
)
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult

pytestmark = pytest.mark.xdist_group("onnx")  # one process, so that what is written is written once

MakeMember = Callable[..., Member]
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
V2 = next(path for path in CONFIGS if "hrnet_w18_small_v2" in path.name)
ODD = ((1, 3, 65, 97), (2, 3, 31, 33), (3, 3, 64, 50))


def concatenating(architecture: Architecture) -> Architecture:
    """Return the same with CAT in stages 2 to 4."""
    one, *rest = architecture.stages
    two, three, four = (replace(stage, fuse="CAT") for stage in rest)
    return replace(architecture, stages=(one, two, three, four))


def small() -> Architecture:
    """Return a CAT network of one to three branches with aligned corners: an export takes its time.

    What four branches add is more of the same; `test_every_shipped_config` has them.
    """
    one, two, three, four = network(4).stages
    three = replace(three, blocks=three.blocks[:2], channels=three.channels[:2])
    four = replace(four, blocks=four.blocks[:3], channels=four.channels[:3])
    return replace(concatenating(Architecture((one, two, three, four))), align_corners=True)


def difference(
    architecture: Architecture, size: tuple[int, int] | None = None, batch: int | None = None
) -> float:
    built = trained_like(architecture, 7)
    shapes = [(batch or n, 3, *(size or at)) for n, _, *at in ODD]
    content = to_onnx(built, size, batch).SerializeToString()
    found = largest_difference(content, built, shapes)
    print(f"{architecture.id}: {found:.2g} of the output range")
    return found


@pytest.mark.bench
def test_a_shipped_config_computes_what_torch_computes_at_a_fixed_size() -> None:
    """Of either kind of size a small network is held to it below: an export ends with that."""
    architecture = replace(concatenating(read_config(V2).architecture), align_corners=True)
    assert difference(architecture, (65, 97), 1) < TOLERANCE / 10


@pytest.mark.bench
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("cat", [False, True])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_computes_what_torch_computes(
    path: Path, cat: bool, aligned: bool
) -> None:
    architecture = replace(read_config(path).architecture, align_corners=aligned)
    architecture = concatenating(architecture) if cat else architecture
    assert difference(architecture) < TOLERANCE


@pytest.mark.bench
@pytest.mark.parametrize("number", range(20))
def test_random_variants_compute_what_torch_computes(number: int) -> None:
    assert difference(draw(random.Random(number), most=2)) < TOLERANCE


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Member, Path]:
    """A member of a front, CAT and with aligned corners, and its file of open size."""
    architecture = small()
    folder = tmp_path_factory.mktemp("study")
    (folder / "weights").mkdir()
    key = TrialKey(architecture.id, "sc-0", 0)
    keep_weights(folder, key, trained_like(architecture, 19))
    result = TrialResult(key, COMPLETED, miou=0.5)
    member = Member(architecture, 0.5, result, (), None, ConfigWriter(), "made-up", folder, 0)
    (path,) = export_onnx(member, folder / "out", ExportOptions()).written
    return member, path


@pytest.mark.slow
def test_an_open_file_takes_any_size_and_batch(written: tuple[Member, Path]) -> None:
    member, path = written
    built = trained_like(member.architecture, 19)
    shapes = [*ODD, (1, 3, 128, 32)]
    assert largest_difference(path.read_bytes(), built, shapes) < TOLERANCE / 10
    (images,) = onnx.load(path).graph.input
    dims = [dim.dim_param or dim.dim_value for dim in images.type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]


@pytest.mark.slow
def test_its_metadata_says_what_it_is_and_how_far_from_torch(written: tuple[Member, Path]) -> None:
    member, path = written
    model = onnx.load(path)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert 0 <= float(facts["difference_to_torch"]) < TOLERANCE / 10
    assert facts["checked_at"] == "1x3x96x128, 2x3x65x97"
    assert parse_config(facts["yaml"]).architecture == member.architecture
    assert facts["trial"] == str(member.result.key)
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()  # no paths of ours


@pytest.mark.slow
def test_the_check_tells_networks_apart_that_differ_a_little(written: tuple[Member, Path]) -> None:
    member, path = written
    other = replace(member.architecture, align_corners=False)
    built = trained_like(other, 19)
    found = largest_difference(path.read_bytes(), built, checked_shapes(None, None))
    assert found > 10 * TOLERANCE
    assert f"by {found:.2g} of the output range" in difference_problem(found)
    assert difference_problem(TOLERANCE) == ""
    assert difference_problem(float("nan"))


def test_a_file_that_differs_from_torch_is_refused_with_the_figure(
    written: tuple[Member, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    member, path = written
    wrong = onnx.load(path)
    for weights in wrong.graph.initializer:
        if weights.name.endswith("last_layer.3.weight"):
            scaled = 1.01 * onnx.numpy_helper.to_array(weights)
            weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
    monkeypatch.setattr(onnx_file, "to_onnx", lambda *_, **__: wrong)
    found = export_onnx(member, tmp_path / "out", ExportOptions())
    assert found.written == ()
    assert "differs from torch by 0.0" in found.refused[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_fixed_size_and_batch_are_in_the_name_and_the_file(
    make_member: MakeMember, tmp_path: Path
) -> None:
    options = ExportOptions(size=(33, 64), batch=2)
    (path,) = export_onnx(make_member(network(2)), tmp_path, options).written
    assert path.name.endswith("_33x64_batch2.onnx")
    (images,) = onnx.load(path).graph.input
    dims = [dim.dim_value for dim in images.type.tensor_type.shape.dim]
    assert dims == [2, 3, 33, 64]


def test_weights_that_were_not_kept_are_a_refusal(make_member: MakeMember, tmp_path: Path) -> None:
    found = export_onnx(make_member(network(2), weights=False), tmp_path, ExportOptions())
    assert "its weights were not kept" in found.refused[0]


def test_logits_do_not_hang_on_the_last_bias_alone() -> None:
    # Else every check above would be of nothing.
    built = trained_like(network(4), 7)
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = built(images)
    assert logits.std(dim=(2, 3)).min() > 0.02 * (logits.max() - logits.min())
