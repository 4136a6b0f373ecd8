"""A hint names what was likely meant, and nothing else."""

from __future__ import annotations

import pytest

from hrnet_search.errors import nearest
from hrnet_search.space.sections import SCHEDULE_KEYS


@pytest.mark.parametrize(
    ("key", "known", "meant"),
    [
        # Keys of mmsegmentation's and the HRNet library's configs.
        ("crop_size", SCHEDULE_KEYS, "crop"),
        ("batch_size", SCHEDULE_KEYS, "batch"),
        ("optimizer", SCHEDULE_KEYS, "optimiser"),
        ("class_weight", SCHEDULE_KEYS, "class_weights"),
        ("CROP", SCHEDULE_KEYS, "crop"),
        ("epochs", SCHEDULE_KEYS, ""),
        ("max_iters", SCHEDULE_KEYS, ""),
        ("WITH_HEAD", ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4"), ""),
        ("STAGE5", ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4"), ""),
        ("NUM_RANCHES", ("NUM_BRANCHES", "NUM_BLOCKS"), "NUM_BRANCHES"),
        ("x" * 10**6, SCHEDULE_KEYS, ""),
        ("", SCHEDULE_KEYS, ""),
        ("__", SCHEDULE_KEYS, ""),
    ],
)
def test_a_hint_comes_only_where_it_helps(key: str, known: tuple[str, ...], meant: str) -> None:
    assert nearest(key, known) == (f", did you mean {meant}?" if meant else "")
