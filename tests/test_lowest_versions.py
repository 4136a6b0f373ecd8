"""What CI tests as the lowest versions are those that pyproject.toml allows."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def test_each_dependency_is_pinned_to_the_lowest_version_that_it_allows() -> None:
    """packaging reads the requirements, as pip does."""
    script = ROOT / ".github" / "lowest_versions.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    pinned = {(r := Requirement(line)).name: r.specifier for line in done.stdout.splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["onnx"]]
    for requirement in map(Requirement, asked):
        (pin,) = pinned.pop(requirement.name)
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version)
        (least,) = (s.version for s in requirement.specifier if s.operator == ">=")
        assert Version(least) == Version(pin.version)
    assert pinned == {}
