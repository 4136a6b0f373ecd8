"""Which files are taken, which go together, and what is said of those that do not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.data.dataset import open_dataset
from hrnet_search.data.lists import decoded
from hrnet_search.data.pairs import find_pairs
from hrnet_search.data.places import suffixes
from hrnet_search.data.trees import walk
from hrnet_search.records.data_spec import DataSpec, Split
from hrnet_search.records.schedule import Schedule

MASK = np.array([[0, 1, 2, 1]] * 3, dtype=np.uint8)


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_pair(image: Path, mask: Path) -> None:
    for path, content in ((image, np.stack([MASK] * 3, axis=2)), (mask, MASK)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path)


@pytest.fixture
def spec(tmp_path: Path) -> DataSpec:
    both = Split("images", "masks")
    return DataSpec("folder", classes=3, train=both, val=both, root=str(tmp_path))


def names(spec: DataSpec, split: str = "train") -> list[str]:
    """Return the names of a split's pairs; nothing may be wrong with it."""
    found = find_pairs(spec, split)
    assert found.faults == []
    return [pair.name for pair in found.pairs]


def faults(spec: DataSpec) -> list[str]:
    return [
        str(fault).replace(spec.root + "/", "") for _, fault in find_pairs(spec, "train").faults
    ]


def unused(spec: DataSpec) -> list[str]:
    return [path.name for path in find_pairs(spec, "train").unused]


# What may be an image.


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_all_that_pillow_decodes_is_taken_in_folders_and_by_stem(spec: DataSpec) -> None:
    """Authority: Pillow's own registry of suffixes, of formats that it writes and reads here."""
    written = [s for s, name in Image.registered_extensions().items()
               if name in Image.SAVE and s in suffixes()]  # fmt: skip
    assert {".tif", ".gif", ".webp", ".bmp", ".jpg", ".jp2", ".tga", ".ppm"} <= set(written)
    root, taken = Path(spec.root), list[str]()
    for suffix in sorted(written):
        path = root / f"images/a{suffix[1:]}{suffix.upper()}"
        write(path)
        try:
            Image.fromarray(np.stack([MASK] * 3, axis=2)).save(path)
        except (OSError, ValueError):  # formats that hold no such image
            path.unlink()
            continue
        write_pair(root / "rest/x.png", root / f"masks/{path.stem}.png")
        taken.append(path.stem)
    assert names(spec) == taken
    write(root / "t.txt", "\n".join(taken))
    assert names(replace(spec, train=Split("images", "masks", "t.txt"))) == taken


def test_formats_that_pillow_only_names_are_not_taken(spec: DataSpec) -> None:
    assert not suffixes() & {".h5", ".eps", ".mpg", ".pdf", ".txt", ""}
    write_pair(Path(spec.root, "images/a.tif"), Path(spec.root, "masks/a.gif"))
    for name in ("a.h5", "Thumbs.db", "notes.txt", ".hidden.png", ".cache/b.png"):
        write(Path(spec.root, "images", name))
    assert names(spec) == ["a"]
    assert sorted(unused(spec)) == [".hidden.png", "Thumbs.db", "a.h5", "b.png", "notes.txt"]


def test_what_is_named_as_an_image_and_is_no_file_is_counted(spec: DataSpec) -> None:
    """In a folder so named that holds files, those are named, or pairs."""
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, "masks/a.png"))
    write_pair(Path(spec.root, "images/in.png/b.png"), Path(spec.root, "masks/in.png/b.png"))
    images = Path(spec.root, "images")
    os.mkfifo(images / "pipe.png")
    (images / "dir.png" / "deeper").mkdir(parents=True)
    (images / "plain").mkdir()
    write(images / "held.png" / "notes.txt")
    (images / "gone.txt").symlink_to("nowhere")
    assert names(spec) == ["a", "in.png/b"]
    assert sorted(unused(spec)) == ["dir.png", "gone.txt", "notes.txt", "pipe.png"]


