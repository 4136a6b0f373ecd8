"""What the cache of decoded images saves: decoding a split against building and opening it.

python benchmarks/data_cache.py SPACE --data-root DIR [--repeats 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hrnet_search.data.cache import Unkept, open_cache
from hrnet_search.data.dataset import open_dataset
from hrnet_search.data.decoded import decode_all
from hrnet_search.space.load import load_space_file


def seconds(act: Callable[[], object]) -> float:
    start = time.monotonic()
    act()
    return time.monotonic() - start


def measure(space: str, root: str | None, repeats: int) -> None:
    """Print the median seconds of each way to come by the training split's images."""
    spec = load_space_file(space, root).schedule.data
    dataset = open_dataset(spec, "train")
    rows: dict[str, list[float]] = {"decode into memory": [], "build": [], "open": []}
    for _ in range(repeats):
        rows["decode into memory"].append(seconds(lambda: decode_all(dataset)))
        with tempfile.TemporaryDirectory() as folder:
            for row in ("build", "open"):
                rows[row].append(seconds(partial(open_cache, dataset, Path(folder), spec.cache)))
            kept = open_cache(dataset, Path(folder), spec.cache)
            if isinstance(kept, Unkept):
                raise SystemExit(kept.reason)
            size = kept.nbytes
    print(f"{len(dataset)} images, {size / 1e6:.1f} MB, medians of {repeats}")
    for row, taken in rows.items():
        print(f"{row:20} {statistics.median(taken):8.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space")
    parser.add_argument("--data-root")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    measure(options.space, options.data_root, options.repeats)
