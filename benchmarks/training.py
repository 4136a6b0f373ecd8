"""Images per second of our training against a plain loop in the official trainer's manner.

    python benchmarks/training.py --data-root CAMVID --seconds 300

W18-Small-v1 on CamVid at 240x320, batch 8, all cores. The plain loop decodes and augments each
sample on the CPU with Pillow and numpy, in as many processes as there are cores, two batches
ahead, and trains in fp32 on contiguous tensors with torch's plain SGD. Ours is the loop of every
trial, in fp32 and, where the device multiplies bf16, in bf16. Each lives in a process of its own;
they take turns, in alternating order, so that a drift of the machine meets all of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch.profiler import record_function

from benchmarks.gpu_steps.trace import DATA
from hrnet_search.arch.architecture import Architecture
from hrnet_search.data.batches import Batches, ImageStore
from hrnet_search.data.dataset import open_dataset
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.evaluate.machine.devices import device_name, resolve_device
from hrnet_search.evaluate.machine.load import cores
from hrnet_search.evaluate.training.metrics import poly_lr
from hrnet_search.evaluate.training.probe import has_bf16
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.net.hrnet import build
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.records.schedule import Schedule
from hrnet_search.space.load import load_space_file

SPACE = Path(__file__).parents[1] / "search_spaces" / "camvid.yaml"
BATCH = 8
AHEAD = 2
"""Batches that the plain loop prepares while it trains."""

Sample = tuple[NDArray[np.float32], NDArray[np.int64]]


def settings(root: str, size: tuple[int, int], precision: str) -> tuple[Architecture, Schedule]:
    """Return W18-Small-v1 and a schedule without end on CamVid at a size."""
    file = load_space_file(SPACE, data_root=root)
    data = replace(file.schedule.data, size=size)
    schedule = Schedule(data, steps=10**6, batch=BATCH, crop=size, precision=precision)
    return file.space.base, schedule


@contextmanager
def waiting_for_data() -> Iterator[None]:
    """Mark a wait for a batch in the trace of torch's profiler, if one watches."""
    with record_function(DATA):
        yield


def load_sample(image: Path, mask: Path, one: Schedule, seed: int) -> Sample:
    """Decode a pair, resize it whole, pad, crop, mirror and normalise it, as the library does."""
    rng = np.random.default_rng(seed)
    height, width = one.data.size or one.crop
    scale = rng.uniform(*one.scale)
    size = round(width * scale), round(height * scale)
    pixels = np.asarray(Image.open(image).convert("RGB").resize(size, Image.Resampling.BILINEAR))
    labels = np.asarray(Image.open(mask).resize(size, Image.Resampling.NEAREST)).astype(np.int64)
    labels[labels == one.data.ignore] = IGNORED
    normal = (pixels.astype(np.float32) / 255.0 - one.data.mean) / one.data.std
    down, right = (max(0, c - s) for c, s in zip(one.crop, labels.shape, strict=True))
    normal = np.pad(normal, ((0, down), (0, right), (0, 0)))
    labels = np.pad(labels, ((0, down), (0, right)), constant_values=IGNORED)
    top, left = (rng.integers(0, s - c + 1) for c, s in zip(one.crop, labels.shape, strict=True))
    cut = (slice(top, top + one.crop[0]), slice(left, left + one.crop[1]))
    step = int(rng.choice([-1, 1]))
    whole = normal[cut].astype(np.float32).transpose(2, 0, 1)[:, :, ::step]
    return np.ascontiguousarray(whole), np.ascontiguousarray(labels[cut][:, ::step])


class PlainLoop:
    """The official trainer's loop without its logging."""

    def __init__(self, base: Architecture, one: Schedule, device: torch.device) -> None:
        self._one, self._device, self._step = one, device, 0
        images, masks = (
            Path(one.data.root, part) for part in (one.data.train.images, one.data.train.masks)
        )
        self._pairs = [(path, masks / f"{path.stem}.png") for path in sorted(images.iterdir())]
        self._pool = ProcessPoolExecutor(
            torch.get_num_threads(), multiprocessing.get_context("spawn")
        )
        self._network = build(base, one.data.classes).to(device).train()
        self._optimiser = torch.optim.SGD(
            self._network.parameters(), one.lr, one.momentum, weight_decay=one.weight_decay
        )

    def turn(self, seconds: float) -> tuple[int, float]:
        """Train for some seconds; return the images trained on and the seconds they took."""
        end = (start := time.perf_counter()) + seconds
        waiting = [self._ask() for _ in range(AHEAD)]
        images = 0
        while time.perf_counter() < end:
            waiting.append(self._ask())
            with waiting_for_data():
                samples = [sample.result() for sample in waiting.pop(0)]
            images += self._train(samples)
        taken = time.perf_counter() - start
        for sample in (s for batch in waiting for s in batch):
            sample.result()  # nothing may be at work in the others' turns
        return images, taken

    def _ask(self) -> list[Future[Sample]]:
        seeds = np.random.default_rng(self._step).integers(0, 2**31, self._one.batch)
        self._step += 1
        pairs = [self._pairs[seed % len(self._pairs)] for seed in seeds]
        return [
            self._pool.submit(load_sample, image, mask, self._one, int(seed))
            for (image, mask), seed in zip(pairs, seeds, strict=True)
        ]

    def _train(self, samples: list[Sample]) -> int:
        images, labels = (np.stack(part) for part in zip(*samples, strict=True))
        inputs = torch.from_numpy(images).to(self._device)
        truth = torch.from_numpy(labels).to(self._device)
        for group in self._optimiser.param_groups:
            group["lr"] = poly_lr(self._one.lr, self._step, self._one.steps)
        logits = F.interpolate(self._network(inputs), truth.shape[1:], mode="bilinear")
        loss = F.cross_entropy(logits, truth, ignore_index=IGNORED)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        loss.item()
        return len(images)


