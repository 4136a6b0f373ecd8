"""Weights that networks share learn as a network's own, the same every time, also when resumed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from evaluate.training.test_train import DATA, SCHEDULE, always, equal_states
from made_up import TINY
from torch import Tensor
from torch.func import functional_call

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.errors import TrainingError
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.shared import (
    SharedTrainer,
    Strata,
    _Forms,
    judged_by_slices,
    with_slices,
)
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer, train
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialProgress

CLASSES = 3
AVERAGED = replace(SCHEDULE, ema=0.9, optimiser="adamw", lr=0.01)
SHORT = replace(AVERAGED, steps=4)


def wide(width: int) -> Architecture:
    """Return TINY with another width in its last three stages."""
    first, *others = TINY.stages
    stages = [
        replace(stage, channels=tuple(width * 2**b for b in range(stage.branches)))
        for stage in others
    ]
    return replace(TINY, stages=(first, stages[0], stages[1], stages[2]))


SPACE = [wide(width) for width in (6, 2, 5, 3, 4)]
MACS = [cost(architecture, (32, 32), CLASSES).macs for architecture in SPACE]


def shared_of(architectures: list[Architecture], seed: int = 0) -> SharedNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SharedNetwork.of(architectures, CLASSES)


def trainer(
    schedule: Schedule = AVERAGED, data: TrainingData = DATA, count: int = 2, parts: int = 1
) -> SharedTrainer:
    strata = Strata(SPACE, MACS, count, seed=3)
    return SharedTrainer(shared_of(SPACE), strata, wide(6), data, schedule, parts)


def test_each_step_draws_one_network_of_each_stratum() -> None:
    strata = Strata(SPACE, MACS, 2, seed=1)
    cheap, expensive = [wide(2), wide(3), wide(4)], [wide(5), wide(6)]
    assert strata.strata == [cheap, expensive]
    drawn = [strata.draw(step) for step in range(600)]
    assert drawn == [Strata(SPACE, MACS, 2, seed=1).draw(step) for step in range(600)]
    assert drawn != [Strata(SPACE, MACS, 2, seed=2).draw(step) for step in range(600)]
    for place, stratum in enumerate(strata.strata):
        counts = Counter(step[place].id for step in drawn)
        assert set(counts) == {architecture.id for architecture in stratum}
        assert min(counts.values()) > 0.7 * 600 / len(stratum)


def test_strata_are_never_empty() -> None:
    assert [len(s) for s in Strata(SPACE[:3], MACS[:3], 4, seed=0).strata] == [1, 1, 1]


def test_a_teacher_is_drawn_at_each_step_and_all_others_beside_it() -> None:
    strata = Strata(SPACE, MACS, 3, seed=1, teacher=True)
    assert strata.strata == [[wide(2), wide(3)], [wide(4), wide(5)], [wide(6)]]
    drawn = [strata.draw(step) for step in range(30)]
    assert {network.id for step in drawn for network in step} == {one.id for one in SPACE}
    for count in (2, 4, 9):
        few = Strata(SPACE[:2], MACS[:2], count, seed=1, teacher=True)
        assert few.strata == [[wide(2)], [wide(6)]]
    assert Strata(SPACE[:1], MACS[:1], 4, seed=1, teacher=True).draw(0) == [wide(6)]


def test_the_most_expensive_teaches_the_others_by_what_it_says_of_each_part() -> None:
    schedule, parts = replace(SCHEDULE, teacher_weight=0.25), 2
    strata = Strata(SPACE, MACS, 3, seed=3, teacher=True)
    taught = SharedTrainer(shared_of(SPACE), strata, wide(6), DATA, schedule, parts)
    alone = replace(schedule, teacher_weight=0.0)
    plain = SharedTrainer(shared_of(SPACE), strata, wide(6), DATA, alone, parts)
    drawn, images = strata.draw(0), DATA.batch(0)[0]
    shared = shared_of(SPACE)

    def said(architecture: Architecture) -> list[Tensor]:
        network = with_slices(shared, architecture).train()
        with torch.no_grad():
            return [network(part) for part in images.chunk(parts)]

    teacher = said(drawn[-1])
    taught.advance(), plain.advance()
    assert taught.strata_losses[-1] == plain.strata_losses[-1]
    for place, student in enumerate(drawn[:-1]):
        divergence = torch.stack([
            (t.softmax(1) * (t.log_softmax(1) - s.log_softmax(1))).sum(1).mean()
            for t, s in zip(teacher, said(student), strict=True)
        ]).mean()  # fmt: skip
        wanted = 0.75 * plain.strata_losses[place] + 0.25 * divergence.item()
        assert taught.strata_losses[place] == pytest.approx(wanted, rel=1e-4)


def test_what_a_teacher_said_passes_no_gradient_to_it() -> None:
    shared, schedule = shared_of(SPACE), replace(SCHEDULE, teacher_weight=1.0)
    strata = Strata(SPACE, MACS, 3, seed=3, teacher=True)
    one, (images, labels) = SharedTrainer(shared, strata, wide(6), DATA, schedule), DATA.batch(0)
    one._gradients(images, labels)
    own = shared_of(SPACE)
    *others, teacher = strata.draw(0)
    forms = _Forms(CLASSES)

    def said(architecture: Architecture) -> Tensor:
        network, places = forms.of(architecture)
        found = functional_call(network, own.at(places), images)
        assert isinstance(found, Tensor)
        return found

    taught = said(teacher)
    whole = F.interpolate(taught, labels.shape[-2:], mode="bilinear")
    loss = F.cross_entropy(whole, labels, ignore_index=255)
    for other in others:
        target = taught.detach().log_softmax(1)
        pixels = F.kl_div(said(other).log_softmax(1), target, reduction="none", log_target=True)
        loss = loss + pixels.sum(1).mean()
    (loss / 3).backward()  # type: ignore[no-untyped-call]
    for name, weight in own.named_parameters():
        torch.testing.assert_close(
            shared.get_parameter(name).grad, weight.grad, rtol=1e-3, atol=1e-6
        )


def test_a_network_alone_learns_what_it_would_learn_by_itself() -> None:
    shared = shared_of([TINY])
    alone = Trainer(with_slices(shared, TINY), DATA, SHORT)
    together = SharedTrainer(shared, Strata([TINY], [1], 4, seed=0), TINY, DATA, SHORT)
    train(alone, (4,), always)
    training = train(together, (4,), always)
    for name, weight in alone.network.named_parameters():
        torch.testing.assert_close(shared.slices(alone.network)[name], weight, rtol=1e-4, atol=1e-6)
    assert training.last is not None
    assert training.last.rung.miou == pytest.approx(alone.judge().rung.miou)


def test_a_step_follows_the_mean_of_what_its_networks_want() -> None:
    schedule = replace(SCHEDULE, weight_decay=0.0)  # of what learns in one of two it is not half
    one, drawn = trainer(schedule), Strata(SPACE, MACS, 2, seed=3).draw(0)
    before = {name: weight.detach().clone() for name, weight in one.shared.named_parameters()}
    wanted = {name: torch.zeros_like(weight) for name, weight in before.items()}
    losses = []
    for architecture in drawn:
        alone = SharedTrainer(
            shared_of(SPACE), Strata([architecture], [1], 1, seed=0), wide(6), DATA, schedule
        )
        losses.append(alone.advance())
        for name, weight in alone.shared.named_parameters():
            wanted[name] += (weight.detach() - before[name]) / 2
    loss = one.advance()
    assert loss == pytest.approx(sum(losses) / 2)
    assert one.strata_losses == pytest.approx(losses)
    for name, weight in one.shared.named_parameters():
        moved = weight.detach() - before[name]
        torch.testing.assert_close(moved, wanted[name], rtol=1e-3, atol=1e-6)


def killed(folder: Path, step: int, rungs: tuple[int, ...] = (2, SHORT.steps)) -> SharedNetwork:
    """Return what a training that was killed after a step, and then gone on with, comes to."""

    class KilledError(Exception):
        pass

    def kill(progress: TrialProgress) -> bool:
        if progress.phase == "train" and progress.step == step:
            raise KilledError
        return True

    checkpoints = Checkpoints(folder, every_s=0)
    with pytest.raises(KilledError):
        train(trainer(SHORT), rungs, kill, checkpoints)
    assert checkpoints.load() is not None or step == 1
    resumed = trainer(SHORT)
    assert [rung.step for rung in train(resumed, rungs, always, checkpoints).rungs] == [*rungs]
    return resumed.shared


@pytest.fixture(scope="module")
def whole() -> SharedNetwork:
    done = trainer(SHORT)
    train(done, (2, SHORT.steps), always)
    return done.shared


def test_shared_weights_cut_off_go_on_to_the_same_bits(
    tmp_path: Path, whole: SharedNetwork
) -> None:
    assert equal_states(killed(tmp_path / "checkpoint", 3), whole)


@pytest.mark.bench
def test_shared_weights_killed_at_ten_random_moments_are_the_same(tmp_path: Path) -> None:
    """Once is in the test above."""
    long, rng = replace(AVERAGED, steps=40), random.Random(0)
    done, cut = trainer(long), sorted(rng.sample(range(2, 40), 10))
    train(done, (40,), always)
    checkpoints = Checkpoints(tmp_path / "checkpoint", every_s=0)

    def kill(progress: TrialProgress) -> bool:
        if cut and progress.phase == "train" and progress.step == cut[0]:
            cut.pop(0)
            raise KeyboardInterrupt
        return True

    while cut:
        with pytest.raises(KeyboardInterrupt):
            train(trainer(long), (40,), kill, checkpoints)
    resumed = trainer(long)
    train(resumed, (40,), always, checkpoints)
    assert equal_states(resumed.shared, done.shared)


def test_sgd_teaches_weights_that_a_step_before_did_not_reach() -> None:
    """Fused SGD of torch 2.13 raises TypeError for those that have no momentum yet."""
    deep = replace(wide(6).stages[1], blocks=(2,) * wide(6).stages[1].branches)
    deeper = replace(wide(6), stages=(wide(6).stages[0], deep, *wide(6).stages[2:]))
    drawn = (Strata([wide(6), deeper], [1, 2], 1, seed) for seed in range(100))
    strata = next(s for s in drawn if s.draw(0) == [wide(6)] and s.draw(1) == [deeper])
    shared = shared_of([wide(6), deeper])
    one = SharedTrainer(shared, strata, wide(6), DATA, SCHEDULE)
    added = shared["stage2.0.branches.0.1.conv1.weight@BasicBlock"]
    start = added.detach().clone()
    one.advance()
    assert torch.equal(added, start)
    one.advance()
    assert not torch.equal(added, start)


def test_averaged_weights_are_those_judged_and_kept() -> None:
    raw, averaged = trainer(replace(SHORT, ema=0.0)), trainer(SHORT)
    train(raw, (4,), always)
    last = train(averaged, (4,), always).last
    assert last is not None
    assert not equal_states(raw.shared, averaged.shared)
    again = judged_by_slices(averaged.shared, wide(6), DATA, SHORT)
    assert again.rung.miou == last.rung.miou
    assert again.signals == last.signals


def test_judging_by_slices_changes_nothing_and_sees_each_network() -> None:
    one = trainer(SHORT)
    train(one, (4,), always)
    before = {name: weight.clone() for name, weight in one.shared.state_dict().items()}
    first, *others = (judged_by_slices(one.shared, a, DATA, AVERAGED) for a in SPACE)
    assert len({found.rung.loss for found in (first, *others)}) == len(SPACE)
    assert judged_by_slices(one.shared, SPACE[0], DATA, AVERAGED).rung == first.rung
    assert all(torch.equal(before[n], w) for n, w in one.shared.state_dict().items())


def test_what_starts_from_slices_is_a_copy_with_statistics_of_its_own() -> None:
    shared = shared_of(SPACE)
    network = with_slices(shared, wide(3))
    slices = shared.slices(network)
    assert all(torch.equal(slices[n], w) for n, w in network.named_parameters())
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(7)
    assert not any((weight == 7).any() for weight in shared.parameters())
    assert all((norm == 0).all() for n, norm in network.named_buffers() if "mean" in n)


def test_a_batch_in_parts_is_the_batch() -> None:
    # Batch norm sees the parts apart, so only the loss of the whole can be held against them.
    whole, parts = trainer(SCHEDULE), trainer(SCHEDULE, parts=2)
    assert parts.advance() == pytest.approx(whole.advance(), rel=0.2)


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        images, labels = DATA.batch(step)
        return images * float("nan"), labels

    with pytest.raises(TrainingError, match="the loss is nan at step 1 of 6"):
        trainer(data=replace(DATA, batch=batch)).advance()


def test_networks_that_differ_in_channels_are_called_as_one_and_learn_as_their_own() -> None:
    """A network takes megabytes without weights too; a space has hundreds."""
    one = trainer(SHORT)
    for _ in range(SHORT.steps):
        one.advance()
    called = [one._forms.of(architecture)[0] for architecture in SPACE]
    assert len({id(network) for network in called}) == 1
    cat = replace(SPACE[0].stages[3], fuse="CAT")
    fused = replace(SPACE[0], stages=(*SPACE[0].stages[:3], cat))
    assert one._forms.of(fused)[0] is not called[0]
    assert one._forms.of(replace(SPACE[0], final_kernel=3))[0] is not called[0]
    assert one._forms.of(replace(SPACE[0], align_corners=True))[0] is not called[0]
