"""MODEL.PRETRAINED of a config: which file it names."""

from __future__ import annotations

from pathlib import Path

from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.paths import absolute, is_file

PARENTS = 2
"""How far above its yaml a library's root is: `experiments/cityscapes/NAME.yaml`."""


def pretrained_name(config: Config) -> str:
    """Return MODEL.PRETRAINED as the config spells it, empty if it names no file."""
    named = config.sections["MODEL"].get("PRETRAINED", "")
    return named if isinstance(named, str) else ""


def pretrained_places(config: Config) -> list[Path]:
    """Return where the file that MODEL.PRETRAINED names may lie, in order.

    A relative path is looked for from the working directory, as the official code does, then
    beside the yaml and above it, where the library's own configs have the library's root. All
    are absolute: workers of a study run in folders of their own.
    """
    named, folder = pretrained_name(config), Path(config.path).parent
    above = folder.resolve().parents[:PARENTS]
    return list(dict.fromkeys(absolute(named, root) for root in (Path(), folder, *above)))


def pretrained_file(config: Config) -> Path | None:
    """Return the file that MODEL.PRETRAINED names, None if it is at none of its places."""
    return next((path for path in pretrained_places(config) if is_file(path)), None)
