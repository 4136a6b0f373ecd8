"""What an ablation will take, by a few steps of a few arms, taken now."""

from __future__ import annotations

from hrnet_search.ablation.arms import Ablation
from hrnet_search.errors import counted
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.search_options import KEEP_ALL
from hrnet_search.search.disk import checkpoint_bytes, weight_bytes
from hrnet_search.search.forecast import LEAST_DOUBT, Forecast
from hrnet_search.search.probe import Training, timed


def measured(ablation: Ablation, latency: LatencySpec, within: float, workers: int = 1) -> Forecast:
    """Return device time and disk of a whole ablation; nothing is written.

    It takes about `within` seconds.
    """
    seeds, images, device = ablation.spec.seeds, ablation.data.val.images, latency.device
    trainings = [
        Training(arm.architecture, arm.schedule, arm.rungs, latency, seeds[0], device, images)
        for arm in ablation.distinct
    ]
    durations = timed(trainings, within)
    expected = len(seeds) * sum(durations.expected(t.cost, t.schedule.steps) for t in trainings)
    doubt = max(LEAST_DOUBT, durations.spread)
    costs = [one.cost for one in trainings]
    disk = weight_bytes(costs, ablation.trainings, KEEP_ALL)
    disk += checkpoint_bytes(costs, trainings[0].schedule, workers)
    basis = f"by a few steps of {counted(durations.known, 'arm')}, measured now"
    seconds = expected * max(0.1, 1 - doubt), expected, expected * (1 + doubt)
    return Forecast(ablation.trainings, seconds, disk, basis, workers)
