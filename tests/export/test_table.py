"""Whatever the format: one contract, refusals that leave the rest good, and a card a member."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from export.conftest import SCHEDULE
from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.cli import main
from hrnet_search.commands import working
from hrnet_search.commands.export import export
from hrnet_search.errors import InputError, StorageLostError
from hrnet_search.export.member import Member, network_of_trial
from hrnet_search.export.result import ExportOptions, ExportResult
from hrnet_search.export.table import (
    EXPORTERS,
    EXTRA_LIBRARIES,
    check_formats,
    export_front,
)
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.records.latency import Latency
from hrnet_search.records.trial import FAILED, TrialResult
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.writer import StudyStore

PLAIN = network(2)
ONE, TWO, THREE, FOUR = PLAIN.stages
CAT = Architecture((ONE, TWO, THREE, replace(FOUR, fuse="CAT")))
LIGHT = [name for name in EXPORTERS if name != "onnx"]  # whose export takes seconds
ALL = ExportOptions(weights=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTERS)
def test_every_exporter_writes_or_refuses_and_changes_nothing_else(
    name: str, make_member: Callable[..., Member], tmp_path: Path
) -> None:
    member = make_member(PLAIN)
    before = {path: path.read_bytes() for path in member.folder.rglob("*") if path.is_file()}
    folder = tmp_path / "deep" / "out"
    found = EXPORTERS[name](member, folder, replace(ALL, size=(32, 32), batch=1))
    assert isinstance(found, ExportResult)
    assert found.refused == ()
    assert set(found.written) == set(folder.iterdir())
    assert all(PLAIN.id in path.name for path in found.written)
    assert len({path.read_bytes() for path in found.written}) == len(found.written)
    after = {path: path.read_bytes() for path in member.folder.rglob("*") if path.is_file()}
    assert after == before
    bare = replace(member, folder=tmp_path / "nowhere")
    refused = EXPORTERS[name](bare, tmp_path / "bare", ALL).refused
    assert len(refused) == 1
    assert "its weights were not kept" in refused[0]


def test_a_refusal_leaves_the_other_files_good(
    make_front: Callable[..., Study], tmp_path: Path
) -> None:
    found = export_front(make_front(PLAIN, CAT), tmp_path / "out", LIGHT, ALL)
    assert [len(found[name].refused) for name in LIGHT] == [1, 1, 0]
    assert [len(found[name].written) for name in LIGHT] == [2, 3, 2]
    cards = [path.read_text() for path in found["cards"].written]
    assert ["refused" in card for card in cards] == [False, True]
    assert len(list((tmp_path / "out").iterdir())) == 2 + 3 + 2 + 2


def test_a_card_names_the_files_of_earlier_exports_too(
    make_front: Callable[..., Study], tmp_path: Path
) -> None:
    study, out = make_front(PLAIN, network(3)), tmp_path / "out"
    export_front(study, out, ["mmseg", "safetensors"], ALL)
    (out / "mine.txt").write_text("mine")
    for card in export_front(study, out, ["hrnet"], ALL)["cards"].written:
        listed = [line for line in card.read_text().splitlines() if line.startswith("- `")]
        stem, plain = card.stem, card.stem.replace(".", "-")
        earlier = [f"{plain}_mmseg.pth", f"{plain}_mmseg.py", f"{plain}_mmseg_keys.json"]
        assert listed == [
            f"- `{stem}.yaml`",
            f"- `{stem}.pth`",
            *(f"- `{name}`, of an earlier export" for name in [*earlier, f"{stem}.safetensors"]),
        ]


def test_a_trial_is_exported_as_its_own_schedule_trained_it(
    make_front: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_front(network(3), PLAIN)
    (first, found), *_ = study.ended()
    other = replace(SCHEDULE, lr=0.123)
    key = replace(first.key, schedule=other.id)
    with StudyStore(study.folder) as store:
        store.ask(replace(first, number=2, key=key))
        store.finish(2, replace(found, key=key, miou=0.25))
        store.note(Notes(arm_schedules=(NotedSchedule.of(other),)))
    study = open_study(study.folder)
    for number, miou in ((0, found.miou), (2, 0.25)):
        member = network_of_trial(study, number)
        assert (member.number, member.miou) == (number, miou)
    assert network_of_trial(study, 2).result.key == key
    with StudyStore(study.folder) as store:
        store.ask(replace(first, number=3, key=replace(key, schedule="sc-000000000000")))
        store.finish(3, TrialResult(replace(key, schedule="sc-000000000000"), FAILED, error="no"))
    with pytest.raises(InputError, match="trial 3 was not trained to its end by its schedule"):
        network_of_trial(open_study(study.folder), 3)


def test_one_network_is_exported_alone(make_front: Callable[..., Study], tmp_path: Path) -> None:
    study = make_front(network(3), PLAIN, network(4))
    found = export_front(study, tmp_path / "out", ["hrnet"], ALL, trial=0)
    (card,) = found["cards"].written
    assert network(3).id in card.name
    api = export(study, tmp_path / "api", "hrnet", pick="macs<=1000G")
    (best,) = api["cards"].written
    assert candidates_of(study).numbers[0] == 2
    assert network(4).id in best.name
    with pytest.raises(InputError, match="--trial: the study has no trial 9, allowed: 0 to 2"):
        export_front(study, tmp_path / "none", ["hrnet"], ALL, trial=9)
    with pytest.raises(InputError, match="--pick: does not go with --trial"):
        export(study, tmp_path / "none", trial=0, pick="macs<=1G")
    assert not (tmp_path / "none").exists()


def test_a_study_without_a_completed_trial_has_nothing_to_export(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="study: no trial has completed, allowed: a study with"):
        export_front(make_study((PLAIN, None)), tmp_path / "out", ["hrnet"], ALL)
    assert not (tmp_path / "out").exists()


def test_exporting_twice_gives_the_same_bytes(
    make_front: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_front(PLAIN)
    contents = []
    for name in ("a", "b"):
        # The order of a safetensors file's metadata is its library's, and changes.
        export_front(study, tmp_path / name, ["hrnet", "mmseg"], ALL)
        contents.append({p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())})
    assert contents[0] == contents[1]


def test_formats_that_cannot_be_written_stop_before_anything_is(
    make_front: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else there(name)
    )
    with pytest.raises(InputError) as caught:
        export_front(make_front(PLAIN), tmp_path / "out", ["hrnet", "tflite", "onnx"], ALL)
    unknown, missing = str(caught.value).splitlines()
    assert unknown == ("--format: tflite is not known, allowed: hrnet, mmseg, onnx, safetensors")
    assert "onnx needs onnxruntime" in missing
    assert missing.endswith("to install: pip install onnx onnxruntime onnxscript")
    assert not (tmp_path / "out").exists()


def test_slices_that_there_are_not_stop_before_anything_is_written(
    make_front: Callable[..., Study], tmp_path: Path
) -> None:
    how, out = ExportOptions(slices=True), tmp_path / "out"
    study = make_front(PLAIN, weights=False)
    with pytest.raises(InputError, match="--slices: the study taught no weights") as error:
        export_front(study, out, ["hrnet"], how)
    assert "schedule.shared" in str(error.value)
    assert not out.exists()


def test_slices_stand_beside_configs(
    make_sharing: Callable[..., tuple[Study, SharedNetwork]], tmp_path: Path
) -> None:
    how, out = ExportOptions(slices=True), tmp_path / "out"
    study, _ = make_sharing(PLAIN)
    with pytest.raises(InputError, match="safetensors has none"):
        export_front(study, out, ["safetensors"], how)
    assert not out.exists()
    found = export_front(study, out, ["hrnet", "safetensors", "hrnet"], how)
    names = [path.name.rpartition("miou50.0")[2] for path in found["hrnet"].written]
    assert names == [".yaml", "_slice.pth"]
    assert len(found["safetensors"].written) == 1
    (card,) = found["cards"].written
    assert card.read_text().count("_slice.pth`") == 1
    study.folder.joinpath("weights").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"the shared weights are gone: .*sc-0000000000ff"):
        export_front(study, tmp_path / "again", ["hrnet"], how)
    assert not (tmp_path / "again").exists()


def test_what_a_format_needs_is_an_extra_of_that_name() -> None:
    assert set(EXTRA_LIBRARIES) <= set(EXPORTERS)
    check_formats(list(EXPORTERS))  # the tests install every extra


def test_a_file_is_measured_for_its_card(
    make_front: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.onnx"
    monkeypatch.setitem(EXPORTERS, "onnx", lambda *_: ExportResult((path,)))
    latency = result(7).latency
    assert latency is not None
    timed: list[tuple[Path, str]] = []

    def measure(file: Path, member: Member) -> Latency:
        timed.append((file, member.architecture.id))
        condition = replace(latency.condition, mode="onnxruntime")
        return replace(latency, condition=condition)

    found = export_front(make_front(PLAIN), tmp_path / "out", ["hrnet", "onnx"], ALL, measure)
    assert timed == [(path, PLAIN.id)]
    assert "a machine, onnxruntime, fp32" in found["cards"].written[0].read_text()


def test_a_folder_that_cannot_be_written_is_named(
    make_front: Callable[..., Study], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageLostError, match="out"):
        export_front(make_front(PLAIN), tmp_path / "out", ["hrnet"], ALL)


def test_an_export_says_how_far_it_is(
    make_front: Callable[..., Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(working, "LINE_S", 0.0)
    study = make_front(PLAIN, network(3))
    words = ["export", str(study.folder), "-o", str(tmp_path / "out")]
    assert main([*words, "--format", "hrnet,safetensors"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert [line.split(": ")[0] for line in said] == [
        "[0/4] hrnet", "[1/4] safetensors", "[2/4] hrnet", "[3/4] safetensors"
    ]  # fmt: skip
    assert [line.endswith(" s left") for line in said] == [False, False, True, True]
    assert PLAIN.id in said[0]
