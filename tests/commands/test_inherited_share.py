"""A study with `init: base`, from space file to page: what share of the base its trials kept."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hrnet_search import open_study
from hrnet_search.cli import main
from hrnet_search.report.trust.evidence import evidence_of

CONFIG = (
    Path(__file__).parents[2]
    / "configs"
    / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
)
SPACE = f"""\
name: inheriting
base: {CONFIG}
vary:
  width: [2, 4, 6, 8]
  STAGE4.FUSE_METHOD: [SUM, CAT]
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 8, val: 4}}
schedule: {{steps: 1, batch: 4, crop: [64, 64], init: base}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: grid, trials: 6, confirm: 0}}
tracking: {{mlflow: off}}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("one_check", "blank_pictures")
def test_the_share_that_trials_kept_is_in_records_tables_and_page(tmp_path: Path) -> None:
    path, folder = tmp_path / "space.yaml", tmp_path / "study"
    path.write_text(SPACE)
    assert main(["run", str(path), "-o", str(folder), "--plain"]) == 0
    study = open_study(folder)
    (_, base), *trials = study.trials()
    assert base is not None
    assert base.kept is None
    shares = [result.kept for _, result in trials if result]
    # The parameters of a narrower network are a part of the base's: at most as many of them.
    parts = [r.cost.params / base.cost.params for _, r in trials if r and r.cost and base.cost]
    assert len(shares) == 6
    assert all(share and 0 < share <= part for share, part in zip(shares, parts, strict=True))
    assert study.results()["kept"].dropna().tolist() == shares
    with (folder / "report" / "trials.csv").open() as file:
        assert [float(row["kept"]) for row in csv.DictReader(file) if row["kept"]] == shares
    found = evidence_of(study).kept
    assert found is not None
    assert found[1] == 6
    assert "Likeness to the base" in (folder / "report" / "report.html").read_text()
