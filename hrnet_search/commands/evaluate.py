"""`evaluate`: a network with its weights, judged as the official test script does, and better."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_search.commands.arguments import device, named, number, offer, output, positive, whole
from hrnet_search.commands.driver import spin_less
from hrnet_search.commands.outcome import DONE, say, say_as_it_is
from hrnet_search.commands.train import Asked, start_of
from hrnet_search.device_names import DEVICE_WORDS, DEVICES
from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.paths import absolute, expanded, is_folder
from hrnet_search.told import Told, nobody

if TYPE_CHECKING:
    from hrnet_search.evaluate.inference import Protocol
    from hrnet_search.records.schedule import Schedule
    from hrnet_search.trainings.judged import Judged
    from hrnet_search.trainings.models import Model

Size = tuple[int, int]
WRITTEN = ("evaluation.json", "evaluation.npz", "classes.csv", "confusion.csv")
"""What -o writes; the first says that the others are of an evaluation."""

WHICH = ("best", "last")


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `evaluate`."""
    add = sub.add_argument
    what = "HRNet-library yaml, or the folder of a training or a study"
    add("source", type=named, metavar="CONFIG|DIR", help=what)
    add("--weights", type=named, metavar="FILE", help="weights (those of the folder)")
    which = "which weights of a training: best (its highest mIoU; the default) or last"
    add("--which", choices=WHICH, help=which)
    one = sub.add_mutually_exclusive_group()
    one.add_argument("--trial", type=whole, metavar="N", help="which trial of a study")
    one.add_argument(
        "--pick", metavar="BUDGET", help="the best within a budget, as 'latency_ms<=20'"
    )
    space = "space file whose data section says on what a config is judged"
    add("--data", type=named, metavar="SPACE", help=space)
    add("--data-root", type=named, metavar="DIR", help="where the images and masks are")
    _add_protocol(sub)
    add("--batch", type=positive, metavar="N", help="images at once")
    offer(add("--device", type=device, default="auto", help=DEVICES), lambda: DEVICE_WORDS)
    add("--no-boundary", action="store_true", help="leave the boundary F-score out")
    add("-o", "--output", type=output, metavar="DIR", help="write tables and decisions there")
    add("--json", action="store_true", help="for programs to read")
    add("--plain", action="store_true", help="plain lines on a terminal too")


