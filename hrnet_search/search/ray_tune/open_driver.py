"""From what the command line asks for to a driver that is ready."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hrnet_search.errors import Fault, InputError, counted
from hrnet_search.evaluate.machine.control_groups import free_bytes
from hrnet_search.evaluate.machine.devices import gpu_count
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.cluster import (
    Cluster,
    Resources,
    joined_cluster,
    private_cluster,
)
from hrnet_search.search.ray_tune.driver import RayDriver
from hrnet_search.search.ray_tune.job import Job
from hrnet_search.search.ray_tune.nodes import GIB, Asked, settle

LOGS = Path("logs", "ray")
LESS = "fewer --workers, or less --memory-per-trial"


@contextmanager
def ray_driver(
    asked: Asked,
    folder: Path,
    study: str,
    device: str,
    measured_on: str | None,
    interrupt: Interrupt,
    say: Callable[[str], None],
) -> Iterator[RayDriver]:
    """Start or join a Ray and yield the driver of a study; raise InputError for what is wrong.

    `study` names the study among all that use one storage.
    """
    if device.startswith("cuda:") and device[5:].isdigit():
        wrong = f"{device} is a GPU of one machine, and Ray hands out GPUs"
        raise InputError(Fault("latency.device", device, wrong, "auto, cpu, cuda"))
    with opened(asked, folder, say, LESS) as cluster:
        resources = settle(cluster, asked, folder, device, measured_on, say)
        say(stated(asked, resources))
        job = Job(asked.storage, study)
        workers, hang_s = asked.workers, asked.hang_s
        yield RayDriver(cluster, workers, resources, job, interrupt, folder, hang_s, say)


@contextmanager
def opened(asked: Asked, folder: Path, say: Callable[[str], None], less: str) -> Iterator[Cluster]:
    """Join the cluster that is asked for, or start one on this machine.

    Raise InputError for what is wrong; `less` is what is allowed where memory is short.
    """
    if asked.address:
        with joined_cluster(asked.address, folder / LOGS) as cluster:
            yield cluster
        return
    _check_memory(asked, less)
    say(f"starting Ray for {counted(asked.workers, 'worker')} on this machine")
    cpus = max(asked.workers, len(os.sched_getaffinity(0)))
    with private_cluster(cpus, gpu_count(), folder / LOGS) as cluster:
        yield cluster


def _check_memory(asked: Asked, less: str) -> None:
    """Raise InputError if the workers may use more than this machine has left."""
    free = free_bytes()
    if free is None or asked.workers * asked.memory <= free:
        return
    wrong = (
        f"{counted(asked.workers, 'worker')} of up to {asked.memory / GIB:.1f} GiB each: more than "
        f"the {free / GIB:.1f} GiB that are free"
    )
    raise InputError(Fault("--workers", asked.workers, wrong, less))


def stated(asked: Asked, resources: Resources) -> str:
    """Return what each worker is given, in words."""
    gpus = f", {resources.gpus:g} GPU" if resources.gpus else ""
    memory = f"{resources.memory / GIB:.1f} GiB of memory"
    each = f"{resources.cpus:g} CPU{gpus} and up to {memory}"
    return f"{counted(asked.workers, 'worker')}, each with {each}"
