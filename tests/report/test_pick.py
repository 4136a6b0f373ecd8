"""The best within a budget, and how surely: on the page as on the terminal."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from chromium import FOUND, WHY_NOT, Browser
from large_study import make_study as large_study
from made_up import network, result
from small_studies import MakeStudy

from hrnet_search.arch.cost import Cost
from hrnet_search.arch.hrnet_yaml import parse_config
from hrnet_search.cli import main
from hrnet_search.errors import InputError
from hrnet_search.report.budget_words import budget_in_words, budgets_of
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import write_page
from hrnet_search.report.pick import ONE_SEED, answer, fixed, pick_lines, picked, picker_of
from hrnet_search.report.trust.believed import Believed, Expected, foretold
from hrnet_search.report.trust.candidates import (
    MOST,
    Candidates,
    candidates_of,
    foretold_candidates,
    ranks_of,
)
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.writer import StudyStore

BUDGETS = (
    "latency_ms<=10", "params<=20M", "latency_ms<=8, params<=12M", "macs<=2G, activations<=4M",
    "latency_ms<=20, macs<=4G, params<=50M", "latency_ms<=0.1",
)  # fmt: skip


@pytest.fixture(scope="module", params=["measured", "expected", "believed"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that trained as many for long as say what all would reach, or none.

    One whose trainings begin with weights of others goes by what was measured.
    """
    folder = tmp_path_factory.mktemp("pick") / "s"
    long = 16 if request.param == "believed" else 0
    found = large_study(folder, 300, noise=0.01, confirmed=long)
    return inheriting(found) if request.param == "measured" else found


def inheriting(study: Study) -> Study:
    """Return a study as if its trainings had begun with weights that were trained for others."""
    noted = study.notes.schedule
    assert noted is not None
    schedule = replace(noted, schedule=replace(noted.schedule, init="base"))
    with StudyStore(study.folder) as store:
        store.note(Notes(schedule=schedule))
    return open_study(study.folder)


def three(make_study: MakeStudy) -> Study:
    """Return a study of three networks, each better and more expensive than the one before."""
    return make_study(
        *(
            (network(w), result(n, miou=m, cost=Cost(10**6 * (n + 1), 10**9 * (n + 1), 1000)))
            for n, (w, m) in enumerate([(8, 0.4), (12, 0.5), (16, 0.55)])
        )
    )


def test_the_best_within_every_budget_is_that_of_the_whole_table(study: Study) -> None:
    """The candidates are few; whoever looks at all variants finds the same."""
    found, table = candidates_of(study), study.variants()
    assert len(found.numbers) < len(table)
    said, scores = foretold(study), table["miou"]
    if said is None:
        assert found.by == "measured"
    else:
        assert found.by == ("believed" if isinstance(said, Believed) else "expected")
        scores = table["architecture"].map(said.scores())
    rng = np.random.default_rng(0)
    for _ in range(200):
        row = table.iloc[rng.integers(len(table))]
        names = rng.permutation(list(found.costs))[: rng.integers(1, 4)]
        budget = {str(name): float(row[name]) * rng.uniform(1, 1.3) for name in names}
        inside = table[np.all([table[name] <= most for name, most in budget.items()], axis=0)]
        pick = found.pick(budget)
        assert pick is not None
        assert found.scores[pick] == scores[inside.index].max()
        loosened = next(iter(budget))
        step = found.step(pick, budget, loosened)
        if step is not None:
            assert found.scores[step.index] > found.scores[pick]
            assert found.costs[loosened][step.index] > budget[loosened]


def test_train_picks_what_the_report_does(study: Study) -> None:
    ranked, plain = candidates_of(study), candidates_of(study, ranked=False)
    for text in BUDGETS[:3]:
        one, other = picked(study, ranked, text), picked(study, plain, text)
        assert ranked.numbers[one] == plain.numbers[other]


def test_chances_add_up_to_one_within_each_budget(study: Study) -> None:
    found = candidates_of(study)
    for text in BUDGETS[:3]:
        chances = found.chances(budgets_of(text))
        assert sum(chances.values()) == pytest.approx(1)
        assert len(chances) > 1


@pytest.mark.parametrize(
    ("cost", "most", "words"),
    [
        ("latency_ms", 14.714092257059507, "latency_ms<=14.7141"),
        ("latency_ms", 5.12345601, "latency_ms<=5.12346"),
        ("latency_ms", 14.7, "latency_ms<=14.7"),
        ("latency_ms", 3.0, "latency_ms<=3"),
        ("latency_ms", 0.0000123456701, "latency_ms<=0.0000123457"),
        ("macs", 216046592, "macs<=216046592"),
    ],
)
def test_a_budget_in_words_is_short_and_holds_what_costs_just_that(
    cost: str, most: float, words: str
) -> None:
    assert budget_in_words(cost, most) == words
    (read,) = budgets_of(words).values()
    assert most <= read <= most * 1.00001


