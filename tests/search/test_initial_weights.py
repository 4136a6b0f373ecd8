"""A study knows whose weights its variants start from before any of them is trained."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import network
from space.test_load import GOOD

from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.errors import SpaceError, WeightsError
from hrnet_search.net.hrnet import build
from hrnet_search.net.inherit import inherited_by
from hrnet_search.net.weights import save_weights
from hrnet_search.records.trial import COMPLETED, FAILED, TrialResult
from hrnet_search.search.initial_weights import Initial, base_key, base_schedule, why_no_base
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import SpaceFile, load_space_file

KEY = "hr-0123456789ab.sc-0123456789ab.0"


def space(folder: Path, init: str) -> SpaceFile:
    data = "{kind: shapes, size: [32, 32], train: 4, val: 2}"
    text = GOOD.replace("{kind: shapes}", data).replace("crop: [128, 128]", "crop: [32, 32]")
    path = folder / "space.yaml"
    path.write_text(text.replace("steps: 300", f"steps: 300, init: {init}"))
    return load_space_file(path)


def weights(path: Path, width: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(build(network(width), 3), path, {})
    return path


def test_a_weight_file_is_known_by_its_content(tmp_path: Path) -> None:
    first = weights(tmp_path / "a" / "w.safetensors")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other.safetensors").write_bytes(first.read_bytes())
    one = plan_of(space(tmp_path / "a", "w.safetensors"), tmp_path / "study")
    two = plan_of(space(tmp_path / "b", "other.safetensors"), tmp_path / "study")
    assert one.schedule.id == two.schedule.id
    assert one.schedule.init_path == str(first)
    assert one.base is None
    weights(first, width=6)
    assert plan_of(space(tmp_path / "a", "w.safetensors"), tmp_path).schedule.id != two.schedule.id


def test_a_file_without_an_hrnet_is_refused_before_any_trial(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(WeightsError, match=r"w\.pth: is a Git LFS pointer"):
        plan_of(space(tmp_path, "w.pth"), tmp_path / "study")


@pytest.mark.parametrize("study", ["one", "another"])
def test_a_trial_is_found_in_its_study_or_in_one_beside_it(tmp_path: Path, study: str) -> None:
    path = weights(tmp_path / "results" / study / "weights" / f"{KEY}.safetensors")
    plan = plan_of(space(tmp_path, f"trial:{KEY}"), tmp_path / "results" / "one")
    assert plan.schedule.init_path == str(path)
    assert len(plan.schedule.init_fingerprint) == 12


def test_a_trial_whose_weights_are_nowhere_is_a_fault_of_the_space_file(tmp_path: Path) -> None:
    file = space(tmp_path, f"trial:{KEY}")
    with pytest.raises(SpaceError) as caught:
        plan_of(file, tmp_path / "results" / "one")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == (file.path, 11, 30)
    assert KEY in fault.wrong


def test_variants_of_a_base_depend_on_how_it_is_trained(tmp_path: Path) -> None:
    plan = plan_of(space(tmp_path, "base"), tmp_path / "study")
    longer = plan_of(space(tmp_path, "base, init_steps: 900"), tmp_path / "study")
    assert plan.base is not None
    assert longer.base is not None
    assert (plan.base.init, plan.base.steps, plan.base.lr) == ("none", 300, 0.05)
    assert plan.schedule.lr == 0.02
    assert (longer.base.steps, longer.schedule.steps) == (900, 300)
    assert len({s.id for s in (plan.base, longer.base, plan.schedule, longer.schedule)}) == 4
    key = base_key(plan.space.base, plan.schedule, plan.seeds)
    assert key.schedule == plan.base.id
    assert plan.schedule.init_path == str(tmp_path / "study" / "weights" / f"{key}.safetensors")
    elsewhere = plan_of(space(tmp_path, "base"), tmp_path / "elsewhere")
    assert elsewhere.schedule.id == plan.schedule.id


def test_a_base_that_leaves_nothing_says_why(tmp_path: Path) -> None:
    plan = plan_of(space(tmp_path, "base"), tmp_path)
    key = base_key(plan.space.base, plan.schedule, plan.seeds)
    failed = TrialResult(key, FAILED, error="the loss is nan")
    assert "ended as failed: the loss is nan; --retry-failed" in why_no_base(
        failed, plan.folder, base_schedule(plan.schedule)
    )
    done = replace(failed, status=COMPLETED, miou=0.5, error="")
    assert "weights are gone" in why_no_base(done, plan.folder, base_schedule(plan.schedule))
    weights(Path(plan.schedule.init_path))
    assert why_no_base(done, plan.folder, base_schedule(plan.schedule)) == ""


def with_base(folder: Path, init: str, pretrained: str) -> Path:
    """Write a space whose base names a weight file, as every published config does."""
    (folder / "configs").mkdir(exist_ok=True)
    text = config_text(network(4)).replace("PRETRAINED: ''", f"PRETRAINED: '{pretrained}'")
    (folder / "configs" / "base.yaml").write_text(text)
    good = GOOD.replace("steps: 300", f"steps: 300, init: {init}")
    old = next(line for line in good.splitlines() if line.startswith("base:"))
    data = "{kind: shapes, size: [32, 32], train: 4, val: 2}"
    good = good.replace(old, "base: configs/base.yaml").replace("{kind: shapes}", data)
    path = folder / "space.yaml"
    path.write_text(good.replace("crop: [128, 128]", "crop: [32, 32]"))
    return path


@pytest.mark.parametrize("place", ["cwd", "configs", "."])
def test_pretrained_is_the_file_that_the_base_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """From the working directory, as the official code does, beside the yaml, or above it."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    made = weights(tmp_path / place / "pretrained_models" / "w.safetensors")
    path = with_base(tmp_path, "pretrained", "pretrained_models/w.safetensors")
    plan = plan_of(load_space_file(path), tmp_path / "study")
    assert Path(plan.schedule.init_path) == made  # in full: workers run in folders of their own
    (line,) = plan.initial
    found = inherited_by(plan.space.base, plan.schedule.data.classes, made)
    assert line == f"schedule.init: {plan.schedule.init_path}: the base: {found}"
    by_name = plan_of(load_space_file(with_base(tmp_path, str(made), "")), tmp_path / "study")
    assert by_name.schedule.id == plan.schedule.id


