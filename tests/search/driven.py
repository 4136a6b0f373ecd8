"""A study that a brain drives in this process, begun where it is not there yet."""

from __future__ import annotations

from pathlib import Path

from search.made_up_trials import Run, run_made_up

from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.writer import StudyStore


def drive(folder: Path, planned: Plan, run: Run = run_made_up) -> tuple[Study, Brain]:
    if not (folder / "study.db").exists():
        schedule, long = map(NotedSchedule.of, (planned.schedule, planned.long_schedule))
        notes = Notes(objectives=planned.objectives, schedule=schedule, long_schedule=long)
        StudyStore.create(folder, notes)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        run_inline(brain, run)
    return open_study(folder), brain
