"""Training is the same every time, also when interrupted, judged or resumed."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import TINY
from torch import Tensor, nn

from hrnet_search.errors import DataError, InputError, TrainingError
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.norms import recalibrated
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer, Training, train
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.records.data_spec import IGNORED, DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialProgress

SPEC = DataSpec("shapes", classes=3, train_images=8, val_images=3, size=(32, 32))
SCHEDULE = Schedule(SPEC, steps=6, batch=4, crop=(32, 32), lr=0.05)
RUNGS = (2, 4, 6)


def drawn(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Return images whose quadrants have a class each, by their colour, and noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 3, (count, 2, 2), generator=generator)
    labels = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
    images = nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2) * 2.0
    return images + 0.1 * torch.randn(images.shape, generator=generator), labels


def validation() -> Iterator[tuple[Tensor, Tensor, list[int]]]:
    images, labels = drawn(999, 3)
    labels[0, :4] = IGNORED
    yield images[:2], labels[:2], [0, 1]
    yield images[2:], labels[2:], [2]


DATA = TrainingData(lambda step: drawn(step, 4), validation, images=3)


def network(seed: int = 0) -> HighResolutionNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(TINY, 3)


def trainer(schedule: Schedule = SCHEDULE, data: TrainingData = DATA) -> Trainer:
    return Trainer(network(), data, schedule)


def always(_: TrialProgress) -> bool:
    return True


def same(one: Training, other: Training) -> bool:
    assert one.last is not None
    assert other.last is not None
    return one.rungs == other.rungs and (one.last.confusions == other.last.confusions).all()


def equal_states(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def reference() -> tuple[Trainer, Training]:
    done = trainer()
    return done, train(done, RUNGS, always)


def test_two_trainings_are_bit_equal(reference: tuple[Trainer, Training]) -> None:
    torch.rand(7)  # the global generator is not part of it
    again = trainer()
    assert same(train(again, RUNGS, always), reference[1])
    assert equal_states(again.network, reference[0].network)


def test_judging_changes_no_training(reference: tuple[Trainer, Training]) -> None:
    once = train(trainer(), (6,), always)
    assert once.rungs == reference[1].rungs[-1:]


def test_signals_are_of_the_logits_that_are_judged(reference: tuple[Trainer, Training]) -> None:
    """Batches of different sizes, with pixels that are ignored, as in the rung's own loss."""
    last = reference[1].last
    assert last is not None
    assert last.signals.cross_entropy == pytest.approx(last.rung.loss, rel=1e-5)
    assert 0 < last.signals.soft_iou < 1
    untrained = trainer().judge()
    assert untrained.signals.soft_iou < last.signals.soft_iou
    assert untrained.signals.balanced_cross_entropy > last.signals.balanced_cross_entropy
    assert untrained.rung.training_loss is None
    assert last.rung.soft_iou == last.signals.soft_iou
    assert last.rung.balanced_cross_entropy == last.signals.balanced_cross_entropy


def test_the_training_loss_of_a_rung_is_the_mean_of_all_steps_so_far() -> None:
    losses: list[float] = []

    def listen(progress: TrialProgress) -> bool:
        if progress.phase == "train":
            assert progress.loss is not None
            losses.append(progress.loss)
        return True

    found = train(trainer(), RUNGS, listen)
    for rung in found.rungs:
        mean = sum(losses[: rung.step]) / rung.step if rung.step else None
        assert rung.training_loss == pytest.approx(mean)


def test_a_checkpoint_of_before_losses_were_kept_leaves_their_mean_unknown() -> None:
    before = trainer()
    before.advance()
    state = before.state()
    del state["losses"]
    after = trainer()
    after.restore(state)
    after.advance()
    assert after.judge().rung.training_loss is None


def test_rungs_hold_the_figures_of_their_confusion_matrices(
    reference: tuple[Trainer, Training],
) -> None:
    training = reference[1]
    assert [rung.step for rung in training.rungs] == list(RUNGS)
    assert training.last is not None
    per_image = training.last.confusions
    assert per_image.sum(axis=(1, 2)).tolist() == [32 * 32 - 4 * 32, 32 * 32, 32 * 32]
    matrix = torch.from_numpy(per_image.sum(axis=0))
    assert training.rungs[-1].miou == metrics.miou(matrix)
    assert training.rungs[-1].iou == tuple(metrics.iou(matrix).tolist())


