"""An ablation is asked once, ends the same however often it is killed, and hides no failure."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from ablation.made_up_ablation import TEXT, drive, failing, run_made_up, settled, space_file
from forked import Forked
from search.made_up_trials import KilledError, killed_after

from hrnet_search.ablation import run as module
from hrnet_search.ablation.brain import AblationBrain, trials
from hrnet_search.ablation.run import (
    ablate,
    finished_trials,
    open_ablation,
    prepare,
    take_over,
    write_record,
)
from hrnet_search.errors import SpaceError, StudyError
from hrnet_search.inventory import Inventory
from hrnet_search.records.trial import COMPLETED, FAILED, TrialResult, TrialTask
from hrnet_search.report.ablation.tables import ablation_lines
from hrnet_search.search.deaths import Death
from hrnet_search.search.driver import Asking, Listener, Report, run_inline
from hrnet_search.search.failures import ALIKE
from hrnet_search.space.load import SpaceFile
from hrnet_search.store.ablation import AblationRecord, EffectRow
from hrnet_search.store.evaluations import evaluation_path
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import ABLATE, Ask
from hrnet_search.store.writer import StudyStore

T = TypeVar("T")
TESTS = Path(__file__).parents[1]
ARMS = 5
"""The reference, three arms, and one of them at equal MACs (CAT and flip need none)."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study that has ended, to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    drive(space_file(folder), folder / "study")
    return folder / "study"


def rows(folder: Path) -> list[tuple[object, ...]]:
    table = open_study(folder).results().fillna({"miou": -1})
    return [tuple(r) for r in table[["number", "architecture", "seed", "status", "miou"]].values]


def record(folder: Path) -> AblationRecord:
    found = open_study(folder).notes.ablation
    assert found
    return found


def effect(folder: Path, name: str) -> EffectRow:
    return next(e for e in record(folder).effects if e.name == name)


def test_every_arm_is_trained_with_every_seed(finished: Path) -> None:
    study = open_study(finished)
    table = study.results()
    assert len(table) == ARMS * 6
    assert (
        table.groupby(["architecture", "schedule"])["seed"].agg(set).tolist()
        == [{0, 1, 2, 3, 4, 5}] * ARMS
    )
    assert {ask.purpose for ask, _ in study.trials()} == {"ablate"}
    assert table["STAGE4.NUM_BRANCHES"].tolist()[:ARMS].count(3) == 2
    assert set(table["match"]) == {"none", "macs"}
    noted = {schedule.id for schedule in study.notes.arm_schedules or ()}
    assert noted == set(table["schedule"])  # by which each arm's config is written


def test_known_effects_come_out_with_their_costs(finished: Path) -> None:
    found = record(finished)
    verdicts = {e.name: e.verdict for e in found.effects}
    assert verdicts["fuse=CAT"] == "better"
    assert verdicts["branch=3"] == verdicts["branch=3 at equal MACs"] == "worse"
    assert verdicts["flip=false"] == "equivalent"
    for e in found.effects:
        assert e.mean is not None
        assert e.low is not None
        assert e.high is not None
        assert e.low <= e.mean <= e.high
        assert e.latency_ms == pytest.approx(e.macs / 1e9)
        assert [c.name for c in e.classes] == list("abcdefgh")
        assert e.classes[0].mean == pytest.approx(e.mean)
    branch = effect(finished, "branch=3")
    arms = {arm.name: arm for arm in found.arms}
    assert branch.macs == arms["branch=3"].macs - arms["reference"].macs < 0
    assert arms["branch=3 at equal MACs"].ratio == pytest.approx(1, abs=0.02)
    assert found.noise == pytest.approx(0.003 * 2**0.5, rel=0.4)
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["ended"] == ARMS * 6


