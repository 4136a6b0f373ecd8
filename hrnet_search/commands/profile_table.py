"""Configs side by side: their costs, and where latency was measured what it says of widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost
from hrnet_search.arch.cost_table import CostRow, by_stage, total
from hrnet_search.latency_rule import closed, is_slower
from hrnet_search.records.latency import Latency

MULTIPLES = (8, 16)
"""Widths that kernels are written for, so that rounding up to them may cost nothing."""

NOTHING = 0.02
"""Relative latency that counts as none: what two intervals of 1% cannot show."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One config and what is known of it.

    `attention` are the MACs of the matrix products of an OCR head, which are in no `cost`.
    `inference_bytes` and `training_bytes` are estimates; `rows` the table of its costs, empty if
    not asked for; `latency` and `images_per_s` are None where they were not measured.
    `recounted` is the cost that fvcore counts of the built network, None if not asked for.
    """

    config: str
    name: str
    architecture: Architecture
    cost: Cost
    inference_bytes: int
    training_bytes: int
    rows: tuple[CostRow, ...] = ()
    latency: Latency | None = None
    images_per_s: float | None = None
    reused: bool = False
    attention: int = 0
    recounted: Cost | None = None

    @property
    def differs(self) -> bool:
        """Whether fvcore counts another cost of the built network."""
        return self.recounted not in (None, self.cost)


@dataclass(frozen=True, slots=True)
class Rounding:
    """A width and the next multiple of 8 or 16, otherwise the same network.

    `change` is the relative change of latency, `least` to `most` what both intervals allow.
    Nothing follows from it unless both are `closed`.
    """

    narrow: Profile
    wide: Profile
    multiple: int
    change: float
    least: float
    most: float
    closed: bool = True

    def line(self) -> str:
        """Return the advice that follows, for people."""
        here, there = self.narrow.architecture.width, self.wide.architecture.width
        macs = self.wide.cost.macs / self.narrow.cost.macs - 1
        what = f"width {here} rounded up to {there}, a multiple of {self.multiple}"
        more = f"with {macs:.0%} more MACs"
        if not self.closed:
            noisy = [p.name for p in (self.narrow, self.wide) if p.latency and p.latency.noisy]
            return f"{what}: not judged, noisy: {', '.join(noisy)}"
        if self.most < 0:
            return f"{what}, is {-self.change:.1%} faster {more}: round up"
        if self.most <= NOTHING:
            return f"{what}, costs nothing (at most {self.most:.1%}) {more}: round up"
        if self.least > 0:
            return f"{what}, costs {self.change:.1%} latency {more}"
        return f"{what}: what it costs is from {self.least:.1%} to {self.most:+.1%}, {more}"


def inversions(profiles: Sequence[Profile]) -> list[tuple[Profile, Profile]]:
    """Return pairs of which the first has fewer MACs and is slower, beyond both intervals.

    Profiles whose interval did not close are in no pair.
    """
    return [
        (one, other)
        for one in profiles
        for other in profiles
        if one.cost.macs < other.cost.macs
        and one.latency
        and other.latency
        and is_slower(one.latency, other.latency)
    ]


def roundings(profiles: Sequence[Profile]) -> Iterator[Rounding]:
    """Yield what rounding a width up to a multiple of 8 or 16 does, where both were measured."""
    measured = [p for p in profiles if p.latency]
    for narrow in measured:
        for multiple in MULTIPLES:
            rounded = -(-narrow.architecture.width // multiple) * multiple
            for wide in measured:
                alike = _shape(narrow.architecture) == _shape(wide.architecture)
                if alike and narrow.architecture.width < rounded == wide.architecture.width:
                    yield _rounding(narrow, wide, multiple)


def table(profiles: Sequence[Profile], size: Sequence[int], batch: int, train_batch: int) -> str:
    """Return the table for people, with what follows from it below."""
    if not profiles:
        return ""
    header = [
        "config", "params", "MACs", "MACs/1024^3", "activations", "inference", "training",
    ]  # fmt: skip
    attends = any(p.attention for p in profiles)
    header += ["attention"] if attends else []
    timed = [p for p in profiles if p.latency]
    if timed:
        header += ["latency", "95% interval", "p95", "ratio", "peak memory", "images/s"]
    what = (
        f"per image of {size[0]}x{size[1]}; MACs and activations of convolutions; memory of"
        f" inference (batch {batch}) and training (batch {train_batch}) estimated, fp32"
    )
    if attends:
        what += "; attention: MACs of OCR's matrix products, which are no convolutions"
    lines = [what, *aligned([header, *(_cells(p, attends, bool(timed)) for p in profiles)])]
    lines += _verified([p for p in profiles if p.recounted])
    for profile in profiles:
        if profile.rows:
            lines += ["", f"{profile.name}:", *_by_stage(profile.rows)]
    if timed:
        lines += ["", *_conditions(timed)]
    if len(timed) > 1:
        lines += ["", *_findings(timed)]
    return "\n".join(lines)


def as_json(profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """Return a plain object a config, for programs."""
    inverted = inversions(profiles)
    rounded = list(roundings(profiles))
    found = []
    for p in profiles:
        row: dict[str, Any] = {
            "config": p.config,
            "id": p.architecture.id,
            "width": p.architecture.width,
            **asdict(p.cost),
            "attention_macs": p.attention,
            "inference_bytes_estimated": p.inference_bytes,
            "training_bytes_estimated": p.training_bytes,
        }
        if p.recounted:
            row["fvcore"] = asdict(p.recounted)
            row["differs_from_fvcore"] = p.differs
        if p.rows:
            row["stages"] = [asdict(r) for r in p.rows]
        if p.latency:
            row |= _latency_json(p, p.latency)
            row["slower_in_spite_of_fewer_macs_than"] = [o.config for q, o in inverted if q is p]
            row["rounded_up"] = [
                {"config": r.wide.config, "multiple": r.multiple, "change": r.change,
                 "least": r.least, "most": r.most, "noisy": not r.closed}
                for r in rounded if r.narrow is p
            ]  # fmt: skip
        found.append(row)
    return found


def _verified(profiles: Sequence[Profile]) -> list[str]:
    """Return both counts beside each other, of the architecture and of the built network."""
    if not profiles:
        return []
    names = [field.name for field in fields(Cost)]
    rows = [["counted, and by fvcore", *(cell for name in names for cell in (name, "fvcore")), ""]]
    for profile in profiles:
        pairs = [(getattr(profile.cost, n), getattr(profile.recounted, n)) for n in names]
        cells = [f"{count:,}" for pair in pairs for count in pair]
        rows.append([profile.name, *cells, "DIFFERS" if profile.differs else "same"])
    return ["", *aligned(rows)]


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = []
    for row in table:
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *rest]).rstrip())
    return lines


def _rounding(narrow: Profile, wide: Profile, multiple: int) -> Rounding:
    assert narrow.latency is not None
    assert wide.latency is not None
    one, other = narrow.latency, wide.latency
    return Rounding(
        narrow,
        wide,
        multiple,
        change=other.ratio / one.ratio - 1,
        least=other.ratio_low / one.ratio_high - 1,
        most=other.ratio_high / one.ratio_low - 1,
        closed=closed(one, other),
    )


def _shape(architecture: Architecture) -> object:
    """Return what is left of an architecture when its width is taken as the unit."""
    first, *rest = architecture.stages
    width = max(1, architecture.width)
    return (
        first,
        [(s.modules, s.block, s.blocks, s.fuse if s.branches > 1 else "") for s in rest],
        [tuple(Fraction(c, width) for c in s.channels) for s in rest],
        architecture.head,
        (architecture.mid_channels, architecture.key_channels)
        if architecture.has_ocr
        else architecture.final_kernel,
    )


def _cells(profile: Profile, attends: bool, timed: bool) -> list[str]:
    cost = profile.cost
    cells = [
        profile.name,
        f"{cost.params / 1e6:.3f} M",
        f"{cost.macs / 1e9:.3f} G",
        f"{cost.macs / 1024**3:.1f}",
        f"{cost.activations / 1e6:.1f} M",
        f"{profile.inference_bytes / 1e9:.2f} GB",
        f"{profile.training_bytes / 1e9:.2f} GB",
    ]
    if attends:
        cells.append(f"{profile.attention / 1e9:.3f} G")
    return cells + _latency_cells(profile) if timed else cells


def _latency_cells(profile: Profile) -> list[str]:
    found = profile.latency
    if found is None:
        return ["-"] * 6
    marks = "".join(
        f" {mark}"
        for mark, holds in (("noisy", found.noisy), ("busy", found.busy), ("kept", profile.reused))
        if holds
    )
    peak, images = found.peak_memory_bytes, profile.images_per_s
    return [
        f"{found.median_ms:.2f} ms",
        f"{found.low_ms:.2f}-{found.high_ms:.2f} ms{marks}",
        f"{found.p95_ms:.2f} ms",
        f"{found.ratio:.3f}",
        f"{peak / 1e9:.2f} GB" if peak is not None else "-",
        f"{images:.1f}" if images is not None else "-",
    ]


def _conditions(timed: Sequence[Profile]) -> list[str]:
    latencies = [p.latency for p in timed if p.latency]
    at = latencies[0].condition
    where = (
        f"latency on {at.device}, {at.how}, {at.precision}, batch {at.batch}, {at.threads}"
        f" threads, {at.memory_format}; ratio to W18-Small-v1, timed in turns with it"
    )
    notes = {
        "noisy: the interval did not close within 1% in time": any(x.noisy for x in latencies),
        "busy: other processes used the device": any(x.busy for x in latencies),
        "kept: measured before on this device; --again measures now": any(p.reused for p in timed),
    }
    return [where, *(note for note, holds in notes.items() if holds)]


def _findings(timed: Sequence[Profile]) -> list[str]:
    noisy = [p.name for p in timed if p.latency and p.latency.noisy]
    left_out = [f"not judged, as noisy: {', '.join(noisy)}"] if noisy else []
    if len(timed) - len(noisy) < 2:
        return [*left_out, "what is faster is not known"]
    pairs = inversions(timed)
    if pairs:
        lines = ["inversions (fewer MACs, yet slower beyond both intervals):"]
        lines += [f"  {_said(one)} is slower than {_said(other)}" for one, other in pairs]
    else:
        lines = ["no inversions: nothing with fewer MACs is slower beyond both intervals"]
    advice = [f"  {rounding.line()}" for rounding in roundings(timed)]
    lines += left_out
    if not advice:
        return [*lines, "widths: no two of these differ by rounding up to a multiple of 8 or 16"]
    return [*lines, "widths on this device:", *advice]


def _said(profile: Profile) -> str:
    assert profile.latency is not None
    found = profile.latency
    interval = f"{found.ratio_low:.3f}-{found.ratio_high:.3f}"
    return f"{profile.name} ({profile.cost.macs / 1e9:.1f} G, ratio {interval})"


def _by_stage(rows: tuple[CostRow, ...]) -> list[str]:
    header = [
        "stage", "branch", "operation", "convolutions", "params", "MACs", "activations",
        "|", "batch norm", "upsampling", "additions",
    ]  # fmt: skip
    header += ["attention"] if any(row.attention for row in rows) else []
    sums = {row.stage: row for row in by_stage(rows)}
    lines = [header]

    def counts(row: CostRow) -> list[str]:
        return [*_counts(row), f"{row.attention / 1e9:.3f} G"][: len(header) - 3]

    for i, row in enumerate(rows):
        lines.append([str(row.stage), str(row.branch), row.kind, *counts(row)])
        last = i + 1 == len(rows) or rows[i + 1].stage != row.stage
        if last and sums[row.stage].convolutions != row.convolutions:
            lines.append([str(row.stage), "", "all", *counts(sums[row.stage])])
    lines.append(["all", "", "", *counts(total(rows))])
    return aligned(lines)


def _counts(row: CostRow) -> list[str]:
    return [
        str(row.convolutions),
        f"{row.params:,}",
        f"{row.macs / 1e9:.3f} G",
        f"{row.activations / 1e6:.2f} M",
        "|",
        f"{row.norm / 1e6:.2f} M",
        f"{row.upsampling / 1e6:.2f} M",
        f"{row.addition / 1e6:.2f} M",
    ]


def _latency_json(profile: Profile, found: Latency) -> dict[str, Any]:
    return {
        "latency_ms": found.median_ms,
        "low_ms": found.low_ms,
        "high_ms": found.high_ms,
        "p95_ms": found.p95_ms,
        "ratio": found.ratio,
        "ratio_low": found.ratio_low,
        "ratio_high": found.ratio_high,
        "samples": found.samples,
        "noisy": found.noisy,
        "busy": found.busy,
        "reused": profile.reused,
        "peak_memory_bytes": found.peak_memory_bytes,
        "images_per_s": profile.images_per_s,
        **asdict(found.condition),
        "machine": dict(found.machine),
    }
