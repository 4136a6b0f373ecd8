"""IoU of named classes as an objective and as a limit, from a space file to the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import network, result
from search import tabulated
from search.made_up_trials import run_made_up
from search.own_samplers import HEARD
from search.tabulated import drive, plan
from sklearn.metrics import jaccard_score
from small_studies import MakeStudy, make_study

from hrnet_search import open_study
from hrnet_search.class_iou import UnknownClassError
from hrnet_search.cli import main
from hrnet_search.errors import InputError, StudyError
from hrnet_search.goals import Goals
from hrnet_search.inventory import Inventory, SplitInventory, judged_on
from hrnet_search.pareto import non_dominated
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.objective import objective
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import RungResult, TrialResult, TrialTask
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.report.plots import pictures
from hrnet_search.report.summary import summary
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.search.begin import open_store
from hrnet_search.search.driver import Report
from hrnet_search.search.mirrors.mlflow_rows import trial_metrics
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import load_space_file
from hrnet_search.store.evaluations import image_counts, read_confusions
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.study import Study

__all__ = ["make_study"]

BASE = (
    Path(__file__).parents[1]
    / "configs"
    / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
)
IOU = "iou[disc,line]"
SPACE = f"""\
name: of-classes
base: {BASE}
vary: {{width: [2, 4]}}
limits: {{macs: {{at_most: 40G}}, "iou[ground]": {{at_least: 0.01}}}}
objectives: {{"{IOU}": max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 8, val: 4}}
schedule: {{steps: 2, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: grid, trials: 2, confirm: 0}}
tracking: {{mlflow: off, optuna: auto}}
"""
DATA = DataSpec("folder", 3, ("road", "person", "sky"))
NOTED = NotedSchedule("sc-0", Schedule(DATA))


def seen(number: int, *iou: float, miou: float = 0.5) -> TrialResult:
    """Return a trial with these IoUs, of which the cost rises with its number."""
    return result(number, miou=miou, rungs=(RungResult(10, miou, iou, 1.0, miou),))


def test_a_name_stands_for_the_same_classes_however_they_are_written() -> None:
    names = ("road", "person", "sky")
    written = ("iou[person,sky]", "iou[ sky , person ]", "iou[1,2]", "iou[2,person]")
    found = [objective(name, 3, names) for name in written]
    assert {one.key for one in found} == {"iou[1,2]"}
    assert {one.label for one in found} == {"IoU of person, sky"}
    assert [one.name for one in found] == list(written)
    assert [one.of(seen(1, 0.1, 0.4, 0.8)) for one in found] == [pytest.approx(0.6)] * 4
    assert found[0].of(seen(1)) is None, "an IoU that was not kept is not known"
    assert objective("iou[1]", 3, ("2", "7", "1")).classes == (2,), "a name goes before an id"
    with pytest.raises(UnknownClassError, match="2 classes are called sky"):
        objective("iou[sky]", 3, ("sky", "road", "sky"))


@pytest.mark.slow
@pytest.mark.usefixtures("one_check", "blank_pictures")
def test_a_study_has_them_from_its_space_file_to_its_page(tmp_path: Path) -> None:
    """scikit-learn's jaccard_score of the kept confusion matrices is the authority on values."""
    path, folder = tmp_path / "space.yaml", tmp_path / "study"
    path.write_text(SPACE)
    assert main(["run", str(path), "-o", str(folder), "--plain"]) == 0
    study = open_study(folder)
    assert study.objectives == (IOU, "macs")
    table = study.results()
    for (ask, _), value in zip(study.trials(), table[IOU], strict=True):
        confusions = read_confusions(folder / "evaluation" / f"{ask.key}.npz")
        assert confusions is not None
        truth, predicted = np.indices(confusions.shape[1:])
        weight = confusions.sum(axis=0).ravel()
        expected = jaccard_score(
            truth.ravel(), predicted.ravel(), labels=[1, 6], average="macro",
            sample_weight=weight, zero_division=0,
        )  # fmt: skip
        assert value == pytest.approx(expected)
    assert f"IoU of line, disc {table[IOU][0]:.1%}" in (folder / "logs/progress.log").read_text()
    assert IOU in (folder / "report" / "front.csv").read_text().splitlines()[0]
    page = (folder / "report" / "report.html").read_text()
    assert "Front of IoU of line, disc, MACs" in page
    by = "its front is by IoU of line, disc, its pick by IoU of line, disc and size together"
    assert by in page
    assert "Limits: IoU of ground of at least 1%: " in page
    text = summary(study)
    assert f"signal:  the search learned from IoU of line, disc; {by}" in text
    assert (study.notes.identity or {})["objectives"] == ["iou[1,6]", "macs"]
    assert (folder / "report" / "macs_iou.png").exists()
    constraints = optuna_constraints(folder)
    assert constraints == [
        pytest.approx([macs / 40e9 - 1, 1 - ground / 0.01])
        for macs, ground in zip(table["macs"], table["iou[ground]"], strict=True)
    ]


