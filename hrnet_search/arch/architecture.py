"""Stage and Architecture: one HRNet fully specified, with every problem and a canonical id.

The rules follow the official `lib/models/seg_hrnet.py` (branch HRNet-OCR) where it has them;
where it builds a network that crashes or holds dead parameters, this is stricter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hrnet_search.content_hash import hash_of
from hrnet_search.errors import ArchitectureError, Fault, shown
from hrnet_search.paths import expanded

EXPANSION = {"BASIC": 1, "BOTTLENECK": 4}
"""Output channels of a block over its channel count, by block kind."""

FUSE_METHODS = ("SUM", "CAT")
FINAL_KERNELS = (1, 3)
PLAIN, OCR = "seg_hrnet", "seg_hrnet_ocr"
HEADS = (PLAIN, OCR)
"""Heads by the model of the official library that has them (MODEL.NAME)."""

HEAD_WORDS = {"plain": PLAIN, "ocr": OCR}
"""Heads as a space file calls them."""

MID_CHANNELS, KEY_CHANNELS = 512, 256
"""MODEL.OCR of the official `lib/config/default.py`."""

MAX_BRANCHES = 4
MAX_COUNT = 4096
"""Largest channel, block and module count that is taken as meant."""

STEM_CHANNELS = 64

Canonical = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: `modules` times (parallel branches of blocks, then fusion).

    `blocks` and `channels` have one entry a branch, highest resolution first. Channels are
    as the yaml lists them: a BOTTLENECK branch puts out four times as many.
    """

    modules: int
    block: str
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    fuse: str = "SUM"

    @property
    def branches(self) -> int:
        return len(self.channels)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that each branch puts out."""
        return tuple(c * EXPANSION[self.block] for c in self.channels)


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network, fully specified; whatever changes the computation is in, classes are not.

    `final_kernel` is read by the plain head alone, `mid_channels` and `key_channels` (the widths
    of pixels and classes, and of what is compared between them) by the OCR head alone.
    """

    stages: tuple[Stage, Stage, Stage, Stage]
    head: str = PLAIN
    final_kernel: int = 1
    align_corners: bool = False
    mid_channels: int = MID_CHANNELS
    key_channels: int = KEY_CHANNELS

    @classmethod
    def from_yaml(cls, path: str | Path) -> Architecture:
        """Read an HRNet-library yaml; raise ArchitectureError with every problem."""
        # The dialect builds on this module, so it can only be met here.
        from hrnet_search.arch.hrnet_yaml import read_config

        return read_config(expanded(str(path))).architecture

    def to_yaml(self, path: str | Path, like: str | Path | None = None) -> None:
        """Write a complete HRNet-library config.

        The sections that are not architecture are those of the yaml `like`, or Cityscapes
        defaults. Raise ArchitectureError if this architecture or `like` is not valid,
        StorageLostError where the file cannot be written.
        """
        from hrnet_search.arch.hrnet_yaml import write_config

        write_config(self, expanded(str(path)), None if like is None else expanded(str(like)))

    @property
    def id(self) -> str:
        """`hr-` and 12 hex digits; equal for two spellings of one computation."""
        return "hr-" + hash_of(self.canonical())

    @property
    def has_ocr(self) -> bool:
        """Whether it has the OCR head, and so an auxiliary output in training."""
        return self.head == OCR

    @property
    def width(self) -> int:
        """Channel count of the last stage's first branch."""
        return self.stages[3].channels[0]

    def canonical(self) -> Canonical:
        """Return the computation as nested tuples, the same for every way to spell it.

        It lists what is computed in order, not which stage it stands in: a stage without
        modules is its transition, a transition between equal widths is nothing, a branch
        alone is a row of blocks. Raise ArchitectureError if the architecture is not valid.
        """
        self.check()
        first = self.stages[0]
        steps: list[Canonical] = [(first.block, first.channels[0])] * first.blocks[0]
        widths = first.widths
        for stage in self.stages[1:]:
            if stage.widths != widths:
                steps.append(("transition", stage.widths))
                widths = stage.widths
            steps += _module_steps(stage) * stage.modules
        read = (self.mid_channels, self.key_channels) if self.has_ocr else self.final_kernel
        return (self.head, read, bool(self.align_corners), tuple(steps))

    def problems(self) -> tuple[Fault, ...]:
        """Return every problem, each with its path, its value and what is allowed."""
        if not isinstance(self.stages, tuple) or len(self.stages) != 4:
            return (Fault("STAGES", self.stages, "there must be exactly four stages"),)
        faults = [f for i, stage in enumerate(self.stages) for f in stage_problems(stage, i + 1)]
        if not faults:
            faults += order_problems(self.stages)
        faults += choice_problems("MODEL.NAME", self.head, HEADS)
        faults += choice_problems("FINAL_CONV_KERNEL", self.final_kernel, FINAL_KERNELS)
        if self.has_ocr:
            faults += ocr_problems(self.mid_channels, self.key_channels)
        faults += choice_problems("ALIGN_CORNERS", self.align_corners, (False, True))
        return tuple(faults)

    def check(self) -> None:
        """Raise ArchitectureError with every problem, if there is one."""
        if faults := self.problems():
            raise ArchitectureError(faults)


