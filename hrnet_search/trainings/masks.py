"""Masks of images that nobody labelled: class ids with a palette, overlays, probabilities."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from hrnet_search.data.augment import normalised
from hrnet_search.data.decode import read_image
from hrnet_search.data.palette import indexed, overlaid
from hrnet_search.data.places import is_image_name
from hrnet_search.errors import DataError, Fault, InputError, WeightsError, shown
from hrnet_search.evaluate.inference import Inference, NotFiniteError, Protocol, room_for
from hrnet_search.files import write_file
from hrnet_search.paths import is_file, is_folder
from hrnet_search.records.data_spec import MAX_PIXELS
from hrnet_search.told import Told, nobody
from hrnet_search.trainings.models import Model

KEY = "IMAGE"
MOST_IN_MASKS = 256
SOFTWARE, WRITER = "Software", "hrnet-search predict"
"""The entry of a PNG by which `predict` knows what it has written."""
Opened = tuple[Path, Image.Image]
Written = tuple[Path, Path, Path | None, Path | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is written beside masks, the (height, width) that images are resized to first, and
    how many of one size are decided on at once."""

    overlay: bool = True
    probabilities: bool = False
    size: tuple[int, int] | None = None
    batch: int = 1


def found_images(paths: Sequence[Path]) -> list[Path]:
    """Return images, those in folders too, in order.

    Raise InputError for a path that is neither, and for two that would be written under one name.
    """
    files: list[Path] = []
    faults: list[Fault] = []
    for path in paths:
        if is_folder(path):
            inside = sorted(p for p in path.iterdir() if is_image_name(p.name) and p.is_file())
            if not inside:
                faults.append(_fault(path, "holds no image"))
            files += inside
        elif is_file(path):
            files.append(path)
        else:
            faults.append(_fault(path, "is not there"))
    seen: dict[str, Path] = {}
    for path in dict.fromkeys(files):
        other = seen.setdefault(path.stem, path)
        if other != path:
            wrong = f"would be written over the mask of {shown(str(other), 300)}"
            faults.append(_fault(path, wrong))
    if faults:
        raise InputError(faults)
    return list(seen.values())


def below(paths: Sequence[Path]) -> int:
    """Return how many images lie in folders of the given folders: they are not taken."""
    folders = [path for path in paths if is_folder(path)]
    inside = (p for folder in folders for p in folder.rglob("*") if p.parent != folder)
    return sum(is_image_name(path.name) and path.is_file() for path in inside)


def require_apart(files: Sequence[Path], folder: Path, wanted: Wanted) -> None:
    """Raise InputError if writing into a folder would replace an image, or one of its own files.

    So it is for any file that was not written by `predict`: masks that people drew are called like
    their images, too.
    Links are followed: it is files that are compared, not how they are spelled.
    """
    images = {_identity(path): path for path in files}
    faults, seen = list[Fault](), dict[Path, Path]()
    for image in files:
        for path in filter(None, _places(image, folder, wanted)):
            replaced = images.get(_identity(path)) if path.exists() else None
            if replaced is not None:
                wrong = f"would be replaced by what is written of {shown(str(image), 300)}"
                faults.append(_replaced(replaced, wrong))
            elif path.exists() and not _written_here(path):
                wrong = "is there already, and `predict` has not written it"
                faults.append(_replaced(path, wrong))
            elif (other := seen.setdefault(path, image)) != image:
                wrong = f"{path.name} would be written of {shown(str(other), 300)} too"
                faults.append(_replaced(image, wrong))
    if faults:
        raise InputError(faults)


