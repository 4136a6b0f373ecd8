"""Two hundred strings that would run, or break a page, wherever text became HTML or script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from large_study import make_study
from made_up import network, result

from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import LatencyCondition
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import FAILED, STOPPED, TrialKey, TrialResult
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

ARMED = "attacked"
RUN = f"window.{ARMED}=1"

CORES = (
    f"<script>{RUN}</script>", f"<img src=x onerror={RUN}>", f"<svg onload={RUN}>",
    f"<iframe srcdoc='<script>parent.{ARMED}=1</script>'></iframe>",
    f"<a href='javascript:{RUN}'>x</a>", f"<body onload={RUN}>", f"<details open ontoggle={RUN}>",
    f"<style>@import 'https://example.org/x.css'</style><b onclick={RUN}>",
    f"<math><mtext></mtext><script>{RUN}</script></math>", f"<object data='javascript:{RUN}'>",
    f"<form><button formaction='javascript:{RUN}'>", f"<meta http-equiv=refresh content=0;{RUN}>",
    f"{{{{ ''.__class__ }}}}{{% set x = 1 %}}${{{RUN}}}", f"%{{customdata}}<b>%{{x}}</b>{RUN}",
    f"';{RUN};'", f'";{RUN};"', f"`;{RUN};`", f"\\u003cscript\\u003e{RUN}", f"&lt;script&gt;{RUN}",
    f"&#60;img src=x onerror={RUN}&#62;",
)  # fmt: skip
BREAKS = (
    "", "</script>", "</style>", "</title>", "-->", "<!--<script>", "]]>", "\"'>", "\u2028",
    "\x00", "\u202e", "</pre></textarea>",
)  # fmt: skip
HOSTILE = tuple(f"{start}{core}" for start, core in product(BREAKS, CORES))


def hostile_study(folder: Path) -> Study:
    """Return a study that has a hostile string in every text that a user controls."""
    texts = iter(HOSTILE)
    names = tuple(next(texts) for _ in range(100))
    notes: dict[str, Any] = {
        "name": next(texts),
        "space_text": "\n".join(HOSTILE),
        "study_id": next(texts),
        "schedule": NotedSchedule("sc-short", _hostile_schedule(texts, names)),
        "choices": tuple(next(texts) for _ in range(5)),
        "levels": tuple(tuple(next(texts) for _ in range(n)) for n in (80, 4, 4, 4, 2)),
        # What is not of its type is not shown, whatever wrote it.
        "reference_ms": next(texts),
        "screening": {"n": next(texts), "loo_error": next(texts)},
        "rung_audit": {"audited": next(texts), "lost": next(texts), "stopped": 1},
    }
    make_study(folder, 60, names=names, confirmed=8, **notes)
    rest = HOSTILE[-100:]
    with StudyStore(folder) as store:
        first = len(store.asks())
        for i, text in enumerate(rest):
            architecture = network(200 + i)
            key = TrialKey(architecture.id, "sc-short", 0)
            store.ask(Ask(first + i, key, (0,) * 5, architecture))
            store.finish(first + i, _attacking(i, text, key))
    return open_study(folder)


def _hostile_schedule(texts: Iterator[str], names: tuple[str, ...]) -> Schedule:
    data = DataSpec(next(texts), len(names), names)
    return Schedule(
        data, optimiser=next(texts), fingerprint=next(texts), init=next(texts), loss=next(texts)
    )


def _attacking(i: int, text: str, key: TrialKey) -> TrialResult:
    done = replace(result(i, miou=0.9 + i * 1e-4), key=key, versions=((text, text),))
    assert done.latency is not None
    condition = LatencyCondition(text, text, text, 1, (64, 64), 1, text)
    latency = replace(done.latency, condition=condition, machine=((text, text),), ms=90.0 + i)
    if i % 3 == 0:
        return replace(done, status=FAILED, miou=None, error=text)
    return replace(done, status=STOPPED if i % 3 == 1 else done.status, latency=latency)
