"""One book of asks for the brains of searches and of ablations: both keep the same rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ablation import made_up_ablation
from search import tabulated

from hrnet_search.ablation.brain import AblationBrain
from hrnet_search.ablation.run import open_ablation
from hrnet_search.records.search_options import THAW
from hrnet_search.records.trial import COMPLETED, FAILED, STOPPED, TrialResult, TrialTask
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.brain import Brain
from hrnet_search.search.deaths import Death
from hrnet_search.search.driver import Asking
from hrnet_search.search.failures import ALIKE
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore


@contextmanager
def searching(folder: Path) -> Iterator[Asking]:
    if not (folder / "study.db").exists():
        StudyStore.create(folder, Notes(objectives=("miou", "macs")))
    with StudyStore(folder) as store:
        yield Brain(tabulated.plan(trials=20), store, None)


@contextmanager
def ablating(folder: Path) -> Iterator[Asking]:
    folder.mkdir(exist_ok=True)
    file = made_up_ablation.space_file(folder)
    ablation = made_up_ablation.settled(file)
    with open_ablation(file, ablation, folder) as store:
        yield AblationBrain(ablation, store, file.latency, 1.0)


Brains = Callable[[Path], AbstractContextManager[Asking]]
both = pytest.mark.parametrize("brain_in", [searching, ablating])


def asked(brain: Asking) -> TrialTask:
    task = brain.ask()
    assert task
    return task


def completed(task: TrialTask) -> TrialResult:
    return made_up_ablation.run_made_up(task, lambda _: True)


def failed(task: TrialTask) -> TrialResult:
    return TrialResult(task.key, FAILED, error="broken")


@both
def test_a_trial_that_has_ended_is_not_taken_back(brain_in: Brains, tmp_path: Path) -> None:
    with brain_in(tmp_path / "study") as brain:
        first = asked(brain)
        brain.tell(first.number, completed(first))
        for _ in range(4):  # a worker may die after its trial's result is safe, and be noticed late
            assert brain.give_back(first.number, Death("its worker died")) is None
        assert asked(brain).number == first.number + 1
    table = open_study(tmp_path / "study").results()
    assert table["status"].tolist() == [COMPLETED, "running"]


@both
def test_a_trial_given_back_too_often_has_failed_with_its_cost(
    brain_in: Brains, tmp_path: Path
) -> None:
    with brain_in(tmp_path / "study") as brain:
        first = asked(brain)
        for _ in range(2):
            assert brain.give_back(first.number, Death("its worker died")) is None
            assert asked(brain) == first  # before any new one
        result = brain.give_back(first.number, Death("its worker died"))
        assert result
        assert asked(brain).number == first.number + 1
    ((_, kept),) = open_study(tmp_path / "study").ended()
    assert kept == result
    assert kept.error == "its worker died (3 times)"
    assert kept.cost
    assert kept.cost.params > 0


@both
def test_what_was_cut_off_comes_first_when_a_study_goes_on(
    brain_in: Brains, tmp_path: Path
) -> None:
    with brain_in(tmp_path / "study") as brain:
        tasks = [asked(brain) for _ in range(3)]
        brain.tell(tasks[1].number, completed(tasks[1]))
    with brain_in(tmp_path / "study") as brain:
        assert [asked(brain).number for _ in range(3)] == [0, 2, 3]


@both
def test_failures_end_a_study_though_trials_wait(brain_in: Brains, tmp_path: Path) -> None:
    with brain_in(tmp_path / "study") as brain:
        tasks = [asked(brain) for _ in range(ALIKE + 2)]
        for task in tasks[:ALIKE]:
            brain.tell(task.number, failed(task))
        brain.give_back(tasks[-1].number, Death("its worker died"))
        assert brain.ask() is None
        assert brain.why_ended.startswith(f"{ALIKE} networks in a row failed the same way (broken)")
    with brain_in(tmp_path / "study") as brain:  # the next start tries again, those first
        assert asked(brain).number == tasks[ALIKE].number


@both
def test_a_result_that_cannot_be_counts_as_it_is_kept(brain_in: Brains, tmp_path: Path) -> None:
    with brain_in(tmp_path / "study") as brain:
        for _ in range(ALIKE):
            task = asked(brain)
            brain.tell(task.number, replace(completed(task), miou=float("nan")))
        assert brain.ask() is None
        assert "failed the same way (its mIoU of nan is outside 0 to 1)" in brain.why_ended
    assert set(open_study(tmp_path / "study").results()["status"]) == {FAILED}


def test_what_was_shown_is_known_in_its_order_after_any_number_of_kills(tmp_path: Path) -> None:
    """One fails between two that pause, and one that had paused ends last."""
    planned = replace(tabulated.plan("pareto", trials=20), fidelity=THAW)
    StudyStore.create(tmp_path, Notes(objectives=("miou", "macs")))
    shown: list[int] = []
    for number, status in ((0, STOPPED), (1, FAILED), (2, STOPPED), (3, FAILED)):
        with StudyStore(tmp_path) as store:  # killed after each of them
            book = AskBook(store, 20)
            assert book.in_order() == shown
            task = asked(Brain(planned, store, None))
        with StudyStore(tmp_path) as store:
            brain = Brain(planned, store, None)
            brain.tell(number, replace(completed(task), status=status))
        shown.append(number)
    with StudyStore(tmp_path) as store:
        asked(Brain(planned, store, None))
        assert AskBook(store, 20).in_order() == shown
