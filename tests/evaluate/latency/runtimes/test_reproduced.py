"""A plain loop on exported files, which knows nothing of the instrument, finds its latencies."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch

from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.latency.reference_network import reference_network
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.onnx_model import IMAGES, to_onnx
from hrnet_search.records.latency import LatencySpec
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space

pytestmark = [pytest.mark.bench, pytest.mark.xdist_group("onnx")]
ROOT = Path(__file__).parents[4]
SIZE = (64, 96)
SPEC = LatencySpec(size=SIZE, device="cpu", seconds=20.0, threads=1, runtime="onnxruntime")
BENCH = (sys.executable, str(ROOT / "benchmarks" / "onnx_bench.py"), "{onnx}")
ROUNDS = 200


def session(network: HighResolutionNet) -> Callable[[], float]:
    """Return what runs a network twice, and says the milliseconds of the second run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = to_onnx(network, SIZE, 1).SerializeToString()
    loaded = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    images = torch.randn(1, 3, *SIZE).numpy()

    def once() -> float:
        loaded.run(None, {IMAGES: images})  # what the other network left in the caches is gone
        start = time.perf_counter()
        loaded.run(None, {IMAGES: images})
        return 1000 * (time.perf_counter() - start)

    return once


def by_a_plain_loop(network: HighResolutionNet) -> float:
    """Return the ratio of median times, the network and the reference run by turns."""
    one, other = session(network), session(reference_network(5))
    times = [(one(), other()) for _ in range(ROUNDS)][ROUNDS // 10 :]
    return statistics.median(a for a, _ in times) / statistics.median(b for _, b in times)


@pytest.mark.parametrize("runtime", ["onnxruntime", "command"])
def test_a_plain_loop_finds_the_same_ratios(runtime: str) -> None:
    """Of three variants of a shipped space, within the interval and the 1% it closes to."""
    spec = replace(SPEC, runtime=runtime, command=BENCH if runtime == "command" else ())
    for architecture in generate(load_space(ROOT / "search_spaces" / "camvid.yaml"), 3):
        network = build(architecture, 5).eval()
        found = measure_latency(network, spec, classes=5)
        wide = max(0.02, 2 * (found.ratio_high - found.ratio_low) / found.ratio)
        assert by_a_plain_loop(network) == pytest.approx(found.ratio, rel=wide)
