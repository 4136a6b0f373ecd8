"""Samplers of other libraries, each as its users run it, behind our removal of duplicates.

    pip install botorch smac syne-tune

Each offers what it suggests to `Sampler`, which takes the first that is valid and new, and a
uniform draw for want of one. All are for one worker.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.ask_tell import AskTell
from benchmarks.peers.in_botorch import BoTorch
from benchmarks.peers.in_smac import Smac
from benchmarks.peers.in_syne_tune import SyneTune
from hrnet_search.search.problem import Problem
from hrnet_search.search.samplers.sampler import Propose

PEERS: dict[str, Callable[[Problem, int], Propose]] = {
    "botorch:qlognehvi": BoTorch,
    "smac:parego": lambda problem, seed: AskTell(problem, Smac(problem, seed)),
    "syne-tune:mo-rea": lambda problem, seed: AskTell(problem, SyneTune(problem, seed)),
}
"""By name, what proposes for a problem with a seed."""