@pytest.mark.parametrize(
    ("others", "image", "mask"),
    [
        (["masks/a.jpg"], "a.png", "a.png"),  # a picture of a mask
        (["images/a.psd", "masks/a.ico"], "a.png", "a.png"),  # what they were made of
    ],
)
def test_of_one_stem_the_likelier_file_is_taken_and_the_other_named(
    others: list[str], image: str, mask: str, spec: DataSpec
) -> None:
    write_pair(Path(spec.root, "images", image), Path(spec.root, "masks", mask))
    for other in others:
        write(Path(spec.root, other))
    (pair,) = find_pairs(spec, "train").pairs
    assert (pair.image.name, pair.mask.name) == (image, mask)
    assert unused(spec) == [Path(other).name for other in others]


def test_masks_that_are_jpeg_alone_are_taken(spec: DataSpec) -> None:
    write_pair(Path(spec.root, "images/a.jpg"), Path(spec.root, "masks/a.jpg"))
    assert names(spec) == ["a"]


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_a_mask_of_few_greys_keeps_them_in_every_format(suffix: str, spec: DataSpec) -> None:
    """Authority: Pillow's GIF writer, which numbers the greys that occur anew (0, 2 as 0, 1)."""
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, f"masks/a{suffix}"))
    few = np.where(MASK == 1, 0, MASK)
    Image.fromarray(few).save(Path(spec.root, f"masks/a{suffix}"))
    assert np.array_equal(open_dataset(spec, "train")[0][1], few)


def test_a_gif_of_a_coloured_palette_keeps_its_indices(spec: DataSpec) -> None:
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, "masks/a.gif"))
    mask = Image.fromarray(MASK).convert("P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    mask.save(Path(spec.root, "masks/a.gif"), optimize=False)
    assert np.array_equal(open_dataset(spec, "train")[0][1], MASK)


# Links.


def test_links_are_followed_once_and_loops_end(spec: DataSpec, tmp_path: Path) -> None:
    root = Path(spec.root)
    for city in ("aachen", "bonn"):
        write_pair(tmp_path / f"far/images/{city}/a.png", tmp_path / f"far/masks/{city}/a.png")
        for part in ("images", "masks"):
            (root / part).mkdir(exist_ok=True)
            (root / part / city).symlink_to(tmp_path / "far" / part / city)
    (root / "images/itself").symlink_to(root / "images")
    (root / "images/above").symlink_to(root)
    (tmp_path / "far/images/bonn/back").symlink_to(root / "images")
    (tmp_path / "far/images/bonn/again").symlink_to(tmp_path / "far/images/aachen")
    assert names(spec) == ["aachen/a", "bonn/a"]
    assert len(walk(root / "images")[0]) == 2


def test_a_link_to_nothing_is_a_fault(spec: DataSpec) -> None:
    """As git-annex and DVC leave where the files were not fetched."""
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, "masks/a.png"))
    for part in ("images", "masks"):
        Path(spec.root, part, "b.png").symlink_to("../nowhere")
    assert faults(spec) == [
        f"data.train.{part}: {part}/b.png is a link to a file that is missing, "
        "allowed: files that exist"
        for part in ("images", "masks")
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_closed_folder_is_a_fault(spec: DataSpec) -> None:
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, "masks/a.png"))
    Path(spec.root, "images/closed").mkdir(mode=0)
    assert "images/closed cannot be looked into" in faults(spec)[0]


# One folder, nested folders, names that do not agree.


@pytest.mark.parametrize("images", ["{}.png", "{}.jpg", "deep/{}.png"])
def test_images_and_masks_may_lie_in_one_folder(images: str, spec: DataSpec) -> None:
    one = replace(spec, ends=("", "_mask"), train=Split("all", "all"))
    for n in range(3):
        image = Path(spec.root, "all", images.format(n))
        write_pair(image, image.with_name(f"{n}_mask.png"))
    write(Path(spec.root, "all/notes.txt"))
    assert names(one) == [images.format(n).rpartition(".")[0] for n in range(3)]
    assert unused(one) == ["notes.txt"]
    # The other way around: images have the ending.
    assert [p.image.stem for p in find_pairs(replace(one, ends=("_mask", "")), "train").pairs] == [
        f"{n}_mask" for n in range(3)
    ]


