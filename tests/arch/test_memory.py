"""Estimates of memory are near to what the tensors of the built network hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import with_either_head

from benchmarks.memory import held_in_inference, held_in_training
from hrnet_search.arch.architecture import OCR, Architecture
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.arch.memory import inference_memory, training_memory
from hrnet_search.errors import InputError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
PLAIN = [path for path in CONFIGS if "_ocr_" not in path.name]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem[10:26])
def test_inference_of_the_shipped_configs_is_known_within_a_twentieth(path: Path) -> None:
    architecture = read_config(path).architecture
    held = held_in_inference(architecture, (96, 128), 19, 3)
    assert inference_memory(architecture, (96, 128), 19, 3) == pytest.approx(held, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [19, 150])
def test_training_is_known_within_a_tenth(classes: int) -> None:
    """Of many classes the loss holds the most: its maps have the size of the images."""
    small = read_config(PLAIN[1]).architecture
    for architecture in (small, replace(small, head=OCR, mid_channels=64, key_channels=32)):
        held = held_in_training(architecture, (128, 128), classes, 2)
        estimate = training_memory(architecture, (128, 128), classes, 2)
        assert estimate == pytest.approx(held, rel=0.1)


def test_variants_of_any_form_are_estimated_about_as_well(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    drawn = with_either_head(architectures(12, 30), random.Random(31))
    errors = [
        abs(np.log(inference_memory(a, (96, 128), 7, 2) / held_in_inference(a, (96, 128), 7, 2)))
        for a in drawn
    ]
    assert np.median(errors) < 0.05
    assert max(errors) < 0.35


def test_half_precision_halves_and_images_add_up() -> None:
    architecture = read_config(PLAIN[1]).architecture
    one, two = (inference_memory(architecture, (64, 64), 19, batch) for batch in (1, 2))
    four = inference_memory(architecture, (64, 64), 19, 4)
    assert four - two == 2 * (two - one)
    assert inference_memory(architecture, (64, 64), 19, 1, element=2) * 2 == one
    assert training_memory(architecture, (64, 64), 19, 2) > two


def test_a_wrong_size_is_refused() -> None:
    architecture = read_config(PLAIN[1]).architecture
    for estimate in (inference_memory, training_memory):
        with pytest.raises(InputError, match="positive integer"):
            estimate(architecture, (64, 0), 19, 1)
    assert torch.get_default_device() == torch.device("cpu")
