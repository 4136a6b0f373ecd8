"""Processes of their own: a driver that writes trials until it is ended, and any code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
WRITER = """
import sys
sys.path.insert(0, {here!r})
from made_up import ask, result
from hrnet_search.store.tables import VERSION
from hrnet_search.store.writer import StudyStore
store = StudyStore({folder!r})
done = dict(store.finished())
number = len(store.asks())
for waiting in store.running():
    store.finish(waiting.number, result(waiting.number))
print("ready", flush=True)
while True:
    store.ask(ask(number))
    print(f"asked {{number}}\\n", end="", flush=True)  # in one piece: a kill cuts between pieces
    store.finish(number, result(number))
    print(f"finished {{number}}\\n", end="", flush=True)
    number += 1
"""


def start_writer(folder: Path, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a driver, `within` a command that runs another; it says `ready` first."""
    code = WRITER.format(here=str(HERE), folder=str(folder))
    command = [*within, sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextmanager
def running(code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run code until the block ends; it has printed `in` when its process is yielded."""
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        assert started.stdout.readline() == "in\n"
        try:
            yield started
        finally:
            started.kill()
