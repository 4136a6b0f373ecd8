"""The command line: parse, call rooms in order, print, exit code.

Rooms are imported inside each command, so that `--help` and `check` answer at once.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search import __version__, arguments
from hrnet_search.errors import (
    Fault,
    HrnetSearchError,
    InputError,
    StorageLostError,
    briefly,
    clean,
    shown,
)
from hrnet_search.paths import absolute

if TYPE_CHECKING:
    from hrnet_search.ablation.arms import Ablation
    from hrnet_search.ablation.brain import AblationBrain
    from hrnet_search.data.inventory import Inventory
    from hrnet_search.records import Latency
    from hrnet_search.report.export.member import Member
    from hrnet_search.report.export.result import ExportOptions
    from hrnet_search.search.initial import Initial
    from hrnet_search.search.inline import Driver
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.search.study import Brain
    from hrnet_search.space.load import SpaceFile
    from hrnet_search.store.writer import StudyStore

DONE, TRIALS_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, arguments.BAD_INPUT, 130
STORAGE_LOST = StorageLostError.exit_code
UNREACHABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP)
"""Errors of a path that a user gave: no defect, wherever it was first looked at."""

RESULTS = Path("results")
EXAMPLE = "example: hrnet-search run search_spaces/quickstart.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options, unknown = parser().parse_known_args(argv)
    if unknown:
        options.parser.refuse(unknown)
    # Read when torch loads: how long a thread spins at a barrier before it sleeps. Spinning while
    # another process has the core made a training 60 times slower (docs/LOG.md).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        code: int = options.command(options)
    except StorageLostError as error:
        return _lost(str(error), options.debug)
    except HrnetSearchError as error:
        return _fail(str(error), error.exit_code, options.debug)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command again goes on", INTERRUPTED, False)
    except BrokenPipeError:  # whoever read us has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        from hrnet_search.store.files import lost_storage

        if lost := lost_storage(error, getattr(options, "output", None) or "."):
            return _lost(str(lost), options.debug)
        if isinstance(error, OSError) and error.errno in UNREACHABLE and error.filename:
            line = f"{shown(str(error.filename), 300)}: {error.strerror}"
            return _fail(line, BAD_INPUT, options.debug)
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return _fail(f"defect in hrnet-search (--debug shows where): {what}", 1, options.debug)
    return code


def parser() -> arguments.Parser:
    """Return the whole command line."""
    top = arguments.Parser(
        prog="hrnet-search",
        description="Find the HRNet to train: the front of accuracy against cost, and its configs.",
        epilog=EXAMPLE,
    )
    tracebacks = "show tracebacks"
    top.add_argument("--debug", action="store_true", help=tracebacks)
    top.add_argument("--version", action="version", version=f"hrnet-search {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (add, command) in COMMANDS.items():
        text = str(command.__doc__)
        sub = commands.add_parser(name, help=text.rstrip("."), description=text)
        # Behind the command it may stand too: what stood before it is not to be taken back.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=tracebacks)
        add(sub)
        sub.set_defaults(command=command, parser=sub)
    return top


def check(options: argparse.Namespace) -> int:
    """Look for every problem of a space file; else say how large and how dear the space is."""
    from hrnet_search.search.tracking_uri import advice_on
    from hrnet_search.space.survey import survey

    file = _load(options)
    data = _look_at_data(file)
    if file.ablation is not None:
        return _check_ablation(file, data, options.json)
    initial = _initial(file)
    initial.settled(file.schedule)
    advice = list(advice_on(file))
    decoded = _decoded_bytes(file) if data else None
    found = survey(file.space)
    if options.json:
        seen = {**_seen(data), "decoded_bytes": decoded, "initial": initial.lines}
        seen["tracking"] = advice
        print(json.dumps({"name": file.name, **seen, **asdict(found)}))
        return DONE
    _print(f"{file.name}: no problems")
    for line in _data_lines(file, data):
        _print(line)
    if decoded is not None:
        _print(_decoded_line(decoded, file.schedule.data.cache))
    for line in (*initial.lines, *advice, *found.lines()):
        _print(line)
    return DONE


def generate(options: argparse.Namespace) -> int:
    """Write N distinct valid HRNet yamls within the limits."""
    from hrnet_search.library.writer import ConfigWriter
    from hrnet_search.space import generate as generator
    from hrnet_search.store.files import write_whole, writing

    file = _load(options)
    writer, schedule = ConfigWriter.planned(file.base, file.schedule), file.schedule.id
    found = generator.generate(file.space, options.n, options.seed)
    folder = Path(options.output)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for architecture in found:
        path = folder / f"{file.name}_{architecture.id}.yaml"
        write_whole(path, writer.write(architecture, schedule).text.encode())
    _print(f"{len(found)} configs in {folder}")
    if len(found) < options.n:
        _print(f"the space has no more than {len(found)} distinct variants within its limits")
    return DONE


def profile(options: argparse.Namespace) -> int:
    """Show what configs cost: parameters, MACs, memory, and measured latency if asked."""
    from hrnet_search.profiling import profile_configs

    return BAD_INPUT if profile_configs(options) else DONE


def run(options: argparse.Namespace) -> int:
    """Search a space; the same command again goes on where it was."""
    file = _load(options)
    if file.ablation is not None:
        wrong = "is an ablation, nothing is searched"
        raise InputError(Fault("ablate", None, wrong, "allowed: hrnet-search ablate", file.path))
    _require_root(file)
    folder = _study_folder(file, options)
    brain = _search(file, folder, options)
    from hrnet_search.report.report import write_report
    from hrnet_search.report.summary import summary
    from hrnet_search.store.study import open_study

    study = open_study(folder)
    _print(f"\n{brain.why_ended}\n{summary(study, write_report(study).stamp)}")
    return TRIALS_FAILED if brain.counts["failed"] or brain.fell_short else DONE


def ablate(options: argparse.Namespace) -> int:
    """Run the ablation that a file asks for; the same command again goes on where it was."""
    file = _load(options)
    if file.ablation is None:
        wrong = "is missing, the file asks for a search"
        raise InputError(Fault("ablate", None, wrong, "allowed: hrnet-search run", file.path))
    _require_root(file)
    folder = _study_folder(file, options)
    from hrnet_search.ablation.run import ablation_of, prepare

    ablation = ablation_of(file, folder)
    for line in _data_lines(file, ablation.data):
        _print(line)
    for line in prepare(file, ablation, folder, options.reuse):
        _print(line)
    if options.plan:
        return DONE
    brain = _ablate(file, ablation, folder, options)
    from hrnet_search.report.report import write_report
    from hrnet_search.report.summary import summary
    from hrnet_search.store.study import open_study

    study = open_study(folder)
    _print(f"\n{brain.why_ended}\n{summary(study, write_report(study).stamp)}")
    return TRIALS_FAILED if brain.counts["failed"] else DONE


def report(options: argparse.Namespace) -> int:
    """Write tables, plots and one page of a study, finished or not; --compare two of them."""
    from hrnet_search.report.page.sentences import verdict
    from hrnet_search.report.report import write_compared, write_report
    from hrnet_search.report.summary import summary
    from hrnet_search.store.study import open_study

    if options.compare and len(options.study) != 2:
        wrong = f"{len(options.study)} given"
        raise InputError(Fault("--compare", options.study, wrong, "allowed: exactly two studies"))
    if options.compare and len({Path(folder).resolve() for folder in options.study}) != 2:
        wrong = f"{shown(options.study[0], 300)} is given twice"
        raise InputError(Fault("--compare", options.study, wrong, "allowed: two different studies"))
    studies = [open_study(folder) for folder in options.study]
    for study in studies:
        _print(summary(study, write_report(study).stamp))
    if options.compare:
        found, path = write_compared(*studies)
        print()
        for doubt in (*found.doubts, *found.latency_doubts):
            _print(f"doubt: {doubt}")
        _print(shown(verdict(found), 1000))
        _print(f"comparison: {path}")
    return DONE


def export(options: argparse.Namespace) -> int:
    """Write the front's files for other libraries; name what those would not run as meant."""
    from hrnet_search.report.export.result import ExportOptions
    from hrnet_search.report.export.table import export_front
    from hrnet_search.store.study import open_study

    study = open_study(options.study)
    folder = Path(options.study) / "export"
    if options.output:  # a link that the user names is meant
        folder = Path(os.path.realpath(options.output))
    size = tuple(options.size) if options.size else None
    how = ExportOptions(options.weights, options.as_is, size, options.batch)
    formats = list(dict.fromkeys(options.format.split(",")))
    if options.latency and "onnx" not in formats:
        wrong = "only ONNX files are timed here"
        raise InputError(Fault("--latency", None, wrong, "allowed: with onnx in --format"))
    measure = _onnx_latency(how) if options.latency else None
    for name, result in export_front(study, folder, formats, how, measure).items():
        _print(f"{name}: {len(result.written)} files in {folder}")
        for refusal in result.refused:
            _warn(f"{name}: refused: {refusal}")
    return DONE


