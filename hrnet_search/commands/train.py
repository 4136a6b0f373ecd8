"""`train`: a config of the HRNet library, or a trial of a study, trained in full."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import (
    add_progress,
    device,
    named,
    number,
    offer,
    output,
    positive,
    share,
    whole,
)
from hrnet_search.commands.driver import spin_less
from hrnet_search.commands.outcome import DONE
from hrnet_search.commands.space_file import RESULTS
from hrnet_search.device_names import DEVICE_WORDS, DEVICES
from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.paths import absolute, expanded, is_folder
from hrnet_search.trainings.defaults import JUDGED, TEACHER_WEIGHT, TEMPERATURE

if TYPE_CHECKING:
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.store.trainings import TrainingResults
    from hrnet_search.trainings.plan import Overrides, Plan
    from hrnet_search.trainings.starts import Start
    from hrnet_search.trainings.together import Workers

CHECKPOINT_S = 120.0


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that has ended: its folder, mIoU at the end and at its best, both weights, and
    the page that shows it."""

    folder: Path
    miou: float
    best_miou: float
    last_weights: Path
    best_weights: Path
    page: Path


@dataclass(frozen=True, slots=True)
class Asked:
    """What is trained, and where: `trial` or `pick` choose from a study, `data` and `data_root`
    say on what, `device` and `checkpoint_s` how, `mlflow` where its run is made, and `workers` and
    `ray` who trains."""

    source: str
    folder: str | None = None
    trial: int | None = None
    pick: str | None = None
    data: str | None = None
    data_root: str | None = None
    device: str = "auto"
    checkpoint_s: float = CHECKPOINT_S
    mlflow: str = "auto"
    workers: int | None = None
    ray: str | None = None


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `train`."""
    add = sub.add_argument
    what = "HRNet-library yaml, or the folder of a study"
    add("source", type=named, metavar="CONFIG|STUDY", help=what)
    add(
        "-o",
        "--output",
        type=output,
        metavar="DIR",
        help="the training's folder (results/NAME, of a study results/STUDY-trialN)",
    )
    one = sub.add_mutually_exclusive_group()
    one.add_argument("--trial", type=whole, metavar="N", help="which trial of a study")
    budget = "the best network of a study within a budget, as 'latency_ms<=20' or 'macs<=2.5G'"
    one.add_argument("--pick", metavar="BUDGET", help=f"{budget} (the best of all)")
    space = "space file whose data section says what a config is trained on"
    add("--data", type=named, metavar="SPACE", help=space)
    add("--data-root", type=named, metavar="DIR", help="where the images and masks are")
    _add_schedule(sub)
    _add_teacher(sub)
    offer(add("--device", type=device, default="auto", help=DEVICES), lambda: DEVICE_WORDS)
    seconds = f"seconds between checkpoints ({CHECKPOINT_S:g})"
    add("--checkpoint-every", type=share, default=CHECKPOINT_S, metavar="S", help=seconds)
    _add_workers(sub)
    uri = "where its MLflow run is made: a tracking URI, off, or auto (a file in its folder)"
    add("--mlflow", default="auto", metavar="URI", help=uri)
    add("--plain", action="store_true", help="plain lines on a terminal too")
    add_progress(sub)


def _add_schedule(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("instead of what the config or the study says")
    add = group.add_argument
    length = group.add_mutually_exclusive_group()
    length.add_argument("--steps", type=positive, metavar="N", help="steps in all")
    length.add_argument("--epochs", type=positive, metavar="N", help="epochs in all")
    add("--batch", type=positive, metavar="N", help="images of a step, on all devices together")
    parts = "take each batch in N parts, one after the other"
    add("--accumulate", type=positive, metavar="N", help=parts)
    add("--crop", nargs=2, type=positive, metavar=("H", "W"), help="what is cut out of images")
    long_side = "pixels of an image's longer side at a scale of 1 (0: as it is stored)"
    add("--base-size", type=whole, metavar="N", help=long_side)
    add("--lr", type=number, help="largest learning rate")
    offer(add("--optimiser", help="sgd or adamw"), _optimisers)
    offer(add("--precision", help="fp32, bf16, fp16 or auto"), _precisions)
    add("--ema", type=number, metavar="DECAY", help="judge averaged weights of this decay (0: off)")
    add("--seed", type=whole, default=0, metavar="N", help="of start, order and crops (0)")
    init = (
        "weights to start from: none, pretrained (as the config says), shared (slices of a study's"
    )
    init = f"{init} shared weights) or a file"
    add("--init", type=named, metavar="FILE", help=init)
    judged = f"how often it is judged at most, at the ends of epochs ({JUDGED})"
    add("--judged", type=positive, default=JUDGED, metavar="N", help=judged)


def _add_teacher(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("learn from another network and from the labels")
    add = group.add_argument
    teacher = "weights of a whole network of the same classes, or an ONNX file"
    add("--teacher", type=named, metavar="FILE", help=teacher)
    add("--teacher-weight", type=number, metavar="W",
        help=f"its share of the loss ({TEACHER_WEIGHT:g})")  # fmt: skip
    add("--temperature", type=number, metavar="T",
        help=f"by which its decisions are softened ({TEMPERATURE:g})")  # fmt: skip


def _add_workers(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("several workers (docs/cluster.md)")
    count = (
        "processes that train together, through Ray, what one would; a GPU each, if there are any"
    )
    group.add_argument("--workers", type=positive, metavar="N", help=count)
    address = "join this Ray cluster (without it, --workers starts one on this machine)"
    group.add_argument("--ray", metavar="ADDRESS", help=address)


def _optimisers() -> Iterable[str]:
    from hrnet_search.records.schedule import OPTIMISERS

    return OPTIMISERS


def _precisions() -> Iterable[str]:
    from hrnet_search.records.schedule import AUTO, PRECISIONS

    return (*PRECISIONS, AUTO)


def command(options: argparse.Namespace) -> int:
    """Train a config, or a trial of a study, in full; the same command again goes on."""
    from hrnet_search.commands.terminal import terminal_of
    from hrnet_search.trainings.plan import Overrides

    terminal = terminal_of(options)
    asked = Asked(
        options.source, options.output, options.trial, options.pick, options.data,
        options.data_root, options.device, options.checkpoint_every, options.mlflow,
        options.workers, options.ray,
    )  # fmt: skip
    given = {name: getattr(options, name) for name in Overrides.__slots__}
    crop = (options.crop[0], options.crop[1]) if options.crop else None
    folder, results = _train(asked, Overrides(**{**given, "crop": crop}), terminal)
    _tell_end(folder, results, _page(folder), terminal)
    return DONE


def train(
    source: str | Path,
    folder: str | Path | None = None,
    *,
    trial: int | None = None,
    pick: str | None = None,
    data: str | Path | None = None,
    data_root: str | Path | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    accumulate: int | None = None,
    crop: tuple[int, int] | None = None,
    base_size: int | None = None,
    lr: float | None = None,
    optimiser: str | None = None,
    precision: str | None = None,
    ema: float | None = None,
    seed: int = 0,
    init: str | Path | None = None,
    judged: int = JUDGED,
    teacher: str | Path | None = None,
    temperature: float | None = None,
    teacher_weight: float | None = None,
    device: str = "auto",
    mlflow: str = "auto",
    workers: int | None = None,
    ray: str | None = None,
    progress: bool = False,
) -> Trained:
    """Train a config of the HRNet library, or a trial of a study, in full, in `folder`.

    The same call again goes on where it was. A study's network is that of `trial`, the best
    within a budget (`pick`, as "latency_ms<=20"), or the best of all. `data` is a space file whose
    data section is taken, `data_root` where they lie. What is given of the schedule stands in the
    place of what the config or the study says. The decisions of the network in a file, `teacher`,
    softened by a `temperature`, count `teacher_weight` of the loss. `mlflow` is where its run is
    made: a tracking URI, off, or auto, a file in its folder. With `workers` that many processes
    train together through Ray, of its own or, with `ray`, of a cluster at that address. Raise
    InputError, DataError, WeightsError or StudyError for input that is wrong, StudyInUseError,
    StorageLostError, TrainingError for a loss that is not finite, ClusterLostError, and
    KeyboardInterrupt after Ctrl-C, when all is saved.
    """
    from hrnet_search.commands.terminal import Quiet, Terminal
    from hrnet_search.store.trainings import BEST, LAST, weights_file
    from hrnet_search.trainings.plan import Overrides

    given_paths = (folder, data, data_root, init, teacher)
    places = (None if p is None else expanded(str(p)) for p in given_paths)
    where, data_file, root, start, taught = places
    asked = Asked(expanded(str(source)), where, trial, pick, data_file, root, device)
    asked = replace(asked, mlflow=mlflow, workers=workers, ray=ray)
    given = Overrides(
        steps, epochs, batch, accumulate, crop, base_size, lr, optimiser, precision, ema, seed,
        start, judged, taught, temperature, teacher_weight,
    )  # fmt: skip
    place, results = _train(asked, given, Terminal() if progress else Quiet())
    best, last = results.best, results.final
    assert best, "a training that ended was judged"
    assert last, "a training that ended was judged"
    last_weights, best_weights = (weights_file(place, which) for which in (LAST, BEST))
    return Trained(place, last.miou, best.miou, last_weights, best_weights, _page(place))


def _train(asked: Asked, given: Overrides, terminal: Terminal) -> tuple[Path, TrainingResults]:
    """Train; return the training's folder and its results."""
    spin_less()
    given.check()
    _check_mlflow(asked.mlflow)
    start = start_of(asked)
    folder = absolute(asked.folder or RESULTS / start.name)
    from hrnet_search.store.trainings import is_training, read_record
    from hrnet_search.trainings.plan import plan_of
    from hrnet_search.trainings.run import train_in

    begun = read_record(folder) if is_training(folder) else None
    plan = plan_of(start, given, asked.device, begun)
    workers = _workers(asked, plan)
    how = (terminal.console, terminal.live, asked.checkpoint_s, workers, terminal.training_views())
    results = train_in(plan, folder, *how)
    _send(asked.mlflow, folder, terminal)
    return folder, results


