"""From the results of a study to the numbers of its ablation: nothing is dropped unsaid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hrnet_search import class_iou
from hrnet_search.ablation.arms import Ablation, Arm, Difference, spelt, widths
from hrnet_search.ablation.design import ARM
from hrnet_search.ablation.fraction import Run
from hrnet_search.ablation.images import Resampled, image_interval
from hrnet_search.ablation.learned import nothing_learned, withheld
from hrnet_search.ablation.planner import detectable, main_weights, pooled_noise
from hrnet_search.ablation.statistics import (
    EQUIVALENT,
    NOTHING,
    Comparison,
    apply,
    can_differ,
    compare,
    half_widths,
    least_p,
    moments,
    nothing_differs,
)
from hrnet_search.class_iou import class_name
from hrnet_search.errors import shown
from hrnet_search.latency_rule import half_width_ms
from hrnet_search.records.accuracy import SOFT_IOU
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult
from hrnet_search.store.ablation import (
    AblationRecord,
    ArmRow,
    ClassDifference,
    EffectRow,
    Margin,
    Missing,
    OtherDifference,
)

NOTHING_DIFFERED = (
    "nothing differed: every arm has the mIoU of the reference at every seed, so nothing is"
    " decided. Trainings that have learned nothing look so"
)

Floats = NDArray[np.float64]
Results = Mapping[TrialKey, TrialResult]


@dataclass(frozen=True, slots=True)
class _Values:
    """Results by [arm, seed], nan where there is none; IoU [arm, seed, class].

    `others` are other accuracies by name. `reach` [arm, seed] is how far the interval of a latency
    goes, in ms, infinite where it is noisy. `unlearned` says of arms by index why they learned
    nothing, `failed` at how many seeds they failed.
    """

    miou: Floats
    others: Mapping[str, Floats]
    latency: Floats
    reach: Floats
    iou: Floats
    drawn: list[list[Floats | None]]
    unlearned: dict[int, str]
    failed: dict[int, int]


def analyse(
    name: str, ablation: Ablation, results: Results, folder: str = "", names: Sequence[str] = ()
) -> AblationRecord:
    """Return the numbers of an ablation, finished or not, of the results by key.

    `folder` is the study, whose confusion matrices give the spread over images; `names` those of
    the classes.
    """
    spec = ablation.spec
    values = _values(ablation, results, folder)
    effects: list[EffectRow] = []
    for family in ablation.families():
        differences = np.array([apply(d.weights, values.miou) for d in family])
        judged = compare(differences, spec.alpha, spec.equivalence)
        soft = _in_another(ablation, family, values, SOFT_IOU)
        others = [_in_another(ablation, family, values, *one) for one in spec.margins]
        for i, (difference, row, found) in enumerate(zip(family, differences, judged, strict=True)):
            effect = _effect(ablation, difference, row, found, values, names)
            effects.append(replace(effect, soft=soft[i], others=tuple(o[i] for o in others)))
    noise = _noise(ablation, values)
    return AblationRecord(
        name=name,
        design=spec.design,
        resolution=ablation.design.resolution,
        aliases=_alias_names(ablation),
        factors=tuple(f.name for f in spec.factors),
        reference=_levels(ablation, ablation.design.runs[0]),
        seeds=spec.seeds,
        alpha=spec.alpha,
        margin=spec.equivalence,
        trainings=ablation.trainings,
        ended=sum(_key(arm, seed) in results for arm in ablation.distinct for seed in spec.seeds),
        noise=noise,
        least_p=least_p(len(spec.seeds)),
        detectable=_detectable(ablation, noise),
        class_names=tuple(names),
        arms=tuple(_arm(ablation, i, results, values) for i in range(len(ablation.arms))),
        effects=tuple(effects),
        notes=(
            *ablation.notes,
            *ablation.data.warnings,
            *((NOTHING_DIFFERED,) if nothing_differs(values.miou[1:] - values.miou[:1]) else ()),
        ),
        margins=tuple(
            Margin(class_iou.spelt(key, names), class_iou.label_of(class_iou.ids_of(key), names), m)
            for key, m in spec.margins
        ),
    )


def paired_noise(ablation: Ablation, results: Results) -> float | None:
    """Return the sd over seeds of arms' differences to the reference, None if nothing tells."""
    return _noise(ablation, _values(ablation, results, ""))


def _noise(ablation: Ablation, values: _Values) -> float | None:
    """Return the sd of arms' differences to the reference, of arms that have noise to show.

    One that learned nothing may have none, and the reference again under another name has none.
    """
    if 0 in values.unlearned:
        return None
    reference = ablation.arms[0].identity
    told = [
        i
        for i, arm in enumerate(ablation.arms)
        if i not in values.unlearned and arm.identity != reference
    ]
    return pooled_noise(values.miou[told] - values.miou[0])


