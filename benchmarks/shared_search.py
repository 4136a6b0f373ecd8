"""Whole searches that train every network, and that judge by slices, at equal seconds.

    python benchmarks/shared_search.py run --evaluator shared --seconds 3000 --folder FOLDER
    python benchmarks/shared_search.py truth --seconds 600 3000 --folder FOLDER
    python benchmarks/shared_search.py truth --times 2 --picks 1 --seconds 3000 --folder FOLDER
    python benchmarks/shared_search.py finish --seconds 600 3000 --picks 3 --folder FOLDER
    python benchmarks/shared_search.py finish --times 2 --seconds 3000 --folder FOLDER
    python benchmarks/shared_search.py table --seconds 600 3000 --folder FOLDER
    python benchmarks/shared_search.py run --data camvid --data-root CAMVID --folder FOLDER

`run` searches the space below until its trials have taken so many seconds, shared weights and
judgements by slices among them, and goes on where it was stopped: on a machine that does nothing
else. `truth` trains what each would pick by then under twelve budgets for 2,400 steps (of CamVid
3,000) with a seed that no search had, and adds rows to FOLDER/truth.csv (`--times 2`: twice as
long, to truth_2.csv). `finish` trains the most
accurate of these picks of searches by slices as long, from their slices of the weights that the
search taught, and adds rows to FOLDER/finished.csv. `table` has the share of the best hypervolume,
of true mIoU over log MACs, that its picks have, the true mIoU of the best by then, and that from
its slice. Variants begin with random weights, or with `--init shared` with their slices.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from math import nan
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from benchmarks.rows import Row, add, read
from benchmarks.shared import Ground, add_ground, ground_of
from benchmarks.tables.fill import Job, rows_of, schedule_of, trained, trainer_of
from benchmarks.tables.variants import Variant
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.net.shared import start_from
from hrnet_search.pareto import hypervolume, non_dominated
from hrnet_search.records.schedule import NO_INIT, SHARED_INIT
from hrnet_search.records.search_options import EVALUATORS
from hrnet_search.records.trial import COMPLETED
from hrnet_search.report.trust.believed import expected_of
from hrnet_search.store.kept import first_weights
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.tables import FILE
from hrnet_search.store.trial_rows import SEARCH

CONFIGS = Path(__file__).parents[1] / "configs"
SEED = 9
"""Of the trainings that say what is true."""

COLUMNS = ("network", "macs", "miou", "cpu_s")
SPACE = """\
name: shared-search
base: {base}
vary:
  width: {{from: 4, to: 12}}
  STAGE3.NUM_BRANCHES: [2, 3]
  STAGE4.NUM_BRANCHES: [2, 3, 4]
  STAGE3.NUM_MODULES: [1, 2]
  STAGE4.NUM_MODULES: [1, 2]
  STAGE2.NUM_BLOCKS: [[1, 1], [2, 2]]
  STAGE3.NUM_BLOCKS: {{each_branch: [1, 2]}}
  STAGE4.NUM_BLOCKS: {{each_branch: [1, 2]}}
  "STAGE*.FUSE_METHOD": [SUM, CAT]
objectives: {{miou: max, macs: min}}
data: {data}
schedule:
  {{steps: 150, batch: 8, crop: {size}, scale: [0.75, 1.5], optimiser: adamw, warmup: 10,
    seeds: [{seed}]{more}}}
