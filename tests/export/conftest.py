"""Members of fronts, from small studies written by the real store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import NOTES, network, result
from small_studies import make_study
from trained_like import keep_weights, trained_like

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.export.member import Member, front_of
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.net.weights import save_weights
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import EVALUATOR
from hrnet_search.records.trial import TrialKey
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import BASE, Ask
from hrnet_search.store.writer import StudyStore

__all__ = ["make_study"]
MakeMember = Callable[..., Member]
CLASSES = 5
SCHEDULE = Schedule(DataSpec("shapes", CLASSES), steps=20, crop=(64, 96), fingerprint="f1n6e7")


def write_study(
    folder: Path, *architectures: Architecture, weights: bool, base: str, schedule: Schedule
) -> Study:
    """Write a study in which each architecture is better and more expensive than the last."""
    noted = NotedSchedule.of(schedule)
    StudyStore.create(folder, replace(NOTES, base_yaml=base, schedule=noted))
    with StudyStore(folder) as store:
        for number, architecture in enumerate(architectures):
            key = TrialKey(architecture.id, schedule.id, 0)
            store.ask(Ask(number, key, (number,), architecture))
            store.finish(number, replace(result(number, miou=0.5 + number / 100), key=key))
            if weights:
                classes = schedule.data.classes
                keep_weights(folder, key, trained_like(architecture, classes))
    return open_study(folder)


@pytest.fixture
def make_front(tmp_path: Path) -> Callable[..., Study]:
    """Return a function that writes a study whose front is the given architectures.

    Its base has the classes of the schedule's data.
    """

    def make(
        *architectures: Architecture,
        weights: bool = True,
        schedule: Schedule = SCHEDULE,
        base: str | None = None,
    ) -> Study:
        if base is None:
            classes = f"NUM_CLASSES: {schedule.data.classes}"
            base = config_text(network(18)).replace("NUM_CLASSES: 19", classes)
        folder = tmp_path / "study"
        return write_study(folder, *architectures, weights=weights, base=base, schedule=schedule)

    return make


@pytest.fixture
def make_sharing(make_front: Callable[..., Study]) -> Callable[..., tuple[Study, SharedNetwork]]:
    """Return a function that writes such a study, and weights that its networks share."""

    def make(*architectures: Architecture, **changes: Any) -> tuple[Study, SharedNetwork]:
        study = make_front(*architectures, **changes)
        classes = changes.get("schedule", SCHEDULE).data.classes
        shared = SharedNetwork.of(list(architectures), classes)
        key = TrialKey(architectures[0].id, "sc-0000000000ff", 0)
        with StudyStore(study.folder) as store:
            store.note(Notes(identity={EVALUATOR: "shared"}))
            store.ask(Ask(len(architectures), key, (), architectures[0], BASE))
            store.finish(len(architectures), replace(result(0, miou=0.3), key=key))
        path = study.folder / "weights" / f"{key}.safetensors"
        save_weights(shared, path, shared.metadata())
        return open_study(study.folder), shared

    return make


@pytest.fixture
def make_member(make_front: Callable[..., Study]) -> MakeMember:
    """Return a function that gives the one member of a study's front."""

    def make(architecture: Architecture, **changes: object) -> Member:
        (member,) = front_of(make_front(architecture, **changes))
        return member

    return make
