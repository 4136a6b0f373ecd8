"""What a trial leaves in its study: weights, confusion matrices, previews, the log of an error."""

from __future__ import annotations

import contextlib
import io
import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hrnet_search.errors import StorageLostError, StudyError
from hrnet_search.evaluate.training.previews import Previews
from hrnet_search.evaluate.training.steps import Judgement
from hrnet_search.evaluate.training.train import Training
from hrnet_search.files import make_folder, open_log, write_whole
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.net.structure import ALIGNED
from hrnet_search.net.weights import save_weights
from hrnet_search.records.data_spec import facts_of
from hrnet_search.records.trial import TrialTask
from hrnet_search.store.evaluations import IN_INT8, evaluation_path


def keep(
    task: TrialTask, weights: nn.Module, training: Training, in_int8: Sequence[Tensor] = ()
) -> None:
    """Write the last confusion matrices by image, and the weights if they are those judged.

    `in_int8` are the matrices of the network in int8, if it was judged in it. Nothing is kept of a
    network that was not trained: there are thousands, and its slices are kept. Raise
    StorageLostError where they cannot be written.
    """
    last = training.last
    if not task.folder or last is None or not task.schedule.steps:
        return
    for name in ("weights", "evaluation"):
        make_folder(Path(task.folder, name))
    paused = task.beside and training.stopped  # its checkpoint has them, to go on from
    if last.rung.step == training.step and not paused:
        metadata = {"key": str(task.key), "step": str(training.step), "miou": repr(last.rung.miou)}
        if isinstance(weights, SharedNetwork):
            metadata |= weights.metadata()
        else:
            metadata |= {ALIGNED: json.dumps(task.architecture.align_corners)}
            metadata |= facts_of(task.schedule.data)
        save_weights(weights, Path(task.folder, "weights", f"{task.key}.safetensors"), metadata)
    beside = {IN_INT8: torch.stack(list(in_int8)).numpy()} if in_int8 else {}
    write_whole(evaluation_path(task.folder, task.key), evaluation_bytes(last, beside))


def evaluation_bytes(judgement: Judgement, beside: Mapping[str, Any] | None = None) -> bytes:
    """Return the confusion matrices by image of a judgement, and its previews, as a file."""
    arrays = {"step": np.int64(judgement.rung.step), **(beside or {})}
    return decision_bytes(judgement.confusions, judgement.previews, arrays)


def decision_bytes(
    confusions: NDArray[np.int64], previews: Previews, beside: dict[str, Any]
) -> bytes:
    """Return confusion matrices by image [n, K, K], previews and the rest as a file."""
    small = confusions.astype(np.min_scalar_type(int(confusions.max(initial=0))))
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"confusions": small, **beside, **previews.arrays()}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def log_error(task: TrialTask) -> None:
    """Append the traceback of the error being handled to the trial's log."""
    if not task.folder:
        return
    # A log is not worth a study: whatever else is written to a full disk says that it is full.
    path = Path(task.folder, "logs", f"{task.key}.log")
    with contextlib.suppress(OSError, StorageLostError, StudyError), open_log(path) as file:
        traceback.print_exc(file=file)
