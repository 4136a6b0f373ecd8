"""What a step of the proof has found so far: one JSON file, whole after every row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hrnet_search.errors import shown
from hrnet_search.files import write_whole

DONE, PARTIAL, FAILED, LEFT_OUT = "done", "partial", "failed", "left out"
RUNNING = "running"
"""State of a row whose measurement has begun; a process that dies leaves it so."""

SAME = ("device", "torch")
"""What has to be the same for a step to go on with what is there."""

BROKEN = "CUDA error"
"""What torch says of a device that this process cannot use any more."""

Row = dict[str, Any]


class TimeIsOver(Exception):  # noqa: N818  nothing went wrong
    """A step has to stop here, and goes on from here another time."""


class LeftOut(Exception):  # noqa: N818  nothing went wrong
    """A step cannot be run here, for want of what it says."""


class OtherMachineError(Exception):
    """The results that are there are of another device, or of another torch."""


@dataclass(slots=True)
class Results:
    """Rows of a step by key, and in `found` what follows from them, in lines for people."""

    path: Path
    step: str
    machine: dict[str, str]
    state: str = PARTIAL
    note: str = ""
    seconds: float = 0.0
    found: list[str] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, step: str, machine: dict[str, str]) -> Results:
        """Return what a folder holds of a step; raise OtherMachineError if it is of another."""
        path = folder / f"{step}.json"
        if not path.exists():
            return cls(path, step, machine)
        content = json.loads(path.read_text(encoding="utf-8"))
        there, here = ({n: m.get(n) for n in SAME} for m in (content["machine"], machine))
        if there != here:
            raise OtherMachineError(f"{path}: of {there}, this is {here}; choose another --out")
        rows = {row["key"]: row for row in content.pop("rows")}
        return cls(path, rows=rows, **content | {"machine": machine})

    def save(self) -> None:
        content = asdict(self) | {"rows": list(self.rows.values())}
        del content["path"]
        write_whole(self.path, json.dumps(content, indent=1).encode())

    def has(self, key: str) -> bool:
        return key in self.rows

    def begin(self, key: str) -> Row:
        """Return a new row that is running."""
        self.rows[key] = {"key": key, "state": RUNNING}
        self.save()
        return self.rows[key]

    @contextmanager
    def row(self, key: str) -> Iterator[Row]:
        """Yield a row to fill; an error becomes its `error`, unless it broke the device.

        A row whose time is over is begun again another time.
        """
        row = self.begin(key)
        try:
            yield row
        except TimeIsOver:
            self.drop_running()
            raise
        except Exception as error:
            if BROKEN in str(error):
                raise
            row["error"] = f"{type(error).__name__}: {shown(str(error), 300)}"
        row["state"] = DONE if "error" not in row else FAILED
        self.save()
        print(
            f"{self.step}: {key}: {row.get('error') or row.get('says', row['state'])}", flush=True
        )

    def drop_running(self) -> None:
        """Forget a row that was stopped: it is begun again."""
        self.rows = {k: r for k, r in self.rows.items() if r["state"] != RUNNING}
        self.save()

    def bury_running(self, why: str) -> bool:
        """Keep a row whose process died as failed; return whether there was one."""
        dead = [row for row in self.rows.values() if row["state"] == RUNNING]
        for row in dead:
            row |= {"state": FAILED, "error": why}
        self.save()
        return bool(dead)

    @property
    def failures(self) -> list[Row]:
        return [row for row in self.rows.values() if row["state"] == FAILED]
