"""The trained network of a member of the front, and its checkpoint for the official library."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.errors import Fault, WeightsError
from hrnet_search.export.member import Member
from hrnet_search.export.official import STRIPPED, TRAINED_IN
from hrnet_search.export.result import ExportOptions, ExportResult, refusal
from hrnet_search.files import write_file
from hrnet_search.library.writer import UNKNOWN
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.weight_file import read_safetensors
from hrnet_search.store.kept import no_weights

Shapes = dict[str, tuple[int, ...]]


def trained_network(member: Member) -> HighResolutionNet:
    """Return a member's network with its weights, for evaluation.

    Raise WeightsError if they were not kept, or are not every tensor of this network.
    """
    path = member.weights
    if member.slices:
        wrong = f"nobody trained the network of trial {member.number}: slices judged it"
        allowed = f"hrnet-search train {member.folder} --trial {member.number} --init shared"
        raise WeightsError(Fault("", None, wrong, allowed, file=str(member.folder)))
    if not path.is_file():
        raise no_weights(member.folder, member.result.key)
    try:
        tensors = read_safetensors(path)
        network = _empty(member)
        network.load_state_dict(tensors, strict=True, assign=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        wrong = f"they are not this network's: {str(error).splitlines()[0]}"
        allowed = f"those of {member.architecture.id} with {member.classes} classes"
        fault = Fault("", str(path), wrong, allowed, file=f"weights/{path.name}")
        raise WeightsError(fault) from error
    return network.eval().requires_grad_(False)


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return the shape of every tensor, by name, in order."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def empty_state(member: Member) -> dict[str, Tensor]:
    """Return the names and shapes of a member's state dict, as tensors without values."""
    return _empty(member).state_dict()


def torch_bytes(content: object) -> bytes:
    """Return what torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def export_checkpoint(member: Member, folder: Path, options: ExportOptions) -> ExportResult:
    """Write a member's weights as the official test script's TEST.MODEL_FILE takes them.

    Refused where the script would crash or run something else, unless `as_is`.
    """
    name = f"{member.stem}.pth"
    reasons = checkpoint_problems(member)
    if reasons and not options.as_is:
        return refusal(name, reasons)
    try:
        tensors = trained_network(member).state_dict()
    except WeightsError as error:
        return refusal(name, [str(error)])
    content = torch_bytes({f"{TRAINED_IN}{k}": tensor for k, tensor in tensors.items()})
    if read_by_test_script(content) != shapes_of(empty_state(member)):
        return refusal(name, ["its names or shapes are not the official ones"])
    return ExportResult((write_file(folder / name, content),))


def checkpoint_problems(member: Member) -> list[str]:
    """Return why the official test script would crash on the weights, or judge them wrongly."""
    reasons = target_problems(HRNET, member.architecture)
    if (member.mean, member.std) != (UNKNOWN.mean, UNKNOWN.std):
        reasons.append(
            f"it normalises with data.mean {list(UNKNOWN.mean)} and data.std {list(UNKNOWN.std)}, "
            f"these images with {list(member.mean)} and {list(member.std)}"
        )
    return reasons


def read_by_test_script(content: bytes) -> Shapes:
    """Return the tensors that the official test script finds in a file, by the name it uses."""
    found = torch.load(io.BytesIO(content), weights_only=True)
    return {name[STRIPPED:]: tuple(tensor.shape) for name, tensor in found.items()}


def _empty(member: Member) -> HighResolutionNet:
    with torch.device("meta"):
        return build(member.architecture, member.classes)