def test_a_jpeg_and_a_png_of_one_name_are_image_and_mask(spec: DataSpec) -> None:
    for n in "ab":
        write_pair(Path(spec.root, f"all/{n}.jpg"), Path(spec.root, f"all/{n}.png"))
    one = replace(spec, train=Split("all", "all"))
    assert [(p.image.name, p.mask.name) for p in find_pairs(one, "train").pairs] == [
        ("a.jpg", "a.png"),
        ("b.jpg", "b.png"),
    ]
    write(Path(spec.root, "t.txt"), "a\nb")
    assert names(replace(one, train=Split("all", "all", "t.txt"))) == ["a", "b"]


def test_masks_may_lie_in_a_folder_of_the_images(spec: DataSpec) -> None:
    write_pair(Path(spec.root, "all/a.png"), Path(spec.root, "all/masks/a.png"))
    assert names(replace(spec, train=Split("all", "all/masks"))) == ["a"]


@pytest.mark.parametrize(
    ("image", "mask", "guess"),
    [
        ("{}_training.tif", "{}_manual1.gif", "images *_training are paired with masks *_manual1"),
        ("im{}.png", "gt{}.png", "images im* are paired with masks gt*"),
        ("x{}_rgb.png", "{}.png", "images x*_rgb are paired with masks *"),
    ],
)
def test_names_that_share_no_stem_are_paired_by_what_varies(
    image: str, mask: str, guess: str, spec: DataSpec
) -> None:
    """DRIVE has `21_training.tif` with `21_manual1.gif`; what was guessed is said."""
    for n in (1, 2, 10, 11):
        write_pair(
            Path(spec.root, "images", image.format(n)), Path(spec.root, "masks", mask.format(n))
        )
    assert names(spec) == ["1", "10", "11", "2"]
    assert find_pairs(spec, "train").notes == (f"{guess} by the *",)
    Path(spec.root, "masks", mask.format(2)).unlink()
    assert "images/" + image.format(2) + " has no mask" in faults(spec)[0]


def test_names_that_have_nothing_in_common_are_not_paired(spec: DataSpec) -> None:
    for image, mask in (("a1", "b3"), ("a2", "b4")):
        write_pair(Path(spec.root, f"images/{image}.png"), Path(spec.root, f"masks/{mask}.png"))
    assert len(faults(spec)) == 4


# Lists.

LINES = "images/a.png{}masks/a.png\nimages/b c.png{}masks/b c.png\n"


@pytest.fixture
def listed(spec: DataSpec) -> DataSpec:
    for stem in ("a", "b c"):
        write_pair(Path(spec.root, f"images/{stem}.png"), Path(spec.root, f"masks/{stem}.png"))
    return replace(spec, train=Split(list="t.lst"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " ", ",", "; ", "  "])
def test_lists_of_windows_programs_are_read(
    encoding: str, end: str, separator: str, listed: DataSpec
) -> None:
    """Byte order marks and UTF-16 as Notepad, Excel and PowerShell write them."""
    text = LINES.format(separator, separator).replace("\n", end)
    Path(listed.root, "t.lst").write_bytes(text.encode(encoding))
    assert len(names(listed)) == 2


def test_bytes_of_no_encoding_are_said_so(listed: DataSpec) -> None:
    Path(listed.root, "t.lst").write_bytes(b"images/\xe9.png masks/\xe9.png\n")
    assert faults(listed) == [
        "data.train.list: t.lst cannot be read as UTF-8 or UTF-16, allowed: a text file"
    ]
    assert decoded(b"") == ""


