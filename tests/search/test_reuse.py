"""Trials of other studies are taken over whole where their keys are asked for, and no others."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import replace
from pathlib import Path

import pytest
from search import tabulated, test_study_shared
from search.made_up_trials import KilledError, Run, by_steps, killed_after, run_made_up
from search.tabulated import create, drive, plan

from hrnet_search.errors import StorageLostError
from hrnet_search.records.accuracy import SOFT_IOU
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.search_options import THAW, TO_THE_END
from hrnet_search.records.trial import COMPLETED, PAUSED, TrialKey, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.identity import identity_of
from hrnet_search.search.plan import Plan
from hrnet_search.search.reuse import Reuse
from hrnet_search.store.evaluations import evaluation_path
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.kept import weights_path
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore


def reusing(
    folder: Path, planned: Plan, *others: Path, most: int = 1000, by: Run = run_made_up
) -> tuple[list[TrialKey], list[TrialResult]]:
    """Drive a study that reuses others; return what was trained, and all results by number.

    It is killed when `most` trials have run.
    """
    trained: list[TrialKey] = []

    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.taken is not None:
            return task.taken
        trained.append(task.key)
        return by(task, report)

    create(folder)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None, Reuse([open_study(other) for other in others]))
        run_inline(brain, killed_after(most, run))
    return trained, [result for _, result in open_study(folder).trials() if result]


@pytest.fixture
def first(tmp_path: Path) -> Path:
    drive(tmp_path / "first", plan("random", 20))
    return tmp_path / "first"


def test_what_another_study_has_completed_is_not_trained_again(first: Path, tmp_path: Path) -> None:
    before = {ask.key: (ask.number, result) for ask, result in open_study(first).ended()}
    completed = {key for key, (_, result) in before.items() if result.status == COMPLETED}
    trained, results = reusing(tmp_path / "second", plan("random", 30), first)
    assert 12 < len(completed) < 20
    assert set(trained).isdisjoint(completed)
    assert len(trained) + len(completed) == 30
    for result in results:
        if result.key in completed:
            number, was = before[result.key]
            origin = f"taken over from tabulated, trial {number}"
            assert result == replace(was, notes=(*was.notes, origin))
        else:
            assert result.notes == ()


def test_trials_of_another_seed_or_schedule_are_not_the_same(first: Path, tmp_path: Path) -> None:
    other = plan("random", 10, seeds=(1,))
    assert len(reusing(tmp_path / "seed", other, first)[0]) == 10
    longer = replace(plan().schedule, steps=20)
    other = replace(plan("random", 10), schedule=longer, rungs=(10, 20))
    assert len(reusing(tmp_path / "steps", other, first)[0]) == 10


def test_what_was_not_seen_by_the_signal_of_the_search_is_trained(
    first: Path, tmp_path: Path
) -> None:
    """The made-up trials have no soft IoU, like those of studies before there was one."""
    learning = replace(plan("random", 10), signal=SOFT_IOU)
    assert len(reusing(tmp_path / "second", learning, first)[0]) == 10


def test_what_was_not_judged_in_int8_is_trained_where_that_is_asked_for(
    first: Path, tmp_path: Path
) -> None:
    spec = LatencySpec(size=(64, 64), runtime="onnxruntime", precision="int8")
    assert (
        len(reusing(tmp_path / "second", replace(plan("random", 10), latency=spec), first)[0]) == 10
    )


def test_its_evaluation_and_weights_come_along(first: Path, tmp_path: Path) -> None:
    keys = [result.key for _, result in open_study(first).ended() if result.status == COMPLETED]
    places = (evaluation_path(first, keys[0]), weights_path(first, keys[1]))
    for path in places:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"of the first")
    second = tmp_path / "second"
    reusing(second, replace(plan("random", 20), folder=str(second)), first)
    copies = (evaluation_path(second, keys[0]), weights_path(second, keys[1]))
    assert [path.read_bytes() for path in copies] == [b"of the first"] * 2


def test_killed_in_between_it_ends_as_it_would_have(first: Path, tmp_path: Path) -> None:
    planned = plan("random", 26)
    _, whole = reusing(tmp_path / "whole", planned, first)
    for most in (2, 7):
        with pytest.raises(KilledError):
            reusing(tmp_path / "cut", planned, first, most=most)
    _, cut = reusing(tmp_path / "cut", planned, first)
    assert cut == whole


def test_the_first_study_that_has_a_trial_counts(first: Path, tmp_path: Path) -> None:
    drive(tmp_path / "other", plan("random", 30))
    reuse = Reuse([open_study(first), open_study(tmp_path / "other")])
    studies = [found.study.folder for key in map_keys(first) if (found := reuse.get(key))]
    assert set(studies) == {first}
    assert len(reuse) > len(studies)


def map_keys(folder: Path) -> list[TrialKey]:
    return [ask.key for ask, _ in open_study(folder).ended()]


@pytest.mark.parametrize("change", ["vary", "limits"])
def test_shared_weights_of_other_networks_are_not_taken_over(tmp_path: Path, change: str) -> None:
    shared = test_study_shared.plan(8)
    others = tabulated.SPACE.choices[:-1] if change == "vary" else tabulated.SPACE.choices
    limits = () if change == "limits" else tabulated.SPACE.limits
    other = replace(shared, space=replace(tabulated.SPACE, choices=others, limits=limits))
    for name, planned in (("first", shared), ("other", other)):
        noted = NotedSchedule.of(planned.schedule)
        StudyStore.create(tmp_path / name, Notes(schedule=noted, identity=identity_of(planned)))
        reusing(tmp_path / name, planned)
    studies = [open_study(tmp_path / name) for name in ("other", "first")]
    weights = studies[1].trials()[0][0].key
    assert studies[0].trials()[0][0].key == weights, "nothing tells them apart"
    alone = Reuse(studies[:1], shared)
    assert len(alone) == 0
    assert alone.left_out == [(studies[0], "its shared weights were taught other networks")]
    gone = Reuse(studies[1:], shared)
    assert (len(gone), gone.left_out) == (0, [(studies[1], "its shared weights are gone")]), (
        "others would be trained"
    )
    for one in studies:
        path = weights_path(one.folder, weights)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"made up")
    both = Reuse(studies, shared)
    found = both.get(weights)
    assert found is not None
    assert found.study.folder == tmp_path / "first"
    trained: list[TrialKey] = []

    def run(task: TrialTask, report: Report) -> TrialResult:
        trained.append(task.key)
        return run_made_up(task, report)

    StudyStore.create(tmp_path / "second", Notes())
    with StudyStore(tmp_path / "second") as store:
        run_inline(Brain(shared, store, None, alone), run)
    assert len(trained) == 9, "all of it, the shared weights too"


def taught(folder: Path, weights: bytes, most: int = 1000) -> tuple[Plan, TrialKey]:
    """Drive a study whose variants start from shared weights; return its plan and theirs' key."""
    planned = test_study_shared.plan(8)
    noted = NotedSchedule.of(planned.schedule)
    StudyStore.create(folder, Notes(schedule=noted, identity=identity_of(planned)))
    with contextlib.suppress(KilledError):
        reusing(folder, planned, most=most)
    key = open_study(folder).trials()[0][0].key
    path = weights_path(folder, key)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(weights)
    return replace(planned, folder=str(folder)), key


