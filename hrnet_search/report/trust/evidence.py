"""What a study holds that says how far to trust it: repeats, images, long trainings, checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hrnet_search.latency_rule import AACheck
from hrnet_search.report.duels import duel_lines
from hrnet_search.report.likeness import likeness, long_inherits
from hrnet_search.report.trust.believed import Believed, Expected, expected_of, foretold
from hrnet_search.report.trust.latency_doubt import latency_doubts, ms_doubt
from hrnet_search.report.trust.near_front import Draws, Judged, Pair, images_of, near_front
from hrnet_search.report.trust.statistics import (
    Floats,
    Interval,
    Ranking,
    SeedNoise,
    Stamp,
    bca,
    rank_agreement,
    seed_noise,
    stamp,
    tau_b,
)
from hrnet_search.report.trust.trials import (
    Trial,
    costs_of,
    data_warnings,
    long_scores,
    of_search,
    seeds_of,
    short_and_long,
    slices_ids,
    version_warning,
)
from hrnet_search.report.trust.unlearned import unlearned_warning
from hrnet_search.store.findings import Screening
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import as_they_count, search_ids
from hrnet_search.store.study import Study
from hrnet_search.store.trainings import FullTraining, trainings_of
from hrnet_search.store.trial_rows import CONFIRM

MAY_BELONG = 0.05
"""Chance of being on the front from which a variant does not differ significantly from it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How far a study is to be trusted.

    `accuracies` and `chances` (of being on the front) are by trial number, of the front and its
    rivals; `chances` is empty where neither seeds nor images say anything. `optimism` is how
    much the search's own seed flatters what it put on the front, and of how many networks.
    `ms_doubt` says why absolute latencies are uncertain, if so. `images` is how many validation
    images stand behind, 0 if none were kept; `ious` are by class. `warnings` are of the data;
    `versions` says that trials ran under several, if so; `judged` is how many networks were
    judged by slices of shared weights: where there are any, `ranking` is of those scores.
    `duels` is what they say, a sentence each. `unlearned` says that many networks learned
    nothing, if so. `kept` is the tau of what the search learned with the share of weights that
    trials inherited, and of how many; None where they inherit nothing. `accuracy` is what
    people call the objective. `foretold` is what all networks are believed to reach by the long
    schedule, or expected to where too few were trained by it, if anything. `together` is the tau
    with the long schedule of what the search saw and size together, as they are weighed before
    anything was trained for long; None where they are not.
    """

    noise: SeedNoise | None
    optimism: tuple[float, int] | None
    accuracies: dict[int, Interval]
    chances: dict[int, float]
    pairs: tuple[Pair, ...]
    ranking: Ranking | None
    screening: Screening | None
    aa_check: AACheck | None
    ms_doubt: str
    images: int
    ious: dict[int, tuple[float, ...]]
    stamp: Stamp
    kept: tuple[Interval, int] | None = None
    warnings: tuple[str, ...] = ()
    versions: str = ""
    duels: tuple[str, ...] = ()
    accuracy: str = "mIoU"
    judged: int = 0
    unlearned: str = ""
    foretold: Expected | None = None
    together: Interval | None = None

    @property
    def believed(self) -> Believed | None:
        """What all networks are believed to reach, None where too few were trained for long."""
        return self.foretold if isinstance(self.foretold, Believed) else None


def evidence_of(study: Study, trials: Sequence[Trial] | None = None) -> Evidence:
    """Return what a study, finished or not, says about itself; `trials` are its own if at hand."""
    notes, front = study.notes, study.front()
    trials = as_they_count(study.trials() if trials is None else trials, notes)
    accuracy = notes.goals.accuracy
    noise = seed_noise(list(seeds_of(trials, search_ids(notes), accuracy.key).values()))
    near = near_front(study, trials, front, noise)
    draws = Draws(near, images_of(near), noise, accuracy.classes)
    on_front = set(front["number"])
    members = [i for i, one in enumerate(near) if one.number in on_front]
    full = trainings_of(study.folder, notes.study_id)
    judged = seeds_of(trials, slices_ids(trials), notes.signal)
    short, long, costs = _both_schedules(trials, notes, full)
    ranking = rank_agreement(short, long, costs)
    found = foretold(study)
    measured = any(cost.is_measured for cost in notes.goals.costs)
    doubts = latency_doubts(notes.aa_check, trials) if measured else ()
    return Evidence(
        noise=noise,
        optimism=_optimism(trials, notes),
        accuracies=draws.intervals() if draws.known else {},
        chances=draws.chances() if draws.known else {},
        pairs=tuple(draws.pair(a, b) for a, b in pairwise(members)) if draws.known else (),
        ranking=ranking,
        screening=notes.screening,
        aa_check=notes.aa_check,
        ms_doubt=ms_doubt(notes.aa_check, trials),
        images=draws.images,
        ious={near[i].number: _iou(near[i]) for i in members if near[i].counts},
        stamp=stamp(ranking, "; ".join(doubts), long_inherits(notes), slices=bool(judged)),
        kept=likeness(trials, notes),
        warnings=data_warnings(notes),
        versions=version_warning(trials),
        duels=duel_lines(notes, trials, found),
        accuracy=accuracy.label,
        judged=len(judged),
        unlearned=unlearned_warning(trials, set(front["architecture"])),
        foretold=found,
        together=_together(trials, notes, full) if ranking and not judged else None,
    )


def _both_schedules(
    trials: Sequence[Trial], notes: Notes, full: Sequence[FullTraining] = ()
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Return what the search's schedule and the long one gave, of architectures with both [n].

    Beside them their MACs and parameters.
    """
    seen = short_and_long(trials, notes, full)
    macs, params = (costs_of(trials, name) for name in ("macs", "params"))
    both = [name for name in seen if macs.get(name, 0) > 0]
    short, long = (np.array([seen[name][i] for name in both]) for i in range(2))
    costs = np.array([macs[name] for name in both]), np.array([params[name] for name in both])
    return short, long, costs


def _together(
    trials: Sequence[Trial], notes: Notes, full: Sequence[FullTraining]
) -> Interval | None:
    """Return the tau with the long schedule of what was expected before any was trained by it."""
    if (found := expected_of(trials, notes)) is None:
        return None
    scores, long = found.scores(), long_scores(trials, notes, full)
    both = [name for name in long if name in scores]
    foreseen = np.array([scores[name] for name in both])
    return bca(tau_b, (foreseen, np.array([np.mean(long[name]) for name in both])))


def _optimism(trials: Sequence[Trial], notes: Notes) -> tuple[float, int] | None:
    """Return how much better networks are by the search's seeds than by fresh ones, and how many.

    All that have both: fresh seeds were for what the search's own put on the front, and those that
    they took off it again are part of what is asked.
    """
    ids, accuracy = search_ids(notes), notes.goals.accuracy.key
    chosen = seeds_of(of_search(trials), ids, accuracy)
    fresh = seeds_of([one for one in trials if one[0].purpose == CONFIRM], ids, accuracy)
    both = [name for name in chosen if name in fresh]
    if not both:
        return None
    gaps = [np.mean(chosen[name]) - np.mean(fresh[name]) for name in both]
    return float(np.mean(gaps)), len(both)


def _iou(one: Judged) -> tuple[float, ...]:
    return tuple(np.mean([counts.iou() for counts in one.counts], axis=0).tolist())
