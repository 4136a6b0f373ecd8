"""A run whose disk fills up before each kind of write; `python full_disk_of_a_run.py SPACE STUDY`.

From the moment at which the command opens a file of the kind to write it, the system's limit on
the size of files refuses every write. The same command goes on when there is room again. Prints a
line for each kind: what the command said.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import re
import resource
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch._dynamo  # noqa: F401 -- torch loads it with the first step, in each fork

from hrnet_search.cli import main as command
from hrnet_search.errors import StorageLostError
from hrnet_search.evaluate.training import trial
from hrnet_search.store.study import open_study

WRITES = os.O_WRONLY | os.O_RDWR
KINDS = (
    "space.yaml", "base.yaml", "study.jsonl", "cache", "logs/progress.log", "checkpoints",
    "weights", "evaluation", "report/trials.csv", "report/front.csv", "report/report.html",
    "configs", "export",
)  # fmt: skip
"""Files of a study, or folders in which any file is meant; study.db is written beside each."""

TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")
"""What a file is called until it is whole."""


def main(space: Path, study: Path) -> None:
    """Fill the disk once for each kind; all trials have to complete."""
    run = ["run", str(space), "-o", str(study), "--plain"]
    for kind in KINDS:
        if kind == "cache":
            for path in study.glob("cache/*"):
                path.unlink()
        words = ["export", str(study)] if kind == "export" else run
        code, said = _ended(words, kind, study)
        print(f"{kind}: {said}", flush=True)
        assert code == StorageLostError.exit_code, f"{kind}: exit {code}: {said}"
    assert _ended(run, "", study) == (0, "")
    assert set(open_study(study).results()["status"]) == {"completed"}
    assert not [path for path in study.rglob("*") if path.name.endswith(".tmp")]
    print("all completed")


def _ended(words: Sequence[str], kind: str, study: Path) -> tuple[int, str]:
    """Run a command in a process of its own; return its exit code and what it said of errors."""
    processes = multiprocessing.get_context("fork")
    theirs, ours = processes.Pipe()
    process = processes.Process(target=_run, args=(theirs, words, kind, study))
    process.start()
    code, said = ours.recv()
    process.join()
    return code, said


def _run(answer: Connection, words: Sequence[str], kind: str, study: Path) -> None:
    trial.Worker.__init__.__defaults__ = (0.0,)  # a checkpoint after every step
    if kind:
        _fill_at(kind, study)
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = command(words)
    answer.send((code, err.getvalue().strip()))


def _fill_at(kind: str, study: Path) -> None:
    def hook(event: str, details: tuple[object, ...]) -> None:
        if event != "open" or not isinstance(details[0], str) or not int(str(details[2])) & WRITES:
            return
        with contextlib.suppress(ValueError):
            path = Path(details[0]).relative_to(study)
            if whole := TEMPORARY.fullmatch(path.name):
                path = path.with_name(whole[1])
            if f"{path}/".startswith(f"{kind}/"):
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    sys.addaudithook(hook)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
