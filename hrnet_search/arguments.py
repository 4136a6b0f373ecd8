"""What each command takes from the command line."""

from __future__ import annotations

import argparse


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive, allowed: 1 or more")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not allowed, allowed: 0 or more")
    return number


def add_space(sub: argparse.ArgumentParser) -> None:
    """Take a space file, and where its data lie."""
    sub.add_argument("space", metavar="SPACE", help="space file (yaml)")
    sub.add_argument("--data-root", metavar="DIR", help="where the images and masks lie")


def add_check(sub: argparse.ArgumentParser) -> None:
    """Take what `check` does."""
    add_space(sub)
    sub.add_argument("--json", action="store_true", help="for programs to read")


def add_generate(sub: argparse.ArgumentParser) -> None:
    """Take what `generate` does."""
    add_space(sub)
    sub.add_argument("-n", type=_positive, required=True, metavar="N", help="how many")
    sub.add_argument("--seed", type=int, default=0, metavar="S", help="of the draw (0)")
    sub.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the yamls")


def add_profile(sub: argparse.ArgumentParser) -> None:
    """Take what `profile` does."""
    add = sub.add_argument
    add("config", nargs="+", metavar="CONFIG", help="HRNet-library yaml")
    size = {"nargs": 2, "type": int, "default": (1024, 2048), "metavar": ("H", "W")}
    add("--size", help="image size in pixels (1024 2048)", **size)  # type: ignore[arg-type]
    add("--classes", type=_positive, metavar="K", help="instead of the config's")
    add("--by-stage", action="store_true", help="also by stage, branch and operation")
    add("--batch", type=int, default=1, help="images of an inference (1)")
    add("--train-batch", type=int, default=8, metavar="N", help="images of a training step (8)")
    add("--latency", action="store_true", help="measure it too (loads torch)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--mode", default="auto", help="auto, eager, cudagraph or compile")
    add("--precision", default="fp32", help="fp32, fp16 or bf16")
    add("--threads", type=int, default=0, help="of the CPU (0: all cores but one)")
    add("--seconds", type=float, default=5.0, help="cap on one measurement (5)")
    add("--throughput", type=int, default=0, metavar="N", help="images a second at this batch too")
    add("--again", action="store_true", help="measure what was measured before")
    add("--json", action="store_true", help="for programs to read")


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
    ray.add_argument("--storage", metavar="URL", help=storage)


def add_run(sub: argparse.ArgumentParser) -> None:
    """Take what `run` does."""
    add_space(sub)
    sub.add_argument("-o", "--output", metavar="STUDY", help="study folder (results/NAME)")
    sub.add_argument("--trials", type=_positive, metavar="N", help="instead of the file's")
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    add_workers(sub)


def add_ablate(sub: argparse.ArgumentParser) -> None:
    """Take what `ablate` does."""
    add_space(sub)
    sub.add_argument("-o", "--output", metavar="STUDY", help="study folder (results/NAME)")
    sub.add_argument("--plan", action="store_true", help="say what it takes and can show, and end")
    sub.add_argument(
        "--reuse", action="append", default=[], metavar="STUDY",
        help="take over finished trials of another study (may be repeated)",
    )  # fmt: skip
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    add_workers(sub)


def add_study(sub: argparse.ArgumentParser) -> None:
    """Take one study."""
    sub.add_argument("study", metavar="STUDY", help="study folder")


def add_report(sub: argparse.ArgumentParser) -> None:
    """Take what `report` does."""
    sub.add_argument("study", nargs="+", metavar="STUDY", help="study folder")
    sub.add_argument("--compare", action="store_true", help="lay the fronts of two studies over")


def add_export(sub: argparse.ArgumentParser) -> None:
    """Take what `export` does."""
    add_study(sub)
    sub.add_argument("-o", "--output", metavar="DIR", help="folder for the files (STUDY/export)")
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
