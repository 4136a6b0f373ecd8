"""What TensorBoard shows of a study: read by its own reader and asked of its own server."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import result
from PIL import Image
from search.mirrors.tensorboard_reader import INSTALLED, hparams_of, read
from search.mirrors.test_pages import BEGAN, MIOUS, STUDY, asked, found

from hrnet_search.cli import main
from hrnet_search.errors import SpaceError
from hrnet_search.records.trial import FAILED
from hrnet_search.search.mirrors.outbox import Outbox, sync
from hrnet_search.search.mirrors.tensorboard_mirror import TensorBoardMirror
from hrnet_search.search.mirrors.tracking_uri import tracking_of
from hrnet_search.space.load import load_space_file
from hrnet_search.store.notes import DONE, Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[3]
COLOURS = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a study of two trials with a report."""
    place = tmp_path / "study"
    StudyStore.create(
        place, replace(STUDY, space_text="# *mine*", tracking={"tensorboard": "auto"})
    )
    with StudyStore(place) as store:
        for number in range(2):
            store.ask(asked(number))
            store.finish(number, found(number))
        store.note(Notes(outcome=DONE, trials=2))
    (place / "report").mkdir()
    Image.fromarray(COLOURS).save(place / "report" / "macs_miou.png")
    return place


@INSTALLED
def test_a_trial_has_its_curves_and_a_row_in_the_table(folder: Path) -> None:
    assert sync(folder, print) == {"tensorboard": (2, 0, True)}
    run = folder / "tensorboard" / "trial-0001"
    events = read(run)
    curve = [(one.step, round(one.value, 3), one.wall_time) for one in events.Scalars("miou")]
    ended = BEGAN + 3600 + 120
    assert curve == [(5, 0.1, ended), (10, MIOUS[1], ended)]
    assert [one.step for one in events.Scalars("iou.side walk")] == [5, 10]
    told = hparams_of(run)
    assert (told["width"], told["STAGE4.NUM_BRANCHES"]) == (6, 4)
    assert (told["status"], told["purpose"], told["seed"]) == ("completed", "search", 0)
    assert events.Scalars("result/macs")[-1].value == 2001
    assert events.Scalars("result/latency_ms")[-1].value == 2.5


@INSTALLED
def test_the_study_has_its_growth_and_its_space_file_and_nothing_twice(folder: Path) -> None:
    for _ in range(2):
        sync(folder, print)
    events = read(folder / "tensorboard" / "study")
    assert [one.step for one in events.Scalars("hypervolume")] == [1, 2]
    assert events.Scalars("trials.completed")[0].value == 2
    (told,) = events.Tensors("space/text_summary")
    assert told.tensor_proto.string_val == [b"    # *mine*"]
    assert len(read(folder / "tensorboard" / "trial-0000").Scalars("miou")) == 2


@INSTALLED
def test_the_pictures_of_the_report_are_images(folder: Path) -> None:
    for _ in range(2):
        sync(folder, print)
    (image,) = read(folder / "tensorboard" / "front").Images("macs_miou")
    shown = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert np.array_equal(shown, COLOURS)


