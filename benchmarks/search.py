"""How many trainings each sampler needs for how much of the true front.

    python -m benchmarks.search run --nasbench DIR --samplers pareto local --seeds 20
    python -m benchmarks.search report

Run it from the root of the repository. `run` appends one JSON line a search to
benchmarks/search_results.jsonl and leaves out what is there already, so it may be stopped and
started; `report` writes docs/search-quality.md and its plots from that file alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers import PEERS
from benchmarks.problems import PROBLEMS, Places
from benchmarks.search_report import write_report
from benchmarks.simulation import LEARNING, PLAIN, Run, simulate
from hrnet_search.search.samplers import SAMPLERS

HERE = Path(__file__).parent
RESULTS = HERE / "search_results.jsonl"
NAMES = [*SAMPLERS, *LEARNING, *PLAIN, *PEERS]
CACHE = HERE.parent / "results" / "benchmark-cache"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="search, and append what came of it")
    add = run.add_argument
    add("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    add("--samplers", nargs="+", default=["pareto"], choices=NAMES)
    add("--seeds", type=int, default=20)
    add("--first-seed", type=int, default=0)
    add("--trials", type=int, default=200)
    add("--workers", type=int, default=1)
    add("--nasbench", type=Path, help="folder with cifar100.npz of NAS-Bench-201")
    for command in (run, commands.add_parser("report", help="write the table and the plots")):
        command.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.command == "run":
        search(options)
    else:
        write_report(options.results, HERE.parent / "docs")


def search(options: argparse.Namespace) -> None:
    """Run what is asked for and not there yet, seed by seed, so that a part says something."""
    done = {Run(**line["run"]) for line in read(options.results)}
    places = Places(options.nasbench, CACHE)
    benchmarks = {name: PROBLEMS[name](places) for name in options.problems}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed in seeds:
        for name, benchmark in benchmarks.items():
            for sampler in options.samplers:
                run = Run(name, sampler, seed, options.workers, options.trials)
                if run in done:
                    continue
                record = simulate(benchmark, run, {})
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"run": asdict(run), **record}) + "\n")
                print(run, record["final"], record["reached"], record["ask_mean_s"], flush=True)


def read(path: Path) -> Iterator[dict]:  # type: ignore[type-arg]
    """Return the lines of a file of results; a last line that was cut off is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


if __name__ == "__main__":
    main()
