"""docs/reliability.md has a row for each fault, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_fault_has_its_row() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(n) for n in range(1, 28)]


def test_every_test_that_is_named_is_there() -> None:
    assert "none yet" not in PAGE
    assert all("::test_" in row for row in re.findall(r"^\| \d+ \|.*$", PAGE, re.MULTILINE))
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 40
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
