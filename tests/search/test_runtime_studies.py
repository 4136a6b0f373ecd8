"""Studies whose latency is that of another runtime: an objective, a limit, a trial that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from evaluate.latency.runtimes.made_up_files import at_once

from hrnet_search.errors import StudyError
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.records.latency import COMMAND
from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE
from hrnet_search.report.trust.near_front import front_accuracy
from hrnet_search.search.begin import open_store
from hrnet_search.search.run import search
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import load_space_file
from hrnet_search.store.evaluations import IN_INT8, evaluation_path, read_counts
from hrnet_search.store.study import Study, open_study

__all__ = ["at_once"]
BASE = sorted((Path(__file__).parents[2] / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = f"""\
name: tiny
base: {BASE}
vary: {{width: [2, 3, 4, 5], STAGE2.NUM_MODULES: [1], STAGE3.NUM_MODULES: [1],
  STAGE4.NUM_MODULES: [1], STAGE2.NUM_BLOCKS: [[1, 1]], STAGE3.NUM_BLOCKS: [[1, 1, 1]],
  STAGE4.NUM_BLOCKS: [[1, 1, 1, 1]]}}
LIMITS
objectives: {{miou: max, latency_ms: min}}
data: {{kind: shapes, size: [32, 32], train: 4, val: 2}}
schedule: {{steps: 1, batch: 2, crop: [32, 32]}}
latency: {{size: [32, 32], device: cpu, LATENCY}}
search: {{sampler: random, trials: 4, confirm: 0}}
tracking: {{mlflow: off}}
"""
BOARD = """\
import os, pathlib, sys
count = pathlib.Path(sys.argv[2])
done = int(count.read_text()) if count.exists() else 0
count.write_text(str(done + 1))
DO
print(os.path.getsize(sys.argv[1]) / 1000)
"""


def run(folder: Path, latency: str, limits: str = "", accuracy: str = "miou") -> Study:
    path = folder / "space.yaml"
    text = SPACE.replace("LATENCY", latency).replace("LIMITS\n", limits)
    path.write_text(text.replace("{miou: max", f"{{{accuracy}: max"))
    file = load_space_file(path)
    plan = plan_of(file, folder / "study")
    with open_store(file, plan, folder / "study") as store:
        search(plan, store, (), lambda _: None)
    return open_study(folder / "study")


def board(folder: Path, do: str = "") -> str:
    """Return a command that says what a file weighs; `do` may look at how often it ran."""
    (folder / "board.py").write_text(BOARD.replace("DO", do))
    program = [sys.executable, "-S", str(folder / "board.py"), "{onnx}", str(folder / "count")]
    return f"seconds: 1, command: {program}".replace("'", '"')


@pytest.mark.usefixtures("at_once", "one_check")
def test_onnxruntime_is_an_objective_of_a_study_that_goes_on_in_it_alone(tmp_path: Path) -> None:
    """In int8, so that what was trained is judged in it too: a column, an objective, a limit."""
    latency = "seconds: 0.2, runtime: onnxruntime, precision: int8"
    limits = "limits: {miou_int8: {at_least: 0.001}}\n"
    study = run(tmp_path, latency, limits, accuracy="miou_int8")
    results = [result for _, result in study.trials() if result]
    assert [r.status for r in results] == [COMPLETED] * 4
    conditions = {r.latency.condition for r in results if r.latency}
    assert {(c.runtime, c.provider) for c in conditions} == {
        ("onnxruntime", "CPUExecutionProvider")
    }
    assert study.notes.identity
    assert study.notes.identity["latency"]["runtime"] == "onnxruntime"
    table = study.results()
    assert table["miou_int8"].tolist() == [r.miou_int8 for r in results]
    assert table["miou_int8"].between(0, 1).all()
    front = study.front()
    assert (front["miou_int8"] >= 0.001).all()
    assert front["miou_int8"].max() == table["miou_int8"].max()
    drawn = front_accuracy(study, "latency_ms")
    assert drawn.images == 2  # those of the matrices in int8, which were kept
    assert drawn.accuracies.tolist() == front["miou_int8"].tolist()
    for result in results:
        counts = read_counts(evaluation_path(study.folder, result.key), IN_INT8)
        assert counts
        assert result.miou_int8 == pytest.approx(counts.iou().mean())
    with pytest.raises(StudyError, match=r"latency\.runtime: is torch, was onnxruntime when"):
        run(tmp_path, "seconds: 0.2, precision: fp32", "limits: {miou: {at_least: 0.001}}\n")


@pytest.mark.usefixtures("at_once")
def test_a_command_is_an_objective_and_a_limit(tmp_path: Path) -> None:
    """The board says bytes: what is over the limit is not trained, what is not counts exactly."""
    study = run(tmp_path, board(tmp_path), "limits: {latency_ms: 0.62}\n")
    results = {ask.architecture.width: r for ask, r in study.trials() if r and r.latency}
    assert {r.status for r in results.values()} == {COMPLETED, INFEASIBLE}
    for result in results.values():
        assert result.latency
        assert result.latency.condition.mode == COMMAND
        assert result.status == (COMPLETED if result.latency.ms <= 0.62 else INFEASIBLE)
    widths = sorted(results)
    assert sorted(results, key=lambda w: results[w].latency_ms or 0) == widths
    again = load_space_file(tmp_path / "study" / "space.yaml")
    assert again.latency.command[0] == sys.executable
    assert resolve(again.latency).condition == results[widths[0]].latency.condition  # type: ignore[union-attr]


@pytest.mark.usefixtures("at_once")
def test_a_board_that_fails_fails_its_trial_in_one_line_and_the_study_goes_on(
    tmp_path: Path,
) -> None:
    do = "count.with_name('bad').exists() and sys.exit('the board is gone')"
    command = board(tmp_path, do)
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("LATENCY", command).replace("LIMITS\n", ""))
    file = load_space_file(path)
    plan = plan_of(file, tmp_path / "study")
    bad = tmp_path / "bad"

    class Breaks:
        """Breaks the board for the second trial alone."""

        def started(self, task: object) -> None:
            number = task.number  # type: ignore[attr-defined]
            bad.write_text("x") if number == 1 else bad.unlink(missing_ok=True)

        def progressed(self, *_: object) -> None: ...

        def returned(self, *_: object) -> None: ...

        def ended(self, *_: object) -> None: ...

    with open_store(file, plan, tmp_path / "study") as store:
        search(plan, store, (Breaks(),), lambda _: None)
    results = dict(open_study(tmp_path / "study").trials())
    by_number = {ask.number: result for ask, result in results.items() if result}
    assert [by_number[n].status for n in range(4)] == [COMPLETED, FAILED, COMPLETED, COMPLETED]
    assert by_number[1].error == "latency.command failed with exit code 1: the board is gone"
