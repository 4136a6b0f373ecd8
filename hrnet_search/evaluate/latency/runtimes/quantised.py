"""ONNX files in int8: ONNX Runtime's static quantiser, in its QDQ form and with its defaults."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search import heartbeat
from hrnet_search.errors import LatencyError, first_line
from hrnet_search.net.onnx_model import IMAGES

Images = NDArray[np.float32]
Decide = Callable[[Images], Images]
"""Images [N, 3, H, W] to logits [N, K, h, w]."""


def quantised(content: bytes, batches: Iterable[Images]) -> bytes:
    """Return an ONNX file whose convolutions compute in int8, calibrated on images [N, 3, H, W].

    Ranges are the least and largest values that occur. Raise LatencyError where it cannot be done.
    """
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with (
        tempfile.TemporaryDirectory(prefix="hrnet-search-onnx-") as name,
        _quietly(),
        heartbeat.waiting(),
    ):
        whole, folded, done = (Path(name, f"{stage}.onnx") for stage in ("whole", "folded", "done"))
        whole.write_bytes(content)
        try:
            quant_pre_process(whole, folded, skip_symbolic_shape=True)
            quantize_static(folded, done, _reader(batches))
        except Exception as error:  # its errors have no base of their own
            raise LatencyError(f"it cannot be quantised: {first_line(error)}") from error
        return done.read_bytes()


def _reader(batches: Iterable[Images]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, batches: Iterable[Images]) -> None:
            self._left = iter(batches)

        def get_next(self) -> dict[str, Images] | None:
            batch = next(self._left, None)
            return None if batch is None else {IMAGES: batch}

    return Reader(batches)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back what the quantiser logs of its progress."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
