"""`train --workers`: through Ray Train, what one process trains; after a kill and Ctrl-C too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from small_configs import tiny_command

from hrnet_search.cli import main
from hrnet_search.errors import InputError, TrainingError
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.records.trial import TrialProgress
from hrnet_search.store.trainings import read_curve, read_results
from hrnet_search.trainings.desk import MOST_DEATHS, Desk
from hrnet_search.trainings.plan import Overrides, plan_of
from hrnet_search.trainings.starts import of_config
from hrnet_search.trainings.together import Workers, least_part

PATIENCE_S = 900.0
TWO = ("--workers", "2", "--device", "cpu", "--checkpoint-every", "0")


@contextmanager
def training(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a process of its own, which is ended at the end if it has not."""
    command = [sys.executable, "-m", "hrnet_search", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(found: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


def workers_of(driver: int) -> list[int]:
    """Return the processes below a driver that train, as Ray names them."""
    parents, found = {}, []
    for place in Path("/proc").iterdir():
        try:
            line = (place / "cmdline").read_text()
            parents[int(place.name)] = int(
                (place / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except (OSError, ValueError):
            continue
        if "RayTrainWorker" in line:
            found.append(int(place.name))

    def below(process: int) -> bool:
        return process == driver or (process in parents and below(parents[process]))

    return [process for process in found if below(process)]


def saved(folder: Path) -> int:
    content = Checkpoints(folder / "checkpoints").load()
    return -1 if content is None else int(content["step"])


def losses(folder: Path) -> list[float]:
    rows = read_curve(folder)
    assert [step for step, _, _ in rows] == list(range(1, len(rows) + 1))
    return [loss for _, _, loss in rows]


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_worker_costs_what_was_not_saved(
    trained: Path, config: Path, space: Path, tmp_path: Path
) -> None:
    """Both start again from the last checkpoint, and the loss curve is that of one process."""
    folder = tmp_path / "two"
    with training(tiny_command(config, space, folder, *TWO)) as process:
        wait_for(lambda: saved(folder) >= 2)
        os.kill(workers_of(process.pid)[-1], signal.SIGKILL)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    results = read_results(folder)
    assert (results.ended, [rung.step for rung in results.rungs]) == (True, [3, 6])
    assert len(results.sessions) == 2
    assert results.sessions[1].step >= 2
    assert any("2 processes together" in note for note in results.sessions[1].notes)
    found, one = losses(folder), losses(trained)  # where rounding grows tenfold a step
    assert found[:2] == pytest.approx(one[:2], rel=1e-5)
    assert found == pytest.approx(one, rel=0.1)
    assert "2 workers, each with" in said
    assert "step 6/6 (epoch 2): mIoU" in said
    assert list(folder.rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.ray
def test_ctrl_c_leaves_all_workers_after_one_step_and_one_process_goes_on(
    config: Path, space: Path, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "two", tmp_path / "whole"
    long = ("--epochs", "20", "--judged", "2")
    with training([*tiny_command(config, space, folder, *TWO), *long]) as process:
        wait_for(lambda: saved(folder) >= 2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, said
    left = len(losses(folder))
    assert 0 < left < 60
    for one in (folder, whole):
        assert main([*tiny_command(config, space, one), *long]) == 0
    results = read_results(folder)
    assert [session.step for session in results.sessions][1:] == [left]
    assert losses(folder)[:3] == pytest.approx(losses(whole)[:3], rel=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "5"), "a batch of 4 has no image for some of 5 workers"),
        (("--workers", "2", "--accumulate", "4"), "a batch of 4 in 4 parts has no image for some"),
    ],
)
def test_workers_that_cannot_train_are_refused_before_ray_starts(
    words: tuple[str, ...],
    said: str,
    config: Path,
    space: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(tiny_command(config, space, tmp_path / "new", *words)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_gpu_by_number_is_for_ray_to_hand_out(config: Path, space: Path) -> None:
    asked = Overrides(batch=4, crop=(64, 64), steps=1)
    plan = replace(plan_of(of_config(str(config), str(space), None), asked), device="cuda:0")
    with pytest.raises(InputError, match="--device: cuda:0 is a GPU of one machine"):
        Workers(2).check(plan)


@pytest.mark.slow
def test_one_process_imports_no_ray(config: Path, space: Path, tmp_path: Path) -> None:
    words = tiny_command(config, space, tmp_path / "one", "--steps", "1")
    words.remove("--epochs")
    words.remove("2")
    code = (
        "import sys; from hrnet_search.cli import main; "
        f"assert main({words!r}) == 0; sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def at(step: int) -> TrialProgress:
    return TrialProgress("train", step, 10, 1.0)


def test_workers_that_come_no_further_do_not_start_for_ever() -> None:
    desk = Desk(1, 2)
    assert desk.begin() == 1
    for step in (2, 5):
        desk.say(at(step))
        assert desk.begin() is not None
    for _ in range(MOST_DEATHS - 1):
        desk.say(at(5))
        assert desk.begin() is not None
    assert desk.begin() is None
    error, left = desk.ending()
    assert "came no further than step 5" in str(error)
    assert not left


def test_out_of_memory_each_batch_is_taken_in_twice_as_many_parts_once() -> None:
    desk = Desk(1, 2)
    desk.begin()
    desk.out_of_memory("CUDA out of memory")
    assert desk.begin() == 2
    desk.out_of_memory("CUDA out of memory")
    assert desk.begin() is None
    assert "--accumulate N" in str(desk.ending()[0])


def test_the_first_error_is_the_one_that_counts() -> None:
    desk = Desk(1, 1)
    desk.failed(TrainingError("the loss is nan at step 3 of 10"))
    desk.failed(TrainingError("another"))
    assert desk.begin() is None
    assert str(desk.ending()[0]) == "the loss is nan at step 3 of 10"


def test_who_is_asked_to_leave_is_told_at_the_next_step() -> None:
    desk = Desk(1, 1)
    assert not desk.say(at(1))
    desk.leave()
    assert desk.say(at(2))
    assert [progress.step for progress in desk.heard()] == [1, 2]
    assert desk.heard() == []
    desk.left()
    assert desk.begin() is None


@pytest.mark.parametrize(
    ("batch", "parts", "least"), [(8, 1, 8), (8, 3, 2), (5, 2, 2), (5, 5, 1), (7, 4, 1)]
)
def test_the_smallest_part_is_that_of_torch(batch: int, parts: int, least: int) -> None:
    import torch

    assert min(len(part) for part in torch.arange(batch).chunk(parts)) == least
    assert least_part(batch, parts) == least
