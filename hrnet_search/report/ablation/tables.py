"""The tables of an ablation: csv and json for programs, md and tex for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from hrnet_search.counts import short
from hrnet_search.errors import counted, shown
from hrnet_search.files import write_file
from hrnet_search.parts import Parts
from hrnet_search.report.ablation.plots import write_ablation_plots
from hrnet_search.report.style import Style
from hrnet_search.report.tables import csv_bytes
from hrnet_search.report.trust.latency_doubt import study_doubts
from hrnet_search.report.trust.trials import version_warning
from hrnet_search.store.ablation import AblationRecord, ArmRow, EffectRow, OtherDifference
from hrnet_search.store.study import Study

COLUMNS = (
    "name", "kind", "match", "mean", "sd", "low", "high", "image_low", "image_high", "p",
    "p_family", "p_equivalent", "verdict", "params", "macs", "latency_ms", "latency_low",
    "latency_high", "latency_noisy", "note",
)  # fmt: skip
HEADER = (
    "difference", "mIoU (points)", "95% interval", "p", "p (family)", "verdict", "seeds",
    "params", "MACs", "latency (ms)",
)  # fmt: skip
OTHER_COLUMNS = ("mean", "sd", "low", "high", "p", "p_family", "verdict")
OTHER_HEADER = ("{} (points)", "its interval", "its p (family)", "its verdict")

INTERIM = (
    "verdicts are interim: they may change until every training has ended; one at which an ablation"
    " is stopped because it is there is worth less than its p"
)
NONE = "-"
TEX_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
KINDS = ("arm", "main effect", "interaction")


def write_ablation(
    study: Study, folder: Path, parts: Parts, style: Style | None = None
) -> tuple[Path, ...]:
    """Write tables and plots of the ablation in a study; nothing for a study without one."""
    record = study.notes.ablation
    if record is None:
        return ()
    written = [_write_table(name, record, study, folder / name, parts) for name in TABLES]
    return (*filter(None, written), *write_ablation_plots(record, folder, parts, style))


def _write_table(
    name: str, record: AblationRecord, study: Study, path: Path, parts: Parts
) -> Path | None:
    return parts.make(path, lambda: write_file(path, TABLES[name](record, study)))


def study_remarks(study: Study) -> list[str]:
    """Return what speaks against an ablation by the study that it was made in."""
    mixed = version_warning(study.trials())
    return [*(f"latency: {doubt}" for doubt in study_doubts(study)), *filter(None, [mixed])]


def effects_table(record: AblationRecord) -> pd.DataFrame:
    """Return a row a difference; accuracies in fractions, seeds as text."""
    others = _others(record)
    rows = [
        {
            **{c: getattr(e, c) for c in COLUMNS},
            "seeds": _seeds(e.seeds),
            **{k: v for other in others for k, v in other.row(e).items()},
        }
        for e in record.effects
    ]
    more = [column for other in others for column in other.columns]
    return pd.DataFrame(rows, columns=[*COLUMNS, "seeds", *more])


def has_soft(record: AblationRecord) -> bool:
    """Return whether any difference is known in soft IoU too."""
    return any(effect.soft for effect in record.effects)


@dataclass(frozen=True, slots=True)
class _Other:
    """An accuracy that differences are judged in beside mIoU: `name` in columns, `label` in tables.

    `margin` is None for soft IoU, which has none.
    """

    name: str
    label: str
    of: Callable[[EffectRow], OtherDifference | None]
    margin: float | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The numbers of a difference in it that a table has."""
        return (*OTHER_COLUMNS, *(("p_equivalent",) if self.margin is not None else ()))

    @property
    def columns(self) -> list[str]:
        return [f"{self.name}_{field}" for field in (*self.fields, "seeds")]

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(cell.format(self.label) for cell in OTHER_HEADER)

    def row(self, effect: EffectRow) -> dict[str, object]:
        """Return what is known of a difference, by column; nothing where no seed has it."""
        found = self.of(effect)
        if found is None:
            return {}
        values = [*(getattr(found, field) for field in self.fields), _seeds(found.seeds)]
        return dict(zip(self.columns, values, strict=True))

    def cells(self, effect: EffectRow) -> tuple[str, ...]:
        found = self.of(effect)
        if found is None:
            return (NONE,) * len(OTHER_HEADER)
        interval = NONE if found.low is None else f"{_points(found.low)} to {_points(found.high)}"
        return _points(found.mean), interval, _p(found.p_family), found.verdict

    @property
    def remark(self) -> str:
        """What a reader has to know of it."""
        if self.margin is None:
            return (
                f"{self.label} is the IoU of probabilities, in points of percent, paired by seed,"
                " tested as mIoU is, in families of its own; it has no margin of equivalence"
            )
        return (
            f"{self.label} is tested as mIoU is, in families of its own; equivalent: within"
            f" {100 * self.margin:g} points"
        )


