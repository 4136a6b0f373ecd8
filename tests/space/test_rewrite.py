"""Some values of a YAML file are replaced; nothing else of its text is touched."""

from __future__ import annotations

import pytest
import yaml

from hrnet_search.space.rewrite import rewritten

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
