"""The command that proves it on a GPU: what it keeps, how it goes on, what it bounds."""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_steps import step as steps
from benchmarks.gpu_steps import tests as marked_tests
from benchmarks.gpu_steps.__main__ import go_on
from benchmarks.gpu_steps.results import (
    DONE,
    FAILED,
    LEFT_OUT,
    PARTIAL,
    OtherMachineError,
    Results,
    TimeIsOver,
)
from benchmarks.gpu_steps.search import trials_at_once
from benchmarks.gpu_steps.step import STEPS, Given, Step
from benchmarks.gpu_steps.trace import shares
from benchmarks.tables import fill

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "benchmarks" / "gpu.py"
HERE = {"device": "a GPU", "torch": "2.0"}


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run it as on a machine where the package is not installed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    given = [sys.executable, str(COMMAND), *words]
    return subprocess.run(given, cwd=cwd, env=environment, capture_output=True, text=True)


def given(folder: Path, seconds: float = 60.0, name: str = "inversions") -> Given:
    results = Results.load(folder, name, HERE)
    return Given(folder, "cpu", time.monotonic() + seconds, "", results)


def test_the_steps_are_listed_in_order_from_any_folder(tmp_path: Path) -> None:
    done = command("--list", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["tests", "inversions", "training", "search", "curve", "table"]
    assert sum(int(line.split()[1].rstrip("%")) for line in done.stdout.splitlines()) in (
        99,
        100,
        101,
    )


def test_the_command_itself_loads_no_torch_and_keeps_off_the_gpu() -> None:
    code = (
        "import sys; sys.argv = ['gpu.py', '--list']; import benchmarks.gpu as g; g.main();"
        "sys.exit(any(m in sys.modules for m in ('torch', 'ray', 'mlflow', 'plotly')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_device_that_is_not_there_is_one_line() -> None:
    done = command("--device", "cuda:97", "--minutes", "1")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cuda:97" in done.stderr


def children_s() -> float:
    """Return the CPU seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_a_dry_run_on_the_cpu_goes_through_the_quickest_step(tmp_path: Path) -> None:
    dry_run(tmp_path / "out", ("table",))


@pytest.mark.bench
def test_a_dry_run_on_the_cpu_goes_through_every_step(tmp_path: Path) -> None:
    before = children_s()
    dry_run(tmp_path / "out", tuple(step.name for step in STEPS))
    # Of the processor: other tests may run beside it.
    assert children_s() - before < 300


def dry_run(out: Path, names: Sequence[str]) -> None:
    """Run steps to their ends, and once more, when nothing is left to do."""
    words = ["--device", "cpu", "--minutes", "30", "--out", str(out), "--only", *names]
    done = command(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in (step for step in STEPS if step.name in names):
        found = json.loads((out / f"{step.name}.json").read_text())
        assert (found["state"], found["note"]) == (DONE, ""), found
        assert found["rows"]
        assert not [row for row in found["rows"] if "error" in row]
        assert f"| {step.name} | done |" in (out / "steps.md").read_text()
    if "tests" in names:
        skipped = json.loads((out / "tests.json").read_text())["rows"]
        assert len(skipped) >= 40
        assert {row["why"] for row in skipped} == {"there is no CUDA device"}
    with (out / "equal_macs.csv").open(newline="") as file:
        assert list(next(csv.reader(file))) == list(fill.COLUMNS)
    table = (out / "steps.md").read_text()
    assert "up to" not in command(*words).stdout, "nothing is left to do"
    assert (out / "steps.md").read_text() == table


@pytest.mark.slow
def test_a_command_that_is_asked_to_end_leaves_its_table_and_no_process(tmp_path: Path) -> None:
    found = tmp_path / "inversions.json"
    words = ("--device", "cpu", "--only", "inversions", "--out", str(tmp_path))
    with subprocess.Popen([sys.executable, str(COMMAND), *words], cwd=ROOT) as process:
        while process.poll() is None and not found.exists():
            time.sleep(0.05)
        (step,) = children(process.pid)
        process.terminate()
        assert process.wait(60) == 130
    assert not Path("/proc", str(step)).exists()
    content = json.loads(found.read_text())
    assert (content["state"], content["note"]) == (PARTIAL, "stopped when its time was over")
    assert "running" not in {row["state"] for row in content["rows"]}
    assert "| inversions | partial |" in (tmp_path / "steps.md").read_text()


def children(process: int) -> list[int]:
    """Return the processes that one has started."""
    return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_rows_are_kept_one_by_one_and_errors_with_them(tmp_path: Path) -> None:
    results = given(tmp_path).results
    with results.row("good") as row:
        row["ms"] = 1.5
    with results.row("bad"):
        raise ValueError("no such kernel")
    again = Results.load(tmp_path, "inversions", HERE)
    assert again.rows["good"] == {"key": "good", "state": DONE, "ms": 1.5}
    assert again.rows["bad"]["error"] == "ValueError: no such kernel"
    assert [row["key"] for row in again.failures] == ["bad"]


def test_results_of_another_card_are_not_gone_on_with(tmp_path: Path) -> None:
    given(tmp_path).results.save()
    with pytest.raises(OtherMachineError, match="choose another --out"):
        Results.load(tmp_path, "inversions", {**HERE, "device": "another"})
    assert Results.load(tmp_path, "inversions", {**HERE, "date": "later"}).state == PARTIAL


def test_a_row_whose_process_died_is_kept_as_failed_and_the_step_goes_on(tmp_path: Path) -> None:
    results = given(tmp_path).results
    results.begin("deadly")
    assert gpu.settle(Results.load(tmp_path, "inversions", HERE), -11)
    again = Results.load(tmp_path, "inversions", HERE)
    assert again.rows["deadly"]["error"] == "its process ended with SIGSEGV"
    assert not gpu.settle(again, -11), "no row is to blame: it would end so again"
    assert again.state == FAILED


def test_a_row_that_was_stopped_is_begun_again(tmp_path: Path) -> None:
    given(tmp_path).results.begin("long")
    assert not gpu.settle(Results.load(tmp_path, "inversions", HERE), gpu.TIMED_OUT)
    again = Results.load(tmp_path, "inversions", HERE)
    assert (again.state, again.rows) == (PARTIAL, {})


@pytest.mark.parametrize(
    ("raised", "state", "rows"),
    [
        (None, DONE, {"row": DONE}),
        (TimeIsOver(), PARTIAL, {}),
        (ValueError("odd"), DONE, {"row": FAILED}),
        (RuntimeError("CUDA error: an illegal memory access"), FAILED, {"row": FAILED}),
    ],
)
def test_how_a_step_ends_is_kept(
    raised: Exception | None, state: str, rows: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A device that is broken ends the process: nothing more can be measured in it."""

    class Module:
        @staticmethod
        def run(one: Given) -> None:
            with one.results.row("row"):
                if raised:
                    raise raised

        @staticmethod
        def findings(found: dict[str, Any]) -> list[str]:
            return [f"{len(found)} rows"]

    monkeypatch.setattr(steps, "import_module", lambda _: Module)
    one = given(tmp_path)
    assert go_on(Step("inversions", 1, "", ()), one) == int(state == FAILED)
    again = Results.load(tmp_path, "inversions", HERE)
    assert again.state == state
    assert {key: row["state"] for key, row in again.rows.items()} == rows
    assert again.found


def proof(folder: Path) -> gpu.Proof:
    options = gpu.parse(["--device", "cpu", "--out", str(folder)])
    return gpu.Proof(folder, HERE, options, time.monotonic() + 60)


def test_a_step_that_does_not_end_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '600']);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    monkeypatch.setattr(gpu, "command", lambda *_: [sys.executable, "-c", code])
    monkeypatch.setattr(gpu, "GRACE_S", 2.0)
    monkeypatch.setattr(gpu, "LEAST_S", 0.0)
    start = time.monotonic()
    proof(tmp_path)._step(STEPS[1], 1.0)
    assert time.monotonic() - start < 20
    child = Path("/proc", (tmp_path / "pid").read_text())

    def lives() -> bool:
        try:
            return "zombie" not in (child / "status").read_text()
        except OSError:
            return False

    end = time.monotonic() + 20  # it was told to end; on a busy machine that takes a moment
    while lives() and time.monotonic() < end:
        time.sleep(0.02)
    assert not lives()
    assert Results.load(tmp_path, "inversions", HERE).state == PARTIAL


