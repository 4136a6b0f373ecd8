"""What a search had found by a moment, and what that is worth, is by true accuracies alone."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search.driven import drive
from search.test_study_slices import made_up, plan

from benchmarks.shared import GROUNDS
from benchmarks.shared_search import BUDGETS, COLUMNS, _truths, about, picks_at, space, spent
from hrnet_search.pareto import hypervolume
from hrnet_search.records.search_options import EVALUATORS
from hrnet_search.report.trust.believed import expected_of
from hrnet_search.space.load import load_space_file
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import SEARCH


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return drive(tmp_path_factory.mktemp("study"), plan(), made_up)[0]


def test_picks_are_of_trainings_that_had_ended(study: Study) -> None:
    ended = study.ended()
    searched = [place for place, (ask, _) in enumerate(ended) if ask.purpose == SEARCH]
    before = sum(result.wall_s for _, result in ended[: searched[0]])
    assert picks_at(study, before) == []
    first, result = ended[searched[0]]
    assert picks_at(study, before + result.wall_s + 1e-9) == [first.architecture]
    found = {network.id for network in picks_at(study, spent(study) + 1e-9)}
    trained = [(ask, result) for ask, result in ended if ask.purpose == SEARCH and result.cost]
    scores = expected_of(trained, study.notes)
    assert scores is not None
    of_each = scores.scores()
    rows = {
        ask.architecture.id: (of_each[ask.architecture.id], result.cost.macs)
        for ask, result in trained
        if result.cost
    }
    unbeaten = {
        one
        for one, (miou, macs) in rows.items()
        if not any(m >= miou and c <= macs and (m, c) != (miou, macs) for m, c in rows.values())
    }
    assert found < unbeaten, "some budgets have the same network, and some networks no budget"
    macs = [rows[name][1] for name in unbeaten]
    of_budgets = set()
    for budget in np.geomspace(min(macs), max(macs), BUDGETS):
        within = [name for name in rows if rows[name][1] <= budget * (1 + 1e-9)]
        of_budgets.add(max(within, key=lambda name: rows[name][0]))
    assert found == of_budgets


def test_shares_are_of_the_true_hypervolume(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    networks = picks_at(study, 1e9)
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((n.id, 100 + i, 0.2 + 0.1 * i, 1) for i, n in enumerate(networks))
        writer.writerow(("hr-better", 100, 0.9, 1))
    truths = _truths(path)
    most = max(x for _, x in truths.values()) + 0.05
    areas = [
        hypervolume([y for y, _ in some], [x for _, x in some], (0.0, most))
        for some in ([truths[n.id] for n in networks], list(truths.values()))
    ]
    own = {("shared", 0): study}
    (_, _, row) = about(own, truths, [1e9], {("shared-0", networks[0].id): 0.25})
    assert row.startswith(f"| shared | 1e+09 | 1 | {areas[0] / areas[1]:.3f} |")
    scores = expected_of([one for one in study.ended() if one[0].purpose == SEARCH], study.notes)
    assert scores is not None
    assert networks[0].id == scores.networks[int(scores.mean.argmax())]
    assert row.endswith("| 0.200 | unknown | 0.250 |"), "the truth of the pick, and from its slice"
    (_, _, row) = about(own, truths, [1e9], {}, {networks[0].id: (0.3, 100.0)})
    assert row.endswith("| 0.200 | 0.300 | unknown |"), "and of one twice as long"
    one = {networks[0].id: truths[networks[0].id]}
    (_, _, row) = about(own, one, [1e9], {("shared-1", networks[0].id): 0.25})
    assert row.endswith("| 1 | nan | nan | 0.200 | unknown | unknown |"), "unknown has no share"
    (_, _, row) = about(own, {}, [1e9], {})
    assert row.endswith("| nan | nan | unknown | unknown | unknown |")


@pytest.mark.parametrize("data", GROUNDS)
@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_both_search_the_same_space_by_the_same_schedule(
    evaluator: str, data: str, tmp_path: Path
) -> None:
    ground = GROUNDS[data]
    spec = replace(ground.spec, root="" if data == "shapes" else str(tmp_path))
    path = tmp_path / "space.yaml"
    path.write_text(space(replace(ground, spec=spec), evaluator, 3))
    file = load_space_file(path)
    assert replace(file.schedule.data, names=()) == spec
    assert file.schedule.crop == file.latency.size == spec.size
    assert (file.schedule.steps, file.search.seed) == (150, 3)
    assert (file.slices is not None) == (evaluator == "shared")
    assert len(file.space.choices) == 14
    assert file.seeds == (3,)
    assert file.slices is None or file.slices.init_steps == 750, "what a study takes by itself"
    path.write_text(space(replace(ground, spec=spec), evaluator, 3, shared_steps=3000))
    longer = load_space_file(path).slices
    assert longer is None or longer.init_steps == 3000
