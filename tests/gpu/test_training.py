"""Training in the precisions of a GPU: steps, the scale of fp16, what goes on after a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu.on_devices import DEVICES, SCHEDULE, SLOW_DEVICES, always, network, quadrants, trainer
from made_up import TINY
from torch import Tensor

from hrnet_search.evaluate.latency.setting import FORMATS
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.probe import candidates, settle
from hrnet_search.evaluate.training.train import train
from hrnet_search.records.schedule import MEMORY_FORMATS
from hrnet_search.records.trial import TrialProgress

RUNGS = (3, 6)


@pytest.mark.parametrize("device", SLOW_DEVICES)
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_steps_lower_the_loss_in_every_precision(
    device: str, precision: str, optimiser: str
) -> None:
    one = trainer(device, precision=precision, optimiser=optimiser, lr=0.01, steps=40)
    exact = trainer(device, optimiser=optimiser, lr=0.01, steps=40)
    losses, expected = ([t.advance() for _ in range(12)] for t in (one, exact))
    assert losses[0] == pytest.approx(expected[0], rel=0.05)
    assert sum(losses[-3:]) < sum(losses[:3])
    assert {w.dtype for w in one.network.parameters()} == {torch.float32}


def weights(one: Any) -> list[Tensor]:
    return [w.detach().clone() for w in one.network.parameters()]


def scaler(one: Any) -> torch.amp.GradScaler:
    found: torch.amp.GradScaler = one._descent._scaler
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_halved(device: str) -> None:
    one = trainer(device, precision="fp16")
    one.advance()
    state = scaler(one).state_dict()
    scaler(one).load_state_dict({**state, "scale": 2.0**120})
    before = weights(one)
    one.advance()
    assert all(torch.equal(a, b) for a, b in zip(before, weights(one), strict=True))
    assert scaler(one).get_scale() == 2.0**119
    scaler(one).load_state_dict(state)
    one.advance()
    assert not all(torch.equal(a, b) for a, b in zip(before, weights(one), strict=True))


@pytest.mark.parametrize("device", SLOW_DEVICES)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_training_that_was_stopped_goes_on_as_the_other(
    device: str, precision: str, tmp_path: Path
) -> None:
    """To the last bit on a CPU; on CUDA up to the order in which some kernels add."""

    def stop(progress: TrialProgress) -> bool:
        if progress.step == 4 and progress.phase == "train":
            raise KeyboardInterrupt
        return True

    whole = trainer(device, precision=precision)
    expected = train(whole, RUNGS, always)
    with pytest.raises(KeyboardInterrupt):
        train(trainer(device, precision=precision), RUNGS, stop, Checkpoints(tmp_path / "kept"))
    again = trainer(device, precision=precision)
    found = train(again, RUNGS, always, Checkpoints(tmp_path / "kept"))
    assert [r.step for r in found.rungs] == [r.step for r in expected.rungs]
    assert scaler(again).state_dict() == scaler(whole).state_dict()
    pairs = zip(weights(again), weights(whole), strict=True)
    if device == "cpu":
        assert all(torch.equal(a, b) for a, b in pairs)
    else:
        assert all(torch.allclose(a, b, rtol=0.02, atol=0.02) for a, b in pairs)
        assert found.rungs[-1].loss == pytest.approx(expected.rungs[-1].loss, rel=0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_made_on_one_device_goes_on_on_another(device: str, tmp_path: Path) -> None:
    one = trainer(device, ema=0.9)
    one.advance()
    Checkpoints(tmp_path / "kept").save(one.state())
    other = trainer("cpu", ema=0.9)
    stored = Checkpoints(tmp_path / "kept").load()
    assert stored is not None
    other.restore(stored)
    assert other.step == 1
    assert all(torch.equal(a.cpu(), b) for a, b in zip(weights(one), weights(other), strict=True))
    assert other.advance() == pytest.approx(one.advance(), rel=0.02)


@pytest.mark.gpu
def test_a_gpu_trains_as_the_cpu_does() -> None:
    """The same start and batches: losses of the first steps agree up to rounding and TF32."""
    pair = [[one.advance() for _ in range(4)] for one in (trainer("cpu"), trainer("cuda"))]
    assert pair[1] == pytest.approx(pair[0], rel=0.02)


@pytest.mark.gpu
def test_a_compiled_step_has_the_losses_of_an_eager_one() -> None:
    eager, compiled = trainer("cuda"), trainer("cuda", compile=True)
    losses = [[one.advance() for _ in range(3)] for one in (eager, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.gpu
def test_the_probe_times_every_candidate_on_the_gpu() -> None:
    schedule = replace(SCHEDULE, precision="auto", memory_format="auto")
    found = settle(schedule, TINY, torch.device("cuda"))
    assert found.device == torch.cuda.get_device_name(0)
    assert found.memory_format in MEMORY_FORMATS
    assert len(found.seconds) == len(candidates(schedule, torch.device("cuda")))
    assert all(0 < seconds < 60 for seconds in found.seconds.values())
    if torch.cuda.get_device_capability()[0] >= 8:  # from Ampere on, by NVIDIA's tables
        assert {name.split()[0] for name in found.seconds} == {"fp32", "bf16"}


@pytest.mark.parametrize("device", DEVICES)
def test_weights_and_images_lie_as_the_schedule_says(device: str) -> None:
    one = trainer(device, memory_format="channels_last")
    one.advance()
    last = FORMATS["channels_last"]
    assert one.network.conv1.weight.is_contiguous(memory_format=last)
    assert next(network(device).parameters()).device.type == device
    assert quadrants(0, device)[0].device.type == device
