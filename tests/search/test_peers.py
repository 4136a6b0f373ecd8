"""What other libraries suggest, behind our removal of duplicates (benchmarks/peers)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.peers import PEERS
from benchmarks.peers.ask_tell import SUGGESTIONS, AskTell
from hrnet_search.records.point import Point
from hrnet_search.search.problem import Axis, Points, Problem
from hrnet_search.search.samplers.sampler import Sampler


def problem() -> Problem:
    """Return 4 x 3 levels; what is above 3 in sum is invalid, (0, 1) is (1, 0)."""

    def canonical(points: Points) -> Points:
        same = (points == (0, 1)).all(axis=1)
        return np.where(same[:, None], (1, 0), points)

    return Problem(
        (Axis("a", 4, True), Axis("b", 3, False)),
        lambda points: 1.0 + points.sum(axis=1, keepdims=True),
        lambda points: points.sum(axis=1) <= 3,
        canonical,
    )


class Scripted:
    """A library that suggests what it was given, and keeps what it was told."""

    def __init__(self, points: list[Point]) -> None:
        self._points: Iterator[Point] = iter(points)
        self.told: list[tuple[str, float]] = []
        self.failed: list[str] = []

    def ask(self) -> tuple[str, Point]:
        point = next(self._points)
        return f"asked {point}", point

    def named(self, point: Point) -> str:
        return f"named {point}"

    def tell(self, suggested: str, values: tuple[float, float]) -> None:
        self.told.append((suggested, values[0]))

    def tell_failed(self, suggested: str) -> None:
        self.failed.append(suggested)


def test_what_a_library_suggests_again_or_in_vain_it_is_told() -> None:
    library = Scripted([(3, 2), (0, 1), (1, 0), (2, 0)])
    sampler = Sampler(problem(), AskTell(problem(), library))
    (first,) = sampler.ask()
    assert first == (1, 0)
    assert library.failed == ["asked (3, 2)"]
    sampler.tell(first, 0.5)
    (second,) = sampler.ask()
    assert second == (2, 0)
    assert library.told == [("asked (0, 1)", -0.5), ("asked (1, 0)", -0.5)]


def test_where_all_suggestions_are_in_vain_a_drawn_point_is_told_by_name() -> None:
    library = Scripted([*[(3, 2)] * SUGGESTIONS, (0, 0), (1, 1)])
    sampler = Sampler(problem(), AskTell(problem(), library))
    (drawn,) = sampler.ask()
    sampler.tell(drawn, 0.5)
    sampler.ask()
    assert library.told[0] == (f"named {drawn}", -0.5)


@pytest.mark.parametrize(
    ("peer", "package"),
    [("botorch:qlognehvi", "botorch"), ("smac:parego", "smac"), ("syne-tune:mo-rea", "syne_tune")],
)
def test_each_peer_goes_through_a_whole_space(peer: str, package: str) -> None:
    pytest.importorskip(package)
    sampler = Sampler(problem(), PEERS[peer](problem(), 0))
    tried = []
    while points := sampler.ask():
        tried += points
        sampler.tell(points[0], float(sum(points[0])))
    assert len(set(tried)) == len(tried) == 8