def test_trainings_that_learned_nothing_decide_nothing(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        return replace(run_made_up(task, report), miou=0.058)

    drive(space_file(tmp_path), tmp_path / "study", run)
    found = record(tmp_path / "study")
    assert {e.verdict for e in found.effects} == {"undecided"}
    assert {(e.mean, e.low, e.high) for e in found.effects} == {(0.0, None, None)}
    assert (found.noise, found.detectable) == (None, None)
    said = "\n".join(ablation_lines(found))
    assert "nothing differed: every arm has the mIoU of the reference at every seed" in said
    assert "80% power" not in said


def test_warnings_of_the_data_are_among_the_remarks(tmp_path: Path) -> None:
    file = space_file(tmp_path)
    ablation = replace(settled(file), data=Inventory(warnings=("images are shared",)))
    with open_ablation(file, ablation, tmp_path / "study") as store:
        assert "images are shared" in ablation_lines(write_record(file, ablation, store))


def test_pairing_takes_out_what_a_seed_does_to_all_arms(finished: Path) -> None:
    found = record(finished)
    assert found.arms[0].sd is not None
    assert found.noise is not None
    assert found.noise < 0.5 * found.arms[0].sd


def test_failed_trials_are_named_and_counted(tmp_path: Path) -> None:
    ablation = settled(space_file(tmp_path))
    order = trials(ablation)
    cat = next(i for i, (_, arm) in enumerate(order) if arm.name == "fuse=CAT")
    second = next(i for i, (k, arm) in enumerate(order) if arm.name == "reference" and k.seed == 2)
    brain = drive(space_file(tmp_path), tmp_path / "study", failing(cat, second))
    assert brain.counts[FAILED] == 2
    found = record(tmp_path / "study")
    missing = {arm.name: arm.missing for arm in found.arms if arm.missing}
    assert {name: [m.seed for m in gone] for name, gone in missing.items()} == {
        "reference": [2],
        "fuse=CAT": [0],
    }
    assert missing["fuse=CAT"][0].why == "failed: the loss is nan at step 7 of 10"
    row = effect(tmp_path / "study", "fuse=CAT")
    assert row.seeds == (1, 3, 4, 5)
    assert row.p == 0.125
    assert row.verdict == "undecided"
    assert "4 of 6 seeds, p cannot be below 0.125: it is left out of the family" in row.note
    assert not row.in_family
    # A seed that the reference lost is lost to every difference.
    assert effect(tmp_path / "study", "branch=3").seeds == (0, 1, 3, 4, 5)


def test_an_arm_that_never_trains_has_no_numbers_and_says_why(tmp_path: Path) -> None:
    order = trials(settled(space_file(tmp_path)))
    gone = [i for i, (_, arm) in enumerate(order) if arm.name == "flip=false"]
    drive(space_file(tmp_path), tmp_path / "study", failing(*gone))
    row = effect(tmp_path / "study", "flip=false")
    assert (row.mean, row.low, row.seeds, row.verdict) == (None, None, (), "undecided")
    assert effect(tmp_path / "study", "branch=3").verdict == "worse"


def test_an_arm_that_failed_at_most_seeds_hides_no_other(tmp_path: Path, finished: Path) -> None:
    """With the one seed it has it is far ahead; its difference is the largest there is."""
    order = trials(settled(space_file(tmp_path)))
    flips = [i for i, (_, arm) in enumerate(order) if arm.name == "flip=false"]

    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.number == flips[0]:
            return replace(run_made_up(task, report), miou=0.99)
        return failing(*flips[1:])(task, report)

    drive(space_file(tmp_path), tmp_path / "study", run)
    for name in ("fuse=CAT", "branch=3", "branch=3 at equal MACs"):
        found, whole = effect(tmp_path / "study", name), effect(finished, name)
        assert (found.verdict, found.p_family) == (whole.verdict, whole.p_family)
    said = "\n".join(ablation_lines(record(tmp_path / "study")))
    assert "over joint flips of all of one kind (3 arms), not below 0.03125 here" in said
    assert "verdicts are interim" not in said


def test_an_unfinished_ablation_says_what_has_not_run(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.number == ARMS + 3:
            raise KeyboardInterrupt
        return run_made_up(task, report)

    file, folder = space_file(tmp_path), tmp_path / "study"
    with pytest.raises(KeyboardInterrupt):
        drive(file, folder, run)
    assert open_study(folder).notes.ablation is None
    lines = prepare(file, settled(file), finished_trials(settled(file), folder))
    assert any(f"{ARMS + 3} of them done" in line for line in lines)
    assert any("of finished trials" in line for line in lines)
    drive(file, folder)
    assert record(folder).ended == ARMS * 6


def test_cut_off_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    file = space_file(tmp_path)
    drive(file, tmp_path / "whole", failing(5, 17))
    rng = random.Random(1)
    for _ in range(200):
        try:
            drive(file, tmp_path / "cut", killed_after(rng.randint(2, 12), failing(5, 17)))
            break
        except KilledError:
            continue
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert record(tmp_path / "cut") == record(tmp_path / "whole")


def kill_drivers(tmp_path: Path, kills: int) -> None:
    file, folder = space_file(tmp_path), tmp_path / "killed"
    rng = random.Random(3)
    for _ in range(kills):
        driver = Forked(lambda: drive(file, folder))
        while driver.poll() is None and not (folder / "study.db").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.4))
        driver.kill()
        before = [row for row in rows(folder) if row[3] != "running"]
        with StudyStore(folder):  # a dead driver holds nothing
            pass
        assert [row for row in rows(folder) if row[3] != "running"] == before
    assert Forked(lambda: drive(file, folder)).wait() == 0
    drive(file, tmp_path / "whole")
    assert rows(folder) == rows(tmp_path / "whole")
    assert record(folder) == record(tmp_path / "whole")


