"""Wrong inputs say what docs/messages.md shows, in plain words: sixty of them, of every sort."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from hrnet_search.cli import main
from hrnet_search.errors import HrnetSearchError
from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "messages.md").read_text()
GOOD = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
UNWANTED = re.compile(
    r"foret[eo]l|\bdear(er|est)?\b|\bmend|(?<!there )\b(is|are) no (?!longer)"
    r"|stands? beside|\blies? in\b|told apart|tell apart|\bso many\b|\bdo not rise\b|\balone\b",
    re.IGNORECASE,
)
"""Words and turns that messages were swept of, and what they said then."""


@dataclass(frozen=True)
class Row:
    """One wrong input: a command, or what stands in a good file and what in its place."""

    number: int
    what: tuple[str, ...]
    before: str
    after: str


def cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [part.strip().replace("\\|", "|") for part in parts]


def rows() -> list[Row]:
    found = []
    for line in re.findall(r"^\| [0-9]+ \|.*$", PAGE, re.M):
        number, what, before, after = cells(line)
        inputs = tuple(part.replace("\\n", "\n") for part in re.findall(r"`([^`]*)`", what))
        texts = [text.replace("<br>", "\n") for text in (before, after)]
        same = texts[0] if texts[1] == "the same" else texts[1]
        found.append(Row(int(number), inputs, texts[0], same))
    return found


ROWS = rows()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "space.yaml").write_text(GOOD[0])
    return tmp_path


@pytest.mark.parametrize("row", ROWS, ids=[str(row.number) for row in ROWS])
def test_a_wrong_input_says_what_the_table_shows(
    row: Row, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if len(row.what) == 1:
        try:
            code = main(row.what[0].split()[1:])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        assert code == 2
        said = capsys.readouterr().err.strip()
    else:
        good = next(text for text in GOOD if row.what[0] in text)
        (folder / "here" / "space.yaml").write_text(good.replace(*row.what, 1))
        with pytest.raises(HrnetSearchError) as caught:
            load_space_file("space.yaml")
        said = str(caught.value)
    for place in (folder / "here", folder):
        said = said.replace(f"{place}/", "")
    assert said == row.after
    assert not UNWANTED.search(said)


def test_there_are_sixty_and_the_sweep_is_seen_in_some() -> None:
    assert [row.number for row in ROWS] == list(range(1, 61))
    assert sum(row.before != row.after for row in ROWS) >= 15
    swept = [row for row in ROWS if UNWANTED.search(row.before)]
    assert len(swept) >= 8, "the pattern finds what there was"
