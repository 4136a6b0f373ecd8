"""How many trials of a study stand how, in one count for all that say it."""

from __future__ import annotations

from collections.abc import Callable

from made_up import network, result

from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.report.plots import pictures
from hrnet_search.report.standing import standing
from hrnet_search.report.summary import summary
from hrnet_search.report.tables import trials_csv
from hrnet_search.store.study import Snapshot, Study
from hrnet_search.store.writer import StudyStore

MakeStudy = Callable[..., Study]


def test_a_trial_runs_only_while_somebody_drives_its_study(make_study: MakeStudy) -> None:
    study = make_study((network(9), result(0, miou=0.5)), (network(10), None))
    ended, running = "2 trials: 1 completed, 1 interrupted", "2 trials: 1 completed, 1 running"
    for one in (study, Snapshot(study)):
        assert ended in summary(one)
        assert standing(one).line == ended
        assert b",interrupted," in trials_csv(one)
        assert f"{ended}</p>" in page_html(gather(one)).decode()
        assert all("not drawn: 1 interrupted" in picture.caption for picture in pictures(one))
    with StudyStore(study.folder):
        assert running in summary(study)
        assert b",running," in trials_csv(study)
        assert f"{running}</p>" in page_html(gather(study)).decode()
    assert standing(study).line == ended


def test_one_trial_is_no_plural(make_study: MakeStudy) -> None:
    assert standing(make_study((network(9), result(0)))).line == "1 trial: 1 completed"
    assert standing(make_study()).beside == ()
