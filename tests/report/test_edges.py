"""What a front leans on is said where chance does not give it, with a file that goes beyond."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up import NOTES, TINY, network, result
from scipy.stats import binom

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.cli import main
from hrnet_search.evaluate.training import trial
from hrnet_search.records.search_options import EVALUATOR
from hrnet_search.records.trial import COMPLETED, RungResult, TrialKey, TrialResult, TrialTask
from hrnet_search.report.edges import FILE, Edges, beyond, edges_of, is_read
from hrnet_search.report.report import write_report
from hrnet_search.report.summary import summary
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.report.trust.statistics import by_chance
from hrnet_search.space.choice import Choice
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

MODULES, WIDTH = "STAGE4.NUM_MODULES", "width"
WIDTHS = (8, 16, 24, 32)
SPACE = """\
name: narrow
base: base.yaml  # beside it
vary:
  width: [8, 16, 24, 32]  # as narrow as we dare
  STAGE4.NUM_MODULES: [1, 2, 3, 4]
{limits}objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 8, val: 4}}
schedule: {{steps: 2, batch: 2, crop: [64, 64]}}
"""


def built(width: int, modules: int) -> Architecture:
    one = network(width)
    return Architecture((*one.stages[:3], replace(one.stages[3], modules=modules)))


def edges(
    folder: Path,
    front: Sequence[tuple[int, int]],
    beaten: Sequence[tuple[int, int]] = (),
    limits: str = "",
    **notes: Any,
) -> Edges:
    """Return the edges of a study whose front has these levels of width and modules."""
    found = {"choices": (WIDTH, MODULES), "levels": (WIDTHS, (1, 2, 3, 4)), **notes}
    StudyStore.create(folder, replace(NOTES, **found))
    (folder / "space.yaml").write_text(SPACE.format(limits=limits))
    (folder / "base.yaml").write_text(config_text(network(18)))
    with StudyStore(folder) as store:
        for number, (width, modules) in enumerate([*front, *beaten]):
            one = built(WIDTHS[width], modules + 1)
            # As distinct as two spellings of one point are: another seed of blocks in stage 1.
            first = replace(one.stages[0], blocks=(number + 1,))
            one = Architecture((first, *one.stages[1:]))
            key = TrialKey(one.id, "sc-0", 0)
            miou = 0.5 + number / 100 if number < len(front) else 0.1
            store.ask(Ask(number, key, (width, modules), one))
            found_cost = Cost(1000 + number, 1000 + number, 1000)
            store.finish(number, replace(result(0, miou=miou, cost=found_cost), key=key))
    study = open_study(folder)
    return edges_of(study, evidence_of(study))


def test_a_front_with_the_largest_level_of_a_choice_is_told_with_wider_ones(tmp_path: Path) -> None:
    front = [(3, 0), (3, 1), (3, 2), (3, 3), (3, 1), (0, 0), (1, 2)]
    found = edges(tmp_path / "s", front)
    (lean,) = found.leans
    assert lean.line == "5 of 7 front networks have the largest width, 32"
    assert lean.wider == (*WIDTHS, 40, 48)
    assert found.changes == ("width: [8, 16, 24, 32, 40, 48]",)
    before, after = (yaml.safe_load(t) for t in (SPACE.format(limits=""), found.text))
    assert after == {**before, "vary": {**before["vary"], "width": [8, 16, 24, 32, 40, 48]}}
    assert "# as narrow as we dare" in found.text
    again = shlex.split(found.command)
    assert again[:3] == ["hrnet-search", "run", str(tmp_path / "s" / FILE)]
    assert again[-4:] == ["-o", f"{tmp_path / 's'}-wider", "--reuse", str(tmp_path / "s")]
    assert "and, with every training of this study taken over:" in found.lines
    # What rests on shared weights, which were taught the networks of one space, is not.
    shared = edges(tmp_path / "shared", front, identity={EVALUATOR: "shared"})
    assert "and, with the trainings of this study from random weights taken over:" in shared.lines


@pytest.mark.parametrize(
    "front",
    [
        [(3, 0), (3, 2)],  # two networks
        [(3, 0), (3, 1), (3, 2), (0, 3), (1, 1), (2, 0)],  # half of them
        [(2, 0), (2, 1), (2, 2), (2, 3), (2, 2)],  # in the middle
    ],
)
def test_nothing_is_said_of_what_is_too_few_no_majority_or_no_edge(
    tmp_path: Path, front: list[tuple[int, int]]
) -> None:
    assert edges(tmp_path / "s", front).leans == ()


def test_three_of_three_by_two_levels_may_be_chance(tmp_path: Path) -> None:
    levels = ((8, 16), (1, 2, 3, 4))
    some, many = [(1, 0), (1, 1), (1, 2)], [(1, i % 4) for i in range(5)]
    assert edges(tmp_path / "some", some, levels=levels).leans == ()
    (lean,) = edges(tmp_path / "many", many, levels=levels).leans
    assert lean.level == 16


def test_a_limit_that_leaves_no_room_beyond_silences_the_advice(tmp_path: Path) -> None:
    front = [(3, 0), (3, 1), (3, 2), (3, 3)]
    most = cost(built(32, 1), (512, 1024), 6).params
    assert edges(tmp_path / "s", front, limits=f"limits: {{params: {most}}}\n").leans == ()
    roomy = f"limits: {{params: {4 * most}}}\n"
    assert edges(tmp_path / "t", front, limits=roomy).leans


def test_without_a_readable_space_file_the_finding_stands_alone(tmp_path: Path) -> None:
    found = edges(tmp_path / "s", [(3, 0), (3, 1), (3, 2)], limits="limits: {weight: 3}\n")
    assert [lean.level for lean in found.leans] == [32]
    assert (found.changes, found.text, found.command) == ((), "", "")


def test_a_level_that_only_the_beaten_have_is_named(tmp_path: Path) -> None:
    front = [(i % 4, 1 + i % 3) for i in range(12)]
    beaten = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1)]
    (unused,) = edges(tmp_path / "s", front, beaten).unused
    assert (unused.path, unused.level, unused.good, unused.trained) == (MODULES, 1, 12, 4)
    assert edges(tmp_path / "few", front[:6], beaten).unused == ()


def test_levels_that_no_network_reads_do_not_count() -> None:
    of_third_branch = Choice("STAGE3.NUM_BLOCKS[2]", (1, 2))
    three = network(8)
    assert is_read(of_third_branch, three)
    assert not is_read(Choice("STAGE3.NUM_BLOCKS[3]", (1, 2)), three)
    assert not is_read(Choice("OCR.MID_CHANNELS", (8, 16)), three)
    assert is_read(Choice("FINAL_CONV_KERNEL", (1, 3)), three)
    assert is_read(Choice("schedule.lr", (0.1, 0.2)), three)
    empty = Architecture((*three.stages[:3], replace(three.stages[3], modules=0)))
    assert not is_read(Choice("STAGE4.FUSE_METHOD", ("SUM", "CAT")), empty)


def test_levels_go_on_by_the_last_step_and_end_at_one() -> None:
    assert beyond((8, 16, 24), largest=True) == (8, 16, 24, 32, 40)
    assert beyond((8, 16, 24), largest=False) == (2, 4, 8, 16, 24)
    assert beyond((1, 2, 3), largest=False) == (1, 2, 3)
    assert beyond((0.01, 0.02), largest=True) == (0.01, 0.02, 0.04, 0.08)
    assert beyond((0.01, 0.02), largest=False) == (0.0025, 0.005, 0.01, 0.02)


def test_the_chance_of_so_many_is_that_of_the_binomial_distribution() -> None:
    for has, networks, share in (
        (5, 7, 0.25), (3, 3, 0.5), (1, 12, 0.2), (0, 4, 0.3), (1, 1030, 0.5), (900, 5000, 0.2),
    ):  # fmt: skip
        assert by_chance(has, networks, share) == pytest.approx(
            binom.sf(has - 1, networks, share), rel=1e-9
        )


def test_a_file_that_nothing_speaks_of_any_more_is_removed(tmp_path: Path) -> None:
    edges(tmp_path / "s", [(3, 0), (3, 1), (3, 2)])
    write_report(open_study(tmp_path / "s"))
    assert (tmp_path / "s" / FILE).is_file()
    (tmp_path / "s" / "space.yaml").write_text("nothing")
    write_report(open_study(tmp_path / "s"))
    assert not (tmp_path / "s" / FILE).exists()


@pytest.mark.usefixtures("blank_pictures")
def test_a_wider_file_that_somebody_changed_is_theirs(tmp_path: Path) -> None:
    edges(tmp_path / "s", [(3, 0), (3, 1), (3, 2)])
    write_report(open_study(tmp_path / "s"))
    path = tmp_path / "s" / FILE
    own = path.read_text().replace("40", "36")
    path.write_text(own)
    write_report(open_study(tmp_path / "s"))
    assert path.read_text() == own
    (tmp_path / "s" / "space.yaml").write_text("nothing")
    write_report(open_study(tmp_path / "s"))
    assert path.read_text() == own


def made_up(trained: list[TrialKey]) -> Callable[..., TrialResult]:
    """Return what trains nothing, and notes what it is asked to.

    Of narrow networks one is on the front, the cheapest; of the others each is.
    """

    def run(_: object, task: TrialTask, report: object) -> TrialResult:
        if task.taken is not None:
            return task.taken
        trained.append(task.key)
        width, modules = task.architecture.width, task.architecture.stages[2].modules
        miou = 0.3 if width < 6 else 0.4 + 0.05 * modules + 0.001 * width
        rung = RungResult(2, miou, (miou, miou), 1.0, miou, soft_iou=miou)
        counted = cost(task.architecture, (64, 64), 6)
        return TrialResult(task.key, COMPLETED, counted, None, miou, rungs=(rung,), wall_s=1.0)

    return run


NARROW = """\
name: narrow
base: base.yaml
vary:
  width: [4, 5, 6]
  STAGE3.NUM_MODULES: [1, 2, 3, 4]
