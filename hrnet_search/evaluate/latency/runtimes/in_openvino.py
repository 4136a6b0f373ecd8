"""Networks in OpenVINO, on the CPU."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hrnet_search import heartbeat
from hrnet_search.errors import Fault, InputError, LatencyError, first_line
from hrnet_search.evaluate.latency.calls import wall_timer
from hrnet_search.evaluate.latency.runtimes.exported import (
    EXPORTING,
    OnnxFiles,
    onnx_files,
    require,
)
from hrnet_search.evaluate.latency.runtimes.protocol import Facts
from hrnet_search.evaluate.latency.runtimes.quantised import Decide, Images
from hrnet_search.evaluate.latency.setting import Call, Setting, fixed_input
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.records.latency import INT8, LatencySpec

NAME = "openvino"
CPU = "CPU"
COMPUTED = {"fp32": "f32", "fp16": "f16", INT8: "f32"}
"""What is not quantised is computed in this precision, which OpenVINO would choose by itself."""


class OpenVino:
    """OpenVINO's compiled models."""

    a_process_each = False

    def facts(self, spec: LatencySpec, device: torch.device) -> Facts:
        """Return the version; raise InputError for a precision that this CPU does not have."""
        quantiser = ("nncf",) if spec.precision == INT8 else ()
        libraries = (*EXPORTING, NAME, *quantiser)
        require(NAME, libraries, " ".join(libraries))
        if device.type != "cpu":
            wrong = f"{NAME} is measured on the CPU"
            raise InputError(Fault("latency.device", spec.device, wrong, "cpu"))
        import openvino

        able = openvino.Core().get_property(CPU, "OPTIMIZATION_CAPABILITIES")
        if spec.precision == "fp16" and "FP16" not in able:
            wrong, allowed = "this CPU computes no fp16", "fp32, int8"
            raise InputError(Fault("latency.precision", spec.precision, wrong, allowed))
        version = openvino.__version__.partition("-")[0]
        return Facts(NAME, spec.precision, version, CPU)

    @contextmanager
    def session(self, spec: LatencySpec, setting: Setting) -> Iterator[OpenVinoSession]:  # noqa: ARG002
        """Have a folder for the files."""
        with onnx_files(setting) as files:
            yield OpenVinoSession(setting, files)


@dataclass(frozen=True, slots=True)
class OpenVinoSession:
    """OpenVINO under a setting."""

    setting: Setting
    files: OnnxFiles

    def prepare(self, network: nn.Module) -> OpenVinoNetwork:
        """Export a network, and compile it."""
        path = self.files.written(network)
        try:
            return OpenVinoNetwork(_inference(path, self.setting))
        except Exception as error:  # its errors have no base of their own
            raise LatencyError(f"openvino cannot run it: {first_line(error)}") from error
        finally:
            path.unlink()


@dataclass(frozen=True, slots=True)
class OpenVinoNetwork:
    """A compiled network."""

    call: Call

    def peak_memory(self) -> None:
        """Return nothing: OpenVINO does not tell."""

    def timer(self) -> Timer:
        """Return what times it."""
        return wall_timer(self.call)


def in_int8(content: bytes, calibration: Iterable[Images], threads: int) -> Decide:
    """Return what an ONNX file decides in int8 on the CPU, calibrated on images."""
    import openvino

    try:
        model = _quantised(openvino.Core().read_model(content), list(calibration))
        request = _request(model, INT8, threads)
    except Exception as error:
        raise LatencyError(f"openvino cannot run it in int8: {first_line(error)}") from error

    def decide(images: Images) -> Images:
        logits: Images = request.infer({0: images})[0]
        return logits

    return decide


def _inference(path: Path, setting: Setting) -> Call:
    import openvino

    condition, images = setting.condition, fixed_input(setting).numpy()
    model = openvino.Core().read_model(str(path))
    if condition.precision == INT8:
        model = _quantised(model, [images])
    request = _request(model, condition.precision, condition.threads)
    request.infer({0: images})
    return lambda: request.infer({0: images})


def _request(model: Any, precision: str, threads: int) -> Any:
    import openvino

    properties = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": COMPUTED[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    return openvino.Core().compile_model(model, CPU, properties).create_infer_request()


def _quantised(model: Any, images: list[Images]) -> Any:
    """Return a model in int8, by nncf's defaults, which is not heard."""
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), heartbeat.waiting():
        return nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
