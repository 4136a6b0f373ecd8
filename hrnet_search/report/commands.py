"""Commands for a person to copy: they do the same from every folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from hrnet_search.paths import absolute, is_file
from hrnet_search.records.schedule import NO_INIT, SHARED_INIT, TRAINED_FIRST, Schedule
from hrnet_search.report.budget_words import budget_in_words
from hrnet_search.report.duels import fought_for
from hrnet_search.store.kept import first_weights
from hrnet_search.store.schedules import shares_weights
from hrnet_search.store.study import Study
from hrnet_search.store.trainings import TrainingRecord


def commands(study: Study) -> tuple[str, ...]:
    """Return what begins a study again beside it, reports on it, and makes use of its front."""
    folder = str(absolute(study.folder))
    return (
        shell(*run_again(study), "-o", f"{folder}-again"),
        shell("report", folder),
        shell("export", folder, "--format", "hrnet,mmseg,onnx", "--weights"),
        *training_in_full(study),
    )


def training_in_full(study: Study) -> tuple[str, ...]:
    """Return what trains the pick of each budget that the study fought for, or its best network."""
    folder, start = str(absolute(study.folder)), start_words(study)
    budgets = dict.fromkeys((duel.cost, duel.budget) for duel in fought_for(study.notes))
    if not budgets:
        return (shell("train", folder, *start, "-o", f"{folder}-trained"),)
    names = [budget_in_words(cost, budget) for cost, budget in budgets]
    places = [f"{folder}-{name.replace('<=', '-')}" for name in names]
    return tuple(
        shell("train", folder, "--pick", name, *start, "-o", place)
        for name, place in zip(names, places, strict=True)
    )


def start_words(study: Study) -> tuple[str, ...]:
    """Return what lets a network begin with its slice, where a study taught weights to share.

    A training in full gains by it: docs/shared.md. Where trials begin so, `train` does unasked.
    """
    noted = study.notes.schedule
    alone = noted is not None and noted.schedule.init == NO_INIT
    first = first_weights(study) if alone and shares_weights(study.notes) else None
    return ("--init", SHARED_INIT) if first is not None and is_file(first) else ()


def training_commands(record: TrainingRecord, folder: Path) -> tuple[str, ...]:
    """Return what trains the same again beside a training, judges its weights, and uses them."""
    place = str(absolute(folder))
    return (
        shell(*_train_again(record), "-o", f"{place}-again"),
        shell("evaluate", place),
        shell("predict", place, "IMAGES", "-o", f"{place}-masks"),
    )


def _train_again(record: TrainingRecord) -> list[str]:
    origin, schedule = record.origin, record.schedule.schedule
    words = ["train", origin.get("config") or origin.get("study", "")]
    words += ["--trial", origin["trial"]] if "trial" in origin else []
    words += ["--data", origin["data"]] if "data" in origin else []
    words += ["--data-root", schedule.data.root] if schedule.data.root else []
    given = {
        "--epochs": schedule.steps // record.epoch,
        "--seed": record.seed,
        "--init": _init_of(schedule),
    }
    for key, option in record.came_from.items():
        brought = key == "lr" and option != "--lr"  # by another option, which is there too
        if option.startswith("--") and option != "--data" and not brought:
            value = given.get(option, getattr(schedule, key, ""))
            values = value if isinstance(value, tuple) else (value,)
            words += [option, *map(str, values)]
    if schedule.init == SHARED_INIT and record.came_from.get("lr") != "--lr":
        words += ["--lr", f"{schedule.lr:g}"]  # which was another one by default before
    if teacher := record.teacher:
        words += ["--teacher", teacher.path, "--temperature", f"{teacher.temperature:g}"]
        words += ["--teacher-weight", f"{teacher.weight:g}"]
    if "judged" in origin:
        words += ["--judged", origin["judged"]]
    return words


def _init_of(schedule: Schedule) -> str:
    return schedule.init if schedule.init in TRAINED_FIRST else schedule.init_path or schedule.init


def run_again(study: Study, space: Path | None = None) -> list[str]:
    """Return the command that began a study, with what its space file does not say.

    `space` is another space file than the study's own.
    """
    notes = study.notes
    ablation = any(key.startswith("ablate.") for key in notes.identity or ())
    words = ["ablate" if ablation else "run", str(space or absolute(study.folder) / "space.yaml")]
    if notes.schedule and (root := notes.schedule.data.root):
        words += ["--data-root", str(absolute(root))]
    if not ablation and notes.hours:
        words += ["--hours", f"{notes.hours:g}"]
    elif not ablation and notes.trials is not None:
        words += ["--trials", str(notes.trials)]
    return words


def shell(*words: str) -> str:
    """Return a command of this program as a shell takes it."""
    return shlex.join(["hrnet-search", *words])
