"""Every test that is marked `gpu`, each with its outcome as soon as it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.gpu_steps.results import DONE, FAILED, LeftOut, Row, TimeIsOver
from benchmarks.gpu_steps.step import Given

ROOT = Path(__file__).parents[2]
MARK = "mark.gpu"
PASSED, SKIPPED = "passed", "skipped"
OPTIONS = (
    "-m", "gpu",
    "-W", "default",  # what another version of a library warns of is not a defect here
    "-p", "no:cacheprovider",
    "--continue-on-collection-errors",
    "--rootdir", str(ROOT),
    "-rN",
)  # fmt: skip

ENDED = (
    pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED,
)  # fmt: skip


def run(given: Given) -> None:
    """Run the tests that did not pass yet; a test that kills this process is not run again."""
    rows = given.results.rows
    for key in [k for k, row in rows.items() if row.get("outcome") == FAILED]:
        del rows[key]  # it may have been fixed
    files = [str(path) for path in marked(ROOT / "tests")]
    if not files:
        raise LeftOut("no test is marked gpu")
    recorder = Recorder(given)
    code = pytest.main([*OPTIONS, *files], plugins=[recorder])
    if recorder.stopped:
        raise TimeIsOver
    if code not in ENDED:
        raise RuntimeError(f"pytest ended with exit code {int(code)}")


def marked(folder: Path) -> Iterator[Path]:
    """Yield the files with marked tests; others may need packages that are not here."""
    for path in sorted(folder.rglob("test_*.py")):
        if MARK in path.read_text(encoding="utf-8"):
            yield path


def findings(rows: dict[str, Row]) -> Iterator[str]:
    """Yield how many passed, and each that did not."""
    counts = Counter(row.get("outcome", row["state"]) for row in rows.values())
    yield ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no tests"
    reasons = Counter(row["why"] for row in rows.values() if row.get("outcome") == SKIPPED)
    yield from (f"{count} skipped: {why}" for why, count in reasons.items())
    yield from (f"{key}: {row['error']}" for key, row in rows.items() if "error" in row)


class Recorder:
    """A plugin of pytest: a row a test, begun before it runs."""

    def __init__(self, given: Given) -> None:
        self._given, self._results = given, given.results
        self._session: pytest.Session | None = None
        self.stopped = False

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            row = self._results.begin(report.nodeid)
            row |= {"outcome": FAILED, "state": FAILED, "error": _last_line(report)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not self._results.has(item.nodeid)]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._results.begin(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = self._results.rows[report.nodeid]
        row["seconds"] = round(row.get("seconds", 0.0) + report.duration, 2)
        if report.failed:
            row |= {"outcome": FAILED, "error": _last_line(report)}
        elif report.skipped:
            row |= {"outcome": SKIPPED, "why": _reason(report)}
        else:
            row.setdefault("outcome", PASSED)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        row = self._results.rows[nodeid]
        row["state"] = FAILED if row["outcome"] == FAILED else DONE
        self._results.save()
        try:
            self._given.left()
        except TimeIsOver:
            assert self._session is not None
            self._session.shouldstop = "the time is over"
            self.stopped = True


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the line that says what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return next(iter(text.strip().splitlines()), "no reason given")[:300]


def _reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped: pytest gives file, line and "Skipped: why"."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
