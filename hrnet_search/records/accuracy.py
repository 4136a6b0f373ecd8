"""The names of accuracies, and which of them a search may learn from."""

from __future__ import annotations

from hrnet_search.records.schedule import AUTO

MIOU, SOFT_IOU = "miou", "soft_iou"
MIOU_INT8 = "miou_int8"
SIGNAL, LEARN_FROM = "search.signal", "search.learn_from"

SIGNALS = (AUTO, SOFT_IOU, MIOU)
"""What a search may learn from; auto is soft IoU, of which a seed moves less."""