def sync(options: argparse.Namespace) -> int:
    """Bring the mirrors of a study up to date."""
    from hrnet_search.search.mirrors import sync as sync_mirrors

    file = None
    if options.space is not None:
        from hrnet_search.space.load import load_space_file

        file = load_space_file(options.space)
    found = sync_mirrors(Path(options.study), _warn, file)
    if not found:
        _print("tracking is off: there is nothing to sync")
    for name, (sent, waiting) in found.items():
        _print(f"{name}: {sent} trials sent, {waiting} waiting")
    return TRIALS_FAILED if any(waiting for _, waiting in found.values()) else DONE


def repair(options: argparse.Namespace) -> int:
    """Rebuild a damaged study.db; the damaged file is kept, what is lost is said."""
    from hrnet_search.store.repair import repair as repair_study

    said, whole = repair_study(options.study, options.take_over)
    for line in said:
        _print(line)
    return DONE if whole else TRIALS_FAILED


def _onnx_latency(how: ExportOptions) -> Callable[[Path, Member], Latency]:
    """Return what times an exported file in onnxruntime, at the size its network was timed at."""
    from hrnet_search.evaluate.onnx_latency import measure_onnx
    from hrnet_search.records import LatencySpec

    def measure(path: Path, member: Member) -> Latency:
        timed = member.result.latency
        at = timed.condition if timed else LatencySpec()
        spec = LatencySpec(how.size or at.size, how.batch or at.batch)
        found = measure_onnx(path, spec, classes=member.classes)
        noisy = ", noisy" if found.noisy else ""
        _print(f"{path.name}: {found.median_ms:.3g} ms in onnxruntime on the CPU{noisy}")
        return found

    return measure


