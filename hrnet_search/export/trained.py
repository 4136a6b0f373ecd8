"""A member's network, trained or as a training starts, and its file for the official library."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.errors import Fault, WeightsError, listed
from hrnet_search.export.member import Member
from hrnet_search.export.official import STRIPPED, TRAINED_IN
from hrnet_search.export.result import (
    NOTHING_SHARED,
    SHARING,
    SLICE,
    ExportOptions,
    ExportResult,
    refusal,
)
from hrnet_search.files import write_file
from hrnet_search.library.writer import UNKNOWN
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.shared import start_slices
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


def slice_of(member: Member, as_is: bool = False) -> HighResolutionNet:
    """Return a member's network as it starts from the weights that its study's networks share.

    Its batch-norm statistics have seen nothing. Raise WeightsError where there are none; or where
    some of its tensors are not among them, which with `as_is` are as a new network's.
    """
    if member.shared is None:
        raise WeightsError(Fault("", None, NOTHING_SHARED, SHARING, file=str(member.folder)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of what is not in the shared weights: the same file each time
        network = build(member.architecture, member.classes)
        fresh = start_slices(network, member.shared)
    if fresh and not as_is:
        count = len(list(network.parameters()))
        wrong = f"{len(fresh)} of its {count} tensors were not taught ({listed(fresh)})"
        allowed = "--as-is, by which these begin at random"
        raise WeightsError(Fault("", None, wrong, allowed, file=str(member.shared)))
    return network.requires_grad_(False)


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
    path = folder / f"{member.stem}.pth"
    return _export(member, path, options, trained_network, TRAINED_IN, read_by_test_script)


def export_slice(member: Member, folder: Path, options: ExportOptions) -> ExportResult:
    """Write a member's slice of shared weights as the official MODEL.PRETRAINED takes it.

    Refused where the library would crash or train something else, unless `as_is`.
    """
    path = folder / f"{member.stem}{SLICE}.pth"
    started = partial(slice_of, as_is=options.as_is)
    return _export(member, path, options, started, "", read_by_train_script)


def _export(
    member: Member,
    path: Path,
    options: ExportOptions,
    network_of: Callable[[Member], HighResolutionNet],
    before: str,
    read: Callable[[bytes], Shapes],
) -> ExportResult:
    """Write the weights of a network of a member, with `before` each name, as a script reads."""
    reasons = checkpoint_problems(member)
    if reasons and not options.as_is:
        return refusal(path.name, reasons)
    try:
        tensors = network_of(member).state_dict()
    except WeightsError as error:
        return refusal(path.name, [str(error)])
    content = torch_bytes({f"{before}{k}": tensor for k, tensor in tensors.items()})
    if read(content) != shapes_of(empty_state(member)):
        return refusal(path.name, ["its names or shapes are not the official ones"])
    return ExportResult((write_file(path, content),))


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


def read_by_train_script(content: bytes) -> Shapes:
    """Return the tensors that the official networks find in a file that they start from.

    Those with an OCR head, which rename what they read, too: no name here holds what they replace
    but `last_layer`, which such a network has not.
    """
    return shapes_of(torch.load(io.BytesIO(content), weights_only=True))


def _empty(member: Member) -> HighResolutionNet:
    with torch.device("meta"):
        return build(member.architecture, member.classes)
