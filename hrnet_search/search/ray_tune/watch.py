"""Watches over workers: which of them hang, and what of its trial's death is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from hrnet_search.evaluate.machine.process_groups import end_group
from hrnet_search.records.search_options import HANG_S
from hrnet_search.records.trial import TrialProgress, TrialTask
from hrnet_search.search.deaths import Death, hung, out_of_memory
from hrnet_search.search.hangs import Silence, Steps
from hrnet_search.search.ray_tune.cluster import Cluster
from hrnet_search.search.ray_tune.worker import Place
from hrnet_search.store.host import this_host

ANSWER_S = 60.0
"""Given to a node to end a process, or to say what its kernel has counted."""


class Watch:
    """Watches the workers of one study, from what they are heard to say.

    A worker is watched from its first report on. One that hangs is ended, and Ray then says that
    it died.
    """

    def __init__(self, cluster: Cluster, hang_s: float = HANG_S) -> None:
        self._cluster, self._steps = cluster, Steps(hang_s)
        self._silences: dict[str, Silence] = {}
        self._places: dict[str, Place] = {}
        self._hung: dict[str, Death] = {}

    def heard(
        self, trial_id: str, task: TrialTask, place: Place, progress: TrialProgress | None
    ) -> None:
        """Take a sign of life of a trial, perhaps with where it is."""
        if trial_id not in self._silences:
            self._silences[trial_id] = Silence(task, self._steps)
        self._places[trial_id] = place
        self._silences[trial_id].heard(progress)

    def look(self) -> None:
        """End workers that hang; raise ClusterLostError if Ray itself has ended."""
        self._cluster.check()
        for trial_id, silence in self._silences.items():
            if silence.look() and trial_id not in self._hung:
                self._hung[trial_id] = hung(silence.seconds, silence.limit_s, silence.where)
                place = self._places[trial_id]
                self._ask(place, partial(end_group, place.pid, place.start))

    def death(self, trial_id: str, said: str) -> Death:
        """Return why a trial's worker died, where Ray says `said`."""
        if trial_id in self._hung:
            return self._hung[trial_id]
        place = self._places.get(trial_id)
        if place and (now := self._ask(place, place.kills.now)) and now.since(place.kills):
            return out_of_memory()
        return Death(said)

    def forget(self, trial_id: str) -> None:
        """Take a trial for ended."""
        for known in (self._silences, self._places, self._hung):
            known.pop(trial_id, None)

    def _ask(self, place: Place, call: Callable[[], Any]) -> Any:
        """Call something on a worker's machine; None if that is lost, which Ray will say itself.

        Elsewhere a process has to start for it, meanwhile Tune's loop waits: not where it can be
        done from here.
        """
        if this_host().numbers_as(place.host):
            return call()
        with suppress(Exception):  # of many kinds
            return self._cluster.on_node(place.node, call, timeout_s=ANSWER_S)
        return None


def reason_of(error: str) -> str:
    """Return one line of what Ray says of a worker's death: the exit, or the last line."""
    if found := re.search(r"Worker exit detail: (.*?)(?: Some common causes|$)", error, re.M):
        return f"its worker died: {found[1].strip()}"
    if "died" in error and "node" in error.lower():
        return "its worker died: the node was lost"
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return f"its worker failed: {lines[-1] if lines else 'no reason given'}"[:300]
