"""A search over networks and how they are trained: each network counts by what served it best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from made_up import network
from search.made_up_trials import KilledError, run_made_up
from search.tabulated import SPACE, plan

from hrnet_search.arch.hrnet_yaml import config_text, parse_config
from hrnet_search.export.member import front_of
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.records.trial import COMPLETED, RungResult, TrialResult, TrialTask
from hrnet_search.report.page.gather import gather
from hrnet_search.report.summary import summary
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.identity import differing
from hrnet_search.search.mirrors.mlflow_rows import trial_params
from hrnet_search.search.plan import Plan
from hrnet_search.space.choice import Choice
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import CONFIRM, SEARCH
from hrnet_search.store.writer import StudyStore

RATES = (0.01, 0.02, 0.04)
CHOICES = (*SPACE.choices[:2], Choice("schedule.lr", RATES), Choice("schedule.flip", (True, False)))


def varied(trials: int = 40, sampler: str = "random") -> Plan:
    space = replace(SPACE, choices=CHOICES)
    planned = replace(plan(sampler, trials), space=space, confirm=0.4, rungs=(10,))
    return replace(planned, schedule=replace(planned.schedule, lr=RATES[0]))


def run(task: TrialTask, report: Report) -> TrialResult:
    """Train best at 0.02, and a network that is smaller than the base, with noise of the seed."""
    found = run_made_up(task, lambda progress: True)
    if found.status != COMPLETED or found.miou is None:
        found = replace(found, status=COMPLETED)
    rate = {0.01: -0.02, 0.02: 0.0, 0.04: -0.05}[task.schedule.lr]
    score = 0.6 - abs(task.architecture.width - 6) / 40 + rate - 0.01 * (not task.schedule.flip)
    score += 0.001 * (task.key.seed % 3)
    rung = RungResult(task.schedule.steps, score, (score,) * 8, 1.0, score, score)
    return replace(found, miou=score, rungs=(rung,), wall_s=1.0 * task.schedule.steps, error="")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder, planned = tmp_path_factory.mktemp("varied") / "study", varied()
    StudyStore.create(
        folder,
        Notes(
            name="varied",
            objectives=planned.objectives,
            schedule=NotedSchedule.of(planned.schedule),
            long_schedule=NotedSchedule.of(planned.long_schedule),
            choices=tuple(c.path for c in CHOICES),
            levels=tuple(c.values for c in CHOICES),
            base_yaml=config_text(network(8)),
            trials=planned.trials,
        ),
    )
    with StudyStore(folder) as store:
        run_inline(Brain(planned, store, None), run)
    return open_study(folder)


def test_trials_are_of_many_schedules_and_the_front_has_each_network_once(study: Study) -> None:
    searched = [ask for ask, _ in study.trials() if ask.purpose == SEARCH]
    assert len({ask.key.schedule for ask in searched}) > 3
    networks = {ask.key.architecture for ask in searched}
    assert len(networks) < len(searched)  # some were trained in several ways
    variants = study.variants()
    assert sorted(variants["architecture"]) == sorted(networks)
    assert study.front()["architecture"].is_unique
    each = study.trained_in_each_way()
    assert len(each) == len({(ask.key.architecture, ask.key.schedule) for ask in searched})


def test_a_network_counts_by_the_best_of_its_schedules(study: Study) -> None:
    scores: dict[str, dict[str, list[float]]] = {}
    for ask, result in study.trials():
        if ask.purpose == SEARCH and result and result.miou is not None:
            own = scores.setdefault(ask.key.architecture, {})
            own.setdefault(ask.key.schedule, []).append(result.miou)
    for row in study.variants().to_dict("records"):
        means = {schedule: fmean(v) for schedule, v in scores[row["architecture"]].items()}
        assert means[row["schedule"]] == max(means.values())


def test_what_confirms_is_trained_as_its_network_counts(study: Study) -> None:
    schedules = varied().schedules
    best = dict(zip(study.variants()["architecture"], study.variants()["schedule"], strict=True))
    confirming = [ask for ask, _ in study.trials() if ask.purpose == CONFIRM]
    duels = study.notes.duels
    assert duels
    of_duels = {key for duel in duels.duels for seed in duel.seeds for key in duel.keys(seed)}
    assert confirming
    for ask in confirming:
        if ask.key in of_duels:
            continue
        own = best.get(ask.key.architecture)
        if own is not None:
            assert ask.key.schedule in (own, schedules.long_of(own))
    assert any(duel.most for duel in duels.duels)
    for duel in duels.duels:
        assert duel.schedule != varied().long_schedule.id
        assert duel.schedule == schedules.long_of(best[duel.pick])


def test_configs_and_parameters_have_the_rates_of_their_trial(study: Study) -> None:
    writer = ConfigWriter.of(study.notes)
    for ask, _ in study.trials():
        if not ask.point or ask.purpose != SEARCH:
            continue
        text = writer.write(ask.architecture, ask.key.schedule).text
        rate = RATES[ask.point[2]]
        assert parse_config(text).sections["TRAIN"]["LR"] == rate
        params = trial_params(ask, study.notes)
        assert (params["schedule.lr"], params["schedule"]) == (str(rate), ask.key.schedule)
    for member in front_of(study):
        assert member.schedule is not None
        assert f"LR: {member.schedule.lr}" in member.config.text


def test_people_see_how_each_network_of_the_front_was_trained(study: Study) -> None:
    text = summary(study)
    first = study.front().iloc[0]
    assert f"schedule.lr {first['schedule.lr']}, schedule.flip {first['schedule.flip']}" in text
    page = gather(study)
    assert all("schedule.lr" in member.differs for member in page.members)
    assert ("schedules", "6, by schedule.lr, schedule.flip; a network counts by its best") in (
        page.facts
    )
    assert page.choices.model is not None
    rate = next(e for e in page.choices.model.effects if e.path == "schedule.lr")
    assert rate.adds.index(max(rate.adds)) == RATES.index(0.02)


def test_a_study_that_was_killed_goes_on_as_it_would_have(study: Study, tmp_path: Path) -> None:
    folder, left = tmp_path / "study", 23
    notes, planned = study.notes, replace(varied(), folder="")
    StudyStore.create(folder, replace(notes, duels=None))

    def killed(task: TrialTask, report: Report) -> TrialResult:
        nonlocal left
        left -= 1
        if not left:
            raise KilledError
        return run(task, report)

    with StudyStore(folder) as store, pytest.raises(KilledError):
        run_inline(Brain(planned, store, None), killed)
    with StudyStore(folder) as store:
        run_inline(Brain(planned, store, None), run)
    again = [(ask.key, ask.point, ask.purpose) for ask, _ in open_study(folder).trials()]
    assert again == [(ask.key, ask.point, ask.purpose) for ask, _ in study.trials()]


def test_other_levels_are_told_once() -> None:
    was = {"vary.schedule.lr": [[0.1, 0.2]], "schedule.lr": 0.1, "schedule.steps": 1}
    now = {"vary.schedule.lr": [[0.2, 0.1]], "schedule.lr": 0.2, "schedule.steps": 2}
    assert sorted(differing(was, now, Path("s"))) == ["schedule.steps", "vary.schedule.lr"]


@pytest.mark.parametrize("sampler", ["pareto", "local", "optuna:tpe"])
def test_samplers_take_training_for_axes_of_the_space(tmp_path: Path, sampler: str) -> None:
    folder, planned = tmp_path / "study", replace(varied(14, sampler), confirm=0.0)
    notes = Notes(
        name="v", objectives=planned.objectives, schedule=NotedSchedule.of(planned.schedule)
    )
    StudyStore.create(folder, notes)
    with StudyStore(folder) as store:
        run_inline(Brain(planned, store, None), run)
    asks = [ask for ask, _ in open_study(folder).trials()]
    assert len({ask.key for ask in asks}) == 14
    assert len({ask.key.schedule for ask in asks}) > 1
