"""A small config, and data that are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_configs import tiny_command, write_files

from hrnet_search.cli import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that has ended, for tests that change nothing in it."""
    folder = tmp_path_factory.mktemp("once")
    config, space = write_files(folder)
    assert main(tiny_command(config, space, folder / "trained")) == 0
    return folder / "trained"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a config of a tiny network."""
    return write_files(tmp_path)[0]


@pytest.fixture
def space(tmp_path: Path, config: Path) -> Path:
    """Return a space file whose data are drawn, beside the config."""
    return config.with_name("space.yaml")
