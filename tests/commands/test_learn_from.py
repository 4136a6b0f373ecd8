"""`--learn-from`: what the command line names is in the study's file as if it had been there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from search.tabulated import drive, plan

from hrnet_search.cli import main
from hrnet_search.commands.check import check
from hrnet_search.commands.space_file import learning_from
from hrnet_search.errors import InputError, SpaceError
from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[2]
BASE = next((ROOT / "configs").glob("seg_hrnet_w18_small_v1*"))


def space_file(folder: Path, search: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(f"""\
name: mine
base: {BASE}
vary: {{width: [4, 8], STAGE3.NUM_MODULES: [1, 2, 3, 4]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 8, val: 8, classes: 4}}
schedule: {{steps: 8, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], device: cpu}}
search: {search}  # as it was
""")
    return path


def test_what_the_command_line_names_is_in_the_file_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = space_file(tmp_path, "{trials: 4, learn_from: [old]}")
    file = load_space_file(path)
    assert learning_from(file, ()) is file
    assert file.search.learn_from == (str(tmp_path / "old"),)
    changed = learning_from(file, ["a b", tmp_path / "c"])
    assert changed.search.learn_from == (str(tmp_path / "a b"), str(tmp_path / "c"))
    path.write_text(changed.text)
    assert load_space_file(path).search == changed.search
    assert changed.text.endswith("# as it was\n")
    before, after = (yaml.safe_load(f.text) for f in (file, changed))
    del before["search"]["learn_from"], after["search"]["learn_from"]
    assert before == after


def test_a_sampler_that_does_not_learn_is_said_at_once(tmp_path: Path) -> None:
    file = load_space_file(space_file(tmp_path, "{sampler: grid}"))
    with pytest.raises(InputError, match=r"--learn-from: the sampler grid does not learn"):
        learning_from(file, ["a"])


def test_a_search_by_slices_learns_from_none_and_says_so_at_once(tmp_path: Path) -> None:
    """Else its own space file, which would say both, could not be run again."""
    file = load_space_file(space_file(tmp_path, "{evaluator: shared, trials: 20}"))
    with pytest.raises(InputError, match=r"--learn-from: does not go with evaluator: shared"):
        learning_from(file, ["a"])
    path = space_file(tmp_path, "{evaluator: shared, trials: 20, learn_from: [a, b]}")
    with pytest.raises(SpaceError, match="learn_from: a, b does not go with evaluator: shared"):
        load_space_file(path)


def test_check_says_what_a_search_would_learn_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive(tmp_path / "old", plan("random", 20))
    path = space_file(tmp_path, "{signal: miou, learn_from: [old]}")
    (line,) = check(path).plain["learned"]
    assert line in check(path).lines
    assert line.startswith(f"learning from {tmp_path / 'old'}: mIoU of ")
    path = space_file(tmp_path, "{signal: miou, learn_from: [older]}")
    assert main(["check", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    place = f"{path}:8:36: search.learn_from[0]"
    assert line.startswith(f"{place}: {tmp_path / 'older'} is not a study")


def test_a_study_that_is_not_there_is_not_reused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = space_file(tmp_path, "{trials: 4}")
    study = str(tmp_path / "study")
    assert main(["run", str(path), "-o", study, "--reuse", str(tmp_path / "none")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{tmp_path / 'none'}: is not a study: there is no such folder"
    assert not (tmp_path / "study").exists()
