"""What every runtime does: say what is there, take a network, and time it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from hrnet_search.evaluate.latency.setting import Setting
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.records.latency import LatencySpec


@dataclass(frozen=True, slots=True)
class Facts:
    """What a runtime makes of a spec: the fields of the condition that are its own to say."""

    mode: str
    precision: str
    version: str = ""
    provider: str = ""
    device: str = ""
    """Where that is not the one of this machine."""


class Prepared(Protocol):
    """A network, ready to run in its runtime."""

    def peak_memory(self) -> int | None:
        """Return the bytes that one inference holds at most, None where nobody tells."""

    def timer(self) -> Timer:
        """Return what times it; it has run once."""


class Session(Protocol):
    """A runtime under a setting, for as long as a measurement takes."""

    def prepare(self, network: nn.Module) -> Prepared:
        """Return a network as it is run here; the network stays as it is."""


class Runtime(Protocol):
    """What runs networks."""

    a_process_each: bool
    """Whether each sample is a process of its own, to which other networks leave no caches."""

    def facts(self, spec: LatencySpec, device: torch.device) -> Facts:
        """Return the condition's fields that are the runtime's; raise InputError.

        Where it is not installed, or cannot do what is asked on this device.
        """

    def session(self, spec: LatencySpec, setting: Setting) -> AbstractContextManager[Session]:
        """Open it under the setting that a spec was resolved to; in the end all is given back."""
