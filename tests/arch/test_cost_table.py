"""The table adds up to the exact cost, and what it counts beside it is what the network does."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hrnet_search import build
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.arch.cost_table import by_stage, cost_table, total
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = CONFIGS / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
COUNTED = {
    "native_batch_norm": "norm",
    "_native_batch_norm_legit_no_training": "norm",
    "upsample_bilinear2d": "upsampling",
    "add": "addition",
}


class Elementwise(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements that batch norm, upsampling and additions put out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: dict[str, int] = dict.fromkeys(COUNTED.values(), 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = COUNTED.get(func.overloadpacket.__name__)
        if name:
            self.counts[name] += (out[0] if isinstance(out, tuple) else out).numel()
        return out


def built_elementwise(architecture: Architecture, size: tuple[int, int]) -> dict[str, int]:
    with torch.device("meta"):
        network = build(architecture, 5).eval()
        image = torch.empty(1, 3, *size)
    with torch.no_grad(), Elementwise() as seen:
        network(image)
    return dict(seen.counts)


def test_the_rows_add_up_to_the_cost(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    for architecture in architectures(60, 20):
        rows = cost_table(architecture, (65, 33), 7)
        summed = total(rows)
        assert Cost(summed.params, summed.macs, summed.activations) == cost(
            architecture, (65, 33), 7
        )
        assert total(by_stage(rows)) == summed
        keys = [(row.stage, row.branch, row.kind) for row in rows]
        assert len(set(keys)) == len(keys)


def test_what_no_macs_are_counted_for_is_what_the_network_does(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    rng = random.Random(21)
    for architecture in architectures(6, 22):
        size = rng.randint(1, 90), rng.randint(1, 90)
        summed = total(cost_table(architecture, size, 5))
        found = {name: getattr(summed, name) for name in ("norm", "upsampling", "addition")}
        assert found == built_elementwise(architecture, size)


def test_a_row_is_the_convolutions_that_stand_there() -> None:
    rows = {
        (r.stage, r.branch, r.kind): r
        for r in cost_table(read_config(SMALL).architecture, (64, 64), 19)
    }
    stem = rows[0, 0, "stem"]
    assert (stem.convolutions, stem.params) == (2, 64 * 27 + 64 * 9 * 64 + 4 * 64)
    assert stem.macs == 64 * 27 * 32 * 32 + 64 * 64 * 9 * 16 * 16
    assert rows[4, 3, "blocks"].convolutions == 4  # two blocks of two
    assert rows[4, 3, "blocks"].macs == 4 * 128 * 128 * 9 * 2 * 2
    assert rows[2, 0, "fuse"].upsampling == 16 * 16 * 16
    head = rows[5, 0, "head"]
    assert head.macs == (240 * 240 + 240 * 19) * 16 * 16
    assert next(iter(rows)) == (0, 0, "stem")
    assert list(rows)[-1] == (5, 0, "head")


def test_what_a_network_lacks_has_no_row() -> None:
    rows = cost_table(read_config(SMALL).architecture, (64, 64), 19)
    assert all(row.convolutions for row in rows)
    assert not [row for row in rows if row.stage == 2 and row.branch > 1]


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(InputError, match="positive integer"):
        cost_table(read_config(SMALL).architecture, (0, 64), 19)
