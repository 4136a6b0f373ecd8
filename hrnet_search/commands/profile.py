"""`profile`: what configs cost, beside each other."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import (
    device,
    integer,
    number,
    offer,
    positive,
    require_positive,
)
from hrnet_search.commands.driver import spin_less
from hrnet_search.commands.outcome import BAD_INPUT, DIFFERS, DONE, say, say_as_it_is, warn
from hrnet_search.device_names import DEVICE_WORDS, DEVICES
from hrnet_search.errors import Fault, InputError, briefly
from hrnet_search.paths import expanded, several
from hrnet_search.told import Told, nobody

if TYPE_CHECKING:
    from hrnet_search.commands.profile_table import Profile


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `profile`."""
    add = sub.add_argument
    add("config", nargs="+", type=expanded, metavar="CONFIG", help="HRNet-library yaml")
    size = {"nargs": 2, "type": integer, "default": (1024, 2048), "metavar": ("H", "W")}
    add("--size", help="image size in pixels (1024 2048)", **size)  # type: ignore[arg-type]
    add("--classes", type=positive, metavar="K", help="instead of the config's")
    add("--by-stage", action="store_true", help="also by stage, branch and operation")
    verify = "build each network and count it with fvcore too (loads torch); exit 1 if it differs"
    add("--verify", action="store_true", help=verify)
    add("--batch", type=integer, default=1, help="images of an inference (1)")
    training = "images of a training step (8)"
    add("--train-batch", type=integer, default=8, metavar="N", help=training)
    add("--latency", action="store_true", help="measure it too (loads torch)")
    offer(add("--device", type=device, default="auto", help=DEVICES), lambda: DEVICE_WORDS)
    modes = add("--mode", default="auto", help="auto, eager, cudagraph or compile")
    offer(modes, lambda: _words("mode"))
    runtimes = add("--runtime", default="", help="what runs the networks (torch)")
    offer(runtimes, lambda: _words("runtime"))
    program = "program and arguments of --runtime command, in quotes, with {onnx} among them"
    add("--command", type=shlex.split, dest="program", default=(), metavar="WORDS", help=program)
    precisions = add("--precision", default="fp32", help="fp32, or another that the runtime has")
    offer(precisions, lambda: _words("precision"))
    add("--threads", type=integer, default=0, help="of the CPU (0: all cores but one)")
    add("--seconds", type=number, default=5.0, help="cap on one measurement (5)")
    throughput = "images a second at this batch too"
    add("--throughput", type=positive, default=0, metavar="N", help=throughput)
    add("--again", action="store_true", help="measure anew, whatever is kept")
    add("--json", action="store_true", help="for programs to read")
    add("--plain", action="store_true", help="plain lines on a terminal too")


def _words(key: str) -> Sequence[str]:
    """Return what a key of the space file's latency section may be."""
    from hrnet_search.space.sections import LATENCY

    words: Sequence[str] = LATENCY[key].schema["enum"]
    return words


def command(options: argparse.Namespace) -> int:
    """Show what configs cost: parameters, MACs, memory, and measured latency if asked."""
    from hrnet_search.commands.profile_table import as_json, table
    from hrnet_search.commands.profiling import Asked, profiled

    given = vars(options) | {"command": options.program}
    given = {name: given[name] for name in Asked.__slots__}
    asked = Asked(**{**given, "size": (options.size[0], options.size[1])})
    with _telling(options) as told:
        profiles, lines = profiled(options.config, asked, "--", told)
    if options.json:
        say_as_it_is(json.dumps(as_json(profiles)))
    elif profiles:
        say(table(profiles, asked.size, asked.batch, asked.train_batch))
    for line in briefly(lines):
        warn(line)
    if lines:
        return BAD_INPUT
    return DIFFERS if any(p.differs for p in profiles) else DONE


def _telling(options: argparse.Namespace) -> AbstractContextManager[Told]:
    """Return what shows how far it is, where that takes long: counting is done at once."""
    if options.json or not (options.latency or options.verify):
        return nullcontext(nobody)
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.commands.working import working

    return working(Terminal(options.plain))


def profile(
    configs: str | Path | Sequence[str | Path],
    size: tuple[int, int] = (1024, 2048),
    *,
    classes: int | None = None,
    by_stage: bool = False,
    batch: int = 1,
    train_batch: int = 8,
    latency: bool = False,
    device: str = "auto",
    mode: str = "auto",
    runtime: str = "",
    command: Sequence[str] = (),
    precision: str = "fp32",
    threads: int = 0,
    seconds: float = 5.0,
    throughput: int = 0,
    again: bool = False,
    verify: bool = False,
) -> list[Profile]:
    """Return what configs of the HRNet library cost for images of `size` (height, width).

    Each has exact parameters, MACs and activations (`cost`), estimates of memory in bytes, and
    with `latency` what was measured under the given condition; with `throughput` also images a
    second at that batch. `by_stage` adds a row a stage, branch and operation; `verify` what fvcore
    counts of the built network (`recounted`; `differs` where that is not the same). `classes` are
    those of the config if not given. Raise InputError with every problem of every config.
    """
    from hrnet_search.commands.profiling import Asked, profiled

    spin_less()
    require_positive(("classes", classes))
    asked = Asked(
        size, classes, by_stage, verify, batch, train_batch, latency, device, mode, runtime,
        command, precision, threads, seconds, throughput, again,
    )  # fmt: skip
    profiles, lines = profiled([expanded(str(path)) for path in several(configs)], asked)
    if lines:
        raise InputError(Fault("", None, line) for line in lines)
    return profiles
