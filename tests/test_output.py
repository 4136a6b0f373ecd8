"""Outputs that cannot be written, as on a full disk: the exit code stays as it would be."""

from __future__ import annotations

import argparse
import errno
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hrnet_search.cli import COMMANDS, main
from hrnet_search.errors import ReaderLeftError, StorageLostError
from hrnet_search.search.mirrors.outbox import outcome_of
from hrnet_search.store.study import open_study

ROOT = Path(__file__).parents[1]
SPACE = str(ROOT / "search_spaces" / "quickstart.yaml")
CONFIG = str(next((ROOT / "configs").glob("*small_v1*.yaml")))
TINY = f"""\
name: tiny
base: {CONFIG}
vary: {{width: [2], STAGE3.NUM_MODULES: [1]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [32, 32], train: 8, val: 4}}
schedule: {{steps: 2, batch: 2, crop: [32, 32]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 1}}
tracking: {{mlflow: off}}
"""
FULL = Path("/dev/full")
STORAGE_LOST = StorageLostError.exit_code

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")


def run(words: list[str], out: bool, err: bool) -> subprocess.CompletedProcess[str]:
    """Run a command whose outputs can be written, or not."""
    with FULL.open("w") as full:
        return subprocess.run(
            [sys.executable, "-m", "hrnet_search", *words],
            stdout=subprocess.PIPE if out else full,
            stderr=subprocess.PIPE if err else full,
            text=True,
            cwd=ROOT,
        )


@pytest.mark.parametrize(
    "words",
    [["check", SPACE], ["check", SPACE, "--json"], ["profile", CONFIG, "--json"]],
    ids=" ".join,
)
def test_an_output_that_cannot_be_written_is_named(words: list[str]) -> None:
    done = run(words, out=False, err=True)
    assert done.returncode == STORAGE_LOST
    assert done.stderr == (
        "standard output cannot be written: No space left on device; once this is fixed, run"
        " the same command again\n"
    )
    assert run(words, out=False, err=False).returncode == STORAGE_LOST


def test_errors_that_cannot_be_told_end_as_they_would() -> None:
    words = ["check", str(ROOT / "nothing.yaml")]
    assert run(words, out=True, err=False).returncode == run(words, out=True, err=True).returncode


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("named", [SPACE, "nothing.yaml"])
def test_a_closed_output_changes_no_exit_code_and_goes_to_no_other(closed: str, named: str) -> None:
    words = shlex.join([sys.executable, "-m", "hrnet_search", "check", "--json", named])
    done = subprocess.run(
        ["sh", "-c", f"{words} {closed}"], capture_output=True, text=True, cwd=ROOT
    )
    wrong = named != SPACE
    assert done.returncode == (2 if wrong else 0)
    assert bool(done.stdout) == (closed == "2>&-" and not wrong)
    assert bool(done.stderr) == (closed == ">&-" and wrong)


@pytest.mark.slow
def test_a_search_that_can_say_nothing_keeps_its_trials(tmp_path: Path) -> None:
    """Its log is on the disk that is full: as benchmarks/chaos.py has it."""
    space = tmp_path / "tiny.yaml"
    space.write_text(TINY)
    words = ["run", str(space), "-o", str(tmp_path / "study"), "--plain"]
    assert run(words, out=False, err=False).returncode == STORAGE_LOST
    done = run(words, out=True, err=False)
    assert done.returncode == 0
    assert list((tmp_path / "study" / "weights").iterdir())


def test_a_pipe_that_is_not_our_output_is_not_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of a child process, or a socket: nobody has left, and the work is not done."""

    def broken(_: argparse.Namespace) -> int:
        """Break."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setitem(COMMANDS, "schema", (COMMANDS["schema"][0], broken))
    assert main(["schema"]) == 1
    assert "BrokenPipeError" in capsys.readouterr().err
    assert outcome_of(BrokenPipeError) == "failed"
    assert outcome_of(ReaderLeftError) == "interrupted"


@pytest.mark.parametrize("how", [["--plain"], ["--progress", "json"]], ids=" ".join)
def test_a_study_that_nobody_reads_any_more_is_not_done_and_says_so(
    how: list[str], tmp_path: Path
) -> None:
    """A job script would go on with what is not there: `run STUDY | tee LOG && train STUDY`."""
    text = TINY.replace("width: [2]", "width: [2, 4]").replace("trials: 1", "trials: 2")
    (tmp_path / "tiny.yaml").write_text(text)
    words = [sys.executable, "-m", "hrnet_search", "run", "tiny.yaml", "-o", "study", *how]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    while "completed" not in process.stdout.readline():
        assert process.poll() is None
    process.stdout.close()
    _, said = process.communicate()
    assert said.splitlines()[-1:] == [
        "whoever read the output has left; run the same command again to go on"
    ]
    assert process.returncode == 130
    study = open_study(tmp_path / "study")
    assert study.outcome == "interrupted"
