"""The files that a served page links to, made of the study as it is: none is read from a disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote

from hrnet_search.export.member import Member, front_of
from hrnet_search.report.ablation.tables import TABLES
from hrnet_search.report.page.content import Page
from hrnet_search.report.page.render import BELOW
from hrnet_search.report.tables import FRONT, TRIALS, front_csv, trials_csv
from hrnet_search.store.study import Study

CSV, TEXT = "text/csv; charset=utf-8", "text/plain; charset=utf-8"
LINKED = ("ablation.md", "ablation.csv", "ablation.tex")

Files = Mapping[str, Callable[[], bytes]]
"""What makes each file, by the path below the page's under which a link asks for it."""


def linked_files(study: Study, page: Page) -> Files:
    """Return the files that a page of a study links to."""
    files: dict[str, Callable[[], bytes]] = {}
    if page.members:
        shown = {one.config for one in page.members}
        files |= {FRONT: partial(front_csv, study), TRIALS: partial(trials_csv, study)}
        for member in front_of(study):
            if (name := f"{member.stem}.yaml") in shown:
                files[BELOW + quote(name)] = partial(_config, member)
    if (record := study.notes.ablation) is not None:
        files |= {name: partial(TABLES[name], record, study) for name in LINKED}
    return files


def kind_of(name: str) -> str:
    """Return the media type of a file: text, that a browser shows and runs nothing of."""
    return CSV if name.endswith(".csv") else TEXT


def _config(member: Member) -> bytes:
    return member.config.text.encode()
