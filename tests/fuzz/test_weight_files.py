"""Damaged weight files: each is refused in one line, or loads what its checksums vouch for."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz.mutations import VALUES, damaged, slots
from fuzz.oracle import answer, fuzz, one_line
from hypothesis import strategies as st
from net.test_weights import State, counted, network, wrapped
from net.test_weights_of_others import noisy
from safetensors.torch import save

from hrnet_search.errors import WeightsError
from hrnet_search.net.weights import load_weights

Case = tuple[str, bytes]
"""What was done to which format, and the file."""

SPACE = """\
name: from-weights
base: base.yaml
vary: {width: [4, 6]}
objectives: {miou: max, macs: min}
data: {kind: shapes}
schedule: {steps: 4, batch: 4, crop: [64, 64], init: weights.pth}
"""


class Touch:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch was-run",)


@functools.cache
def whole(form: str) -> bytes:
    """Return a weight file of the tiny network as each of its writers leaves it."""
    state, file = noisy().state_dict(), io.BytesIO()
    if form == "safetensors":
        return save(state, {"architecture": "x"})
    torch.save(wrapped(state), file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


@st.composite
def other_members(draw: st.DrawFn) -> bytes:
    """Draw a torch file with members of its zip exchanged, lost, cut, emptied, or there twice."""
    with zipfile.ZipFile(io.BytesIO(whole("zip"))) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    kind = draw(st.sampled_from(("exchange", "lose", "cut", "twice", "rename", "run")))
    one, two = (draw(st.integers(0, len(members) - 1)) for _ in range(2))
    (name, content), (other, theirs) = members[one], members[two]
    if kind == "exchange":
        members[one], members[two] = (name, theirs), (other, content)
    elif kind == "lose":
        del members[one]
    elif kind == "cut":
        members[one] = (name, content[: draw(st.integers(0, len(content)))])
    elif kind == "twice":
        members.append((name + "x", content))
    elif kind == "rename":
        members[one] = (draw(st.sampled_from(("../x", "/x", "x", "archive/data/9999"))), content)
    else:
        members = [(n, _runs() if n.endswith("data.pkl") else c) for n, c in members]
    return _zipped(members)


def _runs() -> bytes:
    return pickle.dumps({"state_dict": Touch()}, protocol=2)


def _zipped(members: list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@st.composite
def other_header(draw: st.DrawFn) -> bytes:
    """Draw a safetensors file whose header says something else of its tensors."""
    content = whole("safetensors")
    size = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + size])
    for _ in range(draw(st.integers(1, 2))):
        part, key = draw(st.sampled_from(list(slots(header))))
        part[key] = draw(st.sampled_from(("F16", "F32", "I64", [4, 3, 3, 3], [0, 4], *VALUES)))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


CASES: st.SearchStrategy[Case] = st.one_of(
    st.tuples(st.just("zip"), damaged(whole("zip"))),
    st.tuples(st.just("pickle"), damaged(whole("pickle"))),
    st.tuples(st.just("safetensors"), damaged(whole("safetensors"))),
    st.tuples(st.just("other members"), other_members()),
    st.tuples(st.just("other header"), other_header()),
)


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.bench)])
def test_a_damaged_weight_file_is_refused_or_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.chdir(tmp_path)
    truth: State = noisy().state_dict()
    (tmp_path / "space.yaml").write_text(SPACE)
    network().architecture.to_yaml(tmp_path / "base.yaml")
    codes = []

    def look(case: Case) -> None:
        how, content = case
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        said = answer(["check", str(tmp_path / "space.yaml")], most_s=10)
        codes.append(said.code)
        assert said.code in (0, 2)
        fresh = network()
        try:
            load_weights(fresh, path)
        except WeightsError as error:
            assert said.code == 2
            one_line(error)
        else:
            loaded = {name: fresh.state_dict()[name] for name in counted(truth)}
            assert all(tensor.isfinite().all() for tensor in loaded.values())
            if how == "zip":  # it has a checksum for each of its members
                assert all(torch.equal(tensor, truth[name]) for name, tensor in loaded.items())
        assert not (tmp_path / "was-run").exists()

    fuzz(count, CASES, look)
    print(f"{len(codes):,} weight files: {codes.count(0):,} read, {codes.count(2):,} refused")
    assert codes.count(2)
