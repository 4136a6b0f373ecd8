"""Weight files: load those that others publish, report what matched, save our own."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from hrnet_search.errors import Fault, WeightsError, shown
from hrnet_search.store.files import write_whole

PREFIXES = re.compile(r"^(?:module\.|model\.)+")
"""What DistributedDataParallel and the official training wrapper put before every name."""

START_ANEW = ("last_layer.", "fuse_projections.")
"""What a file may lack and still be the pretrained weights: the head, and CAT over SUM."""

COUNTER = "num_batches_tracked"
"""Never read with a fixed momentum, and absent from files of torch 0.4."""

ALLOWED = (
    "allowed: weights of an HRNet, a state dict saved by torch.save (tensors only)"
    " or as .safetensors"
)


class _Ignored:
    """Stands for the numpy number that the official trainer keeps beside its state dict."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


IGNORED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Ignored, name)
    for name in ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
]
"""What a file may name beside tensors (`best_mIoU` of `checkpoint.pth.tar`); none of it is run."""


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What became of every tensor, by name: `reshaped` ones have another shape in the file.

    Missing and reshaped tensors were left at their start, unexpected ones were not used.
    `num_batches_tracked` is loaded where it is there, and never counted.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def total(self) -> int:
        """Number of the network's tensors."""
        return len(self.matched) + len(self.missing) + len(self.reshaped)

    def __str__(self) -> str:
        parts = [f"{len(self.matched)} of {self.total} tensors match"]
        for kind in ("missing", "reshaped", "unexpected"):
            if names := getattr(self, kind):
                more = ", ..." if len(names) > 1 else ""
                parts.append(f"{len(names)} {kind} ({shown(names[0])}{more})")
        return ", ".join(parts)


def load_weights(
    network: nn.Module, path: str | Path, map_location: str | torch.device = "cpu"
) -> WeightsReport:
    """Load every tensor of a file that the network has under the same name and shape.

    Reads official segmentation and classification checkpoints and timm's `hrnet_*`, saved by
    `torch.save` (plain or under `state_dict`, as in `checkpoint.pth.tar`, names with or without
    `module.` and `model.`) or as `.safetensors`. Nothing but tensors is ever unpickled. Raise
    WeightsError if the file is missing, unreadable or no state dict, or if nothing matches; the
    network is then as it was.
    """
    path = Path(path)
    own = network.state_dict()
    try:
        found = named_tensors(path, map_location)
    except ValueError as error:
        raise _no_match(own, str(error), path) from error
    report = compare(own, found)
    if not report.matched:
        raise _no_match(own, "the file has other names and shapes", path)
    fitting = {n: t for n, t in found.items() if n in own and own[n].shape == t.shape}
    network.load_state_dict(fitting, strict=False)
    return report


def load_pretrained(network: nn.Module, named: object, config: Path) -> WeightsReport:
    """Load the weights that a yaml names, and accept no trunk that is partly untrained.

    A relative path is looked for from the working directory, as the official code does, then
    beside the yaml. Raise WeightsError as `load_weights` does, and if any tensor outside
    `START_ANEW` is missing or reshaped.
    """
    if not isinstance(named, str) or not named:
        wrong = f"MODEL.PRETRAINED {shown(named)!r} names no file"
        raise _no_match(network.state_dict(), wrong, config)
    places = (Path(named), config.parent / named)
    path = next((place for place in places if place.is_file()), places[0])
    report = load_weights(network, path)
    lost = report.missing + report.reshaped
    if trunk := [name for name in lost if not any(part in name for part in START_ANEW)]:
        wrong = f"{report}: {len(trunk)} tensors before the head would start untrained"
        allowed = f"allowed: weights of this very trunk ({shown(trunk[0])} does not fit)"
        raise WeightsError(Fault("MODEL.PRETRAINED", named, wrong, allowed, file=str(path)))
    return report


def save_weights(
    weights: nn.Module | Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write a state dict and its metadata as safetensors: the whole file or none.

    Raise OSError where the file system does.
    """
    path = Path(path)
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    # The format stores dense rows only; a channels_last network has others.
    dense = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_whole(path, safetensors.torch.save(dense, dict(metadata)))


def named_tensors(path: Path, map_location: str | torch.device) -> dict[str, Tensor]:
    """Return the tensors of a file under the names of the bare network, or raise ValueError."""
    content = _read(path, map_location)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    entries = content.items() if isinstance(content, Mapping) else ()
    tensors = {name: t for name, t in entries if isinstance(name, str) and isinstance(t, Tensor)}
    if not tensors:
        raise ValueError("the file holds no state dict")
    named = {PREFIXES.sub("", name): tensor for name, tensor in tensors.items()}
    if len(named) < len(tensors):
        raise ValueError("the file has names twice, with and without a prefix")
    return named


def _read(path: Path, map_location: str | torch.device) -> object:
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path, device=str(map_location))
        # Only the zip format can be mapped; published ImageNet weights are older than it.
        mapped = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(IGNORED):
            return torch.load(path, map_location=map_location, mmap=mapped, weights_only=True)
    except Exception as error:  # readers raise anything on what is no weight file
        raise ValueError(f"the file cannot be read ({type(error).__name__})") from error


def compare(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> WeightsReport:
    """Return which of a network's tensors are found, by name and shape."""
    own, found = _counted(own), _counted(found)
    shared = [name for name in own if name in found]
    return WeightsReport(
        matched=tuple(n for n in shared if own[n].shape == found[n].shape),
        missing=tuple(n for n in own if n not in found),
        unexpected=tuple(n for n in found if n not in own),
        reshaped=tuple(n for n in shared if own[n].shape != found[n].shape),
    )


def _counted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # The counters are never read with a fixed momentum, and files of torch 0.4 lack them.
    return {n: tensor for n, tensor in tensors.items() if not n.endswith(COUNTER)}


def _no_match(own: Mapping[str, Tensor], wrong: str, path: Path) -> WeightsError:
    wrong = f"0 of {len(_counted(own))} tensors match: {wrong}"
    return WeightsError(Fault("", str(path), wrong, ALLOWED, file=str(path)))
