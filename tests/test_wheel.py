"""Installed from its wheel, away from any clone, it works: a starting point, a check, a search.

No network: the build backend and what the package depends on are those of the running environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from hrnet_search import __version__, open_study
from hrnet_search.commands.starting_point import BASE, SPACE
from hrnet_search.space.schema import SCHEMA_FILE

ROOT = Path(__file__).parents[1]
SOURCES = ("hrnet_search", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def ran(*words: str | Path, folder: Path) -> str:
    """Return what a command says that nothing of this process leads back to the clone."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    clean["OMP_NUM_THREADS"] = "1"  # threads of so small a network wait for each other
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


QUICK = (
    ("train: 256, val: 48", "train: 16, val: 4"),
    ("steps: 60", "steps: 4"),
    ("warmup: 9", "warmup: 1"),
    ("latency: {size: [64, 64], seconds: 1}", "latency: {size: [32, 32], seconds: 0.05}"),
)
"""What a search of the starting point is made short by."""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return the wheel, built from a copy: building writes into its folder."""
    copy = tmp_path / "source"
    copy.mkdir()
    for name in SOURCES:
        take = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        take(ROOT / name, copy / name)
    words = ("wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", tmp_path, copy)
    ran(*PIP, *words, folder=tmp_path)
    shutil.rmtree(copy)
    (built,) = tmp_path.glob("*.whl")
    return built


@pytest.fixture
def programs(wheel: Path, tmp_path: Path) -> Path:
    """Return the programs of an environment that holds the wheel before what is installed here."""
    home = tmp_path / "env"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    ran(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel, folder=tmp_path)
    (packages,) = home.glob("lib/python*/site-packages")
    # A path alone: what points from there to the clone, an editable install, is not followed.
    here = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (packages / "here.pth").write_text("\n".join(sorted(here)) + "\n")
    return python.parent


@pytest.mark.slow
def test_the_wheel_starts_checks_and_searches_away_from_a_clone(
    wheel: Path, programs: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if name.startswith("hrnet_search/")}
    there = {p for p in (ROOT / "hrnet_search").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert packed == {str(path.relative_to(ROOT)) for path in there}

    place = tmp_path / "elsewhere"
    place.mkdir()
    where = ran(programs / "python", "-c", WHERE, folder=place)
    assert Path(where.strip()).is_relative_to(programs.parent)
    command = programs / "hrnet-search"
    assert ran(command, "--version", folder=place) == f"hrnet-search {__version__}\n"
    ran(command, "init", "first", folder=place)
    assert {p.name for p in (place / "first").iterdir()} == {SPACE, BASE, SCHEMA_FILE}
    assert "no problems" in ran(command, "check", "first/space.yaml", folder=place)

    space = place / "first" / "space.yaml"
    text = space.read_text()
    for whole, quick in QUICK:
        assert whole in text
        text = text.replace(whole, quick, 1)
    space.write_text(text + "tracking: {mlflow: off}\n")
    ran(command, "run", "first/space.yaml", "-o", "study", "--trials", "2", folder=place)
    study = open_study(place / "study")
    assert study.results()["status"].tolist() == ["completed"] * 2
    page = (place / "study" / "report" / "report.html").read_text()
    assert "<style>" in page


WHERE = "import hrnet_search; print(hrnet_search.__file__)"
