"""Processes that train together do what one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from two_processes import RUNGS, SCHEDULES, normalised, of_both, trained

from hrnet_search.evaluate.training.ranks import Ranks

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ranks")]  # both processes start once

Found = dict[str, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """Return what two processes have found, which take some seconds to start."""
    return of_both(tmp_path_factory.mktemp("both"))


@pytest.mark.parametrize("name", SCHEDULES)
def test_two_processes_train_what_one_does(both: list[Found], name: str, tmp_path: Path) -> None:
    """By gloo, on a CPU: each has its share of every batch, and the loss curve is that of one.

    Noise of 1e-7 in the initial weights changes the last losses of one process by up to 5e-5.
    """
    one = trained(SCHEDULES[name], tmp_path)
    for found in (rank[name] for rank in both):
        assert list(found["losses"]) == [1, 2, 3]
        losses, expected = list(found["losses"].values()), list(one["losses"].values())
        assert losses[:2] == pytest.approx(expected[:2], rel=1e-6)
        assert losses == pytest.approx(expected, rel=1e-3)
        for tensor, own in zip(found["weights"].values(), one["weights"].values(), strict=True):
            torch.testing.assert_close(tensor, own, rtol=1e-3, atol=1e-4)
        assert [rung.step for rung in found["rungs"]] == list(RUNGS)
        for rung, own in zip(found["rungs"], one["rungs"], strict=True):
            assert (rung.loss, rung.soft_iou) == pytest.approx((own.loss, own.soft_iou), 1e-3)
        assert found["confusions"].sum() == one["confusions"].sum()
        assert np.abs(found["confusions"] - one["confusions"]).sum() <= 10
        assert found["previews"] == one["previews"]


@pytest.mark.parametrize("name", SCHEDULES)
def test_processes_have_the_same_weights_to_the_last_bit(both: list[Found], name: str) -> None:
    first, second = (rank[name] for rank in both)
    assert first["losses"] == second["losses"]
    assert all(torch.equal(w, second["weights"][n]) for n, w in first["weights"].items())
    assert (first["confusions"] == second["confusions"]).all()


def test_a_checkpoint_of_the_first_goes_on_in_all(both: list[Found]) -> None:
    for rank in both:
        assert list(rank["left"]["losses"]) == [1]
        assert list(rank["resumed"]["losses"]) == [2, 3]
        weights = rank["plain"]["weights"]
        assert all(torch.equal(w, weights[n]) for n, w in rank["resumed"]["weights"].items())


def test_what_one_process_left_two_go_on_with(both: list[Found]) -> None:
    """A checkpoint does not know how many made it."""
    found, whole = both[0]["from one"]["losses"], both[0]["plain"]["losses"]
    assert list(found) == [2, 3]
    assert list(found.values()) == pytest.approx([whole[2], whole[3]], rel=1e-3)


def test_moments_and_their_gradients_are_those_of_all_images(both: list[Found]) -> None:
    """Of torch's own batch norm over the whole batch, in float64."""
    one, shares = normalised(), [rank["norm"] for rank in both]
    for key in ("images", "gradient"):
        torch.testing.assert_close(torch.cat([share[key] for share in shares]), one[key])
    for share in shares:
        for key in ("statistics", "gradients"):
            assert share[key].keys() == one[key].keys()
            for name, tensor in one[key].items():
                torch.testing.assert_close(share[key][name], tensor)


def test_what_is_so_in_one_process_all_know(both: list[Found]) -> None:
    assert [rank["any"] for rank in both] == [[True, False]] * 2


@pytest.mark.parametrize(("count", "parts"), [(12, 1), (13, 3), (5, 2), (7, 4), (5, 4)])
def test_every_image_is_in_one_piece_of_the_part_that_torch_puts_it_in(
    count: int, parts: int
) -> None:
    both = [Ranks(rank, 2).pieces(count, parts) for rank in (0, 1)]
    together = [[*one, *other] for one, other in zip(*both, strict=True)]
    assert together == [part.tolist() for part in torch.arange(count).chunk(parts)]
    assert [*Ranks(0, 2).share(count), *Ranks(1, 2).share(count)] == list(range(count))
