"""A small config, and a space file of drawn data, for trainings in full."""

from __future__ import annotations

from pathlib import Path

from made_up import TINY

from hrnet_search.arch.hrnet_yaml import config_text

LINES = (
    "name: tiny", "base: tiny.yaml", "vary: {width: [4, 8]}", "objectives: {miou: max, macs: min}",
    "data: {kind: shapes, size: [64, 64], train: 12, val: 5, classes: 3}",
    "schedule: {steps: 3, batch: 4, crop: [64, 64], optimiser: adamw}",
    "latency: {size: [32, 32], seconds: 0.05}", "search: {sampler: random, trials: 2}",
    "tracking: {mlflow: off}",
)  # fmt: skip


def write_files(folder: Path) -> tuple[Path, Path]:
    """Write a config of a tiny network, for Cityscapes as the library has it, and a space file."""
    config, space = folder / "tiny.yaml", folder / "space.yaml"
    config.write_text(config_text(TINY))
    space.write_text("\n".join(LINES) + "\n")
    return config, space


BRIEF = ("--batch", "4", "--crop", "64", "64", "--base-size", "0", "--plain", "--mlflow", "off")


def tiny_command(config: Path, space: Path, folder: Path, *more: str) -> list[str]:
    """Return the command line that trains it for two epochs of three steps."""
    return [
        "train", str(config), "--data", str(space), "-o", str(folder), "--epochs", "2", *BRIEF,
        *more,
    ]  # fmt: skip
