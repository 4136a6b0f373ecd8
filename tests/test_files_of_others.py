"""What others could make of a study's files: links, rights, names that a terminal obeys."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from made_up import NOTES, ask, result

from hrnet_search.arch.config_reader import SECTIONS
from hrnet_search.arch.hrnet_yaml import read_config, write_config
from hrnet_search.cli import main
from hrnet_search.errors import StudyError
from hrnet_search.evaluate.training.artifacts import log_error
from hrnet_search.files import OWN, open_log, write_file, write_whole
from hrnet_search.paths import folders_beside
from hrnet_search.store.trainings import trainings_of
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[1]
BASE = sorted((ROOT / "configs").glob("seg_hrnet_w*.yaml"))[1]
QUICKSTART = ROOT / "search_spaces" / "quickstart.yaml"


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def make_study(folder: Path) -> None:
    StudyStore.create(folder, NOTES)
    with StudyStore(folder) as store:
        store.ask(ask(0))
        store.finish(0, result(0))


@pytest.mark.usefixtures("umask")
def test_every_file_has_the_rights_that_the_umask_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody sets it to read it: files of other threads would be open to all meanwhile."""
    monkeypatch.setattr(os, "umask", None)
    folder = tmp_path / "study"
    make_study(folder)
    write_file(folder / "report" / "report.html", b"x")
    open_log(folder / "logs" / "progress.log").close()
    write_config(read_config(BASE).architecture, tmp_path / "config.yaml", BASE)
    monkeypatch.undo()
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    rights = {p.name: stat.S_IMODE(p.stat().st_mode) for p in files}
    assert rights == dict.fromkeys(rights, 0o640)
    assert {"study.db", "study.jsonl", "report.html", "progress.log", "config.yaml"} == set(rights)
    os.umask(0o027)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("whole", [True, False], ids=["to-something", "to-nothing"])
def test_links_in_the_place_of_what_a_study_writes_are_refused(
    name: str, whole: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mine = tmp_path / "study", tmp_path / "mine"
    make_study(folder)
    if name == "logs":
        (folder / name).rmdir()
    (folder / name).unlink(missing_ok=True)
    if whole and name == "study.jsonl":
        mine.write_text("mine")
    elif whole:
        mine.mkdir()
    (folder / name).symlink_to(mine)
    line = f"{folder / name}: is a symbolic link, not followed"
    with pytest.raises(StudyError, match="symbolic link"):
        StudyStore(folder)
    for command in {"report", name} & {"report", "export"}:
        assert main([command, str(folder)]) == 2
        said = capsys.readouterr()
        assert line in said.err
        assert said.err.count("\n") == 1
    assert not whole or mine.is_file() or list(mine.iterdir()) == []
    assert whole or not mine.exists()


def test_links_in_the_place_of_files_are_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "logs").mkdir()
    for name in ("report.html", f".whole.{os.getpid()}.tmp", "logs/key.log"):
        (tmp_path / name).symlink_to(mine)
    with pytest.raises(StudyError):
        write_file(tmp_path / "report.html", b"x")
    write_whole(tmp_path / "whole", b"x")
    with pytest.raises(StudyError):
        open_log(tmp_path / "logs" / "key.log")
    task: Any = SimpleNamespace(folder=str(tmp_path), key="key")
    log_error(task)
    assert mine.read_text() == "mine"


@pytest.mark.usefixtures("blank_pictures")
def test_no_command_sends_control_characters_of_a_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """CVE-2021-42574 has the marks that turn text around; the rest is ECMA-48."""
    name = "a\x1b[31m\u202e\x07\x9b\u2066b"
    folder = tmp_path / name
    make_study(folder)
    (folder / "x.yaml").write_text("name: 1\n")
    config = str(folder / "config.yaml")
    (folder / "config.yaml").write_bytes(BASE.read_bytes())
    commands = [
        ["report", str(folder)], ["export", str(folder)], ["repair", str(folder)],
        ["check", str(folder / "x.yaml")], ["profile", config, "--size", "64", "64"],
        ["sync", str(folder / "none")], ["run", str(folder / name)], ["--" + name],
        ["generate", str(ROOT / "search_spaces" / "quickstart.yaml"), "-n", "1", "-o", str(folder)],
    ]  # fmt: skip
    for words in commands:
        with contextlib.suppress(SystemExit):
            main(words)
    said = "".join(capfd.readouterr())
    assert said.count("\\u202e") >= len(commands)
    assert [c for c in said if not c.isprintable() and c != "\n"] == []


