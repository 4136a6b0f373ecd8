"""One command that proves it on a GPU: what tells most first, kept after each step.

    python benchmarks/gpu.py --minutes 25 [--out FOLDER] [--data-root CAMVID]

needs neither network nor git, nor this package installed. Each step runs in a process of its own
with a bound on its time, and writes FOLDER/STEP.json row by row and a line of FOLDER/steps.md
(by default below benchmarks/results/gpu-CARD). The same command goes on where the last one
stopped; a step whose json is removed begins anew. `--device cpu` is a dry run of all that has a
meaning without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# In place of this folder, whose search.py and tables hide others; nothing need be installed.
sys.path[0] = str(ROOT)

from benchmarks.gpu_steps.results import (
    BROKEN,
    DONE,
    FAILED,
    LEFT_OUT,
    PARTIAL,
    OtherMachineError,
    Results,
)
from benchmarks.gpu_steps.step import STEPS, Step, named
from hrnet_search.files import write_whole

GRACE_S = 30.0
"""Beyond its bound, what a step has to stop by itself before it is stopped."""

KILL_S = 10.0
LEAST_S = 15.0
"""With less time than this no step begins: loading torch takes as long."""

TIMED_OUT = "timed out"


def main() -> int:
    options = parse()
    steps = named(options.only) if options.only else list(STEPS)
    if options.list:
        print("\n".join(listed(steps)))
        return 0
    until = time.monotonic() + 60 * options.minutes
    machine = asked(options.device)
    if machine is None:
        return 2
    card = re.sub(r"[^a-z0-9]+", "-", machine["device"].lower()).strip("-")
    out = options.out or ROOT / "benchmarks" / "results" / f"gpu-{card}"
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _leave)
    try:
        Proof(out.resolve(), machine, options, until).run(steps)
    except OtherMachineError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    states = [Results.load(out, step.name, machine) for step in steps]
    return int(any(found.state == FAILED or found.failures for found in states))


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=25.0, help="of all steps together")
    add("--out", type=Path, help="folder of the results")
    add("--only", nargs="+", choices=[step.name for step in STEPS], metavar="STEP")
    add("--list", action="store_true", help="say what the steps are, and run none")
    add("--device", default="cuda", help="cuda, cuda:N, or cpu for a dry run")
    add("--data-root", default="", help="CamVid, laid out as search_spaces/camvid.yaml says")
    return parser.parse_args(words)


def listed(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a line a step: its share of the time, what it tells, and what it lacks here."""
    whole = sum(step.weight for step in STEPS)
    for step in steps:
        lacks = f" (left out here: no {', '.join(step.missing)})" if step.missing else ""
        yield f"{step.name:11} {step.weight / whole:4.0%}  {step.tells}{lacks}"


