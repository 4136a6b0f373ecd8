"""Command lines of random words: each is done, or refused in a line a problem."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from fuzz.oracle import answer, fuzz, within
from hypothesis import strategies as st
from large_study import make_study

from hrnet_search.cli import COMMANDS, parser

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
SPACE = ROOT / "search_spaces" / "camvid.yaml"
"""A space of which nothing is trained: nobody says where its data lie."""

FITTING = {
    "space": (str(SPACE), str(SPACE.with_name("camvid_ablation.yaml"))),
    "config": (str(CONFIG),),
    "study": ("study",),
    "source": (str(CONFIG),),
    "data": (str(SPACE),),
    "pick": ("macs<=2G",),
    "compare": ("study",),
    "output": ("out",),
    "reuse": ("study",),
    "format": ("hrnet", "mmseg,safetensors"),
    "device": ("cpu",),
    "mode": ("eager",),
    "precision": ("fp32", "bf16"),
}
"""What is right, by what the command calls it; elsewhere numbers are."""

BRIEFLY = ("--size", "32", "32", "--seconds", "0.05")
"""What ends a command that measures soon, whatever came before."""

NUMBERS = (
    "0", "1", "2", "-1", "-0", "1.5", "1e3", "1e999", "nan", "inf", "0x10", "1_000", "٣", "9" * 14,
    "9" * 30,
)  # fmt: skip
WORDS = (
    "", " ", "-", "--", "---", "=", "--=", "-x", "--version=1", "x", "x" * 5000, "a\nb",
    "\x1b[31mred", "\u202egnp", "\x00", "\udcff", "None", "auto", "cpu", "cuda:0", "cuda:-1",
    "fp32", "fp64", "hrnet", "hrnet,mmseg", ",", "onnx,,", "http://user:secret@host/x", "sqlite:///",
    "@file", "/", ".", "..", "/dev/null", "/dev/zero", "/proc/self/mem", "~", "~nobody-here/x",
    "$HOME", "*", "no/such/folder", "a" * 300, *("d/" * 3000,), str(CONFIG), str(SPACE),
    str(CONFIG.parent),
    str(Path(__file__)), "study", "space.yaml",
)  # fmt: skip


def options_of(name: str) -> list[argparse.Action]:
    """Return what a command takes, as its own parser says; --debug asks for tracebacks."""
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [
        action for action in commands.choices[name]._actions if action.dest not in ("help", "debug")
    ]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command with options and values of its own, of others, or of nobody's."""
    name = draw(st.sampled_from([*COMMANDS, *COMMANDS, "chek", ""]))
    others = list(COMMANDS) if name not in COMMANDS else [name] * 6 + list(COMMANDS)
    wrong = st.sampled_from(NUMBERS) | st.sampled_from(WORDS)
    words: list[str] = []
    actions = [a for a in options_of(others[0]) if not a.option_strings or a.required]
    for _ in range(draw(st.integers(0, 4))):
        takes = st.sampled_from([other for other in others if options_of(other)])
        actions.append(draw(st.sampled_from(options_of(draw(takes)))))
    for action in actions:
        right = st.sampled_from(FITTING.get(action.dest, ("1", "2", "64")))
        value = right if draw(st.integers(0, 4)) else wrong
        if action.option_strings:
            option = draw(st.sampled_from(action.option_strings))
            words.append(
                option[: draw(st.integers(3, 20))] if draw(st.integers(0, 4)) == 0 else option
            )
        wanted = action.nargs if isinstance(action.nargs, int) else 1
        given = draw(st.integers(0, 2)) if draw(st.integers(0, 9)) == 0 else wanted
        words += [draw(value) for _ in range(given)]
    if draw(st.integers(0, 3)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(wrong))
    measured = name == "profile" and any(word.startswith("--l") for word in words)
    return [name, *words, *(BRIEFLY if measured else ())]


@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.bench)])
def test_a_command_line_is_done_or_refused(tmp_path: Path, count: int) -> None:
    codes = []
    make_study(tmp_path / "study", 6, confirmed=2)

    def look(words: list[str]) -> None:
        with within(tmp_path):
            said = answer(words, most_s=60)
        codes.append(said.code)
        assert "secret" not in said.err

    fuzz(count, command_lines(), look)
    print(f"{len(codes):,} command lines: { {c: codes.count(c) for c in sorted(set(codes))} }")
    assert {0, 2} <= set(codes)
