"""Weight files: load those that others publish, report what matched, save our own."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from hrnet_search.arch.architecture import OCR, PLAIN
from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.arch.pretrained import pretrained_file, pretrained_name
from hrnet_search.errors import Fault, WeightsError, listed, shown, warn_on_stderr
from hrnet_search.files import write_whole
from hrnet_search.net.file_kind import NotWeightsError
from hrnet_search.net.tensor_names import HEADS, Found, hrnet_tensors
from hrnet_search.net.weight_file import read_content

START_ANEW = (*HEADS[PLAIN], *HEADS[OCR], "fuse_projections.")
"""What a file may lack and still be the pretrained weights: the head, and CAT over SUM."""

COUNTER = "num_batches_tracked"
"""Never read with a fixed momentum, and absent from files of torch 0.4."""

WEIGHTS = "weights of an HRNet, a state dict saved by torch.save (tensors only) or as .safetensors"

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What weights may be stored in; others mean nothing without scales that lie elsewhere."""

VARIANCE = "running_var"

LOGGER = logging.getLogger("hrnet_search")
LOGGER.setLevel(logging.INFO)

_LAST_STAGE = re.compile(r"stage4\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What became of every tensor, by name: `reshaped` ones have another shape in the file.

    Missing and reshaped tensors were left at their start, unexpected ones were not used.
    `edges` are those of the last fusion that the file lacks as a whole: they send nothing at
    first. `origin` is how the file was read. `num_batches_tracked` is loaded where it is there,
    and never counted.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    edges: tuple[str, ...] = ()
    origin: str = ""

    @property
    def total(self) -> int:
        """Number of the network's tensors."""
        return len(self.matched) + len(self.missing) + len(self.reshaped)

    @property
    def untrained(self) -> tuple[str, ...]:
        """Tensors that are left at a random start."""
        silent = tuple(f"{edge}." for edge in self.edges)
        return tuple(
            n for n in self.missing + self.reshaped if not (silent and n.startswith(silent))
        )

    def __str__(self) -> str:
        parts = [f"{len(self.matched)} of {self.total} tensors match"]
        for kind in ("missing", "reshaped", "unexpected"):
            if names := getattr(self, kind):
                parts.append(f"{len(names)} {kind} ({listed(names)})")
        return ", ".join(parts) + how_read(self.origin, self.edges)


def how_read(origin: str, edges: Collection[str], unused: Collection[str] = ()) -> str:
    """Return what else there is to say of a file's tensors, each part behind a semicolon."""
    parts = [f"{len(unused)} of the file not used ({listed(unused)})"] if unused else []
    if edges:
        parts.append(
            f"{len(edges)} edges of the last fusion are not in the file and start at zero"
            f" ({listed(edges)})"
        )
    parts += [f"read {origin}"] if origin else []
    return "".join(f"; {part}" for part in parts)


def load_weights(
    network: nn.Module, path: str | Path, map_location: str | torch.device = "cpu"
) -> WeightsReport:
    """Load every tensor of a file that the network has under the same name and shape.

    Reads official segmentation, classification and pose checkpoints, timm's `hrnet_*` and
    mmsegmentation's, saved by `torch.save` or as safetensors, under whatever keys and behind
    whatever prefix their trainers put them. Nothing in a file is ever run. Edges of the last
    fusion that a pose network does not have send nothing at first. Raise WeightsError if the
    file is missing, unreadable or no state dict, or if nothing matches; the network is then as
    it was.
    """
    path = Path(path)
    own = network.state_dict()
    try:
        found = for_head(own, named_tensors(path, map_location))
        taken = fitting(own, found.tensors)
    except NotWeightsError as error:
        raise _no_match(own, error, path) from error
    edges = absent_edges(own, found.tensors)
    report = replace(compare(own, found.tensors), edges=edges, origin=str(found))
    if not report.matched:
        raise _no_match(own, NotWeightsError(f"holds {found.described}"), path)
    network.load_state_dict(taken, strict=False)
    for edge in edges:
        silence(network.get_submodule(edge))
    return report


def load_pretrained(network: nn.Module, config: Config) -> WeightsReport:
    """Load the weights that a yaml names, say what matched, and accept no partly untrained trunk.

    Raise WeightsError as `load_weights` does, and if any tensor outside `START_ANEW` is missing
    or reshaped.
    """
    named = pretrained_name(config)
    if not named:
        value = shown(config.sections["MODEL"].get("PRETRAINED", ""))
        error = NotWeightsError(f"names none (MODEL.PRETRAINED is {value!r})")
        raise _no_match(network.state_dict(), error, Path(config.path))
    path = pretrained_file(config) or Path(named)
    report = load_weights(network, path)
    if trunk := [name for name in report.untrained if not any(p in name for p in START_ANEW)]:
        wrong = f"{report}: {len(trunk)} tensors before the head would start untrained"
        allowed = f"weights of this very trunk ({shown(trunk[0])} does not fit)"
        raise WeightsError(Fault("MODEL.PRETRAINED", named, wrong, allowed, file=str(path)))
    say(f"{path}: {report}")
    return report


def say(text: str) -> None:
    """Log what a user of the Python API has to know; print it where nobody has set up logging."""
    if LOGGER.hasHandlers():
        LOGGER.info(text)
    elif LOGGER.isEnabledFor(logging.INFO):
        warn_on_stderr(text)


def save_weights(
    weights: nn.Module | Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write a state dict and its metadata as safetensors: the whole file or none.

    Raise StorageLostError where it cannot be written.
    """
    path = Path(path)
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    # The format stores dense rows only; a channels_last network has others.
    dense = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_whole(path, safetensors.torch.save(dense, dict(metadata)))


def named_tensors(path: Path, map_location: str | torch.device = "cpu") -> Found:
    """Return the tensors of a file under the names of the bare network, and how they were found.

    Raise NotWeightsError if it holds none.
    """
    return hrnet_tensors(read_content(path, map_location))


def for_head(own: Mapping[str, Tensor], found: Found) -> Found:
    """Return what was found with a plain head as the auxiliary one of a network that has OCR.

    As the official `seg_hrnet_ocr.py` reads weights.
    """
    plain, auxiliary = HEADS[PLAIN][0], HEADS[OCR][0]
    names = [name for name in found.tensors if name.startswith((plain, auxiliary))]
    if not any(name.startswith(auxiliary) for name in own) or not names:
        return found
    if any(name.startswith(auxiliary) for name in names):
        return found
    tensors = {
        auxiliary + name.removeprefix(plain) if name in names else name: tensor
        for name, tensor in found.tensors.items()
    }
    return replace(found, tensors=tensors, notes=(*found.notes, "last_layer as aux_head"))


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


def fitting(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that a network takes from a file, by name and shape.

    Raise NotWeightsError if one of them is not of finite real numbers, or a variance below 0: torch
    would copy quantised or complex ones without a word, as another network.
    """
    taken = {n: t for n, t in found.items() if n in own and own[n].shape == t.shape}
    for name, tensor in taken.items():
        if not own[name].is_floating_point():
            continue
        if wrong := _unusable(tensor):
            remedy = "save its weights as dense tensors of finite floating-point numbers"
            raise NotWeightsError(f"holds {shown(name)} {wrong}", remedy)
        if name.endswith(VARIANCE) and (tensor < 0).any():
            wrong = f"holds {shown(name)} with values below 0, which no variance has"
            raise NotWeightsError(wrong, "save the weights of a network as it was trained")
    return taken


def _unusable(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "without its values (on the meta device)"
    if tensor.layout != torch.strided:
        return f"as {tensor.layout}"
    if tensor.dtype not in FLOATS:
        return f"as {tensor.dtype}"
    # In float32, which not all that float64 holds fits.
    return "" if tensor.float().isfinite().all() else "with values that are not finite"


def _counted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: tensor for n, tensor in tensors.items() if not n.endswith(COUNTER)}


def absent_edges(own: Iterable[str], found: Iterable[str]) -> tuple[str, ...]:
    """Return the edges of the last fusion if a file has those to the highest resolution alone.

    So have pose_hrnet and others built with `multi_scale_output` False.
    """
    last = max((int(m[1]) for name in own if (m := _LAST_STAGE.match(name))), default=-1)
    start = f"stage4.{last}.fuse_layers."
    given = {name for name in found if name.startswith(start)}
    if not given or any(not name.startswith(f"{start}0.") for name in given):
        return ()
    edges = (".".join(name.split(".")[:5]) for name in own if name.startswith(start))
    return tuple(dict.fromkeys(edge for edge in edges if not edge.startswith(f"{start}0.")))


def silence(edge: nn.Module) -> None:
    """Let an edge add zero until it has learned: its last batch norm starts at gamma zero."""
    norms = [part for part in edge.modules() if isinstance(part, nn.BatchNorm2d)]
    nn.init.zeros_(norms[-1].weight)


def _no_match(own: Mapping[str, Tensor], error: NotWeightsError, path: Path) -> WeightsError:
    wrong = f"0 of {len(_counted(own))} tensors match: the file {error.wrong}"
    return WeightsError(refusal(path, NotWeightsError(wrong, error.remedy)))


def refusal(path: str | Path, error: NotWeightsError) -> Fault:
    """Return the fault of a weight file: what it is, and what to do about it."""
    allowed = "" if error.remedy else WEIGHTS
    return Fault("", str(path), error.wrong, allowed, str(path), instead=error.remedy)
