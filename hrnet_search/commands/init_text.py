"""The files that `init` writes: a space file with its base, in the words of docs/space-yaml.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hrnet_search.arch.architecture import Architecture
from hrnet_search.space.schema import MODELINE

PLAIN = re.compile(r"(?:[A-Za-z/]|\.{1,2}/)[A-Za-z0-9_./-]*")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
CROP, GRID = 512, 32
Size = tuple[int, int]

SHAPES = "data: {kind: shapes, size: [64, 64], train: 256, val: 48}"
SHAPES_SIZE = (64, 64)


@dataclass(frozen=True, slots=True)
class Start:
    """What a space file begins with: its data section, and the size of images where it is known."""

    name: str
    data: Sequence[str]
    size: Size | None
    quick: bool


def space_text(start: Start, base: Architecture) -> str:
    """Return a space file around a base that is written beside it as base.yaml."""
    size = start.size or (512, 1024)
    height, width = (max(GRID, min(CROP, side) // GRID * GRID) for side in size)
    crop = f"[{height}, {width}]"
    known = "" if start.size else "# "
    lines = [
        MODELINE,
        "# Every key: docs/space-yaml.md. hrnet-search check names what is wrong with this file.",
        f"name: {start.name}",
        "base: base.yaml",
        *_vary(base),
        "# target: hrnet                      # only what the HRNet library runs as it is",
        "# limits: {macs: 40G, params: 10M}",
        "objectives: {miou: max, latency_ms: min}",
        *start.data,
        *_schedule(crop, start.quick),
        f"{known}latency: {{size: [{size[0]}, {size[1]}]{', seconds: 1' if start.quick else ''}}}",
        f"search: {{trials: {12 if start.quick else 40}, seed: 0}}",
    ]
    return "\n".join(lines) + "\n"


def data_lines(values: Mapping[str, str], left: Mapping[str, str]) -> list[str]:
    """Return a data section: values as they are written, and in comments what is left to say."""
    known = [f"  {key}: {value}" for key, value in values.items()]
    return ["data:", *known, *(f"  # {key}: {value}" for key, value in left.items())]


def spelled(text: str) -> str:
    """Return a text as a YAML scalar that every reader takes for text."""
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def flow(values: Mapping[str, str]) -> str:
    """Return texts by key as a YAML mapping in one line."""
    return "{" + ", ".join(f"{key}: {spelled(value)}" for key, value in values.items()) + "}"


def _vary(base: Architecture) -> list[str]:
    widths = sorted({max(2, 2 * round(base.width * part / 2)) for part in (0.5, 0.75, 1, 1.5)})
    first, blocks = base.stages[0].channels[0], base.stages[3].blocks[0]
    modules = max(2, base.stages[2].modules)
    rows = [[max(1, blocks // 2)] * 4, [max(2, blocks)] * 4]
    return [
        "vary:",
        f"  width: {widths}              # branch b of stages 2-4 gets width * 2**b channels",
        f"  STAGE1.NUM_CHANNELS: [[{first // 2}], [{first}]]",
        f"  STAGE3.NUM_MODULES: {{from: 1, to: {modules}}}",
        "  STAGE4.NUM_BRANCHES: [3, 4]",
        f'  "STAGE*.NUM_BLOCKS": {rows}',
    ]


def _schedule(crop: str, quick: bool) -> list[str]:
    if quick:
        return [f"schedule: {{steps: 60, batch: 8, optimiser: adamw, warmup: 9, crop: {crop}}}"]
    return [
        "schedule:                             # short; docs/fidelity.md says what to weigh",
        "  steps: 2000",
        "  batch: 8",
        f"  crop: {crop}",
        "  optimiser: adamw",
        "  warmup: 100",
        "  # init: base                        # train the base first, and let variants inherit",
    ]
