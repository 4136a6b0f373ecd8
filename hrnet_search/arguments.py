"""What each command takes from the command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from hrnet_search.device_names import DEVICES, is_device
from hrnet_search.errors import clean, nearest, shown
from hrnet_search.paths import expanded

N = TypeVar("N", int, float)
BAD_INPUT = 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line that names the command and where it is explained."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        self.exit(BAD_INPUT, self._line(message))

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Say which of these words are not known, and leave.

        Words beside unknown options are most likely their values.
        """
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not options:
            self.error(f"{shown(' '.join(words))} is more than it takes")
        wrong = (f"{shown(option)} is not a known option{self._near(option)}" for option in options)
        self.exit(BAD_INPUT, "".join(map(self._line, wrong)))

    def _line(self, message: str) -> str:
        return f"{self.prog}: {clean(message)} ({self.prog} --help)\n"

    def _near(self, option: str) -> str:
        return nearest(option, list(self._option_string_actions))


def _read(
    kind: Callable[[str], N], text: str, fits: Callable[[N], bool], wrong: str, allowed: str
) -> N:
    """Return a number; what is none is said to be none."""
    try:
        number = kind(text)
    except ValueError:
        wrong = "is not an integer" if kind is int else "is not a number"
    else:
        if fits(number):
            return number
    raise argparse.ArgumentTypeError(f"{shown(text)} {wrong}, allowed: {allowed}")


def _positive(text: str) -> int:
    return _read(int, text, lambda n: n > 0, "is not positive", "1 or more")


def _whole(text: str) -> int:
    return _read(int, text, lambda n: n >= 0, "is not allowed", "an integer of at least 0")


def _integer(text: str) -> int:
    return _read(int, text, lambda _: True, "", "an integer")


def _number(text: str) -> float:
    return _read(float, text, math.isfinite, "is not a number", "a number")


def _share(text: str) -> float:
    return _read(float, text, lambda n: 0 <= n < 1e6, "is not allowed", "0 or more, below 1e6")


def _device(text: str) -> str:
    if is_device(text):
        return text
    wrong = f"{shown(text)} is not known, allowed: {DEVICES}"
    raise argparse.ArgumentTypeError(wrong)


def add_space(sub: argparse.ArgumentParser) -> None:
    """Take a space file, and where its data lie."""
    sub.add_argument("space", type=expanded, metavar="SPACE", help="space file (yaml)")
    sub.add_argument(
        "--data-root", type=expanded, metavar="DIR", help="where the images and masks lie"
    )


def add_check(sub: argparse.ArgumentParser) -> None:
    """Take what `check` does."""
    add_space(sub)
    sub.add_argument("--json", action="store_true", help="for programs to read")


def add_generate(sub: argparse.ArgumentParser) -> None:
    """Take what `generate` does."""
    add_space(sub)
    sub.add_argument("-n", type=_positive, required=True, metavar="N", help="how many")
    sub.add_argument("--seed", type=_whole, default=0, metavar="S", help="of the draw (0)")
    sub.add_argument(
        "-o", "--output", required=True, type=expanded, metavar="DIR", help="folder for the yamls"
    )


def add_profile(sub: argparse.ArgumentParser) -> None:
    """Take what `profile` does."""
    add = sub.add_argument
    add("config", nargs="+", type=expanded, metavar="CONFIG", help="HRNet-library yaml")
    size = {"nargs": 2, "type": _integer, "default": (1024, 2048), "metavar": ("H", "W")}
    add("--size", help="image size in pixels (1024 2048)", **size)  # type: ignore[arg-type]
    add("--classes", type=_positive, metavar="K", help="instead of the config's")
    add("--by-stage", action="store_true", help="also by stage, branch and operation")
    add("--batch", type=_integer, default=1, help="images of an inference (1)")
    training = "images of a training step (8)"
    add("--train-batch", type=_integer, default=8, metavar="N", help=training)
    add("--latency", action="store_true", help="measure it too (loads torch)")
    add("--device", type=_device, default="auto", help=DEVICES)
    add("--mode", default="auto", help="auto, eager, cudagraph or compile")
    add("--precision", default="fp32", help="fp32, fp16 or bf16")
    add("--threads", type=_integer, default=0, help="of the CPU (0: all cores but one)")
    add("--seconds", type=_number, default=5.0, help="cap on one measurement (5)")
    throughput = "images a second at this batch too"
    add("--throughput", type=_integer, default=0, metavar="N", help=throughput)
    add("--again", action="store_true", help="measure what was measured before")
    add("--json", action="store_true", help="for programs to read")