latency: {{size: {size}, device: cpu, seconds: 0.2}}
search: {{evaluator: {evaluator}, trials: {trials}, seed: {seed}{confirm}}}
tracking: {{mlflow: "off"}}
"""
DATA = {
    "shapes": "{kind: shapes, size: [64, 64], train: 4096, val: 512}",
    "folder": """
  kind: folder
  root: ROOT
  train: {images: images/train, masks: annotations/train}
  val: {images: images/val, masks: annotations/val}
  classes: 11
  ignore: 11
  size: [96, 128]""",
}
SHARED_STEPS = 750
"""What a study takes where nothing is said: five times those of a variant."""

TRIALS = {"alone": 1000, "shared": 400}
"""More than there is time for."""

BUDGETS = 12
"""However many networks a front has, so many budgets are what a user would train it for."""

ROUNDING = 1 + 1e-9
"""So that a network is within a budget that is its own MACs."""

Point = tuple[float, float]
Studies = dict[tuple[str, int], Study]


def main() -> None:
    options = _options()
    if options.what == "run":
        wanted = (options.evaluator, options.seed, options.init, options.shared_steps)
        text = space(options.ground, *wanted)
        place = options.folder / f"{options.evaluator}-{options.seed}"
        search(place, text, max(options.seconds))
        return
    studies = dict(_studies(options.folder))
    if options.what != "table":
        torch.set_num_threads(1)
        keep_freed_memory()
    if options.what == "finish":
        finish(studies, options)
        return
    if options.what == "truth":
        picked = [picks_at(one, s) for one in studies.values() for s in options.seconds]
        # The best of every search first: they are worth most where it is stopped.
        for networks in list(zip_longest(*picked))[: options.picks]:
            known = [one for one in networks if one]
            learn(known, options.ground, truth_of(options.folder, options.times), options.times)
        return
    truths, longer = (_truths(truth_of(options.folder, times)) for times in (1, 2))
    finished = _finished(finished_of(options.folder))
    print("\n".join(about(studies, truths, options.seconds, finished, longer)))


def truth_of(folder: Path, times: int = 1) -> Path:
    """Return where trainings from random weights lie that are so many times as long."""
    return folder / ("truth.csv" if times == 1 else f"truth_{times}.csv")


def finished_of(folder: Path, times: int = 1) -> Path:
    """Return where trainings from slices lie that are so many times as long."""
    return folder / ("finished.csv" if times == 1 else f"finished_{times}.csv")


def search(place: Path, text: str, seconds: float) -> None:
    """Run the study of a space file until its trials have taken so many seconds."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "space.yaml").write_text(text)
    words = [sys.executable, "-m", "hrnet_search", "run", str(place / "space.yaml")]
    process = subprocess.Popen([*words, "-o", str(place / "study"), "--plain"])
    while process.poll() is None:
        time.sleep(1)
        study = place / "study"
        if (study / FILE).is_file() and spent(open_study(study)) >= seconds:
            process.send_signal(signal.SIGINT)
            process.wait()


def space(
    ground: Ground,
    evaluator: str,
    seed: int,
    init: str = NO_INIT,
    shared_steps: int = SHARED_STEPS,
) -> str:
    """Return the space file of a search that confirms nothing but the gate of slices."""
    base = sorted(CONFIGS.glob("*w18_small_v1*.yaml"))[0]
    alone = evaluator == EVALUATORS[0]
    return SPACE.format(
        base=base,
        data=DATA[ground.spec.kind].replace("ROOT", ground.spec.root),
        size=list(ground.size),
        evaluator=evaluator,
        seed=seed,
        trials=TRIALS[evaluator],
        confirm=f", confirm: {0 if alone else 0.01}",
        more="" if alone else f", init: {init}, shared: {{steps: {shared_steps}}}",
    )


def spent(study: Study) -> float:
    """Return the seconds of all trials that have ended."""
    return sum(result.wall_s for _, result in study.ended())


def picks_at(study: Study, seconds: float) -> list[Architecture]:
    """Return what a search would pick after so many seconds, the best first.

    That is the best network within each of `BUDGETS` budgets, as a report picks it, which go from
    the cheapest of those that no other beats to the most expensive, evenly by log MACs.
    """
    so_far, trials = 0.0, []
    for ask, result in study.ended():
        so_far += result.wall_s
        if so_far > seconds:
            break
        if ask.purpose == SEARCH and result.status == COMPLETED and result.cost:
            trials.append((ask, result))
    found = expected_of(trials, study.notes)
    scores = found.scores() if found else {}
    networks = [ask.architecture for ask, _ in trials]
    rows = [
        (scores[n.id] if found else result.miou or 0.0, result.cost.macs if result.cost else 0)
        for n, (_, result) in zip(networks, trials, strict=True)
    ]
    kept = non_dominated(rows, ["max", "min"])
    members = sorted(
        (row[1], row[0], network.id, network)
        for row, network, good in zip(rows, networks, kept, strict=True)
        if good
    )
    if not members:
        return []
    macs = [member[0] for member in members]
    budgets = np.geomspace(macs[0], macs[-1], BUDGETS)
    places = {int(place) for place in np.searchsorted(macs, budgets * ROUNDING, "right") - 1}
    return [members[place][-1] for place in sorted(places, reverse=True)]


def learn(networks: Sequence[Architecture], ground: Ground, path: Path, times: int = 1) -> None:
    """Train networks for long whose truth is not known yet, and add a row for each."""
    for network in networks:
        if network.id in _truths(path):
            continue
        last = trained(_job(network, ground, times), ground.spec)[-1]
        add(path, COLUMNS, {"network": network.id} | _some(last))


def finish(studies: Studies, options: argparse.Namespace) -> None:
    """Train the best picks of searches by slices from these, and add a row for each."""
    ground, path = options.ground, finished_of(options.folder, options.times)
    for (evaluator, seed), study in studies.items():
        picked = [n for s in options.seconds for n in picks_at(study, s)[: options.picks or 1]]
        for network in picked if evaluator == EVALUATORS[1] else ():
            search = f"{evaluator}-{seed}"
            if (search, network.id) in _finished(path):
                continue
            job, first = _job(network, ground, options.times), first_weights(study)
            assert first is not None, "a search by slices taught it first"
            trainer = trainer_of(job, schedule_of(job.steps, ground.spec))
            start_from(trainer.network, first)
            last = rows_of(job, trainer, (job.steps,))[-1]
            row = {"search": search, "network": network.id} | _some(last)
            add(path, ("search", *COLUMNS), row)


