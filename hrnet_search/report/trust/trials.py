"""Trials of a study by what they are evidence of: repeats, schedules, costs."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from statistics import fmean

from hrnet_search.latency_rule import mean_ms
from hrnet_search.records.accuracy import MIOU, SOFT_IOU
from hrnet_search.records.objective import OBJECTIVES
from hrnet_search.records.schedule import NO_INIT
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import as_they_count, long_ids, search_ids
from hrnet_search.store.trainings import FullTraining
from hrnet_search.store.trial_rows import CONFIRM, SLICES, Ask
from hrnet_search.version_rule import mixed_versions

Trial = tuple[Ask, TrialResult | None]


def seeds_of(
    trials: Sequence[Trial], schedules: Container[str], signal: str = MIOU
) -> dict[str, list[float]]:
    """Return the accuracies of each architecture by some schedules, in the order asked for.

    `signal` is mIoU, soft IoU or IoU by class ids; trials that do not know it are left out.
    """
    return _of_each(trials, schedules, lambda result: result.score(signal))


def of_search(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that the search chose by, without those that confirm what it found."""
    return [(ask, result) for ask, result in trials if ask.purpose != CONFIRM]


def long_scores(
    trials: Sequence[Trial], notes: Notes, full: Sequence[FullTraining]
) -> dict[str, list[float]]:
    """Return the accuracies of architectures by the long schedule, by that which is an objective.

    By trainings in full where as many architectures have one: they are longer.
    """
    accuracy = notes.goals.accuracy.key
    long = seeds_of(trials, long_ids(notes), accuracy)
    longest = _by_full_trainings([one for one in full if _is_longer(one, notes)], accuracy)
    return longest if len(longest) >= max(len(long), 1) else long


def short_and_long(
    trials: Sequence[Trial], notes: Notes, full: Sequence[FullTraining]
) -> dict[str, tuple[float, float]]:
    """Return both accuracies of each architecture that has them: what a ranking is judged by.

    The short one is the mean of the search's own seeds, as the search saw it: by its signal, and by
    slices of shared weights where those said what is trained. The long one is the accuracy that is
    an objective, by the long schedule or by trainings in full.
    """
    by = slices_ids(trials) or search_ids(notes)
    short = seeds_of(of_search(trials), by, notes.signal)
    long = long_scores(trials, notes, full)
    return {name: (fmean(short[name]), fmean(long[name])) for name in long if name in short}


def _is_longer(one: FullTraining, notes: Notes) -> bool:
    """Return whether a training says what the long schedule would, and more.

    It is on the study's data, longer than any schedule of the study, and from random weights: what
    starts from others ranks likeness to what those are of.
    """
    own, noted = one.record.schedule.schedule, notes.schedule
    if own.init != NO_INIT or noted is None:
        return own.init == NO_INIT
    longest = notes.long_schedule or noted
    steps = max(noted.schedule.steps, longest.schedule.steps)
    same = (own.fingerprint, own.data.classes) == (noted.schedule.fingerprint, noted.data.classes)
    return same and own.steps > steps


def _by_full_trainings(full: Sequence[FullTraining], accuracy: str) -> dict[str, list[float]]:
    """Return accuracies of each architecture by what most were trained by: schedule and teacher."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for one in full:
        final = one.results.final
        score = final.score(accuracy) if final is not None else None
        if score is not None:
            taught = one.record.teacher.identity if one.record.teacher else ""
            scores = found.setdefault((one.record.schedule.id, taught), {})
            scores.setdefault(one.record.architecture.id, []).append(score)
    return max(found.values(), key=len, default={})


def completed(ask: Ask, result: TrialResult | None, schedules: Container[str]) -> bool:
    """Return whether a trial completed by one of some schedules, which are ids."""
    done = result is not None and result.status == COMPLETED
    return done and ask.key.schedule in schedules


def costs_of(trials: Sequence[Trial], name: str) -> dict[str, float]:
    """Return a cost objective of each architecture, as its first trial has it."""
    found: dict[str, float] = {}
    for ask, result in trials:
        value = OBJECTIVES[name].of(result) if result is not None else None
        if value is not None:
            found.setdefault(ask.key.architecture, value)
    return found


def mean_costs_of(
    trials: Sequence[Trial], schedules: Container[str], name: str
) -> dict[str, float]:
    """Return a cost objective of each architecture, the mean over its trials by some schedules.

    Of latencies under several conditions those of the first alone.
    """
    one = OBJECTIVES[name]
    if not one.is_measured:
        found = _of_each(trials, schedules, one.of)
        return {architecture: fmean(values) for architecture, values in found.items()}
    timed: dict[str, list[TrialResult]] = {}
    for ask, result in trials:
        if result and completed(ask, result, schedules) and result.latency is not None:
            timed.setdefault(ask.key.architecture, []).append(result)
    means = {architecture: mean_ms(results) for architecture, results in timed.items()}
    return {architecture: ms for architecture, ms in means.items() if ms is not None}


def _of_each(
    trials: Sequence[Trial],
    schedules: Container[str],
    of: Callable[[TrialResult], float | None],
) -> dict[str, list[float]]:
    """Return the values of each architecture that are known, a completed trial each."""
    found: dict[str, list[float]] = {}
    for ask, result in trials:
        value = of(result) if result and completed(ask, result, schedules) else None
        if value is not None:
            found.setdefault(ask.key.architecture, []).append(value)
    return found


def keys_of(trials: Sequence[Trial], notes: Notes) -> dict[str, list[TrialKey]]:
    """Return the trials of each architecture that completed by the schedule that it counts by."""
    schedules, found = search_ids(notes), dict[str, list[TrialKey]]()
    for ask, result in as_they_count(trials, notes):
        if completed(ask, result, schedules):
            found.setdefault(ask.key.architecture, []).append(ask.key)
    return found


def slices_ids(trials: Sequence[Trial]) -> frozenset[str]:
    """Return the id of the schedule that judges by slices of shared weights, if there is one."""
    return frozenset(ask.key.schedule for ask, _ in trials if ask.purpose == SLICES)


def learned_from(notes: Notes) -> str:
    """Return the name of the signal that a search learned from; nothing for an ablation."""
    if notes.ablation is not None:
        return ""
    return "soft IoU" if notes.signal == SOFT_IOU else notes.goals.accuracy.label


def data_warnings(notes: Notes) -> tuple[str, ...]:
    """Return what makes results worth less by the data that they are from, as the study noted."""
    return notes.data_holds.warnings if notes.data_holds else ()


def version_warning(trials: Sequence[Trial]) -> str:
    """Return that trials ran under several versions, if they did."""
    return mixed_versions((ask.number, result) for ask, result in trials if result is not None)
