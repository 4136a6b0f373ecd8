"""What a path stands for does not change with the folder of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_search.paths import absolute


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


def test_a_link_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    monkeypatch.chdir(tmp_path)
    assert absolute("link/study") == tmp_path / "link" / "study"
