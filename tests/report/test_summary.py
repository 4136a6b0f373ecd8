"""A summary shows the front, and says what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost
from hrnet_search.records.latency import LatencyCondition
from hrnet_search.records.search_options import CONFIRMED_FROM
from hrnet_search.records.trial import FAILED, STOPPED, RungResult, TrialResult
from hrnet_search.report.page.sentences import trust_facts
from hrnet_search.report.report import write_report
from hrnet_search.report.summary import differences, summary
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.store.study import Study

MakeStudy = Callable[..., Study]
BASE = network(18)


def test_the_front_is_a_table_for_people(make_study: MakeStudy) -> None:
    cost = Cost(3_940_000, 18_400_000_000, 950)
    study = make_study(
        (BASE, result(1, miou=0.5209, cost=cost)), (network(20), result(2, miou=0.1, latency=None))
    )
    lines = summary(study).splitlines()
    assert lines[0] == "made-up: 2 trials: 2 completed"
    assert "front of mIoU, MACs:" in lines
    cells = next(line for line in lines if "#0" in line).split("  ")
    assert [cell.strip() for cell in cells if cell.strip()] == [
        "#0", "18", "3.94 M", "18.40 G", "950", "2.50 ms", "52.09%", "(the base)",
    ]  # fmt: skip
    assert "only the width" in next(line for line in lines if "#1" in line)
    assert any(str(study.folder / "configs") in line for line in lines[-2:])
    assert f"page:  {study.folder / 'report' / 'report.html'}" in lines
    assert any(line.startswith("ranking: not checked (") for line in lines)


def test_no_completed_trial_is_said(make_study: MakeStudy) -> None:
    assert "0 trials\n" in summary(make_study())
    text = summary(make_study((BASE, None), (network(9), result(1, status=STOPPED))))
    assert "2 trials: 1 stopped, 1 interrupted" in text
    assert "no trial of the search has completed" in text
    assert "configs" not in text


def test_failures_are_counted_and_shown_harmlessly(make_study: MakeStudy) -> None:
    failed = result(0, status=FAILED, miou=None, error="\x1b[31m bad\nnext" + "x" * 500)
    study = make_study((BASE, result(9, miou=0.5)), *((network(w), failed) for w in range(1, 6)))
    text = summary(study)
    assert "6 trials: 1 completed, 5 failed" in text
    assert "\x1b" not in text
    assert text.count(" failed: ") == 3
    assert "and 2 more" in text
    assert max(map(len, text.splitlines())) < 200


def test_what_is_not_known_depends_on_the_study(make_study: MakeStudy) -> None:
    small = summary(make_study((BASE, result(0, miou=0.5))))
    assert "one seed a variant" in small
    assert f"under {CONFIRMED_FROM} trials" in small
    make_study((BASE, result(1, miou=0.4)), seed=1)
    many = make_study(*((network(w), None) for w in range(30, 60)))
    large = summary(many)
    assert "one seed a variant" not in large
    assert f"under {CONFIRMED_FROM} trials" not in large
    assert "no trial confirmed" in large


def test_latencies_that_do_not_compare_are_named(make_study: MakeStudy) -> None:
    found = result(1, miou=0.6)
    assert found.latency is not None
    other = LatencyCondition("another", "eager", "fp32", 1, (64, 64), 1)
    moved = replace(found, latency=replace(found.latency, condition=other))
    study = make_study((BASE, result(0, miou=0.5)))
    assert "not comparable" not in summary(study)
    make_study((network(9), moved))
    assert "2 conditions: not comparable" in summary(study)


def test_a_noisy_latency_is_marked_and_doubted(make_study: MakeStudy) -> None:
    found = result(0, miou=0.5)
    assert found.latency is not None
    loud = replace(found, latency=replace(found.latency, noisy=True))
    text = summary(make_study((BASE, loud), (network(9), result(1, miou=0.6))))
    assert "1.50 ms noisy" in text
    assert "2.50 ms " in text
    assert "2.50 ms noisy" not in text
    assert "1 of 2 latencies of the trials are noisy" in text
    assert "which of these networks is faster is not known" in text


def test_differences_name_settings_as_a_config_does() -> None:
    first, second, third, fourth = BASE.stages
    changed = Architecture(
        (
            replace(first, channels=(32,)),
            replace(second, modules=2, fuse="CAT"),
            replace(third, blocks=(1, 2, 1)),
            replace(third, modules=3),
        ),
        final_kernel=3,
    )
    assert differences(changed, BASE) == (
        "STAGE1.NUM_CHANNELS [32], STAGE2.NUM_MODULES 2, STAGE2.FUSE_METHOD CAT, "
        "STAGE3.NUM_BLOCKS [1, 2, 1], STAGE4.NUM_MODULES 3, STAGE4.NUM_BRANCHES 3, "
        "FINAL_CONV_KERNEL 3"
    )
    uneven = Architecture((first, replace(second, channels=(18, 40)), third, fourth))
    assert differences(uneven, BASE) == "STAGE2.NUM_CHANNELS [18, 40]"
    assert differences(network(24), BASE) == "only the width"


def test_a_base_whose_stage_has_one_branch_fuses_nothing_there() -> None:
    first, second, third, _ = BASE.stages
    alone = replace(second, blocks=second.blocks[:1], channels=second.channels[:1])
    base = Architecture((first, alone, second, third))
    two = Architecture((first, second, second, third))
    assert differences(two, base) == "STAGE2.NUM_BRANCHES 2"
    cat = Architecture((first, replace(second, fuse="CAT"), second, third))
    assert differences(cat, base) == "STAGE2.NUM_BRANCHES 2, STAGE2.FUSE_METHOD CAT"


def test_a_report_of_an_unfinished_study_has_all_its_files(make_study: MakeStudy) -> None:
    empty = write_report(make_study((BASE, None)))
    assert (empty.plots, empty.configs) == ((), ())
    files = write_report(make_study((network(9), result(1, miou=0.5)), (network(10), None)))
    assert len(files.plots) == 9
    assert len(files.configs) == 1
    for path in (files.trials, files.front, files.page, *files.plots, *files.configs):
        assert path.stat().st_size > 0
    left = {p.name for p in files.trials.parent.iterdir()}
    assert left == {p.name for p in (files.trials, files.front, files.page, *files.plots)}


def judged(number: int, *iou: float, present: float = 0.5) -> TrialResult:
    """Return a trial judged by the official rule: mIoU is the mean over all classes."""
    mean = sum(iou) / len(iou)
    return result(number, miou=mean, rungs=(RungResult(10, mean, iou, 1.0, present),))


def test_a_search_in_which_most_learned_nothing_says_so(make_study: MakeStudy) -> None:
    """Networks that predict one class everywhere, whichever, have an IoU in that class alone."""
    nothing = [(network(w), judged(w, *iou)) for w, iou in ((8, (0.6, 0, 0)), (9, (0, 0.3, 0)))]
    study = make_study(*nothing, (network(7), judged(7, 0.6, 0.2, 0)))
    (line,) = (x for x in summary(study).splitlines() if "one class" in x)
    assert line == (
        "warning: 2 of 3 networks predict one class everywhere: more steps, or another learning"
        " rate"
    )
    facts = trust_facts(evidence_of(study))
    assert [fact.text for fact in facts if fact.title == "Learning"] == [line.split(": ", 1)[1]]


def test_a_few_that_learned_nothing_are_told_where_they_are_on_the_front(
    make_study: MakeStudy,
) -> None:
    """The cheapest is on every front; a cheaper one that learned keeps it off."""
    learned = [(network(w), judged(w, 0.6, 0.2 + w / 100)) for w in (5, 6, 7)]
    study = make_study(*learned, (network(9), judged(9, 0.6, 0)))
    assert "one class" not in summary(study)
    study = make_study((network(4), judged(4, 0.6, 0)))
    assert "2 of 5 networks predict one class everywhere, 1 of them on the front" in summary(study)


def test_what_is_not_known_to_have_learned_nothing_is_not_said_to(make_study: MakeStudy) -> None:
    one_in_truth = judged(1, 1.0, 0.0, present=1.0)
    binary = judged(2, 0.9, 0.4)
    by_halves = replace(result(3, miou=0.5), rungs=(RungResult(10, 0.5, (0.5, 0.0), 1.0, 0.5),))
    stopped = replace(judged(4, 0.6, 0), status=STOPPED)
    for width, found in enumerate((one_in_truth, binary, by_halves, stopped), start=5):
        study = make_study((network(width), found))
        assert "one class" not in summary(study)