@INSTALLED
def test_a_run_that_was_cut_off_or_removed_is_made_again(folder: Path) -> None:
    mirror = TensorBoardMirror(open_study(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "_results", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mirror.send(asked(0), found(0))
    assert (folder / "tensorboard" / "trial-0000").is_dir()
    assert mirror.known() == {}
    assert sync(folder, print) == {"tensorboard": (2, 0, True)}
    assert len(read(folder / "tensorboard" / "trial-0000").Scalars("miou")) == 2
    (folder / "tensorboard" / "trial-0001" / "whole.json").unlink()
    assert sync(folder, print) == {"tensorboard": (1, 0, True)}


@INSTALLED
def test_trials_are_shown_as_they_end(folder: Path) -> None:
    with Outbox(folder, print) as box, StudyStore(folder) as store:
        store.ask(asked(2))
        failed = replace(result(2), status=FAILED, error="odd", miou=None, rungs=(), latency=None)
        store.finish(2, replace(failed, key=asked(2).key))
        box.ended(None, failed)  # type: ignore[arg-type]
    assert hparams_of(folder / "tensorboard" / "trial-0002")["status"] == FAILED


@INSTALLED
def test_a_link_is_not_followed_to_folders_of_others(folder: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    (others / "study").mkdir(parents=True)
    (folder / "tensorboard").symlink_to(others)
    said: list[str] = []
    assert sync(folder, said.append) == {"tensorboard": (0, 2, False)}
    assert "link" in said[0]
    assert (others / "study").is_dir()


@contextmanager
def served(logs: Path) -> Iterator[str]:
    """Yield the address of a TensorBoard over a folder, in a process of its own."""
    words = ["--logdir", str(logs), "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    command = [sys.executable, "-m", "tensorboard.main", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = (re.search(r" at (http://\S+)", line) for line in process.stderr)
            yield next(address[1] for address in found if address)
        finally:
            process.kill()


@INSTALLED
def test_its_server_shows_runs_scalars_and_the_table(folder: Path) -> None:
    sync(folder, print)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with served(folder / "tensorboard") as url:

        def ask(path: str, body: dict[str, Any] | None = None) -> Any:
            data = None if body is None else json.dumps(body).encode()
            kind = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{url}data/plugin/{path}", data, kind)
            with direct.open(request, timeout=60) as answer:
                return json.load(answer)

        until = time.monotonic() + 60
        tags: dict[str, Any] = {}
        while not {"trial-0000", "trial-0001", "study", "front"} <= tags.keys():
            assert time.monotonic() < until, tags
            time.sleep(0.2)
            tags = ask("scalars/tags") | ask("images/tags")
        assert "miou" in ask("scalars/tags")["trial-0001"]
        assert "hypervolume" in ask("scalars/tags")["study"]
        assert "macs_miou" in ask("images/tags")["front"]
        status = {"allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_RUNNING"]}
        table = ask("hparams/session_groups", {**status, "colParams": [], "sliceSize": 9})
        assert {group["hparams"]["width"] for group in table["sessionGroups"]} == {4, 6}


SPACE = f"""\
name: tiny
base: {ROOT / "configs" / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"}
vary: {{width: [2, 4]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes}}
schedule: {{steps: 1}}
tracking: {{mlflow: off, tensorboard: VALUE}}
"""


@pytest.mark.parametrize(
    ("value", "kept"),
    [("true", "auto"), ("auto", "auto"), ("false", "off"), ("off", "off")],
)
def test_it_is_on_or_off(tmp_path: Path, value: str, kept: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("VALUE", value))
    assert load_space_file(path).tracking.tensorboard == kept
    path.write_text(SPACE.replace(", tensorboard: VALUE", ""))
    assert load_space_file(path).tracking.tensorboard == "off"
    path.write_text(SPACE.replace("VALUE", "./logs"))
    with pytest.raises(SpaceError, match=r"tracking.tensorboard: .*allowed: true, false"):
        load_space_file(path)


def test_where_it_is_not_installed_a_line_says_what_installs_it(
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run says so before anything is begun, check as advice, sync in its warning."""
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("VALUE", "true"))
    whole = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == "tensorboard" else whole(name, *rest)  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", hidden)
    line = "tracking.tensorboard: needs tensorboard, not installed here"
    install = "pip install tensorboard"
    with pytest.raises(SpaceError, match=line) as error:
        tracking_of(load_space_file(path), folder)
    assert install in str(error.value)
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr()
    assert line in out.out + out.err
    said: list[str] = []
    assert sync(folder, said.append) == {"tensorboard": (0, 2, False)}
    assert said == [f"{line}, to install: {install}"] or install in said[0]
    path.write_text(SPACE.replace("VALUE", "false"))
    assert tracking_of(load_space_file(path), folder)["tensorboard"] == "off"
