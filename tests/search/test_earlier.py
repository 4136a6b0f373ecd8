"""Learning from earlier studies: what is taken of them, what it is worth, what it may cost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import network
from scipy.stats import kendalltau
from search import tabulated
from search.made_up_trials import KilledError, killed_after
from search.tabulated import drive, plan

from hrnet_search.errors import InputError, StudyError
from hrnet_search.pareto import hypervolume
from hrnet_search.records.accuracy import MIOU
from hrnet_search.search.begin import open_store
from hrnet_search.search.earlier import FEWEST, expectation, learned_lines
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.choice import Choice
from hrnet_search.space.load import load_space_file
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.findings import Learned
from hrnet_search.store.study import open_study

ROOT = Path(__file__).parents[2]
QUICK = ROOT / "search_spaces" / "quickstart.yaml"

Expected = Callable[[Points], Floats]


def learned_of(space: SearchSpace, count: int, seed: int = 0) -> Learned:
    """What a study would have found of some networks of a space."""
    rng = np.random.default_rng(seed)
    points = space.drawn(rng, 4 * count)
    networks = tuple({a.id: a for a in map(space.decode, points.tolist())}.values())[:count]
    scores = tuple(truth(a) + rng.normal(0, 0.005) for a in networks)
    return Learned("before", "st-1", "/before", MIOU, networks, scores)


def truth(architecture: object) -> float:
    """Deeper and wider is better, less and less so."""
    stages = architecture.stages  # type: ignore[attr-defined]
    depth = sum(stage.modules * sum(stage.blocks) for stage in stages[1:])
    return float(0.5 - 1 / depth - 0.5 / stages[3].channels[0])


OTHER = SearchSpace(
    network(12),
    (
        Choice("width", (6, 10, 14, 20)),
        Choice("STAGE3.NUM_BLOCKS[0]", (1, 2, 3)),
        Choice("STAGE4.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE2.NUM_MODULES", (1, 2)),
    ),
    input_size=(64, 64),
    classes=8,
)


@pytest.mark.parametrize("space", [tabulated.SPACE, OTHER], ids=["its own space", "another space"])
def test_what_one_may_expect_ranks_networks_that_the_study_never_had(space: SearchSpace) -> None:
    learned = learned_of(tabulated.SPACE, 40)
    known = set(learned.networks)
    points = np.array([p for p in space.points() if space.decode(p) not in known])
    expected = expectation(space, learned)(points)
    found = kendalltau(expected, [truth(space.decode(p)) for p in points.tolist()]).statistic
    assert found > 0.6


def test_a_network_is_expected_to_have_the_same_whatever_is_asked_beside_it() -> None:
    """To the last bit: a study that goes on asks in other batches than the one it was."""
    learned = learned_of(tabulated.SPACE, 30)
    points = np.array(list(tabulated.SPACE.points()))
    together = expectation(tabulated.SPACE, learned)(points)
    anew = expectation(tabulated.SPACE, learned)
    parts = [anew(part) for part in (points[::7], points[:3], points[-1:])]
    assert np.array_equal(np.concatenate(parts), np.concatenate(
        [together[::7], together[:3], together[-1:]]
    ))  # fmt: skip


AXES = [Axis(f"x{i}", 5, True) for i in range(6)]


def accuracy(points: Points) -> Floats:
    return np.asarray(-((points - np.array([4, 1, 3, 2, 0, 2])) ** 2).sum(axis=1) / 5.0)


def problem(*earlier: Expected) -> Problem:
    return Problem(
        AXES,
        lambda p: 1.0 + p.sum(axis=1, keepdims=True),
        lambda p: np.ones(len(p), dtype=np.bool_),
        earlier=earlier,
    )


def alike(points: Points) -> Floats:
    """Like accuracy in another scale, with a mistake of its own at each point."""
    mistakes = np.random.default_rng(1).normal(0, 0.4, 5**6)
    return np.asarray(7 * (accuracy(points) + mistakes[points @ 5 ** np.arange(6)]) - 40)


def unrelated(points: Points) -> Floats:
    return np.asarray(np.random.default_rng(2).normal(size=5**6)[points @ 5 ** np.arange(6)])


def searched(seed: int, trials: int, *earlier: Expected) -> tuple[Sampler, float]:
    """Return a search, and the hypervolume of the true accuracies that it tried."""
    sampler = SAMPLERS["pareto"](problem(*earlier), seed=seed, trials=60)
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        (point,) = sampler.ask()
        sampler.tell(point, float(accuracy(np.array([point]))[0] + rng.normal(0, 0.05)))
    told = np.array(list(sampler.history.told))
    return sampler, hypervolume_of(told)


def hypervolume_of(points: Points) -> float:
    return hypervolume(accuracy(points), np.log(1.0 + points.sum(axis=1)), (-6.0, 3.3))


def test_a_study_alike_saves_trainings_and_weighs_much() -> None:
    seeds = range(2)
    without = np.mean([searched(s, 16)[1] for s in seeds])
    found = [searched(s, 16, alike) for s in seeds]
    assert np.mean([area for _, area in found]) > without
    assert all(sampler.weights()[0] > 0.5 for sampler, _ in found)


def test_an_unrelated_study_costs_next_to_nothing_and_weighs_little() -> None:
    seeds = range(2)
    without = np.mean([searched(s, 26)[1] for s in seeds])
    found = [searched(s, 26, unrelated) for s in seeds]
    assert np.mean([area for _, area in found]) > 0.95 * without
    assert all(sampler.weights()[0] < 0.2 for sampler, _ in found)


def test_of_two_studies_the_one_alike_weighs_more() -> None:
    weights = searched(0, 24, unrelated, alike)[0].weights()
    assert weights[1] > 4 * weights[0]


def test_the_start_is_part_believed_front_and_part_of_all_costs() -> None:
    start = np.array(SAMPLERS["pareto"](problem(accuracy), seed=0, trials=60).ask(14))
    everything = problem().enumerate()
    better = [
        (accuracy(everything)[everything.sum(axis=1) <= p.sum()] > value).sum()
        for p, value in zip(start, accuracy(start), strict=True)
    ]
    assert sum(count == 0 for count in better) >= 6  # nothing is believed better and as cheap
    others = start[np.array(better) > 0]
    assert len(others) >= 4
    assert np.ptp(others.sum(axis=1)) > 8


def test_nothing_learned_weighs_nothing() -> None:
    assert SAMPLERS["pareto"](problem(), seed=0).weights() == ()
    assert SAMPLERS["pareto"](problem(alike), seed=0).weights() == (0.0,)
    assert SAMPLERS["random"](problem(alike), seed=0).weights() == ()


def rows(folder: Path) -> list[tuple[object, ...]]:
    table = open_study(folder).results().fillna({"miou": -1})
    return [tuple(r) for r in table[["number", "architecture", "status", "miou"]].values]


def learning(planned: Plan) -> Plan:
    return replace(planned, earlier=(learned_of(tabulated.SPACE, 12),))


def test_killed_anywhere_a_study_that_learns_goes_on_with_the_same_proposals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = learning(plan("pareto", 12))
    drive(tmp_path / "whole", planned)
    for trials in (2, 6, 99):
        monkeypatch.setattr(tabulated, "run_made_up", killed_after(trials))
        if trials < 99:
            with pytest.raises(KilledError):
                drive(tmp_path / "cut", planned)
        else:
            drive(tmp_path / "cut", planned)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert rows(tmp_path / "whole") != rows_without(tmp_path / "plain")
    (weight,) = open_study(tmp_path / "whole").notes.learned_weights or ()
    assert 0 <= weight <= 1


def rows_without(folder: Path) -> list[tuple[object, ...]]:
    drive(folder, plan("pareto", 12))
    return rows(folder)


def space_file(folder: Path, search: str, name: str = "mine") -> Path:
    base = next((ROOT / "configs").glob("seg_hrnet_w18_small_v1*")).absolute()
    text = f"""\
