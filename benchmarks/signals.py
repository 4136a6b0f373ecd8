"""Which share of judging a network goes into soft IoU and the other figures of probabilities.

    python benchmarks/signals.py [--size H W] [--classes K] [--rounds N]

In one run and in turns, on the same logits, in processor time of one thread: the parts of judging
(the network with upsampling to the labels, decisions, figures of probabilities), and the mean cross
entropy alone, which would be taken if nothing else of probabilities was. The share is what the
figures take beyond it, of all that judging takes; the median over rounds, with the range of the
middle half. W18-Small-v1 with random weights, on which no time depends.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.soft_metrics import SoftSums
from hrnet_search.net.hrnet import HighResolutionNet, build

CONFIG = (
    Path(__file__).parents[1] / "configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
)
BATCH = 8
IMAGES = 32
IGNORED = 0.05
"""Share of pixels that no class is named for."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Processor seconds for one pass over the images, by what was done."""

    network: float
    decisions: float
    cross_entropy: float
    soft: float

    @property
    def share(self) -> float:
        return (self.soft - self.cross_entropy) / (self.network + self.decisions + self.soft)


def judged(network: HighResolutionNet, images: Tensor, labels: Tensor, classes: int) -> Seconds:
    """Judge as `Trainer.judge` does, and time each part of it."""
    spent = dict.fromkeys(("network", "decisions", "cross_entropy", "soft"), 0.0)
    sums, aligned = SoftSums(classes), network.architecture.align_corners
    for part, truth in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        start = time.process_time()
        logits = metrics.upsampled(network(part).float().contiguous(), truth, aligned)
        start = _spend(spent, "network", start)
        metrics.confusions(logits.argmax(dim=1), truth, classes)
        start = _spend(spent, "decisions", start)
        metrics.cross_entropy(logits, truth, aligned).item()
        start = _spend(spent, "cross_entropy", start)
        sums.add(logits, truth)
        _spend(spent, "soft", start)
    start = time.process_time()
    sums.signals()
    _spend(spent, "soft", start)
    return Seconds(**spent)


def _spend(spent: dict[str, float], name: str, since: float) -> float:
    now = time.process_time()
    spent[name] += now - since
    return now


@torch.no_grad()
def measure(size: tuple[int, int], classes: int, rounds: int) -> list[Seconds]:
    """Return the seconds of each round after a first one that warms up."""
    torch.manual_seed(0)
    network = build(read_config(CONFIG).architecture, classes).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(IMAGES, 3, *size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (IMAGES, *size))
    labels[torch.rand(labels.shape) < IGNORED] = 255
    return [judged(network, images, labels, classes) for _ in range(rounds + 1)][1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("H", "W"))
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{date.today()}, torch {torch.__version__}, one thread, {arguments.classes} classes")
    for height, width in arguments.size or [(64, 64), (96, 128), (256, 512)]:
        found = measure((height, width), arguments.classes, arguments.rounds)
        low, middle, high = np.percentile([one.share for one in found], [25, 50, 75])
        parts = ", ".join(
            f"{name} {1e3 * np.median([getattr(one, name) for one in found]) / IMAGES:.2f}"
            for name in ("network", "decisions", "cross_entropy", "soft")
        )
        print(f"{height}x{width}: ms an image: {parts}; soft {middle:.1%} [{low:.1%}, {high:.1%}]")


if __name__ == "__main__":
    main()
