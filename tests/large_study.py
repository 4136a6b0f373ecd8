"""A study of any size as a search leaves it, made up: every part of a report has its data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_up import CHECK, network
from numpy.typing import NDArray

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import COMPLETED, FAILED, STOPPED, RungResult, TrialKey, TrialResult
from hrnet_search.store.findings import NotedSchedule, RungAudit, Screening
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.tables import TRIALS, insert
from hrnet_search.store.trial_rows import Ask, asked, ended
from hrnet_search.store.writer import StudyStore

WIDTHS = tuple(range(8, 168, 2))
MODULES, BLOCKS, FUSES = (1, 2, 3, 4), (1, 2, 3, 4), ("SUM", "CAT")
LEVELS: tuple[tuple[object, ...], ...] = (WIDTHS, MODULES, MODULES, BLOCKS, FUSES)
PATHS = ("width", "STAGE3.NUM_MODULES", "STAGE4.NUM_MODULES", "STAGE4.NUM_BLOCKS", "STAGE4.FUSE")
CONDITION = LatencyCondition("NVIDIA H100", "cudagraph", "fp16", 1, (512, 1024), 1)
CLASSES = ("sky", "building", "pole", "road", "tree", "car")
Floats = NDArray[np.float64]
SHORT, LONG = "sc-short", "sc-long"


def make_study(
    folder: Path,
    trials: int,
    *,
    noise: float = 0.004,
    useless: float = 0.0,
    confirmed: int = 16,
    names: tuple[str, ...] = CLASSES,
    seed: int = 0,
    **notes: Any,
) -> Study:
    """Write a study of distinct variants, of which the last ones confirm.

    `noise` is that of seeds; `useless` drowns the search's schedule in noise of its own, so that it
    ranks nothing; `confirmed` architectures have the long schedule, and the front two more seeds.
    `notes` are those that the study notes instead.
    """
    rng = np.random.default_rng(seed)
    StudyStore.create(folder, replace(_notes(names), **notes))
    rows: list[tuple[Ask, TrialResult | None]] = []
    quality: list[float] = []
    for point, architecture in _variants(trials, rng):
        true = _quality(point, rng)
        quality.append(true)
        seen = true + rng.normal() * (noise + useless)
        ask = Ask(len(rows), TrialKey(architecture.id, SHORT, 0), point, architecture)
        rows.append((ask, _result(ask.key, architecture, seen, len(rows), rng)))
    rows += _confirming(rows, quality, noise, confirmed, rng)
    _write(folder, rows, rng, len(names))
    return open_study(folder)


def _notes(names: tuple[str, ...]) -> Notes:
    data = DataSpec("shapes", len(names), names, mean=(0.5, 0.5, 0.5))
    return Notes(
        name="a-large-study",
        study_id="0123456789ab",
        objectives=("miou", "latency_ms"),
        choices=PATHS,
        levels=LEVELS,
        base_yaml=config_text(network(18)),
        space_text="name: a-large-study\nbase: base.yaml\n",
        schedule=NotedSchedule(SHORT, Schedule(data)),
        long_schedule=NotedSchedule(LONG, Schedule(data, steps=900)),
        aa_check=replace(CHECK, ratio=1.001, low=0.997, high=1.004),
        screening=Screening(n=48, loo_error=0.031, tau=0.97, used=True),
        rung_audit=RungAudit(audited=17, lost=0, stopped=120),
    )


def _variants(
    count: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[int, ...], Architecture]]:
    """Yield distinct points and their networks; where points run out, networks of other blocks."""
    size = [len(v) for v in LEVELS]
    places = rng.permutation(np.prod(size))
    for number in range(count):
        place, turn = places[number % len(places)], number // len(places)
        point = tuple(int(i) for i in np.unravel_index(place, size))
        architecture = _architecture(point)
        first = replace(architecture.stages[0], blocks=(architecture.stages[0].blocks[0] + turn,))
        yield point, replace(architecture, stages=(first, *architecture.stages[1:]))


def _architecture(point: tuple[int, ...]) -> Architecture:
    width, third, fourth, blocks, fuse = point
    first, second, stage3, stage4 = network(WIDTHS[width]).stages
    rows = (BLOCKS[blocks],) * 4
    return Architecture(
        (
            first,
            second,
            replace(stage3, modules=MODULES[third]),
            replace(stage4, modules=MODULES[fourth], blocks=rows, fuse=FUSES[fuse]),
        )
    )


def _quality(point: tuple[int, ...], rng: np.random.Generator) -> float:
    width, third, fourth, blocks, fuse = point
    size = np.log1p(width) * 0.04 + third * 0.012 + fourth * 0.006 + blocks * 0.004
    return float(0.45 + size + 0.006 * fuse + rng.normal() * 0.02)


def _result(
    key: TrialKey, architecture: Architecture, miou: float, number: int, rng: np.random.Generator
) -> TrialResult | None:
    if number % 50 == 49:
        error = f"the loss is nan at step {number}" if number % 100 == 49 else "CUDA out of memory"
        return TrialResult(key, FAILED, error=error, wall_s=4.0)
    counted = cost(architecture, size=(64, 128), classes=6)
    ms = 0.8 + counted.macs / 4e8 + 0.35 * sum(s.modules for s in architecture.stages)
    ms *= float(np.exp(rng.normal() * 0.02))
    latency = Latency(
        ms, ms / 5, ms * 1.01, ms * 1.1, ms * 0.99, ms * 1.02, 200, number % 40 == 0, CONDITION,
        peak_memory_bytes=int(3e7 + counted.activations * 2), machine=(("driver", "550.1"),),
        ratio_low=ms / 5 * 0.985, ratio_high=ms / 5 * 1.015, reference_median_ms=5.0,
    )  # fmt: skip
    stopped = number % 7 == 3
    steps = (100, 200) if stopped else (100, 200, 300)
    miou = float(np.clip(miou, 0, 1))
    rungs = tuple(
        RungResult(step, miou * (1 - 0.4 * np.exp(-step / 90)), (miou,) * 6, 1.0, miou)
        for step in steps
    )
    return TrialResult(
        key=key,
        status=STOPPED if stopped else COMPLETED,
        cost=counted,
        latency=latency,
        miou=miou,
        rungs=rungs,
        wall_s=60.0 + counted.macs / 1e8,
        versions=(("torch", "2.13.0"), ("hrnet-search", "0.1.0")),
    )


def _confirming(
    rows: list[tuple[Ask, TrialResult | None]],
    quality: list[float],
    noise: float,
    count: int,
    rng: np.random.Generator,
) -> list[tuple[Ask, TrialResult | None]]:
    done = [(a, r) for a, r in rows if r and r.status == COMPLETED and r.miou is not None]
    best = sorted(done, key=lambda row: -(row[1].miou or 0))[:6]
    spread = [done[i] for i in np.linspace(0, len(done) - 1, count).astype(int)] if count else []
    wanted = [(ask, SHORT, s) for s in (1, 2) for ask, _ in best] if count else []
    wanted += [(ask, LONG, 0) for ask, _ in spread]
    found: list[tuple[Ask, TrialResult | None]] = []
    for ask, schedule, seed in wanted:
        number = len(rows) + len(found)
        key = TrialKey(ask.key.architecture, schedule, seed)
        again = replace(ask, number=number, key=key, purpose="confirm")
        miou = quality[ask.number] + rng.normal() * noise + (0.08 if schedule == LONG else 0)
        found.append((again, _result(key, ask.architecture, miou, 1, rng)))
    return found


def _write(
    folder: Path, rows: list[tuple[Ask, TrialResult | None]], rng: np.random.Generator, classes: int
) -> None:
    """Write all rows in one transaction: thousands of commits would take minutes."""
    (folder / "evaluation").mkdir(exist_ok=True)
    with StudyStore(folder) as store, store._write() as (connection, _):
        trials = [
            asked(ask) if result is None else ended(asked(ask), result, finished)
            for finished, (ask, result) in enumerate(rows)
        ]
        insert(connection, TRIALS, trials)
    done = [(a, r) for a, r in rows if r and r.status == COMPLETED]
    done.sort(key=lambda row: -(row[1].miou or 0) / (row[1].latency_ms or 1) ** 0.3)
    images = rng.normal(size=24)
    for ask, result in [*done[:120], *(row for row in done[120:] if row[0].purpose == "confirm")]:
        _evaluate(folder, ask.key, result.miou or 0.0, images, classes)


def _evaluate(folder: Path, key: TrialKey, miou: float, images: Floats, classes: int) -> None:
    """Write confusion matrices of which hits are spread by image, and two small previews."""
    rng = np.random.default_rng(abs(hash(str(key))) % 2**32)
    share = np.clip(2 * miou / (1 + miou) + 0.05 * images + rng.normal(size=24) * 0.01, 0.02, 0.98)
    hits = np.round(600 * share).astype(np.uint16)
    confusions = np.zeros((24, classes, classes), dtype=np.uint16)
    for k in range(classes):
        confusions[:, k, k] = hits
        confusions[:, k, (k + 1) % classes] += (600 - hits).astype(np.uint16)
    truth = np.zeros((2, 32, 48), dtype=np.uint8)
    truth[:, :, 16:] = 1
    truth[:, 16:, 24:] = min(3, classes - 1)
    wrong = rng.random(truth.shape) < 0.1
    np.savez_compressed(
        folder / "evaluation" / f"{key}.npz",
        confusions=confusions,
        step=300,
        preview_images=(truth[..., None] * 60 + np.array([20, 40, 60])).astype(np.uint8),
        preview_truth=truth,
        preview_predicted=np.where(wrong, 0, truth).astype(np.uint8),
        preview_indices=np.array([3, 9]),
    )
