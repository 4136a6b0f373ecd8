"""What is known of configs: counted, and measured where asked; a line for each bad one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_search.arch.cost import attention_macs, cost
from hrnet_search.arch.cost_table import cost_table
from hrnet_search.arch.hrnet_yaml import Config, class_count, read_config
from hrnet_search.arch.memory import inference_memory, training_memory
from hrnet_search.commands.arguments import require_positive
from hrnet_search.commands.profile_table import Profile
from hrnet_search.errors import Fault, HrnetSearchError, InputError
from hrnet_search.records.latency import COMMAND, TORCH, LatencySpec
from hrnet_search.told import Told, nobody


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every config: the arguments of `profile`, by its names."""

    size: tuple[int, int]
    classes: int | None
    by_stage: bool
    verify: bool
    batch: int
    train_batch: int
    latency: bool
    device: str
    mode: str
    runtime: str
    command: Sequence[str]
    precision: str
    threads: int
    seconds: float
    throughput: int
    again: bool


def profiled(
    configs: Sequence[str | Path], asked: Asked, option: str = "", told: Told = nobody
) -> tuple[list[Profile], list[str]]:
    """Return what is known of configs, and a line for each problem.

    `option` is what stands before the names of arguments in messages; `told` hears how far it is.
    Raise InputError for counts that are not positive.
    """
    sides = [("size", side) for side in asked.size]
    counts = [*sides, ("batch", asked.batch), ("train-batch", asked.train_batch)]
    require_positive(*((f"{option}{name}", count) for name, count in counts))
    lines: list[str] = []
    spec = _spec(asked, lines, option)
    profiles = list(_profiles(configs, asked, spec, lines, told))
    return profiles, lines


def _profiles(
    configs: Sequence[str | Path],
    asked: Asked,
    spec: LatencySpec | None,
    faults: list[str],
    told: Told,
) -> Iterator[Profile]:
    for place, path in enumerate(configs):
        told(place, len(configs), Path(path).stem)
        found: Profile | None = None
        try:
            config = read_config(path)
            classes = asked.classes or class_count(config)
            found = _counted(path, config, classes, asked)
            if asked.verify:
                found = _verified(found, classes, asked.size)
            if spec:  # what is counted stays in the table, whatever cannot be measured
                found = _measured(found, classes, spec, asked)
        except HrnetSearchError as error:
            lines = _as_space_file(path) or str(error).splitlines()
            faults += [t if t.startswith(str(path)) else f"{path}: {t}" for t in lines]
        if found:
            yield found


def _as_space_file(path: str | Path) -> list[str]:
    """Return what to say of a space file where a config belongs; empty if it is not one."""
    from hrnet_search.space.load import is_space_file

    allowed = "HRNet-library configs; hrnet-search check reads it"
    wrong = Fault("", path, "is a space file", allowed, str(path))
    return [str(wrong)] if is_space_file(path) else []


def _counted(path: str | Path, config: Config, classes: int, asked: Asked) -> Profile:
    architecture, size = config.architecture, asked.size
    return Profile(
        config=str(path),
        name=Path(path).stem,
        architecture=architecture,
        cost=cost(architecture, size, classes),
        inference_bytes=inference_memory(architecture, size, classes, asked.batch),
        training_bytes=training_memory(architecture, size, classes, asked.train_batch),
        attention=attention_macs(architecture, size, classes),
        rows=cost_table(architecture, size, classes) if asked.by_stage else (),
    )


def _verified(found: Profile, classes: int, size: tuple[int, int]) -> Profile:
    from hrnet_search.evaluate.latency.one_network import recounted

    return replace(found, recounted=recounted(found.architecture, classes, size))


def _measured(found: Profile, classes: int, spec: LatencySpec, asked: Asked) -> Profile:
    from hrnet_search.evaluate.latency.one_network import measure

    seen = measure(found.architecture, classes, spec, asked.throughput, asked.again)
    return replace(found, latency=seen.latency, images_per_s=seen.images_per_s, reused=seen.reused)


def require_no_latency(asked: Asked, option: str) -> None:
    """Raise InputError for what says how latency is measured where none is asked for."""
    plain = {
        "device": "auto", "mode": "auto", "runtime": "", "precision": "fp32", "threads": 0,
        "seconds": 5.0, "throughput": 0, "again": False,
    }  # fmt: skip
    given = [name for name, value in plain.items() if getattr(asked, name) != value]
    given += ["command"] if asked.command else []
    if given:
        allowed = f"with {option}latency"
        raise InputError(
            [
                Fault(f"{option}{name}", None, "says how latency is measured", allowed)
                for name in given
            ]
        )


def _spec(asked: Asked, lines: list[str], option: str) -> LatencySpec | None:
    """Return how latency is measured; None if it is not asked for or cannot be, said once."""
    if not asked.latency:
        require_no_latency(asked, option)
        return None
    from hrnet_search.evaluate.latency.condition import resolve

    spec = LatencySpec(
        size=asked.size,
        batch=asked.batch,
        device=asked.device,
        mode=asked.mode,
        runtime=asked.runtime or (COMMAND if asked.command else TORCH),
        command=tuple(asked.command),
        precision=asked.precision,
        seconds=asked.seconds,
        threads=asked.threads,
    )
    try:
        resolve(spec)
    except InputError as error:
        for fault in error.faults:
            path = fault.path.removeprefix("latency.")
            lines.append(str(replace(fault, path=f"{option}{path}")))
        return None
    return spec
