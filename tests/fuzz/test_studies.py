"""Damaged studies: every command shows what was written, or names what is damaged."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fuzz.mutations import damaged
from fuzz.oracle import answer, fuzz, one_line
from hypothesis import strategies as st
from large_study import make_study

from hrnet_search.cli import main
from hrnet_search.errors import StudyError
from hrnet_search.store.study import open_study

ROOT = Path(__file__).parents[2]
SPACE = f"""\
name: damaged-study
base: {ROOT}/configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary: {{width: [2, 4, 6], STAGE4.NUM_BRANCHES: [3, 4]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [32, 32], train: 8, val: 4}}
schedule: {{steps: 2, batch: 4, crop: [32, 32]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 2}}
tracking: {{mlflow: off}}
"""
READ = ("open",) * 8 + ("report", "export", "export --weights", "repair", "repair", "sync")
Case = tuple[str, str, bytes]
"""A command, a file of the study, and what it holds now."""


def made(folder: Path) -> Path:
    """Return a made-up study: training one takes ten seconds."""
    make_study(folder / "study", 6, confirmed=2)
    return folder / "study"


def trained(folder: Path) -> Path:
    """Return a study as the command leaves it, of two trials; it may be gone on with."""
    (folder / "space.yaml").write_text(SPACE)
    assert main(["run", str(folder / "space.yaml"), "-o", str(folder / "study"), "--plain"]) == 0
    shutil.rmtree(folder / "study" / "report")
    return folder / "study"


def cases(whole: Path, commands: Sequence[str]) -> st.SearchStrategy[Case]:
    """Return studies of which one file is damaged: study.db in every second."""
    paths = sorted(path for path in whole.rglob("*") if path.is_file() and path.stat().st_size)
    names = [str(path.relative_to(whole)) for path in paths]
    chosen = st.sampled_from(["study.db"] * len(names) + names)
    return chosen.flatmap(
        lambda name: st.tuples(
            st.sampled_from(commands), st.just(name), damaged((whole / name).read_bytes())
        )
    )


@pytest.mark.parametrize(
    ("origin", "commands", "count"),
    [
        (made, READ, 12),
        pytest.param(made, READ, 150, marks=pytest.mark.bench),
        pytest.param(trained, (*READ, "run", "run"), 150, marks=pytest.mark.bench),
    ],
)
def test_a_damaged_study_shows_what_was_written(
    tmp_path: Path, origin: Callable[[Path], Path], commands: Sequence[str], count: int
) -> None:
    whole = origin(tmp_path)
    truth, folder, outcomes = results(whole), tmp_path / "damaged", []

    def look(case: Case) -> None:
        command, name, content = case
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        (folder / name).write_bytes(content)
        code = 0 if command == "open" else commanded(command, whole, folder)
        outcomes.append(shown(folder, truth, complete=command != "repair" or code == 0))
        if name != "study.db":
            assert outcomes[-1] == "as written"
        if command == "report" and code == 0:
            check_table(folder / "report" / "trials.csv", truth)

    fuzz(count, cases(whole, commands), look)
    found = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    print(f"{len(outcomes):,} studies: {found}")
    assert "as written" in found


def commanded(command: str, whole: Path, folder: Path) -> int:
    """Run a command on a study; it has to end as every command."""
    name, *options = command.split()
    if name == "run":
        words = ["run", str(whole.parent / "space.yaml"), "-o", str(folder), "--plain"]
    else:
        words = [name, str(folder), *options]
    code = answer(words, most_s=60).code
    assert code in (0, 1, 2, 4)
    return code


def results(folder: Path) -> list[dict[str, Any]]:
    return [
        {str(key): str(value) for key, value in row.items()}
        for row in open_study(folder).results().to_dict("records")
    ]


def shown(folder: Path, truth: list[dict[str, Any]], complete: bool) -> str:
    """Return what a reader sees: `complete` says that no row may be missing."""
    try:
        found = results(folder)
    except StudyError as error:
        one_line(error)
        return "named as damaged"
    assert all(row in truth for row in found), "another value than was written"
    assert len(found) == len(truth) or not complete, "a row is missing in silence"
    return "as written" if found == truth else "in part, and said"


def check_table(path: Path, truth: list[dict[str, Any]]) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["architecture"] for row in rows] == [row["architecture"] for row in truth]
    assert [float(row["miou"]) for row in rows] == [float(row["miou"]) for row in truth]