READERS = ["report", "export", "sync", "repair", "check", "run", "profile", "ablate", "generate"]
LONG = "x" * 300
"""NAME_MAX of Linux is 255 bytes."""


def said_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line of a command that is refused with exit code 2."""
    try:
        code: object = main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.count("\n") == 1
    return said


def reading(command: str, path: str | Path) -> list[str]:
    return [command, str(path), *(["-n", "1", "-o", "x"] if command == "generate" else [])]


WRITERS: dict[str, Callable[[str], list[str]]] = {
    "init": lambda place: ["init", place],
    "generate": lambda place: ["generate", str(QUICKSTART), "-n", "1", "-o", place],
    "run": lambda place: ["run", str(QUICKSTART), "-o", place],
    "ablate": lambda place: ["ablate", str(QUICKSTART), "-o", place],
    "export": lambda place: ["export", "study", "-o", place],
}


@pytest.mark.parametrize("command", READERS)
def test_a_path_that_is_too_long_is_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "File name too long" in said_of(reading(command, LONG), capsys)


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize(
    ("place", "why"),
    [
        (LONG, "File name too long"),
        (f"new/{LONG}/new", "File name too long"),
        ("y/" * 3000, "File name too long"),
        ("file", "Not a directory"),
        ("file/new", "Not a directory"),
    ],
)
def test_a_place_that_cannot_be_is_one_line(
    command: str,
    place: str,
    why: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert why in said_of(WRITERS[command](place), capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@contextlib.contextmanager
def as_somebody(folder: Path) -> Iterator[None]:
    """Be a user whom the modes of files bind; root is not."""
    if os.geteuid():
        yield
        return
    # As deep as pytest puts it; what everybody may enter already, as /tmp, stays as it is.
    for part in (folder, *folder.parents):
        mode = part.stat().st_mode
        if not mode & stat.S_IXOTH:
            part.chmod(stat.S_IMODE(mode) | 0o055)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("command", READERS)
def test_a_path_that_may_not_be_read_is_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    denied = tmp_path / "denied"
    denied.mkdir()
    (denied / "x.yaml").write_text("name: x\n")
    said_of(reading(command, tmp_path / "none"), capsys)  # loads what the user may not read
    denied.chmod(0)
    with as_somebody(tmp_path):
        assert "Permission denied" in said_of(reading(command, denied / "x.yaml"), capsys)
    denied.chmod(0o700)


@pytest.mark.parametrize("command", WRITERS)
def test_a_place_that_may_not_be_written_is_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "denied").mkdir(mode=0o555)
    for place in (tmp_path / "denied", tmp_path / "denied" / "new" / "x"):
        with as_somebody(tmp_path):
            assert f"{place}: Permission denied" in said_of(WRITERS[command](str(place)), capsys)


@pytest.mark.parametrize("content", ["x", "[1, 2]", "3", ""])
@pytest.mark.parametrize("section", [*SECTIONS, "MODEL", "MODEL.OCR", "MODEL.EXTRA"])
@pytest.mark.parametrize("command", ["check", "generate", "run", "profile"])
def test_a_value_in_the_place_of_a_section_is_one_line(
    command: str, section: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A config of the HRNet library, as it is given to `profile` and as the base of a space."""
    given = yaml.safe_load(BASE.read_text())
    parent, _, key = section.rpartition(".")
    (given[parent] if parent else given)[key] = yaml.safe_load(content)
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(given))
    space = tmp_path / "space.yaml"
    space.write_text(QUICKSTART.read_text().replace(f"../configs/{BASE.name}", "base.yaml"))
    path = tmp_path / "base.yaml" if command == "profile" else space
    said = said_of(reading(command, path), capsys)
    assert re.search(rf"base\.yaml:\d+:\d+: {section}: is not a mapping, allowed: keys with", said)


def test_a_folder_beside_a_study_that_may_not_be_looked_into_is_passed_over(
    tmp_path: Path,
) -> None:
    """As lost+found, or a colleague's, in a folder that many share."""
    study = tmp_path / "shared" / "study"
    (tmp_path / "shared" / "private").mkdir(parents=True)
    study.mkdir()
    (tmp_path / "shared" / "private").chmod(0o700)
    with as_somebody(tmp_path):
        assert [path.name for path in folders_beside(study)] == ["study"]
        assert trainings_of(study, "x") == []
    assert folders_beside(tmp_path / "nowhere" / "study") == []