def test_a_driver_killed_in_mid_ablation_changes_nothing(tmp_path: Path) -> None:
    kill_drivers(tmp_path, 1)


@pytest.mark.bench
def test_a_driver_killed_twenty_times_changes_nothing(tmp_path: Path) -> None:
    kill_drivers(tmp_path, 20)


def brain_of(tmp_path: Path, then: Callable[[AblationBrain], None]) -> None:
    file = space_file(tmp_path)
    ablation = settled(file)
    with open_ablation(file, ablation, tmp_path / "study") as store:
        then(AblationBrain(ablation, store, file.latency, 1.0))


def test_a_trial_whose_worker_died_comes_back_twice(tmp_path: Path) -> None:
    def then(brain: AblationBrain) -> None:
        first = brain.ask()
        assert first
        for _ in range(2):
            brain.give_back(first.number, Death("its worker died"))
            assert brain.ask() == first
        brain.give_back(first.number, Death("its worker died"))
        assert brain.counts[FAILED] == 1
        following = brain.ask()
        assert following
        assert following.number == 1

    brain_of(tmp_path, then)
    assert "worker died (3 times)" in open_study(tmp_path / "study").results()["error"][0]


def test_a_result_told_twice_counts_once(tmp_path: Path) -> None:
    def then(brain: AblationBrain) -> None:
        task = brain.ask()
        assert task
        result = run_made_up(task, lambda _: True)
        assert brain.tell(task.number, result)
        assert not brain.tell(task.number, result)
        assert sum(brain.counts.values()) == 1

    brain_of(tmp_path, then)


def test_an_ablation_in_which_half_fails_stops(tmp_path: Path) -> None:
    brain = drive(space_file(tmp_path), tmp_path / "study", failing(*range(1000)))
    assert brain.counts[FAILED] == ALIKE
    said = "3 networks in a row failed the same way (the loss is nan at step 7 of 10)"
    assert said in brain.why_ended


def test_what_is_asked_may_not_change_once_it_has_begun(tmp_path: Path, finished: Path) -> None:
    for old, new, key in (
        ("miou: 0.01", "miou: 0.02", "ablate.equivalence"),
        ("seeds: 6", "seeds: 7", "ablate.seeds"),
        ("[SUM, CAT]", "[CAT, SUM]", "ablate.factors.fuse: is "),
        ("steps: 10", "steps: 11", "schedule.steps: is 11, was 10"),
    ):
        other = space_file(tmp_path, TEXT.replace(old, new))
        with pytest.raises(StudyError, match=key):
            open_ablation(other, settled(other), finished)


def test_finished_trials_of_another_study_are_used_again(tmp_path: Path, finished: Path) -> None:
    first = space_file(tmp_path, TEXT.replace("match: [none, macs]", "match: [none]"))
    drive(first, tmp_path / "first", failing(3))
    matrices = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    done = open_study(tmp_path / "first").results()
    key = f"{done['architecture'][0]}.{done['schedule'][0]}.{done['seed'][0]}"
    np.savez(tmp_path / "first" / "evaluation" / f"{key}.npz", confusions=matrices, step=10)

    file = space_file(tmp_path)
    ablation = settled(file)
    other = open_study(tmp_path / "first")
    with open_ablation(file, ablation, tmp_path / "second") as store:
        store.note(Notes(reference_ms=2.0))
        assert take_over(ablation, store, other) == (ARMS - 1) * 6 - 1
        assert take_over(ablation, store, other) == 0
    trained = []

    def run(task: TrialTask, report: Report) -> TrialResult:
        trained.append(task.key)
        return run_made_up(task, report)

    drive(file, tmp_path / "second", run)
    assert len(trained) == 6 + 1
    second, alone = record(tmp_path / "second"), record(finished)
    assert [e.mean for e in second.effects] == [e.mean for e in alone.effects]
    assert (tmp_path / "second" / "evaluation" / f"{key}.npz").is_file()
    result = next(r for _, r in open_study(tmp_path / "second").trials() if r)
    assert result.notes == ("taken over from made-up, trial 0",)
    # Milliseconds travel as the ratio to the reference, which took 2 ms here.
    assert result.latency
    assert result.latency.ms == pytest.approx(2.0 * result.latency.ratio)


