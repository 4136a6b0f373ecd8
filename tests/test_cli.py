"""The command line as a person or a script meets it: what it prints, where, and its exit code."""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from hrnet_search import Architecture, __version__, open_study
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.cli import COMMANDS, main, parser
from hrnet_search.device_names import DEVICES
from hrnet_search.space.load import load_space_file
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("seg_hrnet_w*.yaml"))
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
TINY = f"""\
name: tiny
base: {CONFIGS[1]}
vary:
  width: [2, 4, 6, 8]
  STAGE4.NUM_BRANCHES: [2, 3, 4]
  STAGE3.NUM_BRANCHES: [1, 2]
  STAGE2.NUM_BRANCHES: [1]
  STAGE4.FUSE_METHOD: [SUM, CAT]
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 4, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 4}}
tracking: {{mlflow: off}}
"""

GO_ON = "; once this is fixed, run the same command again"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def one_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study of one trial that has ended, made once and only copied."""
    folder = tmp_path_factory.mktemp("one-trial")
    (folder / "tiny.yaml").write_text(TINY)
    words = ["run", str(folder / "tiny.yaml"), "-o", str(folder / "study"), "--trials", "1"]
    assert main(words) == 0
    return folder / "study"


@pytest.fixture
def finished(one_trial: Path, tmp_path: Path) -> Path:
    return shutil.copytree(one_trial, tmp_path / "finished")


of_one_trial = pytest.mark.xdist_group("one trial")
"""Tests of a copy share a process, so that the study is made once."""


@pytest.mark.parametrize(
    ("init", "note"),
    [
        ("base, init_steps: 4", "tensors match"),
        pytest.param(
            "shared, shared: {steps: 4, networks: 2}",
            "tensors from shared weights",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.usefixtures("blank_pictures")
def test_a_study_trains_first_and_once_what_its_variants_start_from(
    tmp_path: Path, init: str, note: str
) -> None:
    path, folder = tmp_path / "tiny.yaml", tmp_path / "study"
    path.write_text(TINY.replace("steps: 4,", f"steps: 2, init: {init},"))
    for trials in (1, 2):  # the second goes on where the first ended
        assert main(["run", str(path), "-o", str(folder), "--trials", str(trials), "--plain"]) == 0
    study = open_study(folder)
    (base, trained), *rest = study.trials()
    assert (base.purpose, base.number, len(rest)) == ("base", 0, 2)
    assert (folder / "weights" / f"{base.key}.safetensors").is_file()
    assert trained is not None
    assert [rung.step for rung in trained.rungs] == [4]
    for ask, result in rest:
        assert result is not None
        assert any(note in said for said in result.notes)
        assert ask.number in set(study.results()["number"])
    assert 0 not in set(study.front()["number"])


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "hrnet_search.cli", *map(str, words)]


def seconds(*words: str) -> float:
    """Return the processor time that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def answers_within(ratio: float, *words: str) -> bool:
    """Return whether a process takes at most so many times a loop of Python: machines differ.

    Both are timed by turns, three times at most: the machine may be busy. Importing torch takes
    about 5 such loops.
    """
    loop, taken = [], []
    for _ in range(3):
        loop.append(seconds(sys.executable, "-c", "sum(i * i for i in range(5_000_000))"))
        taken.append(seconds(*words))
        if min(taken) < ratio * min(loop):
            return True
    return False


def test_check_answers_at_once() -> None:
    """For all shipped spaces in one process, which so loads once what each of them needs."""
    run = "import sys; from hrnet_search.cli import main"
    each = "assert all(main(['check', space]) == 0 for space in sys.argv[1:])"
    without = "assert 'torch' not in sys.modules"
    words = [sys.executable, "-c", "; ".join([run, each, without]), *map(str, SPACES)]
    assert answers_within(14, *words)


def test_check_of_drawn_data_loads_no_library_for_images() -> None:
    space = ROOT / "search_spaces" / "quickstart.yaml"
    run = "import sys; from hrnet_search.cli import main; assert main(sys.argv[1:]) == 0"
    seen = f"{run}; print(sorted({{'PIL', 'torch', 'numpy.ma'}} & sys.modules.keys()))"
    words = [sys.executable, "-c", seen, "check", str(space)]
    out = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert out.splitlines()[-1] == "[]"


