"""What a path stands for does not change with the folder of a process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hrnet_search.paths import absolute, is_folder, why_no_folder


def test_a_path_starts_where_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/of")
    assert absolute("a/b") == tmp_path / "a" / "b"
    assert absolute("a", "here") == tmp_path / "here" / "a"
    assert absolute("/a", "here") == Path("/a")
    assert absolute("~/data", "here") == Path("/home/of/data")
    assert absolute("~nobody-of-that-name/data") == tmp_path / "~nobody-of-that-name" / "data"


def test_a_folder_that_cannot_be_there_is_none_and_it_is_said_why(tmp_path: Path) -> None:
    """Path.is_dir raises for some of these, and stops whoever collects all faults of a file."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    wrong = {
        "file": "is not a folder",
        "file/below": "is not a folder",
        "nowhere": "is not a folder",
        "n" * 300: "cannot be read (File name too long)",
        "loop": "cannot be read (Too many levels of symbolic links)",
        "null\0": "cannot be read (embedded null byte)",
    }
    for name, why in wrong.items():
        assert not is_folder(f"{tmp_path}/{name}"), name
        assert why_no_folder(f"{tmp_path}/{name}") == why, name
    assert is_folder(tmp_path)
    assert why_no_folder(str(tmp_path)) == ""


def test_a_folder_that_may_not_be_looked_into_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", denied)
    assert not is_folder("/root/data")
    assert why_no_folder("/root/data") == "cannot be read (Permission denied)"


def test_a_link_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    monkeypatch.chdir(tmp_path)
    assert absolute("link/study") == tmp_path / "link" / "study"
