"""Mutated HRNet configs: each is refused in short lines, or is a network that is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fuzz.mutations import damaged, edited, regrown
from fuzz.oracle import answer, fuzz
from hypothesis import strategies as st

from hrnet_search import HRNet

ROOT = Path(__file__).parents[2]
TEXTS = [path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml"))]
KEYS = (
    "STAGE1", "STAGE4", "STAGE5", "NUM_MODULES", "NUM_BRANCHES", "NUM_BLOCKS", "NUM_CHANNELS",
    "BLOCK", "FUSE_METHOD", "FINAL_CONV_KERNEL", "ALIGN_CORNERS", "PRETRAINED", "EXTRA", "MODEL",
    "DATASET", "TRAIN", "NUM_CLASSES", "IMAGE_SIZE", "BASE_SIZE", "OCR", "NUM_OUTPUTS", "NAME",
)  # fmt: skip
MUTATED = st.sampled_from(TEXTS).flatmap(
    lambda text: damaged(text.encode()) | edited(text) | regrown(text, TEXTS, KEYS)
)
SPACE = """\
name: on-a-mutated-base
base: config.yaml
vary: {width: [8, 12], "STAGE*.FUSE_METHOD": [SUM, CAT], STAGE4.NUM_BRANCHES: [3, 4]}
objectives: {miou: max, macs: min}
data: {kind: shapes}
schedule: {steps: 4, batch: 4, crop: [64, 64]}
"""
BUILT_EVERY = 20
"""Of the configs that are read: building takes far longer than reading."""

MOST_S = 5.0


@pytest.mark.parametrize("count", [15, pytest.param(2_000, marks=pytest.mark.bench)])
def test_a_mutated_config_is_refused_or_is_a_network(tmp_path: Path, count: int) -> None:
    config, space, made = (tmp_path / name for name in ("config.yaml", "space.yaml", "made"))
    codes = []
    space.write_text(SPACE)

    def look(content: bytes) -> None:
        config.write_bytes(content)
        code = answer(["profile", str(config)], MOST_S).code
        assert code in (0, 2)
        codes.append(code)
        if code == 0 and codes.count(0) % BUILT_EVERY == 1:
            with torch.device("meta"), torch.no_grad():
                out = HRNet(config).eval()(torch.zeros(1, 3, 64, 64))
            assert out.shape[2:] == (16, 16)
        # As the base of a space it says less: the class count is that of the data.
        if answer(["check", str(space)], MOST_S).code == 0 and len(codes) % BUILT_EVERY == 1:
            assert answer(["generate", str(space), "-n1", "-o", str(made)], MOST_S).code == 0
            (path,) = made.glob("*.yaml")
            assert answer(["profile", str(path)], MOST_S).code == 0
            path.unlink()

    fuzz(count, MUTATED, look)
    print(f"{len(codes):,} configs: {codes.count(0):,} read, {codes.count(2):,} refused")
    assert 0 < codes.count(0) < len(codes)
