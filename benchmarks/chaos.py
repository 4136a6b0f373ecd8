"""Studies under a chaos loop: whatever happens to the command, the same command ends with the same.

Faults of fixed seeds: SIGKILL of the driver or of one of its workers, SIGSTOP, a disk without room,
steps of the wall clock, a reader that holds a transaction on study.db; MLflow is down throughout.
After each end the same command is started again. At the end every trial's mIoU and the front have
to be those of a run that nothing disturbed, and no trial may have failed.

    python benchmarks/chaos.py --minutes 60
    python benchmarks/chaos.py --minutes 60 --workers 2
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from hrnet_search.errors import StudyError
from hrnet_search.store.study import open_study

ROOT = Path(__file__).resolve().parents[1]
SPACE = """\
name: chaos
base: {root}/configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary:
  width: [2, 4, 6, 8]
  STAGE2.NUM_BLOCKS: {{each_branch: [1, 2]}}
  STAGE3.NUM_BRANCHES: [2, 3]
  STAGE4.NUM_BRANCHES: [3, 4]
  STAGE4.FUSE_METHOD: [SUM, CAT]
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 8}}
schedule: {{steps: 6, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: {trials}, seed: {seed}, confirm: 0}}
tracking: {{mlflow: "{tracking}"}}
"""
DOWN = "http://127.0.0.1:9"
"""Where no MLflow answers."""

BETWEEN_S = (2.0, 12.0)
STOPPED_S = (1.0, 20.0)
HELD_S = (1.0, 20.0)
FULL_S = (1.0, 10.0)
DAY = 86_400.0
MOST_S = 1_800.0
"""Seconds after which a command that nothing disturbs has hung."""


class Chaos:
    """What happens to one running command; `counts` says how often."""

    def __init__(self, seed: int, study: Path, clock: Path, workers: bool) -> None:
        self._rng, self._study, self._clock = random.Random(seed), study, clock
        self.counts: collections.Counter[str] = collections.Counter()
        self._faults: dict[str, Callable[[subprocess.Popen[bytes]], None]] = {
            "driver killed": lambda p: p.kill(),
            "driver stopped": lambda p: self._stop(p.pid),
            "disk full": self._full,
            "clock stepped": lambda _: self._step(),
            "reader held on": lambda _: self._hold(),
        }
        if workers:
            self._faults["worker killed"] = self._kill_worker
            self._faults["worker stopped"] = self._stop_worker

    def disturb(self, process: subprocess.Popen[bytes], until: float) -> None:
        """Let one fault after another happen until the command ends, or time is up."""
        while process.poll() is None and time.monotonic() < until:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._rng.uniform(*BETWEEN_S))
                return
            name = self._rng.choice(sorted(self._faults))
            with suppress(ProcessLookupError):
                self._faults[name](process)
                self.counts[name] += 1

    def _stop(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self._rng.uniform(*STOPPED_S))
        finally:
            os.kill(pid, signal.SIGCONT)

    def _worker(self, process: subprocess.Popen[bytes], sign: signal.Signals) -> int:
        """Signal one of the processes in which trials run; return its id."""
        found = workers_of(process.pid)
        if not found:
            raise ProcessLookupError
        pid = self._rng.choice(found)
        os.kill(pid, sign)
        return pid

    def _kill_worker(self, process: subprocess.Popen[bytes]) -> None:
        self._worker(process, signal.SIGKILL)

    def _stop_worker(self, process: subprocess.Popen[bytes]) -> None:
        pid = self._worker(process, signal.SIGSTOP)
        time.sleep(self._rng.uniform(*STOPPED_S))
        os.kill(pid, signal.SIGCONT)

    def _full(self, process: subprocess.Popen[bytes]) -> None:
        """Refuse every write of the command and of what it started for a while."""
        pids = [process.pid, *workers_of(process.pid)]
        for size in (0, resource.RLIM_INFINITY):
            for pid in pids:
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            if not size:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self._rng.uniform(*FULL_S))

    def _step(self) -> None:
        self._clock.write_text(str(self._rng.uniform(-DAY, DAY)))

    def _hold(self) -> None:
        """Begin to read study.db and hold on, as a debugger or a backup does."""
        seconds, path = self._rng.uniform(*HELD_S), self._study / "study.db"
        if path.exists():
            threading.Thread(target=hold, args=(path, seconds)).start()


def hold(path: Path, seconds: float) -> None:
    """Hold a read transaction on a database for so long."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM trials").fetchone()
        time.sleep(seconds)


