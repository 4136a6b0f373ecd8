"""A state dict tells what network it is of."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from net.pairs import CLASSES, images, random_architecture, shaken

from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.net.hrnet import build
from hrnet_search.net.structure import architecture_of, has_head, network_of

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
PLAIN = [path for path in CONFIGS if "_ocr_" not in path.name]


@pytest.mark.parametrize("seed", range(20))
def test_weights_give_back_their_architecture(seed: int) -> None:
    architecture = random_architecture(random.Random(seed))
    with torch.device("meta"):
        state = build(architecture, CLASSES).state_dict()
    found = architecture_of(state)
    assert found.id == architecture.id
    counts = [(s.modules, s.widths) for s in architecture.stages]
    assert [(s.modules, s.widths) for s in found.stages] == counts


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem[10:23])
def test_shipped_configs_are_told_from_their_weights(config: Path) -> None:
    architecture = read_config(config).architecture
    with torch.device("meta"):
        state = build(architecture).state_dict()
    # Which no tensor shows.
    assert architecture_of(state) == replace(architecture, align_corners=False)


def test_a_network_is_made_of_the_very_tensors() -> None:
    source = shaken(random_architecture(random.Random(1)), 1).eval()
    network = network_of(source.state_dict()).eval()
    assert has_head(network)
    with torch.no_grad():
        assert torch.equal(network(images(1)), source(images(1)))
    assert network.conv1.weight.data_ptr() == source.conv1.weight.data_ptr()


def test_classification_weights_have_no_head() -> None:
    state = shaken(random_architecture(random.Random(1)), 1).state_dict()
    trunk = {name: t for name, t in state.items() if not name.startswith("last_layer")}
    trunk |= {"incre_modules.0.0.conv1.weight": torch.zeros(2), "classifier.bias": torch.zeros(9)}
    assert not has_head(network_of(trunk))


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("layer1.0.conv1.weight", "the names of no HRNet"),
        ("conv2.weight", r"1 tensors of its trunk do not fit \(conv2.weight\)"),
        ("stage4.0.fuse_layers.3.0.2.1.running_var", "1 tensors of its trunk do not fit"),
    ],
)
def test_a_trunk_with_holes_is_no_source(lost: str, reason: str) -> None:
    state = shaken(read_config(PLAIN[0]).architecture, 1).state_dict()
    del state[lost]
    with pytest.raises(ValueError, match=reason):
        network_of(state)


def test_a_tensor_of_another_shape_is_no_source() -> None:
    state = shaken(random_architecture(random.Random(1)), 1).state_dict()
    state["bn1.weight"] = torch.zeros(63)
    with pytest.raises(ValueError, match=r"do not fit \(bn1.weight\)"):
        network_of(state)
