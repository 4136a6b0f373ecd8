"""What an ablation found, as numbers in its study: written by `ablation/`, drawn by `report/`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """A seed that an arm has no result for, and why."""

    seed: int
    why: str


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm: what it is, its exact cost, and its results, one entry a seed of the record.

    `levels` are one a factor, as a space file spells them; `ratio` is its MACs as a share of the
    reference's; `miou`, `soft_iou` (fractions) and `latency_ms` are None where a seed is missing.
    `soft_iou` is empty where no seed has one.
    """

    name: str
    match: str
    levels: tuple[str, ...]
    architecture: str
    schedule: str
    widths: str
    params: int
    macs: int
    activations: int
    ratio: float
    note: str
    mean: float | None
    sd: float | None
    miou: tuple[float | None, ...]
    latency_ms: tuple[float | None, ...]
    missing: tuple[Missing, ...]
    soft_iou: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassDifference:
    """A difference in one class's IoU, with the t interval of this class alone."""

    name: str
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class OtherDifference:
    """A difference in another accuracy (fractions), over the `seeds` it is known at, judged as one
    in mIoU is. `p_equivalent` is of equivalence within a margin of its own, None without one."""

    seeds: tuple[int, ...]
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    p: float
    p_family: float
    verdict: str
    p_equivalent: float | None = None


@dataclass(frozen=True, slots=True)
class Margin:
    """Within how much arms count as equal in an accuracy: its name, what people call it."""

    name: str
    label: str
    margin: float


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One difference, in mIoU (fractions): an arm against the reference, or an effect.

    `changed` are (factor, level); `seeds` those it could be formed at. `low` to `high` is the
    paired t interval over seeds, `image_low` to `image_high` the same share of a paired bootstrap
    over validation images. `p` is of its own sign-flip test, `p_family` corrected over all of its
    kind, `p_equivalent` of equivalence within the margin. Parameters and MACs differ exactly.
    `latency_noisy` says that the interval of a latency behind `latency_ms` did not close: there
    is no interval then, and nothing says which arm is faster. `soft` is None where no seed of its
    arms has a soft IoU, as in studies of before it was kept; `others` are in the accuracies of the
    record's `margins`, None where no seed has one. Not `in_family` is what has so few seeds that no
    result could reach alpha.
    """

    name: str
    kind: str
    match: str
    changed: tuple[tuple[str, str], ...]
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    image_low: float | None
    image_high: float | None
    p: float
    p_family: float
    p_equivalent: float | None
    verdict: str
    note: str
    params: float
    macs: float
    latency_ms: float | None
    latency_low: float | None
    latency_high: float | None
    classes: tuple[ClassDifference, ...]
    latency_noisy: bool = False
    soft: OtherDifference | None = None
    others: tuple[OtherDifference | None, ...] = ()
    in_family: bool = True


@dataclass(frozen=True, slots=True)
class AblationRecord:
    """An ablation in numbers; `family` sizes and p-values are as of `ended` of `trainings`.

    `resolution` is 0 where nothing is aliased, `aliases` are pairs of effects that cannot be told
    apart. `margin` is that of mIoU, `margins` are those of IoU of classes. `noise` is the standard
    deviation over seeds of a paired difference, pooled.
    """

    name: str
    design: str
    resolution: int
    aliases: tuple[tuple[str, str], ...]
    factors: tuple[str, ...]
    reference: tuple[str, ...]
    seeds: tuple[int, ...]
    alpha: float
    margin: float | None
    trainings: int
    ended: int
    noise: float | None
    least_p: float
    detectable: float | None
    class_names: tuple[str, ...]
    arms: tuple[ArmRow, ...]
    effects: tuple[EffectRow, ...]
    notes: tuple[str, ...]
    margins: tuple[Margin, ...] = ()

    @property
    def interim(self) -> bool:
        """Whether trainings are missing that are still to be run: verdicts may change."""
        return self.ended < self.trainings

    @property
    def confidence(self) -> str:
        """In how many of a hundred ablations an interval holds the truth: 97.5% is not 98%."""
        return f"{100 * (1 - self.alpha):g}%"
