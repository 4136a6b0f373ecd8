"""One row of a table says everything of an objective."""

from __future__ import annotations

import re
from pathlib import Path

from hrnet_search.arch.cost import Cost
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.objective import OBJECTIVES, PLAIN
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult


def test_each_objective_reads_its_own_value_of_a_result() -> None:
    condition = LatencyCondition("cpu", "eager", "fp32", 1, (64, 64), 1)
    latency = Latency(3.5, 1.0, 3.4, 3.6, 3.3, 3.5, 9, False, condition)
    key = TrialKey("a", "b", 0)
    known = TrialResult(key, COMPLETED, Cost(1, 2, 3), latency, 0.25, miou_int8=0.125)
    values = {name: one.of(known) for name, one in PLAIN.items()}
    costs = {"latency_ms": 3.5, "macs": 2, "params": 1, "activations": 3}
    assert values == {"miou": 0.25, **costs, "miou_int8": 0.125}
    assert all(type(value) is float for value in values.values())
    assert {o.of(TrialResult(key, COMPLETED)) for o in OBJECTIVES.values()} == {None}
    assert [name for name, o in PLAIN.items() if o.is_cost] == list(costs)


def test_only_the_table_reads_values_by_the_name_of_an_objective() -> None:
    """Adding one is a row: nothing else asks which of them a name is before it reads a value."""
    names = "|".join(OBJECTIVES)
    asks = re.compile(rf'[!=]= "({names})"|"({names})" (==|!=|in) ')
    package = Path(__file__).parents[2] / "hrnet_search"
    found = [p.name for p in package.rglob("*.py") if asks.search(p.read_text())]
    assert found == []