def _values(ablation: Ablation, results: Results, folder: str) -> _Values:
    seeds, arms = ablation.spec.seeds, ablation.arms
    classes = arms[0].schedule.data.classes
    shape = (len(arms), len(seeds))
    miou, latency, reach = (np.full(shape, np.nan) for _ in range(3))
    signals = (SOFT_IOU, *(key for key, _ in ablation.spec.margins))
    others = {signal: np.full(shape, np.nan) for signal in signals}
    iou = np.full((*shape, classes), np.nan)
    resampled = Resampled(folder)
    drawn: list[list[Floats | None]] = [[None] * len(seeds) for _ in arms]
    failed: dict[int, int] = {}
    for i, arm in enumerate(arms):
        for s, seed in enumerate(seeds):
            key = _key(arm, seed)
            result = results.get(key)
            if result is None:
                continue
            if result.status != COMPLETED or result.miou is None:
                failed[i] = failed.get(i, 0) + 1
                continue
            miou[i, s] = result.miou
            for signal, known in others.items():
                if (score := result.score(signal)) is not None:
                    known[i, s] = score
            if result.latency is not None:
                latency[i, s], reach[i, s] = result.latency.ms, half_width_ms(result.latency)
            if result.rungs and len(result.rungs[-1].iou) == classes:
                iou[i, s] = result.rungs[-1].iou
            drawn[i][s] = resampled.mious(key)
    why = {i: nothing_learned(miou[i], iou[i]) for i in range(len(arms))}
    unlearned = {i: said for i, said in why.items() if said}
    return _Values(miou, others, latency, reach, iou, drawn, unlearned, failed)


def _effect(
    ablation: Ablation,
    difference: Difference,
    row: Floats,
    found: Comparison,
    values: _Values,
    names: Sequence[str],
) -> EffectRow:
    spec = ablation.spec
    here = [int(s) for s in np.flatnonzero(np.isfinite(row))]
    image = image_interval(difference.weights, values.drawn, here, 1 - spec.alpha)
    latency = _latency(difference, values, spec.alpha)
    arms = [(ablation.arms[i], weight) for i, weight in difference.weights]
    verdict = withheld(found.verdict, difference.weights, values.unlearned, values.failed)
    return EffectRow(
        name=difference.name,
        kind=difference.kind,
        match=difference.match,
        changed=tuple(
            (spec.factors[f].name, spelt(spec.factors[f].levels[level]))
            for f, level in difference.changed
        ),
        arms=tuple(arm.name for arm, weight in arms if weight > 0),
        seeds=tuple(spec.seeds[s] for s in here),
        mean=_number(found.mean),
        sd=_number(found.sd),
        low=_number(found.low),
        high=_number(found.high),
        image_low=image[0] if image else None,
        image_high=image[1] if image else None,
        p=found.p,
        p_family=found.p_family,
        p_equivalent=found.p_equivalent,
        verdict=verdict,
        note=_note(ablation, difference, replace(found, verdict=verdict), len(here), values),
        params=sum(weight * arm.cost.params for arm, weight in arms),
        macs=sum(weight * arm.cost.macs for arm, weight in arms),
        latency_ms=latency[0],
        latency_low=latency[1],
        latency_high=latency[2],
        latency_noisy=bool(np.isinf(_reach(difference, values)).any()),
        in_family=can_differ(len(here), spec.alpha),
        classes=_classes(difference, values.iou, spec.alpha, names),
    )


def _in_another(
    ablation: Ablation,
    family: Sequence[Difference],
    values: _Values,
    name: str,
    margin: float | None = None,
) -> list[OtherDifference | None]:
    """Judge a family by another accuracy as by mIoU; None where a difference has it at no seed."""
    spec = ablation.spec
    differences = np.array([apply(d.weights, values.others[name]) for d in family])
    found: list[OtherDifference | None] = []
    judged = compare(differences, spec.alpha, margin)
    for difference, row, one in zip(family, differences, judged, strict=True):
        here = tuple(spec.seeds[s] for s in np.flatnonzero(np.isfinite(row)))
        other = OtherDifference(
            seeds=here,
            mean=_number(one.mean),
            sd=_number(one.sd),
            low=_number(one.low),
            high=_number(one.high),
            p=one.p,
            p_family=one.p_family,
            verdict=withheld(one.verdict, difference.weights, values.unlearned, values.failed),
            p_equivalent=one.p_equivalent,
        )
        found.append(other if here else None)
    return found


def _latency(
    difference: Difference, values: _Values, alpha: float
) -> tuple[float | None, float | None, float | None]:
    """Return a difference of latencies and its interval; no interval where one is noisy.

    The interval is that over seeds, and never narrower than those of the latencies themselves:
    one that was measured once and used again at every seed is still uncertain.
    """
    row = apply(difference.weights, values.latency)
    mean, low, high = _interval(row, alpha)
    reach = _reach(difference, values)
    if mean is None or not np.isfinite(reach).any() or np.isinf(reach).any():
        return mean, None, None
    least = float(np.nanmean(reach))
    if low is None or high is None:  # one seed
        return mean, mean - least, mean + least
    return mean, min(low, mean - least), max(high, mean + least)


