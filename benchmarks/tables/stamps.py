"""Does a stamp keep its word: do rankings that are stamped usable beat what is free?

    python -m benchmarks.tables.stamps [--table FILE]

A study has scores of networks of the table by a schedule, and trains some of them for long, spread
over parameters, by one seed; its stamp is that of `hrnet_search/report/trust/statistics.py`. That
its scores truly rank better than log MACs and log parameters do, or not, is said by both
seeds of the truth, over all networks and over those that it did not train for long.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.tables.fill import SHORT, SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, read_table
from benchmarks.tables.judge import Table, table_of
from benchmarks.tables.ranking import Floats, Ints, spread_over
from hrnet_search.report.trust.statistics import (
    STRONG,
    USABLE,
    rank_agreement,
    stamp,
    tau_gain,
)

STUDIES = 100
LONG = (6, 12, 20)
SIGNALS = ("miou", "soft_iou")
COLUMNS = (
    "steps", "signal", "networks for long", "usable", "strong",
    "of these ahead of what is free, all networks", "the others", "not stamped so, ahead",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    table = table_of(read_table(parser.parse_args().table))
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for steps in SHORT:
        for signal in SIGNALS:
            for long in LONG:
                for line in row(table, steps, signal, long):
                    print(line, flush=True)


def row(table: Table, steps: int, signal: str, long: int) -> Iterator[str]:
    """Yield the line of a schedule, none where too few networks have its trainings."""
    scores = [table.of(steps, seed, steps, signal) for seed in SHORT_SEEDS]
    once = table.of(TRUTH, TRUTH_SEEDS[0], TRUTH)
    here = np.flatnonzero(~np.isnan(np.vstack([*scores, once])).any(axis=0))
    if len(here) < long + 5:
        return
    stamps, ahead, elsewhere, missed = Counter[str](), [], [], []
    for number in range(STUDIES):
        rng = np.random.default_rng(number)
        short = scores[number % len(scores)]
        chosen = here[spread_over(table.params[here], long, rng)]
        ranking = rank_agreement(
            short[chosen], once[chosen], (table.macs[chosen], table.params[chosen]), number
        )
        verdict = stamp(ranking).verdict
        stamps[verdict] += 1
        if verdict in (USABLE, STRONG):
            ahead.append(gain(table, short, here) > 0)
            elsewhere.append(gain(table, short, np.setdiff1d(here, chosen)) > 0)
        else:
            missed.append(gain(table, short, here) > 0)
    cells = [str(steps), signal, f"{long} of {len(here)}"]
    cells += [f"{stamps[verdict] / STUDIES:.0%}" for verdict in (USABLE, STRONG)]
    cells += [f"{np.mean(some):.0%}" if some else "" for some in (ahead, elsewhere, missed)]
    yield f"| {' | '.join(cells)} |"


def gain(table: Table, short: Floats, some: Ints) -> float:
    """Return by how much scores rank the truth of networks better than the best free count."""
    free = (np.log(table.macs[some]), np.log(table.params[some]))
    return float(tau_gain(short[some], table.truth()[some], *free))


if __name__ == "__main__":
    main()
