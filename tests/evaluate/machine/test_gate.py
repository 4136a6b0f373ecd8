"""The gate: a measurement is alone, waits for a step at most, and the dead hold nothing."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from driver_process import running

from hrnet_search.errors import InputError
from hrnet_search.evaluate.machine import gate
from hrnet_search.evaluate.machine.gate import CPU, DeviceGate

PROCESS = """
import sys, time
from pathlib import Path
from hrnet_search.evaluate.machine.gate import DeviceGate
gpu, measured, what, folder = sys.argv[1:5]
with DeviceGate(gpu, measured or "cpu", Path(folder)) as gate:
    if what == "train":
        print("in", flush=True)
        while True:
            time.sleep(0.01)
            gate.pause()
            print(time.monotonic(), flush=True)
    with gate.alone():
        print("in", flush=True)
        time.sleep(float(what))
        print("out", flush=True)
"""


def process(
    folder: Path, what: str, gpu: str = "", measured: str = ""
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Return one that trains, or measures for some seconds."""
    return running(PROCESS, gpu, measured, what, str(folder))


def test_no_training_steps_while_somebody_measures(tmp_path: Path) -> None:
    with process(tmp_path, "train") as one, process(tmp_path, "train") as two:
        with DeviceGate(folder=tmp_path) as own, own.alone():
            begun = time.monotonic()
            time.sleep(0.5)
            ended = time.monotonic()
        time.sleep(0.3)
        for training in (one, two):
            training.kill()
            assert training.stdout
            steps = [float(line) for line in training.stdout.read().splitlines()[:-1]]
            assert not [s for s in steps if begun + 0.02 < s < ended], "it stood still"
            assert [s for s in steps if s > ended], "and went on"


def test_who_measures_waits_for_a_step_at_most(tmp_path: Path) -> None:
    """However many trainings follow one another, for none of them is waited to its end."""
    with process(tmp_path, "train"), process(tmp_path, "train"), process(tmp_path, "train"):
        start = time.monotonic()
        with DeviceGate(folder=tmp_path) as own, own.alone():
            pass
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("what", ["train", "60"])
def test_the_dead_hold_nothing(what: str, tmp_path: Path) -> None:
    with process(tmp_path, what) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        start = time.monotonic()
        with DeviceGate(folder=tmp_path) as own, own.alone():
            pass
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("what", ["train", "60"])
def test_who_is_stopped_is_named_and_passed_once(what: str, tmp_path: Path) -> None:
    """A stopped process keeps its locks (flock(2)); that it is stopped stands in proc(5)."""
    with process(tmp_path, what) as other:
        other.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with DeviceGate(folder=tmp_path, bound_s=0.3) as own:
            with own.alone():
                pass
            for _ in range(100):
                own.pause()
        assert 0.3 <= time.monotonic() - start < 15, "the bound is waited for once, not each step"
        named = f"process {other.pid} ("
        assert len(own.passed) == 1
        assert named in own.passed[0]
        assert "stopped) held the latency gate of cpu for more than 0.3 s" in own.passed[0]


def test_people_are_told_for_whom_a_command_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "TOLD_S", 0.1)
    with process(tmp_path, "60") as other:
        with DeviceGate(folder=tmp_path, bound_s=0.5) as own, own.alone():
            pass
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"waiting for process {other.pid} (")
        assert line.endswith("in the latency gate of cpu: 0.5 s at most")


def test_who_was_passed_is_respected_again_once_it_let_go(tmp_path: Path) -> None:
    with process(tmp_path, "60") as other:
        other.send_signal(signal.SIGSTOP)
        own = DeviceGate(folder=tmp_path, bound_s=0.2).__enter__()
        assert own._devices[0]._passed
        assert len(own.passed) == 1
    with own:
        own.pause()
        assert not own._devices[0]._passed


def test_measurements_follow_one_another(tmp_path: Path) -> None:
    with process(tmp_path, "0.3") as other, DeviceGate(folder=tmp_path) as own, own.alone():
        assert other.stdout
        assert other.poll() is not None or other.stdout.readline() == "out\n"


def test_devices_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Who measures on one GPU stops neither the CPU nor another GPU."""
    with process(tmp_path, "60", "GPU-1", "GPU-1"):
        for gpu in ("", "GPU-2"):
            with DeviceGate(gpu, CPU, tmp_path) as own:
                own.pause()
        other = DeviceGate("GPU-1", "GPU-1", tmp_path)
        assert [device.wanted() for device in other._devices] == [False, True]


def test_measuring_on_the_cpu_stops_trainings_on_a_gpu_too(tmp_path: Path) -> None:
    with process(tmp_path, "60"):
        assert any(device.wanted() for device in DeviceGate("GPU-1", "GPU-1", tmp_path)._devices)


def test_passing_costs_nothing_when_nobody_measures(tmp_path: Path) -> None:
    with DeviceGate("GPU-1", "GPU-1", tmp_path) as own:
        start = time.process_time()
        for _ in range(1000):
            own.pause()
        assert (time.process_time() - start) / 1000 < 0.001


def test_a_folder_that_others_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = gate.shared_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(InputError, match="this user alone"):
        gate.shared_folder()
