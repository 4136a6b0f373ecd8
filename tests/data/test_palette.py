"""Classes can be told apart by their colours, by those too who lack a kind of cone."""

from __future__ import annotations

import numpy as np
import pytest
from colours import WITHOUT, ciede2000, nearest

from hrnet_search.data.palette import class_colour, colour_keys
from hrnet_search.records.data_spec import IGNORED

# Sharma, Wu and Dalal (2005), table 1: two colours in CIELAB, and how far they are apart.
PUBLISHED = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 2.8361, -74.0200), (50, 0, -82.7485), 3.4412),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "apart"), PUBLISHED)
def test_the_distance_is_the_published_one(
    first: tuple[float, ...], second: tuple[float, ...], apart: float
) -> None:
    found = ciede2000(np.array(first, dtype=np.float64), np.array(second, dtype=np.float64))
    assert float(found) == pytest.approx(apart, abs=5e-5)


def with_black(count: int) -> list[tuple[int, int, int]]:
    return [class_colour(IGNORED), *map(class_colour, range(count))]


def test_eleven_classes_and_what_is_not_labelled_are_apart_for_everybody() -> None:
    assert nearest(with_black(11)) >= 25
    for blindness in WITHOUT:
        assert nearest(with_black(11), blindness) >= 15, blindness


def test_nineteen_classes_are_further_apart_than_hues_would_be() -> None:
    assert nearest(with_black(19)) >= 18
    for blindness in WITHOUT:
        assert nearest(with_black(19), blindness) >= 10.5, blindness


def test_no_two_of_all_classes_have_one_colour() -> None:
    assert len({class_colour(label) for label in range(256)}) == 256
    assert class_colour(IGNORED) == (0, 0, 0)


def test_keys_name_every_class_and_black() -> None:
    keys = colour_keys(["sky", "road"])
    assert keys == [
        ("0: sky", class_colour(0)), ("1: road", class_colour(1)), ("not labelled", (0, 0, 0)),
    ]  # fmt: skip
