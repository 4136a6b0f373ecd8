"""One step in a process of its own, as `benchmarks/gpu.py` starts it."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path

from benchmarks.gpu_steps.machine import machine
from benchmarks.gpu_steps.results import (
    BROKEN,
    DONE,
    FAILED,
    LEFT_OUT,
    PARTIAL,
    LeftOut,
    Results,
    TimeIsOver,
)
from benchmarks.gpu_steps.step import Given, Step, named
from hrnet_search.errors import shown

MACHINE = "machine"


def main() -> int:
    options = parse()
    if options.step == MACHINE:
        print(json.dumps(machine(options.device)))
        return 0
    results = Results.load(options.out, options.step, json.loads(options.machine))
    until = time.monotonic() + options.seconds
    given = Given(options.out, options.device, until, options.data_root, results)
    (step,) = named([options.step])
    return go_on(step, given)


def go_on(step: Step, given: Given) -> int:
    """Run a step and save how it stands; return 0 unless it failed as a whole."""
    results = given.results
    results.note = ""
    try:
        step.run(given)
        results.state = DONE
    except TimeIsOver:
        results.state = PARTIAL
    except LeftOut as error:
        results.state, results.note = LEFT_OUT, str(error)
    except Exception as error:
        traceback.print_exc()
        results.note = f"{type(error).__name__}: {shown(str(error), 300)}"
        results.state = FAILED
        if BROKEN in str(error):
            results.bury_running(results.note)
    results.save()
    return int(results.state == FAILED)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("step")
    add("--out", type=Path, default=Path())
    add("--device", default="cuda")
    add("--seconds", type=float, default=60.0)
    add("--data-root", default="")
    add("--machine", default="{}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
