"""What `check` and `run --plan` say of a study before it is begun: hours, and bytes of disk."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.driver import spin_less
from hrnet_search.errors import counted

if TYPE_CHECKING:
    from hrnet_search.ablation.arms import Ablation
    from hrnet_search.inventory import Inventory
    from hrnet_search.records.trial import TrialKey
    from hrnet_search.search.forecast import Forecast
    from hrnet_search.space.load import SpaceFile


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study is to take: `trials` or `hours` in the place of the file's, on `workers`."""

    trials: int | None = None
    hours: float | None = None
    workers: int = 1


def forecast_of(
    file: SpaceFile,
    folder: Path,
    asked: Asked,
    say: Callable[[str], None],
    within: float,
    data: Inventory | None = None,
) -> Forecast:
    """Return what a study in `folder` would take, or the rest of one; nothing is written.

    By its trainings that have ended or, where it has none, by steps measured now, for about
    `within` seconds. `data` are those of the file if they were looked at already. Raise
    InputError, DataError, SpaceError or WeightsError as a run does.
    """
    spin_less()
    from hrnet_search.search.forecast import NOTHING, done_of, forecast, of_probe, of_study
    from hrnet_search.search.settled_plan import plan_of
    from hrnet_search.store.study import begun_study

    plan = plan_of(file, folder, asked.trials, asked.hours, data)
    done, durations = NOTHING, None
    if study := begun_study(folder):
        done, durations = done_of(study), of_study(plan, study)
    if durations is not None and durations.known:
        basis = f"by {counted(durations.known, 'training')} of {folder}"
    else:
        say("measuring a few steps of a few variants")
        durations = of_probe(plan, within)
        basis = f"by a few steps of {counted(durations.known, 'variant')}, measured now"
    return forecast(plan, durations, basis, asked.workers, done)


def forecast_of_arms(
    file: SpaceFile,
    ablation: Ablation,
    finished: Container[TrialKey],
    workers: int,
    say: Callable[[str], None],
    within: float,
) -> Forecast:
    """Return what an ablation would take, or the rest of one of which some trials have `finished`.

    By steps measured now, for about `within` seconds; nothing is written.
    """
    spin_less()
    from hrnet_search.ablation.duration import measured

    say("measuring a few steps of a few arms")
    return measured(ablation, finished, file.latency, within, workers)


def room_line(folder: Path) -> str:
    """Return how much room there is where a study lies."""
    from hrnet_search.files import free_bytes
    from hrnet_search.search.disk import sized

    return f"free on the disk of the study: {sized(free_bytes(folder))}"
