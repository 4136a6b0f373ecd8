"""The page holds what a study found, whatever state that is in, and lets no text out."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile import HOSTILE, hostile_study
from large_study import make_study as large_study
from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.records.latency import LatencyCondition
from hrnet_search.records.trial import TrialResult
from hrnet_search.report.page import points
from hrnet_search.report.page.content import Page
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.points import MAY_BE, ON_FRONT
from hrnet_search.report.page.render import page_html, script_json
from hrnet_search.report.report import write_report
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.store.findings import Learned
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.writer import StudyStore

MakeStudy = Callable[..., Study]


class Read(HTMLParser):
    """Every element with its attributes, the text of scripts, and all other text."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.text += data

    def first(self, tag: str, **attrs: str) -> dict[str, str | None]:
        return next(a for t, a in self.elements if t == tag and attrs.items() <= a.items())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return gather(large_study(tmp_path_factory.mktemp("study") / "s", 120))


def test_every_part_of_the_page_is_there(page: Page) -> None:
    html = page_html(page)
    found = Read(html)
    ids = [a["id"] for tag, a in found.elements if tag == "section"]
    assert ids == ["answer", "sure", "networks", "choices", "history", "again"]
    drawn = {a["data-figure"] for tag, a in found.elements if "data-figure" in a}
    assert drawn == {
        "neighbours", "schedules", "parallel", "classes", "importance", "effects", "growth",
        "curves", "shares", "pairs",
    }  # fmt: skip
    assert f"Ranking: {page.evidence.stamp.verdict}" in found.text
    for text in ("CUDA out of memory", "space.yaml", "hrnet-search run", "torch 2.13.0", "3.1%"):
        assert text in found.text
    pictures = [a for tag, a in found.elements if tag == "img"]
    assert len(pictures) == 2 * (2 + len(page.preview_members))
    assert all((a["src"] or "").startswith("data:image/png;base64,") for a in pictures)


def test_the_front_links_to_its_configs(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(1, miou=0.5)), (network(10), result(2, miou=0.6)))
    files = write_report(study)
    links = [a["href"] for tag, a in Read(files.page.read_bytes()).elements if tag == "a"]
    for config in files.configs:
        assert f"../configs/{config.name}" in links


def test_a_point_says_all_that_is_known_of_it(page: Page) -> None:
    points = page.points
    assert [axis.name for axis in points.axes] == [
        "latency (ms)", "MACs (G) per image", "parameters (M)", "activations (M) per image",
        "peak memory (MB)", "width (channels)",
    ]  # fmt: skip
    members = [i for i, place in enumerate(points.place) if place == ON_FRONT]
    rivals = [i for i, place in enumerate(points.place) if place == MAY_BE]
    assert {points.number[i] for i in members} == {m.number for m in page.members}
    assert rivals
    for i in (*members, *rivals):
        low, miou, high = points.accuracy_low[i], points.accuracy[i], points.accuracy_high[i]
        assert low is not None
        assert miou is not None
        assert high is not None
        assert low < miou < high
        assert (points.chance[i] or 0) >= 0.05 or i in members
    text = "".join(points.blocks[k] for k in points.yamls[members[0]])
    assert points.architecture[members[0]] in text
    assert "STAGE4:" in text
    latency = points.axes[0]
    assert latency.low[0] is not None
    assert latency.values[0] is not None
    assert latency.low[0] < latency.values[0]


def test_each_condition_has_an_axis_of_its_own(make_study: MakeStudy) -> None:
    found = result(1, miou=0.6)
    assert found.latency is not None
    other = LatencyCondition("another", "eager", "fp32", 1, (64, 64), 1)
    moved = replace(found, latency=replace(found.latency, condition=other))
    axes = gather(make_study((network(8), result(0, miou=0.5)), (network(9), moved))).points.axes
    timed = [axis for axis in axes if axis.name == "latency (ms)"]
    assert len({axis.condition for axis in timed}) == 2
    assert [[v is None for v in axis.values] for axis in timed] in (
        [[False, True], [True, False]],
        [[True, False], [False, True]],
    )


@pytest.mark.parametrize("state", ["empty", "running", "failed", "one"])
def test_an_unfinished_study_has_a_page(make_study: MakeStudy, state: str) -> None:
    states: dict[str, list[tuple[Architecture, TrialResult | None]]] = {
        "empty": [],
        "running": [(network(9), None)],
        "failed": [(network(9), result(1, status="failed", miou=None, error="no room"))],
        "one": [(network(9), result(1, miou=0.5)), (network(10), None)],
    }
    found = Read(page_html(gather(make_study(*states[state]))))
    assert "Ranking: not checked" in found.text
    assert ("there is no front" in found.text) == (state != "one")
    assert ("no room" in found.text) == (state == "failed")


def test_a_study_without_notes_has_a_page(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(1, miou=0.5)), base_yaml="", objectives=("miou",))
    assert network(9).id in Read(page_html(gather(study))).text


def test_the_page_says_what_variants_started_from(make_study: MakeStudy) -> None:
    lines = ("schedule.init: w.pth: the base: 260 of 268 tensors match",)
    text = Read(
        page_html(gather(make_study((network(9), result(1, miou=0.5)), initial=lines)))
    ).text
    assert "initial weights" in text
    assert "w.pth: the base: 260 of 268 tensors match" in text


