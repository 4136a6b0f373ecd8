"""Error of the memory estimates against the tensors that the built networks hold.

    python benchmarks/memory.py --variants 40

Every network runs on the `meta` device, where nothing is allocated, and the bytes of the tensors
alive are counted after every operation. What libraries take for themselves is in neither figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.arch.memory import inference_memory, training_memory
from hrnet_search.evaluate.machine.live_tensors import live_peak
from hrnet_search.net.hrnet import build
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space

ROOT = Path(__file__).parents[1]
Size = tuple[int, int]


def main() -> None:
    options = parse()
    named = [(p.stem, read_config(p).architecture) for p in sorted((ROOT / "configs").iterdir())]
    print(f"{'network':<44} {'inference':>26} {'training, batch 2':>26}")
    for name, architecture in named:
        print(f"{name[:44]:<44}", *(_cell(*pair) for pair in both(architecture, options)))
    space = load_space(ROOT / "search_spaces" / options.space)
    variants = generate(space, options.variants, options.seed)
    errors = [[abs(e / h - 1) for e, h in both(a, options)] for a in variants]
    for name, column in zip(("inference", "training"), np.array(errors).T, strict=True):
        middle, most = np.median(column), column.max()
        print(f"{name} of {len(variants)} variants: median error {middle:.1%}, most {most:.1%}")


def held_in_inference(architecture: Architecture, size: Size, classes: int, batch: int) -> int:
    """Return the most bytes alive in a forward pass, weights and images included."""
    with torch.device("meta"):
        network = build(architecture, classes).eval().requires_grad_(False)
        images = torch.empty(batch, 3, *size)
    with torch.inference_mode():
        peak = live_peak(lambda: network(images))
    return peak + 4 * (_weights(network) + images.numel())


def held_in_training(architecture: Architecture, size: Size, classes: int, batch: int) -> int:
    """Return the most bytes alive in two training steps, weights and images included."""
    with torch.device("meta"):
        network = build(architecture, classes).train()
        images = torch.empty(batch, 3, *size)
        labels = torch.zeros(batch, *size, dtype=torch.long)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    def steps() -> None:
        for _ in range(2):
            found = network(images)
            outputs = found if isinstance(found, tuple) else (found,)
            loss = torch.stack([_loss(scores, labels) for scores in outputs]).sum()
            del found, outputs
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return live_peak(steps) + 4 * (_weights(network) + images.numel())


def _loss(scores: Tensor, labels: Tensor) -> Tensor:
    scores = F.interpolate(scores, labels.shape[-2:], mode="bilinear")
    return F.cross_entropy(scores, labels, reduction="sum")


def _weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024), metavar=("H", "W"))
    parser.add_argument("--crop", type=int, nargs=2, default=(128, 256), metavar=("H", "W"))
    parser.add_argument("--variants", type=int, default=40)
    parser.add_argument("--space", default="width_depth.yaml")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def both(architecture: Architecture, options: argparse.Namespace) -> list[tuple[int, int]]:
    """Return (estimate, held) in bytes for inference and for training."""
    size, crop = tuple(options.size), tuple(options.crop)
    return [
        (inference_memory(architecture, size, 19), held_in_inference(architecture, size, 19, 1)),
        (training_memory(architecture, crop, 19, 2), held_in_training(architecture, crop, 19, 2)),
    ]


def _cell(estimate: int, held: int) -> str:
    return f"{estimate / 1e6:9.1f} of {held / 1e6:.1f} MB {estimate / held - 1:+6.1%}".rjust(26)


if __name__ == "__main__":
    main()
