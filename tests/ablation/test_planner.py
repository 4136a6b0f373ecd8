"""The plan says before anything runs what the numbers will be able to say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ablation.made_up_ablation import TEXT, settled, space_file

from hrnet_search.ablation.planner import (
    detectable,
    equivalence_power,
    forecast,
    matrix,
    plan_lines,
    pooled_noise,
    power,
    refusal,
    seeds_for,
)


def arms(count: int) -> np.ndarray:
    return matrix([((0, -1.0), (i, 1.0)) for i in range(1, count + 1)], count + 1)


def test_three_seeds_find_nothing_and_more_seeds_find_less() -> None:
    assert detectable(arms(1), 3) is None
    found = [detectable(arms(3), n, draws=400) for n in (6, 8, 12)]
    assert all(a > b for a, b in pairwise(found) if a and b)


def test_power_grows_with_the_effect_and_is_the_error_without_one() -> None:
    at = [power(arms(3), 8, effect, draws=500) for effect in (0.0, 1.0, 2.0)]
    assert at[0] < 0.05 < at[1] < at[2]
    assert power(arms(3), 8, 1.0, draws=500) == at[1]


def test_a_small_alpha_is_within_reach_of_the_flips_that_are_counted() -> None:
    """Twelve seeds have 2,048 flips and a least p of .0005; of 512 flips it would be .002."""
    assert power(arms(1), 12, 4.0, alpha=0.001, draws=100) > 0.9
    assert power(arms(1), 14, 4.0, alpha=0.0002, draws=100) > 0.9


def test_power_of_one_comparison_is_that_of_the_literature() -> None:
    """Sign-flip and t test nearly agree: paired t of 2 sd has a power of .97 with 6 seeds."""
    assert power(arms(1), 6, 2.0, draws=4000) == pytest.approx(0.92, abs=0.06)


def test_the_seeds_that_would_do_do() -> None:
    needed = seeds_for(arms(3), 1.0, 0.05, 6)
    assert power(arms(3), needed, 1.0) >= 0.8 > power(arms(3), needed - 1, 1.0)
    assert seeds_for(arms(1), 0.01, 0.05, 60) == 0


def test_noise_is_pooled_over_arms_and_missing_seeds() -> None:
    assert pooled_noise(np.array([[1.0, np.nan]])) is None
    assert pooled_noise(np.zeros((2, 6))) is None
    rows = np.array([[1.0, 3.0, np.nan], [0.0, 0.0, 0.0]])
    assert pooled_noise(rows) == pytest.approx((2.0 / 3) ** 0.5)


def test_wide_margins_are_met_and_narrow_ones_are_not() -> None:
    assert equivalence_power(arms(3), 6, 10.0, draws=100) > 0.99
    assert equivalence_power(arms(3), 6, 0.1, draws=100) < 0.01


def test_the_plan_is_said_in_lines(tmp_path: Path) -> None:
    ablation = settled(space_file(tmp_path))
    text = "\n".join(plan_lines(ablation, forecast(ablation, 0.004), done=3, seconds=60))
    for part in (
        "one-factor: 5 arms x 6 seeds = 30 trainings, 3 of them done",
        "branch=3 at equal MACs",
        "about 27 min at 60 s",
        "4 (arms); smallest p-value after correction: 0.03125",
        "0.0040 (of finished trials",
        "found equivalent (within 0.01)",
    ):
        assert part in text
    ended = plan_lines(ablation, forecast(ablation, 0.004), done=30, seconds=60)
    assert not any(line.startswith("time: ") for line in ended)
    unknown = plan_lines(ablation, forecast(ablation, None))
    assert any("assumed" in line for line in unknown)
    assert not any(line.startswith("time: ") for line in unknown)


def test_what_is_promised_does_not_depend_on_which_factor_stands_first(tmp_path: Path) -> None:
    """A main effect of four levels is over half as many trainings as one of two."""
    two = "    fuse:   {path: STAGE4.FUSE_METHOD, levels: [SUM, CAT]}\n"
    four = "    mods:   {path: STAGE3.NUM_MODULES, levels: [1, 2, 3, 4]}\n"
    start, end = TEXT.index("    fuse:"), TEXT.index("  match:")
    found = []
    for factors in (two + four, four + two):
        text = f"{TEXT[:start]}{factors}  design: factorial\n{TEXT[end:]}"
        ablation = settled(space_file(tmp_path, text.replace("[none, macs]", "[none]")))
        found.append(forecast(ablation, 0.01).detectable)
    assert found[0] == pytest.approx(found[1], rel=0.04)


def test_a_fraction_names_what_it_cannot_tell_apart(tmp_path: Path) -> None:
    text = TEXT.replace("  match: [none, macs]", "  design: fractional\n  resolution: 3")
    ablation = settled(space_file(tmp_path, text))
    lines = plan_lines(ablation, forecast(ablation, 0.01))
    assert "fractional: 4 arms x 6 seeds = 24 trainings" in lines[0]
    assert "  fuse = branch x flip" in lines


def test_what_cannot_be_found_is_refused_with_the_number_that_would_do(tmp_path: Path) -> None:
    ablation = settled(space_file(tmp_path))
    asked = replace(ablation, spec=replace(ablation.spec, detect=0.01))
    found = forecast(asked, 0.01)
    fault = refusal(asked, found)
    assert fault
    assert f"{found.seeds_needed} seeds would do" in fault.allowed
    assert found.seeds_needed
    assert found.seeds_needed > 6
    assert refusal(asked, forecast(asked, 0.002)) is None
    hopeless = replace(ablation, spec=replace(ablation.spec, detect=0.0001))
    assert "64 would not do" in str(refusal(hopeless, forecast(hopeless, 0.01)))
