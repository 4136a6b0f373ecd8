"""Trainings that learn from another network beside their labels."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from made_up import TINY
from small_configs import tiny_command

from hrnet_search.cli import main
from hrnet_search.evaluate.training.distillation import Distillation
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.net.hrnet import build
from hrnet_search.net.weights import named_tensors
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.report.commands import training_commands
from hrnet_search.store.trainings import read_curve, read_record
from hrnet_search.trainings.models import of_file
from hrnet_search.trainings.teacher import noted_teacher

CLASSES = 3
SCHEDULE = Schedule(
    DataSpec("shapes", CLASSES), steps=30, batch=4, crop=(64, 64), lr=0.01, precision="fp32"
)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_is_that_of_torchs_cross_entropy_with_soft_labels(temperature: float) -> None:
    """Hinton et al. 2015, section 2: soft targets, and gradients scaled by the squared T."""
    logits, taught = draws(2, CLASSES, 5, 7), 3 * draws(2, CLASSES, 5, 7, seed=1)
    own, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = Distillation(lambda _: taught, temperature, 1.0).loss(own, torch.zeros(2, 3, 20, 28))
    soft = (taught / temperature).softmax(dim=1)
    expected = F.cross_entropy(theirs / temperature, soft) * temperature**2
    found = [
        torch.autograd.grad(value, start) for value, start in ((loss, own), (expected, theirs))
    ]
    torch.testing.assert_close(*found)


def test_what_says_the_same_has_nothing_to_learn_and_another_resolution_is_taken() -> None:
    logits = draws(2, CLASSES, 8, 8)
    images = torch.zeros(2, 3, 32, 32)
    assert Distillation(lambda _: logits, 2.0, 0.5).loss(logits, images).abs() < 1e-6
    finer = F.interpolate(logits, (16, 16), mode="nearest")
    assert Distillation(lambda _: finer, 2.0, 0.5).loss(logits, images).isfinite()


def trainer(distillation: Distillation | None, accumulate: int = 1) -> Trainer:
    torch.manual_seed(0)
    network = build(TINY, CLASSES)
    images, labels = draws(4, 3, 64, 64), torch.zeros(4, 64, 64, dtype=torch.int64)
    data = TrainingData(lambda _: (images, labels), lambda: iter(()), 1, distillation=distillation)
    return Trainer(network, data, replace(SCHEDULE, accumulate=accumulate))


def test_a_network_learns_what_its_teacher_says_and_not_the_labels() -> None:
    taught = torch.zeros(4, CLASSES, 16, 16)
    taught[:, 2] = 5.0  # the labels say class 0
    student = trainer(Distillation(lambda images: taught[: len(images)], 1.0, 1.0))
    losses = [student.advance() for _ in range(30)]
    assert losses[-1] < losses[0] / 2
    logits = student.network(student.data.batch(0)[0])
    assert (logits.argmax(dim=1) == 2).float().mean() > 0.9


class Turns:
    """A teacher that says one thing after the other."""

    def __init__(self, said: Sequence[torch.Tensor]) -> None:
        self._said = iter(said)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return next(self._said)


def test_parts_of_a_batch_add_up_to_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """In evaluation mode batch norm does not tell parts apart."""
    taught = draws(4, CLASSES, 16, 16)
    found = []
    for parts in (1, 2, 4):
        student = trainer(Distillation(Turns(taught.chunk(parts)), 2.0, 0.5), parts)
        student.network.eval()
        with monkeypatch.context() as patch:
            patch.setattr(type(student.network), "train", lambda network: network)
            found.append(student.advance())
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert found[2] == pytest.approx(found[0], rel=1e-5)


def test_a_training_keeps_its_teacher_and_goes_on_with_no_other(
    trained: Path, config: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = trained / "weights" / "best.safetensors"
    folder = tmp_path / "student"
    given = ("--teacher", str(teacher), "--teacher-weight", "0.9", "--temperature", "3")
    command = tiny_command(config, space, folder, *given)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"teacher: {teacher}: 90% of the loss, at a temperature of 3" in said
    noted = read_record(folder).teacher
    assert noted
    assert (noted.path, noted.weight, noted.temperature) == (str(teacher), 0.9, 3.0)
    again = shlex.split(training_commands(read_record(folder), folder)[0])
    assert again[again.index("--teacher") + 1] == str(teacher)
    assert again[again.index("--teacher-weight") + 1] == "0.9"
    assert again[again.index("--temperature") + 1] == "3"
    assert read_curve(folder)[0][2] != read_curve(trained)[0][2]
    weights = named_tensors(folder / "weights" / "last.safetensors").tensors
    alone = named_tensors(trained / "weights" / "last.safetensors").tensors
    assert any(not torch.equal(weights[name], alone[name]) for name in weights)

    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(teacher.read_bytes())
    assert main([str(moved) if word == str(teacher) else word for word in command]) == 0
    capsys.readouterr()
    assert main(tiny_command(config, space, folder)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("teacher: is not there, was ")


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_a_teacher_in_another_precision_teaches(
    kind: torch.dtype, trained: Path, tmp_path: Path
) -> None:
    state = named_tensors(trained / "weights" / "best.safetensors").tensors
    torch.save({n: t.to(kind) if t.is_floating_point() else t for n, t in state.items()},
               tmp_path / "t.pth")  # fmt: skip
    schedule = read_record(trained).schedule.schedule
    noted_teacher(str(tmp_path / "t.pth"), 2.0, 0.5, schedule)
    said = of_file(tmp_path / "t.pth", "cpu").network(torch.zeros(1, 3, 64, 64))
    assert said.dtype == torch.float32


def test_a_training_of_before_there_were_teachers_opens(trained: Path, tmp_path: Path) -> None:
    plain = json.loads((trained / "training.json").read_text())
    del plain["teacher"]
    (tmp_path / "training.json").write_text(json.dumps(plain))
    assert read_record(tmp_path).teacher is None


def test_a_teacher_of_other_classes_is_refused(
    trained: Path, config: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = space.with_name("other.yaml")
    other.write_text(space.read_text().replace("classes: 3", "classes: 5"))
    teacher = str(trained / "weights" / "best.safetensors")
    command = tiny_command(config, other, tmp_path / "t", "--teacher", teacher)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"--teacher: {teacher} decides between 3 classes, allowed: a network of 5 classes"
    )


@pytest.mark.parametrize("says", [True, False])
def test_a_teacher_of_images_that_are_normalised_in_another_way_is_refused(
    trained: Path,
    config: Path,
    space: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    says: bool,
) -> None:
    """Also one that does not say: its images are taken to be ImageNet's, as `predict` does."""
    other = space.with_name("other.yaml")
    other.write_text(space.read_text().replace("classes: 3", "classes: 3, mean: [0.5, 0.4, 0.3]"))
    teacher = trained / "weights" / "best.safetensors"
    if not says:
        torch.save(named_tensors(teacher).tensors, tmp_path / "t.pth")
        teacher = tmp_path / "t.pth"
    command = tiny_command(config, other, tmp_path / "t", "--teacher", str(teacher))
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{teacher} takes images normalised with (0.485, 0.456, 0.406)" in line
    assert "with (0.5, 0.4, 0.3)" in line
