"""What speaks against a study's latencies: its A/A check, and the reference that it froze."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence

from hrnet_search.counts import digits
from hrnet_search.latency_rule import AACheck, noisy_doubt
from hrnet_search.report.trust.trials import Trial
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.study import Study

OFF = 1.3
"""Factor between the frozen latency of the reference and its own from which that is said."""


def latency_doubts(check: AACheck | None, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield why latencies of a study with this A/A check cannot be relied on."""
    if check is None:
        yield "no A/A check shows that latencies repeat"
    elif check.undecided:
        yield "the A/A check is undecided: the device was too noisy to say that latencies repeat"
    elif not check.agrees:
        yield "the A/A check failed: the reference network did not have the latency of its copy"
    if doubt := ms_doubt(check, trials):
        yield doubt


def study_doubts(study: Study) -> list[str]:
    """Return what speaks against the latencies of a study; nothing for one without any."""
    trials = study.trials()
    timed = [r.latency for _, r in trials if r is not None and r.latency is not None]
    if not timed:
        return []
    doubts = [*latency_doubts(study.notes.aa_check, trials)]
    return doubts + [doubt for doubt in (noisy_doubt(timed, "of the trials"),) if doubt]


def front_doubt(study: Study, numbers: Collection[int]) -> str:
    """Return what to say where members of a front, by trial number, have noisy latencies."""
    found = latencies_of(study.trials(), study.notes)
    return noisy_doubt([found[n] for n in numbers if n in found], "on the front")


def ms_doubt(check: AACheck | None, trials: Sequence[Trial]) -> str:
    """Return why absolute ms of a study are uncertain; empty if nothing says so.

    The frozen latency of the reference stands in all of them, so it is held against what the
    reference took beside each trial.
    """
    if check is None or check.reference_ms <= 0:
        return ""  # a study from before it was noted
    frozen = check.reference_ms
    beside = _beside(trials)
    middle = statistics.median(beside) if beside else frozen
    noisy = check.noisy and not check.kept
    loud = " (noisy)" if noisy else ""
    took = f"the reference network took {digits(frozen)} ms{loud} when its latency was frozen"
    if beside:
        took += f", {digits(middle)} ms beside the trials (median of {len(beside)})"
    if frozen > OFF * middle:
        return f"{took}: absolute ms, and limits on them, are about {frozen / middle:.1f}x too high"
    if middle > OFF * frozen:
        return (
            f"{took}: absolute ms, and limits on them, are those of the device when it was"
            f" {middle / frozen:.1f}x as fast"
        )
    return f"{took}: absolute ms are uncertain, ratios are not" if noisy else ""


def _beside(trials: Sequence[Trial]) -> list[float]:
    """Return what the reference took beside each trial, steady ones alone if there are any."""
    timed = [r.latency for _, r in trials if r is not None and r.latency is not None]
    timed = [latency for latency in timed if latency.reference_median_ms > 0]
    steady = [latency for latency in timed if not (latency.noisy or latency.busy)]
    return [latency.reference_median_ms for latency in steady or timed]