def _search(file: SpaceFile, folder: Path, options: argparse.Namespace) -> Brain:
    from rich.console import Console

    from hrnet_search.progress import watching
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.search.mirrors import Outbox
    from hrnet_search.search.run import open_store, plan_of, search
    from hrnet_search.search.trials import have_ended

    console = Console(file=sys.stdout)  # which Ray's driver sends elsewhere

    def say(text: str) -> None:
        console.print(clean(text), soft_wrap=True, highlight=False, markup=False)

    plan = plan_of(file, folder, options.trials)
    for line in _data_lines(file, plan.data):
        say(line)
    limit = file.schedule.data.cache
    if (decoded := _decoded_bytes(file)) > limit:
        say(_decoded_line(decoded, limit))
    with Interrupt() as interrupt, open_store(file, plan, folder, options.take_over) as store:
        _retry_failed(store, options, say)
        already = store.finished()
        if already:
            say(f"going on with {folder}: {have_ended(len(already))}")
        live = console.is_terminal and not options.plain
        planned = plan.trials + (plan.base is not None)
        with (
            Outbox(folder, _warn, file) as outbox,
            _driver(file, folder, store.meta(), interrupt, options, say) as driver,
            watching(
                folder, planned, plan.objectives, already, console, live, plan.initial
            ) as views,
        ):
            return search(plan, store, [*views, outbox], say, driver)


def _ablate(
    file: SpaceFile, ablation: Ablation, folder: Path, options: argparse.Namespace
) -> AblationBrain:
    from rich.console import Console

    from hrnet_search.ablation.run import ablate as run_ablation
    from hrnet_search.ablation.run import open_ablation
    from hrnet_search.progress import watching
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.search.mirrors import Outbox
    from hrnet_search.store.study import open_study

    console = Console(file=sys.stdout)

    def say(text: str) -> None:
        console.print(clean(text), soft_wrap=True, highlight=False, markup=False)

    reuse = [open_study(other) for other in options.reuse]
    gone = options.take_over
    with Interrupt() as interrupt, open_ablation(file, ablation, folder, gone) as store:
        _retry_failed(store, options, say)
        already = store.finished()
        live = console.is_terminal and not options.plain
        objectives = ("miou", "macs")
        with (
            Outbox(folder, _warn, file) as outbox,
            _driver(file, folder, store.meta(), interrupt, options, say) as driver,
            watching(
                folder, ablation.trainings, objectives, already, console, live, ablation.initial
            ) as views,
        ):
            return run_ablation(file, ablation, store, [*views, outbox], say, reuse, driver)


def _retry_failed(
    store: StudyStore, options: argparse.Namespace, say: Callable[[str], None]
) -> None:
    if options.retry_failed and (again := store.retry_failed()):
        say(f"failed trials that run again: {again}")


def _check_ablation(file: SpaceFile, data: Inventory | None, as_json: bool) -> int:
    from hrnet_search.ablation.arms import settle
    from hrnet_search.search.tracking_uri import advice_on

    initial = _initial(file)
    ablation = settle(file, file.schedule, initial.settled)
    advice = list(advice_on(file))
    if as_json:
        arms = [{"name": a.name, "id": a.architecture.id, **asdict(a.cost)} for a in ablation.arms]
        found = {"arms": arms, "trainings": ablation.trainings, "notes": ablation.notes}
        found["initial"] = initial.lines
        found["tracking"] = advice
        print(json.dumps({"name": file.name, **_seen(data), **found}))
        return DONE
    _print(f"{file.name}: no problems")
    for line in (*_data_lines(file, data), *initial.lines, *advice):
        _print(line)
    seeds = len(ablation.spec.seeds)
    _print(f"{len(ablation.distinct)} arms x {seeds} seeds = {ablation.trainings} trainings")
    for arm in ablation.arms:
        note = f", {arm.note}" if arm.note else ""
        _print(f"  {arm.name}: {arm.ratio:.1%} of the reference's MACs{note}")
    return DONE