def _others(record: AblationRecord) -> list[_Other]:
    soft = [_Other("soft", "soft IoU", lambda effect: effect.soft)] if has_soft(record) else []
    return soft + [
        _Other(one.name, one.label, lambda effect, i=i: effect.others[i], one.margin)  # type: ignore[misc]
        for i, one in enumerate(record.margins)
    ]


def _seeds(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))


def ablation_lines(record: AblationRecord, beside: Sequence[str] = ()) -> list[str]:
    """Return the answer for a terminal: what is known of each difference, and what is missing.

    `beside` are what speaks against its latencies.
    """
    rows = [_header(record), *(_cells(record, e) for e in record.effects)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
             for row in rows]  # fmt: skip
    remarks = _remarks(record, beside)
    return [f"{record.name}: {_progress(record)}", "", *lines, "", *remarks]


def markdown(record: AblationRecord, beside: Sequence[str] = ()) -> str:
    """Return the ablation as Markdown: the differences, the arms, what is missing, how counted."""
    effects = [_header(record), *(_cells(record, e) for e in record.effects)]
    arms = [("arm", *record.factors, "widths", "params", "MACs", "mIoU", "sd", "seeds")]
    arms += [_arm_cells(arm) for arm in record.arms]
    lines = [f"# Ablation {record.name}", "", f"{_progress(record)}. {_reference(record)}", ""]
    lines += [*_pipes(effects), "", "## Arms", "", *_pipes(arms), ""]
    lines += ["## How to read it", ""]
    lines += [f"- {line}" for line in _remarks(record, beside)]
    return "\n".join(lines) + "\n"


def latex(record: AblationRecord, beside: Sequence[str] = ()) -> str:
    """Return the differences as tables in booktabs, ready for a paper.

    Each accuracy beside mIoU has a table of its own: together they are wider than a page.
    """
    rows = [_header(record), *(_cells(record, effect) for effect in record.effects)]
    tables = [_tabular(record, "lrrrrlrrrr", [row[: len(HEADER)] for row in rows])]
    for start in range(len(HEADER), len(rows[0]), len(OTHER_HEADER)):
        part = [(row[0], *row[start : start + len(OTHER_HEADER)]) for row in rows]
        tables.append(_tabular(record, "lrrrl", part))
    notes = "\n".join(f"% {_ascii(line)}" for line in _remarks(record, beside))
    return "\n".join(["% needs \\usepackage{booktabs}", *tables, notes]) + "\n"


