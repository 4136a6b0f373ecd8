"""A card says what a network costs, how good it is, and how that is known."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch.distributed.launch
import yaml
from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import WeightsError
from hrnet_search.export.card import card_text, write_card
from hrnet_search.export.member import Member, front_of, network_of_trial
from hrnet_search.export.result import ExportResult
from hrnet_search.export.trained import trained_network
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import BASE, SLICES, Ask
from hrnet_search.store.writer import StudyStore

MakeMember = Callable[..., Member]
PLAIN = network(8)
ONE, TWO, THREE, FOUR = PLAIN.stages
NONE = ExportResult()


def rows(text: str) -> dict[str, str]:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def test_everything_that_is_known_stands_on_it(make_member: MakeMember, tmp_path: Path) -> None:
    member = make_member(PLAIN, weights=False)
    matrix = np.array([[8, 2], [1, 9]], dtype=np.uint8)
    member.evaluation.parent.mkdir(exist_ok=True)
    np.savez_compressed(member.evaluation, confusions=np.stack([matrix] * 7))
    path = write_card(member, tmp_path / "out", ExportResult((Path("a.yaml"),), ("b.pth: why",)))
    text = path.read_text()
    found = rows(text)
    assert path.name == f"{member.stem}.md"
    assert found["architecture"] == PLAIN.id
    assert found["mIoU"] == "50.00%"
    assert found["95% interval over images, seed 0"] == "73.86% to 73.86% (bootstrap of 7 images)"
    assert found["parameters"] == "1,000"
    assert found["MACs of convolutions of an image of 64 x 64"] == "2,000"
    (latency,) = [value for name, value in found.items() if name.startswith("latency (a machine")]
    assert latency == "1.5 ms; as measured 1.5 ms, 95% interval 1.4 to 1.6 ms"
    assert (found["steps"], found["crop"], found["seed"]) == ("20", "[64, 96]", "0")
    assert found["data fingerprint"] == "f1n6e7"
    assert found["study"] == "made-up"
    assert found["trained with torch"] == "2.13.0"
    assert found["seeds"].startswith("one: ")
    assert "- `a.yaml`" in text
    assert "- refused: b.pth: why" in text
    assert f"--nproc_per_node=4 tools/train.py --cfg FOLDER/{member.stem}.yaml" in text
    assert "- branch master: runs it after MODEL.ALIGN_CORNERS is taken out of it" in text


def test_own_data_have_to_be_set_first(make_member: MakeMember) -> None:
    text = card_text(make_member(PLAIN, weights=False), NONE)
    assert "First set DATASET.ROOT, DATASET.TRAIN_SET, DATASET.TEST_SET" in text
    assert "- the library has five readers (cityscapes, ade20k, pascal_ctx, lip, cocostuff)" in text
    assert (
        "- branch master: runs it after MODEL.ALIGN_CORNERS is taken out of it; its pascal_ctx"
        in text
    )


def test_nothing_is_left_to_set_for_a_data_set_of_the_library(make_member: MakeMember) -> None:
    city = Schedule(replace(PRESETS["cityscapes"].spec, root="/data"))
    assert "First set" not in card_text(make_member(PLAIN, weights=False, schedule=city), NONE)


def test_the_torch_of_the_librarys_launcher_and_what_a_newer_one_needs_stand_on_it(
    make_member: MakeMember,
) -> None:
    """torch 2.0 renamed the launcher's option (`torch/distributed/launch.py`)."""
    text = card_text(make_member(PLAIN, weights=False), NONE)
    assert "torch 1.1 to 1.13 and numpy before 1.24" in text
    (added,) = re.findall(r"`parser\.(add_argument\(.+\))`", text)
    parser = argparse.ArgumentParser()
    eval(f"parser.{added}", {"parser": parser, "int": int})
    assert parser.parse_args(["--local-rank=3"]).local_rank == 3
    assert "--local-rank" in str(torch.distributed.launch.__doc__)
    assert "`np.int = int`" in text


def test_what_is_not_known_is_said(make_member: MakeMember) -> None:
    member = make_member(PLAIN, weights=False)
    bare = replace(member, schedule=None, latency=None, result=replace(member.result, cost=None))
    found = rows(card_text(bare, NONE))
    assert found["interval over images"] == "not known: its evaluation was not kept"
    assert found["latency"] == "not measured"
    assert found["data fingerprint"] == "not noted"