def test_a_trial_that_was_cut_off_is_taken_over_too(tmp_path: Path, finished: Path) -> None:
    file = space_file(tmp_path)
    ablation = settled(file)
    key, arm = next(iter(trials(ablation)))
    with open_ablation(file, ablation, tmp_path / "second") as store:
        store.ask(Ask(0, key, arm.point, arm.architecture, ABLATE))
        assert take_over(ablation, store, open_study(finished)) == ARMS * 6
    drive(file, tmp_path / "second", failing(0))
    assert all(result for _, result in open_study(tmp_path / "second").trials())


def test_a_damaged_evaluation_counts_as_one_that_was_not_kept(tmp_path: Path) -> None:
    """As in a report: the interval over images is missing, everything else is there."""
    file, folder = space_file(tmp_path), tmp_path / "study"
    drive(file, folder)
    ablation = settled(file)
    keys = [key for key, _ in trials(ablation)]
    for key in keys:
        matrices = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
        np.savez_compressed(evaluation_path(folder, key), confusions=matrices)
    with open_ablation(file, ablation, folder) as store:
        whole = write_record(file, ablation, store)
        evaluation_path(folder, keys[0]).write_bytes(b"PK\x03\x04 not an archive")
        damaged = write_record(file, ablation, store)
    assert all(effect.image_low is not None for effect in whole.effects)
    assert any(effect.image_low is None for effect in damaged.effects)
    assert [e.mean for e in damaged.effects] == [e.mean for e in whole.effects]


def test_latencies_of_another_device_are_not_taken_over(tmp_path: Path, finished: Path) -> None:
    file = space_file(tmp_path)
    ablation = settled(file)
    with open_ablation(file, ablation, tmp_path / "second") as store:
        store.note(Notes(device="another"))
        take_over(ablation, store, open_study(finished))
    assert open_study(tmp_path / "second").results()["latency_ms"].isna().all()


def arm_rates(file: SpaceFile) -> dict[str, tuple[float, str]]:
    return {arm.name: (arm.schedule.lr, arm.note) for arm in settled(file).arms}


def test_an_arm_has_the_usual_rate_of_its_optimiser_and_start(tmp_path: Path) -> None:
    (tmp_path / "w.pth").touch()
    start = TEXT.index("    fuse:")
    head, tail = TEXT[:start], TEXT[TEXT.index("  match:") :].replace("[none, macs]", "[none]")
    factors = (
        "    how: {path: schedule.optimiser, levels: [sgd, adamw]}\n"
        "    start: {path: schedule.init, levels: [none, w.pth]}\n  design: factorial\n"
    )
    text = head + factors + tail
    assert arm_rates(space_file(tmp_path, text)) == {
        "reference": (0.05, "lr 0.05"),
        "start=w.pth": (0.02, "lr 0.02"),
        "how=adamw": (0.005, "lr 0.005"),
        "how=adamw, start=w.pth": (0.002, "lr 0.002"),
    }
    # As the file itself would have it, and as it is where the file or a factor says it.
    adamw = text.replace("steps: 10", "steps: 10, optimiser: adamw")
    assert arm_rates(space_file(tmp_path, adamw)) == arm_rates(space_file(tmp_path, text))
    alone = text.replace(factors.splitlines(keepends=True)[0], "")
    said = alone.replace("steps: 10", "steps: 10, lr: 0.01")
    rates = arm_rates(space_file(tmp_path, said))
    assert rates == {"reference": (0.01, ""), "start=w.pth": (0.01, "")}
    rate = "    rate: {path: schedule.lr, levels: [0.03, 0.3]}\n"
    crossed = arm_rates(space_file(tmp_path, text.replace("    start:", rate + "    start:")))
    assert crossed["how=adamw, rate=0.3, start=w.pth"] == (0.3, "")
    assert crossed["how=adamw"] == (0.03, "")


def test_arms_that_are_all_the_same_compare_nothing(tmp_path: Path) -> None:
    start = TEXT.index("    fuse:")
    text = TEXT[:start] + "    width: {path: width, levels: [16, 8]}\n  match: [macs]\n"
    file = space_file(tmp_path, text + TEXT[TEXT.index("  seeds:") :])
    with pytest.raises(SpaceError, match=r"space.yaml:4:3: ablate.factors: compares nothing with"):
        settled(file)


