"""The public surface: what docs/api.md promises, as it is, and examples that run and type-check."""

from __future__ import annotations

import inspect
import logging
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import hrnet_search
from hrnet_search import open_study

ROOT = Path(__file__).parents[1]
API = ROOT / "docs" / "api.md"
WIDTH = 96
SPACE = f"""\
name: tiny
base: {ROOT}/configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary: {{width: [2, 4, 6, 8]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 4, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 2}}
tracking: {{mlflow: off}}
"""
ABLATION = SPACE.replace(
    "vary: {width: [2, 4, 6, 8]}\nobjectives: {miou: max, macs: min}",
    "ablate: {factors: {width: {path: width, levels: [2, 4]}}, seeds: 2, alpha: 0.5}",
).replace("search: {sampler: random, trials: 2}\n", "")


def signature(name: str, function: object) -> str:
    """Return a signature in one line, or in one a parameter where that is too long."""
    assert callable(function)
    found = inspect.signature(function)
    parts: list[str] = []
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        kind = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{parameter.name}{kind}{default}")
    line = f"{name}({', '.join(parts)}) -> {found.return_annotation}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {p}," for p in parts), f") -> {found.return_annotation}"])


def members(kind: type) -> Iterator[str]:
    """Yield the fields, properties and methods that a class of the package defines."""
    own = [c for c in kind.__mro__ if c.__module__.startswith("hrnet_search")]
    for name, kept in sorted({n: v for c in reversed(own) for n, v in vars(c).items()}.items()):
        if name.startswith("_"):
            continue
        if isinstance(kept, property):
            assert kept.fget is not None
            yield f"{name}: {inspect.signature(kept.fget).return_annotation}"
        elif isinstance(kept, classmethod | staticmethod):
            yield signature(name, getattr(kind, name))
        elif inspect.isfunction(kept):
            yield signature(name, kept)
        elif name in kind.__annotations__:
            yield f"{name}: {kind.__annotations__[name]}"


def surface(name: str) -> str:
    """Return what the documents say of a public name: its signature, and its members."""
    public = getattr(hrnet_search, name)
    if not inspect.isclass(public):
        return signature(name, public)
    bases = [c.__name__ for c in public.__bases__ if c is not object]
    first = f"class {name}({', '.join(bases)})" if bases else f"class {name}"
    if issubclass(public, Exception):
        return first
    return "\n".join([first, *(re.sub("^", "    ", m, flags=re.M) for m in members(public))])


def documented() -> dict[str, str]:
    """Return the first code block below the heading of each name."""
    blocks = re.findall(r"^### `(\w+)`\n\n```python\n(.*?)\n```", API.read_text(), re.M | re.S)
    return dict(blocks)


def examples() -> list[str]:
    """Return the code blocks that import the package."""
    blocks = re.findall(r"^```python\n(.*?)^```", API.read_text(), re.M | re.S)
    return [block for block in blocks if "import hrnet_search" in block]


@pytest.mark.parametrize("name", hrnet_search.__all__)
def test_the_public_surface_is_what_docs_api_says(name: str) -> None:
    assert documented().get(name) == surface(name), f"docs/api.md, {name}:\n{surface(name)}"


def test_the_documents_promise_nothing_else_and_show_every_name() -> None:
    assert sorted(documented()) == sorted(hrnet_search.__all__)
    used = set(re.findall(r"hrnet_search\.(\w+)", "\n".join(examples())))
    assert used >= set(hrnet_search.__all__)


def test_a_room_of_the_same_name_hides_no_public_function() -> None:
    for path in (ROOT / "hrnet_search").iterdir():
        if path.is_dir() and (path / "__init__.py").is_file():
            __import__(f"hrnet_search.{path.name}")
    assert [n for n in hrnet_search.__all__ if not callable(getattr(hrnet_search, n))] == []


@pytest.mark.usefixtures("one_check", "blank_pictures")
def test_a_search_from_python_is_under_ten_lines_and_prints_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    example = examples()[0]
    assert len(example.splitlines()) < 10
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    with caplog.at_level(logging.INFO, "hrnet_search"):
        exec(example.replace("print(", "str("), found)
    assert capfd.readouterr() == ("", "")
    assert any("A/A check" in line for line in caplog.messages)
    assert open_study(tmp_path / "study").results()["status"].tolist() == ["completed"] * 2
    assert (tmp_path / "study" / "report" / "report.html").is_file()
    assert list((tmp_path / "study" / "export").glob("*.yaml"))
    again = hrnet_search.run("space.yaml", "study", trials=3, progress=True)
    assert len(again.results()) == 3
    assert "going on with" in capfd.readouterr().out


@pytest.mark.usefixtures("one_check", "blank_pictures")
def test_an_ablation_from_python(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "space.yaml").write_text(ABLATION)
    study = hrnet_search.ablate(tmp_path / "space.yaml", tmp_path / "study")
    assert isinstance(study, hrnet_search.Study)
    assert study.results()["status"].tolist() == ["completed"] * 4
    assert capfd.readouterr() == ("", "")