def test_ranks_say_who_is_best_and_who_is_ahead() -> None:
    ranks = np.array([[2, 1, 0], [1, 2, 0], [2, 0, 1], [2, 1, 0]], dtype=np.uint16)
    costs = {"latency_ms": (3.0, 2.0, 1.0), "macs": (1.0, 1.0, 1.0)}
    scores = 0.6, 0.5, 0.4
    found = Candidates((7, 8, 9), scores, scores, costs, ranks)
    assert found.chances({}) == {0: 0.75, 1: 0.25, 2: 0.0}
    assert found.chances({"latency_ms": 2}) == {1: 0.75, 2: 0.25}
    step = found.step(1, {"latency_ms": 2}, "latency_ms")
    assert step is not None
    assert (step.index, step.chance) == (0, 0.75)
    assert found.step(0, {"latency_ms": 3}, "latency_ms") is None


def test_networks_that_are_equal_share_their_chance() -> None:
    ranks = np.array([[1, 1, 1], [1, 1, 0]], dtype=np.uint16)
    scores = 0.5, 0.5, 0.4
    found = Candidates((7, 8, 9), scores, scores, {"macs": (2.0, 1.0, 1.0)}, ranks)
    assert found.chances({}) == pytest.approx({0: 5 / 12, 1: 5 / 12, 2: 1 / 6})
    step = found.step(2, {"macs": 1}, "macs")
    assert step is not None
    assert step.chance == 0.75


def test_what_is_equal_in_a_draw_has_one_rank() -> None:
    drawn = np.array([[0.5, 0.5, 0.4], [0.1, 0.3, 0.3]])
    draws = SimpleNamespace(known=True, accuracies=lambda: drawn)
    assert ranks_of(draws).tolist() == [[1, 1, 0], [0, 1, 1]]  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_rivals_are_those_nearest_to_what_costs_no_more_at_every_size(level: float) -> None:
    """Expected scores are deviations around 0: cheap networks lie below it, and are rivals too."""
    rng = np.random.default_rng(0)
    macs = np.sort(rng.uniform(1e9, 20e9, 300))
    mean = 2 * np.log(macs / 6e9) + rng.normal(0, 0.5, 300) + level
    names = tuple(f"hr-{i}" for i in range(300))
    drawn = (mean + rng.normal(0, 0.5, (1000, 300))).astype(np.float32)
    rows = {"number": range(300), "architecture": names, "miou": 0.5, "macs": macs}
    table = pd.DataFrame({**rows, "latency_ms": 1.0, "params": 1, "activations": 1})
    found = foretold_candidates(table, Expected(names, mean, drawn), "miou")
    behind = np.maximum.accumulate(mean) - mean
    assert sorted(found.numbers) == sorted(np.argsort(behind, kind="stable")[:MOST].tolist())
    within = {"macs": 3e9}
    best = found.pick(within)
    assert best is not None
    cheap = macs <= 3e9
    wins = (drawn[:, cheap].argmax(axis=1) == int(mean[cheap].argmax())).mean()
    assert found.chances(within)[best] == pytest.approx(wins, abs=0.05)


def test_what_follows_a_pick_is_said_as_it_is(study: Study) -> None:
    found = replace(candidates_of(study), one_seed=True)
    picker = picker_of(study, found)
    expected = "; by a long schedule, as expected from mIoU and size"
    said = expected if found.by == "expected" else ONE_SEED
    ranks = found.ranks.copy()
    ranks[:, 0] = 0  # the first by its mean, the best in no draw
    lines = answer(picker, replace(found, ranks=ranks), 0, {})
    assert "with a chance of 0%; #" in lines[1]
    assert ", on average worse and less sure, with " in lines[1]
    assert lines[1].endswith(said)


def test_counts_are_told_in_a_unit_that_shows_them(make_study: MakeStudy) -> None:
    small = [
        (network(w), result(n, miou=0.4 + n / 10, cost=Cost(900 * (n + 1), 5 * 10**6, 100)))
        for n, w in enumerate((8, 12))
    ]
    study = make_study(*small)
    said = picker_of(study, candidates_of(study)).said[0]
    assert "5.000 M MACs, 1.800 k parameters, 0.100 k activations" in said


def test_what_is_said_of_a_pick(make_study: MakeStudy, capsys: pytest.CaptureFixture[str]) -> None:
    study = three(make_study)
    first, *rest = pick_lines(study, "latency_ms<=2.6, params<=5M")
    assert first.startswith("pick for latency_ms<=2.6, params<=5M: #1 hr-")
    assert "mIoU 50.00%, 2.500 ms latency, 2.000 G MACs, 2.000 M parameters" in first
    assert rest[0].strip().startswith("the best within the budget with a chance of ")
    assert rest[0].endswith("; by a long schedule, as expected from mIoU and size")
    assert rest[1].strip().startswith("1.000 ms more latency buys 5.00 points: #2 hr-")
    assert rest[2].strip() == "no network of the study is better for more parameters alone"
    assert rest[3].strip() == "differs from the base: width 12 (base 18)"
    config = Path(rest[4].split(": ")[1])
    assert parse_config(config.read_text()).architecture == network(12)
    folder = str(study.folder)
    assert shlex.split(rest[5])[1:] == ["train", folder, "--trial", "1", "-o", f"{folder}-trial1"]
    assert shlex.split(rest[6])[1:3] == ["export", folder]
    assert main(["report", folder, "--pick", "latency_ms<=2.6, params<=5M"]) == 0
    assert capsys.readouterr().out.splitlines()[-len(rest) - 1 :] == [first, *rest]


