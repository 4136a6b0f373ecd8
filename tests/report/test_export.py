"""Exports are complete configs, and never what their target would run as something else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.report.export import EXPORTERS
from hrnet_search.report.export.hrnet import export_hrnet, write_front_configs
from hrnet_search.report.export.result import ExportResult
from hrnet_search.store.study import Study

MakeStudy = Callable[..., Study]

FIRST, SECOND, THIRD, FOURTH = network(10).stages
PLAIN = network(9)
CAT = Architecture((FIRST, replace(SECOND, fuse="CAT"), THIRD, FOURTH))
THREE = Architecture((FIRST, SECOND, THIRD, THIRD))


@pytest.fixture
def mixed(make_study: MakeStudy) -> Study:
    """A front of a plain network, a CAT one and one of three branches."""
    return make_study(
        (PLAIN, result(0, miou=0.5209)),
        (CAT, result(1, miou=0.6)),
        (THREE, result(2, miou=0.7)),
        (network(11), result(3, miou=0.1)),
    )


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_every_exporter_has_one_signature_and_reports(name: str, mixed: Study) -> None:
    assert list(inspect.signature(EXPORTERS[name]).parameters) == ["study", "folder", "as_is"]
    found = EXPORTERS[name](mixed, mixed.folder / "out")
    assert isinstance(found, ExportResult)
    assert all(path.is_file() for path in found.written)


def test_what_the_official_library_would_change_is_refused_the_others_written(
    mixed: Study, tmp_path: Path
) -> None:
    found = export_hrnet(mixed, tmp_path / "new" / "out")
    name = f"seg_hrnet_w9_{PLAIN.id}_miou52.1.yaml"
    assert [path.name for path in found.written] == [name]
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == [name]
    cat, three = found.refused
    assert CAT.id in cat
    assert "STAGE2.FUSE_METHOD CAT runs as SUM" in cat
    assert THREE.id in three
    assert "crashes on 3 branches" in three


def test_as_is_writes_them_with_a_warning_in_the_file(mixed: Study, tmp_path: Path) -> None:
    found = export_hrnet(mixed, tmp_path / "out", as_is=True)
    assert found.refused == ()
    assert [read_config(p).architecture for p in found.written] == [PLAIN, CAT, THREE]
    assert ["NOT for the official" in p.read_text() for p in found.written] == [False, True, True]


def test_a_config_keeps_the_sections_of_the_base(mixed: Study, tmp_path: Path) -> None:
    (path,) = export_hrnet(mixed, tmp_path / "out").written
    sections = read_config(path).sections
    assert sections["DATASET"]["ROOT"] == "my-data/"
    assert sections["TRAIN"]["OPTIMIZER"] == "sgd"


def test_a_study_without_a_base_gives_complete_configs(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, result(0, miou=0.5)), base_yaml="")
    (path,) = export_hrnet(study, study.folder / "out").written
    assert read_config(path).sections["DATASET"]["DATASET"] == "cityscapes"


def test_the_study_keeps_configs_of_the_whole_front(mixed: Study) -> None:
    written = write_front_configs(mixed)
    assert [read_config(path).architecture for path in written] == [PLAIN, CAT, THREE]
    assert {path.parent for path in written} == {mixed.folder / "configs"}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in written)


def test_configs_of_an_earlier_front_go_other_files_stay(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, result(3, miou=0.5)))
    (old,) = write_front_configs(study)
    mine = old.with_name("my_own_w9.yaml")
    mine.write_text("mine")
    make_study((CAT, result(1, miou=0.6)))
    (new,) = write_front_configs(study)
    assert not old.exists()
    assert sorted(old.parent.iterdir()) == sorted([mine, new])


def test_seeds_of_one_architecture_share_a_file(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, result(0, miou=0.5)), objectives='["miou", "latency_ms"]')
    make_study((PLAIN, result(1, miou=0.75)), seed=1)
    assert study.front()["seeds"].tolist() == [2]
    (path,) = write_front_configs(study)
    assert path.name.endswith("_miou62.5.yaml")


def test_no_completed_trial_exports_nothing(make_study: MakeStudy) -> None:
    study = make_study((PLAIN, None))
    assert export_hrnet(study, study.folder / "out") == ExportResult((), ())
    assert write_front_configs(study) == []
