"""The front as configs of the HRNet library, with weights that its test script takes."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from hrnet_search.arch.hrnet_yaml import parse_config
from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.export.member import LIBRARY_CLASSES, Member, front_of
from hrnet_search.export.official import merge_problems
from hrnet_search.export.result import ExportOptions, ExportResult, refusal
from hrnet_search.files import write_file
from hrnet_search.parts import Parts
from hrnet_search.store.study import Study

OWN_NAME = re.compile(r"[a-z_]+_w[0-9]+_hr-[0-9a-f]{12}_miou[0-9]+\.[0-9]\.yaml")


def export_hrnet(member: Member, folder: Path, options: ExportOptions) -> ExportResult:
    """Write a config that the official library trains as it was searched, and weights if asked.

    What it would run as something else, or stop on, is refused, unless `as_is`. Raises
    StorageLostError where a file cannot be written.
    """
    name = f"{member.stem}.yaml"
    text = member.config.text
    reasons = [*target_problems(HRNET, member.architecture), *config_problems(text, member)]
    if reasons and not options.as_is:
        return refusal(name, reasons)
    result = ExportResult((write_file(folder / name, text.encode()),))
    if options.weights or options.slices:
        # A report writes configs without loading torch.
        from hrnet_search.export.trained import export_checkpoint, export_slice

        if options.weights:
            result += export_checkpoint(member, folder, options)
        if options.slices:
            result += export_slice(member, folder, options)
    return result


def config_problems(text: str, member: Member) -> list[str]:
    """Return why the library's loading would stop on a config, or read another network."""
    config = parse_config(text)
    problems = merge_problems(config.sections)
    data = config.sections.get("DATASET")
    classes = data.get("NUM_CLASSES", LIBRARY_CLASSES) if isinstance(data, dict) else None
    if classes != member.classes:
        problems.append(
            f"DATASET.NUM_CLASSES {classes}: its network tells {member.classes} classes apart"
        )
    if config.architecture.id != member.architecture.id:
        problems.append(f"it reads as {config.architecture.id}")
    return problems


def write_front_configs(study: Study, parts: Parts) -> tuple[Path, ...]:
    """Write every front member to STUDY/configs, whatever the official library makes of it.

    Configs of an earlier front are removed, other files left alone, and all of them if the front
    is not known. Raises StorageLostError.
    """
    folder = study.folder / "configs"
    front = parts.make(folder, lambda: front_of(study))
    if front is None:
        return ()
    names = {f"{member.stem}.yaml": member for member in front}
    made = [_write_config(member, folder / name, parts) for name, member in names.items()]
    parts.make(folder, lambda: _remove_others(folder, names))
    return tuple(path for path in made if path)


def _remove_others(folder: Path, names: Collection[str]) -> None:
    for path in folder.glob("*.yaml"):
        if OWN_NAME.fullmatch(path.name) and path.name not in names:
            path.unlink(missing_ok=True)


def _write_config(member: Member, path: Path, parts: Parts) -> Path | None:
    return parts.make(path, lambda: write_file(path, member.config.text.encode()))
