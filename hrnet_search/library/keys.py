"""The HRNet library's keys with its defaults, and what some of them stand for, both ways.

Facts of `lib/config/default.py` on branch HRNet-OCR, and of the trainer that reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hrnet_search.arch.yaml_nodes import decoded

Sections = dict[str, Any]

DEFAULTS: Sections = {
    "OUTPUT_DIR": "", "LOG_DIR": "", "GPUS": (0,), "WORKERS": 4, "PRINT_FREQ": 20,
    "AUTO_RESUME": False, "PIN_MEMORY": True, "RANK": 0,
    "CUDNN": {"BENCHMARK": True, "DETERMINISTIC": False, "ENABLED": True},
    "MODEL": {
        "NAME": "seg_hrnet", "PRETRAINED": "", "ALIGN_CORNERS": True, "NUM_OUTPUTS": 1,
        "EXTRA": {},
        "OCR": {"MID_CHANNELS": 512, "KEY_CHANNELS": 256, "DROPOUT": 0.05, "SCALE": 1},
    },
    "LOSS": {
        "USE_OHEM": False, "OHEMTHRES": 0.9, "OHEMKEEP": 100000, "CLASS_BALANCE": False,
        "BALANCE_WEIGHTS": [1],
    },
    "DATASET": {
        "ROOT": "", "DATASET": "cityscapes", "NUM_CLASSES": 19,
        "TRAIN_SET": "list/cityscapes/train.lst", "EXTRA_TRAIN_SET": "",
        "TEST_SET": "list/cityscapes/val.lst",
    },
    "TRAIN": {
        "FREEZE_LAYERS": "", "FREEZE_EPOCHS": -1, "NONBACKBONE_KEYWORDS": [],
        "NONBACKBONE_MULT": 10, "IMAGE_SIZE": [1024, 512], "BASE_SIZE": 2048,
        "DOWNSAMPLERATE": 1, "FLIP": True, "MULTI_SCALE": True, "SCALE_FACTOR": 16,
        "RANDOM_BRIGHTNESS": False, "RANDOM_BRIGHTNESS_SHIFT_VALUE": 10, "LR_FACTOR": 0.1,
        "LR_STEP": [90, 110], "LR": 0.01, "EXTRA_LR": 0.001, "OPTIMIZER": "sgd", "MOMENTUM": 0.9,
        "WD": 0.0001, "NESTEROV": False, "IGNORE_LABEL": -1, "BEGIN_EPOCH": 0, "END_EPOCH": 484,
        "EXTRA_EPOCH": 0, "RESUME": False, "BATCH_SIZE_PER_GPU": 32, "SHUFFLE": True,
        "NUM_SAMPLES": 0,
    },
    "TEST": {
        "IMAGE_SIZE": [2048, 1024], "BASE_SIZE": 2048, "BATCH_SIZE_PER_GPU": 32, "NUM_SAMPLES": 0,
        "MODEL_FILE": "", "FLIP_TEST": False, "MULTI_SCALE": False, "SCALE_LIST": [1],
        "OUTPUT_INDEX": -1,
    },
    "DEBUG": {
        "DEBUG": False, "SAVE_BATCH_IMAGES_GT": False, "SAVE_BATCH_IMAGES_PRED": False,
        "SAVE_HEATMAPS_GT": False, "SAVE_HEATMAPS_PRED": False,
    },
}  # fmt: skip
"""What a key is where a config does not say; MODEL.EXTRA takes any key."""


def unknown_keys(sections: Sections, known: Sections = DEFAULTS, path: str = "") -> Iterator[str]:
    """Yield the keys of a config that the library does not know, on which its merge stops."""
    for key, value in sections.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in known:
            yield where
        elif isinstance(value, dict) and isinstance(known[key], dict) and known[key]:
            yield from unknown_keys(value, known[key], where)


def known_beside(path: str) -> list[str]:
    """Return the keys of the library in the section of a key."""
    section: Any = DEFAULTS
    *above, _ = path.split(".")
    for part in above:
        section = section[part]
    return [".".join([*above, key]) for key in section]


NEVER_READ = (
    "AUTO_RESUME", "PIN_MEMORY", "RANK", "MODEL.OCR.DROPOUT", "MODEL.OCR.SCALE",
    "LOSS.CLASS_BALANCE", "TRAIN.FREEZE_LAYERS",
    "TRAIN.FREEZE_EPOCHS", "TRAIN.LR_FACTOR", "TRAIN.LR_STEP", "TRAIN.BEGIN_EPOCH",
    "TRAIN.NUM_SAMPLES", "TEST.BATCH_SIZE_PER_GPU", "TEST.MULTI_SCALE", "DEBUG",
)  # fmt: skip
"""Keys that no line of the official trainer or test script reads."""

LEAST_SCALE, SCALE_STEP = 0.5, 0.1
"""Where the library's random scale begins, and how far one is from the next."""

MOST_FASTER = 10
"""Times the learning rate that weights of NONBACKBONE_KEYWORDS have from the second step on.

`lib/utils/utils.py` writes it out and passes NONBACKBONE_MULT over.
"""

CITYSCAPES_WEIGHTS = (
    0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023, 0.9539, 0.9843,
    1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507,
)  # fmt: skip
"""What the reader of Cityscapes weighs its classes by in the loss; no other reader weighs any."""


def scale_factor(highest: float) -> int:
    """Return the TRAIN.SCALE_FACTOR of a range of scales: how many steps it goes on."""
    return max(0, round((highest - LEAST_SCALE) / SCALE_STEP))


def scale_range(factor: int) -> tuple[float, float]:
    """Return the lowest and the highest scale of a TRAIN.SCALE_FACTOR."""
    return LEAST_SCALE, round(LEAST_SCALE + factor * SCALE_STEP, 6)


def width_height(size: Sequence[int]) -> list[int]:
    """Return a (height, width) as IMAGE_SIZE, or an IMAGE_SIZE as (height, width)."""
    return [int(size[1]), int(size[0])]


def gpu_count(sections: Mapping[str, Any]) -> int:
    """Return how many processes the library expects: it divides its schedule by them."""
    gpus = decoded(sections.get("GPUS", DEFAULTS["GPUS"]))
    return len(gpus) if isinstance(gpus, tuple | list) and gpus else 1