def _add_protocol(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("how images are decided on (whole, once; a config: its TEST)")
    add = group.add_argument
    flip = argparse.BooleanOptionalAction
    add("--flip", action=flip, default=None, help="add the mirror image of each")
    add("--scales", nargs="+", type=number, metavar="S", help="decide at each of these scales")
    size = {"nargs": 2, "type": positive, "metavar": ("H", "W")}
    add("--window", help="in windows of this size", **size)  # type: ignore[arg-type]
    add("--stride", help="from window to window (2/3 of it)", **size)  # type: ignore[arg-type]
    long_side = "pixels of an image's longer side at a scale of 1 (0: as it is stored)"
    add("--base-size", type=whole, metavar="N", help=long_side)
    add("--whole", action="store_true", help="whole images, also where a config has windows")


def command(options: argparse.Namespace) -> int:
    """Judge a network with its weights on validation images: figures with intervals, by class."""
    asked = Asked(
        options.source, None, options.trial, options.pick, options.data, options.data_root,
        options.device,
    )  # fmt: skip
    how = {
        "flip": options.flip,
        "scales": options.scales,
        "window": options.window,
        "stride": options.stride,
        "base_size": options.base_size,
        "whole": options.whole,
    }
    boundary = not options.no_boundary
    if options.output:
        _require_own(absolute(options.output))
    from hrnet_search.commands.terminal import Quiet, Terminal
    from hrnet_search.commands.working import working

    terminal = Quiet() if options.json else Terminal(options.plain)
    with working(terminal) as told:
        found = _judged(asked, options.weights, options.which, how, options.batch, boundary, told)
    if options.output:
        _write(found, absolute(options.output))
    if options.json:
        say_as_it_is(json.dumps(found.plain()))
        return DONE
    for line in found.lines():
        say(line)
    if options.output:
        say(f"written: {absolute(options.output)}")
    return DONE


def evaluate(
    source: str | Path,
    weights: str | Path | None = None,
    *,
    which: str | None = None,
    trial: int | None = None,
    pick: str | None = None,
    data: str | Path | None = None,
    data_root: str | Path | None = None,
    flip: bool | None = None,
    scales: tuple[float, ...] | None = None,
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    base_size: int | None = None,
    whole: bool = False,
    batch: int | None = None,
    device: str = "auto",
    boundary: bool = True,
) -> Judged:
    """Judge the network of a config, a training or a study with `weights` on validation images.

    Without `weights` they are those of the training (`which` is best, if not given, or last) or of
    the trial. A config is judged as its TEST section says, on whole images if `whole`; all else on
    whole images, once. Sizes are (height, width). The result has `figures` with `intervals` over
    images, `evaluation` with a confusion matrix an image, and `plain()` for programs. Raise
    InputError, DataError, WeightsError or StudyError for input that is wrong.
    """
    places = (None if p is None else expanded(str(p)) for p in (weights, data, data_root))
    file, data_file, root = places
    asked = Asked(expanded(str(source)), None, trial, pick, data_file, root, device)
    how = {
        "flip": flip, "scales": scales, "window": window, "stride": stride,
        "base_size": base_size, "whole": whole,
    }  # fmt: skip
    return _judged(asked, file, which, how, batch, boundary)


def _judged(
    asked: Asked,
    weights: str | None,
    which: str | None,
    how: dict[str, Any],
    batch: int | None,
    boundary: bool,
    told: Told = nobody,
) -> Judged:
    spin_less()
    from hrnet_search.trainings.judged import judge

    require_batch(batch)
    from hrnet_search.search.identity import kept_contents

    model, schedule, protocol, notes = _opened(asked, weights, which)
    own = is_folder(asked.source)
    begun = kept_contents(Path(asked.source)) if own else ()
    how_judged = protocol_with(how, protocol)
    return judge(model, schedule, how_judged, batch, boundary, begun, notes, told)


def require_batch(batch: int | None) -> None:
    """Raise InputError for more images at once than a space file may ask for, or for none."""
    from hrnet_search.space.kinds import beyond
    from hrnet_search.space.sections import bounds_of

    if faults := list(beyond("--batch", batch, bounds_of("batch"))):
        raise InputError(faults)


JUDGED_BY = ("TEST.NUM_SAMPLES", "TEST.OUTPUT_INDEX", "DATASET.", "ALIGN_CORNERS")
"""Keys of a config that a judgement goes by; others are of its training."""


def _opened(
    asked: Asked, weights: str | None, which: str | None
) -> tuple[Model, Schedule, Protocol, tuple[str, ...]]:
    """Return what judges, on which data, and how unless it is asked for otherwise.

    And what is to be said of how a config is judged.
    """
    from hrnet_search.evaluate.inference import Protocol
    from hrnet_search.store.kept import no_weights, weights_path
    from hrnet_search.store.trainings import is_training
    from hrnet_search.trainings.judged import protocol_of
    from hrnet_search.trainings.models import of_start, of_training
    from hrnet_search.trainings.starts import is_study, rule_of, with_root

    file = None if weights is None else Path(weights)
    best_or_last = chosen(which, asked.source, weights)
    if is_training(asked.source):
        _require_plain(asked)
        model = of_training(asked.source, best_or_last, asked.device, file)
        return model, with_root(model.schedule, asked.data_root), Protocol(), ()
    start = start_of(asked)
    if is_study(asked.source):
        folder, key = Path(asked.source), start.origin["key"]
        path = file or weights_path(folder, key)
        if file is None and not path.is_file():
            raise no_weights(folder, key)
        return of_start(start, path, asked.device), start.schedule, Protocol(), ()
    if file is None:
        wrong, allowed = "a config has no weights", "--weights FILE"
        raise InputError(Fault("--weights", None, wrong, allowed, asked.source))
    protocol = Protocol() if asked.data else protocol_of(rule_of(start))
    said = tuple(note for note in start.notes if any(word in note for word in JUDGED_BY))
    return of_start(start, file, asked.device), start.schedule, protocol, said


def chosen(which: str | None, source: str, weights: str | None = None) -> str:
    """Return which weights of a training are meant; raise InputError where there is no choice."""
    from hrnet_search.store.trainings import is_training

    if which is None:
        return WHICH[0]
    if which not in WHICH:
        wrong, allowed = f"{shown(which)} is not known", ", ".join(WHICH)
    elif weights is not None:
        wrong, allowed = f"{which} is not used with --weights", "one of the two"
    elif not is_training(source):
        wrong = f"{shown(source, 300)} is not a training"
        allowed = "with the folder of a training"
    else:
        return which
    raise InputError(Fault("--which", which, wrong, allowed))


def _require_plain(asked: Asked) -> None:
    """Raise InputError for what chooses a network or data where a training has its own."""
    given = {"--trial": asked.trial, "--pick": asked.pick, "--data": asked.data}
    wrong = f"{shown(asked.source, 300)} is a training, with a network and data of its own"
    allowed = {"--data": "with a config"}
    faults = [
        Fault(name, value, wrong, allowed.get(name, "with the folder of a study"))
        for name, value in given.items()
        if value is not None
    ]
    if faults:
        raise InputError(faults)


def protocol_with(how: Mapping[str, Any], protocol: Protocol | None = None) -> Protocol:
    """Return a protocol, whole images once if none is given, with what is asked for in it.

    What is None stays as it is. Raise InputError for what cannot be.
    """
    from hrnet_search.evaluate.inference import Protocol

    asked = {key: value for key, value in how.items() if value is not None}
    _check_sizes(asked)
    if asked.get("whole") and (parts := asked.keys() & {"window", "stride"}):
        name = min(parts)
        raise InputError(
            Fault(f"--{name}", None, "does not go with --whole, which decides images whole", "one")
        )
    given: dict[str, Any] = {key: asked[key] for key in ("flip",) if key in asked}
    if asked.get("whole"):
        given |= {"window": None, "stride": None}
    if "scales" in asked:
        given["scales"] = _scales(asked["scales"])
    if "base_size" in asked:
        given["long_side"] = asked["base_size"]
    if "window" in asked:
        given |= {"window": tuple(asked["window"]), "stride": None}
    if "stride" in asked:
        given["stride"] = tuple(asked["stride"])
    if asked.keys() & {"window", "stride"}:
        given |= {"whole_up_to": 0.0, "shifted": False}
    found = replace(protocol or Protocol(), **given)
    _check_longest(found)
    _check_stride(found)
    return found


def _scales(given: Sequence[float] | float) -> tuple[float, ...]:
    from hrnet_search.library.schedule import MOST_SCALE

    scales = tuple(map(float, [given] if isinstance(given, int | float) else given))
    if scales and all(0 < scale <= MOST_SCALE for scale in scales):
        return scales
    wrong, allowed = f"{shown(list(scales))} are not scales", f"above 0, at most {MOST_SCALE}"
    raise InputError(Fault("--scales", scales, wrong, allowed))


def _check_sizes(asked: Mapping[str, Any]) -> None:
    """Raise InputError for sizes that no image may have in a space file either."""
    from hrnet_search.space.kinds import Bounds, Integer, Size, beyond
    from hrnet_search.space.reader import PIXELS

    bounds: dict[str, Bounds] = {
        "window": Size(1),
        "stride": Size(1),
        "base_size": Integer(0, PIXELS),
    }
    faults = [
        fault
        for name, kind in bounds.items()
        for fault in beyond(f"--{name.replace('_', '-')}", asked.get(name), kind)
    ]
    if faults:
        raise InputError(faults)


def _check_longest(protocol: Protocol) -> None:
    """Raise InputError for images that would be enlarged beyond what any image may have."""
    from hrnet_search.space.reader import PIXELS

    side, scale = protocol.long_side, max(protocol.scales)
    if side * scale > PIXELS:
        wrong = f"{side} pixels at a scale of {scale:g} are {side * scale:.0f}"
        raise InputError(Fault("--base-size", side, wrong, f"at most {PIXELS} at every scale"))


def _check_stride(protocol: Protocol) -> None:
    stride, window = protocol.stride, protocol.window
    if stride is None:
        return
    if window is None:
        wrong = "is of windows, and there are none"
        raise InputError(Fault("--stride", stride, wrong, "with --window H W"))
    if stride[0] > window[0] or stride[1] > window[1]:
        wrong = f"{list(stride)} leaves pixels out between windows of {list(window)}"
        raise InputError(Fault("--stride", stride, wrong, "at most the window"))


def _require_own(folder: Path) -> None:
    """Raise InputError where what is written would replace a file that is of something else."""
    there = [folder / name for name in WRITTEN if (folder / name).exists()]
    if there and not _is_evaluation(folder / WRITTEN[0]):
        wrong = f"{there[0]} is there already, and `evaluate` has not written it"
        raise InputError(Fault("-o", str(folder), wrong, "another folder", str(folder)))


def _is_evaluation(path: Path) -> bool:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"weights", "protocol", "classes"} <= found.keys()


def _write(found: Judged, folder: Path) -> None:
    """Write an evaluation's tables, decisions and figures into a folder."""
    from hrnet_search.evaluate.training.artifacts import decision_bytes
    from hrnet_search.files import write_file

    for name, content in found.tables().items():
        write_file(folder / name, content)
    text = json.dumps(found.plain(), indent=1) + "\n"
    write_file(folder / WRITTEN[0], text.encode())
    decided = found.evaluation
    content = decision_bytes(decided.confusions, decided.previews, {})
    write_file(folder / "evaluation.npz", content)
