"""What the rest of an ablation will take, by a few steps of a few arms, taken now."""

from __future__ import annotations

from collections.abc import Container

from hrnet_search.ablation.arms import Ablation
from hrnet_search.ablation.brain import trials
from hrnet_search.errors import counted
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.search_options import KEEP_ALL
from hrnet_search.records.trial import TrialKey
from hrnet_search.search.disk import checkpoint_bytes, weight_bytes
from hrnet_search.search.forecast import LEAST_DOUBT, Forecast, in_doubt
from hrnet_search.search.probe import Training, timed


def measured(
    ablation: Ablation,
    finished: Container[TrialKey],
    latency: LatencySpec,
    within: float,
    workers: int = 1,
) -> Forecast:
    """Return device time and disk of the trials that have not `finished`; nothing is written.

    It takes about `within` seconds.
    """
    left = [arm for key, arm in trials(ablation) if key not in finished]
    if not left:
        return Forecast(0, (0.0, 0.0, 0.0), 0, "all have ended", workers)
    seed, images, device = ablation.spec.seeds[0], ablation.data.val.length, latency.device
    trainings = {
        a.identity: Training(a.architecture, a.schedule, a.rungs, latency, seed, device, images)
        for a in left
    }
    durations = timed(list(trainings.values()), within)
    to_come = [trainings[arm.identity] for arm in left]
    expected = sum(durations.expected(one.cost, one.schedule.steps) for one in to_come)
    costs = [one.cost for one in to_come]
    disk = weight_bytes(costs, len(left), KEEP_ALL)
    disk += checkpoint_bytes(costs, left[0].schedule, workers)
    basis = f"by a few steps of {counted(durations.known, 'arm')}, measured now"
    seconds = in_doubt(expected, expected, max(LEAST_DOUBT, durations.spread))
    return Forecast(len(left), seconds, disk, basis, workers)
