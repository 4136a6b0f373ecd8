"""The `ablate` command as a person or a script meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hrnet_search.cli import main

ROOT = Path(__file__).parents[1]
BASE = ROOT / "configs" / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
ABLATION = f"""\
name: tiny-ablation
base: {BASE}
ablate:
  factors:
    width: {{path: width, levels: [4, 2]}}
    fuse: {{path: STAGE4.FUSE_METHOD, levels: [SUM, CAT]}}
  seeds: 2
  alpha: 0.5
data: {{kind: shapes, size: [32, 32], train: 4, val: 2}}
schedule: {{steps: 1, batch: 2, crop: [32, 32]}}
latency: {{size: [32, 32], seconds: 0.05}}
tracking: {{mlflow: off}}
"""


@pytest.mark.usefixtures("one_check", "blank_pictures")
@pytest.mark.slow
def test_an_ablation_from_space_file_to_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "tiny.yaml", tmp_path / "study"
    path.write_text(ABLATION)
    assert main(["ablate", str(path), "-o", str(folder), "--plan"]) == 0
    planned = capsys.readouterr().out
    assert "3 arms x 2 seeds = 6 trainings" in planned
    assert "6 trials: about " in planned
    assert "by a few steps of 3 arms, measured now" in planned
    assert not folder.exists()
    assert main(["ablate", str(path), "-o", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "all 6 trials of the ablation have ended" in out
    assert "fuse=CAT" in out
    for name in ("ablation.csv", "ablation.md", "ablation.tex", "ablation.json", "forest.svg"):
        assert (folder / "report" / name).stat().st_size > 0
    again = tmp_path / "again"
    assert main(["ablate", str(path), "-o", str(again), "--reuse", str(folder)]) == 0
    assert "6 finished trials taken over" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0
    assert "fuse=CAT" in capsys.readouterr().out


def test_a_search_is_no_ablation_and_the_reverse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ablation.yaml"
    path.write_text(ABLATION)
    assert main(["run", str(path)]) == 2
    assert "allowed: hrnet-search ablate" in capsys.readouterr().err
    assert main(["ablate", str(ROOT / "search_spaces" / "quickstart.yaml")]) == 2
    assert "allowed: hrnet-search run" in capsys.readouterr().err
    assert main(["check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainings"] == 6
