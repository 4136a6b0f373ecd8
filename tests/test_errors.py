"""A hint names what was likely meant, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hrnet_search
from hrnet_search.errors import Fault, nearest
from hrnet_search.space.sections import SCHEDULE


@pytest.mark.parametrize(
    ("key", "known", "meant"),
    [
        # Keys of mmsegmentation's and the HRNet library's configs.
        ("crop_size", tuple(SCHEDULE), "crop"),
        ("batch_size", tuple(SCHEDULE), "batch"),
        ("optimizer", tuple(SCHEDULE), "optimiser"),
        ("class_weight", tuple(SCHEDULE), "class_weights"),
        ("CROP", tuple(SCHEDULE), "crop"),
        ("epochs", tuple(SCHEDULE), ""),
        ("max_iters", tuple(SCHEDULE), ""),
        ("WITH_HEAD", ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4"), ""),
        ("STAGE5", ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4"), ""),
        ("NUM_RANCHES", ("NUM_BRANCHES", "NUM_BLOCKS"), "NUM_BRANCHES"),
        ("x" * 10**6, tuple(SCHEDULE), ""),
        ("", tuple(SCHEDULE), ""),
        ("__", tuple(SCHEDULE), ""),
    ],
)
def test_a_hint_comes_only_where_it_helps(key: str, known: tuple[str, ...], meant: str) -> None:
    assert nearest(key, known) == (f", did you mean {meant}?" if meant else "")


def test_a_fault_says_what_is_allowed_and_what_to_do_instead() -> None:
    fault = Fault("a", 1, "is bad", "2", instead="to install: pip install two").at("f.yaml", 3, 4)
    assert str(fault) == "f.yaml:3:4: a: is bad, allowed: 2, to install: pip install two"
    assert str(Fault("a", 1, "is bad", instead="try again")) == "a: is bad, try again"


def test_a_name_that_goes_on_for_ever_does_not() -> None:
    fault = Fault("", None, "cannot be read", file="d/" * 2000)
    assert str(fault) == "d/" * 498 + "d...: cannot be read"


def test_what_is_allowed_is_a_field_and_never_typed_into_a_text() -> None:
    """Two places spell it: Fault, and argparse's errors, which have no such field."""
    package = Path(hrnet_search.__file__).parent
    spelt = {
        path.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and "allowed: " in str(node.value)
    }
    assert spelt == {"errors.py", "arguments.py"}
