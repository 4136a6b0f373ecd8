"""A search by slices judges a space by shared weights, and trains what that singles out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from search import tabulated
from search.driven import drive
from search.made_up_trials import KilledError, accuracy, killed_after, made_up_latency
from search.test_initial_weights import space

from hrnet_search.arch.cost import cost
from hrnet_search.errors import InputError, SpaceError, StudyError
from hrnet_search.pareto import non_dominated
from hrnet_search.records.search_options import EVALUATOR, GATE
from hrnet_search.records.trial import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    RungResult,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.report.commands import training_in_full
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.report.page.sentences import trust_facts
from hrnet_search.report.pick import picker_of
from hrnet_search.report.plots import pictures
from hrnet_search.report.summary import summary
from hrnet_search.report.tables import write_trials
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.search import slices as slices_module
from hrnet_search.search.begin import open_store
from hrnet_search.search.brain import Brain
from hrnet_search.search.initial_weights import base_key, base_schedule
from hrnet_search.search.mirrors.outbox import mirrored
from hrnet_search.search.plan import Plan
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.search.slices import judged_of, spread_order
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space_file
from hrnet_search.store.growth import growth
from hrnet_search.store.kept import first_weights
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import BASE, CONFIRM, SEARCH, SLICES
from hrnet_search.store.writer import StudyStore

SMALL_SPACE = replace(tabulated.SPACE, choices=tabulated.SPACE.choices[:3])
NETWORKS = len(generate(SMALL_SPACE, 1000))


def plan(trials: int = 24, init: str = "none") -> Plan:
    planned = tabulated.plan(trials=trials, seeds=(4,))
    shared = replace(planned.schedule, init="shared", init_steps=100, init_networks=3)
    shared = replace(shared, init_fingerprint="0f")
    return replace(
        planned,
        space=SMALL_SPACE,
        schedule=shared if init == "shared" else planned.schedule,
        base=base_schedule(shared),
        slices=replace(shared, steps=0),
        confirm=0.5,
    )


def made_up(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
    """Run a trial that never fails."""
    miou = accuracy(task)
    rung = RungResult(task.rungs[-1], miou, (miou,), 1.0, miou)
    report(TrialProgress("evaluate", rung.step, task.schedule.steps, rung=rung))
    counted = cost(task.architecture, (64, 64), 8)
    latency = made_up_latency(task.architecture) if task.latency else None
    seconds = max(1, task.schedule.steps * max(1, task.schedule.networks)) / 100
    return TrialResult(task.key, COMPLETED, counted, latency, miou, (rung,), wall_s=seconds)


def purposes(study: Study) -> list[str]:
    return [ask.purpose for ask, _ in study.trials()]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return drive(tmp_path_factory.mktemp("study"), plan(), made_up)[0]


def test_all_of_a_small_space_are_judged_then_the_gate_then_the_front(study: Study) -> None:
    found = purposes(study)
    gate = 1 + NETWORKS + GATE
    assert found[:gate] == [BASE, *[SLICES] * NETWORKS, *[CONFIRM] * GATE]
    assert set(found[gate:]) == {SEARCH, CONFIRM}
    assert found[gate] == SEARCH
    counts = Counter(found)
    assert counts[SEARCH] + counts[CONFIRM] == 24
    judged = {ask.key.architecture for ask, _ in study.trials() if ask.purpose == SLICES}
    assert judged == {network.id for network in generate(SMALL_SPACE, 1000)}


def test_what_is_trained_first_is_the_front_of_what_was_judged(study: Study) -> None:
    judged = [(a, r) for a, r in study.trials() if a.purpose == SLICES and r and r.cost]
    values = [(r.miou or 0.0, r.cost.macs) for _, r in judged if r and r.cost]
    kept = non_dominated(values, ["max", "min"])
    front = {a.key.architecture for (a, _), good in zip(judged, kept, strict=True) if good}
    trained = [a.key.architecture for a, _ in study.trials() if a.purpose == SEARCH]
    assert set(trained[: len(front)]) == front
    assert len(trained) > len(front)
    by_cost = {a.key.architecture: r.cost.macs for a, r in judged if r and r.cost}
    cheapest, costliest = (pick(front, key=by_cost.__getitem__) for pick in (min, max))
    assert trained[:2] == [cheapest, costliest]


def test_scores_by_slices_are_never_taken_for_those_of_trainings(study: Study) -> None:
    trained = {a.key.architecture for a, _ in study.trials() if a.purpose == SEARCH}
    assert set(study.variants()["architecture"]) == trained
    assert set(study.front()["architecture"]) <= trained
    assert {ask.purpose for ask, _ in mirrored(study.ended())} == {BASE, SEARCH, CONFIRM}
    judged = [(ask, result) for ask, result in study.trials() if ask.purpose == SLICES]
    (schedule,) = {ask.key.schedule for ask, _ in judged}
    assert schedule not in {a.key.schedule for a, _ in study.trials() if a.purpose != SLICES}
    assert all(result and result.untrained for _, result in judged)


def test_the_gate_stands_in_the_evidence_and_the_stamp_follows_it(study: Study) -> None:
    found = evidence_of(study)
    assert found.judged == NETWORKS
    assert found.ranking is not None
    assert found.ranking.n >= GATE
    long = plan().long_schedule.id
    both = {a.key.architecture for a, r in study.trials() if a.key.schedule == long and r}
    assert found.ranking.n == len(both)
    assert "scores by slices of shared weights rank as the long schedule does" in found.stamp.why
    facts = {fact.title: fact for fact in trust_facts(found)}
    text = facts["Slices against trainings alone"].text
    assert text.startswith(f"{NETWORKS} networks were judged by slices. Kendall tau over")
    assert "the partial tau is" in text


def test_judgements_are_no_trainings_in_what_a_report_counts(study: Study) -> None:
    trials = study.trials()
    others = sum(ask.purpose != SLICES for ask, _ in trials)
    beside = f"the shared weights trained first, {NETWORKS} networks judged by slices"
    # As the driver counts: what all start from is none of the trials (docs/shared.md).
    assert f"24 trials: 24 completed; beside them {beside}\n" in summary(study)
    grown = growth(trials, study.notes.goals, {plan().schedule.id})
    assert grown is not None
    assert grown.trainings[-1] == others
    assert grown.hours[-1] == pytest.approx(sum(r.wall_s for _, r in trials if r) / 3600)
    assert all("Trials completed: 24" in picture.caption for picture in pictures(study))


def test_the_page_and_the_tables_say_what_was_judged(study: Study, tmp_path: Path) -> None:
    page = gather(study)
    assert (page.standing.trials, page.standing.counts) == (24, (("completed", 24),))
    assert f"{page.standing.line}</p>" in page_html(page).decode()
    assert f"{NETWORKS} networks judged by slices" in page.standing.line
    signal = study.notes.signal
    judged = {
        a.key.architecture: r.score(signal)
        for a, r in study.trials()
        if a.purpose == SLICES and r is not None
    }
    networks = {ask.number: ask.key.architecture for ask, _ in study.trials()}
    assert len(page.long_short) >= GATE
    assert all(one.short == judged[networks[one.number]] for one in page.long_short)
    rows = pd.read_csv(write_trials(study, tmp_path))
    assert set(rows["number"][rows["judged"] == "by slices"]) == {
        ask.number for ask, _ in study.trials() if ask.purpose == SLICES
    }
    trained = set(study.variants()["architecture"])
    assert set(rows["architecture"][rows["order"].notna()]) == trained, "by their trainings"


def test_the_commands_of_a_study_begin_full_trainings_with_slices(tmp_path: Path) -> None:
    """Where trials began so, `train` does it unasked, and a study without slices has none."""
    study, _ = drive(tmp_path / "study", plan(), made_up)
    folder = str(study.folder)
    with StudyStore(study.folder) as store:
        store.note(Notes(identity={EVALUATOR: "shared"}))
    study = open_study(study.folder)
    assert not any("--init" in command for command in training_in_full(study)), "none was kept"
    first = first_weights(study)
    assert first is not None
    first.parent.mkdir(exist_ok=True)
    first.touch()
    commands = training_in_full(study)
    assert all("--init shared" in command for command in commands)
    assert all(f"train: {command}" in summary(study) for command in commands)
    parts = picker_of(study, candidates_of(study)).train
    assert parts[0].startswith(f"hrnet-search train {folder} --init shared --trial ")
    begun, _ = drive(tmp_path / "shared", plan(init="shared"), made_up)
    alone, _ = drive(tmp_path / "alone", tabulated.plan(trials=6), made_up)
    for other in (begun, alone):
        (other.folder / "weights").mkdir(exist_ok=True)
        if (first := first_weights(other)) is not None:
            first.touch()
        assert not any("--init" in command for command in training_in_full(other))


def test_a_gate_that_takes_all_that_confirms_leaves_no_duel_and_says_why(tmp_path: Path) -> None:
    study, _ = drive(tmp_path, plan(14), made_up)
    assert Counter(purposes(study))[CONFIRM] == GATE
    duels = study.notes.duels
    assert duels is not None
    assert duels.family == 0
    why = "2 pairs of trainings would take 4 trials, and 0 trials are left to confirm"
    assert {duel.why for duel in duels.duels} == {why}
    said = summary(study)
    assert "is it better than what is known?" in said
    assert f"by longer trainings: {why}" in said
    assert "was not compared" in page_html(gather(study)).decode()
    more, _ = drive(tmp_path, plan(48), made_up)  # more trials have time for them
    assert more.notes.duels is not None
    assert more.notes.duels.family


def test_the_gate_is_of_all_sizes(study: Study) -> None:
    asks = [a for a, _ in study.trials()]
    gate = asks[1 + NETWORKS : 1 + NETWORKS + GATE]
    widths = {ask.architecture.width for ask in gate}
    assert len(widths) >= 3
    assert {ask.key.schedule for ask in gate} == {plan().long_schedule.id}
    assert plan().long_schedule.init == "none"


@pytest.mark.parametrize("after", [7, NETWORKS + 3])
def test_a_search_by_slices_killed_at_any_moment_asks_as_it_would_have(
    study: Study, tmp_path: Path, after: int
) -> None:
    with pytest.raises(KilledError):
        drive(tmp_path, plan(), killed_after(after, made_up))
    again, _ = drive(tmp_path, plan(), made_up)
    keys = [str(ask.key) for ask, _ in again.trials()]
    assert keys == [str(ask.key) for ask, _ in study.trials()]


def test_a_judgement_trains_and_measures_nothing(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes())
    with StudyStore(tmp_path) as store:
        brain = Brain(plan(), store, 7.0)
        base = brain.ask()
        assert base is not None
        brain.tell(base.number, made_up(base, lambda _: True))
        task = brain.ask()
        assert task is not None
        # Its cost stands beside those of what is trained.
        assert plan().latency.size != plan().schedule.crop
        assert base.cost_size == task.cost_size == plan().latency.size
        assert (task.schedule.steps, task.rungs, task.latency) == (0, (0,), None)
        assert task.schedule.init == "shared"
        assert task.sharing == ()


def test_a_gate_training_that_fails_has_another_in_its_place(tmp_path: Path) -> None:
    lost: list[str] = []

    def run(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        if task.schedule.steps == 30 and not task.schedule.networks and len(lost) < 2:
            lost.append(task.key.architecture)
            return TrialResult(task.key, FAILED, error="made to fail")
        return made_up(task, report)

    study, _ = drive(tmp_path, plan(), run)
    gate = purposes(study)[1 + NETWORKS :]
    assert gate[: GATE + 2] == [CONFIRM] * (GATE + 2)
    assert gate[GATE + 2] == SEARCH


def test_a_gate_stays_as_it_was_begun_when_more_is_judged(tmp_path: Path) -> None:
    """Judgements that failed and are run again would single out others."""
    failing = set(range(3, NETWORKS, 5))

    def run(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        if task.number in failing and not task.schedule.steps:
            return TrialResult(task.key, FAILED, error=f"made to fail {task.key.architecture}")
        return made_up(task, report)

    study, _ = drive(tmp_path, plan(), run)
    long = [ask for ask, _ in study.trials() if ask.purpose == CONFIRM]
    failing.clear()
    with StudyStore(tmp_path) as store:
        assert store.retry_failed()
    again, brain = drive(tmp_path, plan(trials=30), run)
    assert brain._slices is not None
    assert {key.architecture for key in brain._slices.gate()} == {
        ask.key.architecture for ask in long[:GATE]
    }
    assert len(again.trials()) >= len(study.trials())


def test_a_search_by_slices_none_of_whose_variants_is_trained_is_not_done(tmp_path: Path) -> None:
    """The gate's trainings complete: they are no variants that were found."""
    latency = tabulated.with_latency(plan(), at_most=0.01)
    space = replace(latency.space, choices=SMALL_SPACE.choices)
    planned = replace(latency, space=space)

    def run(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        ended = made_up(task, report)
        slow = ended.latency is not None and task.schedule.steps == planned.schedule.steps
        return replace(ended, status=INFEASIBLE) if slow else ended

    study, brain = drive(tmp_path, planned, run)
    ended = Counter((ask.purpose, r.status) for ask, r in study.trials() if r)
    assert ended[CONFIRM, COMPLETED] >= GATE
    assert not ended[SEARCH, COMPLETED]
    assert brain.fell_short


def test_of_a_grid_too_large_to_list_as_many_are_judged_as_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices_module, "SMALL", 1)
    monkeypatch.setattr(slices_module, "SAMPLED", 9)
    study, brain = drive(tmp_path, plan(trials=14), made_up)
    assert brain._slices is not None
    assert not brain._slices.whole
    assert purposes(study).count(SLICES) == 9 == judged_of(SMALL_SPACE)


