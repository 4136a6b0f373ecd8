"""`profile` as a person meets it: every bad input one clear line, the rest still printed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evaluate.latency.runtimes.made_up_files import at_once

from hrnet_search.cli import main
from hrnet_search.evaluate.latency import kept as kept_latencies
from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.machine import control_groups
from hrnet_search.records.latency import Latency

__all__ = ["at_once"]
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
PLAIN = [path for path in CONFIGS if "_ocr_" not in path.name]
SMALL = str(PLAIN[1])
QUICK = ["--size", "32", "32", "--latency", "--seconds", "0.1", "--device", "cpu"]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, list[str]]:
    code = main(["profile", *words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err.splitlines()


def test_costs_need_no_torch() -> None:
    code = (
        "import sys; from hrnet_search.cli import main; "
        f"assert main(['profile', '--by-stage', *{list(map(str, CONFIGS))!r}]) == 0; "
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("seg_hrnet") == 2 * len(CONFIGS)


def test_the_published_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, *map(str, CONFIGS))
    assert (code, err) == (0, [])
    for figures in (("1.541 M", "31.1"), ("3.940 M", "71.6"), ("65.859 M", "696.2")):
        assert any(all(f in line for f in figures) for line in out.splitlines())


@pytest.mark.parametrize("size", [("0", "64"), ("64", "-1")])
def test_a_size_that_is_not_positive_is_one_line(
    size: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, SMALL, "--size", *size)
    assert (code, out) == (2, "")
    assert len(err) == 1
    assert err[0].startswith("--size: ")
    assert "is not positive, allowed: 1 or more" in err[0]


@pytest.mark.parametrize("name", ["--batch", "--train-batch"])
def test_a_batch_that_is_not_positive_is_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, SMALL, name, "0")
    assert code == 2
    assert err == [f"{name}: 0 is not positive, allowed: 1 or more"]


def test_a_missing_and_a_wrong_file_leave_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("MODEL: {NAME: seg_hrnet, EXTRA: {STAGE1: {NUM_BLOKS: [1]}}}\n")
    absent = tmp_path / "absent.yaml"
    code, out, err = said(capsys, str(absent), SMALL, str(wrong), "--json")
    assert code == 2
    assert [row["config"] for row in json.loads(out)] == [SMALL]
    assert len([line for line in err if str(absent) in line]) == 1
    assert all(line.startswith((str(absent), str(wrong))) for line in err)


def test_a_space_file_is_no_config_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    space = str(CONFIGS[0].parents[1] / "search_spaces" / "quickstart.yaml")
    allowed = "allowed: HRNet-library configs; hrnet-search check reads it"
    assert said(capsys, space) == (2, "", [f"{space}: is a space file, {allowed}"])


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--device", "cuda:7"), "--device: there is no such device"),
        (("--mode", "warp"), "--mode: 'warp' is not known"),
        (("--seconds", "0"), "--seconds: 0.0 is too small"),
    ],
)
def test_what_the_device_cannot_do_is_said_once_and_costs_are_still_printed(
    words: tuple[str, str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, SMALL, str(PLAIN[2]), *QUICK, *words)
    assert code == 2
    assert len(err) == 1
    assert err[0].startswith(fault)
    assert "1.541 M" in out
    assert "3.940 M" in out
    assert "95% interval" not in out


def test_a_network_without_room_is_one_line_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control_groups, "free_bytes", lambda: 10_000_000)
    code, out, err = said(capsys, SMALL, str(CONFIGS[-1]), *QUICK)
    assert code == 2
    assert len(err) == 1
    assert err[0].startswith(f"{CONFIGS[-1]}: latency: out of memory: about 0.3 GB are needed")
    rows = [line for line in out.splitlines() if line.startswith("seg_hrnet")]
    assert [row.endswith("-") and row.count("-  ") >= 5 for row in rows] == [False, True]
    assert "65.859 M" in rows[1]


def test_an_allocation_that_fails_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control_groups, "free_bytes", lambda: None)  # a system that does not tell
    words = [*QUICK, "--size", str(1 << 20), str(1 << 22)]
    code, out, err = said(capsys, SMALL, *words)
    assert code == 2
    assert len(err) == 1
    assert "out of memory" in err[0]
    assert "1.541 M" in out


def test_latency_comes_with_its_interval_and_throughput(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = said(capsys, SMALL, *QUICK, "--throughput", "2", "--json")
    assert (code, err) == (0, [])
    row = json.loads(out)[0]
    assert 0 < row["low_ms"] <= row["latency_ms"] <= row["high_ms"]
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert row["images_per_s"] > 0
    assert row["peak_memory_bytes"] > 4 * row["params"]
    assert row["peak_memory_bytes"] == pytest.approx(row["inference_bytes_estimated"], rel=0.1)
    assert row["samples"] >= 4


def test_what_was_measured_before_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", str(tmp_path / "latencies.db"))
    calls: list[int] = []

    def steady(*args: Any, **more: Any) -> Latency:
        calls.append(1)
        return replace(measure_latency(*args, **more), noisy=False, busy=False)

    monkeypatch.setattr(kept_latencies, "measure_latency", steady)
    first = json.loads(said(capsys, SMALL, *QUICK, "--json")[1])[0]
    again = json.loads(said(capsys, SMALL, *QUICK, "--json")[1])[0]
    assert (first["reused"], again["reused"], len(calls)) == (False, True, 1)
    assert again["latency_ms"] == first["latency_ms"]
    assert " kept" in said(capsys, SMALL, *QUICK)[1]
    assert json.loads(said(capsys, SMALL, *QUICK, "--again", "--json")[1])[0]["reused"] is False
    assert len(calls) == 2


@pytest.mark.usefixtures("at_once")
def test_other_runtimes_measure_it_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    board = ("--command", "sh -c 'echo 2.5' {onnx}", "--seconds", "20")
    ways = ((("--runtime", "onnxruntime"), "onnxruntime"), (board, "command"))
    for options, runtime in ways:
        code, out, err = said(capsys, SMALL, *QUICK, *options, "--json")
        assert (code, err) == (0, [])
        row = json.loads(out)[0]
        assert (row["mode"], row["peak_memory_bytes"]) == (runtime, None)
        assert row["latency_ms"] > 0
    assert row["device"].endswith("{onnx}'")
    assert row["ratio"] == 1
    assert "command, fp32, batch 1" in said(capsys, SMALL, *QUICK, *board)[1]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--runtime", "tflite"), "--runtime: 'tflite' is not known, allowed: torch, onnxruntime"),
        (("--runtime", "command"), "--command: is missing, allowed: like [ssh, board"),
        (("--command", "bench file.onnx"), "--command: names no {onnx} behind the program"),
        (("--runtime", "onnxruntime", "--mode", "eager"), "--mode: 'eager' is not known, allowed"),
        (("--runtime", "onnxruntime", "--precision", "bf16"), "--precision: 'bf16' is not known"),
    ],
)
def test_what_a_runtime_does_not_do_is_said_once(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], line: str
) -> None:
    code, _, err = said(capsys, SMALL, *QUICK, *options)
    assert code == 2
    assert len(err) == 1
    assert line in err[0]


def test_what_says_how_latency_is_measured_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, SMALL, "--runtime", "nonsense", "--throughput", "8")
    assert (code, out) == (2, "")
    allowed = "says how latency is measured, allowed: with --latency"
    assert err == [f"--runtime: {allowed}", f"--throughput: {allowed}"]
    with pytest.raises(SystemExit):
        said(capsys, SMALL, "--latency", "--throughput", "-3")
