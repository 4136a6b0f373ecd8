"""What makes a schedule another one, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

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
    taught = replace(shared, init_teacher_weight=0.5)
    ids |= {replace(shared, init_networks=2).id, replace(shared, init_warmup=1).id, taught.id}
    assert len(ids | {replace(SCHEDULE, networks=4, teacher_weight=0.5).id}) == 7
    assert taught.from_scratch().id == SCHEDULE.id
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
