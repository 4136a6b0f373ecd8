"""What the page of a study says, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from hrnet_search.report.edges import Edges
from hrnet_search.report.page.choices import ChoiceModel
from hrnet_search.report.page.history import LearningCurve, Reason
from hrnet_search.report.page.interactions import Anova
from hrnet_search.report.page.points import Points
from hrnet_search.report.page.previews import PreviewRow
from hrnet_search.report.pick import Picker
from hrnet_search.report.standing import Standing
from hrnet_search.report.trust.evidence import Evidence
from hrnet_search.store.growth import Growth

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FrontMember:
    """A network on the front as the page lists it; `config` is its file below STUDY/configs.

    `low` to `high` is the interval of `accuracy`, the objective; `others` are the page's.
    `believed` is what the long schedule is believed to reach, and half an interval.
    """

    number: int
    architecture: str
    width: int
    params: int | None
    macs: int | None
    latency_ms: float | None
    latency: str
    noisy: bool
    accuracy: float
    low: float | None
    high: float | None
    others: tuple[float | None, ...]
    seeds: int
    chance: float | None
    believed: tuple[float, float] | None
    differs: str
    config: str
    drawing: Markup


@dataclass(frozen=True, slots=True)
class Choices:
    """What may vary: paths, levels as text, and two models of all completed variants.

    One of choices by themselves, and one of them in pairs.
    """

    paths: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    front: tuple[tuple[int, ...], ...]
    model: ChoiceModel | None
    anova: Anova | None = None


@dataclass(frozen=True, slots=True)
class History:
    """How the study went, by `history.py`; `curves_in_all` counts also those left out."""

    growth: Growth | None
    curves: tuple[LearningCurve, ...]
    curves_in_all: int
    stops: tuple[tuple[int, int], ...]
    audit: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class LongShort:
    """Both accuracies of one architecture: by the search's schedule, and by the long one."""

    number: int
    short: float
    long: float


@dataclass(frozen=True, slots=True)
class TrainedInFull:
    """A training of one of the study's networks: its mIoU beside what the search saw of it."""

    name: str
    trial: int
    steps: int
    short: float | None
    best: float | None
    final: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """One study; `standing` says how its trials stand, `classes` are the names of classes.

    `accuracy` is what people call the objective, `others` more that are known of the front's
    members; `limits` are accuracies that every member has, a phrase each.
    `ablation` says that it is one, whose verdicts stand in files of their own.
    """

    name: str
    objectives: tuple[str, ...]
    accuracy: str
    others: tuple[str, ...]
    limits: tuple[str, ...]
    standing: Standing
    evidence: Evidence
    edges: Edges
    points: Points
    picker: Picker
    members: tuple[FrontMember, ...]
    front_size: int
    base_width: int | None
    history: History
    choices: Choices
    long_short: tuple[LongShort, ...]
    trainings: tuple[TrainedInFull, ...]
    classes: tuple[str, ...]
    preview_members: tuple[int, ...]
    previews: tuple[PreviewRow, ...]
    facts: Rows
    commands: tuple[str, ...]
    space_text: str
    ablation: bool
    ablation_soft: bool
    learned: str
    ordered: str
