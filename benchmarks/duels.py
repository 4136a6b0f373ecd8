"""Duels on made-up differences: how often a network is called better that is not, and is.

    python -m benchmarks.duels            # the rule alone: 10,000 families of duels a row
    python -m benchmarks.duels --studies  # whole studies, 400 of them without a difference
    python -m benchmarks.duels --levels   # the table in hrnet_search/duel_rule.py

Accuracies are normal around a network's own, with the deviation of one seed by 2,400 steps
(.015, benchmarks/tables); a pair's is 1.41 times that where nothing is shared by its trainings.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.duel_rule import (
    ABOVE,
    BELOW,
    BETTER,
    FEWEST_PAIRS,
    MOST_DUELS,
    MOST_PAIRS,
    OPEN,
    WORSE,
    Verdict,
    verdicts,
)
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import COMPLETED, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.plan import Plan
from hrnet_search.space.choice import Choice
from hrnet_search.space.published import PUBLISHED, designs
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.duels import Duels, pairs_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import CONFIRM
from hrnet_search.store.writer import StudyStore

Floats = NDArray[np.float64]

TAILS = (*(BELOW / duels for duels in range(1, MOST_DUELS + 1)), ABOVE)
SAMPLES, CHUNK, KEPT = 4_000_000, 250_000, 0.06
FAMILIES = 10_000


def print_levels(seed: int = 1) -> None:
    """Print the nominal levels by which the chance to cross at any look is a tail."""
    rng, pairs = np.random.default_rng(seed), np.arange(FEWEST_PAIRS, MOST_PAIRS + 1)
    least: list[list[Floats]] = [[] for _ in pairs]
    for _ in range(SAMPLES // CHUNK):
        chances = np.minimum.accumulate(_chances(rng.standard_normal((CHUNK, MOST_PAIRS))), axis=1)
        for column, most in enumerate(pairs):
            scaled = np.sort(chances[:, column] * most)[: int(KEPT * CHUNK)]
            least[column].append(scaled.astype(np.float32))
    for tail in TAILS:
        place = int(tail * SAMPLES)
        found = [np.partition(np.concatenate(rows), place)[place] for rows in least]
        found[0] = tail  # the only look there is
        print(f"    {tail!r}: ({', '.join(f'{floor(1e5 * one) / 1e5:.5f}' for one in found)}),")


def _chances(differences: Floats) -> Floats:
    """Return the one-sided p-values [n, looks] of Student's t at each look, over its pairs."""
    count = np.arange(1, MOST_PAIRS + 1)
    means = differences.cumsum(axis=1) / count
    squares = (differences**2).cumsum(axis=1) - count * means**2
    found = [
        stdtr(k - 1, -means[:, k - 1] / np.sqrt(squares[:, k - 1] / (k - 1) / k)) / k
        for k in range(FEWEST_PAIRS, MOST_PAIRS + 1)
    ]
    return np.stack(found, axis=1)


def print_rule(seed: int = 2) -> None:
    """Print what families of duels end as, by the rule alone."""
    rng = np.random.default_rng(seed)
    print(f"{FAMILIES} families a row")
    print("truth, points | duels | pairs at most | deviation of a pair | any better | first better")
    print("  | first worse | pairs of the first | intervals of the first that hold the truth")
    rows = [
        *((0.0, duels, most, 0.02) for duels in (1, 2, 3) for most in (2, 4, 8, 12)),
        *((0.02, 1, most, sd) for most in (2, 4, 6, 8, 12) for sd in (0.015, 0.02, 0.0212)),
        *((0.02, 3, 12, sd) for sd in (0.015, 0.02, 0.0212)),
    ]
    for truth, duels, most, sd in rows:
        ended = [_family(rng, truth, duels, most, sd) for _ in range(FAMILIES)]
        first = [family[0] for family in ended]
        called = Counter(one.called for one in first)
        shares = [
            sum(any(one.called == BETTER for one in family) for family in ended),
            called[BETTER],
            called[WORSE],
        ]
        holds = np.mean([one.low <= truth <= one.high for one in first])
        pairs = np.mean([one.pairs for one in first])
        cells = [f"{100 * count / FAMILIES:.1f}%" for count in shares]
        head = (f"{100 * truth:g}", str(duels), str(most), f"{sd:g}")
        print(" | ".join((*head, *cells, f"{pairs:.1f}", f"{100 * holds:.1f}%")))


def _family(
    rng: np.random.Generator, truth: float, duels: int, most: int, sd: float
) -> list[Verdict]:
    """Return how duels end that are fought one after the other, as a study fights them."""
    drawn = rng.normal(truth, sd, (duels, most)).tolist()
    counts = [0] * duels
    for current in range(duels):
        while (found := _said(drawn, counts, most))[current].called == OPEN:
            counts[current] += 1
    return found


