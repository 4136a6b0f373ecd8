"""Soft IoU beside mIoU on the page, where trials have one; and what the search learned from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import FOUND, WHY_NOT, Browser
from made_up import network, result

from hrnet_search.records.accuracy import MIOU, SIGNAL, SOFT_IOU
from hrnet_search.records.trial import TrialResult
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html, write_page
from hrnet_search.report.summary import summary
from hrnet_search.store.study import Study

MakeStudy = Callable[..., Study]


def trial(number: int, soft: float | None) -> TrialResult:
    done = result(number, miou=0.1 * number)
    return replace(done, rungs=tuple(replace(rung, soft_iou=soft) for rung in done.rungs))


def table(study: Study) -> list[list[str]]:
    html = page_html(gather(study)).decode()
    rows = re.search(r'<table id="members">(.*?)</table>', html, re.S)
    assert rows
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows[1].split("<tr>")]
    return [row for row in cells if row]


def test_a_column_stands_beside_miou_where_any_trial_has_one(make_study: MakeStudy) -> None:
    study = make_study((network(9), trial(1, 0.0875)), (network(10), trial(2, None)))
    header, *rows = table(study)
    place = header.index("soft IoU")
    assert header[1] == "mIoU"
    assert [row[place] for row in rows] == ["8.75%", "\N{EN DASH}"]
    assert all(len(row) == len(header) for row in rows)
    assert gather(study).points.others == (("soft IoU", (0.0875, None)),)


def test_there_is_none_where_no_trial_has_one(make_study: MakeStudy) -> None:
    header, *rows = table(make_study((network(9), trial(1, None)), (network(10), trial(2, None))))
    assert "soft IoU" not in header
    assert all(len(row) == len(header) for row in rows)


def test_the_front_stays_that_of_miou(make_study: MakeStudy) -> None:
    """The costlier network has the higher mIoU and the lower soft IoU, and stays on the front."""
    study = make_study((network(9), trial(1, 0.9)), (network(10), trial(2, 0.1)))
    assert [member.accuracy for member in gather(study).members] == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize(
    ("signal", "name"), [(SOFT_IOU, "soft IoU"), (MIOU, "mIoU"), (None, "mIoU")]
)
def test_the_report_says_in_a_line_what_the_search_learned_from(
    make_study: MakeStudy, signal: str | None, name: str
) -> None:
    identity = {SIGNAL: signal} if signal else {}
    study = make_study((network(9), trial(1, 0.5)), identity=identity)
    assert f"The search learned from {name};" in page_html(gather(study)).decode()
    assert f"signal:  the search learned from {name};" in summary(study)


@pytest.mark.slow
@pytest.mark.skipif(FOUND is None, reason=WHY_NOT)
def test_hovering_tells_it(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study((network(9), trial(1, 0.0875)), (network(10), trial(2, 0.15)))
    path = write_page(gather(study), tmp_path)
    with Browser(tmp_path / "profile") as browser:
        browser.open(path)
        browser.wait("document.querySelectorAll('#front .scatterlayer .points path').length > 0")
        x, y = browser.value(
            "(() => { const box = document.querySelector('#front .scatterlayer"
            " .trace:last-child .points path').getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        browser.mouse("mouseMoved", x - 3, y)
        browser.mouse("mouseMoved", x, y)
        browser.wait("document.querySelector('#front .hoverlayer .hovertext') !== null")
        told = browser.value("document.querySelector('#front .hoverlayer').textContent")
        assert "soft IoU: 8.75%" in told or "soft IoU: 15.00%" in told
        assert browser.complaints() == []
