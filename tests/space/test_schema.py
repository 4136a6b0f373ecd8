"""The JSON Schema of the space file says what the loader reads, and nothing else.

jsonschema is the authority on what a schema accepts, the loader on what a space file is. Both are
asked about every shipped file, every wrong file of the tests of this room, and drawn ones.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzz.mutations import regrown
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from space import test_ablate, test_load

from hrnet_search.arch.yaml_nodes import Trap, compose, read_scalar
from hrnet_search.cli import main
from hrnet_search.errors import SpaceError
from hrnet_search.records.data_spec import DATA_KINDS
from hrnet_search.space.load import KEYS, load_space_file
from hrnet_search.space.schema import MODELINE, SCHEMA_FILE, schema_text, space_schema

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "search_spaces").glob("*.yaml"))

# Faults that no schema of single values can say, with the reason. All others it has to find.
BEYOND = tuple(
    re.compile(pattern)
    for pattern in (
        # what other files hold
        r"is not a file",
        r"is not a folder",
        r"the base names no MODEL.PRETRAINED",
        # what values mean together
        r"schedule\.warmup: [0-9]+ is not allowed, allowed: an integer from 0 to",
        r"schedule\.(rungs|accumulate): [0-9]+ is not allowed, allowed: an integer from 1 to",
        r"does not divide a batch",
        r"steps are not strictly increasing",
        r"all weights are equal",
        r"class_weights: [0-9]+ entries",
        r"data\.(mapping|colors|swaps)\S*: [0-9]+ is not allowed",
        r"data\.colors\.\S*: \S+ is not an integer",  # but a name of a class
        r"(names) for [0-9]+ classes",
        r"data\.ignore: [0-9]+ is a class in data\.mapping",
        r"a class is in two pairs, or twice in one",
        r"iou\[.*\]: (class .* is not known|.* is named twice|a class is missing|is the same as)",
        r"are both accuracies",
        r"schedule\.(init_steps|init_lr|shared): is only used with init: (base|shared)",
        r"search\.(trials|confirm|learn_from): .* does not go with evaluator: shared",
        r"search\.(fidelity|paused): (thaw|short_first) (does not go with|pauses)",
        r"search\.hours: does not go with fidelity",
        r"search\.(stop|paused): is only used with fidelity",
        r"(schedule\.init|objectives\.miou_int8): .*does not go with search\.evaluator: shared",
        r"schedule\.init: (base|shared) is trained by a search alone",
        r"schedule\.shared\.warm: [0-9]+ is not allowed, allowed: an integer from 0 to",
        r"schedule\.shared\.teacher_weight: one network a step",
        r"is not used with loss",
        r"is only used with design: fractional; remove it",
        r"the range \S+ to \S+ is reversed",
        r"the range \S+ to \S+ holds other numbers too",
        r"vary\.\S+: [0-9]+ levels",  # of a range
        r"seeds cannot give a p-value",
        r"is set by factor",
        r"sets what",
        # what networks there are
        r"entries where the stage can have",
        r"below the space's minimum",
        r"leaves the last of",
        r"no valid variant can use",
        r"the network never reads it",
        r"no valid network",
        r"makes the same network",
        r"smaller counts",
        r"combinations of levels",
        # JSON has one kind of number: 3.0 is an integer there
        r"[0-9]\.0* is not an integer",
        # signs beyond control characters that do not print
        r"\\[xu]\S* is not text",
    )
)


@cache
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(space_schema())
    return Draft202012Validator(space_schema())


class NoTreeError(Exception):
    """YAML that JSON has no word for: the loader refuses it, or it is not for a schema to judge."""


def tree(node: yaml.Node) -> Any:
    """Return what a file says, as editors hand it to a schema."""
    if isinstance(node, yaml.SequenceNode):
        return [tree(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {_key(key): tree(value) for key, value in node.value}
    assert isinstance(node, yaml.ScalarNode)
    if node.value == "off":
        return "off"
    value = read_scalar(node)
    if isinstance(value, Trap):
        raise NoTreeError(value.why)
    return value


def _key(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else str(tree(node))


def said_by_both(path: Path) -> tuple[list[str], list[str]]:
    """Return the faults of the loader that are for a schema to find, and what the schema says.

    Both are empty where they agree that nothing is wrong. Raise NoTreeError.
    """
    root, form = compose(path.read_text(errors="surrogateescape"), str(path))
    labels = [fault for fault in form if fault.path in ("data.mapping", "data.colors")]
    if root is None or len(form) > len(labels):
        raise NoTreeError
    found = [error.message for error in validator().iter_errors(tree(root))]
    try:
        load_space_file(path)
    except SpaceError as error:
        lines = [str(f.at("")) for f in error.faults if f.file == str(path)]
        return [line for line in lines if not any(b.search(line) for b in BEYOND)], found
    assert not found, f"the loader reads what the schema refuses: {found[:3]}"
    return [], []


WRONG = [
    *((test_load.GOOD, old, new) for old, new, _ in test_load.WRONG),
    *((test_ablate.GOOD, old, new) for old, new, _ in test_ablate.WRONG),
]


def data(text: str) -> tuple[str, str, str]:
    return test_load.GOOD, "{kind: shapes}", f"{{{text}}}"


SPLITS = "train: {list: t}, val: {list: v}"
WRONG_DATA = [
    data(text)
    for text in (
        "kind: shapes, classes: 9",
        "kind: shapes, ignore: 3",
        "kind: shapes, train: {list: t}",
        "kind: shapes, size: [16, 16]",
        f"kind: folder, {SPLITS}",
        "kind: folder, classes: 2, train: {list: t}",
        "kind: folder, classes: 2, train: {images: i}, val: {list: v}",
        "kind: folder, classes: 2, train: {fraction: 0.5}, val: {list: v}",
        "kind: folder, classes: 2, train: {list: t}, val: {fraction: 0}",
        "kind: folder, classes: 2, train: {list: t}, val: {fraction: 0.2, list: v}",
        f"kind: folder, classes: 1, {SPLITS}",
        f"kind: folder, classes: 2, {SPLITS}, mapping: {{}}",
        f"kind: folder, classes: 2, {SPLITS}, mapping: {{256: 0}}",
        f"kind: folder, classes: 2, {SPLITS}, mapping: {{7: -1}}",
        f"kind: folder, classes: 2, {SPLITS}, mapping: {{7: 0}}, colors: {{[1, 2, 3]: 0}}",
        f"kind: folder, classes: 2, {SPLITS}, colors: [1]",
        f"kind: folder, classes: 2, {SPLITS}, swaps: [[0]]",
        f"kind: folder, classes: 2, {SPLITS}, ends: ['']",
        f"kind: folder, classes: 2, {SPLITS}, max_pixels: 0",
        f"kind: folder, classes: 2, {SPLITS}, cache: -1",
        f"kind: folder, classes: 2, {SPLITS}, mean: [0, 0, 2]",
        f"kind: folder, classes: 2, {SPLITS}, std: [0, 0, 0]",
        f"kind: folder, classes: 2, {SPLITS}, names: [1]",
        "kind: cityscapes, classes: 19",
        "kind: cityscapes, outside: maybe",
    )
]
READ = [
    *((test_load.GOOD, old, new) for old, new in (
        ("seeds: [0]", "class_weights: [1, 2, 1, 1, 1, 1, 1, 1], scale: [1, 1], flip: false"),
        ("seeds: [0]", "init: trial:hr-0123456789ab.sc-0123456789ab.0"),
        ("seeds: [0]", "loss: ohem, ohem_keep: 9, accumulate: 2, rungs: [100, 300]"),
        ("sampler: random", "sampler: my.own:maker"),
        ("sampler: random", "sampler: optuna:tpe"),
        ("size: [512, 1024]", "device: cuda:127"),
        ("size: [512, 1024]", 'device: "cuda:NVIDIA H100"'),
        ("mlflow: off", "mlflow: auto, optuna: sqlite:///x.db"),
        ("{from: 1, to: 4}", "{from: 1, to: 4, step: 3}"),
        ("[3, 4]", "{from: 3, to: 4}"),
        ("STAGE4.NUM_BRANCHES: [3, 4]", "FINAL_CONV_KERNEL: {from: 1, to: 3, step: 2}"),
    )),
    data("kind: shapes, size: [32, 64], train: 8, val: 2, classes: 3, names: [a, b, c], seed: 1"),
    data(f"kind: folder, classes: 2, {SPLITS}, mapping: {{7: 0, 255: ignore}}, cache: 0"),
    data(f"kind: folder, classes: 2, {SPLITS}, names: [a, b], colors: {{[1, 2, 3]: a, other: 1}}"),
    data(f"kind: folder, classes: 2, {SPLITS}, ends: ['', _m], swaps: [[0, 1]], max_pixels: 2G"),
    data("kind: folder, classes: 2, train: {list: t}, val: {fraction: 0.2, seed: 7}"),
    *(data(f"kind: {kind}") for kind in DATA_KINDS if kind != "folder"),
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a file beside what the tests' files name."""
    (tmp_path / "base.pth").write_bytes(b"weights")
    return tmp_path / "space.yaml"