def test_pretrained_without_a_file_is_a_fault_of_the_space_file(tmp_path: Path) -> None:
    path = with_base(tmp_path, "pretrained", "gone.pth")
    message = r":11:30: schedule\.init: MODEL\.PRETRAINED of the base, gone\.pth, is not a file"
    with pytest.raises(SpaceError, match=message):
        load_space_file(path)
    named = re.escape(str(tmp_path / "configs" / "gone.pth"))
    with pytest.raises(SpaceError, match=f"allowed: a file at one of .*{named}, "):
        load_space_file(path)
    with pytest.raises(SpaceError, match="is not a file"):
        load_space_file(with_base(tmp_path, "pretrained", "a" * 5000))
    path = with_base(tmp_path, "pretrained", "")
    with pytest.raises(SpaceError, match=r"init: the base names no MODEL\.PRETRAINED"):
        load_space_file(path)


@pytest.mark.parametrize(
    ("init", "what"),
    [
        ("none", "variants start from random weights (schedule.init: pretrained starts them"),
        ("base", "variants start from what schedule.init names (base)"),
    ],
)
def test_what_becomes_of_the_weights_that_a_base_names_is_said(
    tmp_path: Path, init: str, what: str
) -> None:
    file = load_space_file(with_base(tmp_path, init, "hrnet.pth"))
    (line,) = plan_of(file, tmp_path / "study").initial
    assert line.startswith(f"base: MODEL.PRETRAINED hrnet.pth is not used: {what}")
    file = load_space_file(with_base(tmp_path, init, ""))
    assert plan_of(file, tmp_path / "study").initial == ()


def test_a_file_is_read_once_for_all_schedules(tmp_path: Path) -> None:
    weights(tmp_path / "w.safetensors")
    file = space(tmp_path, "w.safetensors")
    initial = Initial(file, tmp_path / "study")
    first = initial.settled(file.schedule)
    (tmp_path / "w.safetensors").unlink()
    assert initial.settled(replace(file.schedule, lr=0.5)).init_path == first.init_path
    assert sum("schedule.init: " in line for line in initial.lines) == 1


def test_a_check_does_not_know_where_the_study_will_lie(tmp_path: Path) -> None:
    file = space(tmp_path, f"trial:{KEY}")
    initial = Initial(file, tmp_path / "results" / "one", elsewhere=True)
    assert initial.settled(file.schedule) == file.schedule
    assert "looked for next to the study when it runs" in initial.lines[-1]
