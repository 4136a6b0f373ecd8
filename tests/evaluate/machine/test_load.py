"""What the machine was doing, on machines that are made up: a /proc of files, a false NVML."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hrnet_search.evaluate.machine import load as machine
from hrnet_search.evaluate.machine.load import Snapshot, describe, is_busy, others_share

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr(machine, "cores", lambda: 4)
    return tmp_path


class NvmlError(Exception):
    pass


class Nvml(ModuleType):
    """As much of pynvml as is read, of one GPU that four processes compute on."""

    NVMLError = NvmlError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, uuid: str = "GPU-1", tells_power: bool = True, starts: bool = True) -> None:
        super().__init__("pynvml")
        self.uuid, self.tells_power, self.starts, self.open = uuid, tells_power, starts, 0
        self.processes: list[int] = [1, 2, 3, 4]

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.starts:
            raise NvmlError("no driver")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != self.uuid:
            raise NvmlError("not found")
        return "handle"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlDeviceGetClockInfo(self, gpu: str, clock: int) -> int:  # noqa: N802
        return {1: 1980, 2: 2619}[clock]

    def nvmlDeviceGetTemperature(self, gpu: str, sensor: int) -> int:  # noqa: N802
        return 41

    def nvmlDeviceGetPowerUsage(self, gpu: str) -> int:  # noqa: N802
        if not self.tells_power:
            raise NvmlError("not supported")
        return 123_400

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: str) -> list[int]:  # noqa: N802
        return self.processes


def with_nvml(monkeypatch: pytest.MonkeyPatch, nvml: Any) -> Any:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def at(at_s: float, all_cpu_s: float | None, own_cpu_s: float, **more: Any) -> Snapshot:
    return Snapshot(at_s, more.pop("load", 0.0), all_cpu_s, own_cpu_s, **more)


def test_cpu_seconds_of_all_are_the_busy_fields_of_proc_stat(proc: Path) -> None:
    (proc / "stat").write_text("cpu  100 20 3 9999 8888 4 5 6 7777 6666\ncpu0 1 1\n")
    assert machine.snapshot().all_cpu_s == (100 + 20 + 3 + 4 + 5 + 6) / TICKS


@pytest.mark.parametrize("text", ["", "cpu\n", "cpu a b c d e f g h\n", None])
def test_a_proc_that_does_not_tell_is_no_error(proc: Path, text: str | None) -> None:
    if text is not None:
        (proc / "stat").write_text(text)
    assert machine.snapshot().all_cpu_s is None
    assert machine.cpu_model()


def test_the_cpu_is_named_as_the_system_names_it(proc: Path) -> None:
    (proc / "cpuinfo").write_text("processor : 0\nmodel name\t: A CPU: of 2 GHz\nflags : x\n")
    assert machine.cpu_model() == "A CPU: of 2 GHz"


@pytest.mark.usefixtures("proc")
def test_others_have_what_is_used_and_not_by_this_process() -> None:
    assert others_share(at(0, 100, 10), at(10, 130, 20)) == 20 / 10 / 4
    assert others_share(at(0, 100, 10), at(10, 105, 20)) == 0  # counters that disagree a little
    assert others_share(at(0, 100, 10), at(0.1, 130, 20)) is None  # ticks say nothing yet
    assert others_share(at(0, None, 10), at(10, 130, 20)) is None


@pytest.mark.usefixtures("proc")
def test_a_cpu_is_busy_when_others_take_more_than_a_twentieth() -> None:
    quiet, loud = at(10, 100 + 10 + 1, 10), at(10, 100 + 10 + 3, 10)
    assert not is_busy(at(0, 100, 0), quiet, on_gpu=False)
    assert is_busy(at(0, 100, 0), loud, on_gpu=False)


@pytest.mark.usefixtures("proc")
def test_where_cpu_time_is_unknown_the_load_decides() -> None:
    after = at(10, None, 10)
    assert is_busy(at(0, None, 0, load=2.5), after, on_gpu=False)
    assert not is_busy(at(0, None, 0, load=1.5), after, on_gpu=False)
    assert not is_busy(Snapshot(0, None, None, 0), after, on_gpu=False)


def test_a_gpu_is_busy_when_another_process_computes_on_it() -> None:
    alone, shared = at(0, 0, 0, gpu_others=0), at(9, 0, 0, gpu_others=1)
    assert is_busy(alone, shared, on_gpu=True)
    assert is_busy(shared, alone, on_gpu=True)
    assert not is_busy(alone, alone, on_gpu=True)
    assert not is_busy(at(0, 0, 0), at(9, 9999, 0), on_gpu=True)  # CPU work does not count


def test_nvml_tells_clocks_heat_power_and_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = with_nvml(monkeypatch, Nvml())
    reading, others = machine.read_gpu("GPU-1")
    assert dict(reading) == {
        "driver": "580.1",
        "sm_clock_mhz": "1980",
        "memory_clock_mhz": "2619",
        "temperature_c": "41",
        "power_w": "123.4",
    }
    assert others == 3
    assert nvml.open == 0


def test_what_nvml_does_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nvml(monkeypatch, Nvml(tells_power=False))
    assert "power_w" not in dict(machine.read_gpu("GPU-1")[0])
    unlisted = with_nvml(monkeypatch, Nvml())
    unlisted.processes = []  # a container may hide even this process
    assert machine.read_gpu("GPU-1")[1] == 0


def test_without_nvml_or_the_gpu_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = with_nvml(monkeypatch, Nvml(uuid="GPU-2"))
    assert machine.read_gpu("GPU-1") == ((), None)
    assert nvml.open == 0
    with_nvml(monkeypatch, Nvml(starts=False))
    assert machine.read_gpu("GPU-1") == ((), None)
    with_nvml(monkeypatch, None)  # an import that fails
    assert machine.read_gpu("GPU-1") == ((), None)


def test_the_record_has_constants_once_and_readings_before_and_after(proc: Path) -> None:
    (proc / "cpuinfo").write_text("model name : A CPU\n")
    gpu = (("driver", "580.1"), ("temperature_c", "41"))
    hot = (("driver", "580.1"), ("temperature_c", "70"))
    before = at(0, 100, 0, load=0.5, gpu=gpu, gpu_others=0)
    after = at(10, 110, 2, load=1.25, gpu=hot, gpu_others=1)
    found = dict(describe(before, after))
    assert found["cpu"] == "A CPU"
    assert found["cores"] == "4"
    assert found["driver"] == "580.1"
    assert (found["temperature_c_before"], found["temperature_c_after"]) == ("41", "70")
    assert (found["load_before"], found["load_after"]) == ("0.50", "1.25")
    assert found["cpu_share_of_others"] == "0.200"
    assert found["gpu_processes_of_others"] == "1"
    assert not [name for name in found if name.startswith("driver_")]


def test_this_machine_is_read_as_it_is() -> None:
    before = machine.snapshot()
    assert before.own_cpu_s > 0
    assert machine.cores() >= 1
    assert before.gpu == ()
    found = dict(describe(before, machine.snapshot()))
    assert {"cpu", "cores", "system"} <= set(found)
