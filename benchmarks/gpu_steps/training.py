"""Images a second of our training step beside other loops, and what the GPU waits for.

Loops: the official one's shape (`benchmarks/training.py`: each sample decoded and augmented on
the CPU, contiguous tensors, torch's plain SGD), a plain step (one batch that lies on the device,
nothing else), and ours in each precision and compiled. fp32 is exact here, tf32 what torch does
by default. Each runs alone in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.fp32 import FP32, TF32, set_fp32
from benchmarks.gpu_steps.drawn import draw_camvid
from benchmarks.gpu_steps.results import Row, TimeIsOver
from benchmarks.gpu_steps.step import Given
from benchmarks.gpu_steps.trace import WINDOW, shares_of
from benchmarks.inversions import CONFIGS
from benchmarks.training import BATCH, OurLoop, PlainLoop, settings
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.evaluate.machine.devices import resolve_device
from hrnet_search.net.hrnet import build
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.records.schedule import Schedule

NETWORKS = ("w18_small_v2", "w48")
SIZE, DRY_SIZE = (512, 1024), (32, 64)
TURN_S, DRY_TURN_S = 4.0, 0.2
TURNS = 4
PROFILED_S = 2.0
LONGEST_S = 150.0
"""Of one loop, loading and compiling included."""

BF16 = "bf16"


class PlainStep:
    """The step that a plain loop takes, on one batch that lies on the device."""

    def __init__(self, base: Architecture, one: Schedule, device: torch.device) -> None:
        shape = (one.batch, *one.crop)
        generator = torch.Generator().manual_seed(0)
        self._images = torch.randn(shape[0], 3, *shape[1:], generator=generator).to(device)
        self._labels = torch.randint(one.data.classes, shape, generator=generator).to(device)
        self._network = build(base, one.data.classes).to(device).train()
        weights = self._network.parameters()
        self._optimiser = torch.optim.SGD(
            weights, one.lr, one.momentum, weight_decay=one.weight_decay
        )

    def turn(self, seconds: float) -> tuple[int, float]:
        """Train for some seconds; return the images trained on and the seconds they took."""
        end, images = (start := time.perf_counter()) + seconds, 0
        while time.perf_counter() < end:
            logits = F.interpolate(
                self._network(self._images), self._labels.shape[1:], mode="bilinear"
            )
            loss = F.cross_entropy(logits, self._labels, ignore_index=IGNORED)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            loss.item()
            images += len(self._images)
        return images, time.perf_counter() - start


AnyLoop = PlainLoop | OurLoop | PlainStep


@dataclass(frozen=True, slots=True)
class Loop:
    """A kind of loop and how it computes."""

    name: str
    kind: type[AnyLoop]
    precision: str
    compile: bool = False


LOOPS = (
    Loop("ours bf16", OurLoop, BF16),
    Loop("official fp32", PlainLoop, FP32),
    Loop("ours fp32", OurLoop, FP32),
    Loop("plain step fp32", PlainStep, FP32),
    Loop("ours tf32", OurLoop, TF32),
    Loop("official tf32", PlainLoop, TF32),
    Loop("plain step tf32", PlainStep, TF32),
    Loop("ours bf16 compiled", OurLoop, BF16, compile=True),
)
DRY_LOOPS = tuple(loop for loop in LOOPS if loop.precision == FP32)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process measures: picklable, and nothing of torch is made before it starts."""

    loop: Loop
    network: str
    size: tuple[int, int]
    root: str
    device: str
    turn_s: float
    trace: str


def run(given: Given) -> None:
    """Measure loop by loop, each in a process of its own."""
    size = DRY_SIZE if given.dry else SIZE
    root = given.data_root or str(draw_camvid(given.work("camvid"), size))
    for one in asked(given, root):
        key = f"{one.network}, {one.loop.name}"
        if given.results.has(key):
            continue
        left = given.left()
        with given.results.row(key) as row:
            row["network"] = one.network
            row |= _apart(one, left)
            row["says"] = f"{row['images_per_s']:.1f} images/s"


def asked(given: Given, root: str) -> Iterator[Asked]:
    """Yield what is measured, in its order."""
    trace = str(given.work("training") / "trace.json")
    if given.dry:
        for loop in DRY_LOOPS:
            yield Asked(loop, "w18_small_v1", DRY_SIZE, root, "cpu", DRY_TURN_S, trace)
        return
    for network in NETWORKS:
        for loop in LOOPS:
            yield Asked(loop, network, SIZE, root, given.device, TURN_S, trace)


def findings(rows: dict[str, Row]) -> Iterator[str]:
    """Yield a line a loop: images a second, beside the official loop's shape in fp32."""
    for key, row in rows.items():
        if "images_per_s" not in row:
            continue
        official = rows.get(f"{row['network']}, official fp32", {}).get("images_per_s")
        ratio = f", {row['images_per_s'] / official:.2f} x official fp32" if official else ""
        on_gpu = f", GPU at work {row['gpu']:.0%}, host waits {row['host_waits']:.0%}"
        yield (
            f"{key}: {row['images_per_s']:.1f} images/s{ratio}, data {row['data']:.0%}"
            f"{on_gpu if row['kernels'] else ''}"
        )


def _apart(one: Asked, left: float) -> dict[str, Any]:
    """Return what a process of its own measures; raise what it raised, as a RuntimeError.

    Raise TimeoutError if it took too long, TimeIsOver where there was no more time for it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, one))
    child.start()
    theirs.close()
    try:
        if not ours.poll(min(left, LONGEST_S)):
            raise TimeIsOver if left < LONGEST_S else TimeoutError(f"not within {LONGEST_S:.0f} s")
        found = ours.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"its process ended with exit code {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
    if isinstance(found, Exception):
        raise found
    answer: dict[str, Any] = found
    return answer


def _serve(pipe: Connection, one: Asked) -> None:
    try:
        pipe.send(measured(one))
    except Exception as error:
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def measured(one: Asked) -> dict[str, Any]:
    """Measure a loop: images a second over turns, then what it waits for, profiled."""
    device = resolve_device(one.device)
    set_fp32(one.loop.precision)
    loop = _loop(one, device)
    on_gpu = device.type == "cuda"
    loop.turn(one.turn_s)  # the first steps choose kernels, and compile
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    turns = [loop.turn(one.turn_s) for _ in range(TURNS)]
    rates = [images / seconds for images, seconds in turns]
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else None
    steps, found = _profiled(loop, min(PROFILED_S, one.turn_s), device, Path(one.trace))
    return {
        "images_per_s": statistics.median(rates),
        "least": min(rates),
        "most": max(rates),
        "peak_bytes": peak,
        **found,
        "kernels_a_step": round(found["kernels"] / steps, 1),
    }


def _loop(one: Asked, device: torch.device) -> AnyLoop:
    precision = BF16 if one.loop.precision == BF16 else FP32
    _, schedule = settings(one.root, one.size, precision)
    schedule = replace(schedule, compile=one.loop.compile)
    config = next(CONFIGS.glob(f"seg_hrnet_{one.network}_*.yaml"))
    return one.loop.kind(read_config(config).architecture, schedule, device)


def _profiled(
    loop: AnyLoop, seconds: float, device: torch.device, trace: Path
) -> tuple[int, dict[str, Any]]:
    """Return the steps of a profiled turn, and its shares."""
    kinds = [ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    watched = profile(activities=kinds)
    with watched, record_function(WINDOW):
        images, _ = loop.turn(seconds)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    watched.export_chrome_trace(str(trace))
    return max(1, images // BATCH), asdict(shares_of(trace))