limits: {macs: 20G}
objectives: {miou: max, macs: min}
data: {kind: shapes, size: [64, 64], train: 8, val: 4}
schedule: {steps: 2, batch: 2, crop: [64, 64]}
latency: {size: [64, 64], seconds: 0.05}
search: {sampler: grid, trials: 12, confirm: 0}
tracking: {mlflow: off}
"""


@pytest.mark.usefixtures("blank_pictures", "one_check")
def test_the_advice_followed_as_printed_trains_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[TrialKey] = []
    monkeypatch.setattr(trial.Worker, "run", made_up(trained))
    (tmp_path / "base.yaml").write_text(config_text(TINY))
    (tmp_path / "space.yaml").write_text(NARROW)
    folder = tmp_path / "my study"
    assert main(["run", str(tmp_path / "space.yaml"), "-o", str(folder), "--plain"]) == 0
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    narrow = set(trained)
    assert len(trained) == len(narrow) == 12
    assert any("front networks have the largest" in line for line in said)
    start = said.index("vary:")
    # Both ways that are offered: the lines in one's own file, and the file with the command.
    after = yaml.safe_load((folder / FILE).read_text())
    changed: dict[str, Any] = {}
    for line in said[start + 1 :]:
        if not line.split(":")[0].startswith(("width", "STAGE")):
            break
        changed |= yaml.safe_load(line)
    before = yaml.safe_load((folder / "space.yaml").read_text())
    assert changed
    assert after == {**before, "vary": {**before["vary"], **changed}}
    command = next(line for line in said if "--reuse" in line)
    trained.clear()
    program, *words = shlex.split(command)
    assert program == "hrnet-search"
    assert main([*words, "--trials", "40"]) == 0
    wider = open_study(f"{folder}-wider")
    completed = {ask.key for ask, _ in wider.ended()}
    assert trained
    assert narrow < completed
    assert narrow.isdisjoint(trained)
    assert len(set(trained)) == len(trained)
    assert "at the edges of the space:" in summary(open_study(folder))
