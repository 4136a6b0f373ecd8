"""How a variant is trained and judged: the `schedule` section of a space file, and its id."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from hrnet_search.arch.cost import halved
from hrnet_search.content_hash import hash_of
from hrnet_search.records.data_spec import NO_IDENTITY, WHERE_SET, DataSpec

AUTO = "auto"
"""What a space file says where the machine, or the study, is to choose."""

OPTIMISERS = ("sgd", "adamw")
LOSSES = ("cross_entropy", "ohem")
CLASS_WEIGHTS = ("none", "balanced")
PRECISIONS = ("fp32", "bf16", "fp16")
MEMORY_FORMATS = ("contiguous", "channels_last")

MEAN_PADDING, BLACK_PADDING = "mean", "black"
"""What a crop shows outside its image."""

NO_INIT, BASE_INIT, SHARED_INIT = "none", "base", "shared"

PRETRAINED_INIT, TRIAL_INIT = "pretrained", "trial:"
"""What `schedule.init` may be, beside the name of a weight file; the last one before a key."""

TRAINED_FIRST = (BASE_INIT, SHARED_INIT)
"""What a search trains before all else, so that its variants start from it."""

AUX_WEIGHT = 0.4
"""LOSS.BALANCE_WEIGHTS of all published configs with an OCR head; the main output counts 1."""

LIBRARY_ONLY = (
    "nesterov", "fast_keys", "fast_lr", "long_side", "scale_step", "brightness", "padding",
)  # fmt: skip
"""Fields of Schedule that configs of the HRNet library set; part of an identity where they do."""

SHARED_KEYS = (
    "networks", "teacher_weight", "init_networks", "init_warmup", "init_teacher_weight",
)  # fmt: skip
"""Fields of Schedule that are part of an identity where they are set, as `WHERE_SET` are."""

ONE_IMAGE = "a larger crop, or two images or more in each part of a batch"
"""What helps where a schedule is `untrainable`."""


INHERITED = 0.4
"""Share of the rate for a start that is inherited: the whole undoes it first (docs/LOG.md)."""


def inherited_lr(lr: float) -> float:
    """Return the learning rate of what inherits, where random weights are trained at `lr`."""
    return round(INHERITED * lr, 6)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that changes how a variant is judged; not its rungs, not its seed.

    `crop` is (height, width) in pixels, `scale` the range of the random resize, `photometric`
    how far colours are changed (0: not at all, 1: completely), `fingerprint` that of the data.
    A step takes `batch` images, in `accumulate` equal parts one after the other. The learning
    rate rises over `warmup` steps and falls as (1 - step/steps) ** power (the official
    trainer's polynomial, power 0.9). `momentum` is AdamW's beta1 too. `class_weights` is none,
    balanced or a weight a class. `ema` is the decay of averaged weights, which are then the
    ones judged; 0: none. `precision` auto and `memory_format` auto stand in space files alone:
    a study settles them at its start.

    `aux_weight` is what the loss of the auxiliary output of an OCR head counts beside that of the
    output that is judged.

    `init` is what a variant starts from: `none` (random weights), `base` (inherited from the
    study's base, which is trained first, for `init_steps` steps at the learning rate `init_lr`;
    0: as a variant), `shared` (slices of weights that all variants share, which are trained first:
    for `init_steps` steps, each of which teaches `init_networks` networks, with a warm-up of
    `init_warmup`; `init_teacher_weight` as `teacher_weight` below), `pretrained` (the file that
    the base's config names), a weight file or `trial:KEY`. Weights are known by `init_fingerprint`;
    `init_path`, where they lie, is not part of the identity. `networks` is how many networks a
    step teaches by weights that they share; 0: one, by its own. With a `teacher_weight` the most
    expensive is always among them, and what it says counts so much of the loss of the others. Of 0
    `steps` nothing is trained: a network is judged as it starts.

    The rest is what the HRNet library's own trainer does beside all this: parameters whose names
    hold one of `fast_keys` learn at `fast_lr` times the rate; scale 1 makes the longer side of an
    image `long_side` pixels (0: as it is stored), scales are `scale_step` apart (0: any between);
    half of the crops become up to `brightness` levels brighter or darker; `padding` is what a
    crop shows outside its image.
    """

    data: DataSpec
    steps: int = 300
    batch: int = 8
    crop: tuple[int, int] = (128, 128)
    fingerprint: str = ""
    optimiser: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4
    power: float = 0.9
    warmup: int = 0
    loss: str = "cross_entropy"
    ohem_threshold: float = 0.9
    ohem_keep: int = 131072
    aux_weight: float = AUX_WEIGHT
    class_weights: str | tuple[float, ...] = "none"
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    photometric: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    precision: str = "fp32"
    memory_format: str = "channels_last"
    compile: bool = False
    init: str = NO_INIT
    init_steps: int = 0
    init_lr: float = 0.0
    init_networks: int = 0
    init_warmup: int = 0
    init_teacher_weight: float = 0.0
    networks: int = 0
    teacher_weight: float = 0.0
    init_fingerprint: str = ""
    init_path: str = ""
    nesterov: bool = False
    fast_keys: tuple[str, ...] = ()
    fast_lr: float = 1.0
    long_side: int = 0
    scale_step: float = 0.0
    brightness: int = 0
    padding: str = MEAN_PADDING

    def untrainable(self, branches: int, parts: int = 0) -> str:
        """Return why a network of `branches` branches cannot be trained; empty if it can.

        Batch norm needs two values of a channel: torch refuses one, whose variance is 0. Each
        batch is taken in `parts` parts as torch's chunk makes them, 0: `accumulate`.
        """
        parts = parts or self.accumulate
        most = -(-self.batch // parts)
        images = (self.batch - 1) % most + 1
        height, width = halved(self.crop, 1 + branches)
        if images * height * width > 1:
            return ""
        return (
            f"crop [{self.crop[0]}, {self.crop[1]}] leaves the last of {branches} branches one"
            f" pixel, and batch {self.batch} with accumulate {parts} makes a part of one image:"
            " batch norm needs two values of a channel"
        )

    @property
    def full_lr(self) -> float:
        """The learning rate of a training in full: the whole one where a variant has a share of it.

        Another one, as where rates are searched, is kept.
        """
        usual = self.init in TRAINED_FIRST and self.lr == inherited_lr(self.init_lr)
        return self.init_lr if usual else self.lr

    def from_scratch(self) -> Schedule:
        """Return the schedule by which a network of random weights is trained as this one is.

        Where variants start from what is trained first, at its learning rate.
        """
        fresh = replace(self, init=NO_INIT, init_steps=0, init_lr=0.0)
        fresh = replace(fresh, init_networks=0, init_warmup=0, init_teacher_weight=0.0)
        return replace(fresh, init_fingerprint="", init_path="", lr=self.init_lr or self.lr)

    @property
    def id(self) -> str:
        """`sc-` and 12 hex digits over all that is read, but not where data and weights lie."""
        content = asdict(self)
        unset = (key for key in WHERE_SET if not content["data"][key])
        for key in (*NO_IDENTITY, *unset):
            del content["data"][key]
        del content["init_path"]
        for key in SHARED_KEYS:
            if not content[key] or self.init_fingerprint:
                del content[key]
        defaults = {f.name: f.default for f in fields(self)}
        for key in LIBRARY_ONLY:
            if content[key] == defaults[key]:
                del content[key]
        if self.init_fingerprint:  # it tells more than the words that led to it
            del content["init"], content["init_steps"], content["init_lr"]
        if self.aux_weight == AUX_WEIGHT:
            del content["aux_weight"]  # as published: studies begun before it existed go on
        if self.loss != "ohem":
            del content["ohem_threshold"], content["ohem_keep"]
        return "sc-" + hash_of(content)
