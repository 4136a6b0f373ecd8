"""What a space file leaves to the machine is settled once in the life of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_search.errors import StudyError
from hrnet_search.search import settled_plan
from hrnet_search.search.begin import open_store
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import load_space_file
from hrnet_search.store.findings import Probe

BASE = sorted((Path(__file__).parents[2] / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = f"""\
name: tiny
base: {BASE}
vary: {{width: [2, 4, 6, 8]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 4, batch: 4, crop: [64, 64], precision: auto}}
latency: {{size: [32, 32], device: cpu}}
search: {{sampler: random, trials: 4}}
"""


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what probes find, the next one first; each is used once."""
    found = ["bf16", "fp32"]

    def settle(*_: object) -> Probe:
        return Probe(found.pop(0), "channels_last", "a CPU", {"fp32 channels_last": 0.5})

    monkeypatch.setattr(settled_plan, "settle", settle)
    return found


def space(folder: Path, text: str = SPACE) -> Path:
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def test_all_trials_of_a_study_run_as_was_settled_at_its_start(
    tmp_path: Path, probed: list[str]
) -> None:
    file = load_space_file(space(tmp_path))
    plans = []
    for _ in range(2):  # the second time as another run, perhaps on another machine
        plans.append(plan_of(file, tmp_path / "study"))
        with open_store(file, plans[-1], tmp_path / "study") as store:
            notes = store.notes()
    assert [p.schedule.precision for p in plans] == ["bf16", "bf16"]
    assert plans[0].schedule.id == plans[1].schedule.id
    assert probed == ["fp32"]
    assert notes.schedule
    assert notes.schedule.schedule.precision == "bf16"
    assert notes.probe
    assert notes.probe.seconds == {"fp32 channels_last": 0.5}
    # Another study asks anew.
    assert plan_of(file, tmp_path / "other").schedule.precision == "fp32"


def test_a_schedule_that_leaves_nothing_open_is_not_probed(
    tmp_path: Path, probed: list[str]
) -> None:
    file = load_space_file(space(tmp_path, SPACE.replace("auto", "fp32")))
    plan = plan_of(file, tmp_path / "study")
    assert (plan.probe, len(probed)) == (None, 2)
    with open_store(file, plan, tmp_path / "study") as store:
        notes = store.notes()
        assert notes.probe is None
        sizes = notes.image_sizes  # for BASE_SIZE and TEST of its configs
        assert sizes == dict.fromkeys(("train", "val"), file.schedule.data.size)


def test_a_study_begun_in_another_precision_is_another(tmp_path: Path, probed: list[str]) -> None:
    file = load_space_file(space(tmp_path))
    open_store(file, plan_of(file, tmp_path / "study"), tmp_path / "study").close()
    fixed = load_space_file(space(tmp_path, SPACE.replace("auto", "fp32")))
    with pytest.raises(StudyError, match=r"6:59: schedule.precision: is fp32, was bf16 when"):
        open_store(fixed, plan_of(fixed, tmp_path / "study"), tmp_path / "study")
