"""Figures of confusion matrices against scikit-learn, and against mmsegmentation where it is."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from sklearn import metrics

from hrnet_search.store.figures import OVER_CLASSES, figures_of, intervals_of

CLASSES = 5
MISSING = [n for n in ("mmseg", "mmengine", "mmcv", "ftfy") if not importlib.util.find_spec(n)]


def decisions(images: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth and prediction [n, 300] of classes 0 to 3 of 5, and confusions [n, 5, 5]."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, (images, 300))
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 4, truth.shape))
    cells = truth * CLASSES + predicted
    counts = [np.bincount(c, minlength=CLASSES**2).reshape(CLASSES, CLASSES) for c in cells]
    return truth, predicted, np.stack(counts)


def test_figures_are_those_of_scikit_learn() -> None:
    truth, predicted, confusions = decisions()
    t, p, found = truth.ravel(), predicted.ravel(), figures_of(confusions)
    given = {"labels": range(CLASSES), "average": None, "zero_division": 0}
    assert found.iou == pytest.approx(metrics.jaccard_score(t, p, **given))
    assert found.f1 == pytest.approx(metrics.f1_score(t, p, **given))
    assert found.accuracy == pytest.approx(metrics.recall_score(t, p, **given))
    assert found.pixel_accuracy == pytest.approx(metrics.accuracy_score(t, p))
    assert found.miou == pytest.approx(found.iou[:4].sum() / 5)  # the official rule
    assert found.miou_present == pytest.approx(found.iou[:4].mean())
    assert found.present.tolist() == [True] * 4 + [False]


def test_intervals_hold_the_figures_and_narrow_with_more_images() -> None:
    few, many = (decisions(count)[2] for count in (6, 60))
    for confusions in (few, many):
        found, intervals = figures_of(confusions), intervals_of(confusions)
        for name in OVER_CLASSES:
            assert intervals[name].low <= getattr(found, name) <= intervals[name].high
    wide, narrow = (intervals_of(c)["miou"] for c in (few, many))
    assert (narrow.high - narrow.low) < 0.6 * (wide.high - wide.low)


def test_of_one_image_nothing_varies_and_of_nothing_all_is_0() -> None:
    confusions = decisions(1)[2]
    found, intervals = figures_of(confusions), intervals_of(confusions)
    assert intervals["miou"].low == intervals["miou"].high == pytest.approx(found.miou)
    nothing = figures_of(np.zeros((1, 3, 3), dtype=np.int64))
    assert (nothing.miou, nothing.miou_present, nothing.pixel_accuracy) == (0, 0, 0)


@pytest.mark.bench
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
def test_figures_are_those_of_mmsegmentations_evaluator() -> None:
    """IoUMetric on the same predictions, equal to 1e-6; it leaves absent classes out."""
    import torch
    from mmseg_client import import_mmseg

    import_mmseg()
    from mmseg.evaluation.metrics import IoUMetric

    truth, predicted, confusions = decisions()
    metric = IoUMetric(iou_metrics=["mIoU", "mDice"])
    metric.dataset_meta = {"classes": [str(k) for k in range(CLASSES)]}
    samples = [
        {
            "pred_sem_seg": {"data": torch.from_numpy(p).view(1, 15, 20)},
            "gt_sem_seg": {"data": torch.from_numpy(t).view(1, 15, 20)},
        }
        for t, p in zip(truth, predicted, strict=True)
    ]
    metric.process({}, samples)
    theirs, ours = metric.compute_metrics(metric.results), figures_of(confusions)
    assert theirs["mIoU"] / 100 == pytest.approx(ours.miou_present, abs=1e-4)  # it rounds
    assert theirs["mDice"] / 100 == pytest.approx(ours.f1_present, abs=1e-4)
    areas = [np.sum([r[i].numpy() for r in metric.results], axis=0) for i in range(4)]
    assert (areas[0] / np.maximum(areas[1], 1)) == pytest.approx(ours.iou, abs=1e-6)
    assert theirs["aAcc"] / 100 == pytest.approx(ours.pixel_accuracy, abs=1e-4)
