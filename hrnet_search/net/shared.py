"""One set of weights for many networks: each is a slice of it, and what one learns all have.

The set holds, by the official name, each tensor as large as the largest of that name. A network
takes the leading channels of it, a smaller kernel its centre; what is laid side by side by branch
(inputs of the head and of CAT's projections) is taken branch by branch, as `inherit.py` does.
Blocks of different kinds, and chains of different length to a new branch, have nothing in common
but the name: each kind has tensors of its own.

The idea is that of slimmable and once-for-all networks (Yu et al. 2019, arXiv:1812.08928; Cai et
al. 2020, arXiv:1908.09791). Statistics of batch norm are each network's own and not kept here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, WeightsError, listed, shown
from hrnet_search.net.hrnet import (
    INIT_STD,
    OWN_START,
    BasicBlock,
    Bottleneck,
    HighResolutionNet,
    build,
)

BIASES = (
    "last_layer.0.bias", "last_layer.3.bias", "aux_head.0.bias", "aux_head.3.bias",
    "conv3x3_ocr.0.bias", "cls_head.bias",
)  # fmt: skip
"""Biases of convolutions; all others are of batch norms."""

OVER_BRANCHES = ("last_layer.0.weight", "aux_head.0.weight", "conv3x3_ocr.0.weight")
"""Convolutions whose inputs are the branches side by side."""

OVER_TWO = "ocr_distri_head.conv_bn_dropout.0.weight"
"""That whose inputs are the context of pixels and the pixels, side by side."""

SHARED = "shared"
"""The entry of a file's metadata that says how its tensors are laid out."""

Layout = tuple[tuple[int, ...], ...]
"""The shape of a tensor, each dimension as the sizes of the parts that are laid side by side."""

Places = Mapping[str, tuple[str, Layout]]
"""Under which name, and in which layout, each parameter of a network is shared."""


class SharedNetwork(nn.Module):
    """The weights that networks share, named as in the official state dict.

    A name that stands for several kinds of layers has its kind behind it (`shared_names`).
    """

    def __init__(self, layouts: Mapping[str, Layout], classes: int) -> None:
        super().__init__()
        self.layouts, self.classes = dict(layouts), classes
        self.weights = nn.ParameterDict(
            {_key(name): torch.empty([sum(d) for d in dims]) for name, dims in layouts.items()}
        )
        self._start()

    @classmethod
    def of(cls, architectures: Iterable[Architecture], classes: int) -> SharedNetwork:
        """Return fresh weights that have a slice for each of some architectures, at least one."""
        layouts: dict[str, Layout] = {}
        for architecture in architectures:
            for key, layout in places_of(unweighted(architecture, classes)).values():
                layouts[key] = _larger(layouts.get(key, layout), layout)
        return cls(layouts, classes)

    def slices(self, network: HighResolutionNet) -> dict[str, Tensor]:
        """Return a network's parameters, by their names, as slices that pass gradients on.

        They are views, save those laid side by side by branch, which are put together of views.
        Raise ValueError, with a phrase, for a network that has no slice here.
        """
        places = places_of(network)
        if lost := [name for name, place in places.items() if not self._has(*place)]:
            raise ValueError(f"{network.architecture.id} has no slice here ({lost[0]})")
        return self.at(places)

    def at(self, places: Places) -> dict[str, Tensor]:
        """Return the slices at places that this set has, as `slices` does."""
        return {
            name: sliced(self[key], self.layouts[key], layout)
            for name, (key, layout) in places.items()
        }

    def start(self, network: HighResolutionNet) -> tuple[str, ...]:
        """Start a network from copies of its slices; return the parameters that have none.

        Those keep their start, and so do the statistics of batch norm, which have seen nothing.
        """
        places = places_of(network)
        known = {name: place for name, place in places.items() if self._has(*place)}
        network.load_state_dict(self.at(known), strict=False)
        return tuple(name for name in places if name not in known)

    def metadata(self) -> dict[str, str]:
        """Return what `read_shared` needs beside the weights."""
        return {SHARED: json.dumps({"classes": self.classes, "layouts": self.layouts})}

    def _has(self, key: str, layout: Layout) -> bool:
        whole = self.layouts.get(key, ())
        return len(layout) == len(whole) and _larger(whole, layout) == whole

    def __getitem__(self, name: str) -> nn.Parameter:
        return cast("nn.Parameter", self.weights[_key(name)])

    @torch.no_grad()
    def _start(self) -> None:
        """Draw the start as a network's own (`HighResolutionNet`)."""
        for name, layout in self.layouts.items():
            weight = self[name]
            if "fuse_projections" in name:
                shares = [torch.eye(len(weight), size) for size in layout[1]]
                weight.copy_(torch.cat(shares, dim=1)[:, :, None, None])
            elif weight.dim() == 4 and not any(part in name for part in OWN_START):
                nn.init.normal_(weight, std=INIT_STD)
            elif weight.dim() == 4 or name in BIASES:
                bound = 1 / math.sqrt(self[name.replace("bias", "weight")][0].numel())
                nn.init.uniform_(weight, -bound, bound)
            else:
                nn.init.constant_(weight, float(".weight" in name))


