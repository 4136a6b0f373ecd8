"""What a training starts from: a config of the HRNet library, or a trial of a study."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.arch.hrnet_yaml import Config, config_text, parse_config, read_config
from hrnet_search.arch.pretrained import PARENTS, pretrained_name
from hrnet_search.counts import aligned
from hrnet_search.data.pairs import home_of, list_path
from hrnet_search.errors import DataError, Fault, InputError, StudyError, shown
from hrnet_search.library.schedule import OWN, OfficialRule, Values, asked_by, official_rule
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.paths import absolute, is_file
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DataSpec, Split
from hrnet_search.records.schedule import PRETRAINED_INIT, Schedule
from hrnet_search.report.pick import picked_trial
from hrnet_search.space.load import load_space_file
from hrnet_search.store.kept import first_weights
from hrnet_search.store.schedules import trains_by
from hrnet_search.store.study import named_trial, open_study
from hrnet_search.store.tables import FILE

CONFIG, STUDY = "config", "study"
"""The words for where values come from."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is trained before anything is settled: the schedule's steps are `epochs` long.

    `config` is the text of its config, `base` the config that MODEL.PRETRAINED stands in;
    `origin` is what was asked for, `source` the word for where values come from. `first` is the
    weight file of what its study trained before all variants, empty where there is none.
    """

    name: str
    architecture: Architecture
    config: str
    base: Config
    schedule: Schedule
    epochs: int
    origin: Mapping[str, str]
    source: str
    notes: tuple[str, ...] = field(default=())
    first: str = ""

    @property
    def line(self) -> str:
        """Which network it is, for people: of a study, by the number of its trial."""
        whose = f"trial {self.origin['trial']} of the study, " if "trial" in self.origin else ""
        network, data = self.architecture, self.schedule.data
        params = cost(network, self.schedule.crop, data.classes).params
        return f"network: {whose}{network.id}, width {network.width}, {aligned(params)} parameters"


def is_study(folder: str | Path) -> bool:
    """Return whether a folder holds a study."""
    return Path(folder, FILE).is_file()


def of_config(path: str, data_file: str | None, data_root: str | None) -> Start:
    """Return what a config asks the official trainer for.

    Data are the config's own, or those of the space file `data_file`; `data_root` says where they
    lie. Raise InputError with every problem of it, DataError where its data are nowhere.
    """
    config = read_config(path)
    given = None
    if data_file is not None:
        given = load_space_file(data_file, data_root).schedule.data
        _require_root(given, data_file)
    asked = asked_by(config, given)
    schedule, notes = asked.schedule, list(asked.notes)
    if given is None:
        data, more = _placed(schedule.data, config, data_root)
        schedule, notes = replace(schedule, data=data), [*notes, *more]
    if pretrained_name(config):
        schedule = replace(schedule, init=PRETRAINED_INIT)
    origin = {"config": str(absolute(path))}
    if data_file is not None:
        origin["data"] = str(absolute(data_file))
    text = config_text(config.architecture, config)
    name = Path(path).stem
    return Start(
        name, config.architecture, text, config, schedule, asked.epochs, origin, CONFIG,
        tuple(notes),
    )  # fmt: skip


def of_study(
    folder: str, trial: int | None, pick: str | None, data_root: str | None = None
) -> Start:
    """Return a trial of a study: by its number, the best within a budget, or the best of all.

    Raise StudyError or InputError for a trial that there is not, or whose schedule is not noted.
    """
    if trial is not None and pick is not None:
        raise InputError(Fault("--pick", pick, "cannot be set with --trial", "one of the two"))
    study = open_study(folder)
    ask = named_trial(study, picked_trial(study, pick) if trial is None else trial)
    writer = ConfigWriter.of(study.notes)
    by = trains_by(ask, study.notes)
    schedule = writer.schedules.get(by)
    if schedule is None:
        wrong = f"the schedule of trial {ask.number} was not noted"
        raise StudyError(Fault("--trial", ask.number, wrong, "another trial", folder))
    schedule = with_root(schedule, data_root)
    text = writer.write(ask.architecture, by).text
    base = parse_config(text)
    origin = {
        "study": str(absolute(folder)),
        "study_id": study.notes.study_id or "",
        "trial": str(ask.number),
        "key": str(ask.key),
    }
    if pick is not None:
        origin["pick"] = pick
    name = f"{study.name}-trial{ask.number}"
    epochs = Values(base)["TRAIN.END_EPOCH"]
    epochs = epochs if type(epochs) is int and epochs > 0 else 1
    first = str(first_weights(study) or "")
    return Start(name, ask.architecture, text, base, schedule, epochs, origin, STUDY, first=first)


def rule_of(start: Start) -> OfficialRule:
    """Return how the official test script judges by the config that a start is of."""
    return official_rule(start.base)


def with_root(schedule: Schedule, data_root: str | None) -> Schedule:
    """Return a schedule whose data lie elsewhere, if it is said where."""
    if data_root is None:
        return schedule
    return replace(schedule, data=replace(schedule.data, root=str(absolute(data_root))))


def _placed(spec: DataSpec, config: Config, data_root: str | None) -> tuple[DataSpec, list[str]]:
    """Return a config's data where they lie, and what of its lists could not be followed."""
    root = _root(config, data_root)
    spec = replace(spec, root=str(root))
    notes: list[str] = []
    for split in ("train", "val"):
        path = list_path(spec, split)
        if path is None:
            continue
        if is_file(path):
            spec = _begun_at(spec, split, path)
            continue
        if spec.kind == OWN:
            continue  # who opens the data says which list is missing
        preset = PRESETS[spec.kind].spec
        key = {"train": "TRAIN_SET", "val": "TEST_SET"}[split]
        notes.append(
            f"DATASET.{key}: {shown(str(path), 300)} is not there: {split} is what the data set's"
            " own folders hold"
        )
        own = preset.train if split == "train" else preset.val
        spec = replace(spec, train=own) if split == "train" else replace(spec, val=own)
    return spec, notes