def test_the_page_says_what_the_search_learned_from_and_how_much_that_weighs(
    make_study: MakeStudy,
) -> None:
    networks = (network(9), network(10))
    learned = tuple(
        Learned(name, f"st-{name}", f"/studies/{name}", "miou", networks, (0.5, 0.6))
        for name in ("first", "second")
    )
    noted = {"learned_from": learned, "learned_weights": (0.42, 0.0)}
    text = Read(page_html(gather(make_study((network(9), result(1, miou=0.5)), **noted)))).text
    assert "learned from first" in text
    assert "2 networks of /studies/first (st-first), weight 42%" in text
    assert "2 networks of /studies/second (st-second), weight 0%" in text


def test_the_policy_lets_the_page_run_its_own_scripts_alone(page: Page) -> None:
    found = Read(page_html(page))
    policy = found.first("meta", **{"http-equiv": "Content-Security-Policy"})["content"] or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    _, packed, code = found.scripts
    plotly = gzip.decompress(base64.b64decode(packed)).decode()
    digests = [hashlib.sha256(s.encode()).digest() for s in (plotly, code)]
    assert allowed == [base64.b64encode(d).decode() for d in digests]
    sources = [v for _, attrs in found.elements for k, v in attrs.items() if k in ("src", "action")]
    assert all((source or "").startswith("data:") for source in sources)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    study = hostile_study(tmp_path / "s")
    html = page_html(gather(study))
    found, clean = Read(html), Read(page_html(gather(large_study(tmp_path / "clean", 60))))
    assert len(found.scripts) == 3
    assert json.loads(found.scripts[0])["points"]["number"]
    tags = {tag for tag, _ in found.elements}
    # The path element of a picture, or the like, may differ; nothing may come from the strings.
    assert tags <= {tag for tag, _ in clean.elements} | {"b"}
    assert not [a for _, a in found.elements if any(name.startswith("on") for name in a)]
    assert html.count(b"<script") == 3
    assert HOSTILE[0] in found.text


def test_json_cannot_end_its_element() -> None:
    text = script_json({"x": "</script><!--&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"x": "</script><!--&"}


@pytest.mark.slow
def test_a_page_is_made_without_torch(tmp_path: Path) -> None:
    large_study(tmp_path / "s", 20)
    code = (
        "import sys; from hrnet_search.cli import main;"
        f"code = main(['report', {str(tmp_path / 's')!r}]);"
        "sys.exit(code or int('torch' in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_page_of_many_draws_what_matters_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound of large studies, on a small one: 60 beaten networks in the place of 2,000."""
    study = large_study(tmp_path / "s", 300)
    whole = gather(study)
    assert whole.points.in_all == len(whole.points.number) > 200
    assert "trained again to confirm" not in Read(page_html(whole)).text
    monkeypatch.setattr(points, "MOST_BEATEN", 60)
    thinned = gather(study)
    drawn = set(thinned.points.number)
    confirmed = {a.key.architecture for a, _ in study.trials() if a.purpose == "confirm"}
    matter = {
        number
        for number, name, place in zip(
            whole.points.number, whole.points.architecture, whole.points.place, strict=True
        )
        if place or name in confirmed
    }
    assert {m.number for m in whole.members} <= matter
    matter |= set(candidates_of(study).numbers)  # for the pick within a budget
    assert matter <= drawn
    assert len(drawn) == len(matter) + 60
    assert thinned.points.in_all == whole.points.in_all
    text = Read(page_html(thinned)).text
    assert f"Drawn are {len(drawn)} of {whole.points.in_all} networks" in text
    assert len(page_html(thinned)) < 5e6


REPORT = """
import resource, sys, time
from hrnet_search.cli import main
code = main(["report", sys.argv[1]])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(code, time.process_time(), peak, file=sys.stderr)
"""


@pytest.mark.bench
def test_ten_thousand_trials_are_reported_in_time_and_space(tmp_path: Path) -> None:
    large_study(tmp_path / "s", 10_000)
    command = [sys.executable, "-c", REPORT, str(tmp_path / "s")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    code, taken, memory = (float(word) for word in done.stderr.split()[-3:])
    size = (tmp_path / "s" / "report" / "report.html").stat().st_size / 1e6
    print(f"\n10,000 trials: {taken:.1f} s of CPU, page {size:.1f} MB, peak {memory:.0f} MB")
    assert code == 0
    assert size < 5
    assert memory < 500
    assert taken < 40


@pytest.mark.bench
def test_a_hundred_thousand_trials_open_in_time_and_have_a_page(tmp_path: Path) -> None:
    large_study(tmp_path / "s", 100_000)
    start = time.process_time()
    study = open_study(tmp_path / "s")
    assert len(study.trials()) == len(study.results()) > 100_000
    taken = time.process_time() - start
    size = len(page_html(gather(study))) / 1e6
    print(f"\n100,000 trials open in {taken:.1f} s of CPU, page {size:.1f} MB")
    assert taken < 20
    assert size < 5


def test_a_network_without_the_accuracy_that_is_asked_for_costs_no_page(
    make_study: MakeStudy,
) -> None:
    """Quantised it predicted what is not finite: it completed, and has no int8 accuracy."""
    whole, none = result(1, miou=0.5, miou_int8=0.4), result(2, miou=0.6)
    study = make_study((network(8), whole), (network(9), none))
    with StudyStore(study.folder) as store:
        store.note(Notes(objectives=("miou_int8", "macs")))
    page = gather(open_study(study.folder))
    assert page.points.accuracy == (0.4,)
    assert page_html(page).startswith(b"<!doctype html>")