def test_what_the_loader_refuses_for_form_the_schema_refuses(place: Path) -> None:
    judged, missed = 0, []
    for good, old, new in WRONG + WRONG_DATA:
        place.write_bytes(good.replace(old, new, 1).encode("utf-8", "surrogateescape"))
        try:
            form, found = said_by_both(place)
        except NoTreeError:
            continue
        judged += bool(form)
        missed += form if not found else []
    assert missed == []
    assert judged > 0.6 * len(WRONG + WRONG_DATA)


@pytest.mark.parametrize(("good", "old", "new"), READ, ids=[new[:60] for *_, new in READ])
def test_what_the_loader_reads_the_schema_accepts(
    good: str, old: str, new: str, place: Path
) -> None:
    assert old in good
    place.write_text(good.replace(old, new, 1))
    assert said_by_both(place) == ([], [])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_accepted_and_name_the_schema(path: Path) -> None:
    assert said_by_both(path) == ([], [])
    assert path.read_text().startswith(MODELINE + "\n")


TREES = [path.read_text() for path in SHIPPED if path.stem != "width_depth"]


def test_mutated_files_are_judged_alike_by_both(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "spaces").mkdir()
    place = tmp_path / "spaces" / "space.yaml"
    seen: list[bool] = []

    @settings(
        max_examples=120, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(TREES).flatmap(lambda text: regrown(text, TREES, KEYS)))
    def look(content: bytes) -> None:
        place.write_bytes(content)
        try:
            form, found = said_by_both(place)
        except (NoTreeError, UnicodeError):
            return
        assert bool(form) <= bool(found), form
        seen.append(bool(found))

    look()
    assert len(set(seen)) == 2


def test_the_command_prints_what_lies_beside_the_shipped_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    printed = capsys.readouterr().out
    assert (ROOT / "search_spaces" / SCHEMA_FILE).read_text() == printed == schema_text()
    schema = json.loads(printed)
    assert tuple(schema["properties"]) == KEYS
    assert all(schema["properties"][key]["description"] for key in KEYS)
