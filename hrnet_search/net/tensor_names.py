"""From what a weight file holds to tensors under the official names, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from torch import Size, Tensor

from hrnet_search.arch.architecture import OCR, PLAIN
from hrnet_search.errors import listed, shown
from hrnet_search.net.file_kind import NotWeightsError
from hrnet_search.net.mmseg_names import BACKBONE, DECODE_HEAD, head_from_mmseg
from hrnet_search.net.weight_file import SAVE_TENSORS, StandIn

Tensors = Mapping[str, Tensor]

AVERAGED = ("state_dict_ema", "model_ema", "ema")
WRAPPERS = (*AVERAGED, "state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys that state dicts stand under, first choice first: averaged weights are those that their
trainers judge (timm's `load_checkpoint` prefers them too)."""

DEPTH = 4
"""How far down in a file a state dict is looked for."""

INSIDE = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and checkpointing put into names, wherever a module was wrapped."""

PREFIXES = re.compile(r"^(?:module\.|model\.|backbone\.|encoder\.)+")
HEADS = {
    PLAIN: ("last_layer.",),
    OCR: ("aux_head.", "conv3x3_ocr.", "ocr_distri_head.", "cls_head."),
}
"""How the names of a head's tensors begin; first is what scores each pixel by itself."""

ANCHORS = ("conv1.weight", "conv2.weight", "layer1.0.conv1.weight")
"""Names that every HRNet has (a ResNet lacks the second), and by which its prefix is found."""


@dataclass(frozen=True, slots=True)
class Found:
    """The tensors of a file by the names of the bare network, and how they were found there.

    `of_mmseg` says that its head has the names that mmsegmentation gives it.
    """

    tensors: dict[str, Tensor]
    under: str = ""
    prefix: str = ""
    notes: tuple[str, ...] = ()
    of_mmseg: bool = False

    def __str__(self) -> str:
        """Return how the file was read, empty if it is a plain state dict."""
        parts = [f"under {shown(self.under)}"] if self.under else []
        parts += [f"prefix {shown(self.prefix)} taken off"] if self.prefix else []
        return "; ".join([*parts, *self.notes])

    @property
    def described(self) -> str:
        """Return what there is, for a refusal."""
        where = f" under {shown(self.under)}" if self.under else ""
        prefix = f" named {shown(self.prefix)}*" if self.prefix else ""
        tops = listed(dict.fromkeys(name.partition(".")[0] for name in self.tensors), 8)
        count = "1 tensor" if len(self.tensors) == 1 else f"{len(self.tensors)} tensors"
        return f"{count}{where}{prefix}: {tops}"


def hrnet_tensors(content: object) -> Found:
    """Return the state dict that a file's content holds, whatever is around it.

    Raise NotWeightsError if there is none, or two networks in one.
    """
    found = list(_state_dicts(content))
    if not found:
        raise NotWeightsError(f"holds no state dict: it is {_described(content)}", SAVE_TENSORS)
    trunks = [(under, tensors) for under, tensors in found if _trunks(tensors)]
    # Not every trainer averages the statistics of batch norm: what is not whole is not a choice.
    first = (trunks or found)[0]
    same = [one for one in trunks or found if _holds(one[1], first[1])]
    under, tensors = max(same, key=lambda one: _size(one[1]))
    notes = [f"{other} is there too" for other, _ in trunks if other != under]
    return _bare(tensors, under, notes)


def _state_dicts(content: object, under: str = "") -> Iterator[tuple[str, Tensors]]:
    """Yield each mapping of names to tensors with the keys that lead to it, first choice first."""
    if not isinstance(content, Mapping) or under.count(".") >= DEPTH:
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    if tensors := {name: t for name, t in named.items() if isinstance(t, Tensor)}:
        yield under, {INSIDE.sub("", name): tensor for name, tensor in tensors.items()}
    first = [key for key in WRAPPERS if key in named]
    for key in (*first, *(key for key in named if key not in first)):
        if isinstance(named[key], Mapping):
            yield from _state_dicts(named[key], f"{under}.{key}" if under else key)


def _trunks(tensors: Tensors) -> list[str]:
    """Return the prefix of each HRNet that the names tell of."""
    ends = (name.removesuffix(ANCHORS[0]) for name in tensors if name.endswith(ANCHORS[0]))
    prefixes = [p for p in ends if p == "" or p.endswith(".")]
    return [p for p in prefixes if all(p + anchor in tensors for anchor in ANCHORS)]


def _size(tensors: Tensors) -> int:
    """Return how many tensors the network has, without what else is among them, or may be gone."""
    return len(_own(tensors))


def _holds(tensors: Tensors, others: Tensors) -> bool:
    """Return whether a state dict is of the same network as another, and has all that it has."""
    here = _own(tensors)
    return all(name in here and here[name] == shape for name, shape in _own(others).items())


def _own(tensors: Tensors) -> dict[str, Size]:
    """Return the shapes of a network's tensors by their names, but for counts of batches."""
    prefix = next(iter(_trunks(tensors)), "")
    return {
        name.removeprefix(prefix): tensor.shape
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.endswith("num_batches_tracked")
    }


def _bare(tensors: Tensors, under: str, notes: list[str]) -> Found:
    trunks = _trunks(tensors)
    if len(trunks) > 1:
        named = " and ".join(f"{shown(p)}*" for p in trunks[:3])
        remedy = "save the state dict of the one that is meant"
        raise NotWeightsError(f"holds {len(trunks)} networks, named {named}", remedy)
    if not trunks:
        return _without_trunk(tensors, under)
    prefix = trunks[0]
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    rest = {n: t for n, t in tensors.items() if not n.startswith(prefix)}
    head: dict[str, Tensor] = {}
    if prefix.endswith(BACKBONE):
        around = prefix.removesuffix(BACKBONE) + DECODE_HEAD
        theirs = {n: t for n, t in rest.items() if n.startswith(around)}
        head = head_from_mmseg({DECODE_HEAD + n.removeprefix(around): t for n, t in theirs.items()})
        if head:
            ocr = "cls_head.weight" in head
            what = "OCRHead" if ocr else "FCNHead"
            missing = "missing biases" if ocr else "missing bias"
            notes = [*notes, f"an {what} of mmsegmentation, its {missing} zero"]
            rest = {n: t for n, t in rest.items() if n not in theirs}
            own |= head
    if twice := [name for name in rest if name in own]:
        raise NotWeightsError(f"holds {twice[0]} twice, with and without {shown(prefix)}")
    return Found(own | rest, under, prefix, tuple(notes), bool(head))


def _without_trunk(tensors: Tensors, under: str) -> Found:
    """Return tensors of which no HRNet could be made: a head alone, or another network."""
    known = {PREFIXES.sub("", name): tensor for name, tensor in tensors.items()}
    if len(known) < len(tensors):
        raise NotWeightsError("holds names twice, with and without a prefix")
    return Found(known, under, _shared_prefix(tensors))


def _shared_prefix(names: Iterable[str]) -> str:
    """Return the whole parts that all names begin with."""
    parts = [name.split(".")[:-1] for name in names]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))
    return "".join(f"{level[0]}." for level in shared)


def _described(content: object) -> str:
    """Return in words what a file holds that holds no tensors by name."""
    if isinstance(content, StandIn):
        return f"a pickled {shown(content.named)}"
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    pickled = [f"a pickled {shown(v.named)} under {shown(str(k))}" for k, v in content.items()
               if isinstance(v, StandIn)]  # fmt: skip
    keys = listed((str(key) for key in content), 8) or "no keys"
    return f"a dict of {keys}" + (f" ({listed(pickled, 2)})" if pickled else "")
