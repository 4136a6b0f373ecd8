"""The page in a real browser: it opens at once, asks for nothing, and answers the mouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import DRAWN, FOUND, SCROLL_ALL, WHY_NOT, Browser
from hostile import ARMED, HOSTILE, hostile_study
from large_study import make_study

from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import write_page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(FOUND is None, reason=WHY_NOT)]

POINT = """(() => {
  const paths = document.querySelectorAll('#front .scatterlayer .trace:last-child .points path');
  const box = paths[0].getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})()"""
TITLE = "document.querySelector('#front .xtitle').textContent"
SWITCH = (
    "(() => {{const s = document.getElementById('axis'); s.value = '{}';"
    " s.dispatchEvent(new Event('change'));}})();"
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    return write_page(gather(make_study(folder / "s", 1000)), folder)


def test_a_page_of_a_thousand_trials_draws_all_of_itself_and_asks_for_nothing(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    browser.wait(DRAWN)
    assert browser.value(SCROLL_ALL)
    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []


def test_the_axis_switches_and_a_point_tells_its_cost_and_its_config(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    browser.wait(DRAWN)
    assert "latency (ms): NVIDIA H100" in browser.value(TITLE)
    names = browser.value("[...document.querySelectorAll('#axis option')].map((o) => o.text)")
    kinds = [name.split(" (")[0].split(":")[0] for name in names]
    assert kinds == ["latency", "MACs", "parameters", "activations", "peak memory", "width"]
    browser.value(SWITCH.format(5))
    browser.wait(f"{TITLE} === 'width (channels)'")
    x, y = browser.value(POINT)
    browser.mouse("mouseMoved", x - 3, y)
    browser.mouse("mouseMoved", x, y)
    browser.wait("document.querySelector('#front .hoverlayer .hovertext') !== null")
    told = browser.value("document.querySelector('#front .hoverlayer').textContent")
    for part in ("mIoU: ", " to ", "latency (ms): ", "MACs (G)", "chance of being on the front"):
        assert part in told
    browser.mouse("mousePressed", x, y)
    browser.mouse("mouseReleased", x, y)
    number = told.split("#")[1].split(" ")[0]
    browser.wait(f"document.getElementById('picked-name').textContent.startsWith('#{number} hr-')")
    yaml = browser.value("document.getElementById('picked-yaml').textContent")
    assert "STAGE4:" in yaml
    assert "NUM_CHANNELS" in yaml


def test_a_press_on_a_row_shows_its_config(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.wait(DRAWN)
    browser.value("document.querySelector('#members button[data-trial]').click()")
    name = browser.value("document.querySelector('#members button[data-trial]').textContent")
    told = browser.value("document.getElementById('picked-name').textContent")
    assert told.split(" ")[0] == name


def test_two_hundred_hostile_strings_run_nothing_and_break_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    assert len(set(HOSTILE)) >= 200
    study = hostile_study(tmp_path / "hostile")
    path = write_page(gather(study), tmp_path)
    browser.open(path)
    browser.wait(DRAWN)
    assert browser.value(SCROLL_ALL)
    browser.value("for (const button of document.querySelectorAll('[data-trial]')) button.click()")
    assert browser.value(f"window.{ARMED} === undefined")
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []
    # Plotly reads its text as HTML: what a condition says has to come out as it was written.
    names = browser.value("[...document.querySelectorAll('#axis option')].map((o) => o.text)")
    odd = next(i for i, name in enumerate(names) if "<a href=" in name)
    browser.value(SWITCH.format(odd))
    browser.wait(f"{TITLE}.includes('<a href=')")
    foreign = "document.querySelectorAll('main iframe, main object, main embed, main form').length"
    assert browser.value(foreign) == 0
    assert browser.value("document.querySelectorAll('script').length") == 3
    assert browser.value("document.querySelectorAll('section').length") == 6


@pytest.mark.bench
def test_a_thousand_trials_load_within_a_second(browser: Browser, page: Path) -> None:
    taken = []
    for _ in range(5):
        browser.open(page)
        browser.wait(DRAWN)
        taken.append(browser.value("performance.getEntriesByName('drawn')[0].startTime"))
    print(f"\nload of a page of 1,000 trials: {', '.join(f'{t:.0f} ms' for t in taken)}")
    assert min(taken) < 1000


@pytest.mark.bench
def test_ten_thousand_trials_stay_usable(browser: Browser, tmp_path: Path) -> None:
    path = write_page(gather(make_study(tmp_path / "s", 10_000)), tmp_path)
    browser.open(path)
    browser.wait(DRAWN)
    load = browser.value("performance.getEntriesByName('drawn')[0].startTime")
    start = "const start = performance.now();"
    taken = browser.value(
        f"(() => {{{start} {SWITCH.format(1)} return performance.now() - start;}})()"
    )
    print(f"\npage of 10,000 trials: load {load:.0f} ms, another axis {taken:.0f} ms")
    assert load < 4000
    assert taken < 2000
