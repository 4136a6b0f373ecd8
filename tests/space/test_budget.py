"""A search has one budget, trials or hours, and both say what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_search.cli import main
from hrnet_search.errors import InputError, SpaceError
from hrnet_search.space.load import load_space_file
from hrnet_search.space.search_section import SearchSpec

BASE = sorted((Path(__file__).parents[2] / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = f"""\
name: tiny
base: {BASE}
vary: {{width: [2, 4, 6, 8]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 4, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], device: cpu, seconds: 0.5}}
"""


def space(folder: Path, search: str = "") -> Path:
    path = folder / "space.yaml"
    path.write_text(SPACE + search)
    return path


def read(folder: Path, search: str) -> SearchSpec:
    return load_space_file(space(folder, search)).search


def test_hours_are_read_and_trials_are_the_usual_budget(tmp_path: Path) -> None:
    assert read(tmp_path, "search: {hours: 0.5, keep: front}").hours == 0.5
    assert read(tmp_path, "search: {keep: front}").keep == "front"
    usual = read(tmp_path, "")
    assert (usual.hours, usual.trials, usual.keep) == (0.0, 40, "all")


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{hours: 8, trials: 40}", "search.hours: cannot be set together with search.trials"),
        ("{hours: 0}", "search.hours: "),
        ("{hours: .inf}", "search.hours: "),
        ("{hours: all}", "search.hours: "),
        ("{hours: 8, evaluator: shared}", "search.hours: does not go with evaluator: shared"),
        ("{keep: best}", "allowed: all, confirmed, front"),
    ],
)
def test_what_is_no_budget_is_one_fault(search: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError) as refused:
        read(tmp_path, f"search: {search}")
    assert len(refused.value.faults) == 1
    assert said in str(refused.value)


def test_a_command_takes_one_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", str(space(tmp_path)), "--trials", "4", "--hours", "1"])
    assert ended.value.code == 2
    assert "--hours" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["run", str(space(tmp_path)), "--hours", "0"])
    assert ended.value.code == 2
    assert "allowed: above 0" in capsys.readouterr().err


def test_a_call_takes_one_budget(tmp_path: Path) -> None:
    from hrnet_search import run

    for hours, trials in ((1.0, 3), (-1.0, None), (float("nan"), None)):
        with pytest.raises(InputError, match="hours"):
            run(space(tmp_path), tmp_path / "study", trials, hours=hours)
    assert not (tmp_path / "study").exists()