def test_the_network_is_left_as_it_was_judged(reference: tuple[Trainer, Training]) -> None:
    done, training = reference
    assert training.last is not None
    found = torch.zeros(3, 3, dtype=torch.int64)
    with torch.no_grad():
        for images, labels, _ in validation():
            logits = metrics.upsampled(done.network.eval()(images), labels, False)
            found += metrics.confusion(logits.argmax(dim=1), labels, 3)
    assert found.tolist() == training.last.confusions.sum(axis=0).tolist()


@pytest.mark.slow
def test_it_learns() -> None:
    longer = replace(SCHEDULE, steps=60)
    training = train(trainer(longer), (60,), always)
    assert training.rungs[-1].miou > 0.6


def test_the_learning_rate_of_step_s_falls_as_the_schedule_says() -> None:
    one = trainer()
    seen = []
    for _ in range(3):
        one.advance()
        seen.append(one.state()["optimiser"]["param_groups"][0]["lr"])
    assert seen == [0.05 * (1 - step / 6) ** 0.9 for step in range(3)]


def test_every_step_and_rung_is_reported() -> None:
    heard: list[TrialProgress] = []

    def report(progress: TrialProgress) -> bool:
        heard.append(progress)
        return True

    training = train(trainer(), (2, 6), report)
    assert [(p.phase, p.step) for p in heard] == [
        *[("train", 1), ("train", 2), ("evaluate", 2)],
        *[("train", step) for step in (3, 4, 5, 6)],
        ("evaluate", 6),
    ]
    assert tuple(p.rung for p in heard if p.rung) == training.rungs


@pytest.mark.parametrize(
    ("phase", "step", "done", "rungs"),
    [("evaluate", 2, 2, 1), ("train", 1, 1, 0), ("train", 5, 5, 2), ("train", 6, 6, 2)],
)
def test_false_stops_at_once(phase: str, step: int, done: int, rungs: int) -> None:
    one = trainer()
    training = train(one, RUNGS, lambda p: (p.phase, p.step) != (phase, step))
    assert training.stopped
    assert (one.step, training.step, len(training.rungs)) == (done, done, rungs)


def test_false_at_the_end_stops_nothing() -> None:
    assert not train(trainer(), (6,), lambda p: p.phase != "evaluate").stopped


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize(
    ("every_s", "step", "resumed"),
    [(0, 1, 1), (0, 3, 2), (0, 4, 4), (1e9, 1, 1), (1e9, 3, 2), (1e9, 4, 2)],
)
def test_a_killed_training_goes_on_bit_equal(
    tmp_path: Path,
    reference: tuple[Trainer, Training],
    every_s: float,
    step: int,
    resumed: int,
) -> None:
    def kill(progress: TrialProgress) -> bool:
        if (progress.phase, progress.step) == ("train", step):
            raise Killed
        return True

    with pytest.raises(Killed):
        train(trainer(), RUNGS, kill, Checkpoints(tmp_path, every_s))
    heard: list[int] = []

    def listen(progress: TrialProgress) -> bool:
        heard.append(progress.step)
        return True

    again = trainer()
    training = train(again, RUNGS, listen, Checkpoints(tmp_path, every_s))
    assert same(training, reference[1])
    assert equal_states(again.network, reference[0].network)
    assert heard[0] == resumed


def test_one_killed_while_judged_is_judged_again(
    tmp_path: Path, reference: tuple[Trainer, Training]
) -> None:
    def kill(progress: TrialProgress) -> bool:
        if progress.rung and progress.step == 6:
            raise Killed
        return True

    with pytest.raises(Killed):
        train(trainer(), RUNGS, kill, Checkpoints(tmp_path))
    heard: list[TrialProgress] = []

    def listen(progress: TrialProgress) -> bool:
        heard.append(progress)
        return True

    training = train(trainer(), RUNGS, listen, Checkpoints(tmp_path))
    assert [(p.phase, p.step) for p in heard] == [("evaluate", 6)]
    assert same(training, reference[1])


