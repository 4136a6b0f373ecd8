"""What one axis of a space sets, and what each of its levels writes into arrays of networks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import EXPANSION, HEAD_WORDS, HEADS, MAX_BRANCHES

OF_TRAINING = "schedule."
"""How the path of a choice of training begins; what follows is a key of the schedule."""

PATH = re.compile(
    r"width|FINAL_CONV_KERNEL|HEAD|OCR\.(?:MID|KEY)_CHANNELS"
    r"|STAGE(?P<stage>[1-4*])\.(?P<key>NUM_MODULES|NUM_BRANCHES|FUSE_METHOD|BLOCK"
    r"|NUM_BLOCKS|NUM_CHANNELS)(\[(?P<branch>[0-3])\])?"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What one axis sets: a path as space.yaml writes it, and its levels.

    A path that begins with `schedule.` sets how a variant is trained, and nothing of its network.
    A path with `[b]` sets one branch, counted from 0; whole lists of NUM_BLOCKS and
    NUM_CHANNELS are tuples.
    """

    path: str
    values: tuple[Any, ...]

    @property
    def training(self) -> str:
        """The key of the schedule that the choice sets, empty for a choice of the network."""
        return self.path.removeprefix(OF_TRAINING) if self.path.startswith(OF_TRAINING) else ""

    @property
    def stages(self) -> tuple[int, ...]:
        """Indices of the stages that the choice sets, from 0."""
        if self.training:
            return ()
        match = PATH.fullmatch(self.path)
        assert match, self.path
        if self.path == "width" or match["stage"] == "*":
            return (1, 2, 3)
        return (int(match["stage"]) - 1,) if match["stage"] else ()

    @property
    def key(self) -> str:
        """The yaml key that the choice sets."""
        if self.path == "width":
            return "NUM_CHANNELS"
        if self.training:
            return self.path
        match = PATH.fullmatch(self.path)
        assert match, self.path
        return match["key"] or self.path

    @property
    def branch(self) -> int | None:
        """The branch that the choice sets, None if it sets all."""
        match = PATH.fullmatch(self.path)
        return int(match["branch"]) if match and match["branch"] else None

    @property
    def ordered(self) -> bool:
        """Whether levels are numbers that rise or fall: neighbours are then alike."""
        if not all(type(v) in (int, float) for v in self.values):
            return False
        return self.values in (tuple(sorted(self.values)), tuple(sorted(self.values)[::-1]))


@dataclass(frozen=True, slots=True)
class Write:
    """What a choice writes where: worked out once, for it is asked for with every array.

    `column` is the choice's among those of the space. `table` [levels] or [levels, 4] is what each
    level writes; `distinct` says that no two levels write the same number anywhere.
    """

    column: int
    key: str
    stages: tuple[int, ...]
    branch: int | None
    table: NDArray[np.int64]
    distinct: bool

    @classmethod
    def of(cls, column: int, choice: Choice) -> Write:
        table = level_table(choice)
        columns = table.reshape(len(table), -1).T
        distinct = all(len(set(column.tolist())) == len(table) for column in columns)
        return cls(column, choice.key, choice.stages, choice.branch, table, distinct)


OF_STAGES = {
    "NUM_MODULES": "modules",
    "NUM_BRANCHES": "branches",
    "BLOCK": "expansion",
    "NUM_BLOCKS": "blocks",
    "NUM_CHANNELS": "channels",
    "FUSE_METHOD": "cat",
}
"""Arrays of a batch by the key of a choice, those with an entry a stage."""

OF_HEADS = {
    "FINAL_CONV_KERNEL": "final_kernel",
    "HEAD": "ocr",
    "OCR.MID_CHANNELS": "mid_channels",
    "OCR.KEY_CHANNELS": "key_channels",
}
"""Those with one entry."""


def level_table(choice: Choice) -> NDArray[np.int64]:
    """Return what each level writes into the arrays: a number, or one for each branch."""
    if choice.path == "width":
        return np.array([[w * 2**b for b in range(MAX_BRANCHES)] for w in choice.values])
    if choice.key == "BLOCK":
        return np.array([EXPANSION[v] for v in choice.values])
    if choice.key == "FUSE_METHOD":
        return np.array([int(v == "CAT") for v in choice.values])
    if choice.key == "HEAD":
        return np.array([HEADS.index(HEAD_WORDS[v]) for v in choice.values])
    if isinstance(choice.values[0], tuple):
        return np.array([[*v, *[v[-1]] * (MAX_BRANCHES - len(v))] for v in choice.values])
    return np.array(choice.values)
