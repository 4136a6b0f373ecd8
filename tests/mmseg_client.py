"""mmsegmentation as its users run it, in a process of its own: judges weights, then trains.

    python mmseg_client.py CONFIG WEIGHTS WORK_DIR

prints a line of JSON. mmcv-lite is mmcv without compiled operations. mmsegmentation imports some of
them by name for other networks, so where they are missing the module that holds them is, while
mmsegmentation is imported, one whose operations raise when they are called: HRNet and FCNHead call
none.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from types import ModuleType
from typing import Any


class NotCompiled(ModuleType):
    """Stands for `mmcv._ext`; has every operation, and none that runs."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def operation(*_: Any, **__: Any) -> None:
            raise NotImplementedError(f"mmcv._ext.{name} is not compiled here")

        return operation


def import_mmseg() -> None:
    """Import mmsegmentation, whatever of mmcv is compiled."""
    if importlib.util.find_spec("mmcv._ext") is not None:
        return
    sys.modules["mmcv._ext"] = NotCompiled("mmcv._ext")
    try:
        importlib.import_module("mmseg.apis")
    finally:
        del sys.modules["mmcv._ext"]  # who asks whether it is there hears the truth


def main(config: str, weights: str, work_dir: str) -> None:
    import_mmseg()
    import torch
    from mmengine.config import Config
    from mmengine.runner import Runner
    from mmseg.apis import init_model

    torch.manual_seed(0)
    model = init_model(config, weights, device="cpu")
    found = Config.fromfile(config)
    found.work_dir, found.load_from = work_dir, weights
    judged = Runner.from_cfg(found).test()
    found.train_cfg.update(max_iters=2, val_interval=2)
    found.default_hooks.logger.interval = 1
    found.experiment_name = "trained"
    runner = Runner.from_cfg(found)
    before = {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}
    runner.train()
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    moved = [n for n, t in runner.model.state_dict().items() if not torch.equal(t, before[n])]
    print(json.dumps({
        "miou": float(judged["mIoU"]), "iterations": runner.iter, "losses": losses.tolist(),
        "moved": len(moved), "tensors": len(before),
        "classes": model.dataset_meta["classes"],
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