def test_a_line_that_can_mean_two_pairs_is_a_fault(listed: DataSpec) -> None:
    root = Path(listed.root)
    for name in ("x", "x y", "y z", "z"):
        Image.fromarray(MASK).save(root / name, format="png")
    write(root / "t.lst", "x y z\n")
    assert faults(listed) == [
        (
            "data.train.list: t.lst line 1 can be read in more than one way: x with y z "
            "or x y with z, allowed: a tab between image and mask"
        )
    ]
    write(root / "t.lst", "x y\tz\n")
    assert len(names(listed)) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            r"images\a.png masks\a.png",
            (
                "has backslashes, which are not separators here: 'images\\a.png masks\\a.png', "
                "allowed: paths below the data set's folder, with / between folders"
            ),
        ),
        (
            "C:\\data\\a.png\tC:\\data\\a.png",
            (
                "has backslashes, which are not separators here and an absolute path of another "
                "machine: 'C:\\data\\a.png\\tC:\\data\\a.png'"
            ),
        ),
        (
            "/SegNet/CamVid/images/a.png /SegNet/CamVid/masks/a.png",
            (
                "is an absolute path of another machine, missing on this one: "
                "'/SegNet/CamVid/images/a.png /SegNet/CamVid/masks/a.png', "
                "allowed: paths below ROOT, without /SegNet/CamVid/"
            ),
        ),
        ("/no-such/x.png /no-such/y.png 1", "is an absolute path of another machine"),
        ("a -1", "is 'a -1': 1, -1, 0 say whether an image shows a class (VOC)"),
        ("2007_000032  1", "is '2007_000032  1': 1, -1, 0 say whether an image shows a class"),
        ("nothing here", "is 'nothing here', allowed: an image and a mask, a tab"),
        ("images/b c.png", "names images/b c.png without a mask"),
        ("x" * 5000, "is 'xxx"),
        ("images/a.png masks/" + "x" * 5000 + ".png", "is missing"),
        ("images/a.png masks/A.png", "masks/A.png is missing"),
        ("images/a.PNG masks/a.png", "images/a.PNG is missing, did you mean a.png?"),
    ],
)
def test_what_a_line_is_instead_is_said_with_the_line(
    line: str, message: str, listed: DataSpec
) -> None:
    """SegNet's CamVid lists begin at /SegNet; VOC's lists of classes have flags (devkit, 2007)."""
    write(Path(listed.root, "t.lst"), line + "\n")
    (fault,) = find_pairs(listed, "train").faults
    assert message.replace("ROOT", listed.root) in str(fault[1])


def test_a_third_column_of_flags_is_said_to_be_passed_over(listed: DataSpec) -> None:
    write(Path(listed.root, "t.lst"), "images/a.png masks/a.png -1\n")
    assert len(names(listed)) == 1
    assert "a third column of 1, -1 or 0" in find_pairs(listed, "train").notes[0]


@pytest.mark.parametrize("before", ["", "\t", " ", " \t"])
@pytest.mark.parametrize("after", ["", "\t", "  ", "\t\t", "\t "])
def test_spaces_and_tabs_around_a_line_change_nothing(
    before: str, after: str, listed: DataSpec
) -> None:
    for separator in ("\t", " "):
        line = f"{before}images/a.png{separator}masks/a.png{after}\n"
        write(Path(listed.root, "t.lst"), line)
        assert len(names(listed)) == 1


def test_no_line_is_left_out_without_a_word(listed: DataSpec) -> None:
    """Whatever stands between, before and after two files that are there."""
    separators = ("", " ", "\t", "\t\t", " \t", ",", ";,", "\u00a0", " x " * 20)
    parts = [("images/a.png", "masks/a.png"), ("images/b c.png", "masks/b c.png"), ("a", "")]
    for (image, mask), *ends in product(parts, separators, separators, separators):
        line = f"{ends[0]}{image}{ends[1]}{mask}{ends[2]}"
        write(Path(listed.root, "t.lst"), line + "\n")
        found = find_pairs(listed, "train")
        said = [sort for sort, _ in found.faults if sort != "empty"]
        assert len(found.pairs) == 1 or said, repr(line)


