"""Networks with two outputs are trained by both and judged by the second, the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from evaluate.training.test_train import DATA, RUNGS, SCHEDULE, always, equal_states, same
from made_up import TINY
from torch import nn

from hrnet_search.arch.architecture import OCR
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.loss import Loss
from hrnet_search.evaluate.training.shared import SharedTrainer, Strata
from hrnet_search.evaluate.training.train import Trainer, train
from hrnet_search.net.hrnet import build
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialProgress

NETWORK = replace(TINY, head=OCR, mid_channels=6, key_channels=4)


def trainer(schedule: Schedule = SCHEDULE, seed: int = 0) -> Trainer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Trainer(build(NETWORK, 3), replace(DATA, seed=seed), schedule)


@pytest.mark.parametrize("loss", ["cross_entropy", "ohem"])
def test_the_auxiliary_output_counts_by_its_weight_and_cross_entropy(loss: str) -> None:
    """With OHEM too: upstream mines the main output alone, and of the auxiliary one it takes the
    mean of a map in which ignored pixels are 0 (lib/core/criterion.py, lib/core/function.py)."""
    schedule = replace(SCHEDULE, loss=loss, ohem_threshold=0.4, ohem_keep=20, aux_weight=0.3)
    generator = torch.Generator().manual_seed(0)
    aux, main = torch.randn(2, 4, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 3, (4, 32, 32), generator=generator)
    labels[0, :9] = IGNORED
    weight = torch.tensor([1.0, 4.0, 0.25])
    of = Loss(schedule, weight, False)
    auxiliary = metrics.cross_entropy(aux, labels, False, weight)
    if loss == "ohem":
        scores = metrics.upsampled(aux, labels, False)
        each = F.cross_entropy(scores, labels, weight, ignore_index=IGNORED, reduction="none")
        auxiliary = each.mean()
    expected = of(main, labels) + 0.3 * auxiliary
    torch.testing.assert_close(of.of_part((aux, main), labels, labels), expected)
    assert torch.equal(of.of_part((main,), labels, labels), of(main, labels))
    if loss == "cross_entropy":
        parts = zip(aux.chunk(3), main.chunk(3), labels.chunk(3), strict=True)
        summed = torch.stack([of.of_part((a, b), c, labels) for a, b, c in parts]).sum()
        torch.testing.assert_close(summed, expected)


def test_an_auxiliary_weight_is_part_of_the_identity_unless_it_is_the_published_one() -> None:
    assert replace(SCHEDULE, aux_weight=0.4).id == SCHEDULE.id
    assert len({replace(SCHEDULE, aux_weight=w).id for w in (0.0, 0.3, 0.4, 1.0)}) == 4


def test_what_dropout_leaves_out_is_that_of_the_seed_also_after_a_kill(tmp_path: Path) -> None:
    whole = trainer()
    reference = train(whole, RUNGS, always)
    state = torch.random.get_rng_state()
    torch.rand(7)
    killed = Checkpoints(tmp_path, every_s=0)

    def until_three(progress: TrialProgress) -> bool:
        if progress.step == 3:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        train(trainer(), RUNGS, until_three, killed)
    again = trainer()
    assert same(train(again, RUNGS, always, killed), reference)
    assert equal_states(again.network, whole.network)
    torch.random.set_rng_state(state)
    other = trainer(seed=1)
    train(other, RUNGS, always)
    assert not equal_states(other.network, whole.network)


def test_it_is_judged_by_its_second_output() -> None:
    one = trainer()
    last = train(one, RUNGS, always).last
    assert last is not None
    one.network.eval()
    images, labels, _ = next(iter(DATA.validation()))
    with torch.no_grad():
        main = metrics.upsampled(one.network.outputs(images)[1], labels, False)
    expected = metrics.confusions(main.argmax(dim=1), labels, 3).numpy()
    assert (last.confusions[:2] == expected).all()


def test_shared_weights_teach_both_heads() -> None:
    networks = [TINY, NETWORK]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shared = SharedNetwork.of(networks, 3)
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    schedule = replace(SCHEDULE, networks=2)
    teacher = SharedTrainer(shared, Strata(networks, [1, 2], 2, 0), NETWORK, DATA, schedule)
    teacher.advance()
    after = shared.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    for part in ("cls_head", "aux_head", "last_layer", "conv3x3_ocr"):
        assert any(part in name for name in moved)
    assert not any(isinstance(m, nn.Dropout2d) for m in shared.modules())
    assert teacher._drops