def _tabular(record: AblationRecord, columns: str, rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of them the header, as a table with a line between kinds."""
    header, *body = rows
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", _tex_row(header), "\\midrule"]
    kind = ""
    for effect, row in zip(record.effects, body, strict=True):
        if kind and effect.kind != kind:
            lines.append("\\midrule")
        kind = effect.kind
        lines.append(_tex_row(row))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _header(record: AblationRecord) -> tuple[str, ...]:
    interval = f"{record.confidence} interval"
    named = {"95% interval": interval}
    if record.interim:
        named["verdict"] = "interim verdict"
    found = tuple(named.get(name, name) for name in HEADER)
    return (*found, *(cell for other in _others(record) for cell in other.header))


def _cells(record: AblationRecord, effect: EffectRow) -> tuple[str, ...]:
    points = _points(effect.mean)
    interval = NONE if effect.low is None else f"{_points(effect.low)} to {_points(effect.high)}"
    latency = NONE
    if effect.latency_ms is not None:
        latency = f"{effect.latency_ms:+z.2f}"
        if effect.latency_noisy:
            latency += " noisy"
        elif effect.latency_low is not None and effect.latency_high is not None:
            latency += f" [{effect.latency_low:+z.2f}, {effect.latency_high:+z.2f}]"
    return (
        effect.name,
        points,
        interval,
        _p(effect.p),
        _p(effect.p_family),
        effect.verdict,
        f"{len(effect.seeds)}/{len(record.seeds)}",
        _signed(effect.params),
        _signed(effect.macs),
        latency,
        *(cell for other in _others(record) for cell in other.cells(effect)),
    )


def _arm_cells(arm: ArmRow) -> tuple[str, ...]:
    done = sum(value is not None for value in arm.miou)
    return (
        arm.name,
        *arm.levels,
        arm.widths,
        short(arm.params),
        f"{short(arm.macs)} ({arm.ratio:.1%})",
        NONE if arm.mean is None else f"{arm.mean:.2%}",
        NONE if arm.sd is None else f"{arm.sd:.2%}",
        f"{done}/{len(arm.miou)}",
    )


def _progress(record: AblationRecord) -> str:
    arms = len({(arm.architecture, arm.schedule) for arm in record.arms})
    return (
        f"{record.design}, {arms} arms x {len(record.seeds)} seeds, {record.ended} of"
        f" {record.trainings} trainings ended"
    )


def _reference(record: AblationRecord) -> str:
    pairs = zip(record.factors, record.reference, strict=True)
    return f"The reference is {', '.join(f'{name}={level}' for name, level in pairs)}."


def _remarks(record: AblationRecord, beside: Sequence[str]) -> list[str]:
    """Return what the numbers are and what they are not."""
    judged = [effect for effect in record.effects if effect.in_family]
    sizes = [(kind, sum(e.kind == kind for e in judged)) for kind in KINDS]
    family = ", ".join(counted(count, kind) for kind, count in sizes if count) or "none yet"
    how = (
        "mIoU differences are paired by seed, in points of percent; intervals are t intervals of"
        " each difference alone; p is a sign-flip test, p (family) its maximum statistic over"
        f" joint flips of all of one kind ({family}), not below {record.least_p:.4g} here"
    )
    lines = [
        *([INTERIM] if record.interim else []),
        how,
        *_missing(record),
        *(other.remark for other in _others(record)),
    ]
    if record.margin is not None:
        lines.append(
            f"equivalent: within {100 * record.margin:g} points by two one-sided t tests, Holm's"
            " correction"
        )
    if record.noise is not None:
        reach = "nothing" if record.detectable is None else f"{100 * record.detectable:.2f} points"
        lines.append(
            f"seed noise of a paired difference: {100 * record.noise:.2f} points (sd); found with"
            f" 80% power: {reach}"
        )
    lines += _image_spread(record)
    if record.aliases:
        pairs = "; ".join(f"{a} = {b}" for a, b in record.aliases)
        lines.append(f"resolution {record.resolution}, cannot be separated: {pairs}")
    lines += [f"{e.name}: {e.note}" for e in record.effects if e.note]
    noisy = [e.name for e in record.effects if e.latency_noisy]
    if noisy:
        lines.append(
            "latency differences marked noisy say nothing of which arm is faster: an interval"
            f" behind them did not close ({'; '.join(noisy)})"
        )
    return [*lines, *beside, *record.notes]


def _missing(record: AblationRecord) -> list[str]:
    lines = []
    for arm in record.arms:
        by_why: dict[str, list[int]] = {}
        for one in arm.missing:
            by_why.setdefault(one.why, []).append(one.seed)
        for why, seeds in by_why.items():
            lines.append(f"missing: {arm.name}, seeds {', '.join(map(str, seeds))}: {why}")
    if lines:
        lines.append(
            "a difference counts only seeds that all of its arms have; an arm that fails on some"
            " seeds is not as good as its mean over the others"
        )
    return lines or ["no seed is missing"]


def _image_spread(record: AblationRecord) -> list[str]:
    parts = [
        f"{e.name} {_points(e.image_low)} to {_points(e.image_high)}"
        for e in record.effects
        if e.image_low is not None
    ]
    if not parts:
        return []
    return [f"spread over validation images (paired bootstrap, seeds held): {'; '.join(parts)}"]


def _pipes(rows: Sequence[Sequence[str]]) -> list[str]:
    safe = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return [f"| {' | '.join(row)} |" for row in (safe[0], rule, *safe[1:])]


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + r" \\"


def _tex(text: str) -> str:
    return "".join(TEX_SPECIAL.get(c, c) for c in _ascii(text))


def _ascii(text: str) -> str:
    return shown(text, len(text) * 4).encode("ascii", "replace").decode()


def _points(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:+z.2f}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _signed(value: float) -> str:
    return "0" if value == 0 else ("+" if value > 0 else "-") + short(abs(value))


def _json(record: AblationRecord, _: Study) -> bytes:
    plain = asdict(record)
    if not has_soft(record):  # as before it was kept
        for row in (*plain["arms"], *plain["effects"]):
            for name in ("soft_iou", "soft"):
                row.pop(name, None)
    return (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode()


TABLES: dict[str, Callable[[AblationRecord, Study], bytes]] = {
    "ablation.csv": lambda record, _: csv_bytes(effects_table(record)),
    "ablation.json": _json,
    "ablation.md": lambda record, study: markdown(record, study_remarks(study)).encode(),
    "ablation.tex": lambda record, study: latex(record, study_remarks(study)).encode(),
}
"""The content of each table, by its file."""
