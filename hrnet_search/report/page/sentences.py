"""The trust section in words: what was found, or that it is not known and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hrnet_search.errors import shown
from hrnet_search.report.compare import Comparison
from hrnet_search.report.trust.believed import Believed
from hrnet_search.report.trust.evidence import Evidence
from hrnet_search.report.trust.statistics import FREE, Interval


@dataclass(frozen=True, slots=True)
class Fact:
    """One card: what it is about, the figure, and what that means."""

    title: str
    value: str
    text: str


UNKNOWN = "not known"
ALPHA = 0.05


def trust_facts(found: Evidence) -> tuple[Fact, ...]:
    """Return what is known of a study's trustworthiness, and what is not."""
    return tuple(_facts(found))


def verdict(found: Comparison) -> str:
    """Return what a comparison says, with what it does not say."""
    first, second = found.first.name, found.second.name
    if not found.comparable:
        return (
            f"no verdict on the fronts of {first} and {second}: accuracies on other data, by"
            " another schedule or within other limits cannot be compared"
        )
    if found.p is None or found.interval is None:
        return (
            f"the front of {second} is {_larger(found.larger)} than that of {first}; how far chance"
            " goes is not known: in one of them no network was trained with a second seed"
        )
    draws = "images and seeds of each on its own"
    if found.paired:
        draws = "the same resampled images, and seeds of each on its own"
    sure = "not significantly different" if found.p >= ALPHA else "significantly different"
    return (
        f"the front of {second} is {_larger(found.larger)} than that of {first} (95% interval"
        f" {found.interval.low:+z.4f} to {found.interval.high:+z.4f}, p = {found.p:.3f}): {sure}."
        f" Both fronts were drawn again over {draws}: this says whether measuring again would turn"
        " the order around, not whether searching again would"
    )


def _larger(volume: float) -> str:
    return f"{abs(volume):.4f} {'larger' if volume >= 0 else 'smaller'} in hypervolume"


def _facts(found: Evidence) -> Iterator[Fact]:
    for warning in found.warnings:
        yield Fact("Data", "warning", shown(warning, 400))
    if found.unlearned:
        yield Fact("Learning", "little", shown(found.unlearned, 400))
    if found.versions:
        yield Fact("Versions", "several", shown(found.versions, 1000))
    yield from _ranking(found)
    if found.kept:
        tau, count = found.kept
        text = (
            f"Kendall tau of the score with the share of the base's weights that a trial kept, over"
            f" {count} trials ({_range(tau)}): near 1, the search ranks likeness to the base"
        )
        yield Fact("Likeness to the base", f"{tau.value:.2f}", text)
    if found.believed:
        yield _believed(found.believed, found.accuracy)
    yield _neighbours(found)
    yield _noise(found)
    if found.optimism:
        value, count = found.optimism
        text = (
            "what the search's own seed flatters networks by that it puts on the front:"
            f" {count} were trained again with fresh seeds"
        )
        yield Fact("Optimism of one seed", f"{100 * value:+z.2f} points", text)
    yield _regret(found)
    yield _images(found)
    yield _screening(found)
    yield _aa_check(found)


def _ranking(found: Evidence) -> Iterator[Fact]:
    title, both = "Short against long schedule", "trained by both schedules"
    who, more = "the short schedule", "training"
    if found.judged:
        title, both = "Slices against trainings alone", "judged by slices and trained alone"
        who, more = "scores by slices", "judging by slices"
    if found.ranking is None:
        text = f"no network was {both}, or fewer than six"
        yield Fact(title, "not checked", text)
        return
    rank = found.ranking
    free = " and ".join(
        f"{name} {one.value:.2f} ({_range(one)})" for name, one in zip(FREE, rank.free, strict=True)
    )
    of = f"{found.judged} networks were judged by slices. " if found.judged else ""
    text = (
        f"{of}Kendall tau over {rank.n} networks ({_range(rank.tau)}). What costs no training ranks"
        f" them too: {free}. Given both, the partial tau is {rank.partial.value:.2f}"
        f" ({_range(rank.partial)})"
    )
    yield Fact(title, f"{rank.tau.value:.2f}", text)
    text = (
        f"tau of {who} less the better of those two ({_range(rank.gain)}): where the"
        f" interval holds 0, {more} is not shown to rank better than counting"
    )
    yield Fact("Gain over counting", f"{rank.gain.value:+z.2f}", text)
    if found.together:
        text = (
            f"tau of the short schedule and size together ({_range(found.together)}), each in its"
            " own deviations, a quarter of the weight on size. Where too few networks were trained"
            " for long to believe anything, the column `order` of trials.csv is by that"
        )
        yield Fact("Short schedule and size together", f"{found.together.value:.2f}", text)


