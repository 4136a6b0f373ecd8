"""Optimisers, learning rates and averages do what the schedule says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hrnet_search.evaluate.training.descent import Descent, optimiser, parts_of, rate
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

SCHEDULE = Schedule(DataSpec("shapes", classes=3), steps=10, lr=0.1)


def test_without_a_rise_the_rate_is_the_official_polynomial() -> None:
    assert [rate(SCHEDULE, s) for s in (0, 5)] == [0.1, 0.1 * 0.5**0.9]


def test_a_rise_in_line_comes_before_the_polynomial() -> None:
    rising = replace(SCHEDULE, warmup=3)
    falling = [rate(SCHEDULE, step) for step in range(10)]
    parts = [rate(rising, step) / falling[step] for step in range(10)]
    assert parts == pytest.approx([0.25, 0.5, 0.75, *[1] * 7])


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_a_step_is_that_of_torchs_own_optimiser(
    name: str, kind: type[torch.optim.Optimizer]
) -> None:
    schedule = replace(SCHEDULE, optimiser=name, momentum=0.8, weight_decay=0.01, warmup=1)
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    assert isinstance(optimiser(parts_of(one, schedule), schedule), kind)
    momentum = {"momentum": 0.8} if name == "sgd" else {"betas": (0.8, 0.999)}
    plain = kind(other.parameters(), lr=0.1, weight_decay=0.01, **momentum)  # type: ignore[call-arg]
    descent, images = Descent(one, schedule), torch.randn(4, 3)
    for step in range(3):
        descent.backward(one(images).square().mean())
        descent.step(step)
        plain.param_groups[0]["lr"] = rate(schedule, step)
        plain.zero_grad()
        other(images).square().mean().backward()
        plain.step()
    torch.testing.assert_close(one.weight, other.weight)


def test_averages_follow_the_weights_by_the_decay() -> None:
    layer = nn.Linear(1, 1)
    descent = Descent(layer, replace(SCHEDULE, ema=0.5))
    average = layer.weight.detach().clone()
    for step in range(8):
        descent.backward(layer(torch.ones(1, 1)).sum())
        descent.step(step)
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * layer.weight.detach()
    own = layer.weight.detach().clone()
    with descent.averaged():
        torch.testing.assert_close(layer.weight.detach(), average)
    assert torch.equal(layer.weight, own)


def test_without_averages_the_weights_stay() -> None:
    layer = nn.Linear(1, 1)
    own = layer.weight.detach().clone()
    with Descent(layer, SCHEDULE).averaged():
        assert torch.equal(layer.weight, own)
    assert torch.equal(layer.weight, own)


def test_gradients_of_fp16_that_overflow_are_left_out() -> None:
    layer = nn.Linear(1, 1)
    own = layer.weight.detach().clone()
    descent = Descent(layer, replace(SCHEDULE, precision="fp16"))
    descent.backward(layer(torch.full((1, 1), 1e38)).sum())
    descent.step(0)
    assert torch.equal(layer.weight, own)
    for step in (1, 2):
        descent.backward(layer(torch.ones(1, 1)).sum())
        descent.step(step)
    assert not torch.equal(layer.weight, own)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_first_step_that_overflows_leaves_no_momentum(name: str) -> None:
    """torch's fused SGD would leave memory that nobody has written, and take it for momentum."""
    schedule = replace(SCHEDULE, optimiser=name, precision="fp16", momentum=0.9)
    network, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    fresh.load_state_dict(network.state_dict())
    descent, images = Descent(network, schedule), torch.randn(4, 3)
    descent.backward(network(images).mean() * float("inf"))
    descent.step(0)
    for left in descent.state()["optimiser"]["state"].values():
        kept = [value for key, value in left.items() if key != "step" and value is not None]
        assert not any(torch.as_tensor(value).any() for value in kept)
    plain = Descent(fresh, schedule)
    for one, weights in ((descent, network), (plain, fresh)):
        one.backward(weights(images).square().mean())
        one.step(1)
    torch.testing.assert_close(network.weight, fresh.weight)
    assert network.weight.isfinite().all()
