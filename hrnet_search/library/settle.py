"""A study's data and schedule as the HRNet library's DATASET, LOSS, TRAIN and TEST sections.

What the library cannot be told is returned as notes, what only a user can know as keys left to
set. Nothing of a section is changed that the study says nothing of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import PurePath
from typing import Any

from hrnet_search.arch.yaml_nodes import decoded
from hrnet_search.errors import shown
from hrnet_search.library import readers
from hrnet_search.library.keys import (
    CITYSCAPES_WEIGHTS,
    LEAST_SCALE,
    Sections,
    gpu_count,
    scale_factor,
    scale_range,
    width_height,
)
from hrnet_search.library.readers import Reader
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import IGNORED, DataSpec
from hrnet_search.records.schedule import Schedule

Sizes = Mapping[str, Sequence[int]]

PLAIN = Schedule(DataSpec("", 0))
"""A schedule of which the library's trainer does everything in the same way."""

PUBLISHED_CROP = (512, 1024)
"""That of the library's own configs."""

NO_KEY = ("class_weights", "power", "warmup", "photometric", "ema", "precision", "init")
ITS_OWN = ("EXTRA_TRAIN_SET", "EXTRA_EPOCH", "EXTRA_LR", "NUM_SAMPLES")
"""Keys that a base has for its own data set alone."""


STRIDE = 8
"""What pascal_ctx pads the sides of validation images to multiples of."""


