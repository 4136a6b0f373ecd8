"""Checkpoints of a running trial: the last one whole, whenever the process is killed."""

from __future__ import annotations

import io
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hrnet_search.errors import StorageLostError
from hrnet_search.files import make_folder, write_whole

EVERY_S = 120.0
DAMAGED = "is damaged"
SPENT = "spent_s"


class UnusableCheckpointError(Exception):
    """A checkpoint that nothing can go on from: damaged, another version's, or another network's.

    Its text follows the checkpoint's name.
    """


class Checkpoints:
    """The one checkpoint of a name in a folder, which is made when the first is saved.

    `every_s` seconds after the last one a new one is due. Content is a dict of tensors, numbers,
    strings, lists and dicts.
    """

    def __init__(
        self,
        folder: Path,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        name: str = "last.pt",
    ) -> None:
        self._folder, self._every_s, self._clock = folder, every_s, clock
        self._name = name
        self._saved = self._made = clock()
        self.carried_s = 0.0
        """Seconds that were spent before by processes that made the checkpoint that was loaded."""

    def due(self) -> bool:
        return self._clock() - self._saved >= self._every_s

    def save(self, content: dict[str, Any]) -> None:
        """Replace the checkpoint. Raise StorageLostError where it cannot be written."""
        buffer = io.BytesIO()
        spent = self.carried_s + self._clock() - self._made
        torch.save({**content, SPENT: spent}, buffer)
        payload = buffer.getvalue()
        make_folder(self._folder.parent)
        make_folder(self._folder)
        # torch reads past flipped bits in tensors, so the file ends with a sum of its own.
        write_whole(self.path, payload + _checksum(payload))
        self._saved = self._clock()

    def load(self) -> dict[str, Any] | None:
        """Return the content on the CPU; None if there is no checkpoint.

        Raise UnusableCheckpointError for a damaged one, StorageLostError if it cannot be read:
        who began anew then would write over it.
        """
        if (payload := self._payload()) is None:
            return None
        try:
            content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except Exception as error:  # a reader raises anything
            raise UnusableCheckpointError(DAMAGED) from error
        if not isinstance(content, dict):
            raise UnusableCheckpointError(DAMAGED)
        self.carried_s = float(content.pop(SPENT, 0.0))
        return content

    def whole(self) -> bool:
        """Return whether there is a checkpoint. Raise as `load`."""
        return self._payload() is not None

    def _payload(self) -> bytes | None:
        try:
            stored = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageLostError(f"{self.path}: cannot be read: {error.strerror}") from error
        payload, checksum = stored[:-4], stored[-4:]
        if _checksum(payload) != checksum:
            raise UnusableCheckpointError(DAMAGED)
        return payload

    def remove(self) -> None:
        """Remove it: who begins anew takes nothing over, no time either."""
        self.carried_s = 0.0
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def path(self) -> Path:
        """Where the checkpoint lies, if there is one."""
        return self._folder / self._name


def _checksum(payload: bytes) -> bytes:
    return zlib.crc32(payload).to_bytes(4, "big")