def _workers(asked: Asked, plan: Plan) -> Workers | None:
    """Return who trains, if not this process; raise InputError for what they cannot."""
    if asked.workers is None and not asked.ray:
        return None
    from hrnet_search.trainings.together import Workers

    found = Workers(1 if asked.workers is None else asked.workers, asked.ray or "")
    found.check(plan)
    return found


def _check_mlflow(uri: str) -> None:
    """Raise InputError for an address of MLflow that can never work, before anything is trained."""
    if uri in ("auto", "off"):
        return
    from hrnet_search.search.mirrors.address_faults import address_faults, driver_faults

    places = {"mlflow": uri}
    if faults := [*address_faults(places), *driver_faults(places)]:
        raise InputError(replace(fault, path="--mlflow") for fault in faults)


def _send(uri: str, folder: Path, terminal: Terminal) -> None:
    """Make the MLflow run of a training; one that cannot be made costs no training."""
    from hrnet_search.redaction import redacted, secrets_of
    from hrnet_search.search.mirrors.mlflow_training import OFF, send_training
    from hrnet_search.store.trainings import read_curve, read_record, read_results

    if uri == OFF:
        return
    found = read_record(folder), read_results(folder), read_curve(folder)
    try:
        send_training(uri, folder, *found)
    except Exception as error:  # whatever a server, its database or the network come up with
        what = " ".join(redacted(str(error), secrets_of(uri)).split())[:200]
        terminal.warn(f"no MLflow run, but the training is kept ({what})")


