"""The HRNet library's data sets: facts about each, no reader.

Layouts are those of the library's README, mappings and ignored labels those of its readers in
`lib/datasets/` and of the data sets' own label lists. A preset is a kind of data that a space
file names; what it says of root, size, folders or lists comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_search.records import IGNORED, DataSpec, Split

Mapping = tuple[tuple[int, int], ...]


AT_HOME = Split()
"""Lines of a list begin at the data set's folder."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A data set as `folder` reads it, without a root.

    `lists` holds the folders that lines of a `.lst` file begin at, below the data set's folder.
    """

    spec: DataSpec
    lists: Split = AT_HOME


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _classes(*stored: int, ignored: tuple[int, ...] = ()) -> Mapping:
    """Return the mapping that numbers stored ids in their order, and ignores others."""
    kept = ((label, index) for index, label in enumerate(stored))
    return tuple(sorted((*kept, *((label, IGNORED) for label in ignored))))


def _split(folder: str, images: str, masks: str) -> Split:
    return Split(images.format(folder), masks.format(folder))


SHAPES = _names("ground, line, stripes, checks, warm frame, cold frame, disc, framed disc")

CITYSCAPES = _names(
    "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, "
    "terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle"
)
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)
"""Those of 34 label ids that are judged; the others are ignored (`lib/datasets/cityscapes.py`)."""

ADE20K = _names(
    "wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, "
    "person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, "
    "shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, "
    "bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, "
    "sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, "
    "pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, "
    "toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, "
    "swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, "
    "chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, "
    "pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, "
    "fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, "
    "waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, "
    "microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, "
    "sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, "
    "bulletin board, shower, radiator, glass, clock, flag"
)

PASCAL_CONTEXT = _names(
    "aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building, bus, "
    "cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence, "
    "floor, flower, food, grass, ground, horse, keyboard, light, motorbike, mountain, mouse, "
    "person, plate, platform, pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky, "
    "snow, sofa, table, track, train, tree, truck, tvmonitor, wall, water, window, wood"
)

LIP = _names(
    "background, hat, hair, glove, sunglasses, upper clothes, dress, coat, socks, pants, "
    "jumpsuits, scarf, skirt, face, left arm, right arm, left leg, right leg, left shoe, "
    "right shoe"
)

COCO_STUFF = _names(
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, "
    "fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, "
    "bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, "
    "sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, "
    "bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, "
    "broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, "
    "dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, "
    "toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, "
    "toothbrush, banner, blanket, branch, bridge, building-other, bush, cabinet, cage, "
    "cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, "
    "curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, "
    "floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, "
    "ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, "
    "napkin, net, paper, pavement, pillow, plant-other, plastic, platform, playingfield, "
    "railing, railroad, river, road, rock, roof, rug, salad, sand, sea, shelf, sky-other, "
    "skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent, "
    "textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, "
    "wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood"
)
COCO_NOT_USED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}
"""Ids of COCO's first list of things that no image has (`lib/datasets/cocostuff.py`)."""

CAMVID = _names(
    "sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist"
)


def _cityscapes() -> DataSpec:
    others = tuple(label for label in range(34) if label not in CITYSCAPES_IDS)
    return DataSpec(
        kind="cityscapes",
        classes=19,
        names=CITYSCAPES,
        mapping=_classes(*CITYSCAPES_IDS, ignored=others),
        home="cityscapes",
        ends=("_leftImg8bit", "_gtFine_labelIds"),
        train=_split("train", "leftImg8bit/{}", "gtFine/{}"),
        val=_split("val", "leftImg8bit/{}", "gtFine/{}"),
    )


def _of_two_folders(kind: str, home: str, names: tuple[str, ...], mapping: Mapping) -> DataSpec:
    """Return a data set that lies in `train/image`, `train/label`, `val/image`, `val/label`."""
    train, val = (_split(split, "{}/image", "{}/label") for split in ("train", "val"))
    return DataSpec(kind, len(names), names, mapping=mapping, home=home, train=train, val=val)


def _pascal_context(kind: str, names: tuple[str, ...], mapping: Mapping) -> DataSpec:
    """Return PASCAL-Context as PNG masks of 0 to 59, 0 what none of the 59 classes is.

    The library keeps these masks in a pickle that it makes with the Detail API; as files they
    are what mmsegmentation's converter writes. Ids follow the alphabet.
    """
    train, val = (
        Split(
            "JPEGImages", "SegmentationClassContext", f"ImageSets/SegmentationContext/{split}.txt"
        )
        for split in ("train", "val")
    )
    home = "pascal_ctx/VOCdevkit/VOC2010"
    return DataSpec(kind, len(names), names, mapping=mapping, home=home, train=train, val=val)


def _lip() -> DataSpec:
    images, masks = "TrainVal_images/{}_images", "TrainVal_parsing_annotations/{}_segmentations"
    return DataSpec(
        kind="lip",
        classes=20,
        names=LIP,
        swaps=((14, 15), (16, 17), (18, 19)),
        home="lip",
        train=_split("train", images, masks),
        val=_split("val", images, masks),
    )


def _camvid() -> DataSpec:
    """Return CamVid as the authors of SegNet give it away; 11 is unlabelled."""
    return DataSpec(
        kind="camvid",
        classes=11,
        names=CAMVID,
        ignore=11,
        home="CamVid",
        train=_split("train", "{}", "{}annot"),
        val=_split("val", "{}", "{}annot"),
    )


# ADE20K's 0 is "other", PASCAL-Context's and COCO-Stuff's 0 is unlabelled: ignored, and the rest
# moved down by one. The library does it by subtracting 1 from bytes (0 becomes 255).
_SHIFTED_59 = _classes(*range(1, 60), ignored=(0,))
_COCO_IDS = [label for label in range(1, 183) if label not in COCO_NOT_USED]
_VOC_LISTS = Split("JPEGImages", "SegmentationClassContext")

PRESETS: dict[str, Preset] = {
    "cityscapes": Preset(_cityscapes()),
    "ade20k": Preset(
        _of_two_folders("ade20k", "ade20k", ADE20K, _classes(*range(1, 151), ignored=(0,)))
    ),
    "pascal-context-59": Preset(
        _pascal_context("pascal-context-59", PASCAL_CONTEXT, _SHIFTED_59), _VOC_LISTS
    ),
    "pascal-context-60": Preset(
        _pascal_context("pascal-context-60", ("background", *PASCAL_CONTEXT), ()), _VOC_LISTS
    ),
    "lip": Preset(_lip(), Split("TrainVal_images", "TrainVal_parsing_annotations")),
    "coco-stuff": Preset(
        _of_two_folders("coco-stuff", "cocostuff", COCO_STUFF, _classes(*_COCO_IDS, ignored=(0,)))
    ),
    "camvid": Preset(_camvid()),
}
