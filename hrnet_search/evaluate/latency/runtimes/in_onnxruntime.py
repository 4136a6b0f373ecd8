"""Networks in ONNX Runtime, on the CPU or by its CUDA provider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hrnet_search.errors import Fault, InputError, LatencyError, first_line
from hrnet_search.evaluate.latency.calls import wall_timer
from hrnet_search.evaluate.latency.runtimes.exported import (
    EXPORTING,
    OnnxFiles,
    onnx_files,
    require,
)
from hrnet_search.evaluate.latency.runtimes.protocol import Facts
from hrnet_search.evaluate.latency.runtimes.quantised import Decide, Images, quantised
from hrnet_search.evaluate.latency.setting import Call, Setting, fixed_input
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.net.onnx_model import IMAGES, LOGITS
from hrnet_search.records.latency import INT8, LatencySpec

NAME = "onnxruntime"
Provider = tuple[str, dict[str, int]]
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""What computes, by the type of torch's device."""


CPU: Provider = (PROVIDERS["cpu"], {})
CANNOT_RUN = "onnxruntime cannot run it: "


class OnnxRuntime:
    """ONNX Runtime's sessions."""

    a_process_each = False

    def facts(self, spec: LatencySpec, device: torch.device) -> Facts:
        """Return the version, and the provider that computes on the device."""
        require(NAME, EXPORTING, " ".join(EXPORTING))
        import onnxruntime

        provider = PROVIDERS[device.type]
        if provider not in onnxruntime.get_available_providers():
            wrong = f"this onnxruntime has no {provider}"
            instead = "for GPUs: pip install onnxruntime-gpu"
            raise InputError(Fault("latency.device", spec.device, wrong, "cpu", instead=instead))
        return Facts(NAME, spec.precision, onnxruntime.__version__, provider)

    @contextmanager
    def session(self, spec: LatencySpec, setting: Setting) -> Iterator[OnnxSession]:  # noqa: ARG002
        """Have a folder for the files."""
        with onnx_files(setting, setting.condition.precision == INT8) as files:
            yield OnnxSession(setting, files)


@dataclass(frozen=True, slots=True)
class OnnxSession:
    """ONNX Runtime under a setting."""

    setting: Setting
    files: OnnxFiles

    def prepare(self, network: nn.Module) -> OnnxNetwork:
        """Export a network, and load it."""
        path = self.files.written(network)
        try:
            return OnnxNetwork(inference(path, self.setting))
        finally:
            path.unlink()


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """A network in a session of its own."""

    call: Call

    def peak_memory(self) -> None:
        """Return nothing: what ONNX Runtime's arena holds, it does not tell."""

    def timer(self) -> Timer:
        """Return what times it."""
        try:
            self.call()
        except Exception as error:
            raise LatencyError(f"{CANNOT_RUN}{first_line(error)}") from error
        return wall_timer(self.call)


def inference(path: Path, setting: Setting) -> Call:
    """Return an inference of an ONNX file on the fixed images; raise LatencyError.

    Once it is returned the file may go.
    """
    condition = setting.condition
    device = {"device_id": setting.device.index or 0} if setting.on_gpu else {}
    session = opened(path, condition.threads, (condition.provider, device))
    images = fixed_input(setting).cpu().numpy()
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    if not setting.on_gpu:
        return lambda: session.run([output], {name: images})
    return _on_gpu(session, images, device["device_id"])


def in_int8(content: bytes, calibration: Iterable[Images], threads: int) -> Decide:
    """Return what an ONNX file decides in int8 on the CPU, calibrated on images."""
    session = opened(quantised(content, calibration), threads)

    def decide(images: Images) -> Images:
        (logits,) = session.run([LOGITS], {IMAGES: images})
        found: Images = logits
        return found

    return decide


def opened(file: str | Path | bytes, threads: int, provider: Provider = CPU) -> Any:
    """Return a session that runs an ONNX file; raise LatencyError where there can be none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Two networks take turns: threads of one that spin after its turn would slow the other.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        source = file if isinstance(file, bytes) else str(file)
        return onnxruntime.InferenceSession(source, options, providers=[provider])
    except Exception as error:  # its errors have no base of their own
        raise LatencyError(f"{CANNOT_RUN}{first_line(error)}") from error


def _on_gpu(session: Any, images: Any, index: int) -> Call:
    """Return an inference whose images and logits stay on the GPU, and which waits for its end."""
    import onnxruntime

    held = onnxruntime.OrtValue.ortvalue_from_numpy(images, "cuda", index)
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, held)
    binding.bind_output(session.get_outputs()[0].name, "cuda", index)
    return lambda: session.run_with_iobinding(binding)
