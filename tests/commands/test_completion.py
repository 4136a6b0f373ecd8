"""`completion`: the script does in a real shell what it is for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hrnet_search.cli import COMMANDS, main
from hrnet_search.commands.completion import SHELLS
from hrnet_search.records.data_spec import DATA_KINDS
from hrnet_search.space.published import PUBLISHED

pytest.importorskip("shtab")
BASH = shutil.which("bash")


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_commands_options_words_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "complete.sh").write_text(script("bash", capsys))
    (tmp_path / "space.yaml").touch()
    (tmp_path / "spaces").mkdir()

    def offered(*words: str) -> set[str]:
        """Return what bash offers for the last word."""
        line = " ".join(f"'{word}'" for word in ("hrnet-search", *words))
        code = (
            f". ./complete.sh; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
            "$(complete -p hrnet-search | sed 's/.*-F \\([^ ]*\\).*/\\1/') hrnet-search; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            [str(BASH), "--norc", "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        return set(done.stdout.split())

    assert offered("") >= set(COMMANDS)
    assert offered("ch") == {"check"}
    assert offered("run", "--tr") == {"--trials"}
    assert offered("init", "--kind", "") == set(DATA_KINDS)
    assert offered("init", "--base", "") == set(PUBLISHED)
    assert offered("profile", "--mode", "cu") == {"cudagraph"}
    assert offered("profile", "--device", "") == {"auto", "cpu", "cuda"}
    assert offered("export", "study", "--format", "o") == {"onnx"}
    assert offered("completion", "") == set(SHELLS)
    assert offered("check", "sp") == {"space.yaml", "spaces"}
    assert offered("report", "sp") == {"spaces"}
    assert offered("run", "space.yaml", "-o", "sp") == {"spaces"}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_with_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    assert [name for name in COMMANDS if name not in text] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_that_its_shell_reads(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    file = tmp_path / "script"
    file.write_text(script(shell, capsys))
    done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