def test_the_words_of_all_commands_are_read_without_numpy() -> None:
    seen = (
        "import sys, hrnet_search.cli; print(sorted({'numpy', 'torch', 'yaml'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", seen]
    out = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert out == "[]\n"


def test_help_and_profile_answer_at_once() -> None:
    assert answers_within(0.75, *command("--help"))
    assert answers_within(0.75, *command("run", "--help"))
    assert answers_within(2.5, *command("profile", *CONFIGS))


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0
        assert "usage: hrnet-search" in capsys.readouterr().out


def test_check_says_how_large_and_how_dear(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tiny)]) == 0
    out = capsys.readouterr().out
    assert "tiny: no problems" in out
    assert "valid points" in out
    note = "the official HRNet library does not run as meant: STAGE4.NUM_BRANCHES 2, 3; STAGE4.FUSE"
    assert note in out
    assert main(["check", str(tiny), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] == 4 * 3 * 2 * 2 - 0
    assert found["exact"] is True


def test_check_says_that_the_data_were_not_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "search_spaces" / "camvid.yaml")]) == 0
    assert "not looked at" in capsys.readouterr().out


def test_run_without_a_data_root_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(ROOT / "search_spaces" / "camvid.yaml")]) == 2
    assert "--data-root DIR" in capsys.readouterr().err


