"""A stand-in for CamVid where it is not at hand: drawn images in its layout, as files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from hrnet_search.data.dataset import open_dataset
from hrnet_search.records.data_spec import DataSpec

COUNTS = {"train": 32, "val": 8}
QUALITY = 92
CLASSES = 8


def draw_camvid(folder: Path, size: tuple[int, int]) -> Path:
    """Write images of `size` as search_spaces/camvid.yaml expects them, once; return the folder.

    Photographs take longer to decode than drawn images do: whoever decodes on the way is shown
    somewhat faster than on CamVid.
    """
    done = folder / "whole"
    if done.exists():
        return folder
    spec = DataSpec(
        "shapes", CLASSES, size=size, train_images=COUNTS["train"], val_images=COUNTS["val"]
    )
    for split in COUNTS:
        dataset = open_dataset(spec, split)
        images, masks = (folder / kind / split for kind in ("images", "annotations"))
        for place in (images, masks):
            place.mkdir(parents=True, exist_ok=True)
        for index in range(len(dataset)):
            image, mask = dataset[index]
            Image.fromarray(image).save(images / f"{index:04d}.jpg", quality=QUALITY)
            Image.fromarray(mask).save(masks / f"{index:04d}.png")
    done.touch()
    return folder
