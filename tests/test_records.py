"""What makes a schedule another one, and what does not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hrnet_search.arch.cost import Cost
from hrnet_search.records import (
    COMPLETED,
    OBJECTIVES,
    PLAIN,
    DataSpec,
    Latency,
    LatencyCondition,
    RungResult,
    Schedule,
    TrialKey,
    TrialResult,
    objective,
)

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


def test_shared_weights_are_part_of_an_identity_only_where_there_are_some() -> None:
    # Made by the version before schedules could share weights: studies of it go on.
    assert SCHEDULE.id == "sc-2646b7bafc22"
    shared = replace(SCHEDULE, init="shared", init_steps=9, init_networks=4)
    ids = {SCHEDULE.id, replace(SCHEDULE, networks=4).id, shared.id}
    assert len(ids | {replace(shared, init_networks=2).id, replace(shared, init_warmup=1).id}) == 5
    assert shared.from_scratch().id == SCHEDULE.id


@pytest.mark.parametrize("branches", [2, 3, 4])
@pytest.mark.parametrize("crop", [(32, 32), (32, 33), (40, 32), (64, 64)])
def test_untrainable_is_what_torch_refuses_to_normalise(
    crop: tuple[int, int], branches: int
) -> None:
    # torch's batch_norm is the authority: the branches' halvings, and then its smallest map.
    images = torch.zeros(1, 1, *crop)
    for _ in range(branches + 1):
        images = nn.functional.conv2d(images, torch.zeros(1, 1, 3, 3), stride=2, padding=1)
    norm = nn.BatchNorm2d(1).train()
    for batch in (1, 2, 3, 9):
        for parts in range(1, batch + 1):
            refused = False
            for part in images.expand(batch, -1, -1, -1).chunk(parts):
                try:
                    norm(part)
                except ValueError:
                    refused = True
            one = replace(SCHEDULE, batch=batch, crop=crop)
            assert bool(one.untrainable(branches, parts)) is refused, (batch, parts)


def test_a_key_is_told_from_other_words() -> None:
    key = str(TrialKey("hr-0123456789ab", "sc-0123456789ab", 3))
    assert TrialKey.is_spelt(key)
    for wrong in ("", key[1:], key + ".pth", f"../{key}", key.upper(), key + "\n"):
        assert not TrialKey.is_spelt(wrong)


def test_each_objective_reads_its_own_value_of_a_result() -> None:
    condition = LatencyCondition("cpu", "eager", "fp32", 1, (64, 64), 1)
    latency = Latency(3.5, 1.0, 3.4, 3.6, 3.3, 3.5, 9, False, condition)
    key = TrialKey("a", "b", 0)
    known = TrialResult(key, COMPLETED, Cost(1, 2, 3), latency, 0.25, miou_int8=0.125)
    values = {name: one.of(known) for name, one in PLAIN.items()}
    costs = {"latency_ms": 3.5, "macs": 2, "params": 1, "activations": 3}
    assert values == {"miou": 0.25, **costs, "miou_int8": 0.125}
    assert all(type(value) is float for value in values.values())
    assert {o.of(TrialResult(key, COMPLETED)) for o in OBJECTIVES.values()} == {None}
    assert [name for name, o in PLAIN.items() if o.is_cost] == list(costs)


def test_only_the_table_reads_values_by_the_name_of_an_objective() -> None:
    """Adding one is a row: nothing else asks which of them a name is before it reads a value."""
    names = "|".join(OBJECTIVES)
    asks = re.compile(rf'[!=]= "({names})"|"({names})" (==|!=|in) ')
    package = Path(__file__).parents[1] / "hrnet_search"
    found = [p.name for p in package.rglob("*.py") if asks.search(p.read_text())]
    assert found == []


def test_miou_in_int8_is_of_a_trial_and_never_that_of_a_rung() -> None:
    rung = RungResult(10, 0.5, (0.5,), 1.0, 0.5)
    found = TrialResult(TrialKey("a", "b", 0), COMPLETED, miou=0.5, rungs=(rung,), miou_int8=0.4)
    assert rung.score("miou_int8") is None
    assert found.score("miou_int8") == 0.4
    assert objective("miou_int8").of(found) == 0.4