def test_a_checkpoint_of_other_rungs_is_not_used(tmp_path: Path) -> None:
    train(trainer(), RUNGS, lambda p: p.step < 5, Checkpoints(tmp_path))
    training = train(trainer(), (3, 6), always, Checkpoints(tmp_path))
    assert [rung.step for rung in training.rungs] == [3, 6]


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        images, labels = drawn(step, 4)
        return (images * math.nan if step == 2 else images), labels

    with pytest.raises(TrainingError, match="nan at step 3 of 6"):
        train(trainer(data=replace(DATA, batch=batch)), (6,), always)


def test_a_validation_loss_that_is_not_finite_is_an_error() -> None:
    def poisoned() -> Iterator[tuple[Tensor, Tensor, list[int]]]:
        for images, labels, indices in validation():
            yield images * math.inf, labels, indices

    with pytest.raises(TrainingError, match="validation loss is nan after step 2"):
        train(trainer(data=replace(DATA, validation=poisoned)), RUNGS, always)


def test_no_validation_images_are_a_data_error() -> None:
    with pytest.raises(DataError, match="no validation image"):
        trainer(data=replace(DATA, images=0))


def test_a_batch_without_a_counted_pixel_is_a_step_with_loss_zero() -> None:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        images, labels = drawn(step, 4)
        return images, labels.fill_(IGNORED) if step == 1 else labels

    for changed in ({}, {"loss": "ohem"}, {"accumulate": 2}, {"precision": "fp16"}):
        one = trainer(replace(SCHEDULE, **changed), replace(DATA, batch=batch))
        losses = [one.advance() for _ in range(3)]
        assert losses[1] == 0
        assert min(losses[0], losses[2]) > 0
        assert all(w.isfinite().all() for w in one.network.parameters())


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        images, labels = drawn(step, 4)
        labels[0] = IGNORED
        labels[1, :9] = IGNORED
        return images, labels

    weighted = replace(DATA, batch=batch, class_weights=torch.tensor([1.0, 3.0, 0.5]))
    losses = {}
    for parts in (1, 2, 4):
        one = Trainer(network(), weighted, SCHEDULE, parts)
        for norm in one.network.modules():  # else each part would be normalised by itself
            if isinstance(norm, nn.BatchNorm2d):
                norm.register_forward_pre_hook(lambda module, _: module.eval() and None)
        losses[parts] = [one.advance() for _ in range(3)]
    assert losses[2] == pytest.approx(losses[1], rel=1e-5)
    assert losses[4] == pytest.approx(losses[1], rel=1e-5)


VARIED: tuple[dict[str, Any], ...] = (
    {"optimiser": "adamw", "lr": 0.01},
    {"warmup": 3},
    {"loss": "ohem", "ohem_threshold": 0.3, "ohem_keep": 100},
    {"accumulate": 2},
    {"ema": 0.9},
    {"precision": "bf16"},
    {"precision": "fp16"},
    {"memory_format": "contiguous"},
)


@pytest.mark.parametrize("changed", VARIED, ids=lambda c: "-".join(map(str, c.values())))
def test_every_kind_of_training_is_its_own_and_goes_on_bit_equal(
    tmp_path: Path, reference: tuple[Trainer, Training], changed: dict[str, Any]
) -> None:
    schedule = replace(SCHEDULE, **changed)
    straight = trainer(schedule)
    expected = train(straight, RUNGS, always)

    def kill(progress: TrialProgress) -> bool:
        if (progress.phase, progress.step) == ("train", 4):
            raise Killed
        return True

    with pytest.raises(Killed):
        train(trainer(schedule), RUNGS, kill, Checkpoints(tmp_path, every_s=0))
    again = trainer(schedule)
    assert same(train(again, RUNGS, always, Checkpoints(tmp_path, every_s=0)), expected)
    assert equal_states(again.network, straight.network)
    if changed != {"memory_format": "contiguous"}:
        assert expected.rungs[-1].loss != reference[1].rungs[-1].loss


def test_averaged_weights_are_judged_and_left_and_never_trained_on() -> None:
    plain, averaging = trainer(), trainer(replace(SCHEDULE, ema=0.9))
    train(plain, (6,), lambda p: p.step < 6)
    train(averaging, (6,), lambda p: p.step < 6)
    assert equal_states(plain.network, averaging.network)
    judgement = averaging.judge()
    assert equal_states(plain.network, averaging.network)
    names = {name for name, _ in averaging.network.named_parameters()}
    assert names < set(judgement.judged)
    done = trainer(replace(SCHEDULE, ema=0.9))
    train(done, (6,), always)
    left = done.network.state_dict()
    assert all(torch.equal(left[name], judgement.judged[name]) for name in judgement.judged)
    assert judgement.rung.loss != plain.judge().rung.loss