def test_what_is_wrong_is_an_error_of_the_family(tmp_path: Path) -> None:
    space, wrong = tmp_path / "space.yaml", tmp_path / "wrong.yaml"
    space.write_text(SPACE)
    wrong.write_text(SPACE.replace("steps: 4", "steps: 0"))
    for call in (
        lambda: hrnet_search.run(wrong, tmp_path / "study"),
        lambda: hrnet_search.run(tmp_path / "absent.yaml", tmp_path / "study"),
        lambda: hrnet_search.run(space, tmp_path / "study", trials=0),
        lambda: hrnet_search.run(space, tmp_path / "study", workers=-1),
        lambda: hrnet_search.ablate(space, tmp_path / "study"),
        lambda: hrnet_search.report(tmp_path),
        lambda: hrnet_search.export(tmp_path),
        lambda: hrnet_search.profile([wrong]),
        lambda: hrnet_search.profile([], batch=0),
    ):
        with pytest.raises(hrnet_search.InputError) as caught:
            call()
        assert isinstance(caught.value, hrnet_search.HrnetSearchError)
        assert caught.value.faults
    assert not (tmp_path / "study").exists()


def test_what_cannot_be_asked_for_is_an_error_of_the_family(tmp_path: Path) -> None:
    """NumPy would count a level below 0 from the end: the cost of another network."""
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    space = hrnet_search.load_space(path)
    first = np.zeros((1, len(space.choices)), dtype=np.int64)
    assert hrnet_search.costs(space, first).tolist() == hrnet_search.costs(space, first[0]).tolist()
    network = hrnet_search.generate(space, 1)[0]
    calls: list[Callable[[], object]] = [
        lambda: hrnet_search.costs(space, first - 1),
        lambda: hrnet_search.costs(space, first + 99),
        lambda: hrnet_search.costs(space, first[:, 1:]),
        lambda: hrnet_search.costs(space, np.hstack([first, first])),
        lambda: hrnet_search.costs(space, first + 0.5),  # type: ignore[arg-type]
        lambda: hrnet_search.costs(space, first, classes=0),
        lambda: hrnet_search.costs(space, first, size=()),  # type: ignore[arg-type]
        lambda: hrnet_search.cost(network, (3, 64, 64)),  # type: ignore[arg-type]
        lambda: hrnet_search.cost(network, 64),  # type: ignore[arg-type]
        lambda: hrnet_search.generate(space, -1),
        lambda: hrnet_search.generate(space, 2.5),  # type: ignore[arg-type]
        lambda: hrnet_search.generate(space, 1, seed=-1),
        lambda: hrnet_search.generate(space, 1, seed=None),  # type: ignore[arg-type]
        lambda: hrnet_search.run(path, tmp_path / "study", workers=1, gpus_per_trial=-1),
        lambda: hrnet_search.run(path, tmp_path / "study", workers=1, memory_per_trial=math.nan),
        lambda: hrnet_search.run(path, path),
        lambda: hrnet_search.run(path, ""),
        lambda: hrnet_search.ablate(path, path),
    ]
    for call in calls:
        with pytest.raises(hrnet_search.InputError) as caught:
            call()
        assert caught.value.faults
    with pytest.raises(hrnet_search.StorageLostError, match="cannot be written"):
        network.to_yaml(tmp_path / "absent" / "variant.yaml")
    with pytest.raises(hrnet_search.StorageLostError, match="cannot be written"):
        network.to_yaml(tmp_path)


def test_paths_may_begin_with_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.setenv("HOME", str(tmp_path))
    network = hrnet_search.generate(hrnet_search.load_space("~/space.yaml"), 1)[0]
    network.to_yaml("~/variant.yaml")
    network.to_yaml("~/again.yaml", like="~/variant.yaml")
    assert (tmp_path / "variant.yaml").is_file()
    assert hrnet_search.Architecture.from_yaml("~/again.yaml") == network
    assert hrnet_search.HRNet("~/variant.yaml").architecture == network


def test_one_study_may_be_named_where_several_may(tmp_path: Path) -> None:
    """A text would be taken apart into letters."""
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    (ablation := tmp_path / "ablation.yaml").write_text(ABLATION)
    study = tmp_path / "study"
    for named in ("absent", Path("absent")):
        calls: list[Callable[[], object]] = [
            lambda named=named: hrnet_search.run(path, study, reuse=named),  # type: ignore[misc]
            lambda named=named: hrnet_search.ablate(ablation, study, named),  # type: ignore[misc]
        ]
        for call in calls:
            with pytest.raises(hrnet_search.StudyError) as caught:
                call()
            assert str(caught.value).startswith(f"{Path.cwd() / 'absent'}: is not a study")


def test_profile_from_python_counts_what_the_command_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configs = sorted((ROOT / "configs").glob("seg_hrnet_w*.yaml"))[1:3]
    found = hrnet_search.profile(configs, size=(64, 128), by_stage=True)
    assert [p.config for p in found] == [str(path) for path in configs]
    for one in found:
        assert one.cost == hrnet_search.cost(one.architecture, (64, 128), 19)
        assert sum(row.macs for row in one.rows) == one.cost.macs
    assert capsys.readouterr().out == ""
    assert hrnet_search.profile(configs[0])[0].name == configs[0].stem


@pytest.mark.slow
def test_a_script_with_every_public_name_passes_mypy_strict(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("\n".join(examples()))
    # From the root, whose settings are strict, and with what `make test` has checked already.
    words = [sys.executable, "-m", "mypy", str(script)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