def _job(network: Architecture, ground: Ground, times: int) -> Job:
    """Return the training of a network that is so many times as long as those of the truth."""
    counted = cost(network, ground.size, ground.spec.classes)
    return Job(Variant(0, 0, network, counted.params, counted.macs), times * ground.truth, SEED)


def _some(last: Row) -> dict[str, str]:
    """Return what is kept of the row of a training's end."""
    return {column: last[column] for column in ("macs", "miou", "cpu_s")}


def about(
    studies: Studies,
    truths: dict[str, Point],
    times: Sequence[float],
    finished: dict[tuple[str, str], float],
    longer: dict[str, Point] | None = None,
) -> Iterator[str]:
    """Yield a Markdown table: the mean share over seeds, and that of each."""
    reference = (0.0, max((x for _, x in truths.values()), default=0.0) + 0.05)
    best = _area(list(truths.values()), reference) or 1.0
    yield (
        "| evaluator | seconds | seeds | hypervolume | of each seed | picks | twice as long"
        " | from slices |"
    )
    yield "| --- | --: | --: | --: | --- | --- | --- | --- |"
    for evaluator in EVALUATORS:
        own = {f"{name}-{seed}": s for (name, seed), s in studies.items() if name == evaluator}
        for seconds in times:
            networks = {search: picks_at(study, seconds) for search, study in own.items()}
            picked = [[truths.get(n.id) for n in some] for some in networks.values()]
            best_of = {search: some[0].id for search, some in networks.items() if some}
            sliced = [finished.get((one, best_of.get(one, ""))) for one in own]
            shares = [_share(points, reference, best) for points in picked]
            if shares:
                cells = (
                    evaluator,
                    f"{seconds:g}",
                    str(len(own)),
                    f"{fmean(shares):.3f}",
                    ", ".join(f"{share:.3f}" for share in shares),
                    ", ".join(_best(points) for points in picked),
                    ", ".join(
                        _best([(longer or {}).get(n.id) for n in s]) for s in networks.values()
                    ),
                    ", ".join("unknown" if one is None else f"{one:.3f}" for one in sliced),
                )
                yield f"| {' | '.join(cells)} |"


def _share(points: Sequence[Point | None], reference: Point, best: float) -> float:
    """Return the share of the best hypervolume; nan where the truth of a pick is not known yet."""
    known = [point for point in points if point is not None]
    return _area(known, reference) / best if len(known) == len(points) else nan


def _best(points: Sequence[Point | None]) -> str:
    if not points:
        return "none"
    return "unknown" if points[0] is None else f"{points[0][0]:.3f}"


def _area(front: Sequence[Point], reference: Point) -> float:
    return hypervolume([y for y, _ in front], [x for _, x in front], reference)


def _truths(path: Path) -> dict[str, Point]:
    """Return true mIoU and log MACs by network."""
    rows = read(path)
    return {row["network"]: (float(row["miou"]), float(np.log(int(row["macs"])))) for row in rows}


def _finished(path: Path) -> dict[tuple[str, str], float]:
    """Return mIoU from slices, by search and network."""
    rows = read(path)
    return {(row["search"], row["network"]): float(row["miou"]) for row in rows}


def _studies(folder: Path) -> Iterator[tuple[tuple[str, int], Study]]:
    for place in sorted(folder.glob("*-*/study")):
        evaluator, _, seed = place.parent.name.rpartition("-")
        yield (evaluator, int(seed)), open_study(place)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("what", choices=("run", "truth", "finish", "table"))
    add("--evaluator", choices=EVALUATORS, default=EVALUATORS[0])
    add("--seed", type=int, default=0, help="of the sampler and all trainings")
    add("--seconds", type=float, nargs="+", default=[600.0, 3000.0], help="of a search's trials")
    add("--init", choices=(NO_INIT, SHARED_INIT), default=NO_INIT, help="of a search by slices")
    add("--shared-steps", type=int, default=SHARED_STEPS, help="of a search by slices")
    add("--picks", type=int, help="how many of the most accurate: to finish one, to learn all")
    add("--times", type=int, default=1, choices=(1, 2), help="how long they are trained")
    add("--folder", type=Path, required=True, help="of the searches")
    add_ground(parser)
    options = parser.parse_args()
    options.ground = ground_of(parser, options)
    return options


if __name__ == "__main__":
    main()
