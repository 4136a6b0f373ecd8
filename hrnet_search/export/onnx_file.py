"""The front as ONNX files, each held against the network in torch before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hrnet_search.arch.targets import ONNX, target_problems
from hrnet_search.errors import WeightsError
from hrnet_search.export.member import Member
from hrnet_search.export.result import ExportOptions, ExportResult, refusal
from hrnet_search.export.safetensors_file import facts
from hrnet_search.export.trained import trained_network
from hrnet_search.files import write_file
from hrnet_search.net.onnx_model import (
    Shape,
    checked_shapes,
    difference_problem,
    largest_difference,
    to_onnx,
)

if TYPE_CHECKING:
    from onnx import ModelProto


def export_onnx(member: Member, folder: Path, options: ExportOptions) -> ExportResult:
    """Write a trained network as ONNX, with the measured difference to torch in its metadata.

    Refused if the weights were not kept or the difference is over TOLERANCE. Raises
    StorageLostError where it cannot be written.
    """
    name = f"{member.stem}{_suffix(options)}.onnx"
    try:
        network = trained_network(member)
    except WeightsError as error:
        return refusal(name, [str(error)])
    if reasons := target_problems(ONNX, member.architecture, member.classes):
        return refusal(name, reasons)
    model = to_onnx(network, options.size, options.batch)
    shapes = checked_shapes(options.size, options.batch)
    found = largest_difference(model.SerializeToString(), network, shapes)
    if reason := difference_problem(found):
        return refusal(name, [reason])
    content = _with_facts(model, {**facts(member), **_measured(found, shapes)})
    return ExportResult((write_file(folder / name, content),))


def _measured(share: float, shapes: Sequence[Shape]) -> dict[str, str]:
    return {
        "difference_to_torch": f"{share:.3g}",
        "difference_is": "largest, as a share of the output range, on random images",
        "checked_at": ", ".join("x".join(map(str, shape)) for shape in shapes),
        "torch": torch.__version__,
    }


def _with_facts(model: ModelProto, metadata: dict[str, str]) -> bytes:
    import onnx

    onnx.helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString()
    return content


def _suffix(options: ExportOptions) -> str:
    size = f"_{options.size[0]}x{options.size[1]}" if options.size else ""
    return size + (f"_batch{options.batch}" if options.batch else "")