def test_a_report_sees_an_ablation_from_its_start_and_while_it_runs(tmp_path: Path) -> None:
    """It took the numbers of the last run, or showed a search, until the end of a run."""
    file, folder, ended = space_file(tmp_path), tmp_path / "study", list[int]()
    ablation = settled(file)

    class Looking:
        def call(self, measure: Callable[[], T]) -> T:
            return measure()

        def run(self, brain: Asking, listeners: Sequence[Listener] = ()) -> None:
            def look(task: TrialTask, report: Report) -> TrialResult:
                ended.append(record(folder).ended)
                if len(ended) == 12:
                    raise KilledError
                return run_made_up(task, report)

            run_inline(brain, look, listeners)

    with pytest.MonkeyPatch.context() as patch, open_ablation(file, ablation, folder) as store:
        patch.setattr(module, "reference_of", lambda *_: 1.0)
        patch.setattr(module, "RECORDING", 1e9)  # each time, however long it takes
        with pytest.raises(KilledError):
            ablate(file, ablation, store, [], print, driver=Looking())
    assert ended == [*range(12)]


def test_numbers_of_an_ablation_take_a_share_of_its_time(tmp_path: Path) -> None:
    now, written = [0.0], list[float]()

    def write() -> None:
        written.append(now[0])
        now[0] += 3

    recorder = module._Recorder(write, lambda: now[0])
    recorder.write()
    file = space_file(tmp_path)
    task = TrialTask(0, *next(iter(trials(settled(file))))[:1], settled(file).arms[0].architecture,
                     file.schedule, (10,), None)  # fmt: skip
    for _ in range(100):
        now[0] += 10
        recorder.ended(task, TrialResult(task.key, COMPLETED))
    assert 3 * len(written) <= 0.06 * now[0]
    assert len(written) > 10


@pytest.mark.slow
def test_what_has_begun_goes_on_whatever_could_be_found_with_its_noise(
    finished: Path, tmp_path: Path
) -> None:
    asked = "  noise: {miou: 0.0005}\n  detect: {miou: 0.001}"
    text = TEXT.replace("  seeds: 6", f"  seeds: 6\n{asked}")
    file = space_file(tmp_path, text)
    assert any("(ablate.noise; sd" in line for line in prepare(file, settled(file), {}))
    known = finished_trials(settled(file), finished)
    with pytest.raises(SpaceError, match="less than 80% power"):
        prepare(file, settled(file), known)
    first, *rest = prepare(file, settled(file), known, begun=True)
    assert first.startswith("warning: ablate.detect: 6 seeds find a difference of 0.001")
    assert rest


def test_the_plan_counts_what_another_study_has_completed_and_not_its_time(
    finished: Path, tmp_path: Path
) -> None:
    file = space_file(tmp_path)
    drive(file, tmp_path / "failing", failing(3, 9))
    failed = finished_trials(settled(file), tmp_path / "none", [tmp_path / "failing"])
    own = finished_trials(settled(file), tmp_path / "failing", [finished])
    assert len(failed) < len(own) == ARMS * 6
    assert sum(result.status == FAILED for result in own.values()) == ARMS * 6 - len(failed)
    taken = finished_trials(settled(file), tmp_path / "none", [finished])
    assert not any(line.startswith("time:") for line in prepare(file, settled(file), taken))
    some = dict(list(own.items())[:9])  # what has ended takes no time
    (one, two) = (
        next(x for x in prepare(file, settled(file), some, True, n) if x.startswith("time:"))
        for n in (1, 2)
    )
    assert one.endswith("a training")
    assert two


def test_an_ablation_that_cannot_find_what_is_asked_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace("  seeds: 6", "  seeds: 6\n  detect: {miou: 0.012}")
    file = space_file(tmp_path, text)
    with pytest.raises(SpaceError) as caught:
        prepare(file, settled(file), {})
    said = str(caught.value)
    assert said.startswith(f"{file.path}:10:3: ablate.detect: 6 seeds find")
    count = int(said.split("allowed: ")[1].split()[0])
    enough = space_file(tmp_path, text.replace("seeds: 6", f"seeds: {count}"))
    assert prepare(enough, settled(enough), {})
    # Less noise, if it is known, needs fewer.
    quiet = space_file(tmp_path, text.replace("detect:", "noise: {miou: 0.003}\n  detect:"))
    assert prepare(quiet, settled(quiet), {})
