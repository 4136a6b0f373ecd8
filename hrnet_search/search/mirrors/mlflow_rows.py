"""What mirrors are told of trials and studies: parameters and metrics, as rows by their names
in MLflow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields

from hrnet_search.arch.architecture import Architecture
from hrnet_search.content_hash import hash_of
from hrnet_search.records.objective import Objective
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import KEPT, TrialResult
from hrnet_search.store.growth import Growth, Reference, Trial, growth
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import noted_schedules, search_ids
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import SLICES, Ask

Row = tuple[str, float, int]
"""A metric: its name, its value, and the step that it is of."""

SOFT = ("soft_iou", "balanced_cross_entropy", "training_loss")

NOT_IN_NAMES = re.compile(r"[^\w.\- :]+")
"""What MLflow takes in no name of a metric or a parameter; a slash only where it makes a path."""

LONGEST_NAME = 250
"""Characters of a name."""

LONGEST = 500
"""Characters of a parameter."""

LONGEST_ERROR = 500
"""Characters of the reason of a failure."""

HYPERVOLUME = "hypervolume"
TRIALS = "trials."
"""What the counts of trials that ended in one way begin with."""


def how_ended(status: str, error: str) -> str:
    """Return by what a mirror knows that a trial has ended otherwise since: it ran again."""
    return f"{status} {error[:LONGEST_ERROR]}".strip()


def trial_metrics(
    result: TrialResult, accuracies: Sequence[Objective] = (), names: Sequence[str] = ()
) -> list[Row]:
    """Return what a trial found, IoU by the names of classes where they have any."""
    last = result.rungs[-1].step if result.rungs else 0
    values: dict[str, float | None] = {
        "wall_s": result.wall_s,
        "latency_ms": result.latency_ms,
        "miou_int8": result.miou_int8,
        KEPT: result.kept,
    }
    if result.cost is not None:
        cost = result.cost
        values |= {"params": cost.params, "macs": cost.macs, "activations": cost.activations}
    rows = [(name, float(value), last) for name, value in values.items() if value is not None]
    return [*filter(_is_finite, rows), *trial_curves(result, accuracies, names)]


def trial_curves(
    result: TrialResult, accuracies: Sequence[Objective] = (), names: Sequence[str] = ()
) -> list[Row]:
    """Return what was judged of a trial at each of its rungs."""
    rows: list[tuple[str, float, int]] = []
    for rung in result.rungs:
        rows += [("miou", rung.miou, rung.step), ("loss", rung.loss, rung.step)]
        soft = ((name, getattr(rung, name)) for name in SOFT)
        rows += [(name, value, rung.step) for name, value in soft if value is not None]
        own = ((_named(one.name).strip("_"), rung.score(one.key)) for one in accuracies)
        rows += [(name, value, rung.step) for name, value in own if value is not None]
        labels = zip(class_metrics(len(rung.iou), names), rung.iou, strict=True)
        rows += [(name, value, rung.step) for name, value in labels]
    return [*filter(_is_finite, rows)]


def _is_finite(row: Row) -> bool:
    return math.isfinite(row[1])


def class_metrics(count: int, names: Sequence[str]) -> list[str]:
    """Return what the IoU of each class is called: by its name, by its id where that is not one.

    Two names that MLflow would take for one another have their ids as well.
    """
    plain = [_named(names[k]) if k < len(names) else str(k) for k in range(count)]
    return [
        f"iou.{name}" if plain.count(name) == 1 else f"iou.{name}.{k}"
        for k, name in enumerate(plain)
    ]


def _named(name: str) -> str:
    """Return a name as MLflow takes it: iou[pedestrian,bicyclist] as iou_pedestrian_bicyclist_.

    Of one that is too long a digest stands for the rest.
    """
    plain = NOT_IN_NAMES.sub("_", name)
    most = LONGEST_NAME - len("iou..999")
    return plain if len(plain) <= most else f"{plain[: most - 13]}.{hash_of(name)}"


def trial_params(ask: Ask, notes: Notes) -> dict[str, str]:
    """Return what was trained, by which choices and which schedule."""
    key = ask.key
    found: dict[str, object] = {
        "architecture": key.architecture, "schedule": key.schedule, "seed": key.seed,
        **architecture_params(ask.architecture),
    }  # fmt: skip
    for name, level in chosen(ask, notes).items():
        found.setdefault(_named(name), level)
    return _texts({**found, **_schedule_params(notes, key.schedule)})


def chosen(ask: Ask, notes: Notes) -> dict[str, object]:
    """Return the level of each choice of a trial; none of one that stands at no point."""
    if not (ask.point and notes.choices and notes.levels):
        return {}
    rows = zip(notes.choices, notes.levels, ask.point, strict=True)
    return {name: levels[place] for name, levels, place in rows}


def architecture_params(architecture: Architecture) -> dict[str, object]:
    """Return what an architecture is, by parameter."""
    found: dict[str, object] = {
        "head": architecture.head,
        "width": architecture.width,
        "final_kernel": architecture.final_kernel,
    }
    if architecture.has_ocr:
        found |= {
            "OCR.MID_CHANNELS": architecture.mid_channels,
            "OCR.KEY_CHANNELS": architecture.key_channels,
        }
    for number, stage in enumerate(architecture.stages, start=1):
        found |= {
            f"STAGE{number}.NUM_MODULES": stage.modules,
            f"STAGE{number}.NUM_BRANCHES": stage.branches,
            f"STAGE{number}.BLOCK": stage.block,
            f"STAGE{number}.NUM_BLOCKS": list(stage.blocks),
            f"STAGE{number}.NUM_CHANNELS": list(stage.channels),
            f"STAGE{number}.FUSE_METHOD": stage.fuse,
        }
    return found


def _schedule_params(notes: Notes, schedule: str) -> dict[str, object]:
    known = noted_schedules(notes).get(schedule)
    if known is None:
        return {}
    own = (field.name for field in fields(Schedule) if field.name != "data")
    found: dict[str, object] = {f"schedule.{name}": getattr(known, name) for name in own}
    data = known.data
    return {**found, "data.kind": data.kind, "data.classes": data.classes, "data.size": data.size}


def study_params(notes: Notes) -> dict[str, str]:
    """Return what may not change of a study, and where latency is measured."""
    found: dict[str, object] = {_named(k): v for k, v in (notes.identity or {}).items()}
    if notes.device:
        found["device"] = notes.device
    if notes.aa_check:
        condition = notes.aa_check.condition
        found |= {f"latency.{f.name}": getattr(condition, f.name) for f in fields(condition)}
    return _texts(found)


def front_growth(study: Study, reference: Reference | None) -> Growth | None:
    """Return how the front of a study grew over a reference, its own if there is none yet."""
    notes = study.notes
    return growth(study.trials(), notes.goals, search_ids(notes), reference)


def ending_metrics(trials: Sequence[Trial], before: Collection[str] = ()) -> Iterator[Row]:
    """Yield how many trials ended how, without those that are judged by slices.

    `before` are the names of metrics that a mirror has: a count in it may be none any more, as of
    failures that ran again.
    """
    counts = {name: 0 for name in before if name.startswith(TRIALS)}
    for ask, result in trials:
        if result is not None and ask.purpose != SLICES:
            name = f"{TRIALS}{result.status}"
            counts[name] = counts.get(name, 0) + 1
    yield from ((name, float(count), 0) for name, count in counts.items())


def _texts(found: dict[str, object]) -> dict[str, str]:
    return {name: _text(value)[:LONGEST] for name, value in found.items() if value is not None}


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)
