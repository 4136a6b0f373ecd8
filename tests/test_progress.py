"""The line of a trial says how it ended, and what its latency was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up import result

from hrnet_search.evaluate.kept_latencies import REUSED
from hrnet_search.progress import describe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "2.50 ms, "),
        ({"noisy": True}, "2.50 ms (noisy), "),
        ({"noisy": True, "busy": True}, "2.50 ms (noisy and busy), "),
        ({"machine": ((REUSED, "measured 2026"),)}, "2.50 ms (kept), "),
    ],
)
def test_a_latency_is_marked(changes: dict[str, object], said: str) -> None:
    found = result(1)
    assert found.latency is not None
    latency = replace(found.latency, **changes)  # type: ignore[arg-type]
    assert said in describe(replace(found, latency=latency))
    assert " ms" not in describe(replace(found, latency=None))
