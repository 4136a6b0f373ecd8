"""The house: which room may import which, and which libraries are guests where.

The table stands in docs/architecture.md for people and here for the machine. Imports hidden in
functions and behind TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hrnet_search"

# In order: a room imports only rooms before it.
ROOMS = (
    "redaction", "errors", "counts", "paths", "device_names", "heartbeat", "told", "content_hash",
    "arch", "class_iou", "records", "goals", "files", "pareto", "parts", "inventory",
    "latency_rule", "version_rule", "duel_rule", "learned_rule", "order_rule",
    "presets", "space", "store", "library", "net",
    "data", "evaluate", "search", "testing", "ablation", "export", "report", "progress",
    "events", "trainings", "commands", "cli", "__main__",
)  # fmt: skip
NEVER = {room: {"search", "evaluate", "ablation"} for room in ("export", "report")}

# Third-party guests by module, or by room with "*".
GUESTS = {
    "arch.batch": {"numpy"},
    "arch.cost": {"numpy"},
    "arch.structure": {"numpy"},
    "arch.config_reader": {"yaml"},
    "arch.yaml_nodes": {"yaml"},
    "arch.hrnet_yaml": {"yaml"},
    "arch.targets": {"numpy"},
    "duel_rule": {"scipy"},
    "order_rule": {"numpy"},
    "learned_rule": {"numpy"},
    "space.*": {"numpy"},
    "space.ablate": {"yaml"},
    "space.ablate_keys": {"yaml"},
    "space.batch_norm": {"yaml"},
    "space.data_section": {"yaml"},
    "space.kinds": {"yaml"},
    "space.labels": {"yaml"},
    "space.initial_weights": {"yaml"},
    "space.load": {"yaml"},
    "space.objectives": {"yaml"},
    "space.reader": {"yaml"},
    "space.rewrite": {"yaml"},
    "space.search_section": {"yaml"},
    "space.sections": {"yaml"},
    "space.training_choices": {"yaml"},
    "space.tracking_section": {"yaml"},
    "space.vary": {"yaml"},
    "store.*": {"numpy"},
    "store.rows": {"msgspec"},
    "store.study": {"pandas"},
    "net.*": {"torch", "safetensors"},
    "net.onnx_model": {"onnx", "onnxruntime"},
    "data.*": {"numpy", "PIL"},
    "data.augment": {"torch"},
    "data.batches": {"torch"},
    "evaluate.*": {"torch", "numpy"},
    "evaluate.counting": {"fvcore"},
    "evaluate.boundary": {"scipy"},
    "evaluate.machine.load": {"pynvml"},
    "evaluate.latency.runtimes.in_onnxruntime": {"onnxruntime"},
    "evaluate.latency.runtimes.in_openvino": {"openvino", "nncf"},
    "evaluate.latency.runtimes.quantised": {"onnxruntime"},
    "search.*": {"numpy"},
    "search.durations": {"scipy"},
    "search.screening": {"scipy"},
    "search.samplers.optuna_samplers": {"optuna"},
    "search.samplers.surrogate": {"scipy", "sklearn"},
    "search.samplers.one_thread": {"threadpoolctl"},
    "search.samplers.acquisition": {"scipy"},
    "search.mirrors.mlflow_mirror": {"mlflow"},
    "search.mirrors.mlflow_training": {"mlflow"},
    "search.mirrors.address_faults": {"sqlalchemy"},
    "search.mirrors.tracking_uri": {"sqlalchemy"},
    "search.mirrors.optuna_mirror": {"optuna"},
    "search.mirrors.tensorboard_mirror": {"torch", "PIL"},
    "testing": {"numpy"},
    "search.ray_tune.cluster": {"ray"},
    "search.ray_tune.conductor": {"ray"},
    "search.ray_tune.driver": {"ray"},
    "search.ray_tune.storage": {"pyarrow", "fsspec"},
    "search.ray_tune.worker": {"ray"},
    "ablation.*": {"numpy", "scipy"},
    "pareto": {"numpy"},
    "export.*": {"numpy"},
    "report.*": {"numpy", "pandas", "matplotlib"},
    "report.trust.statistics": {"scipy"},
    "report.trust.believed": {"scipy"},
    "report.page.drawing": {"markupsafe"},
    "report.page.content": {"markupsafe"},
    "report.page.interactions": {"sklearn"},
    "report.page.previews": {"PIL"},
    "report.page.render": {"jinja2", "markupsafe", "plotly"},
    "export.mmseg": {"torch"},
    "export.onnx_file": {"torch", "onnx"},
    "export.safetensors_file": {"safetensors"},
    "export.trained": {"torch", "safetensors"},
    "progress": {"rich"},
    "trainings.*": {"torch"},
    "trainings.judged": {"numpy"},
    "trainings.masks": {"numpy", "PIL"},
    "trainings.models": {"safetensors"},
    "trainings.onnx_network": {"onnxruntime"},
    "trainings.together": {"ray"},
    "trainings.view": {"rich"},
    "trainings.worker": {"ray"},
    "commands.terminal": {"rich"},
    "commands.working": {"rich"},
    "commands.completion": {"shtab"},
}
FORBIDDEN_NAMES = {"utils", "common", "helpers", "misc"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield module
            if module == "hrnet_search":
                yield from (f"hrnet_search.{alias.name}" for alias in node.names)


def problems(path: Path) -> Iterator[str]:
    name = name_of(path)
    room = name.split(".")[0]
    if set(name.split(".")) & FORBIDDEN_NAMES:
        yield f"{name}: a name that says nothing"
    if room not in ROOMS:
        yield f"{name}: in no room"
        return
    guests = GUESTS.get(name, set()) | GUESTS.get(f"{room}.*", set())
    for target in imports(path):
        top, _, rest = target.partition(".")
        if top == "hrnet_search":
            other = rest.split(".")[0]
            if other in ("", "__version__"):
                continue
            if other not in ROOMS or ROOMS.index(other) > ROOMS.index(room):
                yield f"{name} imports {target}, a later room"
            if other in NEVER.get(room, set()):
                yield f"{name} imports {target}, which {room} never may"
        elif top not in sys.stdlib_module_names and top not in guests:
            yield f"{name} imports {target}, no guest there"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_what_its_room_may(path: Path) -> None:
    assert list(problems(path)) == []


def test_training_stands_over_latency_and_latency_over_the_machine() -> None:
    floors = ("machine", "latency", "training")
    for number, floor in enumerate(floors):
        above = tuple(f"hrnet_search.evaluate.{name}" for name in floors[number + 1 :])
        for path in (PACKAGE / "evaluate" / floor).glob("*.py"):
            assert [name for name in imports(path) if name.startswith(above)] == [], path.name


def test_only_the_store_knows_notes_as_texts_by_name() -> None:
    """Elsewhere they are fields of a record: a name misspelt is an error, never "not known"."""
    texts = re.compile(r"\.meta\b|\bset_meta\b|Notes\.read\(|\.texts\(\)|store\.reader|\bMETA\b")
    outside = [path for path in modules() if name_of(path).split(".")[0] != "store"]
    assert [name_of(path) for path in outside if texts.search(path.read_text())] == []


def test_every_guest_list_has_a_module() -> None:
    names = {name_of(p) for p in modules()}
    rooms = {name.split(".")[0] for name in names}
    stale = [g for g in GUESTS if g not in names and not (g.endswith(".*") and g[:-2] in rooms)]
    assert stale == []


def test_the_check_finds_what_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "arch").mkdir()
    bad = tmp_path / "arch" / "utils.py"
    bad.write_text("def f():\n    import torch\n    from hrnet_search.net import hrnet\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert len(list(problems(bad))) == 3
