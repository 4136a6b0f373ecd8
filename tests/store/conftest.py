"""A study folder without trials."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import NOTES

from hrnet_search.store.writer import StudyStore


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    StudyStore.create(folder, NOTES)
    return folder
