"""Whatever stands in a file of at most 1 MB, `check` answers soon, briefly and in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrnet_search.arch.yaml_nodes import MAX_BYTES, MAX_VALUES
from hrnet_search.cli import main
from hrnet_search.commands.outcome import BAD_INPUT
from hrnet_search.errors import MOST_LINES
from hrnet_search.space.load import load_space

CONFIGS = Path(__file__).parents[1] / "configs"
BASE = CONFIGS / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
SPACE = f"""\
name: bounded
base: {BASE}
vary:
  width: [8, 12]
  STAGE3.NUM_MODULES: [1, 2]
objectives: {{miou: max, macs: min}}
data: {{kind: shapes}}
schedule: {{steps: 4, batch: 4, crop: [64, 64], seeds: [0]}}
"""
MOST_S, MOST_BYTES = 2.0, 300 * 10**6
BESIDE_OTHERS = 2
"""Processor time doubles where two processes share a core; what is looked for grows tenfold."""
MANY = MAX_VALUES // 2 - 250
"""Keys with a value each, a few fewer than make a file too long to be read at all."""


def keys(name: str, indent: int, value: str = "1", count: int = MANY) -> str:
    return "".join(f"{' ' * indent}{name}{i}: {value}\n" for i in range(count))


def numbers(count: int = 2 * MANY) -> str:
    return f"[{', '.join(map(str, range(count)))}]"


LARGE = {
    "90,000 unknown keys": SPACE + keys("k", 0, count=90_000),
    "unknown keys": SPACE + keys("k", 0),
    "unknown choices": SPACE.replace("vary:\n", "vary:\n" + keys("STAGE3.k", 2)),
    "60,000 choices": SPACE.replace("vary:\n", "vary:\n" + keys("S.k", 2, count=60_000)),
    "choices that are nearly known": SPACE.replace(
        "vary:\n", "vary:\n" + keys("STAGE3.NUM_BLOCK", 2)
    ),
    "schedule": SPACE.replace("schedule: {", f"schedule: {{{keys('step', 0)}".replace("\n", ", ")),
    "limits": SPACE + "limits:\n" + keys("macs", 2),
    "one key again and again": SPACE + "name: again\n" * MANY,
    "keys that are numbers": SPACE + keys("", 0),
    "seeds": SPACE.replace("seeds: [0]", f"seeds: {numbers()}"),
    "one seed again and again": SPACE.replace("seeds: [0]", f"seeds: [{'1, ' * 2 * MANY}]"),
    "rungs beyond the steps": SPACE.replace("seeds: [0]", f"rungs: {numbers()}"),
    "levels": SPACE.replace("[8, 12]", numbers()),
    "anchors": SPACE + f"x: [{', '.join(f'&a{i} 1' for i in range(MANY))}]\n",
    "tags": SPACE + f"x: [{'!!int 1, ' * MANY}]\n",
    "brackets": SPACE + "x: " + "[" * 500_000,
    "a long word": SPACE.replace("bounded", "x" * (MAX_BYTES - 1000)),
    "a long key": SPACE + f"? {'x' * (MAX_BYTES - 1000)}\n: 1\n",
    "comments": SPACE + "# a comment\n" * 75_000,
    "documents": SPACE + "\n---\n" * 150_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_space_file_is_answered_soon_and_briefly(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(LARGE[name])
    assert path.stat().st_size <= MAX_BYTES
    start = time.process_time()
    code = main(["check", str(path)])
    took, said = time.process_time() - start, capsys.readouterr().err
    assert took < BESIDE_OTHERS * MOST_S
    assert len(said.splitlines()) <= MOST_LINES
    assert code == (0 if name in ("comments", "seeds") else BAD_INPUT)


@pytest.mark.parametrize(
    ("wrong", "lines"),
    [(MOST_LINES - 1, MOST_LINES - 1), (MOST_LINES, MOST_LINES), (MOST_LINES + 1, MOST_LINES)],
)
def test_what_is_not_printed_is_counted(
    wrong: int, lines: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE + keys("k", 0, count=wrong))
    assert main(["check", str(path)]) == BAD_INPUT
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert (said[-1] == "and 2 more problems") == (wrong > lines)


def test_a_large_config_is_answered_soon_and_briefly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(BASE.read_text().replace("  EXTRA:\n", "  EXTRA:\n" + keys("STAGE", 4)))
    start = time.process_time()
    assert main(["profile", str(config)]) == BAD_INPUT
    assert time.process_time() - start < BESIDE_OTHERS * MOST_S
    assert len(capsys.readouterr().err.splitlines()) == MOST_LINES


@pytest.mark.parametrize("name", ["90,000 unknown keys", "choices that are nearly known", "seeds"])
def test_a_large_space_file_takes_little_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(LARGE[name])
    words = f"import sys; from hrnet_search.cli import main; main(['check', {str(path)!r}]);"
    # Not ru_maxrss: a process begins with that of the one that started it.
    peak = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    done = subprocess.run(
        [sys.executable, "-c", words + peak], capture_output=True, text=True, env=os.environ
    )
    assert int(done.stdout.split()[-1]) * 1024 < MOST_BYTES


def test_a_space_with_as_many_values_as_anybody_needs_is_read(tmp_path: Path) -> None:
    """A thousand whole lists of levels: the most that one choice may have."""
    lists = ", ".join(f"[{i}, 1, 1]" for i in range(1, 1001))
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("vary:\n", f"vary:\n  STAGE3.NUM_BLOCKS: [{lists}]\n"))
    assert len(load_space(path).choices[0].values) == 1000
