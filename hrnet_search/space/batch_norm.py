"""Which variants could not be trained, known from keys of the schedule alone.

In a space that varies the number of branches only some variants would fail, and a search would
prefer the others for no better reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import yaml

from hrnet_search.errors import shown
from hrnet_search.records.schedule import AUTO, ONE_IMAGE, TRAINED_FIRST, Schedule
from hrnet_search.space.ablate import AblateSpec, Factor, points_of
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.rules import rows_of
from hrnet_search.space.space import SearchSpace

KEYS = ("accumulate", "batch", "crop")
"""What the parts of a batch are made of; a fault points to the first that is in the file."""

TOGETHER = ("accumulate", "batch", "steps", "warmup")
"""Keys that a factor may set, of which one bounds another."""


def check_parts(reader: Reader, space: SearchSpace, schedule: Schedule, section: Section) -> None:
    """Add a fault if a variant, or the base where that is trained too, cannot be trained."""
    if not _parts_are_read(reader):
        return
    counts = _branches(space)
    if schedule.init in TRAINED_FIRST or AUTO in (schedule.precision, schedule.memory_format):
        counts.append(space.base.stages[3].branches)  # which is trained first, or tried
    why = schedule.untrainable(max(counts, default=space.base.stages[3].branches))
    if why:
        reader.fault(_node_of_parts(section), "schedule", why, ONE_IMAGE)


def _branches(space: SearchSpace) -> list[int]:
    """Return how many last branches variants have; without rules every level of their choice."""
    if space.has_rules:
        found: set[int] = set()
        for points in rows_of(space):
            built = points[space.batch(points).valid()]
            valid = built[space.valid(built)]
            found.update(space.batch(valid).branches[:, 3].tolist())
        return sorted(found)
    last = (c for c in space.choices if c.key == "NUM_BRANCHES" and 3 in c.stages)
    return [level for choice in last for level in choice.values]


def check_arms(
    reader: Reader, spec: AblateSpec, space: SearchSpace, schedule: Schedule, section: Section
) -> None:
    """Add a fault if an arm of an ablation cannot take its batches in parts, or be trained.

    What one key allows another is judged for all arms here: levels are read one at a time.
    """
    if spec.too_many or not _parts_are_read(reader):
        return
    for point in points_of(spec):
        levels = list(zip(spec.factors, point, strict=True))
        if found := _wrong_with(space, schedule, levels):
            why, allowed = found
            names = ", ".join(f"{f.name}={shown(f.levels[level])}" for f, level in levels if level)
            where = f"with {names} " if names else ""
            reader.fault(_node_of_parts(section), "schedule", where + why, allowed)
            return


def _wrong_with(
    space: SearchSpace, schedule: Schedule, levels: Sequence[tuple[Factor, int]]
) -> tuple[str, str] | None:
    """Return what is wrong with an arm, and what is allowed."""
    own = replace(
        schedule,
        **{f.schedule_key: f.levels[n] for f, n in levels if f.schedule_key in TOGETHER},
    )
    if own.batch % own.accumulate:
        why = f"accumulate {own.accumulate} does not divide a batch of {own.batch}"
        return why, "batches that each accumulate divides"
    if own.warmup >= own.steps:
        why = f"a warm-up of {own.warmup} does not end before step {own.steps}, the last"
        return why, "a warmup below the steps of each arm"
    network = space.decode([level for factor, level in levels if not factor.schedule_key])
    why = own.untrainable(network.stages[3].branches)
    return (why, ONE_IMAGE) if why else None


def _parts_are_read(reader: Reader) -> bool:
    """Return whether crop, batch and accumulate of the schedule are without faults."""
    wrong = {fault.path for fault in reader.faults}
    return not wrong & {f"schedule.{key}" for key in KEYS}


def _node_of_parts(section: Section) -> yaml.Node | None:
    """Return where a schedule says how it takes its batches."""
    return next((section.key_node(key) for key in KEYS if key in section), section.node)
