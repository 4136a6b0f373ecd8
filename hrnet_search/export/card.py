"""The card of an export: what the network costs, how good it is, and how that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from hrnet_search import __version__
from hrnet_search.arch.hrnet_yaml import parse_config
from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.counts import digits
from hrnet_search.errors import shown
from hrnet_search.export.member import Member
from hrnet_search.export.official import branch_notes
from hrnet_search.export.result import SLICE, ExportResult
from hrnet_search.files import write_file
from hrnet_search.library.keys import gpu_count
from hrnet_search.library.writer import UNKNOWN
from hrnet_search.records.latency import Latency
from hrnet_search.store.evaluations import miou_interval, read_confusions

Row = tuple[str, str]
SCHEDULE = (
    "steps", "batch", "crop", "optimiser", "lr", "momentum", "weight_decay", "power", "scale",
    "flip", "precision", "init",
)  # fmt: skip

LAUNCHER = """This runs with torch 1.1 to 1.13 and numpy before 1.24. Newer ones need two lines:

- torch 2 names the option that its launcher gives `--local-rank`; in `tools/train.py`:
  `parser.add_argument("--local-rank", "--local_rank", type=int, default=-1)`
- numpy 1.24 has no `np.int`; after `import numpy as np` in `tools/train.py` and `tools/test.py`:
  `np.int = int`"""
"""What the official trainer needs: by its sources, and the changes of torch 2.0 and numpy 1.24."""


def write_card(
    member: Member, folder: Path, export: ExportResult, latencies: Sequence[Latency] = ()
) -> Path:
    """Write a member's card beside its files, and name those of earlier exports too.

    Raise StorageLostError where it cannot be written.
    """
    earlier = [path for path in member.files_in(folder) if path not in export.written]
    text = card_text(member, export, latencies, earlier)
    return write_file(folder / f"{member.stem}.md", text.encode("utf-8", "backslashreplace"))


def card_text(
    member: Member,
    export: ExportResult,
    latencies: Sequence[Latency] = (),
    earlier: Sequence[Path] = (),
) -> str:
    """Return the card as markdown.

    `latencies` are measured on exported files; `earlier` are files that an export before this one
    left beside them.
    """
    measured = [member.latency] if member.latency else []
    parts = [
        f"# {member.stem}",
        _table(_identity(member)),
        "## Accuracy",
        _table(_accuracy(member)),
        "## Cost",
        _table([*_cost(member), *map(_latency, (*measured, *latencies))]),
        "## How it was judged",
        _table(_schedule(member)),
        "## Files",
        _files(export, earlier),
        "## Training it in full",
        _training(member, export),
    ]
    return "\n\n".join(parts) + "\n"


def _identity(member: Member) -> Iterator[Row]:
    yield "architecture", member.architecture.id
    yield "study", member.study
    yield "trial", str(member.result.key)
    yield "input", "RGB from 0 to 1, minus mean, divided by std"
    yield "mean, std", f"{list(member.mean)}, {list(member.std)}"
    yield "output", f"logits of {member.classes} classes at a quarter of the input's size"
    yield "written by", f"hrnet-search {__version__}"
    for name, version in member.result.versions:
        yield f"trained with {name}", version


def _accuracy(member: Member) -> Iterator[Row]:
    key = member.result.key
    seeds = [member.result, *(r for r in member.others if r.key.schedule == key.schedule)]
    if member.slices:
        yield "mIoU by its slice of shared weights, not trained", _percent(member.miou)
    elif len(seeds) == 1:
        yield "mIoU", _percent(member.miou)
        yield "seeds", "one: how far another seed would be from it was not measured"
    else:
        yield f"mIoU, mean of {len(seeds)} seeds", _percent(member.miou)
        yield from ((f"mIoU with seed {r.key.seed}", _percent(r.miou)) for r in seeds)
    for one in member.accuracies:
        values = [value for r in seeds if (value := one.of(r)) is not None]
        yield one.label, _percent(fmean(values) if values else None)
    confusions = read_confusions(member.evaluation)
    if confusions is None:
        yield "interval over images", "not known: its evaluation was not kept"
    else:
        low, high = miou_interval(confusions)
        spread = f"{_percent(low)} to {_percent(high)}"
        name = f"95% interval over images, seed {key.seed}"
        yield name, f"{spread} (bootstrap of {len(confusions)} images)"
    for result in member.others:
        if result.key.schedule != key.schedule:
            how = f"by schedule {result.key.schedule}"
            if result.untrained:
                how = "by its slice of shared weights, not trained"
            name = f"mIoU {how}, seed {result.key.seed}"
            yield name, _percent(result.miou)
    yield "weights", f"those of seed {key.seed}"


def _cost(member: Member) -> Iterator[Row]:
    cost, latency = member.result.cost, member.latency
    where = f" of an image of {member.size[0]} x {member.size[1]}" if member.size else ""
    if cost:
        yield "parameters", f"{cost.params:,}"
        yield f"MACs of convolutions{where}", f"{cost.macs:,}"
        yield f"activations of convolutions{where}", f"{cost.activations:,}"
    if latency is None:
        yield "latency", "not measured"


def _latency(found: Latency) -> Row:
    at = found.condition
    condition = (
        f"{at.device}, {at.how}, {at.precision}, batch {at.batch},"
        f" {at.size[0]} x {at.size[1]}, CPU threads {at.threads}, {at.memory_format}"
    )
    doubts = ("; noisy" if found.noisy else "") + ("; busy machine" if found.busy else "")
    value = (
        f"{digits(found.ms)} ms; as measured {digits(found.median_ms)} ms, 95% interval"
        f" {digits(found.low_ms)} to {digits(found.high_ms)} ms{doubts}"
    )
    return f"latency ({condition})", value


def _schedule(member: Member) -> Iterator[Row]:
    key, schedule = member.result.key, member.schedule
    yield "schedule", key.schedule
    yield "seed", str(key.seed)
    for name in SCHEDULE if schedule else ():
        value = getattr(schedule, name)
        yield name, str(list(value) if isinstance(value, tuple) else value)
    if member.data != UNKNOWN:
        yield "data", f"{member.data.kind}, {member.classes} classes"
    yield "data fingerprint", (schedule.fingerprint if schedule else "") or "not noted"


def _files(export: ExportResult, earlier: Sequence[Path]) -> str:
    lines = [f"- `{path.name}`" for path in export.written]
    lines += [f"- `{path.name}`, of an earlier export" for path in earlier]
    lines += [f"- refused: {shown(refusal, 1000)}" for refusal in export.refused]
    return "\n".join(lines) or "none"


def _training(member: Member, export: ExportResult) -> str:
    if reasons := target_problems(HRNET, member.architecture):
        return f"The HRNet library does not train it as it was searched: {'; '.join(reasons)}."
    config = member.config
    sections = parse_config(config.text).sections
    command = (
        f"python -m torch.distributed.launch --nproc_per_node={gpu_count(sections)} tools/train.py"
        f" --cfg FOLDER/{member.stem}.yaml"
    )
    start = f"{member.stem}{SLICE}.pth"
    if any(path.name == start for path in export.written):
        command += f" MODEL.PRETRAINED FOLDER/{start}"
    first = f"First set {', '.join(config.left)}.\n\n" if config.left else ""
    branches = [
        f"branch {name}: {note}" for name, note in branch_notes(member.architecture, sections)
    ]
    notes = "\n".join(f"- {note}" for note in (*config.notes, *branches))
    return (
        f"{first}In the HRNet library (HRNet-Semantic-Segmentation, branch HRNet-OCR), with this"
        f" config (FOLDER: where this card lies, in full):\n\n    {command}\n\n{LAUNCHER}"
        f"\n\n{notes}"
    )


def _percent(miou: float | None) -> str:
    return "not known" if miou is None else f"{100 * miou:.2f}%"


def _table(rows: Iterator[Row] | Sequence[Row]) -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _cell(text: str) -> str:
    """Return text as it may stand in a markdown table, whatever a user called something."""
    safe = shown(text, 300).replace("\\", "\\\\").replace("|", "\\|")
    return safe.replace("<", "&lt;").replace("`", "'")
