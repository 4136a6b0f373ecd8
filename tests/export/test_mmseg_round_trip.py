"""A study of own data goes to mmsegmentation 1.2 and back: its evaluator, its trainer."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import network
from PIL import Image

from hrnet_search.arch.architecture import OCR, Architecture
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.cli import main
from hrnet_search.export.member import front_of
from hrnet_search.store.study import open_study

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "tests" / "mmseg_client.py"
INSTALL = "pip install 'mmsegmentation==1.2.2' 'mmengine<1' 'mmcv-lite>=2.0.0,<2.2' ftfy regex"
MISSING = [n for n in ("mmseg", "mmengine", "mmcv", "ftfy") if not importlib.util.find_spec(n)]

CLASSES, HEIGHT, WIDTH = 11, 96, 128
SPACE = f"""
name: own
base: base.yaml
vary: {{width: [8, 10]}}
objectives: {{miou: max, macs: min}}
data:
  kind: folder
  root: data
  classes: {CLASSES}
  ignore: {CLASSES}
  train: {{images: train/images, masks: train/masks}}
  val: {{images: val/images, masks: val/masks}}
schedule: {{steps: 150, batch: 4, crop: [64, 96], optimiser: adamw, lr: 0.005}}
latency: {{size: [64, 64], seconds: 0.2, device: cpu}}
"""


def draw(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write images of patches in eleven colours, and masks with a border that counts nowhere."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        cells = rng.integers(0, CLASSES, (HEIGHT // 32, WIDTH // 32))
        mask = np.kron(cells, np.ones((32, 32), dtype=int)).astype(np.uint8)
        grey = np.array([30 + 20 * i for i in range(CLASSES)])[mask]
        image = np.stack([grey, 255 - grey, (7 * grey) % 256], axis=2)
        image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        mask[:4], mask[:, :4] = CLASSES, CLASSES
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")


def snippet(model: str, data: Path) -> str:
    """Return the config of docs/export.md for one's own data, with the names that are to be set."""
    text = (ROOT / "docs" / "export.md").read_text()
    block: str
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "FILE_mmseg" in b]
    return block.replace("./FILE_mmseg.py", f"./{model}").replace('"ROOT"', repr(str(data)))


HEADS = {
    "FCNHead": network(8),
    "OCRHead": replace(network(8), head=OCR, mid_channels=32, key_channels=16),
}


@pytest.mark.bench
@pytest.mark.parametrize("base", HEADS.values(), ids=HEADS)
@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed: {INSTALL}")
def test_mmsegmentation_judges_our_weights_as_we_do_and_trains_on(
    base: Architecture, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    draw(tmp_path / "data" / "train", 24, rng)
    draw(tmp_path / "data" / "val", 8, rng)
    (tmp_path / "base.yaml").write_text(config_text(base))
    space, folder, out = (tmp_path / n for n in ("own.yaml", "study", "export"))
    space.write_text(SPACE)
    assert main(["run", str(space), "-o", str(folder), "--plain", "--trials", "1"]) == 0
    command = ["export", str(folder), "-o", str(out), "--format", "mmseg", "--weights"]
    assert main(command) == 0
    (member,) = front_of(open_study(folder))
    name = f"{member.plain_stem}_mmseg"
    config = out / "own_data.py"
    config.write_text(snippet(f"{name}.py", tmp_path / "data"))
    found = client(config, out / f"{name}.pth", tmp_path / "work")
    assert member.miou > 2 / CLASSES  # something was learned, so that the mIoU tells weights apart
    assert found["miou"] == pytest.approx(100 * member.miou, abs=0.02)  # it rounds to 0.01
    assert found["iterations"] == 2
    assert np.isfinite(found["losses"]).all()
    assert found["moved"] > found["tensors"] / 2
    assert len(found["classes"]) == CLASSES


def client(*words: Path) -> dict[str, Any]:
    """Run mmsegmentation, which warns of much, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(CLIENT), *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
