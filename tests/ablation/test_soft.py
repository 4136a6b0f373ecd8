"""Soft IoU as a second measure of an ablation, by the analysis of the first."""

from __future__ import annotations

import csv
import itertools
import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ablation.made_up_ablation import drive, run_made_up, settled, space_file

from hrnet_search.ablation.analysis import analyse
from hrnet_search.ablation.run import open_ablation, write_record
from hrnet_search.content_hash import hash_of
from hrnet_search.parts import Parts
from hrnet_search.records.trial import RungResult, TrialKey, TrialResult, TrialTask
from hrnet_search.report.ablation.plots import forest
from hrnet_search.report.ablation.tables import effects_table, latex, markdown, write_ablation
from hrnet_search.search.driver import Report
from hrnet_search.store.ablation import AblationRecord
from hrnet_search.store.study import open_study

T_5 = 2.570582
"""The .975 quantile of Student's t with 5 degrees of freedom, from its tables."""

TABLES = ("ablation.csv", "ablation.json", "ablation.md", "ablation.tex")


def softly(task: TrialTask, report: Report) -> TrialResult:
    """A soft IoU that likes CAT less than mIoU does, with noise of its own."""
    done = run_made_up(task, report)
    cat = task.architecture.stages[3].fuse == "CAT"
    drawn = np.random.default_rng(int(hash_of(str(task.key)), 16))
    soft = float(0.3 - 0.02 * cat + 0.002 * drawn.normal())
    return replace(done, rungs=tuple(replace(rung, soft_iou=soft) for rung in done.rungs))


@pytest.fixture(scope="module")
def with_soft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soft")
    drive(space_file(folder), folder / "study", softly)
    return folder


def record_of(folder: Path) -> AblationRecord:
    found = open_study(folder / "study").notes.ablation
    assert found is not None
    return found


def results_of(folder: Path) -> Mapping[TrialKey, TrialResult]:
    return {ask.key: result for ask, result in open_study(folder / "study").trials() if result}


def test_an_arm_against_the_reference_is_as_reckoned_by_hand(with_soft: Path) -> None:
    """Paired differences, Student's interval and all 64 flips of six seeds (Fisher, 1935)."""
    record = record_of(with_soft)
    arms = {arm.name: arm for arm in record.arms}
    results = results_of(with_soft)

    def soft(name: str) -> list[float]:
        arm = arms[name]
        keys = [TrialKey(arm.architecture, arm.schedule, seed) for seed in record.seeds]
        found = [results[key].rungs[-1].soft_iou for key in keys]
        return [value for value in found if value is not None]

    names = [effect.name for effect in record.effects]
    rows = [
        [a - b for a, b in zip(soft(name), soft(record.arms[0].name), strict=True)]
        for name in names
    ]
    flips = list(itertools.product((1, -1), repeat=6))
    means = [
        [abs(sum(s * v for s, v in zip(f, row, strict=True)) / 6) for row in rows] for f in flips
    ]
    for i, (effect, row) in enumerate(zip(record.effects, rows, strict=True)):
        assert effect.soft is not None
        mean, sd = statistics.fmean(row), statistics.stdev(row)
        half = T_5 * sd / 6**0.5
        assert effect.soft.seeds == record.seeds
        assert (effect.soft.mean, effect.soft.sd) == pytest.approx((mean, sd))
        assert (effect.soft.low, effect.soft.high) == pytest.approx(
            (mean - half, mean + half), abs=1e-7
        )
        as_large = [m[i] >= abs(mean) - 1e-9 for m in means]
        assert effect.soft.p == pytest.approx(sum(as_large) / 64)
        assert effect.soft.p_family >= effect.soft.p
    largest = max(range(len(rows)), key=lambda i: abs(statistics.fmean(rows[i])))
    soft_largest = record.effects[largest].soft
    bar = abs(statistics.fmean(rows[largest])) - 1e-9
    assert soft_largest is not None
    assert soft_largest.p_family == pytest.approx(sum(max(m) >= bar for m in means) / 64)
    assert arms[record.arms[0].name].soft_iou == pytest.approx(soft(record.arms[0].name))


