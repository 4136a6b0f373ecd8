"""A network as an ONNX file of fixed size and batch, for runtimes that read one."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from hrnet_search import heartbeat
from hrnet_search.arch.targets import ONNX, target_problems
from hrnet_search.errors import Fault, InputError, LatencyError
from hrnet_search.evaluate.latency.reference_network import is_reference
from hrnet_search.evaluate.latency.runtimes.quantised import quantised
from hrnet_search.evaluate.latency.setting import Setting, fixed_images
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.net.onnx_model import (
    Shape,
    checked_shapes,
    difference_problem,
    largest_difference,
    to_onnx,
)

EXPORTING = ("onnx", "onnxruntime", "onnxscript")
"""What writes an ONNX file, and holds it against torch."""

_kept: dict[tuple[HighResolutionNet, Shape, bool], bytes] = {}


@dataclass(frozen=True, slots=True)
class OnnxFiles:
    """Writes the networks of one measurement into a folder."""

    folder: Path
    setting: Setting
    int8: bool

    def written(self, network: nn.Module) -> Path:
        """Return a network as a file of its own; raise LatencyError where it cannot be one."""
        assert isinstance(network, HighResolutionNet), "what else is there is a file already"
        condition = self.setting.condition
        path = self.folder / f"network{len(list(self.folder.iterdir()))}.onnx"
        path.write_bytes(_content(network, (condition.batch, 3, *condition.size), self.int8))
        return path


@contextmanager
def onnx_files(setting: Setting, int8: bool = False) -> Iterator[OnnxFiles]:
    """Yield what writes networks as files of a folder that is removed in the end.

    In `int8` they are quantised, calibrated on the images that are timed: the range of the values
    does not change the time.
    """
    with tempfile.TemporaryDirectory(prefix="hrnet-search-onnx-") as folder:
        yield OnnxFiles(Path(folder), setting, int8)


def onnx_content(network: HighResolutionNet, shape: Shape | None) -> bytes:
    """Return a network as an ONNX file for images of this shape, or any; held against torch.

    Raise LatencyError where one file cannot hold it, or it computes something else.
    """
    if reasons := target_problems(ONNX, network.architecture):
        raise LatencyError(f"it cannot be exported as ONNX: {reasons[0]}")
    size, batch = (shape[2:], shape[0]) if shape else (None, None)
    shapes = [shape] if shape else checked_shapes(None, None)
    with heartbeat.waiting():  # the exporter ends, but shows no progress for a minute or two
        content: bytes = to_onnx(network, size, batch).SerializeToString()
        difference = largest_difference(content, network, shapes)
    if reason := difference_problem(difference):
        raise LatencyError(f"its ONNX file is not used: {reason}")
    return content


def _content(network: HighResolutionNet, shape: Shape, int8: bool) -> bytes:
    """Return a file; the reference's is kept, for every measurement needs it and it takes long."""

    def made() -> bytes:
        content = onnx_content(network, shape)
        return quantised(content, [fixed_images(shape).numpy()]) if int8 else content

    key = (network, shape, int8)
    if not is_reference(network):
        return made()
    if key not in _kept:
        _kept[key] = made()
    return _kept[key]


def require(runtime: str, libraries: Sequence[str], install: str) -> None:
    """Raise InputError, with what installs them, where libraries of a runtime are missing."""
    missing = [name for name in libraries if not importlib.util.find_spec(name)]
    if missing:
        wrong = f"{runtime} needs {', '.join(missing)}, not installed here"
        instead = f"to install: pip install {install}"
        raise InputError(Fault("latency.runtime", runtime, wrong, instead=instead))