def workers_of(pid: int) -> list[int]:
    """Return the processes below one in which Ray runs this package's code."""
    parents: dict[int, list[int]] = collections.defaultdict(list)
    names: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            parents[parent].append(int(path.name))
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
    below, found = [pid], []
    while below:
        children = parents[below.pop()]
        below += children
        found += [child for child in children if names[child].startswith("ray::")]
    return sorted(found)


def command(space: Path, study: Path, workers: int) -> list[str]:
    """Return the command that begins a study, and goes on with it."""
    words = [sys.executable, "-m", "hrnet_search", "run", str(space), "-o", str(study), "--plain"]
    return words + (["--workers", str(workers)] if workers else [])


def one_study(folder: Path, seed: int, trials: int, workers: int, until: float) -> Chaos:
    """Run one study in quiet and one in chaos; raise AssertionError where they differ."""
    folder.mkdir()
    quiet, disturbed, clock = folder / "quiet", folder / "disturbed", folder / "clock"
    for name, tracking in (("quiet", "off"), ("disturbed", DOWN)):
        text = SPACE.format(root=ROOT, trials=trials, seed=seed, tracking=tracking)
        (folder / f"{name}.yaml").write_text(text)
    subprocess.run(
        command(folder / "quiet.yaml", quiet, workers), check=True, stdout=subprocess.DEVNULL
    )
    chaos = Chaos(seed, disturbed, clock, bool(workers))
    path = [str(ROOT / "benchmarks" / "chaos_clock"), str(ROOT)]
    env = {**os.environ, "CHAOS_CLOCK": str(clock), "PYTHONPATH": os.pathsep.join(path)}
    env["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    code = None
    while code != 0:
        with (folder / "said").open("ab") as said:
            words = command(folder / "disturbed.yaml", disturbed, workers)
            process = subprocess.Popen(words, env=env, stdout=said, stderr=said)
        chaos.counts["starts"] += 1
        chaos.disturb(process, until)
        code = process.wait(MOST_S)
        chaos.counts[f"exit {code}"] += 1
        lines = (folder / "said").read_text(errors="replace")
        assert "defect in hrnet-search" not in lines, folder
        assert "Traceback" not in lines, folder
        assert code in (0, 4, 130, -signal.SIGKILL), f"exit {code}: {folder / 'said'}"
    check_same(quiet, disturbed)
    return chaos


def check_same(quiet: Path, disturbed: Path) -> None:
    """Raise AssertionError unless both studies have the same trials, front and no failure."""
    found = []
    for folder in (quiet, disturbed):
        try:
            study = open_study(folder)
            table, front = study.results(), study.front()
        except StudyError as error:
            raise AssertionError(str(error)) from error
        assert set(table["status"]) == {"completed"}, table["status"].value_counts().to_dict()
        trials = dict(zip(table["architecture"], table["miou"], strict=True))
        assert len(trials) == len(table), "an architecture was trained twice"
        found.append((trials, sorted(front["architecture"])))
    assert found[0] == found[1], "another result than that of the undisturbed run"


def main() -> None:
    """Disturb studies until the time is up; print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--workers", type=int, default=0, help="0: in the process of the command")
    parser.add_argument("--seed", type=int, default=0, help="of the first study")
    options = parser.parse_args()
    began, total, seed = time.monotonic(), collections.Counter[str](), options.seed
    until = began + 60 * options.minutes
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    while time.monotonic() < until:
        found = one_study(folder / str(seed), seed, options.trials, options.workers, until)
        total.update(found.counts)
        seed += 1
        print(f"study {seed - 1}: same as undisturbed; {dict(found.counts)}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{seed - options.seed} studies of {options.trials} trials in {minutes:.0f} minutes:")
    print(", ".join(f"{name} {count}" for name, count in sorted(total.items())))


if __name__ == "__main__":
    main()