def test_what_was_measured_counts_where_networks_are_chosen_and_what_cannot_be_trained_does_not(
    tmp_path: Path,
) -> None:
    """A network that is slow for its MACs, or fails, keeps no neighbour from being trained."""
    planned = replace(plan(trials=30), objectives=("miou", "latency_ms"))
    tried: list[str] = []

    def run(task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        ended = made_up(task, report)
        if ended.latency is None or task.schedule.steps != planned.schedule.steps:
            return ended  # neither judgements nor the gate
        tried.append(task.architecture.id)
        if len(tried) == 3:
            return TrialResult(task.key, FAILED, error="made to fail")
        slower = 5.0 if len(tried) == 2 else 1.0
        return replace(ended, latency=replace(ended.latency, ms=slower * ended.latency.ms))

    study, brain = drive(tmp_path, planned, run)
    assert brain._slices is not None
    weighed = {one.architecture: one.values[1] for one in brain._slices._found()}
    measured = {
        ask.key.architecture: result.latency_ms
        for ask, result in study.trials()
        if result and ask.purpose == SEARCH and result.status == COMPLETED
    }
    assert len(measured) > 5
    assert measured.items() <= weighed.items()
    failed = [a.key.architecture for a, r in study.trials() if r and r.status == FAILED]
    assert len(failed) == 1
    assert failed[0] not in weighed


def test_the_gate_stays_the_same_while_latencies_become_known(tmp_path: Path) -> None:
    latency = tabulated.with_latency(plan(), at_most=1.6)
    space = replace(latency.space, choices=SMALL_SPACE.choices)
    study, _ = drive(tmp_path, replace(latency, space=space), made_up)
    found = purposes(study)[1 + NETWORKS :]
    assert found[: GATE + 1] == [*[CONFIRM] * GATE, SEARCH]


def test_of_a_larger_space_a_sampler_says_what_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices_module, "MOST_JUDGED", NETWORKS - 1)
    monkeypatch.setattr(slices_module, "SAMPLED", 9)
    planned = replace(plan(trials=14), sampler="local")
    study, brain = drive(tmp_path / "one", planned, made_up)
    assert purposes(study)[:10] == [BASE, *[SLICES] * 9]
    history = brain._sampler_of(SLICES).history
    told = {seen.accuracy for seen in history.told.values()}
    judged = [r for a, r in study.trials() if a.purpose == SLICES]
    assert told == {r.miou for r in judged if r}
    with pytest.raises(KilledError):
        drive(tmp_path / "two", planned, killed_after(6, made_up))
    again, _ = drive(tmp_path / "two", planned, made_up)
    assert [a.key for a, _ in again.trials()] == [a.key for a, _ in study.trials()]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_an_order_is_spread_from_its_first_places_on(count: int) -> None:
    order = spread_order(count)
    assert sorted(order) == list(range(count))
    for first in range(3, count + 1):
        places = sorted(order[:first])
        assert (places[0], places[-1]) == (0, count - 1)
        gaps = [b - a for a, b in pairwise(places)]
        assert max(gaps) <= 2 * (count - 1) / (first - 1) + 2