class Settling:
    """The sections of a base on their way to a study's: `left` to set, `notes` of what is not.

    `schedule` is None where the data alone are known; `sizes` are the largest image (height,
    width) by split, as far as known.
    """

    def __init__(
        self, sections: Sections, data: DataSpec, schedule: Schedule | None, sizes: Sizes
    ) -> None:
        self._data, self._schedule = data, schedule
        self.left: list[str] = []
        self.notes: list[str] = []
        self._sections = sections
        self._sizes = {**sizes, **_working(data)}
        self._reader = readers.READERS.get(data.kind)
        self._added = not self._reader and self._named not in ("", *readers.NAMES)
        self._same = self._added or (self._reader is not None and self._named == self._reader.name)

    def settle(self) -> None:
        """Write all that is known."""
        self._dataset()
        self._section("TRAIN")["IGNORE_LABEL"] = readers.ignored_label(self._data)
        self._train_sizes()
        self._test()
        if self._schedule:
            self._loss(self._schedule)
            self._optimiser(self._schedule)
            self._augmentation(self._schedule)
        self.notes += _data_not_carried(self._data)
        if self._schedule:
            self.notes += _not_carried(self._schedule)

    @property
    def _named(self) -> str:
        return str(self._section("DATASET").get("DATASET", ""))

    def _section(self, name: str) -> dict[str, Any]:
        found = self._sections.get(name)
        if not isinstance(found, dict):
            found = self._sections[name] = {}
        return found

    def _dataset(self) -> None:
        if not self._same:
            for name, key in product(("DATASET", "TRAIN", "TEST"), ITS_OWN):
                self._section(name).pop(key, None)
        self._section("DATASET")["NUM_CLASSES"] = self._data.classes
        if self._reader:
            self._own_reader(self._reader)
        elif self._added:
            self.notes.append(
                f"DATASET.DATASET {shown(self._named)} is not one of the library's own readers:"
                " ROOT and lists are the base's"
            )
        else:
            self._list_reader()

    def _own_reader(self, reader: Reader) -> None:
        """Name the data set's own reader; a base of the same one knows where its lists lie."""
        if not self._same:
            self._read_by(reader.name, _root(self._data) or "data/", reader.lists)
        own, preset = self._data, PRESETS[self._data.kind].spec
        splits = [(spec.train, spec.val, spec.val_fraction) for spec in (own, preset)]
        if splits[0] != splits[1]:
            self.left += [f"DATASET.{key}" for key in ("TRAIN_SET", "TEST_SET")]
            self.notes.append(
                "the lists are those of the whole data set; the study was trained on other"
                " images, or judged on others"
            )
        if reader is readers.PASCAL:
            self.notes.append(
                "branch HRNet-OCR takes TRAIN_SET and TEST_SET as lists of 'IMAGE MASK' below"
                " ROOT, the older branches as names of splits"
            )

    def _list_reader(self) -> None:
        """Name a reader of lists, and say what is left to set for it."""
        name = readers.list_reader(self._data.classes)
        self._read_by(name, _root(self._data), readers.OWN_LISTS)
        self.left += [f"DATASET.{key}" for key in ("ROOT", "TRAIN_SET", "TEST_SET")]
        self.notes += _of_lists(name)

    def _read_by(self, name: str, root: str, lists: tuple[str, str]) -> None:
        self._section("DATASET").update(DATASET=name, ROOT=root)
        self._section("DATASET").update(TRAIN_SET=lists[0], TEST_SET=lists[1])

    def _train_sizes(self) -> None:
        train = self._section("TRAIN")
        if self._schedule:
            train["IMAGE_SIZE"] = width_height(self._schedule.crop)
        train["BASE_SIZE"] = self._long_side("train", train.get("BASE_SIZE"))

    @property
    def _crop(self) -> tuple[int, int]:
        return self._schedule.crop if self._schedule else PUBLISHED_CROP

    def _test(self) -> None:
        """Judge whole images as they are, as the study did."""
        test, known = self._section("TEST"), self._sizes.get("val")
        if known and (self._reader is None or self._data.size):
            test["IMAGE_SIZE"] = width_height(known)
        elif self._reader is None:
            test["IMAGE_SIZE"] = width_height(self._crop)
            self.left += ["TRAIN.BASE_SIZE", "TEST.IMAGE_SIZE", "TEST.BASE_SIZE"]
        elif not self._same:
            test["IMAGE_SIZE"] = list(self._reader.test)
        test["BASE_SIZE"] = self._long_side("val", test.get("BASE_SIZE"))
        test.update(FLIP_TEST=False, MULTI_SCALE=False)
        for key in ("SCALE_LIST", "MODEL_FILE"):
            test.pop(key, None)
        listed = "" if self._reader or self._added else readers.list_reader(self._data.classes)
        if known and listed == readers.PASCAL.name:
            self._whole_for_pascal(test, known)

    def _whole_for_pascal(self, test: dict[str, Any], size: Sequence[int]) -> None:
        """Have the reader pascal_ctx judge images of one size whole, in training and afterwards.

        Of validation images it makes the *short* side BASE_SIZE, pads both sides to multiples of 8
        and takes IMAGE_SIZE of them at random; tools/test.py then makes the long side BASE_SIZE
        times each of SCALE_LIST.
        """
        short, long = min(size), max(size)
        test["IMAGE_SIZE"] = width_height([-(-side // STRIDE) * STRIDE for side in size])
        test["BASE_SIZE"] = short
        if long > short:
            test["SCALE_LIST"] = [long / short]
        self.notes.append(
            f"TEST judges images of {size[0]} x {size[1]} whole; of others pascal_ctx makes the"
            f" short side {short}, and judges a part at random of those that are larger then"
        )

    def _long_side(self, split: str, base: Any) -> Any:
        """Return the long side that images have before they are scaled."""
        known = self._sizes.get(split)
        if self._reader and not self._data.size:  # images of many sizes: as published
            return base if self._same and base else self._reader.long_side
        return int(max(known or self._crop))

    def _loss(self, schedule: Schedule) -> None:
        loss, ohem = self._section("LOSS"), schedule.loss == "ohem"
        loss["USE_OHEM"] = ohem
        if ohem:
            # Each process of the library keeps as many of its own images.
            keep = max(1, schedule.ohem_keep // self._used(schedule.batch))
            loss.update(OHEMTHRES=schedule.ohem_threshold, OHEMKEEP=keep)

    def _optimiser(self, schedule: Schedule) -> None:
        train = self._section("TRAIN")
        if schedule.optimiser == "sgd":
            train.update(OPTIMIZER="sgd", NESTEROV=False)
            rate = schedule.full_lr
            if rate != schedule.lr:
                self.notes.append(
                    f"TRAIN.LR is that of a training in full: variants, which inherit, had"
                    f" {schedule.lr:g}"
                )
            train.update(LR=rate, MOMENTUM=schedule.momentum, WD=schedule.weight_decay)
            if "NONBACKBONE_KEYWORDS" in train:
                train["NONBACKBONE_KEYWORDS"] = []  # all weights were trained at one rate
        else:
            train["OPTIMIZER"] = "sgd"
            self.notes.append(
                f"the library trains by SGD alone: LR, MOMENTUM and WD are the base's,"
                f" the study's were {schedule.optimiser}, {schedule.lr:g},"
                f" {schedule.momentum:g} and {schedule.weight_decay:g}"
            )
            self.notes += self._base_rate(schedule.batch)
        self._batch(schedule.batch)
        self.notes.append(
            f"TRAIN.END_EPOCH is the base's, for a training in full: the study's schedule was"
            f" {schedule.steps} steps of {schedule.batch} images"
        )

    def _base_rate(self, batch: int) -> Iterator[str]:
        """Yield that the base's learning rate was meant for another batch, where it was."""
        train = self._section("TRAIN")
        rate, each = train.get("LR"), train.get("BATCH_SIZE_PER_GPU")
        images = each * gpu_count(self._sections) if isinstance(each, int) else batch
        if images != batch:
            yield (
                f"LR {shown(str(rate))} is the base's for {images} images a step, this file has"
                f" {batch}: set LR, BATCH_SIZE_PER_GPU and GPUS together"
            )

    def _batch(self, batch: int) -> None:
        """Share a batch out over as many of the base's GPUs as take equal parts of it."""
        count, used = gpu_count(self._sections), self._used(batch)
        one = not isinstance(decoded(self._sections.get("GPUS", ())), tuple | list)
        if used < count or one:  # of a number by itself the library stops
            self._sections["GPUS"] = str(tuple(range(used)))
        if used < count:
            self.notes.append(f"GPUS are {used} of the base's {count}: equal parts of {batch}")
        self._section("TRAIN")["BATCH_SIZE_PER_GPU"] = batch // used

    def _used(self, batch: int) -> int:
        """Return how many of the base's GPUs take equal parts of a batch."""
        count = gpu_count(self._sections)
        return max(n for n in range(1, count + 1) if batch % n == 0)

    def _augmentation(self, schedule: Schedule) -> None:
        train, (low, high) = self._section("TRAIN"), schedule.scale
        train["MULTI_SCALE"] = True  # without it the library does not crop
        train["SCALE_FACTOR"] = scale_factor(high)
        if low != LEAST_SCALE:
            self.notes.append(
                f"scales are {LEAST_SCALE} to {scale_range(train['SCALE_FACTOR'])[1]:g}: the"
                f" library's begin at {LEAST_SCALE}, the study's were {low:g} to {high:g}"
            )
        train["FLIP"] = schedule.flip
        for key, value in (("DOWNSAMPLERATE", 1), ("RANDOM_BRIGHTNESS", False)):
            if key in train:
                train[key] = value
        if train.get("FLIP") and not self._reader and not self._added:
            self._mirror(train)

    def _mirror(self, train: dict[str, Any]) -> None:
        """Take mirroring away where it would exchange classes that are not left and right."""
        name = self._named
        if self._data.swaps:
            why = "classes that trade places in a mirror (data.swaps) would not"
        elif name == "lip":
            why = "lip would exchange classes 14 to 19"
        else:
            return
        train["FLIP"] = False
        self.notes.append(f"TRAIN.FLIP is false, the study mirrored images: {why}")


def _of_lists(name: str) -> Iterator[str]:
    yield (
        f"the library has five readers ({', '.join(readers.NAMES)}), each for one data set, and"
        " none for these data"
    )
    yield (
        "ROOT is put before the names of the lists and of all files; a line of a list is 'IMAGE"
        " MASK'; TEST_SET has 'val' in its name, TRAIN_SET has not; masks are of one channel of 8"
        " bits, of others the reader makes other ids"
    )
    if name == "lip":
        yield (
            f"DATASET.DATASET lip takes ids as they are stored, and a third column in TRAIN_SET,"
            f" which has 'train' in its name; it stretches images to IMAGE_SIZE with its"
            f" sides exchanged. pascal_ctx would subtract 1 from the ids of {readers.SHIFTED}"
            " classes; cityscapes, ade20k and cocostuff renumber ids"
        )
    else:
        yield (
            f"DATASET.DATASET {name} takes ids as they are stored, on branch HRNet-OCR, except"
            f" with NUM_CLASSES {readers.SHIFTED}; lip does too, with a third column in TRAIN_SET"
            " and classes 14 to 19 exchanged in mirror images; cityscapes, ade20k and cocostuff"
            " renumber ids"
        )


def _data_not_carried(data: DataSpec) -> Iterator[str]:
    """Yield what of a study's data has no key in the library."""
    if readers.is_renumbered(data):
        yield (
            f"masks hold other ids than classes (data.mapping, data.colors): write masks of ids 0"
            f" to {data.classes - 1}, and {IGNORED} for what is ignored"
        )
    elif data.ignore not in dict(data.mapping) and data.ignore != readers.ignored_label(data):
        yield (
            f"IGNORE_LABEL is {readers.ignored_label(data)}: where masks hold {data.ignore} too,"
            " which the study ignored, write that in its place"
        )
    if data.size and data.kind not in ("shapes", "lip"):
        height, width = data.size
        yield (
            f"the study resized images to {height} x {width}, whatever their ratio; the library"
            " keeps it"
        )
    if (data.mean, data.std) != (PLAIN.data.mean, PLAIN.data.std):
        yield "the library normalises with ImageNet's mean and std, the study with its own"


def _not_carried(schedule: Schedule) -> Iterator[str]:
    """Yield what of a study's schedule has no key in the library, or another value there."""
    cityscapes = schedule.data.kind == "cityscapes"
    if cityscapes and schedule.class_weights == PLAIN.class_weights:
        yield "the library weighs Cityscapes' classes, the study did not"
    own = {"class_weights"} if cityscapes and schedule.class_weights == CITYSCAPES_WEIGHTS else {}
    differ = [k for k in NO_KEY if k not in own and getattr(schedule, k) != getattr(PLAIN, k)]
    if differ:
        said = ", ".join(f"{key} {shown(str(getattr(schedule, key)))}" for key in differ)
        yield f"no key of the library says: {said}"


def _working(data: DataSpec) -> Sizes:
    return {"train": data.size, "val": data.size} if data.size else {}


def _root(data: DataSpec) -> str:
    """Return where the study's data lie, with the slash that the library does not add."""
    return f"{data.root.rstrip('/')}/" if PurePath(data.root).is_absolute() else ""