def test_lines_that_repeat_others_are_said_and_count_again(listed: DataSpec) -> None:
    """As for the official trainer, whose lists are read as they are."""
    pair = "images/a.png masks/a.png\n"
    again = "./images/a.png masks/../masks/a.png\n"
    write(Path(listed.root, "t.lst"), pair + again + "images/b c.png\tmasks/b c.png\n")
    found = find_pairs(listed, "train")
    assert found.notes == ("t.lst: 1 line repeats another, whose images count once more each time",)
    assert len(open_dataset(listed, "train")) == 3
    write(Path(listed.root, "t.lst"), pair * 3)
    assert find_pairs(listed, "train").notes[0].startswith("t.lst: 2 lines repeat others")
    write(Path(listed.root, "t.lst"), pair + "images/a.png masks/b c.png\n")
    assert find_pairs(listed, "train").notes == ()


@pytest.mark.parametrize("line", ["IMG.1", "IMG.1.JPG", "IMG.1.jpg", "my photo"])
def test_stems_find_files_whatever_the_case_of_their_suffix(line: str, spec: DataSpec) -> None:
    for stem in ("IMG.1", "my photo"):
        write_pair(Path(spec.root, f"images/{stem}.JPG"), Path(spec.root, f"masks/{stem}.PNG"))
    write(Path(spec.root, "t.txt"), line)
    (pair,) = find_pairs(replace(spec, train=Split("images", "masks", "t.txt")), "train").pairs
    assert (pair.image.suffix, pair.mask.suffix) == (".JPG", ".PNG")


@pytest.mark.parametrize("masks", ["images", "linked"])
def test_no_image_is_its_own_mask(spec: DataSpec, masks: str) -> None:
    """Grey images can be read as masks: such a split would be trained without a word."""
    root = Path(spec.root)
    write_pair(root / "images/a.png", root / "images/a_mask.png")
    (root / "linked").symlink_to("images")
    both = replace(spec, train=Split("images", masks))
    said = "is both an image and its own mask, allowed: two folders, or data.ends"
    assert [said in fault for fault in faults(both)] == [True, True]
    write(root / "t.lst", f"images/a.png {masks}/a.png\n")
    assert said in faults(replace(spec, train=Split("", "", "t.lst")))[0]
    one_folder = replace(spec, train=Split("images", "images"), ends=("", "_mask"))
    assert names(one_folder) == ["a"]


def test_a_stem_of_two_images_is_not_guessed(spec: DataSpec) -> None:
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, "masks/a.png"))
    write_pair(Path(spec.root, "images/a.jpg"), Path(spec.root, "masks/a.jpg"))
    write(Path(spec.root, "t.txt"), "a\n")
    listed = replace(spec, train=Split("images", "masks", "t.txt"))
    assert "t.txt line 1 is 'a'" in faults(listed)[0]


# A part of the training images.


def drawn(spec: DataSpec, fraction: float = 0.2, seed: int = 0) -> tuple[list[str], list[str]]:
    part = replace(spec, val=Split(), val_fraction=fraction, seed=seed)
    return names(part, "train"), names(part, "val")


