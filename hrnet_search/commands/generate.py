"""`generate`: distinct valid variants of a space, as configs of the HRNet library."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import add_space, output, positive, whole
from hrnet_search.commands.outcome import DONE, say, warn
from hrnet_search.commands.space_file import load
from hrnet_search.paths import expanded

if TYPE_CHECKING:
    from hrnet_search.space.load import SpaceFile


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `generate`."""
    add_space(sub)
    sub.add_argument("-n", type=positive, required=True, metavar="N", help="how many")
    sub.add_argument("--seed", type=whole, default=0, metavar="S", help="of the draw (0)")
    sub.add_argument(
        "-o", "--output", required=True, type=output, metavar="DIR", help="folder for the yamls"
    )


def command(options: argparse.Namespace) -> int:
    """Write N distinct valid HRNet yamls within the limits."""
    file = load(options.space, options.data_root, warn)
    written = write_variants(file, options.output, options.n, options.seed)
    say(f"{len(written)} configs in {Path(options.output)}")
    if len(written) < options.n:
        say(f"the space has no more than {len(written)} distinct variants within its limits")
    return DONE


def write_variants(file: SpaceFile, folder: str | Path, count: int, seed: int = 0) -> list[Path]:
    """Write up to `count` variants into a folder; return the files.

    Raise StorageLostError where they cannot be written.
    """
    from hrnet_search.files import write_whole, writing
    from hrnet_search.library.writer import ConfigWriter
    from hrnet_search.space.generate import generate_points
    from hrnet_search.space.training_choices import of_choices, schedules_of

    place = Path(expanded(str(folder)))
    schedules = schedules_of(file.schedule, file.schedule.steps, of_choices(file.space.choices))
    writer = ConfigWriter.planned(file.base, *schedules.search.values())
    found = generate_points(file.space, count, seed)
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    written = []
    for architecture, point in found:
        schedule = schedules.of(point)
        trained = f"_{schedule}" if file.space.trainings > 1 else ""
        path = place / f"{file.name}_{architecture.id}{trained}.yaml"
        write_whole(path, writer.write(architecture, schedule).text.encode())
        written.append(path)
    return written