def _begun_at(spec: DataSpec, split: str, path: Path) -> DataSpec:
    """Return data whose lists begin where their first line does: at the root, as the library's.

    Branch HRNet-OCR joins ROOT and the line; older ones put a folder of the data set between.
    """
    own: Split = getattr(spec, split)
    try:
        with path.open(encoding="utf-8-sig") as lines:
            first = next((line.split()[0] for line in lines if line.strip()), "")
    except (OSError, ValueError):  # who opens the data says what is wrong with it
        return spec
    root, home = Path(spec.root), home_of(spec)
    if not first or is_file(home / own.images / first):
        return spec
    if is_file(root / own.images / first):
        return replace(spec, home="")
    if is_file(root / first):
        plain = replace(own, images="", masks="")
        spec = replace(spec, home="")
        return replace(spec, train=plain) if split == "train" else replace(spec, val=plain)
    return spec


def _root(config: Config, data_root: str | None) -> Path:
    """Return where a config's data lie: ROOT as the library has it, or what is given."""
    named = str(Values(config)["DATASET.ROOT"])
    if data_root is not None:
        places = [absolute(data_root)]
    else:
        folder = Path(config.path).parent
        above = [Path(), folder, *folder.resolve().parents[:PARENTS]]
        places = [absolute(named, place) for place in above] if named else []
    for place in places:
        if os.path.isdir(place):  # noqa: PTH112 -- Path.is_dir raises if a name is too long
            return place
    where = "--data-root" if data_root is not None else "DATASET.ROOT"
    given = shown(data_root or named, 300)
    wrong = f"{given} is not a folder" if given else "names no folder"
    raise DataError(Fault(where, named, wrong, "--data-root DIR", config.path))


def _require_root(spec: DataSpec, file: str) -> None:
    if spec.in_files and not spec.root:
        wrong, allowed = "the data have no root", "--data-root DIR"
        raise InputError(Fault("data.root", None, wrong, allowed, file))