INT8 = "{size: [512, 1024], runtime: onnxruntime, precision: int8, device: cpu}"
SHARED = "search: {evaluator: shared, trials: 12}"
TEXT = "search: {sampler: random, trials: 40, seed: 0, confirm: 0.2}"


def planned(folder: Path, init: str = "none", search: str = SHARED) -> Plan:
    path = Path(space(folder, "none").path)
    text = path.read_text().replace(TEXT, search)
    path.write_text(text.replace("init: none", f"init: {init}"))
    return plan_of(load_space_file(path), folder / "study")


def test_shared_weights_are_trained_whatever_variants_start_from(tmp_path: Path) -> None:
    alone = planned(tmp_path, search=TEXT)
    plans = [
        planned(tmp_path, init)
        for init in ("none, shared: {steps: 70}", "shared, shared: {steps: 70}")
    ]
    assert alone.base is alone.slices is None
    scratch, fine = plans
    for one in plans:
        assert one.base
        assert one.slices
        assert (one.base.steps, one.base.networks, one.slices.steps, one.confirm) == (70, 4, 0, 0.5)
        key = base_key(one.space.base, one.slices, one.seeds)
        assert key.schedule == one.base.id
        assert one.slices.init_path.endswith(f"{key}.safetensors")
    assert scratch.base == fine.base
    assert scratch.schedule == alone.schedule
    assert (scratch.schedule.init, fine.schedule.init) == ("none", "shared")
    line = " ".join(scratch.initial)
    assert line.startswith("search.evaluator: shared: weights that all variants share are trained")