def test_small_batches_are_recalibrated_on_as_many_images_as_large_ones() -> None:
    asked: list[int] = []

    def batch(step: int) -> tuple[Tensor, Tensor]:
        asked.append(step)
        return drawn(step, 2)

    long = replace(SCHEDULE, steps=100, batch=2)
    trainer(long, replace(DATA, batch=batch)).judge()
    assert asked == list(range(32))


def test_a_few_validation_images_are_shown_as_they_were_judged(
    reference: tuple[Trainer, Training],
) -> None:
    last = reference[1].last
    assert last is not None
    shown = last.previews.arrays()
    assert shown["preview_indices"].tolist() == [0, 1, 2]
    truth, predicted = shown["preview_truth"], shown["preview_predicted"]
    counted = truth != IGNORED
    for i in range(3):
        cells = truth[i][counted[i]].astype(int) * 3 + predicted[i][counted[i]]
        matrix = last.confusions[i]
        assert (
            torch.bincount(torch.from_numpy(cells), minlength=9).tolist() == matrix.ravel().tolist()
        )


@pytest.mark.bench
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, in torch
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_trains_like_the_plain_one(
    reference: tuple[Trainer, Training],
) -> None:
    compiled = train(trainer(replace(SCHEDULE, compile=True)), RUNGS, always)
    assert compiled.rungs[-1].loss == pytest.approx(reference[1].rungs[-1].loss, rel=0.05)


@pytest.mark.slow
def test_a_process_killed_at_a_random_moment_ends_with_the_same_matrices(tmp_path: Path) -> None:
    """In a process of its own: torch's threads are not there any more behind a fork of this one."""
    script = Path(__file__).with_name("killed_trial.py")
    tests = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, tests])}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    straight, killed, went_on = map(int, done.stdout.split())
    assert killed < straight == 1 + 12 + 2  # that it builds, each step, and each rung
    assert went_on < straight  # it did not start anew


@pytest.mark.parametrize(
    ("key", "value"),
    [("precision", "fp8"), ("precision", "auto"), ("optimiser", "adam"), ("loss", "dice")],
)
def test_what_a_schedule_may_not_ask_for_is_an_input_error(key: str, value: str) -> None:
    changed: dict[str, Any] = {key: value}
    with pytest.raises(InputError, match=f"schedule.{key}.*{value}"):
        trainer(replace(SCHEDULE, **changed))


def test_bf16_trains_another_way_with_weights_of_fp32(
    reference: tuple[Trainer, Training],
) -> None:
    half = trainer(replace(SCHEDULE, precision="bf16"))
    training = train(half, RUNGS, always)
    assert {p.dtype for p in half.network.parameters()} == {torch.float32}
    assert training.rungs[-1].loss != reference[1].rungs[-1].loss
    assert training.rungs[-1].loss == pytest.approx(reference[1].rungs[-1].loss, rel=0.2)


def test_recalibration_takes_all_batches_together_and_leaves_no_trace() -> None:
    norm = nn.BatchNorm2d(2)
    norm(torch.randn(4, 2, 3, 3))
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    batches = [torch.randn(2, 2, 9, 9) + 5 * i for i in range(3)]

    def forward() -> None:
        for batch in batches:
            norm(batch)

    with recalibrated(norm, forward):
        assert not norm.training
        assert norm.running_mean is not None
        assert norm.running_var is not None
        whole = torch.cat(batches)
        torch.testing.assert_close(norm.running_mean, whole.mean(dim=(0, 2, 3)))
        # Far apart as the batches are, their own variances alone would be near 1.
        expected = whole.var(dim=(0, 2, 3))
        torch.testing.assert_close(norm.running_var, expected, rtol=0.01, atol=0)
        assert norm.running_var.min() > 15
    assert norm.training
    assert norm.momentum == 0.1
    assert all(torch.equal(before[name], tensor) for name, tensor in norm.state_dict().items())