name: {name}
base: {base}
vary: {{width: [4, 8], STAGE3.NUM_MODULES: [1, 2, 3, 4], STAGE4.NUM_MODULES: [1, 2, 3, 4]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 8, val: 8, classes: 4}}
schedule: {{steps: 8, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], device: cpu}}
search: {search}
tracking: {{mlflow: "off"}}
"""
    folder.mkdir(exist_ok=True)
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def begin(path: Path, folder: Path) -> Plan:
    file = load_space_file(path)
    planned = plan_of(file, folder)
    open_store(file, planned, folder).close()
    return planned


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A study with made-up trials of its search, of 12 networks."""
    drive(tmp_path / "before", plan("random", 20))
    return tmp_path / "before"


def test_a_study_keeps_what_it_learned_and_needs_the_earlier_one_no_more(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named relative to the space file, grown, then deleted: the study goes on with the same."""
    path = space_file(tmp_path / "spaces", "{learn_from: [../before], signal: miou}")
    planned = begin(path, tmp_path / "study")
    (learned,) = planned.earlier
    assert learned.name == "tabulated"
    assert Path(learned.folder) == tmp_path / "spaces" / ".." / "before"
    assert open_study(tmp_path / "study").notes.learned_from == planned.earlier
    drive(before, plan("random", 30))
    assert begin(path, tmp_path / "study").earlier == planned.earlier
    assert begin(path, tmp_path / "fresh").earlier != planned.earlier
    before.rename(tmp_path / "moved")
    moved = space_file(tmp_path / "spaces", "{learn_from: [../moved], signal: miou}")
    assert begin(moved, tmp_path / "study").earlier == planned.earlier
    path = space_file(tmp_path / "spaces", "{learn_from: [../before], signal: miou}")
    shutil.rmtree(tmp_path / "moved")
    assert begin(path, tmp_path / "study").earlier == planned.earlier
    monkeypatch.chdir("/")
    kept = tmp_path / "study" / "space.yaml"
    assert begin(kept, tmp_path / "study").earlier == planned.earlier


def test_a_study_goes_on_with_the_earlier_studies_that_it_began_with(
    before: Path, tmp_path: Path
) -> None:
    spaces, study = tmp_path / "spaces", tmp_path / "study"
    begin(space_file(spaces, "{signal: miou, learn_from: [../before]}"), study)
    with pytest.raises(StudyError, match=r"search\.learn_from: is \[\], was \[.*tabulated"):
        begin(space_file(spaces, "{signal: miou}"), study)
    begin(space_file(spaces, "{signal: miou}"), tmp_path / "plain")
    with pytest.raises(StudyError, match=r"search\.learn_from: is \[.*tabulated.*, was \[\]"):
        begin(space_file(spaces, "{signal: miou, learn_from: [../before]}"), tmp_path / "plain")


def small(folder: Path) -> None:
    drive(folder, plan("random", FEWEST - 1))


@pytest.mark.parametrize(
    ("make", "search", "message"),
    [
        (lambda folder: None, "", "is not a study: there is no such folder"),
        (lambda folder: folder.mkdir(), "", "is not a study: it has no study.db"),
        (small, ", signal: miou", f"networks trained to the end .*at least {FEWEST}"),
        (lambda f: drive(f, plan("random", 4)), "", "whose soft IoU is known"),
        (small, ", sampler: random", "the sampler random does not learn from earlier studies"),
    ],
    ids=["missing", "no study", "too few", "other signal", "sampler"],
)
def test_what_cannot_be_learned_from_is_said_in_one_line(
    make: Callable[[Path], None], search: str, message: str, tmp_path: Path
) -> None:
    make(tmp_path / "before")
    path = space_file(tmp_path / "spaces", f"{{learn_from: [../before]{search}}}")
    with pytest.raises(InputError, match=message) as raised:
        begin(path, tmp_path / "study")
    (fault,) = raised.value.faults
    assert (fault.file, fault.line) == (str(path), 8)
    assert len(str(raised.value).splitlines()) == 1


def test_what_is_learned_from_an_objective_of_classes_is_said_by_its_name() -> None:
    one = Learned("before", "", "/before", "iou[1]", (network(8),), (0.5,))
    assert learned_lines([one]) == ["learning from /before: iou[1] of 1 networks"]