def test_a_study_goes_on_with_its_evaluator_alone(tmp_path: Path) -> None:
    file = space(tmp_path, "none")
    path, folder = Path(file.path), tmp_path / "study"
    text = path.read_text()
    open_store(file, plan_of(file, folder), folder).close()
    assert "search.evaluator" not in (open_study(folder).notes.identity or {})
    path.write_text(text.replace(TEXT, SHARED))
    changed = load_space_file(path)
    with pytest.raises(StudyError, match=r"search\.evaluator: is shared, was alone"):
        open_store(changed, plan_of(changed, folder), folder)


def test_how_shared_weights_of_a_study_are_taught_is_named_by_its_keys(tmp_path: Path) -> None:
    file = space(tmp_path, "none")
    path, folder = Path(file.path), tmp_path / "study"
    text = path.read_text().replace(TEXT, SHARED)

    def opened(init: str) -> None:
        path.write_text(text.replace("init: none", init))
        changed = load_space_file(path)
        open_store(changed, plan_of(changed, folder), folder).close()

    opened("init: none, shared: {teacher_weight: 0}")
    opened("init: none, shared: {teacher_weight: 0}")
    with pytest.raises(StudyError) as caught:
        opened("init: none")
    (fault,) = caught.value.faults
    assert fault.path == "schedule.shared.teacher_weight"
    assert fault.wrong.startswith("is 0.5, was 0 when")
    with pytest.raises(StudyError) as caught:
        opened("init: none, shared: {teacher_weight: 0, networks: 2}")
    assert [fault.path for fault in caught.value.faults] == ["schedule.shared.networks"]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("init: none", "init: base", r"schedule\.init: base does not go with search\.evaluator"),
        ("miou: max", "miou_int8: max", r"objectives\.miou_int8: does not go with search\.eval"),
    ],
)
def test_what_slices_cannot_serve_is_a_fault(
    old: str, new: str, where: str, tmp_path: Path
) -> None:
    path = Path(space(tmp_path, "none").path)
    text = path.read_text().replace(TEXT, SHARED).replace("{size: [512, 1024]}", INT8)
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SpaceError, match=where):
        load_space_file(path)


def test_fewer_trials_than_the_gate_needs_are_refused(tmp_path: Path) -> None:
    file = space(tmp_path, "none")
    path = Path(file.path)
    path.write_text(path.read_text().replace(TEXT, SHARED))
    with pytest.raises(InputError, match=r"--trials: 11 trials do not go with search\.evaluator"):
        plan_of(load_space_file(path), tmp_path / "study", trials=11)


@pytest.mark.parametrize("init", ["base", "shared"])
def test_what_is_trained_first_is_found_where_precision_is_left_open(
    tmp_path: Path, init: str
) -> None:
    """Its name has its schedule in it, as the machine has settled it."""
    found = plan_of(space(tmp_path, f"{init}, precision: auto"), tmp_path / "study")
    assert found.base
    assert found.base.id in found.schedule.init_path
