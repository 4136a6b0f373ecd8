"""Architecture search and ablation for HRNet segmentation networks.

The words used here: an *architecture* is one network, fully specified; a *space* says what may
vary around a base architecture; a *variant* is an architecture drawn from it; a *trial* trains
one variant on one *schedule* with one seed; the *front* are the trials that no other beats in
every *objective*; a *study* is the folder that holds everything about one search.

What `__all__` names is public and described in docs/api.md, with `hrnet_search.testing` for
samplers of one's own (docs/samplers.md); everything else is private and may change in any release.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrnet_search.arch.architecture import Architecture as Architecture
    from hrnet_search.arch.cost import cost as cost
    from hrnet_search.commands.ablate import ablate as ablate
    from hrnet_search.commands.evaluate import evaluate as evaluate
    from hrnet_search.commands.export import export as export
    from hrnet_search.commands.predict import predict as predict
    from hrnet_search.commands.profile import profile as profile
    from hrnet_search.commands.report import report as report
    from hrnet_search.commands.run import run as run
    from hrnet_search.commands.train import train as train
    from hrnet_search.errors import DataError as DataError
    from hrnet_search.errors import HrnetSearchError as HrnetSearchError
    from hrnet_search.errors import InputError as InputError
    from hrnet_search.errors import SpaceError as SpaceError
    from hrnet_search.errors import StorageLostError as StorageLostError
    from hrnet_search.errors import StudyError as StudyError
    from hrnet_search.errors import StudyInUseError as StudyInUseError
    from hrnet_search.net.hrnet import HighResolutionNet as HighResolutionNet
    from hrnet_search.net.hrnet import HRNet as HRNet
    from hrnet_search.net.hrnet import build as build
    from hrnet_search.space.generate import generate as generate
    from hrnet_search.space.load import load_space as load_space
    from hrnet_search.space.space import costs as costs
    from hrnet_search.store.study import Study as Study
    from hrnet_search.store.study import open_study as open_study

__version__ = "0.1.0"

# Loaded when first asked for: importing the package costs neither torch nor pandas.
_HOMES = {
    "Architecture": "hrnet_search.arch.architecture",
    "DataError": "hrnet_search.errors",
    "HRNet": "hrnet_search.net.hrnet",
    "HighResolutionNet": "hrnet_search.net.hrnet",
    "HrnetSearchError": "hrnet_search.errors",
    "InputError": "hrnet_search.errors",
    "SpaceError": "hrnet_search.errors",
    "StorageLostError": "hrnet_search.errors",
    "Study": "hrnet_search.store.study",
    "StudyError": "hrnet_search.errors",
    "StudyInUseError": "hrnet_search.errors",
    "ablate": "hrnet_search.commands.ablate",
    "build": "hrnet_search.net.hrnet",
    "cost": "hrnet_search.arch.cost",
    "costs": "hrnet_search.space.space",
    "evaluate": "hrnet_search.commands.evaluate",
    "export": "hrnet_search.commands.export",
    "generate": "hrnet_search.space.generate",
    "load_space": "hrnet_search.space.load",
    "open_study": "hrnet_search.store.study",
    "predict": "hrnet_search.commands.predict",
    "profile": "hrnet_search.commands.profile",
    "report": "hrnet_search.commands.report",
    "run": "hrnet_search.commands.run",
    "train": "hrnet_search.commands.train",
}

__all__ = [
    "Architecture",
    "DataError",
    "HRNet",
    "HighResolutionNet",
    "HrnetSearchError",
    "InputError",
    "SpaceError",
    "StorageLostError",
    "Study",
    "StudyError",
    "StudyInUseError",
    "ablate",
    "build",
    "cost",
    "costs",
    "evaluate",
    "export",
    "generate",
    "load_space",
    "open_study",
    "predict",
    "profile",
    "report",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


class _Package(ModuleType):
    """This package, in which a public function keeps its name from a room of the same name.

    Python sets a room (`hrnet_search.report`) here when anything imports it, where it would hide
    the function `report`; imports find rooms without that.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
