"""What the page's script makes of numbers, by the function itself where Node.js is at hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")
ROOT = Path(__file__).parents[3]
SCRIPT = (ROOT / "hrnet_search" / "report" / "page" / "page.js").read_text()

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


def answer(function: str, *values: object) -> list[Any]:
    """Return what a function of the script, found by how it begins, makes of each value."""
    assert NODE is not None
    ways = rf"const {function} .*?;$|function {function}\(.*?^  }}$"
    found = re.search(rf"^  ({ways})", SCRIPT, re.M | re.S)
    assert found
    code = f"{found[0]}\nconsole.log(JSON.stringify({json.dumps(values)}.map({function})))"
    done = subprocess.run([NODE, "-e", code], capture_output=True, text=True, check=True)
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_a_cost_is_shown_at_four_digits_and_never_a_tenth_of_it() -> None:
    costs = (1230, 1229.6, 2400.2, 1000, 999.96, 12.5, 0.5, 12_345_678, 0)
    shown = ["1230", "1230", "2400", "1000", "1000", "12.5", "0.5", "12350000", "0"]
    assert answer("short", *costs) == shown


def test_an_axis_within_half_a_decade_has_ticks_of_its_own() -> None:
    wide, *narrow = answer("ticks", [1, 50, None], [2.4, 4.6], [3, 3], [12, 18.5])
    assert wide["tickvals"][:6] == [1, 2, 5, 10, 20, 50]
    assert all("tickvals" not in one for one in narrow)
