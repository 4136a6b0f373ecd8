"""Every runtime does what the instrument asks of it, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from evaluate.latency.runtimes.made_up_files import convolution
from made_up import network as architecture_of

from hrnet_search.errors import InputError, LatencyError
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import aa_check, measure_latency, throughput
from hrnet_search.evaluate.latency.reference_network import REFERENCE
from hrnet_search.evaluate.latency.runtimes import by_command, exported
from hrnet_search.evaluate.latency.runtimes.quantised import quantised
from hrnet_search.evaluate.latency.runtimes.table import RUNTIMES as BUILT
from hrnet_search.evaluate.latency.setting import fixed_images
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.records.latency import COMMAND, RUNTIMES, TORCH, LatencyCondition, LatencySpec

BENCH = str(Path(__file__).parents[4] / "benchmarks" / "onnx_bench.py")
FAKE = (sys.executable, "-S", "-c", "import os, sys; print(os.path.getsize(sys.argv[1]))", "{onnx}")
SPEC = LatencySpec(size=(32, 48), device="cpu", seconds=1.0, threads=1)
SPECS = {
    TORCH: SPEC,
    "onnxruntime": replace(SPEC, runtime="onnxruntime"),
    "openvino": replace(SPEC, runtime="openvino"),
    COMMAND: replace(SPEC, runtime=COMMAND, command=FAKE),
}
NO_OPENVINO = pytest.mark.skipif(
    not importlib.util.find_spec("openvino"), reason="openvino is an extra"
)
NO_NNCF = pytest.mark.skipif(not importlib.util.find_spec("nncf"), reason="nncf is an extra")
EACH = [
    pytest.param(TORCH, "fp32"),
    pytest.param("onnxruntime", "fp32"),
    pytest.param("onnxruntime", "int8"),
    pytest.param("openvino", "fp32", marks=NO_OPENVINO),
    pytest.param("openvino", "int8", marks=[NO_OPENVINO, NO_NNCF]),
    pytest.param(COMMAND, "fp32"),
]
"""TensorRT has a file of its own: nothing here can run it."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def small(width: int = 4) -> HighResolutionNet:
    return build(architecture_of(width), 5)


def test_the_table_has_what_space_files_may_name() -> None:
    assert list(BUILT) == list(RUNTIMES) == [*[*SPECS][:3], "tensorrt", COMMAND]


@pytest.mark.parametrize(("name", "precision"), EACH)
@pytest.mark.usefixtures("at_once")
def test_a_runtime_measures_and_leaves_no_file(name: str, precision: str, tmp_path: Path) -> None:
    spec = replace(SPECS[name], precision=precision)
    found = measure_latency(small(), spec, 6.0, classes=5)
    assert found.ms == found.ratio * 6.0
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms
    assert found.condition == resolve(spec).condition
    assert found.condition.runtime == name
    assert found.condition.precision == precision
    assert throughput(small(), spec, batch=2) > 0
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".onnx"] == []
    assert list(tmp_path.glob("hrnet-search-onnx-*")) == []


def test_the_condition_says_what_ran() -> None:
    import onnxruntime

    found = resolve(SPECS["onnxruntime"]).condition
    assert (found.mode, found.version) == ("onnxruntime", onnxruntime.__version__)
    assert (found.provider, found.threads) == ("CPUExecutionProvider", 1)
    assert found.how == f"onnxruntime {onnxruntime.__version__} (CPUExecutionProvider)"
    board = resolve(SPECS[COMMAND]).condition
    assert board.device.endswith("{onnx}'")
    assert (board.mode, board.threads) == (COMMAND, 0)


def test_conditions_of_torch_are_what_they_were() -> None:
    """Latencies that were kept, and studies begun, before there were runtimes stay valid."""
    spec = LatencySpec(size=(32, 48))
    keys = {"size": (32, 48), "batch": 1, "mode": "auto", "precision": "fp32"}
    assert spec.identity == keys
    condition = LatencyCondition("a machine", "eager", "fp32", 1, (32, 48), 1)
    assert list(condition.plain) == [
        "device", "mode", "precision", "batch", "size", "threads", "memory_format",
    ]  # fmt: skip
    assert (condition.runtime, condition.how) == (TORCH, "eager")


def test_the_reference_is_written_once_and_a_network_once_a_measurement(
    at_once: list[str],
) -> None:
    spec = SPECS["onnxruntime"]
    for width in (4, 5):
        measure_latency(small(width), replace(spec, seconds=0.01), classes=5)
    aa_check(replace(spec, seconds=0.01), classes=5)
    ids = [architecture_of(4).id, REFERENCE.id, architecture_of(5).id]
    assert sorted(at_once) == sorted(ids)


@pytest.mark.usefixtures("at_once")
def test_a_command_is_interleaved_and_its_median_counts() -> None:
    """The fake board says the bytes of the file: the ratio is that of two files."""
    found = measure_latency(small(), replace(SPECS[COMMAND], seconds=1.0), classes=5)
    sizes = [
        len(exported.onnx_content(network, (1, 3, 32, 48)))
        for network in (small(), build(REFERENCE, 5))
    ]
    assert found.ratio == pytest.approx(sizes[0] / sizes[1])
    assert found.median_ms == sizes[0]
    assert found.peak_memory_bytes is None


