"""Any file whose bytes change, come or go is noticed, whatever its size and time say."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.data.contents import FileContent, differences, from_text, to_text
from hrnet_search.data.dataset import contents_of, fingerprint
from hrnet_search.errors import DataError
from hrnet_search.records.data_spec import DataSpec, Split

COUNT = 70
"""Files of a sort in the data here: more than a small sample would look at."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split in ("t", "v"):
        for number in range(COUNT if split == "t" else 3):
            for part in ("images", "masks"):
                path = root / split / part / "deep" / f"{number}.bmp"  # of one size, uncompressed
                path.parent.mkdir(parents=True, exist_ok=True)
                shape = (8, 8, 3) if part == "images" else (8, 8)
                Image.fromarray(rng.integers(0, 2, shape, dtype=np.uint8)).save(path)
    (root / "v.lst").write_text(
        "".join(f"v/images/deep/{n}.bmp v/masks/deep/{n}.bmp\n" for n in range(3))
    )
    return DataSpec(
        "folder", 2, root=str(root), train=Split("t/images", "t/masks"), val=Split(list="v.lst")
    )


def flip_last_bit(path: Path) -> None:
    """Change the last pixel of a file; its size and its times stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("number", range(0, COUNT, 7))
@pytest.mark.parametrize("part", ["images", "masks"])
def test_one_bit_of_any_file_is_noticed_and_named(spec: DataSpec, part: str, number: int) -> None:
    path = Path(spec.root, "t", part, "deep", f"{number}.bmp")
    before = contents_of(spec)
    flip_last_bit(path)
    try:
        now = contents_of(spec)
        assert differences(before, now) == (
            f"train {part.removesuffix('s')} deep/{number}.bmp has other content"
        )
        assert fingerprint(spec, now) != fingerprint(spec, before)
    finally:
        flip_last_bit(path)
    assert fingerprint(spec) == fingerprint(spec, before)


def test_lists_count_as_files(spec: DataSpec) -> None:
    path, before = Path(spec.root, "v.lst"), contents_of(spec)
    whole = path.read_text()
    path.write_text(whole.replace(" ", "\t", 1))
    try:
        said = differences(before, contents_of(spec))
    finally:
        path.write_text(whole)
    assert "val list v.lst has other content" in said


def test_a_list_that_names_files_elsewhere_says_where(spec: DataSpec, tmp_path: Path) -> None:
    lines = Path(spec.root, "v.lst").read_text().replace("v/", f"{spec.root}/v/")
    (tmp_path / "abs.lst").write_text(lines)
    away = replace(spec, val=Split(list=str(tmp_path / "abs.lst")), outside=True)
    names = {file.name for file in contents_of(away) if file.split == "val"}
    # What lies below the split's folder is named by its place there, wherever the list says it is.
    assert "v/images/deep/0.bmp" in names


def file(name: str, digest: str = "00") -> FileContent:
    return FileContent("val", "image", name, digest)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ([], [], ""),
        (["a"], ["a"], ""),
        (["a"], [], "val image a is gone"),
        (["a"], ["a", "b", "c"], "val image b, val image c are new"),
        (["a", "b"], ["b", "c"], "val image c is new, val image a is gone"),
        ([], [f"{n:02}" for n in range(13)], "val image 09 and 3 more are new"),
        (["bad\n\x1b[31m"], [], r"val image bad\n\x1b[31m is gone"),
    ],
)
def test_what_is_new_or_gone_is_named(before: list[str], now: list[str], said: str) -> None:
    assert differences(tuple(map(file, before)), tuple(map(file, now))).endswith(said)


def test_any_name_comes_back_as_it_was() -> None:
    """Names on disk are bytes: Python gives those that are not UTF-8 as lone surrogates."""
    known = (file('tab\t"quote"\nline'), file("\udcff.png"), file("ü"))
    assert from_text(to_text(known)) == known


@pytest.mark.parametrize("text", ["x", "[1]", '["a", "b", "c"]', "{}", "null"])
def test_what_was_not_written_here_is_not_read(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_text(text)


def test_a_file_that_cannot_be_read_any_more_is_one_fault(
    spec: DataSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = Path.open

    def refuse(path: Path, *args: object, **named: object) -> object:
        if path.suffix == ".bmp" and path.parent.parent.name == "masks":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"masks/deep/0\.bmp cannot be read \(Permission denied\)"):
        contents_of(spec)
