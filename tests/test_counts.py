"""Counts as people read them: units are powers of 1000, and a count below stays whole."""

from __future__ import annotations

from hrnet_search.counts import aligned, in_units, short

COUNTS = (0, 7, 999, 1000, 403_610, 999_999, 31_290_000, 2 * 10**12)


def test_a_count_at_three_digits() -> None:
    assert [short(count) for count in COUNTS] == [
        "0", "7", "999", "1k", "404k", "1M", "31.3M", "2000G",
    ]  # fmt: skip


def test_a_count_in_a_column() -> None:
    assert [aligned(count) for count in COUNTS] == [
        "0", "7", "999", "1.00 k", "403.61 k", "1.00 M", "31.29 M", "2000.00 G",
    ]  # fmt: skip


def test_a_number_and_its_unit() -> None:
    assert in_units(1.5e6) == (1.5, "M")
    assert in_units(12.5) == (12.5, "")
