"""What a report says of duels: decided, not shown, out of device time, and none at all."""

from __future__ import annotations

import html
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import CONDITION, network
from scipy import stats
from search.made_up_trials import run_made_up
from search.tabulated import plan

from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import Latency
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey, TrialResult, TrialTask
from hrnet_search.report.commands import training_in_full
from hrnet_search.report.duels import budget_of, duel_lines, fought, part_in
from hrnet_search.report.report import write_report
from hrnet_search.report.summary import summary
from hrnet_search.report.trust.believed import Believed
from hrnet_search.report.trust.trials import Trial
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import run_inline
from hrnet_search.store.duels import Duel, Duels
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore
from hrnet_search.trainings.starts import of_study

SEEDS = (5, 6, 7, 8)
DUEL = Duel("latency_ms", 5.0, "hr-pick", "hr-known", "W18-Small-v1", "sc-long", SEEDS, 4)
BETTER = [0.020, 0.025, 0.018, 0.021]


def notes(*duels: Duel, why: str = "") -> Notes:
    family = sum(duel.most > 0 for duel in duels)
    short, long = (Schedule(DataSpec("shapes", 8), steps=steps) for steps in (300, 900))
    return Notes(
        duels=Duels(duels, family, why),
        schedule=NotedSchedule("sc-short", short),
        long_schedule=NotedSchedule("sc-long", long),
    )


def trials(differences: list[float], duel: Duel = DUEL) -> list[Trial]:
    """Return the first trial of a pick, number 12, and pairs with these differences."""
    first = TrialKey(duel.pick, "sc-short", 0)
    found: list[Trial] = [(Ask(12, first, (), network(8)), TrialResult(first, "completed"))]
    for seed, difference in zip(duel.seeds, differences, strict=False):
        for key, miou in zip(duel.keys(seed), (0.5 + difference, 0.5), strict=True):
            ask = Ask(20 + len(found), key, (), network(8), "confirm")
            found.append((ask, TrialResult(key, "completed", miou=miou)))
    return found


def test_a_duel_that_is_decided_is_told_in_the_words_of_people() -> None:
    (line,) = duel_lines(notes(DUEL), trials(BETTER))
    (one,) = fought(notes(DUEL), trials(BETTER))
    assert line == (
        f"the pick for 5 ms (#12) is 2.1 points better than W18-Small-v1"
        f" [{100 * one.verdict.low:.1f}, {100 * one.verdict.high:.1f}],"
        " by three times the schedule, four seeds each"
    )
    # Wider than the paired t-test of scipy, which is for one look alone.
    plain = stats.ttest_1samp(BETTER, 0).confidence_interval(0.95)
    assert 0 < one.verdict.low < plain.low
    assert one.verdict.high > plain.high


def test_a_pick_is_named_by_what_trained_it_and_not_by_what_judged_it() -> None:
    rows = trials(BETTER)
    for number, purpose, schedule in ((0, "base", "sc-base"), (3, "slices", "sc-slices")):
        key = TrialKey(DUEL.pick, schedule, 0)
        result = TrialResult(key, "completed", miou=0.9)
        rows.insert(0, (Ask(number, key, (), network(8), purpose), result))
    (one,) = fought(notes(DUEL), rows)
    assert (one.pick, one.now) == (12, 12)


def test_a_pick_that_is_worse_is_called_so() -> None:
    (line,) = duel_lines(notes(DUEL), trials([-d for d in BETTER]))
    assert "is 2.1 points worse than W18-Small-v1 [" in line
    low, high = line.split("[")[1].split("]")[0].split(", ")
    assert 0 < float(low) < 2.1 < float(high)


@pytest.mark.parametrize(
    ("differences", "why", "said"),
    [
        (
            [0.02, -0.02, 0.01, -0.02],
            "",
            "is not shown to be better than W18-Small-v1: -0.3 points",
        ),
        ([0.02, -0.01], "", "is not shown to be better than W18-Small-v1 yet: +0.5 points"),
        ([0.02, -0.01], "no time", "two seeds each: no time"),
        ([0.02], "", "one seed each decides nothing"),
        ([], "", "is still to be compared with W18-Small-v1"),
        ([], "2 pairs of trainings would take 60 s", "was not compared with W18-Small-v1"),
    ],
)
def test_what_is_not_decided_is_said_to_be_so(
    differences: list[float], why: str, said: str
) -> None:
    duel = replace(DUEL, why=why, most=0 if "60 s" in why else 4)
    (line,) = duel_lines(notes(duel), trials(differences))
    assert said in line
    assert line.endswith(why)
    assert " better than" not in line or "not shown" in line


def test_pairs_in_which_a_training_failed_count_for_nothing() -> None:
    rows = trials(BETTER)
    ask, result = rows[-1]
    assert result is not None
    rows[-1] = (ask, replace(result, status="failed", miou=None))
    (one,) = fought(notes(DUEL), rows)
    assert one.verdict.pairs == 3


