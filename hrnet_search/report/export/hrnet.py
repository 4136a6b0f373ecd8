"""The front as configs of the HRNet library."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import Config, config_text, official_problems, read_config
from hrnet_search.report.export.result import ExportResult
from hrnet_search.report.files import write_file
from hrnet_search.store.study import Study

OWN_NAME = re.compile(r"[a-z_]+_w[0-9]+_hr-[0-9a-f]{12}_miou[0-9]+\.[0-9]\.yaml")


def export_hrnet(study: Study, folder: str | Path, as_is: bool = False) -> ExportResult:
    """Write front members as configs that the official library trains as they were searched.

    What it would run as something else, or crash on, is refused, unless `as_is`. Raises
    StorageLostError where a file cannot be written.
    """
    base = base_config(study)
    written: list[Path] = []
    refused: list[str] = []
    for name, architecture in front_members(study).items():
        reasons = official_problems(architecture)
        if reasons and not as_is:
            refused.append(f"{name}: {'; '.join(reasons)}")
        else:
            written.append(_write(Path(folder) / name, architecture, base))
    return ExportResult(tuple(written), tuple(refused))


def write_front_configs(study: Study) -> list[Path]:
    """Write every front member to STUDY/configs, whatever the official library makes of it.

    Configs of an earlier front are removed, other files left alone. Raises StorageLostError.
    """
    folder = study.folder / "configs"
    base = base_config(study)
    members = front_members(study)
    written = [_write(folder / name, network, base) for name, network in members.items()]
    for path in folder.glob("*.yaml"):
        if OWN_NAME.fullmatch(path.name) and path.name not in members:
            path.unlink(missing_ok=True)
    return written


def front_members(study: Study) -> dict[str, Architecture]:
    """Return the architectures on the front by file name, cheapest first."""
    networks = {ask.key.architecture: ask.architecture for ask, _ in study.trials()}
    front = study.front()
    rows = zip(front["architecture"], front["miou"], strict=True)
    return {_name(networks[name], miou): networks[name] for name, miou in rows}


def base_config(study: Study) -> Config | None:
    """Return the config that the study started from, None if it noted none."""
    text = study.meta.get("base_yaml", "")
    if not text:
        return None
    with tempfile.TemporaryDirectory() as spare:
        path = Path(spare) / "base.yaml"
        path.write_text(text, encoding="utf-8")
        return read_config(path)


def _name(architecture: Architecture, miou: float) -> str:
    percent = f"{100 * miou:.1f}"
    return f"{architecture.head}_w{architecture.width}_{architecture.id}_miou{percent}.yaml"


def _write(path: Path, architecture: Architecture, base: Config | None) -> Path:
    return write_file(path, config_text(architecture, base).encode())
