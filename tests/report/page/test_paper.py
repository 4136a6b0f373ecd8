"""The page on paper, on narrow screens and for those who cannot see it: in a real browser."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import DRAWN, FOUND, SCROLL_ALL, WHY_NOT, Browser
from large_study import make_study
from PIL import Image

from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import write_page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(FOUND is None, reason=WHY_NOT)]

ROOT = Path(__file__).parents[3]
AXE = Path(os.environ.get("AXE_CORE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
NO_AXE = "no axe-core here: npm install axe-core, or its axe.min.js in AXE_CORE"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
NO_POPPLER = "no poppler here: apt-get install poppler-utils"
PAPERS = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}
DOTS = 72
# Text of charts that lies outside of its chart, where nobody sees it.
CUT = """[...document.querySelectorAll('.main-svg text')].filter((text) => {
  const whole = text.closest('.svg-container').getBoundingClientRect();
  const own = text.getBoundingClientRect();
  return own.width && (own.left < whole.left - 1 || own.right > whole.right + 1);
}).map((text) => text.textContent)"""
DRAWINGS_CUT = """[...document.querySelectorAll('.net svg')].filter((svg) =>
  svg.getBoundingClientRect().right > svg.closest('.net-row').getBoundingClientRect().right + 1
).length"""
TALLEST_ROW = """Math.max(...[...document.querySelectorAll('#members tbody tr')].map(
  (row) => row.getBoundingClientRect().height))"""
CUED = """(() => { const table = document.getElementById('members').parentElement;
  return [table.scrollWidth > table.clientWidth, table.classList.contains('more')]; })()"""
CHARTS = """[...document.querySelectorAll('#front, [data-figure]')].map((chart) => {
  const box = chart.getBoundingClientRect();
  return [chart.dataset.figure || 'front', box.x, box.y + scrollY, box.width, box.height];
})"""
HIDDEN = """[...document.querySelectorAll('#members th')].map((head) => {
  const box = head.getBoundingClientRect();
  return [head.textContent, box.left, box.right, head.scrollWidth - head.clientWidth];
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    return write_page(gather(make_study(folder / "s", 120)), folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.events.clear()
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    wide(browser, 1320)
    browser.open(page)
    browser.wait(DRAWN)
    return browser


def wide(browser: Browser, width: int) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
        mobile=False,
    )  # fmt: skip


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_the_page_fits_every_width_and_cuts_nothing(
    opened: Browser, page: Path, width: int
) -> None:
    wide(opened, width)
    opened.open(page)
    opened.wait(DRAWN)
    opened.value(SCROLL_ALL)
    assert opened.value("document.documentElement.scrollWidth") == width
    assert opened.value(CUT) == []
    assert opened.value(DRAWINGS_CUT) == 0
    assert opened.value(TALLEST_ROW) < 110
    wider, cued = opened.value(CUED)
    assert wider == cued
    assert cued or width > 390
    assert opened.complaints() == []


def test_a_chart_is_as_wide_as_the_window_after_it_was_resized_and_after_printing(
    opened: Browser,
) -> None:
    ends = "Math.round(document.querySelector('#front .main-svg').getBoundingClientRect().width)"
    room = "Math.round(document.getElementById('front').clientWidth)"
    for width in (800, 390, 1320):
        wide(opened, width)
        opened.wait(f"{ends} === {room}")
    opened.value("dispatchEvent(new Event('beforeprint'))")
    assert opened.value(ends) == 670
    opened.value("dispatchEvent(new Event('afterprint'))")
    opened.wait(f"{ends} === {room}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_paper_every_chart_has_ink_and_every_column_is_there(
    opened: Browser, tmp_path: Path, theme: str
) -> None:
    """Nothing was scrolled to. In a dark theme too, paper is white."""
    inks = [{"name": "prefers-color-scheme", "value": theme}]
    opened.call("Emulation.setEmulatedMedia", media="", features=inks)
    opened.value("dispatchEvent(new Event('beforeprint'))")
    opened.call("Emulation.setEmulatedMedia", media="print", features=inks)
    width = 703  # of A4 between its margins
    wide(opened, width)
    pixels = screenshot(opened, tmp_path / "print.png")
    charts = opened.value(CHARTS)
    assert len(charts) >= 9
    for name, x, y, across, down in charts:
        part = pixels[int(y) : int(y + down), int(x) : int(x + across)].astype(int)
        coloured = (part.max(axis=2) - part.min(axis=2) > 60).mean()
        assert coloured > 0.001, f"{name} has no ink"
        assert (part.min(axis=2) > 240).mean() > 0.2, f"{name} is not on white"
    for text, left, right, over in opened.value(HIDDEN):
        assert left >= 0, text
        assert right <= width, text
        assert over <= 0, text
    swatches = opened.value(
        "[...document.querySelectorAll('.keys i')].map((e) => getComputedStyle(e).printColorAdjust)"
    )
    assert len(swatches) == 7
    assert set(swatches) == {"exact"}


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason=NO_POPPLER)
@pytest.mark.parametrize("paper", PAPERS)
def test_a_printed_page_has_every_chart_and_leaves_its_margins_white(
    opened: Browser, tmp_path: Path, paper: str
) -> None:
    across, down = PAPERS[paper]
    printed = opened.call(
        "Page.printToPDF", paperWidth=across, paperHeight=down, printBackground=False
    )
    path = tmp_path / "page.pdf"
    path.write_bytes(base64.b64decode(printed["data"]))
    text = run("pdftotext", str(path), "-")
    heads = ["95% interval", "seeds", "on the front", "params", "MACs", "differs from the base"]
    axes = [
        "trials ended",
        "hours of trials",
        "predicted share of variance",
        "by the long schedule",
    ]
    plain = re.sub(r"\s+", " ", text)
    assert [part for part in (*heads, *axes, "0: sky", "not labelled") if part not in plain] == []
    run("pdftoppm", "-r", str(DOTS), "-png", str(path), str(tmp_path / "sheet"))
    sheets = sorted(tmp_path.glob("sheet*.png"))
    margin = int(DOTS * 0.3)
    for sheet in sheets:
        with Image.open(sheet) as found:
            pixels = np.asarray(found.convert("L"))
        assert pixels[:, -margin:].min() > 200, f"{sheet.name} is cut at its right edge"
    assert 5 <= len(sheets) <= 14


@pytest.mark.skipif(not AXE.is_file(), reason=NO_AXE)
@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (1400, "dark"), (390, "light")])
def test_axe_finds_nothing_against_wcag_aa(opened: Browser, width: int, theme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    opened.call("Emulation.setEmulatedMedia", media="", features=features)
    wide(opened, width)
    opened.value(SCROLL_ALL)
    opened.value(f"{AXE.read_text()};1")
    rules = json.dumps({"runOnly": {"type": "tag", "values": RULES}})
    found = opened.value(
        f"axe.run(document, {rules}).then((r) => r.violations.map((v) =>"
        " [v.id, v.nodes.map((n) => n.target.join(' ')).slice(0, 5)]))"
    )
    assert found == []


def test_without_scripts_the_page_says_so_and_has_no_empty_figures(
    opened: Browser, page: Path
) -> None:
    opened.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened.call("Page.reload")
        opened.wait("document.readyState === 'complete'")
        assert "Figures need JavaScript" in opened.value("document.body.innerText")
        tall = "[...document.querySelectorAll('.figure, #front')].map((e) => e.offsetHeight)"
        assert set(opened.value(tall)) == {0}
    finally:
        opened.call("Emulation.setScriptExecutionDisabled", value=False)


def test_another_axis_is_told_to_who_cannot_see_it(opened: Browser) -> None:
    opened.value(
        "(() => { const s = document.getElementById('axis'); s.value = '2';"
        " s.dispatchEvent(new Event('change')); })()"
    )
    told = opened.value("document.getElementById('shown').textContent")
    assert re.fullmatch(r"mIoU against parameters \(M\): \d+ networks", told)
    labels = opened.value(
        "[...document.querySelectorAll('.figure, #front')].every((e) =>"
        " e.getAttribute('role') === 'img' && e.getAttribute('aria-label').length > 8)"
    )
    assert labels
    ticks = opened.value(
        "[...document.querySelectorAll('#front .ytick text')].map((t) => t.textContent)"
    )
    assert ticks
    assert all(tick.endswith("%") for tick in ticks)


def screenshot(browser: Browser, path: Path) -> Any:
    size = browser.value("[innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    taken = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    path.write_bytes(base64.b64decode(taken["data"]))
    with Image.open(path) as found:
        return np.asarray(found.convert("RGB"))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
