"""What makes a schedule another one, and what does not."""

from __future__ import annotations

from dataclasses import replace

from hrnet_search.records import DataSpec, Schedule, TrialKey

SCHEDULE = Schedule(DataSpec("shapes", 8))


def test_weights_are_known_by_their_content_and_not_by_their_place() -> None:
    one = replace(SCHEDULE, init="a.pth", init_fingerprint="00", init_path="/somewhere/a.pth")
    moved = replace(SCHEDULE, init="b.pth", init_fingerprint="00", init_path="/elsewhere/b.pth")
    assert one.id == moved.id
    assert replace(one, init_fingerprint="01").id != one.id != SCHEDULE.id


def test_the_base_that_variants_inherit_from_makes_their_schedule() -> None:
    inherited = replace(SCHEDULE, init="base")
    ids = {SCHEDULE.id, inherited.id, replace(inherited, init_steps=900).id}
    assert len(ids | {replace(inherited, init_fingerprint=key).id for key in ("00", "01")}) == 5


def test_a_key_is_told_from_other_words() -> None:
    key = str(TrialKey("hr-0123456789ab", "sc-0123456789ab", 3))
    assert TrialKey.is_spelt(key)
    for wrong in ("", key[1:], key + ".pth", f"../{key}", key.upper(), key + "\n"):
        assert not TrialKey.is_spelt(wrong)