def write_masks(
    model: Model,
    protocol: Protocol,
    files: Sequence[Path],
    folder: Path,
    wanted: Wanted,
    told: Told = nobody,
) -> list[Written]:
    """Write the masks of images, and what else is wanted of them, into a folder.

    `told` hears how far it is. Raise InputError, before anything is written, where that would
    replace an image, and for an image that there is no memory for, WeightsError for scores that
    are not finite and for more classes than a mask of bytes holds, StorageLostError; once all
    others are written, DataError for images that cannot be read.
    """
    if model.data.classes > MOST_IN_MASKS:
        wrong = f"tells {model.data.classes} classes apart, and masks hold {MOST_IN_MASKS}"
        allowed = f"a network of {MOST_IN_MASKS} classes or fewer"
        raise WeightsError(Fault("", model.what, wrong, allowed, model.what))
    require_apart(files, folder, wanted)
    inference = model.inference(protocol)
    written: list[Written] = []
    unread: list[Fault] = []
    for group in _groups(_opened(files, unread), wanted.batch):
        told(len(written) + len(unread), len(files), group[0][0].name)
        try:
            with room_for(str(group[0][0])):
                found = _decided(inference, model, [image for _, image in group], wanted)
        except NotFiniteError as error:
            raise error.of(str(group[error.place][0])) from error
        for (path, image), scores in zip(group, found, strict=True):
            # Of scores at the image's size: a mask is the same whether or not they are wanted.
            probable = inference.probabilities(scores[None])[0] if wanted.probabilities else None
            written.append(_write(path, image, scores, probable, folder, wanted))
    if unread:
        raise DataError(unread)
    return written


def _opened(files: Sequence[Path], unread: list[Fault]) -> Iterator[Opened]:
    """Yield each image that can be read, decoded, with where it lies; add what is wrong of others.

    One at a time: what is not asked for any more is not kept.
    """
    for path in files:
        try:
            yield path, read_image(path, KEY, MAX_PIXELS)
        except DataError as error:
            unread.extend(error.faults)


def _groups(images: Iterable[Opened], batch: int) -> Iterator[list[Opened]]:
    """Yield images that follow each other and have one size, at most `batch` of them."""
    group: list[Opened] = []
    for path, image in images:
        if group and (len(group) == batch or image.size != group[0][1].size):
            yield group
            group = []
        group.append((path, image))
    if group:
        yield group


def _decided(
    inference: Inference, model: Model, images: Sequence[Image.Image], wanted: Wanted
) -> Tensor:
    """Return scores [N, K, H, W] at the images' size."""
    size = images[0].height, images[0].width
    small = [_resized(image, wanted.size) for image in images]
    pixels = torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in small])
    given = normalised(pixels.to(model.device), model.data)
    found = inference.scores(given)
    if found.shape[-2:] != size:
        found = F.interpolate(found, size, mode="bilinear", align_corners=model.align_corners)
    return found.cpu()


def _resized(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    if size is None or (image.height, image.width) == size:
        return image
    return image.resize(size[::-1], Image.Resampling.BILINEAR)  # as for the training


def _write(
    path: Path,
    image: Image.Image,
    scores: Tensor,
    probable: Tensor | None,
    folder: Path,
    wanted: Wanted,
) -> Written:
    labels = scores.argmax(dim=0).to(torch.uint8).numpy()
    mask, overlay, probabilities = _places(path, folder, wanted)
    write_file(mask, _png(indexed(labels)))
    if overlay:
        write_file(overlay, _png(overlaid(image, labels)))
    if probabilities and probable is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, probabilities=probable.numpy().astype(np.float16))
        write_file(probabilities, buffer.getvalue())
    return path, mask, overlay, probabilities


def _places(image: Path, folder: Path, wanted: Wanted) -> tuple[Path, Path | None, Path | None]:
    """Return where the mask, the overlay and the probabilities of an image are written."""
    stem = image.stem
    return (
        folder / f"{stem}.png",
        folder / f"{stem}_overlay.png" if wanted.overlay else None,
        folder / f"{stem}_probabilities.npz" if wanted.probabilities else None,
    )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _png(picture: Image.Image) -> bytes:
    buffer, who = io.BytesIO(), PngInfo()
    who.add_text(SOFTWARE, WRITER)
    picture.save(buffer, format="PNG", pnginfo=who)
    return buffer.getvalue()


def _written_here(path: Path) -> bool:
    """Return whether a file is of `predict`: it may write it again."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as file:
                return file.namelist() == ["probabilities.npy"]
        with Image.open(path) as image:
            return bool(image.info.get(SOFTWARE) == WRITER)
    except Exception:  # whatever it is, it is another's
        return False


def _fault(path: Path, wrong: str) -> Fault:
    return Fault(KEY, str(path), wrong, "images, or folders of images", str(path))


def _replaced(image: Path, wrong: str) -> Fault:
    return Fault(KEY, str(image), wrong, "another folder for the masks (--output)", str(image))