def read_shared(path: str | Path) -> SharedNetwork:
    """Return the shared weights of a file that a study kept.

    Raise WeightsError if it is missing, unreadable or holds none.
    """
    try:
        with safe_open(path, "pt") as file:
            known = json.loads((file.metadata() or {})[SHARED])
            layouts = {
                name: tuple(tuple(parts) for parts in layout)
                for name, layout in known["layouts"].items()
            }
            shared = SharedNetwork(layouts, known["classes"])
            shared.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        wrong = f"holds no shared weights ({shown(str(error), 200)})"
        allowed = "what a study with schedule.init: shared kept"
        raise WeightsError(Fault("", str(path), wrong, allowed, file=str(path))) from error
    return shared


def start_from(network: HighResolutionNet, path: str | Path) -> str:
    """Start a network from its slices of the shared weights in a file; return what became of it.

    Raise WeightsError for a file that holds none.
    """
    fresh = start_slices(network, path)
    count = len(list(network.parameters()))
    more = f", {len(fresh)} fresh ({listed(fresh)})" if fresh else ""
    return f"{count - len(fresh)} of {count} tensors from shared weights{more}"


def start_slices(network: HighResolutionNet, path: str | Path) -> tuple[str, ...]:
    """Start a network from its slices of those in a file; return the parameters that have none.

    Raise WeightsError for a file that holds none.
    """
    return _kept(str(path), *_stamp(path)).start(network)


@lru_cache(maxsize=1)
def _kept(path: str, _size: int, _changed: int) -> SharedNetwork:
    """Return the shared weights of a file: thousands of networks may start from it in a row."""
    return read_shared(path)


def _stamp(path: str | Path) -> tuple[int, int]:
    """Return by what a file that changed is known."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- a str from a task
    except OSError:  # who reads it says so
        return 0, 0
    return found.st_size, found.st_mtime_ns


def unweighted(architecture: Architecture, classes: int) -> HighResolutionNet:
    """Return a network on the meta device that computes with weights it is called with.

    For `torch.func.functional_call` in training mode: it keeps no statistics of batch norm.
    """
    with torch.device("meta"):
        network = build(architecture, classes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
    return network


def places_of(network: HighResolutionNet) -> Places:
    """Return where each of a network's parameters is shared."""
    return {name: (key, _layout(network, name)) for name, key in shared_names(network).items()}


def shared_names(network: HighResolutionNet) -> dict[str, str]:
    """Return under which name each of a network's parameters is shared.

    Tensors of a block are shared with those of its kind at its place, those of a chain to a
    new branch with chains as long.
    """
    kinds: dict[str, str] = {}
    for place, module in network.named_modules():
        if isinstance(module, BasicBlock | Bottleneck):
            kinds[place] = type(module).__name__
        elif place.startswith("transition") and _is_chain(module):
            kinds[place] = str(len(cast("nn.Sequential", module)))
    return {
        name: next((f"{name}@{kinds[p]}" for p in _places(name) if p in kinds), name)
        for name, _ in network.named_parameters()
    }


def sliced(weight: Tensor, whole: Layout, wanted: Layout) -> Tensor:
    """Return the part of a tensor of layout `whole` that has layout `wanted`, differentiably."""
    for dim, (parts, sizes) in enumerate(zip(whole, wanted, strict=True)):
        if parts == sizes:
            continue
        if dim >= 2:  # kernels have a common centre
            weight = weight.narrow(dim, (parts[0] - sizes[0]) // 2, sizes[0])
        elif len(parts) == 1:
            weight = weight.narrow(dim, 0, sizes[0])
        else:
            pieces = weight.split_with_sizes(parts, dim)
            some = [p.narrow(dim, 0, n) for p, n in zip(pieces, sizes, strict=False)]
            weight = torch.cat(some, dim)
    return weight


def _layout(network: HighResolutionNet, name: str) -> Layout:
    weight = network.get_parameter(name)
    outs, *rest = ((size,) for size in weight.shape)
    if name in OVER_BRANCHES:
        return outs, network.architecture.stages[3].widths, *rest[1:]
    if name == OVER_TWO:
        return outs, (network.architecture.mid_channels,) * 2, *rest[1:]
    if "fuse_projections" in name:
        width, inputs = weight.shape[:2]
        return outs, (width,) * (inputs // width), *rest[1:]
    return outs, *rest


def _larger(one: Layout, other: Layout) -> Layout:
    """Return the layout that has a place for both."""
    return tuple(
        tuple(max(pair) for pair in zip_longest(*dims, fillvalue=0))
        for dims in zip(one, other, strict=True)
    )


def _is_chain(module: nn.Module) -> bool:
    """Say whether a module of a transition leads to a new branch."""
    return isinstance(module, nn.Sequential) and isinstance(module[0], nn.Sequential)


def _places(name: str) -> Iterable[str]:
    """Return the modules that a tensor is in, the innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _key(name: str) -> str:
    return name.replace(".", "/")  # torch keeps the dot for modules in modules