def test_a_verdict_of_each_measure_is_its_own(with_soft: Path) -> None:
    effect = next(e for e in record_of(with_soft).effects if e.name == "fuse=CAT")
    assert effect.soft is not None
    assert (effect.verdict, effect.soft.verdict) == ("better", "worse")


def test_every_table_and_the_picture_have_both(with_soft: Path, tmp_path: Path) -> None:
    record = record_of(with_soft)
    written = write_ablation(open_study(with_soft / "study"), tmp_path, Parts())
    assert {*TABLES, "forest.svg"} <= {path.name for path in written}
    with (tmp_path / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, effect in zip(rows, record.effects, strict=True):
        assert effect.soft is not None
        assert float(row["soft_mean"]) == effect.soft.mean
        assert (float(row["soft_low"]), float(row["soft_high"])) == (
            effect.soft.low,
            effect.soft.high,
        )
        assert (row["soft_verdict"], row["soft_seeds"]) == (effect.soft.verdict, "0 1 2 3 4 5")
    assert "soft IoU (points)" in (tmp_path / "ablation.md").read_text()
    lines = (tmp_path / "ablation.tex").read_text().splitlines()
    first, second = [i for i, r in enumerate(lines) if r.startswith("\\begin{tabular}")]
    assert lines[first] == "\\begin{tabular}{lrrrrlrrrr}"
    assert lines[second] == "\\begin{tabular}{lrrrl}"
    soft = lines[second : lines.index("\\end{tabular}", second)]
    assert "soft IoU (points)" in soft[2]
    cells = [r for r in soft if r.endswith(r"\\")]
    assert len(cells) == 1 + len(record.effects)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in cells} == {4}
    assert "soft IoU (hollow)" in (tmp_path / "forest.svg").read_text()
    axes = forest(record, record.effects).axes[0]
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    drawn = [float(line.get_xdata()[0]) for line in hollow]  # type: ignore[index, arg-type]
    assert drawn == pytest.approx([100 * (e.soft.mean or 0) for e in record.effects if e.soft])
    alone = [e for e in record.effects if e.verdict == "better"]  # and worse by soft IoU
    legend = forest(replace(record, effects=tuple(alone)), alone).axes[0].get_legend()
    assert legend is not None
    assert {"better", "worse"} <= {text.get_text() for text in legend.get_texts()}


def test_a_seed_without_it_is_left_out_of_it_alone(with_soft: Path) -> None:
    file = space_file(with_soft)
    ablation = settled(file)
    results = dict(results_of(with_soft))
    key = next(key for key in results if key.seed == 2 and key.architecture == gone(with_soft))
    lost = results[key]
    results[key] = replace(lost, rungs=(replace(lost.rungs[-1], soft_iou=None),))
    record = analyse(file.name, ablation, results)
    effect = next(e for e in record.effects if e.name == "fuse=CAT")
    assert effect.soft is not None
    assert (effect.seeds, effect.soft.seeds) == ((0, 1, 2, 3, 4, 5), (0, 1, 3, 4, 5))


def gone(folder: Path) -> str:
    return next(arm.architecture for arm in record_of(folder).arms if arm.name == "fuse=CAT")


def test_where_no_trial_has_one_every_table_is_as_it_was(with_soft: Path, tmp_path: Path) -> None:
    def without(rung: RungResult) -> RungResult:
        return replace(rung, soft_iou=None)

    file, results = space_file(with_soft), results_of(with_soft)
    before = {k: replace(r, rungs=tuple(map(without, r.rungs))) for k, r in results.items()}
    record = analyse(file.name, settled(file), before)
    assert all(effect.soft is None for effect in record.effects)
    assert all(arm.soft_iou == () for arm in record.arms)
    assert not [c for c in effects_table(record).columns if "soft" in c]
    assert "soft" not in markdown(record)
    assert "{lrrrrlrrrr}" in latex(record)
    assert "soft" not in forest(record, record.effects).axes[0].get_xlabel()
    drive(space_file(tmp_path), tmp_path / "study", run_made_up)
    with open_ablation(file, settled(file), tmp_path / "study") as store:
        write_record(file, settled(file), store)
    write_ablation(open_study(tmp_path / "study"), tmp_path, Parts())
    assert "soft" not in json.dumps(json.loads((tmp_path / "ablation.json").read_text()))
