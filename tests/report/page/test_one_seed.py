"""A chance that rests on one seed is called so, wherever it stands on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from large_study import make_study

from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html


def test_a_chance_of_one_seed_says_so(tmp_path: Path) -> None:
    several = gather(make_study(tmp_path / "s", 20))
    assert several.evidence.chances
    assert several.evidence.noise
    alone = replace(several, evidence=replace(several.evidence, noise=None))
    for page, said in ((several, False), (alone, True)):
        html = page_html(page).decode()
        assert ('<th class="n">on the front, one seed</th>' in html) is said
        assert ("another seed may turn the order around" in html) is said
        assert ('"oneSeed":true' in html) is said
