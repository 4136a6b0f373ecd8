"""Which nodes a study may use, and whether what its workers ask for is there."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_search.arch.memory import training_memory
from hrnet_search.errors import Fault, InputError, counted
from hrnet_search.evaluate.machine.devices import device_name, gpu_count, resolve_device, versions
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import HANG_S
from hrnet_search.search.ray_tune.cluster import Cluster, Resources
from hrnet_search.space.space import SearchSpace, costs

GIB = 2**30

LEAST_MEMORY = 2 * GIB
PROCESS = GIB
"""What a worker uses beside its training: libraries, their workspaces, images on their way."""

SEEN = "a path or URL that all nodes see, or a study folder that they do"

VARIANTS, COSTLIEST = 4096, 8
"""Variants drawn to find the most expensive, and how many of those are estimated."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks of a cluster; None: settled by what is there.

    `memory` is what one worker may use, in bytes (see `memory_of_a_worker`); `address` empty: a
    private Ray; `hang_s` when a worker hangs.
    """

    workers: int = 1
    gpus: float | None = None
    address: str = ""
    storage: str = ""
    memory: int = LEAST_MEMORY
    hang_s: float = HANG_S


@dataclass(frozen=True, slots=True)
class Node:
    """What a node says of itself: versions, the device of a trial, whether it sees the folder of
    the study or training."""

    id: str
    name: str
    versions: tuple[str, ...]
    device: str
    sees_study: bool


def memory_of_a_worker(space: SearchSpace, schedule: Schedule, device: str) -> int:
    """Estimate the bytes of this machine's memory that a worker uses at most.

    On a CPU that of the most expensive training among many variants; a GPU has its own for that.
    """
    if device not in ("cpu", "auto") or (device == "auto" and gpu_count()):
        return LEAST_MEMORY
    points = space.drawn(np.random.default_rng(0), VARIANTS)
    points = points[space.valid(points)]
    points = points[space.within_limits(points)]
    activations = costs(space, points)[:, 2]
    costliest = [space.decode(points[i]) for i in np.argsort(-activations)[:COSTLIEST]]
    parts = -(-schedule.batch // schedule.accumulate)
    classes = schedule.data.classes
    needs = [training_memory(found, schedule.crop, classes, parts) for found in costliest]
    return max(LEAST_MEMORY, PROCESS + max(needs, default=0))


def look(sign: str, device: str) -> tuple[tuple[str, ...], str, bool]:
    """Look at the node that this runs on, and for a file that was put down for it."""
    here = dict(versions())
    same = tuple(f"{name} {here[name]}" for name in ("hrnet-search", "python", "torch"))
    try:
        found = device_name(resolve_device(device))
    except InputError:
        found = ""
    return same, found, bool(sign) and Path(sign).exists()


def settle(
    cluster: Cluster,
    asked: Asked,
    folder: Path,
    device: str,
    measured_on: str | None,
    say: Callable[[str], None],
) -> Resources:
    """Return what each trial is given and on which nodes; raise InputError for what is not there.

    `device` is that of the space file, `measured_on` the kind that latency was measured on
    before, None if it was not.
    """
    records = cluster.nodes()
    gpus, nodes = _looked_at(cluster, asked, folder, device)
    faults = _faults(nodes, asked, folder)
    kind = measured_on or _kind(device, nodes)
    chosen = [node for node in nodes if node.device == kind]
    if not chosen:
        there = ", ".join(sorted({n.device for n in nodes if n.device})) or "none that fits"
        wrong = f"no node has the device that latency is compared on, {kind or device}"
        faults.append(Fault("latency.device", device, wrong, f"{there}"))
    if faults:
        raise InputError(faults)
    others = Counter(n.device for n in nodes if n.device != kind)
    for other, count in others.items():
        say(f"{count} nodes with {other} are left alone: latency is compared on {kind} only")
    ids = {node.id for node in chosen}
    cpus = _cpus_a_trial(asked, cluster)
    only = tuple(sorted(ids)) if others else ()
    resources = Resources(cpus, gpus, asked.memory, only)
    _check_fit(resources, asked, [r for r in records if r["NodeID"] in ids])
    return resources


def settle_together(cluster: Cluster, asked: Asked, folder: Path, device: str) -> Resources:
    """Return what each worker of one training is given; raise InputError for what is not there."""
    gpus, nodes = _looked_at(cluster, asked, folder, device)
    allowed = "a folder that all nodes see"
    if faults := _faults(nodes, asked, folder, "-o", allowed):
        raise InputError(faults)
    resources = Resources(_cpus_a_trial(asked, cluster), gpus, asked.memory)
    _check_fit(resources, asked, list(cluster.nodes()))
    return resources


def _looked_at(
    cluster: Cluster, asked: Asked, folder: Path, device: str
) -> tuple[float, list[Node]]:
    """Return how many GPUs a worker is given, and the nodes that have what it needs."""
    records = cluster.nodes()
    gpus = _gpus_a_trial(asked, records, device)
    if gpus and not any(_has(record, "GPU") for record in records):
        raise InputError(Fault("--gpus-per-trial", gpus, "no node has a GPU", "0"))
    with _sign(folder) as sign:
        nodes = [_node(cluster, record, sign, device, gpus) for record in records]
    return gpus, [n for n, r in zip(nodes, records, strict=True) if not gpus or _has(r, "GPU")]


@contextmanager
def _sign(folder: Path) -> Iterator[str]:
    """Put down a file of a drawn name in a study's folder; yield its path, empty if it cannot be.

    A copy of the study at the same path of another machine has no such file.
    """
    path = folder / f".seen-{secrets.token_hex(8)}"
    try:
        path.touch()
    except OSError:
        yield ""
        return
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def _gpus_a_trial(asked: Asked, records: tuple[dict[str, Any], ...], device: str) -> float:
    if asked.gpus is not None:
        return asked.gpus
    if device == "cpu":
        return 0.0
    return 1.0 if any(_has(record, "GPU") for record in records) else 0.0


def _cpus_a_trial(asked: Asked, cluster: Cluster) -> float:
    """Return an equal share of this machine for each worker; one on a cluster of others."""
    if not cluster.private:
        return 1.0
    total = sum(record["Resources"].get("CPU", 0.0) for record in cluster.nodes())
    return float(max(1, int(total // asked.workers)))


def _has(record: dict[str, Any], resource: str) -> bool:
    return bool(record["Resources"].get(resource, 0) > 0)


def _node(cluster: Cluster, record: dict[str, Any], sign: str, device: str, gpus: float) -> Node:
    share = min(gpus, record["Resources"].get("GPU", 0.0))
    seen = cluster.on_node(record["NodeID"], partial(look, sign, device), share)
    return Node(record["NodeID"], record["NodeManagerHostname"], *seen)


def _kind(device: str, nodes: list[Node]) -> str:
    """Return the device that the file names, or the one that most nodes have."""
    named = device.partition(":")[2]
    if named and not named.isdigit():
        return named
    found = Counter(node.device for node in nodes if node.device)
    return min(found, key=lambda name: (-found[name], name)) if found else ""


def _faults(
    nodes: list[Node], asked: Asked, folder: Path, key: str = "--storage", seen: str = SEEN
) -> list[Fault]:
    faults = []
    if not asked.storage:
        faults += [
            Fault(key, "", f"{node.name} does not see {folder}", seen)
            for node in nodes
            if not node.sees_study
        ]
    here = look("", "cpu")[0]
    for node in nodes:
        if node.versions != here:
            wrong = f"{node.name} has {', '.join(node.versions)}"
            faults.append(Fault("--ray", node.name, wrong, ", ".join(here)))
    return faults


def _check_fit(resources: Resources, asked: Asked, records: list[dict[str, Any]]) -> None:
    """Raise InputError, with the number that would do, if the workers do not all find room."""
    room = sum(min(_times(record, resources), asked.workers) for record in records)
    if room >= asked.workers:
        return
    each = ", ".join(_spelled(name, n) for name, n in resources.bundle.items())
    have = Counter[str]()
    for record in records:
        have.update({name: record["Resources"].get(name, 0) for name in resources.bundle})
    there = ", ".join(_spelled(name, n) for name, n in have.items())
    wrong = f"no room for {counted(asked.workers, 'worker')} of {each} each in {there}"
    allowed = f"at most {room} of them" if room else "less for each"
    raise InputError(Fault("--workers", asked.workers, wrong, allowed))


def _times(record: dict[str, Any], resources: Resources) -> int:
    """Return how many trials a node has room for."""
    there = record["Resources"]
    one_gpu = replace(resources, nodes=()).bundle
    counts = [int(there.get(name, 0) / amount + 1e-9) for name, amount in one_gpu.items()]
    if 0 < resources.gpus < 1:  # shares of one GPU are not put together from two
        counts.append(int(there.get("GPU", 0)) * int(1 / resources.gpus + 1e-9))
    return min(counts)


def _spelled(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / GIB:.1f} GiB of memory"
    return f"{amount:g} {name}{'' if amount == 1 else 's'}"
