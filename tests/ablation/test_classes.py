"""IoU of named classes as a measure of an ablation beside mIoU, each within its own margin."""

from __future__ import annotations

import csv
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from ablation.made_up_ablation import TEXT, drive, run_made_up, settled, space_file

from hrnet_search.ablation.run import open_ablation
from hrnet_search.errors import StudyError
from hrnet_search.parts import Parts
from hrnet_search.records.trial import TrialKey, TrialResult, TrialTask
from hrnet_search.report.ablation.tables import ablation_lines, write_ablation
from hrnet_search.search.driver import Report
from hrnet_search.search.identity import MARGINS
from hrnet_search.store.ablation import AblationRecord, EffectRow, OtherDifference
from hrnet_search.store.study import open_study

T_5 = 2.570582
"""The .975 quantile of Student's t with 5 degrees of freedom, from its tables."""

MARGIN = "equivalence: {miou: 0.01}"
CLASSES = 'equivalence: {miou: 0.01, "iou[c, a]": 0.05, "iou[7]": 0.001}'
WITH_CLASSES = TEXT.replace(MARGIN, CLASSES)


def unlike(task: TrialTask, report: Report) -> TrialResult:
    """CAT is as good as SUM in the mean of classes a and c, and worse in the last class."""
    done = run_made_up(task, report)
    cat = task.architecture.stages[3].fuse == "CAT"
    rungs = []
    for rung in done.rungs:
        iou = [value - 0.03 * cat for value in rung.iou]
        iou[0], iou[7] = iou[0] + 0.01 * cat, iou[7] - 0.1 * cat
        rungs.append(replace(rung, iou=tuple(iou)))
    return replace(done, rungs=tuple(rungs))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    drive(space_file(folder, WITH_CLASSES), folder / "study", unlike)
    return folder / "study"


def record_of(study: Path) -> AblationRecord:
    found = open_study(study).notes.ablation
    assert found is not None
    return found


def effect_of(record: AblationRecord, name: str) -> tuple[EffectRow, list[OtherDifference]]:
    effect = next(effect for effect in record.effects if effect.name == name)
    others = [other for other in effect.others if other is not None]
    assert len(others) == len(record.margins)
    return effect, others


def test_the_mean_over_classes_is_as_reckoned_by_hand(finished: Path) -> None:
    """Paired differences by seed with Student's interval; the names in the order of ids."""
    record = record_of(finished)
    assert [(m.name, m.label, m.margin) for m in record.margins] == [
        ("iou[a,c]", "IoU of a, c", 0.05),
        ("iou[h]", "IoU of h", 0.001),
    ]
    arms = {arm.name: arm for arm in record.arms}
    results = {ask.key: result for ask, result in open_study(finished).trials() if result}

    def iou(name: str, seed: int) -> float:
        found = results[TrialKey(arms[name].architecture, arms[name].schedule, seed)].rungs[-1].iou
        return (found[0] + found[2]) / 2

    reference = record.arms[0].name
    row = [iou("fuse=CAT", seed) - iou(reference, seed) for seed in record.seeds]
    _, (found, _) = effect_of(record, "fuse=CAT")
    mean, half = statistics.fmean(row), T_5 * statistics.stdev(row) / 6**0.5
    assert found.seeds == record.seeds
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half), abs=1e-7)


def test_each_measure_has_a_verdict_of_its_own(finished: Path) -> None:
    effect, (both, last) = effect_of(record_of(finished), "fuse=CAT")
    assert [effect.verdict, both.verdict, last.verdict] == ["better", "equivalent", "worse"]
    assert both.p_equivalent is not None
    assert both.p_equivalent <= 0.05
    assert effect.soft is None


def test_every_table_has_them(finished: Path, tmp_path: Path) -> None:
    study, record = open_study(finished), record_of(finished)
    write_ablation(study, tmp_path, Parts())
    with (tmp_path / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, effect in zip(rows, record.effects, strict=True):
        other = effect.others[0]
        assert other is not None
        assert float(row["iou[a,c]_mean"]) == other.mean
        assert float(row["iou[a,c]_p_equivalent"]) == other.p_equivalent
        assert (row["iou[a,c]_verdict"], row["iou[a,c]_seeds"]) == (other.verdict, "0 1 2 3 4 5")
    heads = [r for r in (tmp_path / "ablation.tex").read_text().splitlines() if "{lrr" in r]
    # Side by side they would be wider than a page.
    own = "\\begin{tabular}{lrrrl}"
    assert heads == ["\\begin{tabular}{lrrrrlrrrr}", own, own]
    for text in ((tmp_path / "ablation.md").read_text(), "\n".join(ablation_lines(record))):
        assert "IoU of a, c (points)" in text
        assert "IoU of h is tested as mIoU is" in text
        assert "equivalent: within 0.1 points" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (CLASSES.replace("0.05", "0.04"), r"equivalence.iou\[0,2\]: is 0.04, was 0.05 when"),
        (CLASSES.replace(', "iou[7]": 0.001', ""), r"equivalence.iou\[7\]: is not there, was"),
    ],
)
def test_a_margin_may_not_change_once_results_are_seen(
    finished: Path, tmp_path: Path, changed: str, said: str
) -> None:
    other = space_file(tmp_path, TEXT.replace(MARGIN, changed))
    with pytest.raises(StudyError, match=said):
        open_ablation(other, settled(other), finished)


def test_classes_by_ids_are_the_same_ablation(finished: Path, tmp_path: Path) -> None:
    by_id = CLASSES.replace("[c, a]", "[0,2]").replace("[7]", "[h]")
    other = space_file(tmp_path, TEXT.replace(MARGIN, by_id))
    open_ablation(other, settled(other), finished).close()


def test_an_ablation_begun_without_margins_of_classes_gets_none(tmp_path: Path) -> None:
    """Its identity has no such entry, as those from before there were any."""
    file = space_file(tmp_path)
    with open_ablation(file, settled(file), tmp_path / "study") as store:
        assert MARGINS not in (store.notes().identity or {})
    open_ablation(file, settled(file), tmp_path / "study").close()
    later = space_file(tmp_path, WITH_CLASSES)
    with pytest.raises(StudyError, match=r"equivalence.iou\[0,2\]: is 0.05, was not there when"):
        open_ablation(later, settled(later), tmp_path / "study")
