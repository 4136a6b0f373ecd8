"""The HRNet library's data sets: facts about each, no reader.

Layouts are those of the library's README, mappings and ignored labels those of its readers in
`lib/datasets/` and of the data sets' own label lists. A preset is a kind of data that a space
file names; what it says of root, size, folders or lists comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_search.records.data_spec import IGNORED, DataSpec, Split

Mapping = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Preset:
    """A data set as the `folder` reader needs to know it.

    `home` is its folder in the library's ROOT; `images`, `masks` and `list` are in it, with the
    split's name in place of {}. `begin` are the folders in it that lines of other lists
    begin at. The rest is as in DataSpec.
    """

    kind: str
    names: tuple[str, ...]
    home: str
    images: str
    masks: str
    mapping: Mapping = ()
    ignore: int = IGNORED
    ends: tuple[str, str] = ("", "")
    swaps: tuple[tuple[int, int], ...] = ()
    list: str = ""
    begin: tuple[str, str] = ("", "")

    @property
    def spec(self) -> DataSpec:
        """The data set, without a root."""
        train, val = (
            Split(self.images.format(split), self.masks.format(split), self.list.format(split))
            for split in ("train", "val")
        )
        return DataSpec(
            self.kind,
            len(self.names),
            self.names,
            self.ignore,
            self.mapping,
            swaps=self.swaps,
            home=self.home,
            ends=self.ends,
            train=train,
            val=val,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


def _numbered(*stored: int, ignored: Iterable[int]) -> Mapping:
    """Return the mapping that numbers stored ids in their order, and ignores others."""
    kept = ((label, index) for index, label in enumerate(stored))
    return tuple(sorted([*kept, *((label, IGNORED) for label in ignored)]))


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

VOC = ("pascal_ctx/VOCdevkit/VOC2010", "JPEGImages", "SegmentationClassContext")
VOC_LIST = "ImageSets/SegmentationContext/{}.txt"
"""PASCAL-Context as PNG masks of 0 to 59, 0 what none of the 59 classes is.

The library keeps these masks in a pickle that it makes with the Detail API; as files they are
what mmsegmentation's converter writes. Ids follow the alphabet.
"""

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
COCO_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""Ids of COCO's first list of things that no image has (`lib/datasets/cocostuff.py`)."""

# As the authors of SegNet give it away; 11 is unlabelled.
CAMVID = _names(
    "sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist"
)


# ADE20K's 0 is "other", that of PASCAL-Context and COCO-Stuff unlabelled: ignored, and the rest
# moves down. The library does it by subtracting 1 from bytes (0 becomes 255).
PRESETS = {
    preset.kind: preset
    for preset in (
        Preset(
            "cityscapes", CITYSCAPES, "cityscapes", "leftImg8bit/{}", "gtFine/{}",
            mapping=_numbered(*CITYSCAPES_IDS, ignored=set(range(34)) - set(CITYSCAPES_IDS)),
            ends=("_leftImg8bit", "_gtFine_labelIds"),
        ),
        Preset(
            "ade20k", ADE20K, "ade20k", "{}/image", "{}/label",
            mapping=_numbered(*range(1, 151), ignored=[0]),
        ),
        Preset(
            "pascal-context-59", PASCAL_CONTEXT, *VOC, list=VOC_LIST, begin=VOC[1:],
            mapping=_numbered(*range(1, 60), ignored=[0]),
        ),
        Preset(
            "pascal-context-60", ("background", *PASCAL_CONTEXT), *VOC, list=VOC_LIST,
            begin=VOC[1:],
        ),
        Preset(
            "lip", LIP, "lip", "TrainVal_images/{}_images",
            "TrainVal_parsing_annotations/{}_segmentations",
            swaps=((14, 15), (16, 17), (18, 19)),
            begin=("TrainVal_images", "TrainVal_parsing_annotations"),
        ),
        Preset(
            "coco-stuff", COCO_STUFF, "cocostuff", "{}/image", "{}/label",
            mapping=_numbered(*(i for i in range(1, 183) if i not in COCO_UNUSED), ignored=[0]),
        ),
        Preset("camvid", CAMVID, "CamVid", "{}", "{}annot", ignore=11),
    )
}  # fmt: skip