def test_a_part_is_drawn_by_seed_and_name_alone(
    spec: DataSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        write_pair(Path(spec.root, f"images/{n:02}.png"), Path(spec.root, f"masks/{n:02}.png"))
    train, val = drawn(spec)
    assert len(val) == 4
    assert sorted(train + val) == [f"{n:02}" for n in range(20)]
    assert drawn(spec, seed=1)[1] != val
    real = os.walk

    def backwards(top: Path, onerror: Callable[[OSError], object]) -> Iterator[object]:
        yield from ((here, f, names[::-1]) for here, f, names in real(top, onerror=onerror))

    monkeypatch.setattr(os, "walk", backwards)
    assert drawn(spec) == (train, val)
    # Nor does the order of a list, and a file more leaves nearly all where they are.
    write(Path(spec.root, "t.txt"), "\n".join(sorted(train + val, reverse=True)))
    listed = replace(spec, train=Split("images", "masks", "t.txt"))
    assert {*drawn(listed)[1]} == {*val}
    write_pair(Path(spec.root, "images/+1.png"), Path(spec.root, "masks/+1.png"))
    assert len(set(val) & set(drawn(spec)[1])) >= 3


def test_each_split_gets_an_image_and_one_with_two_masks_stays_whole(spec: DataSpec) -> None:
    write_pair(Path(spec.root, "images/a.png"), Path(spec.root, "masks/a.png"))
    one = replace(spec, val=Split(), val_fraction=0.2)
    message = "1 image cannot be shared among training and validation, allowed: 2 images or more"
    assert faults(one) == [f"data.val.fraction: {message}"]
    write_pair(Path(spec.root, "images/b.png"), Path(spec.root, "masks/b.png"))
    assert [len(part) for part in drawn(spec, 0.01)] == [1, 1]
    assert [len(part) for part in drawn(spec, 0.9)] == [1, 1]
    write(Path(spec.root, "t.lst"), "a.png a.png\na.png b.png\nb.png b.png\n")
    listed = replace(spec, train=Split("images", "masks", "t.lst"))
    for seed in range(8):
        parts = [{name.split()[0] for name in part} for part in drawn(listed, seed=seed)]
        assert not parts[0] & parts[1]


def test_the_part_belongs_to_a_study_only_where_it_is_asked_for(spec: DataSpec) -> None:
    """Ids of schedules are those of studies that were begun before there was a part."""
    assert Schedule(spec).id == Schedule(replace(spec, val_fraction=0.0)).id
    ids = {Schedule(replace(spec, val_fraction=0.2, seed=seed)).id for seed in (0, 1)}
    assert len(ids | {Schedule(spec).id}) == 3


@pytest.mark.parametrize("way", ["up", "in full", "by a way round"])
def test_a_list_names_no_file_outside_of_the_root(way: str, spec: DataSpec, tmp_path: Path) -> None:
    """CWE-22; what others wrote into a list says nothing of the files of one's own."""
    root, far = tmp_path / "root", tmp_path / "far"
    write_pair(far / "images" / "a.png", far / "masks" / "a.png")
    root.mkdir()
    before = {"up": "../far", "in full": str(far), "by a way round": "./x/../../far"}[way]
    (root / "x").mkdir()
    write(root / "t.lst", f"{before}/images/a.png\t{before}/masks/a.png")
    listed = replace(spec, root=str(root), train=Split(list="t.lst"))
    assert len(faults(listed)) == 2
    for fault in faults(listed):
        assert "t.lst line 1 names " in fault
        assert fault.endswith(
            "which is outside of the root, allowed: files below it, or data.outside: true"
        )
    assert len(names(replace(listed, outside=True))) == 1


@pytest.mark.parametrize("linked", ["root", "folders", "files"])
def test_a_list_may_name_what_links_of_the_root_lead_to(
    linked: str, spec: DataSpec, tmp_path: Path
) -> None:
    """Folders of cities are often links, files of DVC and git-annex always."""
    root, far = tmp_path / "root", tmp_path / "far"
    write_pair(far / "images" / "a.png", far / "masks" / "a.png")
    root.mkdir()
    for part in ("images", "masks"):
        if linked == "folders":
            (root / part).symlink_to(far / part)
        elif linked == "files":
            (root / part).mkdir()
            (root / part / "a.png").symlink_to(far / part / "a.png")
    if linked != "root":
        write(root / "t.lst", "images/a.png\tmasks/a.png")
        assert len(names(replace(spec, root=str(root), train=Split(list="t.lst")))) == 1
        return
    (tmp_path / "link").symlink_to(far)
    write(far / "t.lst", "images/a.png\tmasks/a.png")
    assert len(names(replace(spec, root=str(tmp_path / "link"), train=Split(list="t.lst")))) == 1
