"""Two studies side by side: equal ones are rarely distinguished, different ones are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from large_study import make_study
from made_up import CONDITION, NOTES, network, result

from hrnet_search.cli import main
from hrnet_search.errors import InputError
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import Latency
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey
from hrnet_search.report.compare import MARGIN, compare
from hrnet_search.report.page.figures import comparison_figure
from hrnet_search.report.page.sentences import verdict
from hrnet_search.report.report import write_compared
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

NOISE = 0.01
PLAN = Schedule(DataSpec("shapes", 3))


def front(
    folder: Path,
    rng: np.random.Generator,
    better: float = 0.0,
    schedule: NotedSchedule | None = None,
    networks: Iterable[int] = range(4),
    seeds: int = 3,
) -> Study:
    """Return a study of four networks, by some seeds each, on a front of true mIoU .5 to .8.

    `networks` are those of the four that it has.
    """
    StudyStore.create(folder, replace(NOTES, schedule=schedule))
    schedule_id = schedule.id if schedule else "sc-0"
    with StudyStore(folder) as store:
        for i in networks:
            for seed in range(seeds):
                key = TrialKey(network(9 + i).id, schedule_id, seed)
                store.ask(Ask(3 * i + seed, key, (i,), network(9 + i)))
                miou = 0.5 + 0.1 * i + better + rng.normal() * NOISE
                store.finish(3 * i + seed, result(100 * i, miou=miou, key=key))
    return open_study(folder)


def told_apart(folder: Path, runs: int, better: float) -> int:
    rng = np.random.default_rng(0)
    found = 0
    for run in range(runs):
        sides = [front(folder / f"{name}{run}", rng, better * i) for i, name in enumerate("ab")]
        p = compare(*sides).p
        assert p is not None
        found += p < 0.05
    return found


@pytest.mark.slow
def test_equal_fronts_are_rarely_told_apart_and_better_ones_are(tmp_path: Path) -> None:
    assert told_apart(tmp_path / "same", 16, 0.0) <= 4
    assert told_apart(tmp_path / "better", 3, 0.05) == 3


@pytest.mark.bench
def test_equal_fronts_are_told_apart_in_one_of_twenty(tmp_path: Path) -> None:
    share = told_apart(tmp_path, 300, 0.0) / 300
    print(f"\ntold apart of 300 pairs of equal fronts: {share:.3f}")
    assert share < 0.09


def test_the_same_images_are_drawn_for_both(tmp_path: Path) -> None:
    first = make_study(tmp_path / "a", 60)
    found = compare(first, make_study(tmp_path / "b", 60, seed=1))
    assert found.paired
    assert found.cost == "latency_ms"
    assert "NVIDIA H100" in found.condition
    assert found.interval is not None
    assert found.interval.low <= found.larger <= found.interval.high
    same = compare(first, first)
    assert same.larger == 0
    assert same.p is not None
    assert same.p > 0.9
    assert same.doubts == ()
    # Some of the made-up latencies on the front are noisy, and fronts are compared by them.
    assert any("latencies on the front are noisy" in doubt for doubt in same.latency_doubts)


@pytest.mark.parametrize(
    ("other", "doubt"),
    [
        (
            NotedSchedule("sc-0", replace(PLAN, fingerprint="other")),
            "they were not judged on the same data",
        ),
        (
            NotedSchedule("sc-x", PLAN),
            "their schedules differ: a difference may be that of the schedules",
        ),
    ],
)
def test_other_data_or_schedules_give_doubts_and_no_verdict(
    other: NotedSchedule, doubt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    schedules = NotedSchedule("sc-0", PLAN), other
    sides = [
        front(tmp_path / name, rng, schedule=schedule)
        for name, schedule in zip("ab", schedules, strict=True)
    ]
    found = compare(*sides)
    assert found.doubts == (doubt,)
    assert (found.comparable, found.p, found.interval) == (False, None, None)
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--compare"]) == 0
    said = capsys.readouterr().out.splitlines()[-3:]
    assert said[0] == f"doubt: {doubt}"
    assert said[1].startswith("no verdict on the fronts of a and b")
    page = (tmp_path / "a" / "report" / "compare_b.html").read_text()
    assert 0 < page.index(f"</b> {doubt}") < page.index("no verdict on")
    assert "p = " not in page[page.index("<main>") : page.index("<footer>")]


def test_studies_of_one_name_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    places = "a", "b", "deeper/a"
    a, b, deeper = (make_study(tmp_path / place, 40, schedule=None) for place in places)
    found, page = write_compared(a, b)
    assert (found.first.name, found.second.name) == ("a", "b")
    doubts = [doubt for doubt in found.latency_doubts if "on the front are noisy" in doubt]
    assert [doubt[:3] for doubt in doubts] == ["a: ", "b: "]
    assert verdict(found).startswith("the front of b is ")
    html = page.read_text()
    assert "<h1>a and b</h1>" in html
    assert '<td class="any">a</td>' in html
    assert [line["name"] for line in comparison_figure(found)["data"]] == ["a", "b"]
    found = compare(a, deeper)
    assert (found.first.name, found.second.name) == (str(a.folder), str(deeper.folder))


def test_studies_of_different_names_keep_them(tmp_path: Path) -> None:
    names = "one", "other"
    for name in names:
        StudyStore.create(tmp_path / name, replace(NOTES, name=f"study-{name}"))
        with StudyStore(tmp_path / name) as store:
            store.ask(Ask(0, TrialKey(network(9).id, "sc-0", 0), (0,), network(9)))
            store.finish(0, result(0, miou=0.5))
    found = compare(*(open_study(tmp_path / name) for name in names))
    assert (found.first.name, found.second.name) == ("study-one", "study-other")


def one_member(folder: Path, ms: float, mious: tuple[float, ...]) -> Study:
    """Return a study of one network with its latency and its mIoU by three seeds."""
    StudyStore.create(folder, replace(NOTES, objectives=("miou", "latency_ms")))
    with StudyStore(folder) as store:
        for seed, miou in enumerate(mious):
            key = TrialKey(network(9).id, "sc-0", seed)
            store.ask(Ask(seed, key, (0,), network(9)))
            timed = Latency(ms, 1.0, ms, ms, ms, ms, 50, False, CONDITION)
            store.finish(seed, result(seed, miou=miou, key=key, latency=timed))
    return open_study(folder)


@pytest.mark.parametrize("mious", [(0.5, 0.5, 0.5), (0.49, 0.5, 0.51)], ids=["equal", "noisy"])
def test_the_same_network_at_half_the_latency_is_a_larger_front(
    mious: tuple[float, ...], tmp_path: Path
) -> None:
    slow = one_member(tmp_path / "slow", 8.0, mious)
    found = compare(slow, one_member(tmp_path / "fast", 4.0, mious))
    assert found.cost == "latency_ms"
    # A tenth of 50% below, and 0.05 of ln(cost) beyond the slower: 0.05 x 0.05.
    assert found.first.volume == pytest.approx(0.05 * MARGIN)
    assert found.larger == pytest.approx(0.05 * np.log(2))
    assert found.p is not None
    assert found.p < 0.05


def test_the_worst_member_of_both_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = front(tmp_path / "a", rng)
    shorter = front(tmp_path / "b", rng, networks=range(1, 4))
    # The cheapest is the worst: a tenth of 80% below it, up to the cost of the next.
    gain = compare(shorter, whole).larger
    assert gain == pytest.approx(0.08 * np.log(2100 / 2000), rel=0.2)


def test_latencies_of_different_conditions_are_not_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = make_study(tmp_path / "a", 40, schedule=None)
    found = compare(first, front(tmp_path / "b", rng))
    assert found.cost == "macs"
    assert found.latency_doubts == ()
    assert any("more than one condition" in doubt for doubt in found.doubts)


def test_macs_of_images_of_another_size_are_not_compared(tmp_path: Path) -> None:
    """The same networks at twice the size have four times the MACs, and are no worse for it."""
    studies = []
    for name, size in (("a", [64, 64]), ("b", [128, 128]), ("c", [64, 64])):
        folder = tmp_path / name
        studies.append(front(folder, np.random.default_rng(1)))
        with StudyStore(folder) as store:
            store.note(Notes(identity={"latency": {"size": size}}))
    small, large, same = studies
    found = compare(small, large)
    assert found.cost == "params"
    assert any("MACs are of images of another size" in doubt for doubt in found.doubts)
    assert compare(small, same).cost == "macs"
    assert not any("another size" in doubt for doubt in compare(small, same).doubts)


def test_a_study_that_varies_training_is_of_other_schedules(tmp_path: Path) -> None:
    schedule = NotedSchedule.of(PLAN)
    one, other = (
        front(tmp_path / name, np.random.default_rng(1), schedule=schedule) for name in "ab"
    )
    assert compare(one, other).comparable
    with StudyStore(tmp_path / "b") as store:
        store.note(Notes(choices=("schedule.lr",), levels=((0.05, 0.02, 0.01, 0.005),)))
    found = compare(one, open_study(tmp_path / "b"))
    assert not found.comparable
    assert any("their schedules differ" in doubt for doubt in found.doubts)


def test_studies_of_other_limits_of_accuracy_are_not_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, two = (front(tmp_path / name, rng) for name in "ab")
    with StudyStore(two.folder) as store:
        store.note(Notes(identity={"limits": [["miou", {"at_least": 0.7}]]}))
    found = compare(one, open_study(two.folder))
    assert not found.comparable
    assert any("limits of accuracy differ" in doubt for doubt in found.doubts)


def test_the_cost_is_the_same_whichever_study_is_named_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, two = (front(tmp_path / name, rng) for name in "ab")
    for study, costs in ((one, ("params", "macs")), (two, ("macs", "params"))):
        with StudyStore(study.folder) as store:
            store.note(Notes(objectives=("miou", *costs)))
    one, two = (open_study(study.folder) for study in (one, two))
    here, there = compare(one, two), compare(two, one)
    assert here.cost == there.cost
    assert here.larger == -there.larger
    assert here.p == there.p


def test_without_repeats_no_p_value_is_given(tmp_path: Path) -> None:
    StudyStore.create(tmp_path / "a", NOTES)
    with StudyStore(tmp_path / "a") as store:
        store.ask(Ask(0, TrialKey(network(9).id, "sc-0", 0), (0,), network(9)))
        store.finish(0, result(0, miou=0.5))
    study = open_study(tmp_path / "a")
    assert (compare(study, study).p, compare(study, study).interval) == (None, None)


def test_without_a_second_seed_no_two_fronts_are_told_apart(tmp_path: Path) -> None:
    """Of the same images alone there is next to no chance left, and a seed moves both by more."""
    rng = np.random.default_rng(0)
    alone = [front(tmp_path / name, rng, seeds=1) for name in "ab"]
    found = compare(*alone)
    assert (found.p, found.interval) == (None, None)
    assert "no network was trained with a second seed" in verdict(found)


def test_a_study_without_a_front_is_named(tmp_path: Path) -> None:
    StudyStore.create(tmp_path / "empty", NOTES)
    empty = open_study(tmp_path / "empty")
    with pytest.raises(InputError, match="empty: has no front yet"):
        compare(empty, empty)


def test_the_page_of_a_comparison_lies_in_the_first_study(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    studies = front(tmp_path / "a", rng), front(tmp_path / "b", rng, 0.1)
    found, path = write_compared(*studies)
    assert path == tmp_path / "a" / "report" / "compare_b.html"
    assert f"p = {found.p:.3f}" in path.read_text()


def test_comparisons_with_studies_of_one_name_have_a_page_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = ("a/study", "b/study", "c/study")
    first, *others = (front(tmp_path / place, rng) for place in places)
    pages = [write_compared(first, other)[1].name for other in others]
    assert pages == ["compare_b_study.html", "compare_c_study.html"]


def test_names_that_a_file_cannot_have_stay_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = front(tmp_path / "a", rng)
    names = ("航拍", "街景", "x" * 200)
    pages = [write_compared(first, front(tmp_path / name, rng))[1].name for name in names]
    assert len(set(pages)) == 3
    assert all(page.isascii() and len(page) < 130 for page in pages)


@pytest.mark.slow
def test_the_command_compares_exactly_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for i, name in enumerate("ab"):
        front(tmp_path / name, rng, 0.1 * i)
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert main(["report", a, "--compare"]) == 2
    assert capsys.readouterr().err == "--compare: 1 given, allowed: exactly two studies\n"
    assert main(["report", a, str(tmp_path / "b" / ".." / "a"), "--compare"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("/a is given twice, allowed: two different studies\n")
    assert main(["report", a, b, "--compare"]) == 0
    out = capsys.readouterr().out
    assert "larger in hypervolume" in out
    assert str(tmp_path / "a" / "report" / "compare_b.html") in out
