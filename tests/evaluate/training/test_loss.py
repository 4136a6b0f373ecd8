"""The loss of a schedule is the official one, weighted as asked, in parts as in one piece."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.loss import Loss, balanced_weights
from hrnet_search.records.data_spec import IGNORED, DataSpec
from hrnet_search.records.schedule import Schedule

SCHEDULE = Schedule(DataSpec("shapes", classes=3))
OHEM = replace(SCHEDULE, loss="ohem", ohem_threshold=0.4, ohem_keep=20)
WEIGHT = torch.tensor([1.0, 4.0, 0.25])


def drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (4, 8, 8), generator=generator)
    labels[0, :5] = IGNORED
    return torch.randn(4, 3, 8, 8, generator=generator), labels


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_it_is_the_loss_that_the_schedule_names(weight: Tensor | None) -> None:
    logits, labels = drawn()
    plain = Loss(SCHEDULE, weight, False)(logits, labels)
    expected = functional.cross_entropy(logits, labels, weight, ignore_index=IGNORED)
    torch.testing.assert_close(plain, expected)
    hard = Loss(OHEM, weight, False)(logits, labels)
    torch.testing.assert_close(hard, metrics.ohem(logits, labels, False, 0.4, 20, weight))
    assert not torch.isclose(hard, plain)


def test_weights_multiply_the_losses_of_hard_pixels_and_choose_none() -> None:
    logits, labels = drawn()
    losses = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    there = labels != IGNORED
    hard = there & (torch.exp(-losses) < 0.4)
    expected = (losses * WEIGHT[torch.where(there, labels, 0)])[hard].mean()
    torch.testing.assert_close(Loss(OHEM, WEIGHT, False)(logits, labels), expected)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_parts_count_by_what_they_hold(weight: Tensor | None) -> None:
    logits, labels = drawn()
    loss = Loss(SCHEDULE, weight, False)
    parts = list(zip(logits.chunk(3), labels.chunk(3), strict=True))
    total = torch.stack([loss(a, b) * loss.share(b, labels) for a, b in parts]).sum()
    torch.testing.assert_close(total, loss(logits, labels))


def test_nothing_counted_has_no_share_and_no_nan() -> None:
    nothing = torch.full((2, 4, 4), IGNORED)
    assert float(Loss(SCHEDULE, None, False).share(nothing[:1], nothing)) == 0
    assert float(Loss(SCHEDULE, WEIGHT, False).share(nothing[:1], nothing)) == 0


def test_balance_is_that_of_median_frequencies() -> None:
    # Class 0: 6 of 8 pixels where it is shown, class 1: 1 of 4, class 2: 1 of 4; 3 nowhere.
    masks = [
        torch.tensor([[0, 0, 0, 1, IGNORED]], dtype=torch.uint8),
        torch.tensor([[0, 0, 0, 2]], dtype=torch.uint8),
    ]
    assert balanced_weights(masks, 4).tolist() == pytest.approx([1 / 3, 1, 1, 1])
    assert balanced_weights([masks[0][:, 4:]], 2).tolist() == [1, 1]


def test_rare_classes_weigh_more() -> None:
    mask = torch.zeros(100, 100, dtype=torch.uint8)
    mask[:30], mask[:1] = 1, 2
    weights = balanced_weights([mask], 3).tolist()
    assert weights == pytest.approx([0.29 / 0.7, 1, 29])