def test_a_step_without_its_packages_is_left_out_and_says_which(tmp_path: Path) -> None:
    one = Step("curve", 1, "a curve", ("sys", "no_such_package"))
    proof(tmp_path).run([one])
    found = Results.load(tmp_path, "curve", HERE)
    assert (found.state, found.note) == (LEFT_OUT, "not installed: no_such_package")
    table = (tmp_path / "steps.md").read_text()
    assert "| curve | left out | 0 | not installed: no_such_package |" in table
    assert "| tests | not run yet |" in table
    assert "(left out here: no no_such_package)" in next(gpu.listed([one]))


def event(cat: str, name: str, ts: float, dur: float) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}


def test_shares_are_of_the_window_and_overlaps_count_once() -> None:
    """Events as Kineto writes them, times in microseconds."""
    found = shares(
        [
            event("user_annotation", "window", 100, 100),
            event("user_annotation", "data", 100, 20),
            event("user_annotation", "other", 100, 99),
            event("kernel", "a", 110, 20),
            event("kernel", "b", 120, 20),  # on another stream: 10 of it beside a
            event("gpu_memcpy", "Memcpy HtoD", 190, 50),  # 10 of it in the window
            event("kernel", "before", 0, 50),
            event("gpu_user_annotation", "window", 100, 100),
            event("cuda_runtime", "cudaStreamSynchronize", 150, 25),
            event("cuda_runtime", "cudaLaunchKernel", 110, 5),
        ]
    )
    assert (found.gpu, found.data, found.host_waits) == (0.4, 0.2, 0.25)
    assert found.kernels == 2


@pytest.mark.parametrize(
    ("needed", "memory", "trials"),
    [(1 << 30, 80 << 30, 8), (9 << 30, 80 << 30, 6), (99 << 30, 80 << 30, 1)],
)
def test_as_many_trials_at_once_as_memory_holds(needed: int, memory: int, trials: int) -> None:
    assert trials_at_once(needed, memory) == trials


def test_the_tests_of_the_step_are_those_marked_gpu() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in marked_tests.marked(ROOT / "tests")}
    assert {"tests/evaluate/latency/test_calls.py", "tests/gpu/test_device.py"} <= files
    assert "tests/gpu/test_timers.py" in files


def test_trainings_of_another_table_are_added_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def written(name: str, variants: dict[str, str]) -> Path:
        path = tmp_path / name
        with fill.opened(path) as file:
            for variant, device in variants.items():
                row = dict.fromkeys(fill.COLUMNS, "1") | {"variant": variant, "device": device}
                fill.append(file.fileno(), [row])
        return path

    table, other = written("a.csv", {"v1": "cpu"}), written("b.csv", {"v1": "gpu", "v2": "gpu"})
    add: Callable[[], None] = fill.main
    monkeypatch.setattr(sys, "argv", ["fill.py", "--table", str(table), "--add", str(other)])
    add()
    add()
    assert [(r["variant"], r["device"]) for r in fill.read_table(table)] == [
        ("v1", "cpu"), ("v2", "gpu"),
    ]  # fmt: skip