def start_of(asked: Asked) -> Start:
    """Return the config, or the trial of a study, that is asked for; raise InputError."""
    from hrnet_search.trainings.starts import is_study, of_config, of_study

    if is_study(asked.source):
        if asked.data is not None:
            wrong, allowed = "a study has data of its own", "with a config"
            raise InputError(Fault("--data", asked.data, wrong, allowed))
        return of_study(asked.source, asked.trial, asked.pick, asked.data_root)
    if is_folder(asked.source):
        wrong = "is a folder, and not a study"
        allowed = "an HRNet-library yaml, or the folder of a study"
        raise InputError(Fault("", asked.source, wrong, allowed, asked.source or "''"))
    for name, value in (("--trial", asked.trial), ("--pick", asked.pick)):
        if value is not None:
            wrong = f"{shown(asked.source, 300)} is not a study"
            raise InputError(Fault(name, value, wrong, "with the folder of a study"))
    return of_config(asked.source, asked.data, asked.data_root)


def _page(folder: Path) -> Path:
    from hrnet_search.report.page.training import write_training_page

    return write_training_page(folder)


def _tell_end(folder: Path, results: TrainingResults, page: Path, terminal: Terminal) -> None:
    from hrnet_search.progress import duration
    from hrnet_search.store.trainings import BEST, LAST, weights_file

    best, last = results.best, results.final
    if best is None or last is None:
        return
    weights = {which: str(weights_file(folder, which)) for which in (BEST, LAST)}
    lines = [
        f"done after {last.step} steps in {duration(results.wall_s)}: mIoU {last.miou:.2%}",
        f"best: {best.miou:.2%} at step {best.step}",
        *(f"weights, {which}: {path}" for which, path in weights.items()),
        f"page: {page}",
    ]
    judged = {"miou": last.miou, "best_miou": best.miou, "best_step": best.step}
    files = {"best_weights": weights[BEST], "last_weights": weights[LAST], "page": str(page)}
    told = {"training": str(folder), "step": last.step, **judged, "wall_s": results.wall_s, **files}
    terminal.told("training_ended", lines, **told, exit_code=DONE)