def _reach(difference: Difference, values: _Values) -> Floats:
    """Return how far latencies that a difference is made of reach together, by seed, in ms."""
    return apply([(arm, abs(weight)) for arm, weight in difference.weights], values.reach)


def _note(
    ablation: Ablation, difference: Difference, found: Comparison, pairs: int, values: _Values
) -> str:
    """Say what a reader of the row has to know besides its numbers."""
    seeds = len(ablation.spec.seeds)
    parts = [
        arm.note
        for i, _ in difference.weights
        if (arm := ablation.arms[i]).note and difference.kind == ARM
    ]
    if pairs < seeds:
        least = least_p(max(pairs, 1))
        left = "" if can_differ(pairs, ablation.spec.alpha) else ": it is left out of the family"
        parts.append(f"of {pairs} of {seeds} seeds, p cannot be below {least:.3g}{left}")
    if found.sd < NOTHING and found.n > 1 and abs(found.mean) >= NOTHING:
        parts.append("the same at every seed: no noise to judge it with")
    for i, _ in difference.weights:
        name = ablation.arms[i].name
        if why := values.unlearned.get(i):
            parts.append(f"{name}: nothing was learned, {why}")
        if count := values.failed.get(i):
            parts.append(f"{name} failed at {count} of {seeds} seeds: no verdict is in its favour")
    if found.verdict == EQUIVALENT and found.p_family <= ablation.spec.alpha:
        parts.append("differs, by less than the margin")
    return "; ".join(parts)


def _arm(ablation: Ablation, index: int, results: Results, values: _Values) -> ArmRow:
    arm = ablation.arms[index]
    _, mean, sd = moments(values.miou[index : index + 1])
    missing = []
    for seed in ablation.spec.seeds:
        result = results.get(_key(arm, seed))
        if result is None:
            missing.append(Missing(seed, "not run yet"))
        elif result.status != COMPLETED or result.miou is None:
            why = f"{result.status}: {shown(result.error, 120)}" if result.error else result.status
            missing.append(Missing(seed, why))
    return ArmRow(
        name=arm.name,
        match=arm.match,
        levels=_levels(ablation, arm.run),
        architecture=arm.architecture.id,
        schedule=arm.schedule.id,
        widths=widths(arm.architecture),
        params=arm.cost.params,
        macs=arm.cost.macs,
        activations=arm.cost.activations,
        ratio=arm.ratio,
        note=arm.note,
        mean=_number(float(mean[0])),
        sd=_number(float(sd[0])),
        miou=tuple(_number(v) for v in values.miou[index].tolist()),
        latency_ms=tuple(_number(v) for v in values.latency[index].tolist()),
        missing=tuple(missing),
        soft_iou=_known(values.others[SOFT_IOU][index]),
    )


def _classes(
    difference: Difference, iou: Floats, alpha: float, names: Sequence[str]
) -> tuple[ClassDifference, ...]:
    found = []
    for k in range(iou.shape[-1]):
        mean, low, high = _interval(apply(difference.weights, iou[:, :, k]), alpha)
        found.append(ClassDifference(class_name(k, names), mean, low, high))
    return tuple(found)


def _interval(row: Floats, alpha: float) -> tuple[float | None, float | None, float | None]:
    """Return the mean of a row over its seeds and the ends of its t interval."""
    n, mean, sd = moments(row[None])
    half = float(half_widths(n, sd, 1 - alpha)[0])
    ends = (float(mean[0]) - half, float(mean[0]) + half)
    return _number(float(mean[0])), _number(ends[0]), _number(ends[1])


def _detectable(ablation: Ablation, noise: float | None) -> float | None:
    if noise is None or not ablation.differences:
        return None
    effect = detectable(main_weights(ablation), len(ablation.spec.seeds), ablation.spec.alpha)
    return None if effect is None else effect * noise


def _alias_names(ablation: Ablation) -> tuple[tuple[str, str], ...]:
    pairs = ablation.design.aliases
    return tuple((_names(ablation, a), _names(ablation, b)) for a, b in pairs)


def _names(ablation: Ablation, effect: Run) -> str:
    return " x ".join(ablation.spec.factors[f].name for f in effect)


def _levels(ablation: Ablation, run: Run) -> tuple[str, ...]:
    pairs = zip(ablation.spec.factors, run, strict=True)
    return tuple(spelt(factor.levels[level]) for factor, level in pairs)


def _key(arm: Arm, seed: int) -> TrialKey:
    return TrialKey(arm.architecture.id, arm.schedule.id, seed)


def _known(row: Floats) -> tuple[float | None, ...]:
    """Return numbers by seed, nothing where no seed has one."""
    return tuple(_number(v) for v in row.tolist()) if np.isfinite(row).any() else ()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
