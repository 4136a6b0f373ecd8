"""Keys of trials, and what a trial says of its own beside its rungs."""

from __future__ import annotations

from hrnet_search.records.objective import objective
from hrnet_search.records.trial import COMPLETED, RungResult, TrialKey, TrialResult


def test_a_key_is_told_from_other_words() -> None:
    key = str(TrialKey("hr-0123456789ab", "sc-0123456789ab", 3))
    assert TrialKey.is_spelt(key)
    for wrong in ("", key[1:], key + ".pth", f"../{key}", key.upper(), key + "\n"):
        assert not TrialKey.is_spelt(wrong)


def test_miou_in_int8_is_of_a_trial_and_never_that_of_a_rung() -> None:
    rung = RungResult(10, 0.5, (0.5,), 1.0, 0.5)
    found = TrialResult(TrialKey("a", "b", 0), COMPLETED, miou=0.5, rungs=(rung,), miou_int8=0.4)
    assert rung.score("miou_int8") is None
    assert found.score("miou_int8") == 0.4
    assert objective("miou_int8").of(found) == 0.4
