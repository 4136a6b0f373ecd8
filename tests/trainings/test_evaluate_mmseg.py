"""The figures of `evaluate` are those of mmsegmentation's evaluator, on the same predictions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hrnet_search
from hrnet_search.data.batches import validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.evaluate.training.metrics import confusions
from hrnet_search.net.weights import load_weights
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.store.figures import Figures, figures_of
from hrnet_search.store.trainings import read_record, weights_file

INSTALL = "pip install 'mmsegmentation==1.2.2' 'mmengine<1' 'mmcv-lite>=2.0.0,<2.2' ftfy regex"
MISSING = [n for n in ("mmseg", "mmengine", "mmcv", "ftfy") if not importlib.util.find_spec(n)]

pytestmark = [
    pytest.mark.bench,
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: {INSTALL}"),
    pytest.mark.filterwarnings("ignore"),  # mmsegmentation warns of much
]


def theirs(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, Any]:
    """Return what IoUMetric makes of predictions and labels [N, H, W], image by image."""
    from mmseg_client import import_mmseg

    import_mmseg()
    from mmseg.evaluation.metrics import IoUMetric

    areas = [
        IoUMetric.intersect_and_union(one, other, classes, IGNORED)
        for one, other in zip(predicted, labels, strict=True)
    ]
    sums = [torch.stack(area).sum(dim=0).double() for area in zip(*areas, strict=True)]
    found: dict[str, Any] = IoUMetric.total_area_to_metrics(
        *sums, metrics=["mIoU", "mDice", "mFscore"], nan_to_num=None, beta=1
    )
    return found


def assert_same(ours: Figures, found: dict[str, Any]) -> None:
    """Hold figures against theirs, which are nan for classes that do not occur."""
    there = ours.present
    assert (np.isfinite(found["IoU"]) == there).all()
    for name, own in (("IoU", ours.iou), ("Fscore", ours.f1), ("Dice", ours.f1)):
        known = there & np.isfinite(found[name])  # theirs has no F-score where nothing is right
        assert own[known] == pytest.approx(found[name][known], abs=1e-6)
        assert (own[there & ~known] == 0).all()
    shown = np.isfinite(found["Acc"])
    assert ours.accuracy[shown] == pytest.approx(found["Acc"][shown], abs=1e-6)
    assert ours.miou_present == pytest.approx(np.nanmean(found["IoU"]), abs=1e-6)
    assert ours.pixel_accuracy == pytest.approx(float(found["aAcc"]), abs=1e-6)


def test_a_training_is_judged_as_mmsegmentation_judges_its_predictions(trained: Path) -> None:
    data = read_record(trained).schedule.schedule.data
    net = hrnet_search.HRNet(trained / "config.yaml", classes=3)
    load_weights(net, weights_file(trained, "last"))
    net.eval()
    ((images, labels, _),) = validation_batches(open_dataset(data, "val"), data, 5, "cpu")
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(net(images), (64, 64), mode="bilinear")
    predicted = logits.argmax(dim=1)
    judged = hrnet_search.evaluate(trained, which="last", batch=5)
    assert (confusions(predicted, labels, 3).numpy() == judged.evaluation.confusions).all()
    assert_same(judged.figures, theirs(predicted, labels, 3))


def test_any_decisions_have_the_same_figures() -> None:
    """With pixels that count nowhere, a class that nobody shows, and one that is never right."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 6, (4, 40, 50), generator=generator)
    sure = torch.rand(labels.shape, generator=generator) < 0.7
    predicted = torch.where(sure, labels, torch.randint(0, 6, labels.shape, generator=generator))
    predicted[predicted == 5] = 0
    labels[0, :20] = IGNORED
    ours = figures_of(confusions(predicted, labels, 7).numpy())
    assert ours.present.tolist() == [True] * 6 + [False]
    assert_same(ours, theirs(predicted, labels, 7))
