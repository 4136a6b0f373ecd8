"""README's walk from own data to own weights, its commands as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.cli import main
from hrnet_search.store.trainings import read_results

README = Path(__file__).parents[1] / "README.md"
CLASSES = 3
BRIEF = "schedule: {steps: 4, batch: 4, crop: [64, 64], lr: 0.01}"


def draw(folder: Path, count: int) -> None:
    """Write images whose patches have the colour of their class, and masks."""
    rng = np.random.default_rng(count)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        cells = rng.integers(0, CLASSES, (4, 4))
        mask = np.kron(cells, np.ones((16, 16), dtype=int)).astype(np.uint8)
        image = np.stack([80 * mask, 250 - 80 * mask, 40 * mask], axis=2).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")


def commands() -> list[list[str]]:
    """Return the commands of the walk as lists of words."""
    (block,) = re.findall(
        r"## From your data to your weights.*?```bash\n(.*?)```", README.read_text(), re.S
    )
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


@pytest.mark.slow
def test_the_walk_goes_from_own_data_to_own_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer steps than its space file says, and one trial: nothing else differs."""
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "DATA" / "train", 8)
    draw(tmp_path / "DATA" / "val", 3)
    named = [words[0] for words in commands()]
    assert named == ["init", "check", "run", "train", "evaluate", "predict"]
    for words in commands():
        more = {"run": ["--trials", "1", "--plain"], "train": ["--mlflow", "off"]}
        given = ["1" if word == "200" else word for word in words]
        assert main([*given, *more.get(words[0], [])]) == 0, words
        if words[0] == "init":
            space = Path("mine", "space.yaml")
            text = re.sub(r"(?m)^schedule:(.*\n)(?:[ ].*\n)*", f"{BRIEF}\n", space.read_text())
            assert BRIEF in text
            space.write_text(text.replace("latency_ms: min", "macs: min"))
    assert read_results("results/mine-full").ended
    masks = sorted(path.name for path in Path("masks").glob("*.png"))
    assert masks == [f"{n}{end}.png" for n in range(3) for end in ("", "_overlay")]
    assert np.asarray(Image.open("masks/0.png")).shape == (64, 64)
