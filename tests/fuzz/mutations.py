"""Files as typing, editing, careless tools and failing disks leave them, drawn by hypothesis."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

Draw = st.DrawFn
Slot = tuple[Any, Any]
"""A mapping and one of its keys, or a list and one of its places."""

TOKENS = (
    *"[]{}:,-'\"#?|>&*!%@`\t\n\0é", "\ufeff", "\u202e", "\x1b[31m", "&a", "*a", "!!x", "!!python/x",
    "<<: ", "---\n", "...\n", "null", "~", "no", "yes", "true", "1e3", "1e-3", "010", "0x1f",
    "1:30", "1_000", "2020-99-99", "-1", "0", "1", "2", "-0.0", ".nan", "-.inf", "1e999",
    "9" * 400, "40G", "3.5M", "x" * 300, "../../..", "/dev/zero", "${HOME}", "[[1], [2, 3]]",
    "{from: 1, to: 9}", "{each_branch: [1, 2]}", "[" * 40, "auto", "off", "pretrained",
    "base", "trial:x",
)  # fmt: skip
"""What is put into texts: signs of YAML, its traps, and words that the files know elsewhere."""

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 4, 5, 64, 4096, 4097, 10**9, 10**12, 10**13, 2**63, 2**64,
    10**400, -0.5, 0.0, 0.5, 1.0, 1e-9, 1e300, float("nan"), float("inf"), "", " ", "x", "x" * 300,
    "no", "1e-3", "40G", "1.5M", "-1K", "SUM", "CAT", "BASIC", "auto", "off", "none", "shapes",
    "folder", "cityscapes", "base", "pretrained", "trial:hr-0", "fp16", "cuda:7", "../..",
    "\x1b[0m", "/dev/null", "${HOME}", "${", "sqlite:////x", "http://u:p@h", [], [[]], [1], [0],
    [1, 1], [2, 4], [[4, 4, 4, 4]], [[1], [1]], [16, 32, 64, 128], [64, 64], [1, 2, 3],
    list(range(60)), {}, {"from": 1, "to": 3}, {"from": 3, "to": 1}, {"each_branch": [1, 2]},
    {"a": {"b": [1, {}]}},
)  # fmt: skip


@st.composite
def damaged(draw: Draw, content: bytes) -> bytes:
    """Draw the content with bits flipped, cut off, overwritten, with a part lost or twice."""
    kind = draw(st.sampled_from(("flip", "flip", "cut", "overwrite", "lose", "repeat")))
    changed = bytearray(content)
    if kind == "flip":
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, 8 * len(content) - 1))
            changed[at // 8] ^= 1 << at % 8
        return bytes(changed)
    at = draw(st.integers(0, len(content) - 1))
    end = at + draw(st.integers(1, max(len(content) // 8, 1)))
    if kind == "cut":
        del changed[at:]
    elif kind == "overwrite":
        changed[at:end] = draw(st.sampled_from((b"\0", b"\xff", b"\n"))) * len(changed[at:end])
    elif kind == "lose":
        del changed[at:end]
    else:
        changed[end:end] = changed[at:end]
    return bytes(changed)


@st.composite
def edited(draw: Draw, text: str) -> bytes:
    """Draw a text with one to three tokens put in, put over others, lost or moved, or its lines."""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("put", "replace", "lose", "line", "word")))
        at = draw(st.integers(0, max(len(text) - 1, 0)))
        token = draw(st.sampled_from(TOKENS))
        length = draw(st.integers(1, 20))
        if kind == "put":
            text = text[:at] + token + text[at:]
        elif kind == "replace":
            text = text[:at] + token + text[at + length :]
        elif kind == "lose":
            text = text[:at] + text[at + length :]
        elif kind == "word":
            text = _with_other_word(text, at, token)
        else:
            text = _with_moved_line(text, draw)
    return text.encode("utf-8", "surrogatepass")


def _with_other_word(text: str, at: int, token: str) -> str:
    """Replace the word that stands behind a place: what is written there now is a value."""
    signs = " \n,[]{}:"
    start = next((i for i in range(at, len(text)) if text[i] not in signs), len(text))
    end = next((i for i in range(start, len(text)) if text[i] in signs), len(text))
    return text[:start] + token + text[end:]


def _with_moved_line(text: str, draw: Draw) -> str:
    lines = text.splitlines(keepends=True) or [""]
    line = lines.pop(draw(st.integers(0, len(lines) - 1)))
    for _ in range(draw(st.integers(0, 2))):  # lost, moved, or there twice
        lines.insert(draw(st.integers(0, len(lines))), line)
    return "".join(lines)


@st.composite
def regrown(draw: Draw, text: str, others: Sequence[str], keys: Sequence[str]) -> bytes:
    """Draw a YAML text whose tree was changed: keys renamed, values exchanged, parts of others."""
    tree = yaml.safe_load(text)
    for _ in range(draw(st.integers(1, 4))):
        places = list(slots(tree))
        if not places:
            break
        CHANGES[draw(st.sampled_from(sorted(CHANGES)))](places, draw, others, keys)
    written: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return written.encode("utf-8", "surrogatepass")


Change = Callable[[list[Slot], Draw, Sequence[str], Sequence[str]], None]
"""Changes a tree at one of its places, perhaps by other texts or keys."""


def _new_value(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    part, key = draw(st.sampled_from(places))
    part[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))


def _near_value(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    numbers = [(part, key) for part, key in places if isinstance(part[key], int | float)]
    if numbers:
        part, key = draw(st.sampled_from(numbers))
        by = draw(st.sampled_from((-1, 0, 0.5, 1, 2, 16, 1000, 10**9)))
        part[key] = part[key] * by if draw(st.booleans()) else part[key] + by


def _lose(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    part, key = draw(st.sampled_from(places))
    del part[key]


def _rename(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    mappings = [(part, key) for part, key in places if isinstance(part, dict)]
    part, key = draw(st.sampled_from(mappings))
    part[draw(st.sampled_from([*keys, 1, None, "", "x" * 300]))] = part.pop(key)


def _add(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    part, _ = draw(st.sampled_from(places))
    value = copy.deepcopy(draw(st.sampled_from(VALUES)))
    if isinstance(part, dict):
        part[draw(st.sampled_from(keys))] = value
    else:
        part.append(value)


def _exchange(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    (one, a), (other, b) = draw(st.sampled_from(places)), draw(st.sampled_from(places))
    one[a], other[b] = copy.deepcopy(other[b]), copy.deepcopy(one[a])


def _wrap(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    part, key = draw(st.sampled_from(places))
    part[key] = draw(st.sampled_from(([part[key]], [part[key]] * 2, {"x": part[key]})))


def _graft(places: list[Slot], draw: Draw, others: Sequence[str], keys: Sequence[str]) -> None:
    """Take a part of another file, where the same key stands if there is one."""
    theirs = list(slots(yaml.safe_load(draw(st.sampled_from(others)))))
    part, key = draw(st.sampled_from(theirs))
    same = [(p, k) for p, k in places if k == key and isinstance(p, dict)]
    mine, at = draw(st.sampled_from(same or places))
    mine[at] = copy.deepcopy(part[key])


CHANGES: dict[str, Change] = {
    "new value": _new_value,
    "near value": _near_value,
    "lose": _lose,
    "rename": _rename,
    "add": _add,
    "exchange": _exchange,
    "wrap": _wrap,
    "graft": _graft,
}


def slots(tree: Any) -> Iterator[Slot]:
    """Yield every place of a tree of mappings and lists that holds a value."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from slots(tree[key])