def _believed(found: Believed, accuracy: str) -> Fact:
    half = 100 * float(np.median(found.half))
    text = (
        f"half the 95% interval of what a network is believed to reach by the long schedule, in"
        f" points of {shown(accuracy)}, the median of {len(found.networks)} networks, of which"
        f" {found.long} were trained by it. The others are judged by what the search saw of them"
        " and by their size, as far as those show what these are worth"
    )
    return Fact("Believed accuracies", f"± {half:.2f} points", text)


def _neighbours(found: Evidence) -> Fact:
    title = "Neighbours on the front that differ significantly"
    if not found.pairs:
        return Fact(title, UNKNOWN, "no seed was repeated and no images were kept, or one member")
    apart = sum(pair.apart for pair in found.pairs)
    parts = [
        "images" if found.images else "",
        "seeds" if found.noise else "",
    ]
    over = " and ".join(part for part in parts if part) or "what was kept"
    missing = "" if found.noise else "; seeds are left out, so intervals are too narrow"
    text = f"pairs whose difference has an interval that leaves out 0, over {over}{missing}"
    return Fact(title, f"{apart} of {len(found.pairs)}", text)


def _noise(found: Evidence) -> Fact:
    title = "Noise of the seed"
    if found.noise is None:
        return Fact(title, UNKNOWN, "every network was trained once: another seed may reorder them")
    sd = found.noise.sd
    text = (
        f"points of {shown(found.accuracy)} between seeds, standard deviation, from"
        f" {found.noise.variants} networks ({100 * sd.low:.2f} to {100 * sd.high:.2f})"
    )
    return Fact(title, f"{100 * sd.value:.2f} points", text)


def _regret(found: Evidence) -> Fact:
    title = "Regret of trusting slices" if found.judged else "Regret of trusting the short schedule"
    if found.ranking is None:
        both = "judged by slices and trained alone" if found.judged else "trained by both schedules"
        return Fact(title, UNKNOWN, f"needs networks {both}")
    (_, first), (many, best) = found.ranking.regret
    by = "slices" if found.judged else "the short one"
    text = (
        f"points of {shown(found.accuracy)} lost by the long schedule if only the best by {by} were"
        f" kept; {100 * best:.2f} if the best {many} were"
    )
    return Fact(title, f"{100 * first:.2f} points", text)


def _images(found: Evidence) -> Fact:
    title = "Validation images"
    if not found.images:
        return Fact(title, UNKNOWN, "no confusion matrices by image were kept")
    text = "behind each interval over images; networks are compared on the same resamples"
    return Fact(title, f"{found.images}", text)


def _screening(found: Evidence) -> Fact:
    title, noted = "Screening of latency", found.screening
    if noted is None:
        return Fact(title, "not used", "no latency was predicted before it was measured")
    used = "" if noted.used else "; it was too far off, and not used"
    text = f"median error of a left-out network, over {noted.n}, tau {noted.tau:.2f}{used}"
    return Fact(title, f"{100 * noted.loo_error:.1f}%", text)


def _aa_check(found: Evidence) -> Fact:
    title, noted = "A/A check of latency", found.aa_check
    if noted is None:
        return Fact(title, UNKNOWN, "the reference was not timed against a copy of itself")
    interval = f" ({noted.low:.3f} to {noted.high:.3f})"
    verdict = "it agrees" if noted.agrees else "it does NOT agree"
    if noted.undecided:
        verdict = "undecided, the interval is too wide to say whether it agrees"
    doubt = f"; {found.ms_doubt}" if found.ms_doubt else ""
    return Fact(
        title, f"{noted.ratio:.3f}", f"the reference over its copy{interval}: {verdict}{doubt}"
    )


def _range(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"