def test_bad_input_is_a_line_a_problem_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TINY.replace("steps: 4", "steps: no").replace("[2, 4, 6, 8]", "[2, 2]"))
    for name in ("check", "run"):
        done = subprocess.run(command(name, path), capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert lines[0].startswith(f"{path}:4:14: vary.width: 2 is repeated")
        assert lines[1].startswith(f"{path}:11:19: schedule.steps: no: ")
        assert len(lines) == 2


UNKNOWN = "is not a known option"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["hrnet-search: the following arguments are required: COMMAND"]),
        (
            ["run", "a.yaml", "--n-trials", "3"],
            [f"run: --n-trials {UNKNOWN}, did you mean --trials?"],
        ),
        (["run", "a.yaml", "--resume"], [f"run: --resume {UNKNOWN}, did you mean --reuse?"]),
        (
            ["export", "study", "--member", "3", "--fromat=onnx"],
            [
                f"export: --member {UNKNOWN}",
                f"export: --fromat {UNKNOWN}, did you mean --format?",
            ],
        ),
        (["run", "a.yaml", "b.yaml"], ["run: unexpected: b.yaml"]),
        (
            ["run", "a.yaml", "--trials", "x"],
            ["run: argument --trials: x is not an integer, allowed: 1 or more"],
        ),
        (
            ["run", "a.yaml", "--trials", "0"],
            ["run: argument --trials: 0 is not positive, allowed: 1 or more"],
        ),
        (
            ["run", "a.yaml", "--gpus-per-trial", "x"],
            ["run: argument --gpus-per-trial: x is not a number, allowed: 0 or more, below 1e6"],
        ),
        (
            ["generate", "a.yaml", "-n", "1", "-o", "x", "--seed", "-1"],
            ["generate: argument --seed: -1 is not allowed, allowed: an integer of at least 0"],
        ),
        (
            ["profile", "a.yaml", "--size", "64", "x"],
            ["profile: argument --size: x is not an integer, allowed: an integer"],
        ),
        (
            ["profile", "a.yaml", "--seconds", "x"],
            ["profile: argument --seconds: x is not a number, allowed: a number"],
        ),
        (
            ["profile", "a.yaml", "--device", "gpu"],
            [f"profile: argument --device: gpu is not known, allowed: {DEVICES}"],
        ),
        (
            ["run", "a.yaml", "--trials", "1.5"],
            ["run: argument --trials: 1.5 is not an integer, allowed: 1 or more"],
        ),
        (
            ["profile", "a.yaml", "--seconds", "nan"],
            ["profile: argument --seconds: nan is not a number, allowed: a number"],
        ),
    ],
)
def test_a_command_line_that_is_wrong_is_a_line_a_problem_that_names_the_command(
    words: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    name = f"hrnet-search {words[0]}" if words else "hrnet-search"
    said = [f"hrnet-search {line}" if words else line for line in lines]
    assert (out, err.splitlines()) == ("", [f"{line} ({name} --help)" for line in said])


@pytest.mark.parametrize("words", [("--debug", "check"), ("check", "--debug")])
def test_debug_stands_before_the_command_or_behind_it(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "absent.yaml"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("absent.yaml: cannot be read: No such file or directory\n")
    assert main(["check", "absent.yaml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_package_runs_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "hrnet_search", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == f"hrnet-search {__version__}\n"


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:NVIDIA A100"])
def test_device_names_are_the_same_in_a_command_and_in_a_space_file(name: str, tiny: Path) -> None:
    parsed = parser().parse_args(["profile", "a.yaml", "--device", name])
    assert parsed.device == name
    tiny.write_text(_with_device(tiny, name))
    assert load_space_file(tiny).latency.device == name


@pytest.mark.parametrize("name", ["CUDA", "gpu", "cuda:", "cuda:1x", "cuda:9999", "mps", "cpu:0"])
def test_other_device_names_are_refused_in_the_same_words(
    name: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"{name} is not known, allowed: auto, cpu, cuda, cuda:N, or cuda:MODEL"
    with pytest.raises(SystemExit):
        main(["profile", "a.yaml", "--device", name])
    assert said in capsys.readouterr().err
    tiny.write_text(_with_device(tiny, name))
    assert main(["check", str(tiny)]) == 2
    assert f"latency.device: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["nineteen", "-3", "0", "999999999999"])
def test_profile_refuses_what_is_not_a_class_count(
    count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(CONFIGS[0].read_text().replace("NUM_CLASSES: 19", f"NUM_CLASSES: {count}"))
    assert main(["profile", str(path)]) == 2
    said = f"{path}: DATASET.NUM_CLASSES: {count} is not a class count, allowed: an integer from 1"
    assert said in capsys.readouterr().err


def _with_device(space: Path, name: str) -> str:
    kept = [line for line in space.read_text().splitlines() if not line.startswith("latency")]
    return "\n".join([*kept, f'latency: {{size: [64, 64], device: "{name}"}}', ""])


def test_generate_says_where_it_cannot_write(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as caught:
        main(["generate", str(tiny), "-n", "1", "-o", str(tmp_path / "file" / "out")])
    assert caught.value.code == 2
    assert f"-o/--output: {tmp_path}/file/out: Not a directory" in capsys.readouterr().err


def test_a_data_root_that_nothing_reads_is_said(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tiny), "--data-root", "/nowhere"]) == 0
    said = capsys.readouterr().err
    assert said == "--data-root: not used: data of kind shapes need no files\n"


def test_generate_writes_distinct_configs(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert main(["generate", str(tiny), "-n", "5", "-o", str(folder)]) == 0
    ids = {Architecture.from_yaml(p).id for p in folder.iterdir()}
    assert len(ids) == 5
    (dataset,) = {str(read_config(p).sections["DATASET"]) for p in folder.iterdir()}
    assert "'NUM_CLASSES': 8" in dataset  # those of the space file's data, not the base's 19
    assert main(["generate", str(tiny), "-n", "500", "-o", str(folder)]) == 0
    assert "no more than" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["report", "export", "sync", "repair"])
def test_what_is_no_study_is_bad_input(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, str(tmp_path)]) == 2
    assert "is not a study" in capsys.readouterr().err


def test_check_looks_at_initial_weights_as_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("steps: 4,", "steps: 4, init: w.pth,"))
    (tmp_path / "w.pth").write_text("<!DOCTYPE html><html>sign in</html>")
    monkeypatch.chdir(tmp_path)
    said = []
    for name in ("check", "run"):
        assert main([name, str(path)]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert f"{tmp_path / 'w.pth'}: is a web page (HTML), download" in said[0]
    assert "\n" not in said[0].strip()


def test_a_run_from_space_file_to_configs(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    folder, base = tmp_path / "study", tmp_path / "base.yaml"
    text = CONFIGS[1].read_text().replace("PRETRAINED: ''", "PRETRAINED: hrnet.pth")
    base.write_text(text)
    tiny.write_text(TINY.replace(str(CONFIGS[1]), str(base)).replace("trials: 4", "trials: 3"))
    assert main(["run", str(tiny), "-o", str(folder)]) == 0
    out = capsys.readouterr().out
    study = open_study(folder)
    table = study.results()
    assert table["status"].tolist() == ["completed"] * 3
    assert table["latency_ms"].gt(0).all()
    assert "A/A check: the reference network" in out
    unused = "base: MODEL.PRETRAINED hrnet.pth is not used: variants start from random weights"
    log, page = folder / "logs" / "progress.log", folder / "report" / "report.html"
    assert all(unused in text for text in (out, log.read_text(), page.read_text()))
    check = study.notes.aa_check
    assert check is not None
    assert check.low <= check.ratio <= check.high
    assert study.notes.reference_ms == check.reference_ms > 0
    front = study.front()
    written = sorted(Architecture.from_yaml(p).id for p in (folder / "configs").glob("*.yaml"))
    assert written == sorted(front["architecture"])
    for name in ("trials.csv", "front.csv", "width_miou.png", "width_miou.svg", "macs_miou.png"):
        assert (folder / "report" / name).stat().st_size > 0
    assert str(folder / "configs") in out
    # The same command again has nothing left to do, and more trials go on.
    request.getfixturevalue("blank_pictures")  # they have been seen
    assert main(["run", str(tiny), "-o", str(folder)]) == 0
    assert len(open_study(folder).results()) == 3
    assert main(["run", str(tiny), "-o", str(folder), "--trials", "4"]) == 0
    assert open_study(folder).results()["architecture"].nunique() == 4
    assert main(["report", str(folder)]) == 0
    assert main(["export", str(folder), "-o", str(tmp_path / "export")]) == 0
    assert main(["sync", str(folder)]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("one_check", "blank_pictures")
def test_export_writes_every_format_and_times_onnx(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    tiny.write_text(TINY.replace("[2, 3, 4]", "[4]").replace("[SUM, CAT]", "[SUM]"))
    assert main(["run", str(tiny), "-o", str(study), "--trials", "1"]) == 0
    words = ["export", str(study), "-o", str(out), "--format", "mmseg,onnx,hrnet,safetensors"]
    capsys.readouterr()
    assert main([*words, "--weights", "--latency", "--size", "33", "32", "--batch", "1"]) == 0
    said = capsys.readouterr()
    assert "ms in onnxruntime on the CPU" in said.out
    assert "cards: 1 file in" in said.out
    kinds = sorted("".join(path.suffixes[-1:]) for path in out.iterdir())
    assert kinds == [".json", ".md", ".onnx", ".pth", ".pth", ".py", ".safetensors", ".yaml"]
    (card,) = out.glob("*.md")
    assert ", onnxruntime, fp32, batch 1, 33 x 32, " in card.read_text()
    # The base is for Cityscapes, the data are drawn, of 8 classes.
    assert said.err == ""
    (config,) = out.glob("*.yaml")
    assert "NUM_CLASSES: 8\n" in config.read_text()
    assert "First set DATASET.ROOT, DATASET.TRAIN_SET, DATASET.TEST_SET" in card.read_text()


@of_one_trial
def test_export_names_what_it_cannot_write_or_time(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = finished
    assert main(["export", str(study), "--format", "hrnet,tflite"]) == 2
    assert (
        "tflite is not known, allowed: hrnet, mmseg, onnx, safetensors" in capsys.readouterr().err
    )
    assert main(["export", str(study), "--latency"]) == 2
    assert "allowed: with onnx in --format" in capsys.readouterr().err
    assert not (study / "export").exists()


@of_one_trial
@pytest.mark.usefixtures("blank_pictures")
def test_another_space_does_not_go_on_with_a_study(
    tiny: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished
    assert main(["run", str(tiny), "-o", str(folder), "--trials", "1"]) == 0
    assert "\n1 trial of 1 has ended\n" in capsys.readouterr().out
    tiny.write_text(TINY.replace("[2, 4, 6, 8]", "[2, 4]").replace("steps: 4", "steps: 5"))
    assert main(["run", str(tiny), "-o", str(folder)]) == 2
    err = capsys.readouterr().err
    allowed = f"allowed: what {folder}/space.yaml says, or another folder with -o"
    assert err.splitlines() == [
        f"{tiny}:{where} when {folder} was begun, {allowed}"
        for where in (
            "4:10: vary.width: is [2, 4], was [2, 4, 6, 8]",
            "11:19: schedule.steps: is 5, was 4",
        )
    ]


@of_one_trial
def test_a_study_in_use_is_exit_3_with_the_owner(
    tiny: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StudyStore(finished):
        assert main(["run", str(tiny), "-o", str(finished)]) == 3
    assert f"process {os.getpid()}" in capsys.readouterr().err


def start(words: Sequence[object]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def begin_together(tiny: Path, folder: Path) -> None:
    with ExitStack() as stack:
        words = ["run", tiny, "-o", folder, "--trials", 1]
        processes = [stack.enter_context(start(words)) for _ in range(2)]
        said = [process.communicate() for process in processes]
    codes = [process.returncode for process in processes]
    # Where one came only after the other had ended, it went on with what that one left.
    assert sorted(codes) in ([0, 3], [0, 0]), said
    assert codes.count(3) == sum("in use by process" in err for _, err in said)
    assert open_study(folder).results()["status"].tolist() == ["completed"]


@pytest.mark.bench
def test_of_two_commands_that_begin_one_study_one_runs(tiny: Path, tmp_path: Path) -> None:
    begin_together(tiny, tmp_path / "study")


@pytest.mark.bench
def test_of_two_commands_one_runs_sixty_times(tiny: Path, tmp_path: Path) -> None:
    for n in range(60):
        begin_together(tiny, tmp_path / str(n))


@pytest.mark.parametrize(
    "kills", [pytest.param(1, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.bench)]
)
def test_a_run_killed_at_random_moments_goes_on(kills: int, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    rng = random.Random(4)
    words = ["run", tiny, "-o", folder, "--trials", 8]
    seen: dict[str, float | None] = {}
    for _ in range(kills):
        with start(words) as process:
            while process.poll() is None and not (folder / "study.db").exists():
                time.sleep(0.05)
            time.sleep(rng.uniform(0.5, 2.5))
            process.send_signal(signal.SIGKILL)
        now = completed(folder)
        assert seen.items() <= now.items()
        seen = now
    with start(words) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert len(open_study(folder).trials()) == 8
    assert len(completed(folder)) == 8, "no trial failed or ran twice"
    assert seen.items() <= completed(folder).items()


def completed(folder: Path) -> dict[str, float | None]:
    """Return the mIoU of each trial that completed, by its key."""
    ended = open_study(folder).ended()
    return {str(ask.key): result.miou for ask, result in ended if result.status == "completed"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.bench)]
)
def test_an_interrupted_run_is_exit_130_and_goes_on(
    sign: signal.Signals, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    with start(["run", tiny, "-o", folder, "--trials", 40]) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("[1/40]"):
                break
        process.send_signal(sign)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert err == "interrupted; run the same command again to go on\n"
    with StudyStore(folder) as store:
        assert len(store.finished()) >= 1


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_trials_run_or_after_them_is_one_line_and_exit_130(
    sign: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While data are read, or the report is written."""

    def signalled(_: argparse.Namespace) -> int:
        """Hear a signal."""
        os.kill(os.getpid(), sign)
        time.sleep(10)
        return 0

    monkeypatch.setitem(COMMANDS, "sync", (COMMANDS["sync"][0], signalled))
    usual = signal.default_int_handler if sign == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(sign, usual)  # who runs tests under nohup ignores one of them
    try:
        assert main(["sync", "x"]) == 130
        assert signal.getsignal(sign) == usual
    finally:
        signal.signal(sign, before)
    assert capsys.readouterr().err == "interrupted; run the same command again to go on\n"


def test_nohup_is_left_to_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def hung_up(_: argparse.Namespace) -> int:
        """Hear that the terminal is gone."""
        os.kill(os.getpid(), signal.SIGHUP)
        return 0

    monkeypatch.setitem(COMMANDS, "sync", (COMMANDS["sync"][0], hung_up))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["sync", "x"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_full_disk_wherever_it_is_met_is_one_line_and_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: argparse.Namespace) -> int:
        """Meet a full disk."""
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a"))

    monkeypatch.setitem(COMMANDS, "sync", (COMMANDS["sync"][0], full))
    assert main(["sync", "x"]) == 4
    said = capsys.readouterr().err
    why = "cannot be written: No space left on device ("
    assert said.startswith(f"{tmp_path}/a: {why}")
    assert said.endswith(f" free){GO_ON}\n")
    assert said.count("\n") == 1