def add_take_over(sub: argparse.ArgumentParser) -> None:
    """Take whether a driver that cannot be looked at is known to be gone."""
    gone = "the driver on another host, which holds the study, is known to be gone"
    sub.add_argument("--take-over", action="store_true", help=gone)


def add_retry_failed(sub: argparse.ArgumentParser) -> None:
    """Take whether what failed in an earlier run is tried again."""
    sub.add_argument("--retry-failed", action="store_true", help="run trials that failed again")


def add_workers(sub: argparse.ArgumentParser) -> None:
    """Take how many trials run at once, and where."""
    ray = sub.add_argument_group("several workers (docs/cluster.md)")
    ray.add_argument("--workers", type=_positive, metavar="N", help="trials at once, through Ray")
    gpus = "share of a GPU for each trial (1 where there are GPUs)"
    ray.add_argument("--gpus-per-trial", type=_share, metavar="G", help=gpus)
    memory = "what one worker may use, in GiB (estimated, 2 or more)"
    ray.add_argument("--memory-per-trial", type=_share, metavar="M", help=memory)
    address = "join this Ray cluster (without it, --workers starts one on this machine)"
    ray.add_argument("--ray", metavar="ADDRESS", help=address)
    storage = "path or URL that all nodes see, if they do not see the study folder"
    ray.add_argument("--storage", type=expanded, metavar="URL", help=storage)


def add_run(sub: argparse.ArgumentParser) -> None:
    """Take what `run` does."""
    add_space(sub)
    sub.add_argument(
        "-o", "--output", type=expanded, metavar="STUDY", help="study folder (results/NAME)"
    )
    sub.add_argument("--trials", type=_positive, metavar="N", help="instead of the file's")
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    add_take_over(sub)
    add_retry_failed(sub)
    add_workers(sub)


def add_ablate(sub: argparse.ArgumentParser) -> None:
    """Take what `ablate` does."""
    add_space(sub)
    sub.add_argument(
        "-o", "--output", type=expanded, metavar="STUDY", help="study folder (results/NAME)"
    )
    sub.add_argument("--plan", action="store_true", help="say what it takes and can show, and end")
    sub.add_argument(
        "--reuse", action="append", default=[], type=expanded, metavar="STUDY",
        help="take over finished trials of another study (may be repeated)",
    )  # fmt: skip
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    add_take_over(sub)
    add_retry_failed(sub)
    add_workers(sub)


def add_study(sub: argparse.ArgumentParser) -> None:
    """Take one study."""
    sub.add_argument("study", type=expanded, metavar="STUDY", help="study folder")


def add_sync(sub: argparse.ArgumentParser) -> None:
    """Take what `sync` does."""
    add_study(sub)
    space = "its space file, for the passwords in it, which the study does not keep"
    sub.add_argument("--space", type=expanded, metavar="SPACE", help=space)


def add_repair(sub: argparse.ArgumentParser) -> None:
    """Take what `repair` does."""
    add_study(sub)
    add_take_over(sub)


def add_report(sub: argparse.ArgumentParser) -> None:
    """Take what `report` does."""
    sub.add_argument("study", nargs="+", type=expanded, metavar="STUDY", help="study folder")
    sub.add_argument("--compare", action="store_true", help="lay the fronts of two studies over")


def add_export(sub: argparse.ArgumentParser) -> None:
    """Take what `export` does."""
    add_study(sub)
    sub.add_argument(
        "-o", "--output", type=expanded, metavar="DIR", help="folder for the files (STUDY/export)"
    )
    sub.add_argument(
        "--format",
        default="hrnet",
        help="hrnet, mmseg, onnx, safetensors; with commas between (hrnet)",
    )
    sub.add_argument("--latency", action="store_true", help="measure ONNX files in onnxruntime")
    sub.add_argument("--weights", action="store_true", help="trained weights beside the configs")
    sub.add_argument("--as-is", action="store_true", help="also what the target would change")
    size = {"nargs": 2, "type": _positive, "metavar": ("H", "W")}
    sub.add_argument("--size", help="fix the image size of ONNX files (open)", **size)  # type: ignore[arg-type]
    sub.add_argument("--batch", type=_positive, metavar="N", help="fix their batch (open)")
