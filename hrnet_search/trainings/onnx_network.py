"""An ONNX file that decides on images, as onnxruntime runs it on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrnet_search.errors import Fault, InputError, WeightsError, shown

ROUNDED = 1e-3
"""By how much probabilities in half precision may miss a sum of 1."""


def is_onnx(path: Path) -> bool:
    """Return whether a file is called as ONNX files are."""
    return path.suffix.lower() == ".onnx"


class OnnxFile:
    """A network in an ONNX file of one input, images [N, 3, H, W], and logits as its output.

    `facts` are its metadata, `size` the (height, width) that it takes if it takes only one. Raise
    InputError where onnxruntime is not installed, WeightsError for a file that it cannot run.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            wrong = "onnxruntime is not installed"
            instead = "to install: pip install onnxruntime"
            fault = Fault("", str(path), wrong, file=str(path), instead=instead)
            raise InputError(fault) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises errors of its own for anything
            why = shown(" ".join(str(error).split()), 200)
            allowed = "an ONNX file"
            raise WeightsError(
                Fault("", str(path), f"cannot be run: {why}", allowed, str(path))
            ) from error
        self.facts = dict(self._session.get_modelmeta().custom_metadata_map)
        (self._input, *others), (output, *_) = (
            self._session.get_inputs(),
            self._session.get_outputs(),
        )
        shape = self._input.shape
        self.classes = output.shape[1] if len(output.shape) == 4 else 0
        there = type(self.classes) is int and self.classes > 1 and "float" in output.type
        if others or len(shape) != 4 or shape[1] != 3 or not there:
            gives = f"{shown(output.shape)}, {output.type}"
            wrong = f"takes {shown(shape)} and gives {gives}: no scores of classes"
            allowed = "images [N, 3, H, W] to logits [N, K, h, w], without an ArgMax"
            raise WeightsError(Fault("", str(path), wrong, allowed, str(path)))
        self._batch = _fixed(shape[0])
        height, width = _fixed(shape[2]), _fixed(shape[3])
        if (height is None) != (width is None):
            wrong = f"takes {shown(shape)}: one side of its images is fixed, the other is not"
            raise WeightsError(Fault("", str(path), wrong, "both or neither", str(path)))
        self.size = (height, width) if height and width else None

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits [N, K, h, w] of images float32 [N, 3, H, W]."""
        size = self._batch or len(images)
        return torch.cat([self._run(part) for part in torch.split(images, size)])

    def _run(self, images: Tensor) -> Tensor:
        count = len(images)
        if self._batch and count < self._batch:
            images = torch.cat([images, images[:1].expand(self._batch - count, -1, -1, -1)])
        given = {self._input.name: images.cpu().numpy()}  # of a training on a GPU it teaches too
        (found,) = self._session.run(None, given)[:1]
        return _logits(torch.from_numpy(found)[:count].float()).to(images.device)


def _logits(scores: Tensor) -> Tensor:
    """Return scores as logits: of probabilities, where a file ends in a softmax, their logarithms.

    Logits that are from 0 to 1 and sum to 1 at every pixel are none that a network gives.
    """
    off = (scores.sum(dim=1) - 1).abs().max()
    if scores.min() < 0 or not off <= ROUNDED:
        return scores
    return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()


def _fixed(length: Any) -> int | None:
    return length if type(length) is int else None
