"""What int8 costs the networks that a study trained: mIoU in fp32 and in int8, with intervals.

    python -m benchmarks.int8_loss STUDY --networks 6 --runtime onnxruntime

Networks are taken from the study's completed trials, spread over MACs. Each is judged in int8 on
the study's validation images, calibrated on its training images; the loss is paired by image, and
its 95% interval a bootstrap of images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hrnet_search.evaluate.training.attempts import Attempts
from hrnet_search.evaluate.training.int8 import CALIBRATION_IMAGES, confusions_int8
from hrnet_search.net.hrnet import build
from hrnet_search.net.weights import load_weights
from hrnet_search.records.trial import COMPLETED, TrialResult, TrialTask
from hrnet_search.store.evaluations import (
    evaluation_path,
    image_counts,
    percentiles,
    read_confusions,
    resample,
)
from hrnet_search.store.kept import weights_path
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import Ask

Matrices = NDArray[np.integer]


def main() -> None:
    options = parse()
    study = open_study(options.study)
    noted = study.notes.schedule
    assert noted, "a study of this version"
    print("| trial | MACs | mIoU | in int8 | lost, points (95% interval) |")
    print("| --- | --- | --- | --- | --- |")
    for ask, result in chosen(study.folder, options.networks):
        task = TrialTask(ask.number, ask.key, ask.architecture, noted.schedule, (), device="cpu",
                         folder=str(study.folder))  # fmt: skip
        plain = read_confusions(evaluation_path(study.folder, ask.key))
        assert plain is not None, "it was chosen for it"
        print(row(ask, result, plain, in_int8(task, options.runtime)), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--runtime", default="onnxruntime")
    return parser.parse_args()


def chosen(folder: Path, count: int) -> Iterator[tuple[Ask, TrialResult]]:
    """Yield completed trials whose weights were kept, spread over MACs."""
    found = [
        (ask, result)
        for ask, result in open_study(folder).ended()
        if result.status == COMPLETED and result.cost and weights_path(folder, ask.key).is_file()
    ]
    found.sort(key=lambda pair: pair[1].cost.macs if pair[1].cost else 0)
    for place in dict.fromkeys(np.linspace(0, len(found) - 1, count).round().astype(int)):
        yield found[place]


def in_int8(task: TrialTask, runtime: str) -> Matrices:
    """Return the confusion matrices by image [n, K, K] of a trial's network in int8."""
    network = build(task.architecture, task.schedule.data.classes)
    load_weights(network, weights_path(Path(task.folder), task.key))
    attempts = Attempts()
    found = confusions_int8(
        network,
        runtime,
        task.schedule.data,
        attempts.calibration(task, CALIBRATION_IMAGES),
        attempts.data(task, torch.device("cpu")).validation(),
    )
    return np.stack([matrix.numpy() for matrix in found])


def row(ask: Ask, result: TrialResult, plain: Matrices, int8: Matrices) -> str:
    counts = [image_counts(matrices) for matrices in (plain, int8)]
    times = resample(len(plain))
    low, high = percentiles(counts[0].mious(times) - counts[1].mious(times))
    one, other = (float(found.iou().mean()) for found in counts)
    macs = f"{result.cost.macs / 1e9:.2f} G" if result.cost else "-"
    points = f"{100 * (one - other):.2f} ({100 * low:.2f} to {100 * high:.2f})"
    return f"| {ask.number} | {macs} | {one:.4f} | {other:.4f} | {points} |"


if __name__ == "__main__":
    main()
