"""What `profile` does: the costs of configs, measured where asked, bad ones named beside them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hrnet_search.arch.cost import cost
from hrnet_search.arch.cost_table import cost_table
from hrnet_search.arch.hrnet_yaml import Config, class_count, read_config
from hrnet_search.arch.memory import inference_memory, training_memory
from hrnet_search.errors import Fault, HrnetSearchError, InputError, briefly, clean
from hrnet_search.records import LatencySpec
from hrnet_search.report.profile import Profile, as_json, table


def profile_configs(options: argparse.Namespace) -> int:
    """Print what is known of each config; return how many lines of problems there were."""
    size = (options.size[0], options.size[1])
    _check_counts(options)
    faults: list[str] = []
    spec = _spec(options, size, faults)
    profiles = list(_profiles(options, size, spec, faults))
    if options.json:
        print(json.dumps(as_json(profiles)))
    elif profiles:
        print(clean(table(profiles, size, options.batch, options.train_batch)))
    for fault in briefly(faults):
        print(clean(fault), file=sys.stderr)
    return len(faults)


def _profiles(
    options: argparse.Namespace,
    size: tuple[int, int],
    spec: LatencySpec | None,
    faults: list[str],
) -> Iterator[Profile]:
    for path in options.config:
        found: Profile | None = None
        try:
            config = read_config(path, to_build=True)
            classes = options.classes or class_count(config)
            found = _counted(path, config, size, classes, options)
            if spec:  # what is counted stays in the table, whatever cannot be measured
                found = _measured(found, classes, spec, options)
        except HrnetSearchError as error:
            lines = _as_space_file(path) or _lines(error)
            faults += [t if t.startswith(str(path)) else f"{path}: {t}" for t in lines]
        if found:
            yield found


def _as_space_file(path: str) -> list[str]:
    """Return what to say of a space file where a config belongs; empty if it is none."""
    from hrnet_search.space.load import is_space_file

    allowed = "allowed: HRNet-library configs; hrnet-search check reads it"
    return [str(Fault("", path, "is a space file", allowed, path))] if is_space_file(path) else []


def _counted(
    path: str, config: Config, size: tuple[int, int], classes: int, options: argparse.Namespace
) -> Profile:
    architecture = config.architecture
    return Profile(
        config=str(path),
        name=Path(path).stem,
        architecture=architecture,
        cost=cost(architecture, size, classes),
        inference_bytes=inference_memory(architecture, size, classes, options.batch),
        training_bytes=training_memory(architecture, size, classes, options.train_batch),
        rows=cost_table(architecture, size, classes) if options.by_stage else (),
    )


def _measured(
    found: Profile, classes: int, spec: LatencySpec, options: argparse.Namespace
) -> Profile:
    from hrnet_search.evaluate.profile import measure

    seen = measure(found.architecture, classes, spec, options.throughput, options.again)
    return replace(found, latency=seen.latency, images_per_s=seen.images_per_s, reused=seen.reused)


def _spec(
    options: argparse.Namespace, size: tuple[int, int], faults: list[str]
) -> LatencySpec | None:
    """Return how latency is measured; None if it is not asked for or cannot be, said once."""
    if not options.latency:
        return None
    from hrnet_search.evaluate.condition import resolve

    spec = LatencySpec(
        size=size,
        batch=options.batch,
        device=options.device,
        mode=options.mode,
        precision=options.precision,
        seconds=options.seconds,
        threads=options.threads,
    )
    try:
        resolve(spec)
    except InputError as error:
        for fault in error.faults:
            faults.append(str(replace(fault, path=f"--{fault.path.removeprefix('latency.')}")))
        return None
    return spec


def _check_counts(options: argparse.Namespace) -> None:
    counts = [("--size", side) for side in options.size]
    counts += [("--batch", options.batch), ("--train-batch", options.train_batch)]
    faults = [
        Fault(name, count, f"{count} is not positive", "allowed: 1 or more")
        for name, count in counts
        if count < 1
    ]
    if faults:
        raise InputError(faults)


def _lines(error: HrnetSearchError) -> list[str]:
    return str(error).splitlines()
