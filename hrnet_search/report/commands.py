"""Commands for a person to copy: they do the same from every folder."""

from __future__ import annotations

import shlex

from hrnet_search.paths import absolute
from hrnet_search.store.study import Study


def commands(study: Study) -> tuple[str, ...]:
    """Return what begins a study again beside it, reports on it, and exports its front."""
    folder = str(absolute(study.folder))
    return (
        _shell(*_again(study), "-o", f"{folder}-again"),
        _shell("report", folder),
        _shell("export", folder, "--format", "hrnet,mmseg,onnx", "--weights"),
    )


def _again(study: Study) -> list[str]:
    """Return the command that began a study, with what its space file does not say."""
    notes = study.notes
    ablation = any(key.startswith("ablate.") for key in notes.identity or ())
    words = ["ablate" if ablation else "run", str(absolute(study.folder) / "space.yaml")]
    if notes.schedule and (root := notes.schedule.data.root):
        words += ["--data-root", str(absolute(root))]
    if not ablation and notes.trials is not None:
        words += ["--trials", str(notes.trials)]
    return words


def _shell(*words: str) -> str:
    return shlex.join(["hrnet-search", *words])
