"""A study from a space file to its trust section, then the same with `init: base`.

On CamVid at 360x480 if it is at hand, else on drawn shapes at 256x256. Several trials at once
share the GPU, as many as its memory holds, where Ray is installed; without it they follow one
another. A study that its time did not suffice for goes on another time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from benchmarks.gpu_steps.results import Row, TimeIsOver
from benchmarks.gpu_steps.step import Given
from hrnet_search.arch.memory import training_memory
from hrnet_search.records.trial import TrialResult, TrialTask
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.search.begin import open_store
from hrnet_search.search.driver import Driver
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.plan import Plan
from hrnet_search.search.run import Inline, search
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.generate import generate
from hrnet_search.space.load import SpaceFile, load_space_file
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study

SPACES = Path(__file__).parents[2] / "search_spaces"
STUDIES = {"from scratch": "none", "init base": "base"}
"""What is searched twice, and `schedule.init` of each."""

CAMVID_SIZE, SHAPES_SIZE, DRY_SIZE = [360, 480], [256, 256], [32, 32]
TRIALS, DRY_TRIALS = 40, 2
DRY_STEPS = 2
MOST_AT_ONCE = 8
CONTEXT = 1 << 30
"""Bytes of a GPU that a process takes beside its tensors: CUDA's context, workspaces."""

OF_THE_GPU = 0.8
"""The share of a GPU's memory that trials at once may fill."""


def run(given: Given) -> None:
    """Run both studies, each within its half of the time; raise TimeIsOver if one is not whole."""
    waiting = [name for name in STUDIES if not given.results.rows.get(name, {}).get("whole")]
    for place, name in enumerate(waiting):
        until = time.monotonic() + given.left() / (len(waiting) - place)
        before = given.results.rows.get(name, {}).get("seconds", 0.0)
        with given.results.row(name) as row:
            row |= _studied(given, name, until)
            row["seconds"] += before
            row["says"] = f"{row['completed']} of {row['trials']} trials, trust: {row['trust']}"
    if not all(given.results.rows[name].get("whole") for name in waiting):
        raise TimeIsOver


def findings(rows: dict[str, Row]) -> Iterator[str]:
    """Yield what each study found and how far it is to be trusted."""
    for name, row in rows.items():
        if "front" in row:
            best = max(row["front"], key=lambda member: float(member["miou"]), default=None)
            top = f", best mIoU {best['miou']:.3f} at {best['latency_ms']:.2f} ms" if best else ""
            yield (
                f"{name} on {row['data']}: {row['completed']} of {row['trials']} trials in"
                f" {row['seconds']:.0f} s, {row['at_once']} at once, {len(row['front'])} on the"
                f" front{top}; {row['trust']}: {row['why']}"
            )


def space_text(given: Given, init: str) -> str:
    """Return the space file of a study: the shipped CamVid's, with sizes and lengths of here."""
    space: dict[str, Any] = yaml.safe_load((SPACES / "camvid.yaml").read_text(encoding="utf-8"))
    on_files = bool(given.data_root) and not given.dry
    size = DRY_SIZE if given.dry else CAMVID_SIZE if on_files else SHAPES_SIZE
    if on_files:
        space["data"] |= {"size": size, "root": given.data_root}
    else:
        few = {"train": 8, "val": 4} if given.dry else {"train": 512, "val": 64}
        space["data"] = {"kind": "shapes", "size": size, **few}
    space["base"] = str(SPACES / space["base"])
    space["schedule"] |= {"crop": size, "init": init, "precision": "auto"}
    space["latency"] |= {"size": size, "device": given.device}
    space["search"] = {"trials": TRIALS, "seed": 0, "confirm": 0.2}
    space["tracking"] = {"mlflow": "off"}
    if given.dry:
        short = {"steps": DRY_STEPS, "rungs": [DRY_STEPS], "batch": 4, "precision": "fp32"}
        space["schedule"] |= short | {"warmup": 1}
        space["vary"] = {"width": [4, 8]}
        space["latency"]["seconds"] = 0.1
        space["search"] = {"trials": DRY_TRIALS, "seed": 0}
    return json.dumps(space, indent=1)  # which is YAML, without anchors for what stands twice


