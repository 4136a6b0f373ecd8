"""The table, the tests and the plots of `benchmarks/search.py`, from its results alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import wilcoxon

Record = dict[str, Any]
Runs = dict[tuple[str, str, int], dict[int, Record]]
"""Records by problem, sampler and workers, then by seed."""

OURS = "pareto"
LEVELS = ("0.85", "0.9", "0.95")
SHOWN = ("50", "100", "200")
COLUMNS = (
    "sampler", "seeds", "to .85", "to .90", "to .95", "hours to .90", "share at 50", "at 100",
    "at 200", "distinct", "s a proposal", "p against pareto",
)  # fmt: skip
HELD_OUT = "zdt3"
SIGNIFICANT = 0.05

HEAD = """# How good the search is

Written by `python -m benchmarks.search report` from `benchmarks/search_results.jsonl`; the runs
are made by `python -m benchmarks.search run` (see its help). What is scored is the hypervolume of
the **true means** of all that was trained, in (accuracy, log cost) above a fixed reference point,
as a share of that of the true front. The sampler sees one noisy training at a time.

`pareto after` searches learn from an earlier study: 100 trainings of the same points, whose true
accuracy is made up (`benchmarks/problems/earlier.py`) to be, given cost, correlated with that of
the problem by .95 (alike), .8 (partly) or not at all.

`plain:` are Optuna's samplers as their users run them, `optuna:` the same behind our removal of
duplicates; both have exact costs as objectives. `botorch:`, `smac:` and `syne-tune:` are those
libraries with their defaults (`benchmarks/peers`), behind our removal of duplicates too; BoTorch
knows the exact cost of what it has not tried, the other two do not. `{held_out}` was held out: no
setting of `pareto` was chosen after a look at it. p-values are of Wilcoxon's paired test over the
seeds that both have, corrected by Holm; with fewer than eight such seeds they cannot say anything.

