"""Architecture search and ablation for HRNet segmentation networks.

The words used here: an *architecture* is one network, fully specified; a *space* says what may
vary around a base architecture; a *variant* is an architecture drawn from it; a *trial* trains
one variant on one *schedule* with one seed; the *front* are the trials that no other beats in
every *objective*; a *study* is the folder that holds everything about one search.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrnet_search.arch.architecture import Architecture as Architecture
    from hrnet_search.arch.cost import cost as cost
    from hrnet_search.net.hrnet import HighResolutionNet as HighResolutionNet
    from hrnet_search.net.hrnet import HRNet as HRNet
    from hrnet_search.net.hrnet import build as build
    from hrnet_search.space.generate import generate as generate
    from hrnet_search.space.load import load_space as load_space
    from hrnet_search.space.space import costs as costs
    from hrnet_search.store.study import open_study as open_study

__version__ = "0.1.0"

# Loaded when first asked for: importing the package costs neither torch nor pandas.
_HOMES = {
    "Architecture": "hrnet_search.arch.architecture",
    "HRNet": "hrnet_search.net.hrnet",
    "HighResolutionNet": "hrnet_search.net.hrnet",
    "build": "hrnet_search.net.hrnet",
    "cost": "hrnet_search.arch.cost",
    "costs": "hrnet_search.space.space",
    "generate": "hrnet_search.space.generate",
    "load_space": "hrnet_search.space.load",
    "open_study": "hrnet_search.store.study",
}

__all__ = [
    "Architecture",
    "HRNet",
    "HighResolutionNet",
    "build",
    "cost",
    "costs",
    "generate",
    "load_space",
    "open_study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