def trials_at_once(needed: int, memory: int) -> int:
    """Return how many trials of `needed` bytes a GPU of `memory` bytes holds at once."""
    return max(1, min(MOST_AT_ONCE, int(OF_THE_GPU * memory) // (needed + CONTEXT)))


class Clock:
    """A listener that interrupts a study when its time is over."""

    def __init__(self, interrupt: Interrupt, until: float) -> None:
        self._interrupt, self._until = interrupt, until

    def started(self, *_: object) -> None:
        if time.monotonic() >= self._until:
            self._interrupt.asked = True

    progressed = started
    returned = started

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        figure = f"mIoU {result.miou:.4f}" if result.miou is not None else result.error
        print(f"trial {task.number}: {result.status}, {figure}", flush=True)
        self.started()


def _studied(given: Given, name: str, until: float) -> dict[str, Any]:
    """Go on with a study until its end or its time's; return how it stands."""
    folder = given.work("search") / name.replace(" ", "-")
    path = given.work("search") / f"{folder.name}.yaml"
    path.write_text(space_text(given, STUDIES[name]), encoding="utf-8")
    file = load_space_file(path)
    start, whole = time.monotonic(), True
    plan = plan_of(file, folder)
    at_once = _at_once(given, file)
    with (
        Interrupt() as interrupt,
        open_store(file, plan, folder) as store,
        _driver(file, plan, store.notes(), at_once, interrupt) as driver,
    ):
        try:
            search(plan, store, [Clock(interrupt, until)], print, driver)
        except KeyboardInterrupt:
            whole = False
    how = {"whole": whole, "seconds": time.monotonic() - start, "at_once": at_once}
    return {**standing(open_study(folder)), **how, "data": _data(file)}


def standing(study: Study) -> dict[str, Any]:
    """Return the front of a study, finished or not, and how far it is to be trusted."""
    trials, notes = study.trials(), study.notes
    evidence = evidence_of(study, trials)
    columns = ["number", "width", "params", "macs", "latency_ms", "miou"]
    return {
        "trials": max(notes.trials or 0, len(trials)),  # the base comes on top
        "completed": sum(r is not None and r.status == "completed" for _, r in trials),
        "errors": sorted({r.error for _, r in trials if r is not None and r.error}),
        "front": study.front()[columns].to_dict("records"),
        "aa_check": evidence.aa_check and asdict(evidence.aa_check),
        "probe": notes.probe and asdict(notes.probe),
        "trust": evidence.stamp.verdict,
        "why": evidence.stamp.why,
    }


def _data(file: SpaceFile) -> str:
    size = file.schedule.data.size or file.schedule.crop
    kind = "CamVid" if file.schedule.data.in_files else "shapes"
    return f"{kind} at {size[0]}x{size[1]}"


def _at_once(given: Given, file: SpaceFile) -> int:
    """Return how many trials run at once; several only on a GPU, and by Ray."""
    if given.dry or find_spec("ray") is None:
        return 1
    schedule = file.schedule
    drawn = [file.space.base, *generate(file.space, 32, seed=0)]
    sizes = (
        training_memory(a, schedule.crop, schedule.data.classes, schedule.batch) for a in drawn
    )
    return trials_at_once(max(sizes), int(given.results.machine["gpu_memory"]))


@contextmanager
def _driver(
    file: SpaceFile, plan: Plan, notes: Notes, at_once: int, interrupt: Interrupt
) -> Iterator[Driver]:
    if at_once == 1:
        yield Inline(interrupt)
        return
    from hrnet_search.search.ray_tune.nodes import Asked
    from hrnet_search.search.ray_tune.open_driver import ray_driver

    asked = Asked(workers=at_once, gpus=1 / at_once)
    folder = Path(plan.folder)
    study = notes.study_id or folder.name
    with ray_driver(
        asked, folder, study, file.latency.device, notes.device, interrupt, print
    ) as driver:
        yield driver