def test_an_exported_file_is_one_more_condition(make_member: MakeMember) -> None:
    condition = LatencyCondition("a machine", "onnxruntime", "fp32", 1, (64, 64), 1)
    timed = Latency(0.7, 0.5, 0.7, 0.9, 0.6, 0.8, 20, True, condition, busy=True)
    found = rows(card_text(make_member(PLAIN, weights=False), NONE, [timed]))
    eager, exported = [value for name, value in found.items() if name.startswith("latency (")]
    assert "noisy" not in eager
    assert exported == (
        "0.7 ms; as measured 0.7 ms, 95% interval 0.6 to 0.8 ms; noisy; busy machine"
    )


def test_other_seeds_and_schedules_stand_beside_it(
    make_study: Callable[..., Study],
) -> None:
    make_study((PLAIN, result(0, miou=0.5)))
    study = make_study((PLAIN, result(0, miou=0.6)), seed=1)
    (member,) = front_of(study)
    found = rows(card_text(member, NONE))
    assert found["mIoU, mean of 2 seeds"] == "55.00%"
    assert (found["mIoU with seed 0"], found["mIoU with seed 1"]) == ("50.00%", "60.00%")
    assert found["weights"] == "those of seed 0"
    assert "seeds" not in found
    other = replace(member.others[0], key=replace(member.others[0].key, schedule="sc-long"))
    found = rows(card_text(replace(member, others=(other,)), NONE))
    assert found["mIoU by schedule sc-long, seed 1"] == "60.00%"
    assert found["seeds"].startswith("one: ")


def test_costs_of_what_was_not_timed_are_of_the_size_that_they_are_counted_at(
    make_front: Callable[..., Study],
) -> None:
    """As of a base that is trained first: all of a study are counted at one size."""
    folder = make_front(PLAIN).folder
    with StudyStore(folder) as store:
        store.note(Notes(identity={"latency": {"size": [512, 1024]}}))
        key = TrialKey(network(9).id, "sc-0000000000ff", 0)
        store.ask(Ask(1, key, (), network(9), BASE))
        store.finish(1, replace(result(1, miou=0.3, latency=None), key=key))
    found = rows(card_text(network_of_trial(open_study(folder), 1), NONE))
    assert found["latency"] == "not measured"
    assert found["MACs of convolutions of an image of 512 x 1024"] == "2,001"


def test_what_slices_alone_judged_is_said_to_be_untrained_and_has_the_studys_config(
    make_front: Callable[..., Study],
) -> None:
    study = make_front(PLAIN)
    sibling = network_of_trial(study, 0)
    other, judged = network(9), TrialKey(network(9).id, "sc-0000000000ff", 0)
    seen = result(1, miou=0.3)
    seen = replace(seen, key=judged, rungs=(replace(seen.rungs[-1], step=0, miou=0.3),))
    with StudyStore(study.folder) as store:
        store.ask(Ask(1, judged, (), other, SLICES))
        store.finish(1, seen)
        again = replace(judged, architecture=PLAIN.id)
        store.ask(Ask(2, again, (), PLAIN, SLICES))
        store.finish(2, replace(seen, key=again))
    study = open_study(study.folder)
    member = network_of_trial(study, 1)
    assert member.stem.endswith("_trial1_slices_miou30.0")
    found = rows(card_text(member, NONE))
    assert found["mIoU by its slice of shared weights, not trained"] == "30.00%"
    assert "seeds" not in found
    sections = [yaml.safe_load(one.config.text)["TRAIN"] for one in (sibling, member)]
    assert sections[0] == sections[1]
    with pytest.raises(WeightsError, match="nobody trained the network of trial 1: slices judged"):
        trained_network(member)
    trained = rows(card_text(network_of_trial(study, 0), NONE))
    name = "mIoU by its slice of shared weights, not trained, seed 0"
    assert trained[name] == "30.00%"


@pytest.mark.parametrize("stage", [THREE, replace(FOUR, fuse="CAT")])
def test_no_command_trains_what_the_library_would_change(
    stage: object, make_member: MakeMember
) -> None:
    network = Architecture((ONE, TWO, THREE, stage))  # type: ignore[arg-type]
    text = card_text(make_member(network, weights=False), NONE)
    assert "does not train it as it was searched" in text
    assert "tools/train.py" not in text


def test_names_cannot_break_the_page(make_member: MakeMember) -> None:
    member = make_member(PLAIN, weights=False, schedule=Schedule(DataSpec("a|b\n# <i>x</i>", 5)))
    text = card_text(replace(member, study="s`|\n<script>\x1b[31m"), NONE)
    assert "<script" not in text
    assert "<i>" not in text
    assert "\x1b" not in text
    assert all(line.count("|") - line.count("\\|") in (0, 3) for line in text.splitlines())
