"""The watch counts what is alive, once, and forgets what is gone."""

from __future__ import annotations

import torch

from hrnet_search.evaluate.machine.live_tensors import live_peak

MB = 1 << 20


def made(megabytes: int) -> torch.Tensor:
    return torch.empty(megabytes * MB, dtype=torch.uint8)


def test_what_is_gone_counts_no_more() -> None:
    def one_after_the_other() -> None:
        for _ in range(5):
            made(3)

    def both_at_once() -> None:
        first = made(3)
        second = made(4)
        del first, second

    assert live_peak(one_after_the_other) == 3 * MB
    assert live_peak(both_at_once) == 7 * MB


def test_views_and_what_was_there_before_are_not_counted() -> None:
    before = made(5)

    def work() -> None:
        before.add_(1)
        halves = before.view(2, -1)
        copied = halves.clone()
        copied.view(-1)[1:].mul_(2)

    assert live_peak(work) == 5 * MB


def test_nothing_need_be_allocated() -> None:
    assert live_peak(lambda: torch.empty(1 << 50, dtype=torch.uint8, device="meta")) == 1 << 50


def test_what_the_way_back_needs_is_alive() -> None:
    weight = torch.ones(MB, requires_grad=True)
    kept = live_peak(lambda: weight.exp().exp())  # both are saved until the result is dropped
    with torch.no_grad():
        freed = live_peak(lambda: weight.exp().exp().exp().exp())
    assert kept == 8 * MB
    assert freed == 8 * MB
    assert live_peak(lambda: weight.exp().exp().exp().exp()) == 16 * MB
