"""The LOG's figures of 2026-11-27 are those of the table, and SciPy's taus."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.tables import free


def test_seeds_apart_are_judged_by_the_other_seed_as_scipy_does() -> None:
    costs, trained = free.read(free.TABLE)
    short, truth = trained[80], trained[240]
    assert truth.shape == (2, 48)
    ways = [stats.kendalltau(short[seed], truth[1 - seed]).statistic for seed in (0, 1)]
    found = float(free._apart(*short, *truth))
    assert found == pytest.approx(np.mean(ways))
    assert round(found, 2) == 0.44
    macs = costs["log MACs"]
    free_tau = float(free._apart(macs, macs, *truth))
    assert round(free_tau, 2) == 0.56
    assert float(free._less(short[0], short[1], truth[0], truth[1], macs)) == pytest.approx(
        found - free_tau
    )


def test_the_table_is_printed_with_what_is_free(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["free"])
    free.main()
    said = capsys.readouterr().out
    assert "| log parameters | 0.56 [0.46, 0.66] |" in said
    assert "80 steps less log MACs, seeds apart: -0.12 [-0.25, -0.01]" in said