@pytest.mark.usefixtures("at_once")
def test_a_turn_of_a_command_is_four_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a process of its own, to which the other network leaves no caches."""
    runs: list[str] = []

    def timings(command: list[str], seconds: float, began: object) -> list[float]:
        runs.append(command[-1])
        return [1.0]

    monkeypatch.setattr(by_command, "timings", timings)
    found = measure_latency(small(), SPECS[COMMAND], classes=5)
    first, second, third, fourth = runs[-4:]
    assert first == fourth != second == third
    assert runs[-2 * found.samples :] == [first, second, third, fourth] * (found.samples // 2)


@pytest.mark.usefixtures("at_once")
def test_the_example_program_is_a_command() -> None:
    command = (sys.executable, BENCH, "{onnx}", "--calls", "3")
    spec = replace(SPECS[COMMAND], command=command, seconds=30.0)
    with BUILT[COMMAND].session(spec, resolve(spec)) as session:
        assert 0 < session.prepare(small()).timer()() < 1000


@pytest.mark.usefixtures("at_once")
def test_a_command_never_runs_beside_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_command, "BOUND_S", 0.2)
    spec = replace(SPECS[COMMAND], seconds=0.1)
    other = replace(spec, command=(*FAKE, "another"))
    with BUILT[COMMAND].session(spec, resolve(spec)):
        with (
            pytest.raises(LatencyError, match="held by another process"),
            BUILT[COMMAND].session(spec, resolve(spec)),
        ):
            pass
        with BUILT[COMMAND].session(other, resolve(other)):
            pass
    with BUILT[COMMAND].session(spec, resolve(spec)):
        pass


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"runtime": "tflite"}, "latency.runtime: 'tflite' is not known, allowed: torch, "),
        ({"mode": "eager"}, "latency.mode: 'eager' is not known, allowed: auto"),
        ({"precision": "bf16"}, "latency.precision: 'bf16' is not known, allowed: fp32"),
        ({"memory_format": "channels_last"}, "latency.memory_format: 'channels_last' is not"),
        ({"runtime": COMMAND}, "latency.command: is missing, allowed: like [ssh, board"),
        ({"runtime": COMMAND, "command": ("x", "y")}, "latency.command: names no {onnx} behind"),
        ({"runtime": COMMAND, "command": ("{onnx}",)}, "latency.command: names no {onnx} behind"),
    ],
)
def test_what_a_runtime_cannot_do_is_one_line(changed: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(replace(SPECS["onnxruntime"], **changed))  # type: ignore[arg-type]
    assert str(caught.value).startswith(line)


def test_what_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else there(name)
    )
    installs = "pip install onnx onnxruntime onnxscript"
    for name, more in (("onnxruntime", ""), (COMMAND, ""), ("openvino", " openvino")):
        with pytest.raises(InputError, match=f"{name} needs onnxruntime") as caught:
            resolve(SPECS[name])
        assert str(caught.value).endswith(installs + more)


@NO_OPENVINO
def test_openvino_does_not_say_fp16_where_the_cpu_computes_in_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import openvino

    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(InputError, match=r"latency\.precision: this CPU computes no fp16"):
        resolve(replace(SPECS["openvino"], precision="fp16"))


def test_int8_computes_in_integers_about_what_fp32_does() -> None:
    """By ONNX Runtime: the file has quantised weights, and its logits are those of the other."""
    import numpy as np
    import onnx
    import onnxruntime

    images = fixed_images((1, 3, 32, 48)).numpy()
    plain = convolution(small(8), (1, 3, 32, 48))
    content = quantised(plain, [images])
    model = onnx.load_from_string(content)
    assert {w.data_type for w in model.graph.initializer} >= {onnx.TensorProto.INT8}
    logits = [
        onnxruntime.InferenceSession(part, providers=["CPUExecutionProvider"]).run(
            None, {"images": images}
        )[0]
        for part in (plain, content)
    ]
    assert np.abs(logits[0] - logits[1]).mean() < 0.02 * np.ptp(logits[0])


def test_what_cannot_be_quantised_is_one_line() -> None:
    with pytest.raises(LatencyError, match="it cannot be quantised: ") as caught:
        quantised(b"no model", [])
    assert "\n" not in str(caught.value)


def test_a_file_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def SerializeToString(self) -> bytes:  # noqa: N802
            return b"x"

    monkeypatch.setattr(exported, "to_onnx", lambda *_: Model())
    monkeypatch.setattr(exported, "largest_difference", lambda *_: 0.5)
    with pytest.raises(LatencyError, match=r"differs from torch by 0\.5 of the output range"):
        exported.onnx_content(build(architecture_of(4), 5), (1, 3, 32, 48))


@pytest.mark.bench  # writing the networks takes half a minute each time
@pytest.mark.xdist_group("onnx")
@pytest.mark.parametrize(("name", "precision"), EACH[1:])
def test_real_networks_run_in_it(name: str, precision: str, tmp_path: Path) -> None:
    spec = replace(SPECS[name], precision=precision, seconds=3.0)
    found = measure_latency(small(), spec, classes=5)
    assert found.ratio < 1
    assert list(tmp_path.glob("hrnet-search-onnx-*")) == []
