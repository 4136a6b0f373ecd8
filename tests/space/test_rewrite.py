"""Some values of a YAML file are replaced; nothing else of its text is touched."""

from __future__ import annotations

import pytest
import yaml

from hrnet_search.space.rewrite import rewritten, with_entry, without_secrets

TEXT = """\
# a comment with base: x
base: ../a b.yaml   # kept
data: {kind: folder, root: ~/x, 'quoted': "root"}
tracking:
  mlflow: >-
    sqlite:///far
    away.db
  optuna: off
levels: [none, ../a b.yaml]
"""


def test_values_are_replaced_where_they_stand() -> None:
    new = {
        ("base",): 'odd "name" # ä\\.yaml',
        ("data", "root"): "/data",
        ("tracking", "mlflow"): "auto",
        ("levels", "1"): "/w.pth",
    }
    found = rewritten(TEXT, lambda keys, _: new.get(keys))
    assert yaml.safe_load(found) == {
        "base": 'odd "name" # ä\\.yaml',
        "data": {"kind": "folder", "root": "/data", "quoted": "root"},
        "tracking": {"mlflow": "auto", "optuna": False},
        "levels": ["none", "/w.pth"],
    }
    assert "# a comment with base: x\n" in found
    assert "   # kept\n" in found


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), "", "# nothing\n"])
def test_what_is_left_is_left_to_the_byte(text: str) -> None:
    assert rewritten(text, lambda *_: None) == text
    assert rewritten(text, lambda _, written: written) == text


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nsearch: {trials: 3}  # few\n",
        "name: a\nsearch: {}\n",
        "name: a\nsearch:\n",
        "name: a\nsearch:  # of\n  # these\n  trials: 3  # few\n  seed: 1\nlast: 1\n",
        "name: a  # alone\n",
        "# first\nname: a\n",
        '{"name": "a", "search": {"trials": 3}}',
        '{"name": "a"}',
        "name: a\nsearch: {learn_from: [x, y], trials: 3}\n",
        "name: a\nsearch:\n  learn_from:\n    - x  # old\n  trials: 3\nlast: 1\n",
        "name: a\r\nsearch:\r\n  trials: 3\r\n",
        "name: a\nsearch:\n  learn_from:\n  - x\n  - y\n  trials: 3\n",
        "name: a\nsearch:\n  learn_from:\n  - x\n  # few\n  trials: 3\nlast: 1\n",
        "name: a\nsearch:\n  learn_from:  # few\n  - x\n\n  trials: 3\n",
        "name: a\nsearch:\n  learn_from:\n  trials: 3\n",
        "name: a\nsearch:\n  learn_from:   # few\n",
        "name: a\nsearch: {learn_from: , trials: 3}\n",
        "name: a\nsearch:\n  'learn_from':\n  - - x\n    - y\n  # few\n",
        "name: a\nsearch:\n  learn_from: >-\n    x\n    y\n\n  trials: 3\n",
        'name: a\nsearch: {"learn_from":[x]}\n',
    ],
)
def test_one_entry_is_set_and_all_else_says_what_it_said(text: str) -> None:
    """By PyYAML's reading of both."""
    before = yaml.safe_load(text)
    after = yaml.safe_load(found := with_entry(text, "search", "learn_from", ["/a b", 'c"ä']))
    assert after.pop("search") == {
        **(before.pop("search", None) or {}),
        "learn_from": ["/a b", 'c"ä'],
    }
    assert after == before
    for comment in ("# few", "# first", "# of", "# these", "# alone"):
        assert (comment in found) == (comment in text)


@pytest.mark.parametrize("data", ["{kind: shapes}", "{colors: {[0, 0, 0]: 0, [128, 0, 0]: 1}}"])
def test_a_password_in_a_comment_is_taken_out_whatever_keys_a_file_has(data: str) -> None:
    text = f"data: {data}\ntracking: {{mlflow: 'http://me:hunter22@host'}} # not hunter23\n"
    assert "hunter22" not in without_secrets(f"{text}# hunter22, as on the wall\n")
    assert without_secrets(text).startswith(f"data: {data}\n")
    assert "hunter23" in without_secrets(text)
