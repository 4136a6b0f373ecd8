"""Trials of a study are counted in words that fit their number."""

from __future__ import annotations

import pytest

from hrnet_search.search.trials import have_ended


@pytest.mark.parametrize(
    ("count", "asked", "words"),
    [
        (1, 0, "1 trial has ended"),
        (2, 0, "2 trials have ended"),
        (1, 1, "1 trial of 1 has ended"),
        (3, 3, "3 trials of 3 have ended"),
        (6, 3, "6 trials have ended, more than the 3 asked for"),
    ],
)
def test_how_many_trials_have_ended_is_said_in_words_that_fit(
    count: int, asked: int, words: str
) -> None:
    assert have_ended(count, asked) == words
