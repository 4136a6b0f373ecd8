"""A board that does anything at all is one line, and is left in time."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hrnet_search.content_hash import hash_of
from hrnet_search.errors import LatencyError
from hrnet_search.evaluate.latency.runtimes import by_command
from hrnet_search.evaluate.latency.runtimes.program import milliseconds, timings
from hrnet_search.evaluate.machine.gate import shared_folder
from hrnet_search.store.host import process_start


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("1.5\n2\n", [1.5, 2.0]),
        ("\n 1e1 \n\n", [10.0]),
        ('{"ms": [3, 4.5]}', [3.0, 4.5]),
        ('\n{"ms": [1], "board": "x"}\n', [1.0]),
    ],
)
def test_timings_are_one_a_line_or_a_list(printed: str, expected: list[float]) -> None:
    assert milliseconds(printed) == expected
    assert timings(python(f"print({printed!r})"), 20) == expected


@pytest.mark.parametrize(
    "printed",
    [
        "", "hello", "1.5 ms", "1.5\nready", "nan", "inf", "0", "-1", "[1, 2]", '{"ms": []}', "{}",
        '{"ms": "1"}', '{"ms": [true]}', '{"ms": [null]}', '{"ms": [1e999]}', '{"ms": [1]} done',
        '{"ms": [1', "0x10", "1_000_000_000" * 40, "[" * 100_000, '{"ms":' * 50_000,
    ],
)  # fmt: skip
def test_anything_else_is_nonsense_in_one_short_line(printed: str) -> None:
    with pytest.raises(ValueError, match="printed") as caught:
        milliseconds(printed)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


BAD = {
    "hangs": ("import time; time.sleep(60)", "gave no answer within 1 s"),
    "answers late": ("import time; time.sleep(3); print(1.0)", "gave no answer within 1 s"),
    "answers and stays": ("print(1.0, flush=True); import time; time.sleep(60)", "gave no answer"),
    "closes and stays": ("import os, time; os.close(1); os.close(2); time.sleep(60)", "no answer"),
    "ignores a request to end": (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        "gave no answer",
    ),
    "talks nonsense": ("print('hello')", "printed hello, wanted: milliseconds"),
    "says nothing": ("pass", "printed nothing"),
    "is not text": (r"import sys; sys.stdout.buffer.write(b'\xff\xfe')", "latency.command"),
    "disappears": (
        "import sys; print('ssh: connect to host board: No route', file=sys.stderr); sys.exit(255)",
        "failed with exit code 255: ssh: connect to host board: No route",
    ),
    "answers and fails": ("print(1.0); raise SystemExit(3)", "failed with exit code 3: 1.0"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "was ended by signal 9"),
    "prints a million lines": (
        "import sys; [sys.stdout.write('0.5' + chr(10)) for _ in range(10**6)]",
        "prints more than 1 MiB",
    ),
    "complains a million times": (
        "import sys; [sys.stderr.write('bad' + chr(10)) for _ in range(10**5)]; sys.exit(1)",
        "failed with exit code 1: bad",
    ),
    "prints one endless line": ("while True: print('1' * 99999, end='')", "more than 1 MiB"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_board_that(how: str) -> None:
    code, line = BAD[how]
    start = time.monotonic()
    with pytest.raises(LatencyError) as caught:
        timings(python(code), 1 if "no answer" in line else 20)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert time.monotonic() - start < 20


def test_what_it_has_started_is_killed_with_it(tmp_path: Path) -> None:
    """A shell's child holds the pipe: it is killed too, by the group."""
    noted = tmp_path / "pid"
    with pytest.raises(LatencyError, match="gave no answer"):
        timings(["sh", "-c", f"sleep 60 & echo $! > {noted}; wait"], 1)
    pid = int(noted.read_text())
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    pytest.fail("it still runs")


def test_what_a_killed_driver_left_behind_is_ended_before_the_command_runs_again() -> None:
    """Two programs on one board would time each other: in its driver's place the next ends it."""
    command = ["sh", "-c", "sleep 300 & wait", secrets.token_hex(8)]
    left = subprocess.Popen(command, process_group=0)
    try:
        with by_command._alone(command):
            pass
        path = shared_folder() / f"command-{hash_of(command)}.lock"
        path.write_text(f"{left.pid} {process_start(left.pid)}")  # as who is killed leaves it
        with by_command._alone([*command, "another"]):
            assert left.poll() is None
        with by_command._alone(command):
            assert left.wait(5) == -signal.SIGKILL
        assert path.read_text() == ""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(left.pid, signal.SIGKILL)


def test_a_script_in_an_argument_may_be_longer_than_any_name_of_a_file() -> None:
    command = ["sh", "-c", f"echo 1.5 # {'x' * 300}", "{onnx}"]
    assert by_command._files(command) == ""
    assert by_command._files([__file__, *command]).startswith("files ")


def test_a_queue_is_waited_for_as_long_as_runs_begin_in_it() -> None:
    """Eight workers of one board wait for seven measurements: that is no board that hangs."""
    command = ["sh", "-c", "true", secrets.token_hex(8)]
    entered, bound_s = [], 1.0

    def measure() -> None:
        with by_command._alone(command, bound_s) as began:
            entered.append(time.monotonic())
            for run in range(6):
                began(1000 + run)
                time.sleep(bound_s / 4)

    threads = [threading.Thread(target=measure) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert len(entered) == 3
    assert max(entered) - min(entered) > 2 * bound_s
    with (
        by_command._alone(command),
        pytest.raises(LatencyError, match=r"has begun no run for over 0\.3 s"),
        by_command._alone(command, 0.3),
    ):
        pass


@pytest.mark.parametrize("what", ["there-is-no-such-program", "/", "a\0b"])
def test_what_does_not_start_is_one_line(what: str) -> None:
    with pytest.raises(LatencyError, match=r"^latency\.command: .* does not start: .+$"):
        timings([what, "x.onnx"], 5)


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert timings([*python("print(1.0)"), f"; touch {made}", "$(touch x)", "a b"], 20) == [1.0]
    assert not made.exists()