def _module_steps(stage: Stage) -> list[Canonical]:
    if stage.branches == 1:  # never fused
        return [(stage.block, stage.channels[0])] * stage.blocks[0]
    return [("module", stage.block, stage.blocks, stage.channels, stage.fuse)]


def stage_problems(stage: Stage, number: int) -> list[Fault]:
    """Return every problem of one stage by itself; `number` counts from 1."""
    name = f"STAGE{number}"
    faults = _count_problems(f"{name}.NUM_MODULES", stage.modules, 1 if number == 1 else 0)
    faults += choice_problems(f"{name}.BLOCK", stage.block, tuple(EXPANSION))
    faults += choice_problems(f"{name}.FUSE_METHOD", stage.fuse, FUSE_METHODS)
    most = 1 if number == 1 else MAX_BRANCHES
    for key, counts in (("NUM_BLOCKS", stage.blocks), ("NUM_CHANNELS", stage.channels)):
        path = f"{name}.{key}"
        if not isinstance(counts, tuple) or not 1 <= len(counts) <= most:
            allowed = "one entry" if most == 1 else f"1 to {most}, one a branch"
            faults.append(Fault(path, counts, f"{shown(counts)} has not the right length", allowed))
            continue
        faults += [f for c in counts for f in _count_problems(path, c, 1)]
    if not faults and len(stage.blocks) != len(stage.channels):
        wrong = f"{len(stage.blocks)} block counts for {len(stage.channels)} channel counts"
        faults.append(Fault(f"{name}.NUM_BLOCKS", stage.blocks, wrong, "one a branch"))
    return faults


def order_problems(stages: tuple[Stage, ...]) -> list[Fault]:
    """Return where four stages, sound by themselves, have fewer branches than the one before."""
    faults = []
    for number, (before, stage) in enumerate(pairwise(stages[1:]), start=3):
        if stage.branches < before.branches:
            wrong = f"{stage.branches} branches after {before.branches} in STAGE{number - 1}"
            allowed = f"{before.branches} to {MAX_BRANCHES}, branches never decrease"
            faults.append(Fault(f"STAGE{number}.NUM_BRANCHES", stage.branches, wrong, allowed))
    return faults


def ocr_problems(mid_channels: object, key_channels: object) -> list[Fault]:
    """Return every problem of the widths of an OCR head."""
    mid = _count_problems("OCR.MID_CHANNELS", mid_channels, 1)
    return mid + _count_problems("OCR.KEY_CHANNELS", key_channels, 1)


def _count_problems(path: str, value: object, least: int) -> list[Fault]:
    if type(value) is int and least <= value <= MAX_COUNT:
        return []
    allowed = f"an integer from {least} to {MAX_COUNT}"
    return [Fault(path, value, f"{shown(value)} is not a count", allowed)]


def choice_problems(path: str, value: object, allowed: tuple[object, ...]) -> list[Fault]:
    """Return that a value is none of those allowed, if so."""
    # `1 == True`, so the kind of a value counts too.
    if any(value == a and type(value) is type(a) for a in allowed):
        return []
    names = ", ".join(map(str, allowed))
    return [Fault(path, value, f"{shown(value)} is not known", f"{names}")]
