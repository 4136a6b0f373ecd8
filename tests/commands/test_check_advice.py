"""What `check` advises where a space file is right, yet not as it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hrnet_search.cli import main
from hrnet_search.commands.check import warmup_advice
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("steps", "warmup", "init_steps", "of"),
    [
        (100, 15, 0, []),
        (100, 16, 0, ["steps"]),
        (60, 10, 0, ["steps"]),
        (200, 16, 100, ["init_steps"]),
        (90, 16, 100, ["steps", "init_steps"]),
    ],
)
def test_a_warmup_over_15_percent_of_the_steps_is_warned_of(
    steps: int, warmup: int, init_steps: int, of: list[str]
) -> None:
    data = DataSpec("shapes", 8)
    found = list(warmup_advice(Schedule(data, steps, warmup=warmup, init_steps=init_steps)))
    assert [line.split(" of ")[1].split(" (")[0] for line in found] == of


@pytest.mark.parametrize("kind", ["quickstart", "ablation"])
def test_check_says_it_for_searches_and_ablations_and_to_programs(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "search_spaces" / f"{kind}.yaml").read_text()
    text = text.replace("../configs", str(ROOT / "configs"))
    path = tmp_path / "space.yaml"
    path.write_text(text)
    assert main(["check", str(path)]) == 0
    assert "schedule.warmup" not in capsys.readouterr().out
    path.write_text(
        text.replace("schedule: {", "schedule: {warmup: 55, ").replace("warmup: 9, ", "")
    )
    assert main(["check", str(path)]) == 0
    assert "schedule.warmup: 55 is" in capsys.readouterr().out
    assert main(["check", str(path), "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["warmup"]
    assert line.startswith("schedule.warmup: 55 is")
