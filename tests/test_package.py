"""The package as a whole: light to import, one set of versions, links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hrnet_search

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "mlflow", "optuna", "pandas", "matplotlib")


def loaded_by(code: str) -> set[str]:
    show = f"{code}; import sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import hrnet_search",
        "import hrnet_search.cli; hrnet_search.cli.parser()",
        "from hrnet_search import Architecture, cost, load_space, generate, costs",
        "from hrnet_search.search.samplers import SAMPLERS",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == set()


def test_every_public_name_is_there() -> None:
    for name in hrnet_search.__all__:
        assert getattr(hrnet_search, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hrnet_search.nothing  # noqa: B018


def test_the_version_stands_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == hrnet_search.__version__


def test_each_dependency_names_the_file_that_needs_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.optional")]
    for line in block.splitlines()[1:]:
        if line.strip().startswith('"'):
            named = re.search(r"# .*?([\w/]+\.py)", line)
            assert named, line
            there = (ROOT / "hrnet_search" / named[1]).exists()
            assert there != ("not built yet" in line), line


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