What training in part saves is another question: [fidelity.md](fidelity.md).
"""


def write_report(results: Path, docs: Path) -> None:
    """Write search-quality.md and its plots into `docs`."""
    runs: Runs = defaultdict(dict)
    for line in results.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        run = record["run"]
        key = run["problem"], run["sampler"], run["workers"]
        kept = runs[key].get(run["seed"])
        if kept is None or kept["run"]["trials"] < run["trials"]:
            runs[key][run["seed"]] = record
    problems = sorted({problem for problem, _, _ in runs})
    parts = [HEAD.format(held_out=HELD_OUT), *(_section(runs, problem) for problem in problems)]
    parts += [
        _not_ahead(runs, problems),
        _workers(runs),
        "![Share of the front](search-quality.png)\n",
    ]
    (docs / "search-quality.md").write_text("\n".join(parts), encoding="utf-8")
    _plot(runs, problems, docs / "search-quality.png")


def trainings_to(records: Sequence[Record], level: str) -> NDArray[np.float64]:
    """Return the trainings after which each search had reached a level; inf where it had not."""
    return np.array([r["reached"].get(level, [np.inf])[0] for r in records], dtype=np.float64)


def paired(ours: dict[int, Record], theirs: dict[int, Record], level: str) -> float:
    """Return Wilcoxon's two-sided p for trainings to a level, over the seeds that both have.

    Both are cut off at the shorter budget: what was not reached by then counts as one more.
    """
    seeds = sorted(set(ours) & set(theirs))
    most = min(min(r["run"]["trials"] for r in (ours[s], theirs[s])) for s in seeds)
    found = [
        np.minimum(trainings_to([side[s] for s in seeds], level), most + 1)
        for side in (ours, theirs)
    ]
    if np.array_equal(*found):
        return 1.0
    return float(wilcoxon(*found).pvalue)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values corrected for their number by the rule of Holm (1979), in their order."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def _section(runs: Runs, problem: str) -> str:
    rows = {s: r for (p, s, workers), r in runs.items() if p == problem and workers == 1}
    by_speed = sorted(rows, key=lambda s: tuple(_median(rows[s], level) for level in LEVELS[1::-1]))
    p_values = _corrected(rows)
    lines = [
        f"## {problem}\n",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|" + "--:|" * (len(COLUMNS) - 1),
    ]
    for sampler in by_speed:
        lines.append(_row(sampler, list(rows[sampler].values()), p_values.get(sampler)))
    return "\n".join([*lines, ""])


def _corrected(rows: dict[str, dict[int, Record]]) -> dict[str, float]:
    """Return p of each sampler against ours in trainings to .90, corrected by Holm."""
    others = [sampler for sampler in rows if sampler != OURS]
    if OURS not in rows or not others:
        return {}
    raw = [paired(rows[OURS], rows[sampler], "0.9") for sampler in others]
    return dict(zip(others, holm(raw), strict=True))


def _not_ahead(runs: Runs, problems: Sequence[str]) -> str:
    """Return which other samplers it is not shown to be ahead of, by trainings to .90."""
    lines = [
        "## Where it is not ahead\n",
        "Samplers that know as much as `pareto` and are not significantly behind it (p below .05)",
        "in trainings to .90. Few seeds or a problem that is soon solved may be why.\n",
    ]
    for problem in problems:
        rows = {s: r for (p, s, workers), r in runs.items() if p == problem and workers == 1}
        peers = {s: p for s, p in _corrected(rows).items() if not s.startswith(f"{OURS} after")}
        named = [
            f"{sampler} ({_reached(rows[sampler])} against {_reached(rows[OURS])},"
            f" {len(rows[sampler])} seeds)"
            for sampler, p in peers.items()
            if p >= SIGNIFICANT or _median(rows[sampler], "0.9") < _median(rows[OURS], "0.9")
        ]
        lines.append(f"- {problem}: {', '.join(named) or 'none'}")
    return "\n".join([*lines, ""])


def _reached(records: dict[int, Record]) -> str:
    most = min(r["run"]["trials"] for r in records.values())
    middle = _median(records, "0.9")
    return f"{middle:.0f}" if np.isfinite(middle) else f">{most}"


def _row(sampler: str, records: list[Record], p: float | None) -> str:
    most = min(r["run"]["trials"] for r in records)
    hours = np.median([r["reached"].get("0.9", [0, np.inf])[1] for r in records])
    shares = [[r["share"][n] for r in records if n in r["share"]] for n in SHOWN]
    cells = [
        sampler,
        str(len(records)),
        *(_trainings(records, level, most) for level in LEVELS),
        f"{hours:.0f}" if np.isfinite(hours) else "",
        *(f"{np.mean(s):.3f}" if s else "" for s in shares),
        f"{np.mean([r['distinct'] for r in records]):.0%}",
        f"{np.median([r['ask_mean_s'] for r in records]):.3f}",
        "" if p is None else f"{p:.2g}",
    ]
    return "| " + " | ".join(cells) + " |"


def _trainings(records: list[Record], level: str, most: int) -> str:
    quartiles = np.quantile(trainings_to(records, level), [0.5, 0.25, 0.75], method="nearest")
    middle, low, high = (f"{q:.0f}" if np.isfinite(q) else f">{most}" for q in quartiles)
    return middle if middle == high else f"{middle} ({low} to {high})"


def _median(records: dict[int, Record], level: str) -> float:
    return float(np.quantile(trainings_to(list(records.values()), level), 0.5, method="nearest"))


def _workers(runs: Runs) -> str:
    lines = [
        "## Eight workers against one\n",
        "Share after equal trainings, means over the seeds that both have.\n",
        "| problem | sampler | seeds | at 50 | at 100 | at 200 | hours to .90, one | eight |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for problem, sampler in ((p, s) for p, s, workers in runs if workers == 8):
        one, eight = runs.get((problem, sampler, 1), {}), runs[problem, sampler, 8]
        seeds = sorted(set(one) & set(eight))
        cells = []
        for n in SHOWN:
            both = [
                (one[s]["share"][n], eight[s]["share"][n])
                for s in seeds
                if n in one[s]["share"] and n in eight[s]["share"]
            ]
            first, second = np.mean(both, axis=0) if both else (np.nan, np.nan)
            cells.append(f"{first:.3f} to {second:.3f}" if both else "")
        for side in (one, eight):
            hours = [side[s]["reached"].get("0.9", [0, np.inf])[1] for s in seeds]
            middle = np.median(hours) if hours else np.inf
            cells.append(f"{middle:.0f}" if np.isfinite(middle) else "")
        lines.append(f"| {problem} | {sampler} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _plot(runs: Runs, problems: Sequence[str], path: Path) -> None:
    """Draw median shares with quartiles, over trainings above and over hours below."""
    figure = Figure(figsize=(4 * len(problems), 7), layout="constrained")
    axes = figure.subplots(2, len(problems), squeeze=False, sharey="col")
    samplers = list(dict.fromkeys(sampler for _, sampler, _ in runs))
    colours = {sampler: f"C{number}" for number, sampler in enumerate(samplers)}
    for (problem, sampler, workers), by_seed in runs.items():
        if workers != 1:
            continue
        column, records = problems.index(problem), list(by_seed.values())
        counts = [n for n in records[0]["share"] if all(n in r["share"] for r in records)]
        shares = np.array([[r["share"][n] for n in counts] for r in records])
        low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75], axis=0)
        hours = np.median([[r["hours"][n] for n in counts] for r in records], axis=0)
        for row, x in enumerate((np.array(counts, dtype=np.float64), hours)):
            axes[row, column].plot(x, middle, label=sampler, color=colours[sampler], lw=1.5)
            axes[row, column].fill_between(x, low, high, color=colours[sampler], alpha=0.12, lw=0)
            axes[row, column].set_xscale("log")
    for column, problem in enumerate(problems):
        axes[0, column].set(title=problem, xlabel="trainings")
        axes[1, column].set(xlabel="simulated GPU-hours, one worker")
    for row in axes:
        row[0].set_ylabel("share of the front's hypervolume")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=60)
