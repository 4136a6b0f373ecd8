"""Whether a plain loop on exported files finds the latencies of a study's front.

    python -m benchmarks.reproduced search_spaces/camvid.yaml --data-root CAMVID
        [--runtime onnxruntime command] [--trials 8] [--steps 30]

For each runtime the space is searched, its trainings cut to a few steps, and the front is exported
as ONNX files. A loop that knows nothing of the instrument then times each file, and the reference
network's after it, each in a process of its own: the median of 100 calls in a row. Ten such turns
give ten ratios; their median and 95% interval (a bootstrap of turns) are printed next to the
study's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

import hrnet_search
from hrnet_search.evaluate.latency.kept import OFF, VARIABLE
from hrnet_search.evaluate.latency.reference_network import reference_network
from hrnet_search.export.member import Member, front_of
from hrnet_search.export.onnx_file import export_onnx
from hrnet_search.export.result import ExportOptions
from hrnet_search.net.onnx_model import to_onnx
from hrnet_search.store.study import Study

BENCH = [sys.executable, str(Path(__file__).parent / "onnx_bench.py"), "{onnx}"]
TURNS, RESAMPLES = 10, 1000

LOOP = """
import statistics, sys, time
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
session = onnxruntime.InferenceSession(sys.argv[1], options, ["CPUExecutionProvider"])
(images,) = session.get_inputs()
values = {images.name: numpy.random.default_rng(0).random(images.shape, numpy.float32)}
times = []
for _ in range(120):
    start = time.perf_counter()
    session.run(None, values)
    times.append(time.perf_counter() - start)
print(statistics.median(times[20:]))
"""


def main() -> None:
    options = parse()
    os.environ[VARIABLE] = OFF  # each is measured now
    print("| runtime | network | study | 95% | closed | plain loop | 95% | overlap |")
    print("| --- | --- | --: | --- | --- | --: | --- | --- |")
    for runtime in options.runtime:
        with tempfile.TemporaryDirectory() as folder:
            study = searched(options, runtime, Path(folder))
            for member in front_of(study):
                print(row(study, member, runtime, Path(folder)), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("space", type=Path)
    add("--data-root", type=Path)
    add("--runtime", nargs="+", default=["onnxruntime", "command"])
    add("--trials", type=int, default=8)
    add("--steps", type=int, default=30)
    add("--seconds", type=float, default=10.0)
    return parser.parse_args()


def searched(options: argparse.Namespace, runtime: str, folder: Path) -> Study:
    """Search a space with its latencies by a runtime, and short trainings."""
    content = yaml.safe_load(options.space.read_text())
    content["base"] = str((options.space.parent / content["base"]).resolve())
    content["schedule"]["steps"] = options.steps
    content["latency"] |= {"runtime": runtime, "seconds": options.seconds}
    content["search"] |= {"confirm": 0.0}
    content["tracking"] = {"mlflow": "off"}
    if runtime == "command":
        content["latency"]["command"] = BENCH
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(content))
    trials, root = options.trials, options.data_root
    return hrnet_search.run(path, folder / "study", trials, data_root=root)


def row(study: Study, member: Member, runtime: str, folder: Path) -> str:
    """Return a line of the table: what the study says of a network, and what a loop finds."""
    found = next(
        result.latency
        for ask, result in study.ended()
        if ask.architecture == member.architecture and result.latency
    )
    size, batch = found.condition.size, found.condition.batch
    result = export_onnx(member, folder, ExportOptions(size=size, batch=batch))
    assert result.written, result.refused
    reference = folder / "reference.onnx"
    if not reference.exists():
        model = to_onnx(reference_network(member.classes), size, batch)
        reference.write_bytes(model.SerializeToString())
    files = result.written[0], reference
    ratio, low, high = ratio_of(*files, found.condition.threads)
    overlap = low <= found.ratio_high and found.ratio_low <= high
    return (
        f"| {runtime} | {member.stem} | {found.ratio:.3f} |"
        f" {found.ratio_low:.3f} to {found.ratio_high:.3f} | {'no' if found.noisy else 'yes'} |"
        f" {ratio:.3f} | {low:.3f} to {high:.3f} | {'yes' if overlap else 'no'} |"
    )


def ratio_of(one: Path, other: Path, threads: int) -> tuple[float, float, float]:
    """Return the ratio of two files' times by the plain loop, and its 95% interval over turns."""
    ratios = np.array([timed(one, threads) / timed(other, threads) for _ in range(TURNS)])
    chosen = np.random.default_rng(0).integers(TURNS, size=(RESAMPLES, TURNS))
    low, high = np.quantile(np.median(ratios[chosen], axis=1), [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def timed(path: Path, threads: int) -> float:
    """Return the median seconds of an inference, in a process of its own."""
    command = [sys.executable, "-c", LOOP, str(path), str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