def asked(device: str) -> dict[str, str] | None:
    """Return what the machine is, asked in a process of its own: this one keeps off the GPU."""
    done = subprocess.run(
        command("machine", "--device", device), cwd=ROOT, env=environment(), capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it did not say why"]
        print(f"--device {device}: {lines[-1]}", file=sys.stderr)
        return None
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def command(step: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.gpu_steps", step, *words]


def environment() -> dict[str, str]:
    """Return the variables of a step: modules from here, nothing kept from other runs."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    own = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "HRNET_SEARCH_LATENCIES": "off"}
    return {**os.environ, "GOMP_SPINCOUNT": "1000", **own}


class Proof:
    """Runs steps one after the other, each within its share of the time that is left."""

    def __init__(
        self, out: Path, machine: dict[str, str], options: argparse.Namespace, until: float
    ) -> None:
        self._out, self._machine, self._options, self._until = out, machine, options, until

    def run(self, steps: Sequence[Step]) -> None:
        """Run what is not done yet; the table is written whatever ends this."""
        waiting = [step for step in steps if self._stands(step) != DONE]
        try:
            for place, step in enumerate(waiting):
                share = step.weight / sum(later.weight for later in waiting[place:])
                left = self._until - time.monotonic()
                if left < LEAST_S:
                    print(f"{step.name}: no time is left; the same command goes on", flush=True)
                    break
                self._step(step, left * share)
                self._write_table()
        finally:
            self._write_table()

    def _stands(self, step: Step) -> str:
        """Return how a step stands; one of which tests failed is not done."""
        found = self._load(step)
        return FAILED if step.name == "tests" and found.failures else found.state

    def _step(self, step: Step, seconds: float) -> None:
        """Run a step, again if its process died and a row is to blame, until its time is over."""
        if step.missing:
            results = self._load(step)
            results.state, results.note = LEFT_OUT, f"not installed: {', '.join(step.missing)}"
            results.save()
            return
        print(f"{step.name}: up to {seconds:.0f} s", flush=True)
        start, before, goes_on = time.monotonic(), self._load(step).seconds, True
        while goes_on:
            ended = self._process(step, start + seconds - time.monotonic())
            results = self._load(step)
            results.seconds = before + time.monotonic() - start
            goes_on = settle(results, ended) and start + seconds - time.monotonic() > LEAST_S
        print(line_of(results), flush=True)

    def _process(self, step: Step, seconds: float) -> int | str:
        """Run a step's process; return its exit code, or TIMED_OUT if it had to be stopped."""
        words = (
            "--out", str(self._out), "--device", self._options.device,
            "--seconds", f"{seconds:.1f}", "--machine", json.dumps(self._machine),
            "--data-root", str(Path(self._options.data_root).resolve())
            if self._options.data_root else "",
        )  # fmt: skip
        process = subprocess.Popen(
            command(step.name, *words), cwd=ROOT, env=environment(), start_new_session=True
        )
        try:
            return process.wait(max(0.0, seconds) + GRACE_S)
        except subprocess.TimeoutExpired:
            return TIMED_OUT
        except KeyboardInterrupt:
            _end(process)
            settle(self._load(step), TIMED_OUT)
            raise
        finally:
            _end(process)

    def _load(self, step: Step) -> Results:
        return Results.load(self._out, step.name, self._machine)

    def _write_table(self) -> None:
        facts = ", ".join(f"{name} {value}" for name, value in self._machine.items())
        lines = [facts, "", "| step | state | seconds | found |", "| --- | --- | --: | --- |"]
        for step in STEPS:
            if (self._out / f"{step.name}.json").exists():
                found = self._load(step)
                said = "<br>".join(filter(None, (found.note, *found.found)))
                lines.append(f"| {step.name} | {found.state} | {found.seconds:.0f} | {said} |")
            else:
                lines.append(f"| {step.name} | not run yet | | {step.tells} |")
        write_whole(self._out / "steps.md", ("\n".join(lines) + "\n").encode())


def settle(results: Results, ended: int | str) -> bool:
    """Note how a step's process ended; return whether the step may go on in a new one."""
    if ended == TIMED_OUT:
        results.state, results.note = PARTIAL, "stopped when its time was over"
        results.drop_running()
        return False
    if ended == 0:
        results.save()
        return False
    why = f"its process ended with {_spelled(int(ended))}"
    died = results.bury_running(why) or BROKEN in results.note
    results.state = FAILED
    results.note = results.note or why
    results.save()
    return died


def line_of(results: Results) -> str:
    """Return how a step stands, for people."""
    failures = f", {len(results.failures)} failed" if results.failures else ""
    rows = f"{len(results.rows)} rows{failures}"
    said = "; ".join(filter(None, (results.note, *results.found)))
    return f"{results.step}: {results.state}, {rows}, {results.seconds:.0f} s. {said}".rstrip(". ")


def _leave(*_: object) -> None:
    """Leave as Ctrl-C does: the step that runs is ended, and what it found is kept."""
    raise KeyboardInterrupt


def _spelled(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a step's process and whatever it started: first asked, then without asking."""
    for number, seconds in ((signal.SIGTERM, KILL_S), (signal.SIGKILL, None)):
        if process.poll() is not None and not _group_lives(process.pid):
            return
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
