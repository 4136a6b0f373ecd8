"""`predict`: masks of images, by a training, weights or an ONNX file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_search.commands.arguments import (
    device,
    named,
    number,
    offer,
    output,
    positive,
)
from hrnet_search.commands.driver import spin_less
from hrnet_search.commands.evaluate import WHICH
from hrnet_search.commands.outcome import DONE, say, warn
from hrnet_search.device_names import DEVICE_WORDS, DEVICES
from hrnet_search.errors import Fault, InputError, counted
from hrnet_search.paths import absolute, expanded, is_folder, several
from hrnet_search.told import Told, nobody

if TYPE_CHECKING:
    from hrnet_search.trainings.models import Model


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was written of one image: `mask` holds class ids; others are None if not asked for."""

    image: Path
    mask: Path
    overlay: Path | None
    probabilities: Path | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every image: the arguments of `predict`, in their order."""

    source: str | Path
    images: str | Path | Sequence[str | Path]
    folder: str | Path
    which: str | None
    config: str | Path | None
    overlay: bool
    probabilities: bool
    protocol: dict[str, Any]
    size: tuple[int, int] | None
    batch: int
    device: str


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `predict`."""
    add = sub.add_argument
    what = "folder of a training, weights of an HRNet, or an ONNX file"
    add("source", type=named, metavar="DIR|FILE", help=what)
    images = "images, or folders of images"
    add("images", nargs="+", type=named, metavar="IMAGE", help=images)
    where = "folder for the masks"
    add("-o", "--output", type=output, required=True, metavar="DIR", help=where)
    which = "which weights of a training: best (its highest mIoU; the default) or last"
    add("--which", choices=WHICH, help=which)
    yaml = "the HRNet library's yaml that weights were trained by, where they do not say it"
    add("--config", type=named, metavar="YAML", help=yaml)
    add("--no-overlay", action="store_true", help="masks alone, without the images below them")
    add("--probabilities", action="store_true", help="also as npz: float16 [classes, H, W]")
    add("--flip", action="store_true", help="add the mirror image of each")
    scales = "decide at each of these scales"
    add("--scales", nargs="+", type=number, default=[1.0], metavar="S", help=scales)
    size = {"nargs": 2, "type": positive, "metavar": ("H", "W")}
    add("--window", help="in windows of this size", **size)  # type: ignore[arg-type]
    working = "resize images to this size first (as they were for the training)"
    add("--size", help=working, **size)  # type: ignore[arg-type]
    add("--batch", type=positive, default=1, metavar="N", help="images of one size at once (1)")
    offer(add("--device", type=device, default="auto", help=DEVICES), lambda: DEVICE_WORDS)
    add("--plain", action="store_true", help="plain lines on a terminal too")


def command(options: argparse.Namespace) -> int:
    """Write the masks of images: class ids with a palette, and overlays."""
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.commands.working import working

    sizes = {n: tuple(v) if (v := getattr(options, n)) else None for n in ("window", "size")}
    protocol = {"flip": options.flip, "scales": options.scales, "window": sizes["window"]}
    asked = Asked(
        options.source,
        options.images,
        options.output,
        options.which,
        options.config,
        not options.no_overlay,
        options.probabilities,
        protocol,
        sizes["size"],
        options.batch,
        options.device,
    )
    with working(Terminal(options.plain)) as told:
        found = _predicted(asked, told)
    say(f"{counted(len(found), 'mask')} in {absolute(options.output)}")
    return DONE


def predict(
    source: str | Path,
    images: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    which: str | None = None,
    config: str | Path | None = None,
    overlay: bool = True,
    probabilities: bool = False,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    window: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    batch: int = 1,
    device: str = "auto",
) -> list[Predicted]:
    """Write the masks of images, or of folders of images, into `folder`; return what was written.

    `source` is the folder of a training (`which` weights: best, if not given, or last), a weight
    file or an ONNX file; `config` the HRNet library's yaml that a file's network was trained by,
    where the file does not say it. Masks have the size of their images and hold class ids, with a
    palette. Sizes are (height, width); `size` is what images are resized to first, as for the
    training if not given. Raise InputError for images that are not there, would be written under
    one name or would be replaced by what is written, DataError for one that cannot be read,
    WeightsError for weights that decide nothing, StorageLostError.
    """
    protocol = {"flip": flip, "scales": scales, "window": window}
    asked = Asked(
        source, images, folder, which, config, overlay, probabilities, protocol, size, batch, device
    )
    return _predicted(asked)


def _predicted(asked: Asked, told: Told = nobody) -> list[Predicted]:
    spin_less()
    from hrnet_search.commands.evaluate import chosen, protocol_with, require_batch
    from hrnet_search.space.kinds import Size, beyond
    from hrnet_search.trainings.masks import Wanted, below, found_images, write_masks

    require_batch(asked.batch)
    protocol = protocol_with(asked.protocol)
    if faults := list(beyond("--size", asked.size, Size(1))):
        raise InputError(faults)
    paths = [Path(expanded(str(path))) for path in several(asked.images)]
    files = found_images(paths)
    if left := below(paths):
        where = "in folders of these folders not taken: name these folders"
        warn(f"note: {counted(left, 'image')} {where}")
    place = expanded(str(asked.source))
    model = _model(place, chosen(asked.which, place), asked.device, asked.config)
    if model.guessed:
        warn(f"note: {model.guessed} (--config YAML: as that has it)")
    size = asked.size or model.data.size
    wanted = Wanted(asked.overlay, asked.probabilities, size, asked.batch)
    written = write_masks(model, protocol, files, absolute(asked.folder), wanted, told)
    return [Predicted(*paths) for paths in written]


def _model(source: str, which: str, device: str, config: str | Path | None) -> Model:
    from hrnet_search.store.trainings import is_training
    from hrnet_search.trainings.models import of_file, of_training

    if is_training(source) or is_folder(source):
        if config is not None:
            wrong, allowed = "a training has a config of its own", "with a file of weights"
            raise InputError(Fault("--config", str(config), wrong, allowed))
        return of_training(source, which, device)
    return of_file(source, device, None if config is None else expanded(str(config)))