def _said(drawn: list[list[float]], counts: list[int], most: int) -> list[Verdict]:
    return verdicts([(most, row[:count]) for row, count in zip(drawn, counts, strict=True)])


SPACE = SearchSpace(
    PUBLISHED["w18-small-v2"],
    (
        Choice("width", (12, 14, 16, 18, 20, 24)),
        Choice("STAGE3.NUM_MODULES", (1, 2, 3, 4)),
        Choice("STAGE4.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE4.NUM_BRANCHES", (3, 4)),
    ),
    input_size=(64, 64),
    classes=8,
)
KNOWN = {network.id for network in designs(SPACE).values()}
ROWS = ((0.0, 48), (0.0, 96), (0.02, 48), (0.02, 96), (0.04, 96))
STUDIES, SEED_SD, SHARE = 400, 0.015, 0.5


def print_studies(rows: Sequence[tuple[float, int]]) -> None:
    """Print what duels of whole studies end as: asked for and committed as in any study."""
    print(
        f"{STUDIES} studies a row, search.confirm {SHARE}, search.long 3, one seed's sd {SEED_SD}"
    )
    print("truth, points | trials | duels begun | any better | duels better | no duel begun")
    print("  | long trainings of duels | share of device time that confirmed, at most")
    for points, trials in rows:
        ended = [_study(seed, points, trials) for seed in range(STUDIES)]
        begun = [one for study in ended for one in study.called]
        better = sum(BETTER in study.called for study in ended) / STUDIES
        cells = [
            f"{100 * points:g}",
            str(trials),
            f"{len(begun) / STUDIES:.2f} a study",
            f"{100 * better:.1f}%",
            f"{100 * begun.count(BETTER) / max(len(begun), 1):.1f}%",
            f"{100 * sum(not study.called for study in ended) / STUDIES:.1f}%",
            f"{np.mean([study.trainings for study in ended]):.1f}",
            f"{max(study.share for study in ended):.3f}",
        ]
        print(" | ".join(cells), flush=True)


@cache
def _cost(architecture: Architecture) -> Cost:
    return cost(architecture, SPACE.input_size, SPACE.classes)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a study's duels ended, and what they and all that confirmed took."""

    called: list[str]
    trainings: int
    share: float


def _study(seed: int, points: float, trials: int) -> Ended:
    """Run a study on made-up accuracies: those that nobody knows are so many points better."""
    plan = Plan(
        space=SPACE,
        objectives=("miou", "macs"),
        schedule=Schedule(DataSpec("shapes", 8), steps=10),
        seeds=(0,),
        rungs=(10,),
        latency=LatencySpec(size=SPACE.input_size),
        sampler="random",
        seed=seed,
        trials=trials,
        confirm=SHARE,
    )

    def run(task: TrialTask) -> TrialResult:
        digest = hashlib.sha256(f"{seed} {task.key}".encode()).digest()
        noise = np.random.default_rng(list(digest)).normal(0, SEED_SD)
        miou = 0.5 + points * (task.key.architecture not in KNOWN) + noise
        counted = _cost(task.architecture)
        seconds = task.schedule.steps * (1 + counted.macs / 1e8)
        return TrialResult(task.key, COMPLETED, counted, miou=float(miou), wall_s=seconds)

    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        StudyStore.create(name, Notes())
        with StudyStore(name) as store:
            brain = Brain(plan, store, None)
            while (task := brain.ask()) is not None:
                brain.tell(task.number, run(task))
        study = open_study(name)
        duels, asked = study.notes.duels or Duels(), study.trials()
    results = {ask.key: result for ask, result in asked if result}
    rows = [(d.most, pairs_of(d, results).differences) for d in duels.duels[: duels.family]]
    called = [one.called for (most, _), one in zip(rows, verdicts(rows), strict=True) if most]
    confirmed = [result.wall_s for ask, result in asked if result and ask.purpose == CONFIRM]
    long = sum(key.schedule == plan.long_schedule.id for key in results)
    return Ended(called, long, sum(confirmed) / sum(result.wall_s for result in results.values()))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", action="store_true")
    parser.add_argument("--studies", action="store_true")
    parser.add_argument("--row", type=int, choices=range(len(ROWS)), help="of studies, only one")
    options = parser.parse_args()
    if options.levels:
        print_levels()
    elif options.studies:
        print_studies(ROWS if options.row is None else [ROWS[options.row]])
    else:
        print_rule()


if __name__ == "__main__":
    main()
