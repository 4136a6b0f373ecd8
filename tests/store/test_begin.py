"""Drivers that begin one study at the same moment: one drives it, the others find it in use."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from made_up import NOTES, ask

from hrnet_search.errors import StudyExistsError
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

DRIVER = """
import sys, time
sys.path.insert(0, {here!r})
from made_up import NOTES, ask
from hrnet_search.errors import StudyExistsError, StudyInUseError
from hrnet_search.store.writer import StudyStore
print("ready", flush=True)
for line in sys.stdin:
    folder, moment = line.split()
    while time.time() < float(moment):
        pass
    try:
        try:
            store = StudyStore.begin(folder, NOTES)
        except StudyExistsError:
            store = StudyStore(folder)
        store.ask(ask(0))
        print("drives", flush=True)
        sys.stdin.readline()
        store.ask(ask(1))
        store.close()
    except StudyInUseError:
        print("in use", flush=True)
        sys.stdin.readline()
    print("done", flush=True)
"""


def begin_together(folder: Path, rounds: int, drivers: int) -> None:
    import time

    code = DRIVER.format(here=str(Path(__file__).parents[1]))
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(drivers)
        ]
        assert [_heard(p) for p in processes] == ["ready"] * drivers
        for n in range(rounds):
            place = folder / str(n)
            for process in processes:
                _say(process, f"{place} {time.time() + 0.05}")
            said = sorted(_heard(p) for p in processes)
            assert said == ["drives"] + ["in use"] * (drivers - 1)
            for process in processes:
                _say(process, "go on")
            assert [_heard(p) for p in processes] == ["done"] * drivers
            assert [a.number for a, _ in open_study(place).trials()] == [0, 1]
        for process in processes:
            assert process.stdin
            process.stdin.close()


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_of_two_that_begin_together_one_drives(tmp_path: Path) -> None:
    begin_together(tmp_path, rounds=12, drivers=2)


@pytest.mark.bench
def test_of_four_that_begin_together_one_drives_sixty_times(tmp_path: Path) -> None:
    begin_together(tmp_path, rounds=60, drivers=4)


def test_where_there_are_no_hard_links_one_drives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("not supported")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    with StudyStore.begin(tmp_path, NOTES) as store:
        store.ask(ask(0))
        with pytest.raises(StudyExistsError):
            StudyStore.begin(tmp_path, NOTES)
    assert len(open_study(tmp_path).trials()) == 1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
