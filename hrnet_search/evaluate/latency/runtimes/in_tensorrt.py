"""Networks in TensorRT, by its own program `trtexec`: thin, and not run on a GPU here."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from hrnet_search.errors import Fault, InputError, LatencyError
from hrnet_search.evaluate.latency.runtimes.exported import (
    EXPORTING,
    OnnxFiles,
    onnx_files,
    require,
)
from hrnet_search.evaluate.latency.runtimes.program import Program
from hrnet_search.evaluate.latency.runtimes.protocol import Facts
from hrnet_search.evaluate.latency.setting import Setting
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.records.latency import INT8, LatencySpec

NAME, PROGRAM = "tensorrt", "trtexec"
PRECISIONS = {"fp32": ("--noTF32",), "fp16": ("--fp16",), INT8: ("--int8", "--fp16")}
BUILD_S = 1800.0
"""For an engine, whose kernels are chosen by timing them."""

SAMPLE_S = 600.0
_VERSION = re.compile(r"\[TensorRT v(\d+)\]")


class TensorRt:
    """An engine a network, built once and loaded for each sample."""

    a_process_each = True

    def facts(self, spec: LatencySpec, device: torch.device) -> Facts:
        """Return the version; raise InputError without the program or a GPU."""
        require(NAME, EXPORTING, " ".join(EXPORTING))
        if shutil.which(PROGRAM) is None:
            wrong = f"{NAME} needs its program {PROGRAM}, which is not on the PATH"
            instead = "to install: TensorRT of NVIDIA, with its bin folder on the PATH"
            raise InputError(Fault("latency.runtime", NAME, wrong, instead=instead))
        if device.type != "cuda":
            wrong = f"{NAME} computes on GPUs"
            raise InputError(Fault("latency.device", spec.device, wrong, "cuda, cuda:N"))
        return Facts(NAME, spec.precision, _version(), PROGRAM)

    @contextmanager
    def session(self, spec: LatencySpec, setting: Setting) -> Iterator[TensorRtSession]:  # noqa: ARG002
        """Have a folder for files and engines."""
        with onnx_files(setting, setting.condition.precision == INT8) as files:
            yield TensorRtSession(setting, files)


@dataclass(frozen=True, slots=True)
class TensorRtSession:
    """The program under a setting."""

    setting: Setting
    files: OnnxFiles

    def prepare(self, network: nn.Module) -> TensorRtNetwork:
        """Export a network, and build its engine."""
        path = self.files.written(network)
        engine, device = path.with_suffix(".plan"), f"--device={self.setting.device.index or 0}"
        asked = PRECISIONS[self.setting.condition.precision]
        made = (f"--onnx={path}", f"--saveEngine={engine}", "--skipInference", device, *asked)
        _run(made, BUILD_S)
        return TensorRtNetwork(engine, (f"--loadEngine={engine}", device, *asked))


@dataclass(frozen=True, slots=True)
class TensorRtNetwork:
    """An engine in a file."""

    engine: Path
    asked: Sequence[str]

    def peak_memory(self) -> None:
        """Return nothing: the program's words for it change by version."""

    def timer(self) -> Timer:
        """Return what runs the engine for a second a sample, and says its median time to compute.

        As a CUDA graph, without copies to and from the GPU: as torch is timed.
        """
        times = self.engine.with_suffix(".json")
        how = ("--duration=1", "--warmUp=200", "--useCudaGraph", "--noDataTransfers")

        def time_ms(calls: int = 1) -> float:  # noqa: ARG001
            _run((*self.asked, *how, f"--exportTimes={times}"), SAMPLE_S)
            return _median(times)

        return time_ms


def _run(arguments: Sequence[str], seconds: float) -> str:
    return Program(PROGRAM, "its bound").output((PROGRAM, *arguments), seconds)


@cache
def _version() -> str:
    found = _VERSION.search(_run(("--help",), SAMPLE_S))
    return found[1] if found else "unknown"


def _median(times: Path) -> float:
    """Return the median of what the program exported: a list of runs, each with `computeMs`."""
    try:
        return statistics.median(float(run["computeMs"]) for run in json.loads(times.read_text()))
    except (OSError, ValueError, TypeError, LookupError) as error:
        wrong = f"{PROGRAM} wrote no times that can be read ({type(error).__name__})"
        raise LatencyError(wrong) from None
