"""`latency.runtime` and `latency.command` are read as they are written, or refused with a place."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from hrnet_search.errors import SpaceError
from hrnet_search.records.latency import COMMAND, TORCH, LatencySpec
from hrnet_search.space.load import load_space_file
from hrnet_search.space.schema import schema_text

BASE = sorted((Path(__file__).parents[2] / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = f"""\
name: tiny
base: {BASE}
vary: {{width: [2, 4]}}
objectives: {{miou: max, latency_ms: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 4, batch: 4, crop: [64, 64]}}
latency: {{LATENCY}}
"""


def read(folder: Path, latency: str) -> LatencySpec:
    (folder / "space.yaml").write_text(SPACE.replace("LATENCY", latency))
    return load_space_file(folder / "space.yaml").latency


def test_torch_is_what_measures_where_nothing_is_said(tmp_path: Path) -> None:
    assert read(tmp_path, "size: [32, 32]") == LatencySpec(size=(32, 32))
    assert read(tmp_path, "runtime: torch, mode: eager").runtime == TORCH


def test_a_command_is_a_list_and_says_the_runtime(tmp_path: Path) -> None:
    found = read(tmp_path, 'command: [ssh, board, ./bench, "{onnx}"], seconds: 60')
    assert (found.runtime, found.seconds) == (COMMAND, 60.0)
    assert found.command == ("ssh", "board", "./bench", "{onnx}")
    assert read(tmp_path, 'runtime: command, command: [x, "{onnx}"]').runtime == COMMAND
    assert found.identity["command"] == found.command


def test_a_program_beside_the_file_is_found_from_everywhere(tmp_path: Path) -> None:
    found = read(tmp_path, 'command: [./bench, ./as-it-is, "{onnx}"]')
    assert found.command == (str(tmp_path / "bench"), "./as-it-is", "{onnx}")


@pytest.mark.parametrize(
    ("latency", "line"),
    [
        ("runtime: tflite", "7:20: latency.runtime: tflite is not known, allowed: torch, "),
        ("runtime: onnxruntime, precision: bf16", "latency.precision: onnxruntime is not measured"),
        ("runtime: onnxruntime, mode: eager", "7:33: latency.mode: is not used with runtime: onnx"),
        ("runtime: command", "7:20: latency.command: is missing, allowed: like [ssh, board"),
        ("command: [ssh, board]", "7:20: latency.command: names no {onnx} behind the program"),
        ('command: ["{onnx}"]', "7:20: latency.command: names no {onnx} behind the program"),
        ('command: "bench {onnx}"', "latency.command: is not a list, allowed: a list of the prog"),
        (
            "command: []",
            "latency.command: is an empty list, allowed: a list of the program and its",
        ),
        ('command: [x, 10, "{onnx}"]', "7:24: latency.command: 10 is not text"),
        ("command: [x, {onnx}]", "latency.command: is not a single value"),
        ('runtime: torch, command: [x, "{onnx}"]', "7:27: latency.command: is not used with"),
        ('command: [x, "{onnx}"], precision: fp16', "latency.precision: command is not measured"),
    ],
)
def test_what_is_wrong_has_its_place(tmp_path: Path, latency: str, line: str) -> None:
    with pytest.raises(SpaceError) as caught:
        read(tmp_path, latency)
    (said,) = map(str, caught.value.faults)
    assert line in said


def test_a_limit_in_int8_needs_a_runtime_in_int8(tmp_path: Path) -> None:
    path, limit = tmp_path / "space.yaml", "limits: {miou_int8: {at_least: 0.3}}\n"
    path.write_text(SPACE.replace("LATENCY", "runtime: onnxruntime, precision: int8") + limit)
    assert load_space_file(path).floors == (("miou_int8", 0.3),)
    path.write_text(SPACE.replace("LATENCY", "runtime: onnxruntime") + limit)
    with pytest.raises(SpaceError, match=r"8:10: limits\.miou_int8: is not known where latency is"):
        load_space_file(path)
    text = SPACE.replace("{miou: max", "{miou_int8: max")
    path.write_text(text.replace("LATENCY", "runtime: openvino, precision: int8"))
    assert load_space_file(path).objectives == ("miou_int8", "latency_ms")
    path.write_text(text.replace("LATENCY", "size: [32, 32]"))
    with pytest.raises(SpaceError, match=r"4:14: objectives\.miou_int8: is not known where"):
        load_space_file(path)


def test_editors_know_the_keys() -> None:
    good = {"runtime": "command", "command": ["x", "{onnx}"]}
    kinds = json.loads(schema_text())["properties"]["latency"]
    jsonschema.validate(good, kinds)
    for bad in ({"runtime": "tflite"}, {"command": "x"}, {"command": [1]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, kinds)