def test_commands_keep_a_folder_of_any_name_whole(make_study: MakeStudy, tmp_path: Path) -> None:
    odd = three(make_study).folder.rename(tmp_path / "it's {0} --trial 0 -o $x")
    study = open_study(odd)
    picker = picker_of(study, candidates_of(study))
    train, export = picker.commands(0)
    assert shlex.split(train)[1:] == ["train", str(odd), "--trial", "2", "-o", f"{odd}-trial2"]
    assert shlex.split(export)[2] == str(odd)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (
            "latency_ms<=1",
            "no network of the study has latency_ms<=1, allowed: latency_ms<=1.5 or more",
        ),
        ("latency_ms<=2, params<=1k", "params<=1k, allowed: params<=1000000 or more"),
        ("macs<=1k, params<=1k", "allowed: macs<=1000000000, params<=1000000 or more"),
        ("macs<=1e+3", "no network of the study has macs<=1e+3, allowed: macs<=1000000000"),
        ("width<=3", "width<=3 is not a budget"),
        ("", "is not a budget"),
    ],
)
def test_a_budget_that_is_none_or_that_nothing_keeps_is_one_line(
    make_study: MakeStudy, capsys: pytest.CaptureFixture[str], text: str, wrong: str
) -> None:
    assert main(["report", str(three(make_study).folder), "--pick", text]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert wrong in line


def test_a_network_without_a_latency_is_picked_by_other_costs_alone(make_study: MakeStudy) -> None:
    best = result(9, miou=0.9, cost=Cost(2 * 10**6, 10**9, 1000))
    three(make_study)
    study = make_study((network(20), replace(best, latency=None)))
    found = candidates_of(study)
    assert found.numbers[picked(study, found, "params<=3M")] == 3
    assert found.numbers[picked(study, found, "latency_ms<=100")] == 2


def test_halves_are_rounded_as_javascript_does() -> None:
    assert [fixed(0.125), fixed(0.0625, 3), fixed(2.675), fixed(1.0)] == [
        "0.13", "0.063", "2.67", "1.00",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(FOUND is None, reason=WHY_NOT)
def test_the_page_says_word_for_word_what_the_command_line_does(
    study: Study, tmp_path: Path
) -> None:
    path = write_page(gather(study), tmp_path)
    candidates = candidates_of(study)
    picker = picker_of(study, candidates)
    scale = {cost.name: cost.scale for cost in picker.costs}
    with Browser(tmp_path / "profile") as browser:
        browser.open(path)
        browser.wait("document.querySelectorAll('#front .scatterlayer .points path').length > 0")
        for text in BUDGETS:
            budget = budgets_of(text)
            given = {name: most / scale[name] for name, most in budget.items()}
            said = browser.value(
                f"""(() => {{
                  const given = {given};
                  for (const input of document.querySelectorAll('#pick [data-cost]'))
                    input.value = given[input.dataset.cost] ?? '';
                  document.getElementById('pick').dispatchEvent(new Event('input'));
                  return [...document.querySelectorAll('#pick-said li')].map((e) => e.textContent);
                }})()"""
            )
            pick = candidates.pick(budget)
            if pick is None:
                assert said == ["no network of the study is within this budget"]
                continue
            assert tuple(said) == answer(picker, candidates, pick, budget)
            commands = browser.value("document.getElementById('pick-commands').textContent")
            assert tuple(commands.split("\n")) == picker.commands(pick)
            name = browser.value("document.getElementById('picked-name').textContent")
            assert name.startswith(f"#{candidates.numbers[pick]} hr-")
            assert "STAGE4:" in browser.value("document.getElementById('picked-yaml').textContent")
        assert browser.complaints() == []


def test_one_study_without_a_pick_keeps_no_other_from_its_report(
    tmp_path: Path, make_study: MakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    large = make_study((network(20), result(1, miou=0.5)))
    other = large_study(tmp_path / "other", 40)
    least = int(other.variants()["macs"].min())
    few = f"macs<={least}"
    assert main(["report", str(large.folder), str(other.folder), "--pick", f"params<=1,{few}"]) == 2
    assert (other.folder / "report" / "report.html").is_file()
    err = capsys.readouterr().err
    assert f"{large.folder}: --pick" in err
    assert f"{other.folder}: --pick" in err


def test_what_is_not_within_the_limits_has_completed_all_the_same(make_study: MakeStudy) -> None:
    study = make_study((network(20), result(1, miou=0.5)))
    with StudyStore(study.folder) as store:
        store.note(Notes(identity={"limits": [["miou", {"at_least": 0.9}]]}))
    again = open_study(study.folder)
    with pytest.raises(InputError, match="no variant is within the limits, there is nothing"):
        pick_lines(again, "macs<=1T")
