"""A mark of the trial that runs in this process, by which the next one learns how it ended."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from hrnet_search.evaluate.machine.oom_kills import OomKills, oom_kills
from hrnet_search.files import write_whole
from hrnet_search.records.trial import TrialTask
from hrnet_search.search.deaths import Death, out_of_memory

NAME = "running.json"


class Mark:
    """The mark in a study's folder; a study that is kept nowhere has none.

    It holds the trial's key, the kernel's counts when it began, and how often the kernel ended
    it before for want of memory. A full disk, or a mark that is damaged, is as if there were none.
    """

    def __init__(self, task: TrialTask) -> None:
        self._path = Path(task.folder, NAME) if task.folder else None
        self._key = str(task.key)

    def death(self) -> Death | None:
        """Return what ended this trial's last process, if that was for want of memory too often.

        Sets the mark for the process that runs it now.
        """
        times, now = 0, oom_kills()
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads(self._path.read_text()) if self._path else {}
            if found.get("key") == self._key:
                times = int(found["times"]) + now.since(OomKills(**found["kills"]))
        death = out_of_memory()
        if times > death.returns:
            return Death(f"{death.reason} ({times} times)", 0, death.status)
        if self._path:
            content = {"key": self._key, "times": times, "kills": asdict(now)}
            with suppress(OSError):
                write_whole(self._path, json.dumps(content).encode())
        return None

    def remove(self) -> None:
        """The trial has ended, or was left by a process that could say so."""
        if self._path:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