class OurLoop:
    """The loop of every trial, without its harness."""

    def __init__(self, base: Architecture, one: Schedule, device: torch.device) -> None:
        keep_freed_memory()
        store = ImageStore(open_dataset(one.data, "train"), device)
        batches = Batches(store, one, 0, device)

        def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            with waiting_for_data():
                return batches.batch(step)

        data = TrainingData(batch, lambda: (), images=1)
        self._trainer = Trainer(build(base, one.data.classes).to(device), data, one)

    def turn(self, seconds: float) -> tuple[int, float]:
        end, images = (start := time.perf_counter()) + seconds, 0
        while time.perf_counter() < end:
            self._trainer.advance()
            images += self._trainer.schedule.batch
        return images, time.perf_counter() - start


LOOPS: dict[str, tuple[type[PlainLoop] | type[OurLoop], str]] = {
    "plain fp32": (PlainLoop, "fp32"),
    "ours fp32": (OurLoop, "fp32"),
    "ours bf16": (OurLoop, "bf16"),
}


def serve(pipe: Connection, name: str, options: argparse.Namespace) -> None:
    """Be one of the loops: for every number of seconds that comes, one turn goes back."""
    torch.set_num_threads(options.threads)
    kind, precision = LOOPS[name]
    given = settings(options.data_root, tuple(options.size), precision)
    loop = kind(*given, resolve_device(options.device))
    while seconds := pipe.recv():
        pipe.send(loop.turn(seconds))


@dataclass(frozen=True, slots=True)
class Rates:
    """Images per second of each loop, a number a round."""

    by_loop: dict[str, list[float]]

    def lines(self) -> Iterator[str]:
        plain = np.array(self.by_loop["plain fp32"])
        yield f"{'loop':12} {'images/s':>9} {'least':>8} {'most':>8} {'ratio':>7}  95% interval"
        for name, rates in self.by_loop.items():
            low, ratio, high = ratio_of(np.array(rates), plain)
            spread = f"{statistics.median(rates):9.2f} {min(rates):8.2f} {max(rates):8.2f}"
            yield f"{name:12} {spread} {ratio:7.3f}  {low:.3f} to {high:.3f}"


def ratio_of(
    ours: NDArray[np.float64], plain: NDArray[np.float64], draws: int = 2000
) -> tuple[float, float, float]:
    """Return the median ratio over rounds between its bootstrap 95% interval."""
    ratios = ours / plain
    drawn = np.random.default_rng(0).choice(ratios, (draws, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(np.median(ratios)), float(high)


def compare(options: argparse.Namespace, names: list[str]) -> Rates:
    """Let the loops take turns until the time is over."""
    context = multiprocessing.get_context("spawn")
    pipes, children = {}, []
    for name in names:
        pipes[name], theirs = context.Pipe()
        children.append(context.Process(target=serve, args=(theirs, name, options)))
        children[-1].start()

    def turn(name: str, seconds: float) -> float:
        pipes[name].send(seconds)
        images, taken = pipes[name].recv()
        return float(images / taken)

    for name in names:  # the first steps choose kernels
        turn(name, options.turn)
    rates = Rates({name: [] for name in names})
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        names = names[::-1]
        for name in names:
            rates.by_loop[name].append(turn(name, options.turn))
    for pipe, child in zip(pipes.values(), children, strict=True):
        pipe.send(0)
        child.join()
    return rates


def main() -> None:
    options = parse()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line has it; for all loops
    device = resolve_device(options.device)
    names = [name for name, (_, p) in LOOPS.items() if p != "bf16" or has_bf16(device)]
    machine = f"{device_name(device)}, {options.threads} threads"
    print(f"{machine}, torch {torch.__version__}, {date.today()}", flush=True)
    height, width = options.size
    print(f"W18-Small-v1, {height}x{width}, batch {BATCH}, turns of {options.turn:g} s")
    for line in compare(options, names).lines():
        print(line)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-root", required=True, help="CamVid, laid out as search_spaces/camvid.yaml says")
    add("--seconds", type=float, default=300.0, help="of measuring, in all")
    add("--turn", type=float, default=8.0, help="seconds that a loop trains before the next does")
    add("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"))
    add("--device", default="auto")
    add("--threads", type=int, default=cores(), help="and processes that decode for the plain loop")
    return parser.parse_args()


if __name__ == "__main__":
    main()