@contextmanager
def _driver(
    file: SpaceFile,
    folder: Path,
    meta: Mapping[str, str],
    interrupt: Interrupt,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> Iterator[Driver]:
    """Yield what runs the trials: this process, or Ray if workers or a cluster are asked for."""
    if options.workers is None and not options.ray:
        from hrnet_search.search.run import Inline

        yield Inline(interrupt)
        return
    from hrnet_search.search.ray_tune.room import GIB, Asked, memory_of_a_worker
    from hrnet_search.search.ray_tune.start import ray_driver

    device, measured_on = file.latency.device, meta.get("device")
    memory = (options.memory_per_trial or 0) * GIB
    asked = Asked(
        workers=options.workers or 1,
        gpus=options.gpus_per_trial,
        address=options.ray or "",
        storage=options.storage or "",
        memory=int(memory) or memory_of_a_worker(file.space, file.schedule, device),
    )
    study = meta["study_id"]
    with ray_driver(asked, folder, study, device, measured_on, interrupt, say) as driver:
        yield driver


def _print(text: str) -> None:
    """Print what a terminal may be shown: file names are what others made of them."""
    print(clean(text))


def _warn(text: str) -> None:
    print(clean(text), file=sys.stderr)


def _load(options: argparse.Namespace) -> SpaceFile:
    from hrnet_search.space.load import load_space_file

    file = load_space_file(options.space, options.data_root)
    if options.data_root is not None and not file.schedule.data.in_files:
        _warn(f"--data-root: not used: data of kind {file.schedule.data.kind} need no files")
    return file


def _study_folder(file: SpaceFile, options: argparse.Namespace) -> Path:
    """Return where the study lies, for this process and all others."""
    return absolute(options.output or RESULTS / file.name)


def _require_root(file: SpaceFile) -> None:
    if file.schedule.data.in_files and not file.schedule.data.root:
        wrong = "the data have no root"
        raise InputError(Fault("data.root", None, wrong, "allowed: --data-root DIR", file.path))


def _look_at_data(file: SpaceFile) -> Inventory | None:
    """Raise DataError for what is wrong with the data; None if nobody says where they are."""
    if file.schedule.data.in_files and not file.schedule.data.root:
        return None
    from hrnet_search.data.dataset import inspect_data

    return inspect_data(file)


def _seen(data: Inventory | None) -> dict[str, object]:
    """Return what was seen of the data, for programs to read."""
    return {"data_looked_at": data is not None, "data": asdict(data) if data else None}


def _data_lines(file: SpaceFile, data: Inventory | None) -> Iterator[str]:
    if data is None:
        yield "the data were not looked at: no root (--data-root DIR)"
    else:
        yield from data.lines(file.schedule.data)


def _initial(file: SpaceFile) -> Initial:
    """Return what `check` looks at initial weights with: as a run in the usual folder does."""
    from hrnet_search.search.initial import Initial

    return Initial(file, RESULTS / file.name, elsewhere=True)


def _decoded_bytes(file: SpaceFile) -> int:
    from hrnet_search.data.cache import decoded_bytes

    return decoded_bytes(file.schedule.data)


def _decoded_line(taken: int, limit: int) -> str:
    """Return how large the decoded images are, and what that means for a study."""
    if taken > limit:
        kept = f"more than data.cache allows ({limit / 1e9:.3g} GB): decoded on every access"
    else:
        kept = "kept in the study's folder"
    size = f"{taken / 1e9:.3g} GB" if taken >= 1e9 else f"{taken / 1e6:.3g} MB"
    return f"decoded images: {size}, {kept}"


def _lost(text: str, debug: bool) -> int:
    return _fail(f"{text}; when this is fixed, the same command goes on", STORAGE_LOST, debug)


def _fail(text: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        _warn(traceback.format_exc().rstrip())
    for line in briefly(text.splitlines() or ["failed"]):
        _warn(line)
    return code


Command = tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
COMMANDS: dict[str, Command] = {
    "check": (arguments.add_check, check),
    "generate": (arguments.add_generate, generate),
    "profile": (arguments.add_profile, profile),
    "run": (arguments.add_run, run),
    "ablate": (arguments.add_ablate, ablate),
    "report": (arguments.add_report, report),
    "export": (arguments.add_export, export),
    "sync": (arguments.add_sync, sync),
    "repair": (arguments.add_repair, repair),
}

if __name__ == "__main__":
    sys.exit(main())
