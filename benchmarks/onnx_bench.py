"""Time an ONNX file in ONNX Runtime and print milliseconds: an example for `latency.command`.

A program of its own, which needs onnxruntime and numpy alone, so that it can be copied to the
device that is to be searched for:

    python onnx_bench.py FILE.onnx [--calls 20] [--threads 1] [--provider CPUExecutionProvider]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import onnxruntime

WARM_UP = 3


def timings(path: str, calls: int, threads: int, provider: str) -> list[float]:
    """Return the milliseconds of as many inferences, after a few that are not counted."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=[provider])
    (images,) = session.get_inputs()
    values = np.random.default_rng(0).normal(size=images.shape).astype(np.float32)
    found = []
    for _ in range(WARM_UP + calls):
        start = time.perf_counter()
        session.run(None, {images.name: values})
        found.append(1000 * (time.perf_counter() - start))
    return found[WARM_UP:]


def main() -> None:
    """Print what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path")
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--provider", default="CPUExecutionProvider")
    given = parser.parse_args()
    print(json.dumps({"ms": timings(given.path, given.calls, given.threads, given.provider)}))


if __name__ == "__main__":
    main()
