"""Small studies on disk, written by the real store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import NOTES, network

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.records.trial import TrialKey, TrialResult
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import SEARCH, Ask
from hrnet_search.store.writer import StudyStore

Trial = tuple[Architecture, TrialResult | None]
MakeStudy = Callable[..., Study]


def base_text() -> str:
    """Return a base config with a setting that no default has."""
    text = config_text(network(18))
    return text.replace("ROOT: data/", "ROOT: my-data/")


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    """Return a function that writes trials, in their order, and opens the study."""

    def make(*trials: Trial, seed: int = 0, purpose: str = SEARCH, **notes: Any) -> Study:
        folder = tmp_path / "study"
        if not folder.exists():
            StudyStore.create(folder, replace(NOTES, **{"base_yaml": base_text(), **notes}))
        with StudyStore(folder) as store:
            first = len(store.asks())
            for number, (architecture, found) in enumerate(trials, start=first):
                key = TrialKey(architecture.id, "sc-0", seed)
                store.ask(Ask(number, key, (number,), architecture, purpose))
                if found is not None:
                    store.finish(number, replace(found, key=key))
        return open_study(folder)

    return make
