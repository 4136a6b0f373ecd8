"""Configs and weights load in the official library, and never what it would run differently."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import network, result
from trained_like import keep_weights, trained_like

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.hrnet_yaml import cityscapes_sections, config_text, read_config
from hrnet_search.errors import WeightsError
from hrnet_search.export.card import card_text
from hrnet_search.export.hrnet import config_problems, export_hrnet, write_front_configs
from hrnet_search.export.member import Member, front_of, network_of_trial
from hrnet_search.export.official import merge_problems
from hrnet_search.export.result import ExportOptions, ExportResult
from hrnet_search.export.trained import slice_of
from hrnet_search.net.hrnet import build
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.parts import Parts
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.report.page.gather import gather
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

MakeStudy = Callable[..., Study]
MakeMember = Callable[..., Member]

GOLDEN = Path(__file__).parents[1] / "golden"
FIRST, SECOND, THIRD, FOURTH = network(10).stages
PLAIN = network(9)
CAT = Architecture((FIRST, replace(SECOND, fuse="CAT"), THIRD, FOURTH))
THREE = Architecture((FIRST, SECOND, THIRD, THIRD))
WEIGHTS = ExportOptions(weights=True)
MakeSharing = Callable[..., tuple[Study, SharedNetwork]]


def basic(modules: int, blocks: tuple[int, ...], channels: tuple[int, ...]) -> Stage:
    return Stage(modules, "BASIC", blocks, channels)


def of_shapes(classes: int) -> Schedule:
    return Schedule(DataSpec("shapes", classes))


def doubling(width: int, modules: tuple[int, int, int], blocks: int) -> tuple[Stage, ...]:
    return tuple(
        basic(count, (blocks,) * n, tuple(width * 2**b for b in range(n)))
        for n, count in enumerate(modules, start=2)
    )


def hrnet(first: tuple[int, int], *later: Stage, final_kernel: int = 1) -> Architecture:
    second, third, fourth = later
    one = Stage(1, "BOTTLENECK", (first[0],), (first[1],))
    return Architecture((one, second, third, fourth), final_kernel=final_kernel)


# Variants whose names, order and shapes the official code was run to list.
KINDS = {
    "m01_unequal_blocks": hrnet(
        (3, 24),
        basic(1, (3, 1), (16, 32)),
        basic(2, (1, 2, 4), (16, 32, 64)),
        basic(1, (4, 1, 2, 3), (16, 32, 64, 128)),
    ),
    "m02_nondoubling_channels": hrnet(
        (1, 32),
        basic(1, (2, 2), (20, 28)),
        basic(1, (2, 2, 2), (20, 28, 70)),
        basic(1, (2, 2, 2, 2), (20, 28, 70, 50)),
    ),
    "m04_modules_3_1_2": hrnet((2, 32), *doubling(16, (3, 1, 2), 2)),
    "m08_branches_2_4_4": hrnet(
        (1, 32),
        basic(1, (2, 2), (16, 32)),
        basic(2, (1, 1, 1, 1), (16, 32, 48, 64)),
        basic(1, (2, 2, 2, 2), (16, 32, 48, 64)),
    ),
    "m11_final_conv3": hrnet((1, 32), *doubling(16, (1, 1, 1), 1), final_kernel=3),
    "w18_small_v1": hrnet((1, 32), *doubling(16, (1, 1, 1), 2)),
}


@pytest.fixture
def mixed(make_front: Callable[..., Study]) -> Study:
    """A front of a plain network, a CAT one and one of three branches."""
    return make_front(PLAIN, CAT, THREE)


def export(study: Study, folder: Path, **options: Any) -> ExportResult:
    found = ExportResult()
    for member in front_of(study):
        found += export_hrnet(member, folder, ExportOptions(**options))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_a_test_script_finds_exactly_the_official_tensors(
    name: str, make_member: MakeMember, tmp_path: Path
) -> None:
    official: Any = json.loads((GOLDEN / f"{name}.json").read_text())["state_dict"]
    classes = dict(official)["last_layer.3.bias"][0]
    member = make_member(KINDS[name], schedule=Schedule(DataSpec("shapes", classes)))
    config, weights = export_hrnet(member, tmp_path, WEIGHTS).written
    assert read_config(config).architecture == KINDS[name]
    found = torch.load(weights, weights_only=True)
    stripped = {key[6:]: tensor for key, tensor in found.items()}
    assert [[key, list(tensor.shape)] for key, tensor in stripped.items()] == official
    expected = trained_like(KINDS[name], classes).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in stripped.items())


def test_a_slice_is_what_the_official_trainer_starts_from(
    make_sharing: MakeSharing, tmp_path: Path
) -> None:
    """Under the plain names alone: seg_hrnet takes none behind a prefix, and says nothing."""
    name = "w18_small_v1"
    official: Any = json.loads((GOLDEN / f"{name}.json").read_text())["state_dict"]
    classes = dict(official)["last_layer.3.bias"][0]
    study, shared = make_sharing(KINDS[name], weights=False, schedule=of_shapes(classes))
    (member,) = front_of(study)
    config, start = export_hrnet(member, tmp_path, ExportOptions(slices=True)).written
    assert start.name == f"{member.stem}_slice.pth"
    found = torch.load(start, weights_only=True)
    assert [[key, list(tensor.shape)] for key, tensor in found.items()] == official
    slices = shared.slices(build(KINDS[name], classes))
    assert all(torch.equal(found[key], tensor) for key, tensor in slices.items())
    assert not any(found[key].any() for key in found if key.endswith("running_mean"))
    sections = read_config(config).sections
    assert sections["MODEL"].get("PRETRAINED", "") == "", "a config has one content"
    both = ExportResult((config, start))
    command = f"--cfg FOLDER/{config.name} MODEL.PRETRAINED FOLDER/{start.name}\n"
    assert command in card_text(member, both)
    assert "MODEL.PRETRAINED" not in card_text(member, ExportResult((config,)))


def test_a_slice_is_the_same_file_each_time_and_draws_from_no_stream(
    make_sharing: MakeSharing, tmp_path: Path
) -> None:
    """Of a network with a stage that was not taught, which starts anew."""
    study, _ = make_sharing(PLAIN, weights=False)
    (member,) = front_of(study)
    first, second, third, fourth = PLAIN.stages
    bottleneck = replace(fourth, block="BOTTLENECK")
    other = replace(member, architecture=Architecture((first, second, third, bottleneck)))
    with pytest.raises(WeightsError, match=r"\d+ of its 183 tensors were not taught \("):
        slice_of(other)
    before = torch.random.get_rng_state()
    one, again = (slice_of(other, as_is=True).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], again[key]) for key in one)


def test_slices_that_are_not_there_or_would_be_judged_wrongly_are_refused(
    make_sharing: MakeSharing, tmp_path: Path
) -> None:
    data = DataSpec("folder", 5, mean=(0.5, 0.5, 0.5))
    study, _ = make_sharing(PLAIN, CAT, weights=False, schedule=Schedule(data))
    plain, cat = front_of(study)
    refused = [
        export_hrnet(member, tmp_path, ExportOptions(slices=True)).refused
        for member in (plain, cat)
    ]
    assert [len(lines) for lines in refused] == [1, 1]
    assert "these images with [0.5, 0.5, 0.5]" in refused[0][0]
    assert "CAT" in refused[1][0]
    (lost,) = study.folder.glob("weights/*")
    lost.unlink()
    (line,) = export_hrnet(plain, tmp_path, ExportOptions(slices=True, as_is=True)).refused
    assert lost.name in line
    own = replace(plain, shared=None)
    (line,) = export_hrnet(own, tmp_path, ExportOptions(slices=True, as_is=True)).refused
    assert "taught no weights that its networks share" in line


def test_what_the_official_library_would_change_is_refused_the_others_written(
    mixed: Study, tmp_path: Path
) -> None:
    found = export(mixed, tmp_path / "new" / "out")
    name = f"seg_hrnet_w9_{PLAIN.id}_miou50.0.yaml"
    assert [path.name for path in found.written] == [name]
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == [name]
    cat, three = found.refused
    assert CAT.id in cat
    assert "STAGE2.FUSE_METHOD CAT runs as SUM" in cat
    assert THREE.id in three
    assert "crashes on 3 branches" in three


def test_as_is_writes_them_with_a_warning_in_the_file(mixed: Study, tmp_path: Path) -> None:
    found = export(mixed, tmp_path / "out", as_is=True)
    assert found.refused == ()
    assert [read_config(p).architecture for p in found.written] == [PLAIN, CAT, THREE]
    assert ["NOT for the official" in p.read_text() for p in found.written] == [False, True, True]


def test_as_is_writes_their_weights_too(mixed: Study, tmp_path: Path) -> None:
    found = export(mixed, tmp_path, as_is=True, weights=True)
    assert [p.suffix for p in found.written] == [".yaml", ".pth"] * 3
    names = torch.load(found.written[3], weights_only=True)
    assert "model.stage2.0.fuse_projections.0.weight" in names


def test_a_refused_config_has_no_weights(mixed: Study, tmp_path: Path) -> None:
    found = export(mixed, tmp_path, weights=True)
    assert {p.stem for p in found.written} == {f"seg_hrnet_w9_{PLAIN.id}_miou50.0"}


def test_a_config_keeps_the_sections_of_the_base(make_member: MakeMember, tmp_path: Path) -> None:
    member = make_member(PLAIN)
    assert member.writer.base is not None
    member.writer.base.sections["WORKERS"] = 11
    (path,) = export_hrnet(member, tmp_path / "out", ExportOptions()).written
    sections = read_config(path).sections
    assert sections["WORKERS"] == 11
    assert sections["TRAIN"]["END_EPOCH"] == 484


def test_a_base_that_the_strict_merge_stops_on_is_refused_by_its_key(
    make_member: MakeMember, tmp_path: Path
) -> None:
    member = make_member(PLAIN)
    assert member.writer.base is not None
    member.writer.base.sections["TRAIN"].update(END_EPOCH=1.5, GUESS=2)
    (refused,) = export_hrnet(member, tmp_path, ExportOptions()).refused
    assert "TRAIN.END_EPOCH: the library takes int there, not float" in refused
    assert "TRAIN.GUESS: the library knows no such key" in refused
    assert list(tmp_path.glob("*.yaml")) == []


def test_a_study_without_a_base_gives_complete_configs(
    make_member: MakeMember, tmp_path: Path
) -> None:
    (path,) = export_hrnet(make_member(PLAIN, base=""), tmp_path, ExportOptions()).written
    assert merge_problems(read_config(path).sections) == []
    assert read_config(path).sections.keys() == cityscapes_sections().keys()


def test_weights_that_were_not_kept_leave_the_config_good(
    make_member: MakeMember, tmp_path: Path
) -> None:
    found = export_hrnet(make_member(PLAIN, weights=False), tmp_path, WEIGHTS)
    assert [path.suffix for path in found.written] == [".yaml"]
    assert "its weights were not kept" in found.refused[0]
    assert str(tmp_path) not in found.refused[0]


@pytest.mark.parametrize("damage", [b"", b"not safetensors at all", None])
def test_weights_of_another_network_are_refused(
    damage: bytes | None, make_member: MakeMember, tmp_path: Path
) -> None:
    member = make_member(PLAIN)
    if damage is None:
        keep_weights(member.folder, member.result.key, trained_like(CAT, member.classes))
    else:
        member.weights.write_bytes(damage)
    (refused,) = export_hrnet(member, tmp_path, WEIGHTS).refused
    assert "they are not this network's" in refused
    assert refused.count("\n") == 0


OF_21 = config_text(PLAIN).replace("NUM_CLASSES: 19", "NUM_CLASSES: 21")


@pytest.mark.parametrize("base", ["", config_text(PLAIN), OF_21])
def test_the_config_has_the_classes_of_the_weights_whatever_the_base_has(
    base: str, make_member: MakeMember, tmp_path: Path
) -> None:
    config, weights = export_hrnet(make_member(PLAIN, base=base), tmp_path, WEIGHTS).written
    assert len(torch.load(weights, weights_only=True)["model.last_layer.3.bias"]) == 5
    assert read_config(config).sections["DATASET"]["NUM_CLASSES"] == 5


def test_a_config_of_other_classes_than_the_weights_is_refused(make_member: MakeMember) -> None:
    member = make_member(PLAIN)
    assert config_problems(member.config.text, member) == []
    (reason,) = config_problems(config_text(PLAIN), member)
    assert reason == ("DATASET.NUM_CLASSES 19: its network tells 5 classes apart")


def test_weights_of_other_classes_than_the_study_noted_are_refused(
    make_member: MakeMember, tmp_path: Path
) -> None:
    member = make_member(PLAIN)
    keep_weights(member.folder, member.result.key, trained_like(PLAIN, 19))
    (refused,) = export_hrnet(member, tmp_path, WEIGHTS).refused
    assert f"allowed: those of {PLAIN.id} with 5 classes" in refused


def test_weights_of_another_normalisation_are_refused(
    make_member: MakeMember, tmp_path: Path
) -> None:
    data = DataSpec("folder", 5, mean=(0.5, 0.5, 0.5))
    (refused,) = export_hrnet(
        make_member(PLAIN, schedule=Schedule(data)), tmp_path, WEIGHTS
    ).refused
    assert "normalises with data.mean [0.485" in refused
    assert "these images with [0.5, 0.5, 0.5]" in refused


def test_one_name_has_one_content_in_the_study_its_export_and_its_page(
    mixed: Study, tmp_path: Path
) -> None:
    exported = export(mixed, tmp_path, as_is=True).written
    kept = write_front_configs(mixed, Parts())
    assert [(p.name, p.read_bytes()) for p in exported] == [(p.name, p.read_bytes()) for p in kept]
    points = gather(mixed).points
    texts = {"".join(points.blocks[i] for i in parts) for parts in points.yamls}
    assert {path.read_text() for path in kept} <= texts


def test_one_network_by_two_schedules_has_a_name_for_each(make_front: Callable[..., Study]) -> None:
    """Accuracies of both may be the same to a tenth of a point."""
    study = make_front(PLAIN)
    (first, _) = study.ended()[0]
    key = replace(first.key, schedule="sc-long")
    with StudyStore(study.folder) as store:
        store.ask(Ask(1, key, first.point, first.architecture))
        store.finish(1, replace(result(0, miou=0.5), key=key))
    again = open_study(study.folder)
    (member,) = front_of(again)
    assert network_of_trial(again, 0).stem == member.stem
    assert network_of_trial(again, 1).stem == f"seg_hrnet_w9_{PLAIN.id}_trial1_miou50.0"


def test_the_study_keeps_configs_of_the_whole_front(mixed: Study) -> None:
    written = write_front_configs(mixed, Parts())
    assert [read_config(path).architecture for path in written] == [PLAIN, CAT, THREE]
    assert {path.parent for path in written} == {mixed.folder / "configs"}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in written)


def test_configs_of_an_earlier_front_go_other_files_stay(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, result(3, miou=0.5)))
    (old,) = write_front_configs(study, Parts())
    mine = old.with_name("my_own_w9.yaml")
    mine.write_text("mine")
    make_study((CAT, result(1, miou=0.6)))
    (new,) = write_front_configs(study, Parts())
    assert not old.exists()
    assert sorted(old.parent.iterdir()) == sorted([mine, new])


def test_seeds_of_one_architecture_share_a_file(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, result(0, miou=0.5)), objectives=("miou", "latency_ms"))
    make_study((PLAIN, result(1, miou=0.75)), seed=1)
    assert study.front()["seeds"].tolist() == [2]
    (path,) = write_front_configs(study, Parts())
    assert path.name.endswith("_miou62.5.yaml")


def test_no_completed_trial_exports_nothing(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, None))
    assert front_of(study) == ()
    assert write_front_configs(study, Parts()) == ()


def test_a_report_writes_configs_without_torch() -> None:
    code = (
        "import sys, hrnet_search.report.report;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'onnx', 'safetensors')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
