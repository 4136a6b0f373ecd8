"""Mutated space files: each is refused in short lines, or is a space whose networks are built.

The mutations are of the files in `search_spaces`: of their bytes, their tokens and their trees.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fuzz.mutations import damaged, edited, regrown
from fuzz.oracle import answer, fuzz
from hypothesis import strategies as st

from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.arch.yaml_nodes import LOADER
from hrnet_search.net.hrnet import build
from hrnet_search.space import ablate_keys, load, vary
from hrnet_search.space.data_section import DATA_KEYS
from hrnet_search.space.load import SpaceFile, load_space_file
from hrnet_search.space.sections import LATENCY, SCHEDULE

ROOT = Path(__file__).parents[2]
TEXTS = [path.read_text() for path in sorted((ROOT / "search_spaces").glob("*.yaml"))]
SOON = [text for text in TEXTS if "width-depth" not in text and "match:" not in text]
"""Those whose check takes a twentieth of a second, not half of one."""

KEYS = sorted(
    {
        *load.KEYS,
        *ablate_keys.KINDS,
        *vary.KNOWN,
        *SCHEDULE,
        *LATENCY,
        "miou",
        "macs",
        "mlflow",
    }
    | {key for keys in DATA_KEYS.values() for key in keys}
    | {"images", "masks", "list", "from", "to", "path", "levels", "sampler", "trials", "confirm"}
)
MUTATED = st.sampled_from(SOON * 5 + TEXTS).flatmap(
    lambda text: damaged(text.encode()) | edited(text) | regrown(text, TEXTS, KEYS)
)
BUILT_EVERY = 20
"""Of the spaces that are read: building takes far longer than reading."""

MOST_S = 5.0
"""Of the processor, twice: a check of a file that is at most 1 MB takes two seconds."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder for space files, from which the configs are where they name them."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "search_spaces").mkdir()
    return tmp_path / "search_spaces"


@pytest.mark.parametrize("count", [40, pytest.param(10_000, marks=pytest.mark.bench)])
def test_a_mutated_space_file_is_refused_or_is_a_space(place: Path, count: int) -> None:
    codes = []

    def look(content: bytes) -> None:
        (place / "space.yaml").write_bytes(content)
        said = answer(["check", str(place / "space.yaml")], MOST_S)
        codes.append(said.code)
        assert said.code in (0, 2)
        if said.code == 0:
            file = load_space_file(place / "space.yaml")
            assert_as_yaml_reads_it(file, yaml.load(content, Loader=LOADER))
            if codes.count(0) % BUILT_EVERY == 1:
                assert_built(file, place)

    fuzz(count, MUTATED, look)
    print(f"{len(codes):,} space files: {codes.count(0):,} read, {codes.count(2):,} refused")
    assert 0 < codes.count(0) < len(codes)


def assert_as_yaml_reads_it(file: SpaceFile, tree: Any) -> None:
    """Hold what was read against PyYAML, which reads all that is not refused in the same way."""
    schedule, latency = tree["schedule"], tree.get("latency", {})
    assert file.name == tree["name"]
    assert file.schedule.steps == schedule.get("steps", file.schedule.steps)
    assert file.schedule.batch == schedule.get("batch", file.schedule.batch)
    assert list(file.schedule.crop) == list(schedule.get("crop", file.schedule.crop))
    assert math.isclose(file.schedule.lr, schedule.get("lr", file.schedule.lr))
    assert list(file.latency.size) == list(latency.get("size", file.latency.size))
    assert file.search.trials == tree.get("search", {}).get("trials", file.search.trials)
    if file.ablation is None:
        assert list(file.objectives) == list(tree["objectives"])
        width = next((c.values for c in file.space.choices if c.path == "width"), None)
        if width and isinstance(tree["vary"]["width"], list):
            assert list(width) == tree["vary"]["width"]


def assert_built(file: SpaceFile, place: Path) -> None:
    """Networks of the space are built and compute, as far as shapes go: they have no values."""
    words = ["generate", str(place / "space.yaml"), "-n", "2", "-o", str(place / "configs")]
    said = answer(words, MOST_S)
    assert said.code in (0, 2)
    for path in place.joinpath("configs").glob("*.yaml"):
        with torch.device("meta"), torch.no_grad():
            network = build(read_config(path).architecture, classes=file.schedule.data.classes)
            out = network.eval()(torch.zeros(1, 3, 64, 64))
        assert out.shape == (1, file.schedule.data.classes, 16, 16)
        path.unlink()
