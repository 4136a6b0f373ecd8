"""The table of configs, and what follows from their latencies: inversions and widths."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.arch.cost_table import cost_table
from hrnet_search.commands.profile_table import Profile, as_json, inversions, roundings, table
from hrnet_search.records.latency import Latency

SIZE = (64, 64)


def latency(ratio: float, spread: float = 0.01, **more: object) -> Latency:
    found = result(0).latency
    assert found is not None
    intervals = {"ratio": ratio, "ratio_low": ratio - spread, "ratio_high": ratio + spread}
    times = {"median_ms": 2 * ratio, "low_ms": 1.9 * ratio, "high_ms": 2.1 * ratio}
    return replace(found, **{**intervals, **times, "p95_ms": 3 * ratio, **more})  # type: ignore[arg-type]


def profile(
    architecture: Architecture | int, ratio: float | None = None, **more: object
) -> Profile:
    if isinstance(architecture, int):
        architecture = network(architecture)
    found = Profile(
        config=f"configs/w{architecture.width}.yaml",
        name=f"w{architecture.width}",
        architecture=architecture,
        cost=cost(architecture, SIZE, 8),
        inference_bytes=123_000_000,
        training_bytes=4_560_000_000,
        latency=None if ratio is None else latency(ratio),
    )
    return replace(found, **more)  # type: ignore[arg-type]


def test_an_inversion_is_slower_with_fewer_macs_beyond_both_intervals() -> None:
    slow, fast, fair = profile(6, 3.0), profile(8, 2.5), profile(10, 2.99)
    assert inversions([slow, fast, fair]) == [(slow, fast)]  # 2.99 overlaps
    assert inversions([profile(6, 1.0), profile(8, 2.0)]) == []
    assert inversions([slow, profile(8)]) == []  # not measured


def _steady(width: int, ratio: float) -> Profile:
    return profile(width, latency=latency(ratio, spread=0.002))


def test_intervals_too_wide_to_tell_give_no_advice() -> None:
    wide = [profile(width, latency=latency(1.0, spread=0.3)) for width in (6, 8)]
    line = next(iter(roundings(wide))).line()
    assert "what it costs is from -46.2% to +85.7%" in line
    assert "round up" not in line


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.002, "costs nothing (at most 0.6%)"),
        (0.9, "is 10.0% faster"),
        (1.2, "costs 20.0% latency"),
        (1.03, "costs 3.0% latency"),
    ],
)
def test_rounding_a_width_up_says_what_it_does(ratio: float, said: str) -> None:
    found = list(roundings([_steady(6, 1.0), _steady(8, ratio)]))
    assert [(r.narrow.name, r.wide.name, r.multiple) for r in found] == [("w6", "w8", 8)]
    assert said in found[0].line()
    assert ("round up" in found[0].line()) is (ratio < 1.005)
    assert "more MACs" in found[0].line()


def test_a_latency_that_did_not_close_advises_nothing() -> None:
    noisy = profile(6, latency=latency(3.0, noisy=True))
    fast, wide = profile(8, 2.5), profile(10, 2.0)
    assert inversions([noisy, fast]) == []
    assert inversions([profile(6, 3.0), replace(fast, latency=latency(2.5, noisy=True))]) == []
    (rounding,) = roundings([noisy, fast])
    assert rounding.line().endswith("not judged, noisy: w6")
    text = table([noisy, fast, wide], SIZE, 1, 8)
    assert "round up" not in text
    assert "not judged, as noisy: w6" in text
    assert "w6 (" not in text
    alone = table([noisy, fast], SIZE, 1, 8)
    assert "what is faster is not known" in alone
    assert "no inversions" not in alone
    rows = as_json([noisy, fast])
    assert rows[0]["slower_in_spite_of_fewer_macs_than"] == []
    assert rows[0]["rounded_up"][0]["noisy"] is True


def test_only_the_next_multiple_of_the_same_network_is_advice() -> None:
    deeper = network(8)
    stages = deeper.stages
    deeper = replace(deeper, stages=(*stages[:3], replace(stages[3], modules=2)))
    assert list(roundings([profile(6, 1.0), profile(deeper, 1.0)])) == []
    assert list(roundings([profile(6, 1.0), profile(10, 1.0)])) == []
    both = roundings([profile(15, 1.0), profile(16, 1.0)])
    assert [r.multiple for r in both] == [8, 16]
    assert list(roundings([profile(16, 1.0), profile(24, 1.0)])) == []


def test_the_table_says_what_is_counted_estimated_and_measured() -> None:
    text = table([profile(6, 3.0), profile(8, 2.5)], SIZE, 1, 8)
    lines = text.splitlines()
    assert "estimated" in lines[0]
    assert lines[1].split()[:2] == ["config", "params"]
    cells = " ".join(lines[2].split())
    assert "0.12 GB 4.56 GB 6.00 ms 5.70-6.30 ms 9.00 ms 3.000" in cells
    assert "latency on a machine, eager, fp32, batch 1, 1 threads" in text
    assert "w6 (0.0 G, ratio 2.990-3.010) is slower than w8 (0.0 G, ratio 2.490-2.510)" in text
    assert "width 6 rounded up to 8" in text


def test_what_was_not_measured_leaves_its_cells_empty() -> None:
    text = table([profile(6, 3.0), profile(8)], SIZE, 1, 8)
    assert text.splitlines()[3].split()[-6:] == ["-"] * 6
    assert "inversions" not in text  # one alone is compared with nothing
    assert "latency" not in table([profile(6)], SIZE, 1, 8)
    assert table([], SIZE, 1, 8) == ""


def test_marks_are_explained_where_they_stand() -> None:
    plain = table([profile(6, 3.0)], SIZE, 1, 8)
    assert not {"noisy", "busy", "kept"} & set(plain.replace(":", " ").split())
    marked = profile(6, latency=latency(3.0, noisy=True, busy=True), reused=True)
    text = table([marked], SIZE, 1, 8)
    assert "ms noisy busy kept" in text
    for word in ("noisy:", "busy:", "kept:"):
        assert sum(line.startswith(word) for line in text.splitlines()) == 1


def test_by_stage_keeps_what_is_no_convolution_apart_and_adds_up() -> None:
    one = profile(6)
    text = table([replace(one, rows=cost_table(one.architecture, SIZE, 8))], SIZE, 1, 8)
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("stage"))
    assert header.index("MACs") < header.index("|") < header.index("batch norm")
    totals = lines[-1]
    assert totals.startswith("all")
    assert f"{one.cost.params:,}" in totals
    assert len({line.index("|") for line in lines if "|" in line}) == 1


def test_json_has_all_of_it() -> None:
    slow, fast = profile(6, 3.0), profile(8, 2.5)
    rows = json.loads(json.dumps(as_json([slow, fast, profile(10)])))
    assert [row["params"] for row in rows] == [p.cost.params for p in (slow, fast, profile(10))]
    assert rows[0]["slower_in_spite_of_fewer_macs_than"] == [fast.config]
    assert rows[0]["rounded_up"][0]["multiple"] == 8
    assert rows[0]["rounded_up"][0]["change"] == pytest.approx(2.5 / 3 - 1)
    assert (rows[0]["ratio_low"], rows[0]["ratio_high"]) == (2.99, 3.01)
    assert rows[0]["mode"] == "eager"
    assert "latency_ms" not in rows[2]
    assert rows[2]["inference_bytes_estimated"] == 123_000_000