def test_what_rests_on_other_weights_of_one_key_is_not_taken_over(tmp_path: Path) -> None:
    """By another device or version the same training gives others: scores of two are not one."""
    _, key = taught(tmp_path / "first", b"made up")
    taught(tmp_path / "same", b"made up")
    taught(tmp_path / "other", b"by another device")
    first, same, other = (open_study(tmp_path / name) for name in ("first", "same", "other"))
    # The study itself was killed when its shared weights were there.
    planned, _ = taught(tmp_path / "own", b"by another device", most=1)
    known = Reuse([first, other], planned)
    assert known.left_out == [(first, "its shared weights are others than this study has")]
    assert {found.study.folder for k in map_keys(first.folder) if (found := known.get(k))} == {
        other.folder
    }
    new = replace(planned, folder=str(tmp_path / "new"))
    known = Reuse([first, same, other], new)
    assert known.left_out == [
        (other, f"its shared weights are others than those of {first.folder}")
    ]
    # Where they turn out to be others while it runs, what rests on them is trained.
    trained, _ = reusing(tmp_path / "own", planned, first.folder)
    assert len(trained) == 8
    trained, _ = reusing(tmp_path / "new", new, first.folder)
    failed = [r.key for _, r in first.ended() if r.status != COMPLETED]
    assert trained == failed
    assert weights_path(tmp_path / "new", key).read_bytes() == b"made up"


def test_what_another_study_completed_is_not_trained_to_its_first_rung_again(
    tmp_path: Path,
) -> None:
    pausing = replace(plan("pareto", 20), fidelity=THAW)
    reusing(tmp_path / "first", replace(pausing, fidelity=TO_THE_END, trials=40), by=by_steps)
    whole = {r.key: r for _, r in open_study(tmp_path / "first").ended() if r.status == COMPLETED}
    trained, ended = reusing(tmp_path / "second", pausing, tmp_path / "first", by=by_steps)
    assert set(trained).isdisjoint(whole)
    taken = [result for result in ended if result.key in whole]
    assert len(taken) > 5
    for result in taken:
        was = whole[result.key]
        assert (result.miou, result.wall_s) == (was.miou, was.wall_s)
        assert result.taken_over
    assert (open_study(tmp_path / "second").results()["status"] == PAUSED).any()


@pytest.mark.parametrize("faster", [0.05, 20.0])
def test_what_confirms_is_a_share_of_what_trainings_take_here(
    faster: float, tmp_path: Path
) -> None:
    """Not of what they took on the machine of the study that they were taken over from."""

    def by_clock(times: float) -> Run:
        def run(task: TrialTask, report: Report) -> TrialResult:
            done = run_made_up(task, report)
            return replace(done, wall_s=times * done.wall_s)

        return run

    confirmed = replace(plan("grid", 60), confirm=0.3)
    create(tmp_path / "alone")
    with StudyStore(tmp_path / "alone") as store:
        run_inline(Brain(confirmed, store, None), run_made_up)
    first = tmp_path / "first"
    reusing(first, replace(confirmed, confirm=0.0), by=by_clock(1 / faster))
    reusing(tmp_path / "second", confirmed, first)
    asked = [[a.key for a, _ in open_study(tmp_path / n).trials()] for n in ("alone", "second")]
    few, many = sorted(map(len, (set(asked[0]) - set(asked[1]), set(asked[0]) & set(asked[1]))))
    assert few <= 0.1 * many


def test_files_that_were_half_copied_are_copied_again(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = next(r for _, r in open_study(first).ended() if r.status == COMPLETED)
    weights = weights_path(first, done.key)
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"w" * 1000)
    finished = Reuse([open_study(first)]).get(done.key)
    assert finished is not None

    def half(source: Path, copy: Path) -> None:
        Path(copy).write_bytes(Path(source).read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    create(tmp_path / "second")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", half)
        with pytest.raises(StorageLostError):
            finished.copy_files(tmp_path / "second")
    assert not list((tmp_path / "second" / "weights").iterdir())
    finished.copy_files(tmp_path / "second")
    assert weights_path(tmp_path / "second", done.key).read_bytes() == b"w" * 1000