def test_what_would_be_picked_now_is_named_where_that_is_another() -> None:
    """By the mean of its seeds, within the budget."""
    asks = [(12, 0.5, 4.0), (13, 0.6, 4.0), (13, 0.38, 4.0), (14, 0.9, 6.0), (15, 0.52, 3.0)]
    found = [of_search(number, miou, ms, seed) for seed, (number, miou, ms) in enumerate(asks)]
    pairs = trials(BETTER)[1:]
    assert fought(notes(DUEL), [*found[:4], *pairs])[0].now == 12
    one = fought(notes(DUEL), [*found, *pairs])[0]
    assert (one.pick, one.now) == (12, 15)
    assert one.line.startswith("the pick for 5 ms (#12, now behind #15) is 2.1 points better")
    slower = [*found, of_search(15, 0.52, 7.5, 9)]
    assert fought(notes(DUEL), [*slower, *pairs])[0].now == 12, "5.25 ms by the mean of both"
    unknown = {"limits": [["miou_int8", {"at_least": 0.4}]]}  # of 15 and of all others here
    bounded = replace(notes(DUEL), identity=unknown)
    assert fought(bounded, [*found, *pairs])[0].now == 12, "what may be below a floor is no pick"
    by_belief = np.array([0.6, 0.7, 0.99, 0.65])
    beliefs = Believed(
        ("hr-pick", "hr-13", "hr-14", "hr-15"), by_belief, by_belief, by_belief[None], 6
    )
    within = fought(notes(DUEL), [*found, *pairs], beliefs)[0]
    assert within.now == 13, "as --pick says; 14 is over the budget"
    known = replace(DUEL, rival="hr-15")
    line = fought(notes(known), [*found, *trials(BETTER, known)[1:]])[0].line
    assert line.startswith("the pick for 5 ms (#12, now behind W18-Small-v1 itself, #15) is")
    (idle,) = fought(notes(replace(DUEL, most=0, why="no time")), found)
    assert idle.line.startswith("the pick for 5 ms (#15) was not compared with W18-Small-v1")


def of_search(number: int, miou: float, ms: float, seed: int) -> Trial:
    name = DUEL.pick if number == 12 else f"hr-{number}"
    key = TrialKey(name, "sc-short", seed)
    latency = Latency(ms, ms, ms, ms, ms, ms, 50, False, CONDITION)
    return (
        Ask(number, key, (), network(8)),
        TrialResult(key, "completed", miou=miou, latency=latency),
    )


def test_why_there_is_no_duel_is_said_and_before_one_is_chosen_nothing() -> None:
    (line,) = duel_lines(notes(why="no rival"), trials([]))
    assert line == "no duel with a published network or the base: no rival"
    assert duel_lines(Notes(), trials([])) == ()


def test_duels_beyond_the_device_time_change_no_verdict() -> None:
    late = replace(DUEL, pick="hr-other", most=0, why="no time")
    alone, beside = (fought(notes(*duels), trials(BETTER)) for duels in ([DUEL], [DUEL, late]))
    assert alone[0].verdict == beside[0].verdict
    assert "was not compared" in beside[1].line


def test_a_trial_is_told_which_side_it_was_on() -> None:
    parts = part_in(notes(DUEL), trials(BETTER))
    assert set(parts.values()) == {"5 ms: pick", "5 ms: rival"}
    assert 12 not in parts


def test_budgets_are_spelt_as_people_write_them() -> None:
    budgets = (("macs", 21615616.0), ("params", 1.5e6), ("activations", 9e2), ("latency_ms", 12.34))
    spelt = [budget_of(replace(DUEL, cost=cost, budget=most)) for cost, most in budgets]
    assert spelt == ["21.6 M MACs", "1.5 M parameters", "900 activations", "12.3 ms"]


def test_page_summary_and_tables_tell_the_duels_of_a_study(tmp_path: Path) -> None:
    planned = replace(plan(trials=30), confirm=0.6)
    begun = Notes(
        name="duels",
        objectives=("miou", "macs"),
        schedule=NotedSchedule.of(planned.schedule),
        long_schedule=NotedSchedule.of(planned.long_schedule),
    )
    StudyStore.create(tmp_path, begun)

    def run(task: TrialTask, report: object) -> TrialResult:
        result = run_made_up(task, lambda _: True)
        better = task.key.architecture != planned.space.base.id
        miou = 0.5 + 0.1 * better + 0.001 * (task.key.seed % 3) * better
        return replace(result, miou=None if result.miou is None else miou)

    with StudyStore(tmp_path) as store:
        run_inline(Brain(planned, store, None), run)
    study = open_study(tmp_path)
    files = write_report(study)
    said = "points better than the base ["
    assert "  the pick for 21.6 M MACs (#" in summary(study)
    assert said in summary(study)
    assert said in files.page.read_text()
    assert files.duels is not None
    (row,) = pd.read_csv(files.duels).to_dict("records")
    assert (row["verdict"], row["rival_name"], row["cost"]) == ("better", "the base", "macs")
    assert 0.05 < row["low"] < row["difference"] < row["high"]
    assert row["difference"] == pytest.approx(0.1, abs=0.003)
    table = pd.read_csv(files.trials)
    fighting = table[table["duel"].notna()]
    assert len(fighting) == 2 * row["pairs"]
    assert set(fighting["duel"]) == {"21.6 M MACs: pick", "21.6 M MACs: rival"}
    (command,) = training_in_full(study)
    assert f"train: {command}" in summary(study)
    assert command in html.unescape(files.page.read_text())
    words = shlex.split(command)
    picked = of_study(words[2], None, words[words.index("--pick") + 1])
    assert picked.origin["trial"] == str(row["pick_now_trial"])
