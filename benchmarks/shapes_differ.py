"""Whether `shapes` tells architectures apart: mIoU of contrasting HRNets on short schedules.

    python benchmarks/shapes_differ.py --steps 60 240 --seeds 0 1

Each contrast changes one thing of the base (width 16, 4 branches, 2 blocks). Every seed is a
training of its own; the deviation over the seeds is the noise that a contrast has to exceed. The
first row is what naming every pixel by the most frequent class scores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.data.batches import Batches, ImageStore, validation_batches
from hrnet_search.data.dataset import Dataset, open_dataset
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer, train
from hrnet_search.net.hrnet import build
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import OPTIMISERS, Schedule


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    size = (options.size, options.size)
    spec = DataSpec("shapes", 8, size=size, train_images=options.images, val_images=128)
    schedule = Schedule(
        spec,
        steps=max(options.steps),
        batch=8,
        crop=size,
        scale=(0.75, 1.5),
        optimiser=options.optimiser,
        lr=options.lr,
        warmup=options.warmup,
    )
    stores = [ImageStore(open_dataset(spec, split), options.device) for split in ("train", "val")]
    print(f"{'network':<12} {'seconds':>8}", *(f"step {step:<10}" for step in options.steps))
    baseline = most_frequent(open_dataset(spec, "val"), spec.classes)
    print(f"{'most frequent':<21}", f"{100 * baseline:5.2f} %")
    for name, architecture in contrasts():
        if options.only and name not in options.only:
            continue
        start = time.perf_counter()
        seen = [
            trained(architecture, stores, schedule, options.steps, seed, options.device)
            for seed in options.seeds
        ]
        seconds = (time.perf_counter() - start) / len(seen)
        print(f"{name:<12} {seconds:8.1f}", *map(_cell, zip(*seen, strict=True)), flush=True)


def contrasts() -> Iterator[tuple[str, Architecture]]:
    yield "base", hrnet()
    for width in (8, 24):
        yield f"width {width}", hrnet(width=width)
    for branches in (1, 2):
        yield f"branches {branches}", hrnet(branches=branches)
    for blocks in (1, 4):
        yield f"blocks {blocks}", hrnet(blocks=blocks)


def hrnet(width: int = 16, branches: int = 4, blocks: int = 2) -> Architecture:
    """Return an HRNet whose last stage has `branches`, the stages before it at most as many."""

    def stage(wanted: int) -> Stage:
        count = min(wanted, branches)
        return Stage(1, "BASIC", (blocks,) * count, tuple(width * 2**b for b in range(count)))

    stem = Stage(1, "BOTTLENECK", (1,), (16,))
    return Architecture((stem, stage(2), stage(3), stage(4)))


def trained(
    architecture: Architecture,
    stores: list[ImageStore],
    schedule: Schedule,
    rungs: list[int],
    seed: int,
    device: str,
) -> list[float]:
    """Return the mIoU at each rung."""
    torch.manual_seed(seed)
    network = build(architecture, schedule.data.classes).to(device)
    batches = Batches(stores[0], schedule, seed, device)
    data = TrainingData(
        batch=batches.batch,
        validation=lambda: validation_batches(stores[1], schedule.data, 32, device),
        images=len(stores[1]),
    )
    done = train(Trainer(network, data, schedule), tuple(rungs), lambda _: True)
    return [rung.miou for rung in done.rungs]


def most_frequent(dataset: Dataset, classes: int) -> float:
    """Return the mIoU of naming every pixel by the class that most pixels have."""
    counts = np.zeros(256, dtype=np.int64)
    for i in range(len(dataset)):
        counts += np.bincount(dataset[i][1].ravel(), minlength=256)
    counted = counts[:classes]
    return float(counted.max() / counted.sum() / classes)


def _cell(values: tuple[float, ...]) -> str:
    noise = f"{100 * statistics.stdev(values):.2f}" if len(values) > 1 else "-"
    return f"{100 * statistics.mean(values):5.2f} ± {noise:<7}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, nargs="+", default=[60, 240], help="rungs, rising")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--size", type=int, default=64, help="side of the images, pixels")
    parser.add_argument("--images", type=int, default=512, help="training images")
    parser.add_argument("--optimiser", choices=OPTIMISERS, default="adamw")
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--warmup", type=int, default=10, help="steps over which the rate rises")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", metavar="NETWORK", help="names as in the table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
