"""What the documents show is what the program takes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[1]
SPACES = [
    (path, block)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", path.read_text(), re.M | re.S)
    if "base:" in block
]


@pytest.mark.parametrize(("path", "block"), SPACES, ids=[p.name for p, _ in SPACES])
def test_spaces_in_documents_load(path: Path, block: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "search_spaces" / "space.yaml"
    file.parent.mkdir()
    margin = re.match(" *", block)
    assert margin
    file.write_text(re.sub(f"^{margin[0]}", "", block, flags=re.M))
    assert yaml.safe_load(file.read_text())["name"]
    assert load_space_file(file).space.size > 1


def test_the_ablation_in_documents_loads(tmp_path: Path) -> None:
    """It is part of a file: what stands beside it is that of any other."""
    text = (ROOT / "docs" / "ablation.md").read_text()
    block = next(b for b in re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S) if "ablate:" in b)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    base = sorted((tmp_path / "configs").glob("*w18_small_v1*.yaml"))[0]
    file = tmp_path / "space.yaml"
    data = "{kind: shapes, classes: 8, size: [64, 64]}"
    file.write_text(
        f"name: a\nbase: {base}\ndata: {data}\nschedule: {{steps: 100, crop: [64, 64]}}\n{block}"
    )
    said = load_space_file(file).ablation
    assert said is not None
    assert [factor.name for factor in said.factors] == ["stage4_fuse", "lowest_branch", "optimiser"]


def test_documents_show_spaces() -> None:
    assert {"README.md", "space-yaml.md"} <= {path.name for path, _ in SPACES}
