"""Trials of several versions in one study are said to be such, with what differs alone."""

from __future__ import annotations

from made_up import result

from hrnet_search.records.trial import TrialResult
from hrnet_search.version_rule import changed_versions, mixed_versions, spelt

OLD = (("python", "3.11.9"), ("hrnet-search", "0.1.0"), ("torch", "2.12.0"))
NEW = (("python", "3.11.9"), ("hrnet-search", "0.1.0"), ("torch", "2.13.0"))
GPU = (*NEW, ("cuda", "13.0"))


def ran(*versions: tuple[tuple[str, str], ...]) -> list[tuple[int, TrialResult]]:
    return [(number, result(number, versions=found)) for number, found in enumerate(versions)]


def test_one_set_of_versions_is_nothing_to_say() -> None:
    assert mixed_versions(ran(OLD, OLD)) == mixed_versions([]) == ""
    assert changed_versions([r for _, r in ran(OLD, OLD)], OLD) == ""
    assert changed_versions([], NEW) == ""


def test_a_trial_whose_worker_died_has_no_versions_and_counts_for_none() -> None:
    assert mixed_versions(ran(OLD, ())) == ""
    assert changed_versions([r for _, r in ran((), OLD)], OLD) == ""


def test_several_sets_are_told_by_what_differs_in_the_order_of_trials() -> None:
    assert mixed_versions(reversed(ran(OLD, OLD, GPU, NEW))) == (
        "trials ran under 3 sets of versions: torch 2.12.0, cuda none (2 trials, the first is #0);"
        " torch 2.13.0, cuda 13.0 (1 trial, the first is #2);"
        " torch 2.13.0, cuda none (1 trial, the first is #3):"
        " a difference between them may be one of versions"
    )


def test_going_on_under_another_version_is_said_with_both() -> None:
    ended = [r for _, r in ran(OLD, OLD)]
    said = changed_versions(ended, NEW)
    assert "now torch 2.13.0, before torch 2.12.0;" in said
    # Back to what some of them ran under: the study has both all the same.
    both = [r for _, r in ran(OLD, NEW)]
    assert "now torch 2.12.0, before torch 2.13.0;" in changed_versions(both, OLD)


def test_a_version_is_text_that_a_terminal_can_show() -> None:
    bad = (("torch", "2\x1b[31m"),)
    assert "\x1b" not in mixed_versions(ran(bad, OLD)) + changed_versions([ran(bad)[0][1]], OLD)
    assert spelt(OLD) == "python 3.11.9, hrnet-search 0.1.0, torch 2.12.0"
