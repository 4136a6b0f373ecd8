"""What TensorBoard itself reads of a run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

INSTALLED = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed"
)


def read(run: Path) -> Any:
    """Return TensorBoard's accumulator of the events of a run, with all of them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return found.Reload()


def hparams_of(run: Path) -> dict[str, Any]:
    """Return what the hparams table has of a run."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    metadata = read(run).summary_metadata["_hparams_/session_start_info"]
    data = HParamsPluginData.FromString(metadata.plugin_data.content)
    values = data.session_start_info.hparams.items()
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values}