def optuna_constraints(folder: Path) -> list[list[float]]:
    import optuna

    storage = f"sqlite:///{folder / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    assert study.metric_names == [IOU, "macs"]
    return [trial.system_attrs["constraints"] for trial in study.trials]


def test_a_study_goes_on_with_the_same_classes_in_other_words(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"

    def begin(text: str) -> None:
        path.write_text(text)
        file = load_space_file(path)
        open_store(file, plan_of(file, tmp_path / "study"), tmp_path / "study").close()

    begin(SPACE)
    begin(SPACE.replace(IOU, "iou[1, disc]").replace("iou[ground]", "iou[0]"))
    with pytest.raises(StudyError, match=r'objectives: is \["iou\[6\]", "macs"\], was \["iou\[1,6'):
        begin(SPACE.replace(IOU, "iou[disc]"))
    with pytest.raises(StudyError, match=r'limits.iou\[0\]: is {"at_least": 0.02}, was {"at_lea'):
        begin(SPACE.replace("0.01", "0.02"))
    with pytest.raises(StudyError, match=r"limits.iou\[0\]: is not there"):
        begin(SPACE.replace(', "iou[ground]": {at_least: 0.01}', ""))


def test_what_is_learned_from_is_the_objective_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    assert plan_of(load_space_file(path), tmp_path / "study").signal == "iou[1,6]"
    path.write_text(SPACE.replace("grid", "grid, signal: miou"))
    with pytest.raises(
        InputError, match=r"search.signal: miou is of all classes, objectives.iou\["
    ):
        load_space_file(path)


@pytest.fixture
def by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials whose first class is the worse the better their mIoU is."""

    def run(task: TrialTask, report: Report) -> TrialResult:
        done = run_made_up(task, report)
        iou = [(1 - rung.miou, rung.miou) for rung in done.rungs]
        rungs = tuple(replace(r, iou=one) for r, one in zip(done.rungs, iou, strict=True))
        return replace(done, rungs=rungs)

    monkeypatch.setattr(tabulated, "run_made_up", run)


@pytest.mark.usefixtures("by_class")
def test_a_sampler_is_told_the_iou_less_what_a_limit_lacks(tmp_path: Path) -> None:
    planned = replace(
        plan("search.own_samplers:remembering", 10),
        objectives=("iou[0]", "macs"),
        signal="iou[0]",
        floors=(("miou", 0.4),),
    )
    drive(tmp_path, planned)
    mious = open_study(tmp_path).results()["miou"].dropna()
    assert HEARD
    assert (mious < 0.4).any()
    assert (mious >= 0.4).any()
    told = {round(1 - miou - max(0.0, 0.4 - miou), 9) for miou in mious}
    assert {round(heard, 9) for heard in HEARD} <= told


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """Eight networks of rising cost, of two classes that get better and worse."""
    trials = [
        (network(8 + n), seen(n, 0.5, 0.2 + 0.05 * n, 0.9 - 0.05 * n, miou=0.5 + 0.01 * (n % 3)))
        for n in range(8)
    ]
    limits = [["iou[2]", {"at_least": 0.7}]]
    notes = {"schedule": NOTED, "identity": {"limits": limits}}
    return make_study(*trials, objectives=("iou[person]", "macs"), **notes)


def test_the_front_is_what_no_other_within_the_limits_beats(study: Study) -> None:
    table = study.variants()
    within = table[table["iou[sky]"] >= 0.7]
    good = non_dominated(within[["iou[person]", "macs"]].to_numpy(float), ["max", "min"])
    assert study.front()["number"].tolist() == within[good]["number"].tolist() == [0, 1, 2, 3, 4]
    for written in ("iou[1]", "iou[ person ]"):
        assert study.front([written, "macs"])["number"].tolist() == [0, 1, 2, 3, 4]
    assert study.front(["iou[road,sky]", "macs"])["iou[road,sky]"].tolist() == [0.7]
    with pytest.raises(InputError, match=r"iou\[car\]: class car is not known, allowed: road, pe"):
        study.front(["iou[car]"])
    with pytest.raises(InputError, match=r"fps is not known, allowed: miou, .*, iou\[CLASS,...\]"):
        study.front(["fps"])


def test_reports_are_of_the_objective_and_say_what_limits_leave_out(study: Study) -> None:
    page = gather(study)
    assert (page.accuracy, page.others) == ("IoU of person", ("mIoU", "IoU of sky"))
    assert [m.accuracy for m in page.members] == pytest.approx([0.2, 0.25, 0.3, 0.35, 0.4])
    assert page.members[0].others == pytest.approx((0.5, 0.9))
    assert page.limits == ("IoU of sky of at least 70%: 3 of 8 variants below",)
    assert page.history.growth is not None
    assert page.history.growth.label == "IoU of person x ln(MACs)"
    assert b"What each level adds to" in page_html(page) or page.choices.model is None
    lines = summary(study).splitlines()
    header = next(line for line in lines if line.lstrip().startswith("trial"))
    assert re.split(r"  +", header.split("latency")[1]) == [
        "", "mIoU", "IoU of person", "IoU of sky", "differs from the base"
    ]  # fmt: skip
    assert "limit: IoU of sky of at least 70%: 3 of 8 variants below" in lines
    (first, *_) = pictures(study)
    assert (first.name, first.title) == ("width_iou", "IoU of person against width")
    assert first.within is not None
    assert first.within.tolist() == [True] * 5 + [False] * 3


def test_nothing_within_the_limits_is_said(make_study: MakeStudy) -> None:
    limits = {"limits": [["miou", {"at_least": 0.9}]]}
    study = make_study((network(9), result(1, miou=0.5)), schedule=NOTED, identity=limits)
    assert study.front().empty
    text = summary(study)
    assert "limit: mIoU of at least 90%: 1 of 1 variant below" in text
    assert "no variant is within the limits: there is no front yet" in text
    assert "no front" in page_html(gather(study)).decode() or gather(study).members == ()


def test_intervals_are_over_the_images_of_these_classes(study: Study, tmp_path: Path) -> None:
    """By hand: the mean over classes 0 and 2 of summed hits over summed unions."""
    rng = np.random.default_rng(0)
    confusions = rng.integers(1, 50, (6, 3, 3))
    times = rng.integers(0, 3, (4, 6)).astype(float)
    for row, found in zip(times, image_counts(confusions).mious(times, (0, 2)), strict=True):
        whole = np.einsum("i,ijk->jk", row, confusions)
        union = whole.sum(axis=0) + whole.sum(axis=1) - np.diag(whole)
        assert found == pytest.approx((np.diag(whole) / union)[[0, 2]].mean())
    (study.folder / "evaluation").mkdir(exist_ok=True)
    for ask, done in study.trials():
        assert done is not None
        share = round(100 * done.rungs[-1].iou[1])
        spread = [[[99, 1, 0], [0, share + i, 100 - share - i], [0, 0, 100]] for i in (-9, 0, 9)]
        np.savez(study.folder / "evaluation" / f"{ask.key}.npz", confusions=np.array(spread))
    found = evidence_of(study)
    assert found.images == 3
    low, value, high = (getattr(found.accuracies[0], end) for end in ("low", "value", "high"))
    assert value == pytest.approx(0.2)
    assert 0 < low < 0.2 < high < 0.4
    assert set(found.accuracies) == {0, 1, 2, 3, 4}, "what is below a limit is no rival"


def test_mlflow_has_them_by_names_that_it_takes() -> None:
    accuracies = Goals.of(["iou[person,sky]"], (), DATA).accuracies
    names = {name: value for name, value, _ in trial_metrics(seen(1, 0.1, 0.4, 0.8), accuracies)}
    assert names["iou_person_sky"] == pytest.approx(0.6)
    assert names["iou.1"] == pytest.approx(0.4)


def goals_of(*names: str, floors: tuple[str, ...] = ()) -> Iterator[tuple[list[str], list[str]]]:
    val = SplitInventory(4, 4, (0, 1))
    goals = Goals.of(names, [(name, 0.5) for name in floors], DATA)
    found, faults = judged_on(Inventory(val=val), DATA, goals)
    yield list(found.warnings), [str(fault) for fault in faults]


def test_classes_of_no_validation_mask_are_said() -> None:
    ((warnings, faults),) = goals_of("iou[person,sky]", "macs", floors=("iou[road]", MIOU))
    absent = "sky is in no validation mask, so its IoU is 0 for every network"
    assert warnings == [f"objectives.iou[person,sky]: {absent}"]
    assert faults == []
    ((warnings, faults),) = goals_of("iou[person]", floors=("iou[sky]",))
    assert warnings == []
    assert faults == [
        "limits.iou[sky]: sky is in no validation mask, allowed: classes that are, road, person"
    ]
