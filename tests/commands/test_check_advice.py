"""What `check` advises where a space file is right, yet not as it should be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

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


NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="a device that is not here")


def on_cuda(kind: str, folder: Path, precision: str) -> str:
    """Write a space file of data that are nowhere, for a GPU."""
    text = (ROOT / "search_spaces" / f"{kind}.yaml").read_text()
    text = text.replace("../configs", str(ROOT / "configs"))
    text = text.replace("schedule: {", f"schedule: {{precision: {precision}, ")
    path = folder / "space.yaml"
    path.write_text(re.sub(r"(?m)^latency:.*$", "latency: {device: cuda, size: [64, 64]}", text))
    return str(path)


@NO_GPU
@pytest.mark.parametrize("kind", ["quickstart", "ablation"])
def test_a_device_that_is_not_here_is_said_by_check_which_may_run_elsewhere(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = on_cuda(kind, tmp_path, "fp32")
    assert main(["check", path, "--no-measure"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("latency.device"))
    assert "no such device as cuda" in line
    assert "a run is refused on this machine" in line
    assert main(["check", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == [line]


@NO_GPU
@pytest.mark.parametrize("precision", ["fp32", "auto"])
@pytest.mark.parametrize("kind", ["quickstart", "ablation"])
def test_a_run_on_a_device_that_is_not_here_reads_no_data(
    kind: str,
    precision: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = on_cuda(kind, tmp_path, precision)
    for place in ("search.settled_plan", "ablation.run"):
        monkeypatch.setattr(f"hrnet_search.{place}.inspect_data", None)
    word = "ablate" if kind == "ablation" else "run"
    for words in ([], ["--workers", "1"]) if precision == "auto" else ([],):
        assert main([word, path, "-o", str(tmp_path / "study"), *words]) == 2
        assert "latency.device: there is no such device as cuda" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
