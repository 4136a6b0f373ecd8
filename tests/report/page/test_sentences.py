"""The cards of the trust section say what a check found, and what it leaves open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from made_up import CHECK, network, result

from hrnet_search.report.page.sentences import trust_facts
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.store.study import Study


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({}, "(0.900 to 1.100): it agrees"),
        ({"agrees": False}, "(0.900 to 1.100): it does NOT agree"),
        (
            {"agrees": False, "undecided": True},
            "(0.900 to 1.100): undecided, the interval is too wide to say whether it agrees",
        ),
        (
            {"noisy": True, "reference_ms": 19.16},
            "(noisy) when its latency was frozen: absolute ms are uncertain, ratios are not",
        ),
    ],
)
def test_the_card_of_the_check_has_three_outcomes_and_its_doubt(
    make_study: Callable[..., Study], check: dict[str, Any], said: str
) -> None:
    study = make_study((network(9), result(1, miou=0.5)), aa_check=replace(CHECK, **check))
    card = next(f for f in trust_facts(evidence_of(study)) if f.title == "A/A check of latency")
    assert card.value == "1.000"
    assert card.text.endswith(said)
