"""TensorRT's program, as its documented output and files are: a fake one on the PATH."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from made_up import network as architecture_of

from hrnet_search.errors import InputError, LatencyError
from hrnet_search.evaluate.latency.runtimes import in_tensorrt
from hrnet_search.evaluate.latency.runtimes.in_tensorrt import TensorRt
from hrnet_search.evaluate.latency.setting import Setting
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import LatencyCondition, LatencySpec

FAKE = f"""\
#!{sys.executable} -S
import json, pathlib, sys
print("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # " + " ".join(sys.argv))
given = dict(part.partition("=")[::2] for part in sys.argv[1:])
with open(pathlib.Path(__file__).with_name("calls"), "a") as calls:
    print(json.dumps(given), file=calls)
if "--onnx" in given:
    size = pathlib.Path(given["--onnx"]).stat().st_size
    pathlib.Path(given["--saveEngine"]).write_text(str(size))
if "--loadEngine" in given:
    ms = int(pathlib.Path(given["--loadEngine"]).read_text()) / 1000
    runs = [{{"startInMs": 0.0, "inMs": 0.0, "computeMs": ms * k, "outMs": 0}} for k in (1, 2, 0.5)]
    pathlib.Path(given["--exportTimes"]).write_text(json.dumps(runs))
    print("[I] Throughput: 123.4 qps")
print("&&&& PASSED TensorRT.trtexec [TensorRT v8601]")
"""
GPU = torch.device("cuda", 1)
SPEC = LatencySpec(size=(32, 48), runtime="tensorrt", precision="fp16")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "trtexec"
    path.parent.mkdir()
    path.write_text(FAKE)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    in_tensorrt._version.cache_clear()
    return path


def setting(precision: str = "fp16") -> Setting:
    condition = LatencyCondition("a GPU", "tensorrt", precision, 1, (32, 48), 1)
    return Setting(GPU, torch.float32, torch.contiguous_format, condition)


@pytest.mark.usefixtures("at_once")
def test_an_engine_is_built_once_and_timed_for_each_sample(program: Path) -> None:
    with TensorRt().session(SPEC, setting()) as session:
        timer = session.prepare(build(architecture_of(4), 5)).timer()
        assert timer() == timer() > 0
    calls = (program.parent / "calls").read_text().splitlines()
    assert ["--saveEngine" in call for call in calls] == [True, False, False]
    assert all('"--fp16": ""' in call and '"--device": "1"' in call for call in calls)


@pytest.mark.usefixtures("at_once")
def test_int8_gets_a_file_that_is_quantised(program: Path) -> None:
    """Its scales stand in the file: TensorRT's explicit quantisation calibrates nothing."""
    sizes = {}
    for precision in ("fp32", "int8"):
        with TensorRt().session(SPEC, setting(precision)) as session:
            sizes[precision] = session.prepare(build(architecture_of(4), 5)).timer()()
    assert sizes["int8"] != sizes["fp32"]
    assert '"--int8": ""' in (program.parent / "calls").read_text()


@pytest.mark.usefixtures("program")
def test_its_version_is_in_the_condition() -> None:
    facts = TensorRt().facts(SPEC, GPU)
    assert (facts.mode, facts.version, facts.provider) == ("tensorrt", "8601", "trtexec")


@pytest.mark.usefixtures("program")
def test_a_cpu_is_refused() -> None:
    with pytest.raises(InputError, match=r"latency\.device: tensorrt computes on GPUs, allowed"):
        TensorRt().facts(SPEC, torch.device("cpu"))


def test_without_the_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="needs its program trtexec, which is not on the PATH"):
        TensorRt().facts(SPEC, GPU)


@pytest.mark.parametrize(
    ("do", "line"),
    [
        ("import sys; sys.exit('&&&& FAILED TensorRT.trtexec')", "failed with exit code 1: &&&& F"),
        ("pass", "trtexec wrote no times that can be read"),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_a_failure_is_its_last_line(program: Path, do: str, line: str) -> None:
    program.write_text(f"#!{sys.executable} -S\n{do}\n")
    with (
        pytest.raises(LatencyError, match=line),
        TensorRt().session(SPEC, setting()) as session,
    ):
        session.prepare(build(architecture_of(4), 5)).timer()()
