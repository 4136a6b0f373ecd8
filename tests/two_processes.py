"""What two processes do that train together, for tests that hold it against one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from made_up import TINY
from torch import nn
from torch.multiprocessing.spawn import start_processes

from hrnet_search.evaluate.training.attempts import Attempt, Attempts
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.ranks import ALONE, Ranks
from hrnet_search.evaluate.training.synced_norm import synchronised
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialTask

SPEC = DataSpec("shapes", classes=3, train_images=10, val_images=5, size=(64, 64))
PLAIN = Schedule(SPEC, steps=3, batch=5, crop=(64, 64), lr=0.001)
SCHEDULES = {
    "plain": PLAIN,
    "in parts, balanced": replace(PLAIN, accumulate=2, class_weights="balanced"),
    "ohem, averaged": replace(
        PLAIN,
        loss="ohem",
        ohem_threshold=0.4,
        ohem_keep=900,
        ema=0.9,
        memory_format="channels_last",
    ),
}
RUNGS = (2, 3)


def trained(
    schedule: Schedule, folder: Path, ranks: Ranks = ALONE, until: int = 3
) -> dict[str, Any]:
    """Train until a step, and return losses, judgements, weights and decisions."""
    key = TrialKey(TINY.id, schedule.id, 0)
    task = TrialTask(0, key, TINY, schedule, RUNGS, device="cpu", folder=str(folder))
    losses, attempt = {}, Attempt()

    def told(progress: TrialProgress) -> bool:
        if progress.phase == "train":
            losses[progress.step] = progress.loss
            if progress.step == until < schedule.steps:
                raise KeyboardInterrupt
        return True

    checkpoints = Checkpoints(folder / "checkpoints") if ranks.rank == 0 else None
    try:
        assert Attempts(ranks).train(task, told, checkpoints, attempt)
    except KeyboardInterrupt:
        return {"losses": losses}
    assert attempt.trainer
    assert attempt.training
    assert attempt.training.last
    return {
        "losses": losses,
        "rungs": attempt.training.rungs,
        "weights": attempt.trainer.weights.state_dict(),
        "confusions": attempt.training.last.confusions,
        "previews": sorted(attempt.training.last.previews.found),
    }


def normalised(ranks: Ranks = ALONE) -> dict[str, Any]:
    """Return what a norm in float64 makes of a share of five images, its statistics, and the
    gradients of a weighted sum over all."""
    generator = torch.Generator().manual_seed(3)
    images, factors = torch.randn(2, 5, 4, 3, 2, generator=generator, dtype=torch.float64) * 3 + 7
    norm = nn.BatchNorm2d(4, momentum=0.1).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2, generator=generator)
        norm.bias.uniform_(-1, 1, generator=generator)
    network = nn.Sequential(norm)
    if not ranks.alone:
        synchronised(network, ranks)
    own = list(ranks.pieces(5, 1)[0])
    share = images[own].requires_grad_()
    found = network(share)
    (found * factors[own]).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    ranks.add(gradients.values())
    return {
        "images": found.detach(),
        "gradient": share.grad,
        "statistics": network.state_dict(),
        "gradients": gradients,
    }


def of_both(folder: Path) -> list[dict[str, Any]]:
    """Return what each of two processes has of everything above."""
    trained(PLAIN, folder / "of one", until=1)
    start_processes(_work, (str(folder),), nprocs=2, start_method="spawn")  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def _work(rank: int, where: str) -> None:
    torch.set_num_threads(1)
    folder = Path(where)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    ranks = Ranks.here()
    found: dict[str, Any] = {
        name: trained(schedule, folder / name, ranks) for name, schedule in SCHEDULES.items()
    }
    found["left"] = trained(PLAIN, folder / "again", ranks, until=1)
    found["from one"] = trained(PLAIN, folder / "of one", ranks)
    found["resumed"] = trained(PLAIN, folder / "again", ranks)
    found["norm"] = normalised(ranks)
    found["any"] = [ranks.any(rank == 1), ranks.any(False)]
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
