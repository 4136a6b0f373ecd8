"""OCR heads: weights of others, inheritance, shared weights, training and exports."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from net.pairs import CLASSES, images, larger, loud, random_architecture, shaken
from torch import Tensor, nn

from hrnet_search.arch.architecture import OCR, Architecture, Stage
from hrnet_search.errors import WeightsError
from hrnet_search.net.hrnet import HighResolutionNet, HRNet, build
from hrnet_search.net.inherit import inherit, inherit_from
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.net.structure import network_of
from hrnet_search.net.weights import load_weights

FIRST = Stage(1, "BASIC", (1,), (4,))
SECOND, THIRD, FOURTH = (Stage(1, "BASIC", (1,) * n, (4, 6, 8, 12)[:n]) for n in (2, 3, 4))
PLAIN = Architecture((FIRST, SECOND, THIRD, FOURTH))
WITH_OCR = replace(PLAIN, head=OCR, mid_channels=6, key_channels=4)


def counted(names: Any) -> set[str]:
    return {name for name in names if not name.endswith("num_batches_tracked")}


def of_head(name: str) -> bool:
    return name.startswith(("aux_head", "conv3x3_ocr", "ocr_distri_head", "cls_head"))


Wrap = Callable[[dict[str, Tensor]], Any]
PLAIN_FILES: dict[str, Wrap] = {
    "a plain state dict": dict,
    "what train.py saves": lambda s: {f"model.{name}": t for name, t in s.items()},
    "a classification network": lambda s: (
        {name: t for name, t in s.items() if not name.startswith("last_layer")}
        | {"classifier.weight": torch.zeros(1000, 8)}
    ),
    "of torch 0.4": lambda s: {name: s[name] for name in counted(s)},
}


@pytest.mark.parametrize("wrap", PLAIN_FILES.values(), ids=PLAIN_FILES)
def test_weights_of_a_plain_network_load_as_the_official_code_loads_them(
    wrap: Wrap, tmp_path: Path
) -> None:
    """Official `seg_hrnet_ocr.py`: `last_layer` is read as `aux_head`, `model.` is taken off."""
    source = shaken(PLAIN, 1)
    torch.save(wrap(source.state_dict()), tmp_path / "w.pth")
    fresh = build(WITH_OCR, CLASSES).double()
    report = load_weights(fresh, tmp_path / "w.pth")
    has_head = "classifier.weight" not in wrap(source.state_dict())
    start = ("aux_head", "conv3x3_ocr", "ocr_distri_head", "cls_head")[has_head:]
    assert set(report.missing) == {n for n in counted(fresh.state_dict()) if n.startswith(start)}
    assert not report.reshaped
    if has_head:
        assert "last_layer as aux_head" in report.origin
        x = images(1)
        with torch.no_grad():
            assert torch.equal(fresh.eval().outputs(x)[0], source.eval()(x))


def test_the_eight_tensors_of_a_plain_head_are_the_only_ones_renamed(tmp_path: Path) -> None:
    source = shaken(WITH_OCR, 2)
    both = source.state_dict() | {"last_layer.0.bias": torch.zeros(1)}
    torch.save(both, tmp_path / "own.pth")
    fresh = build(WITH_OCR, CLASSES).double()
    report = load_weights(fresh, tmp_path / "own.pth")
    assert set(report.matched) == counted(source.state_dict())
    assert report.unexpected == ("last_layer.0.bias",)


def test_pretrained_weights_may_lack_the_whole_head_and_nothing_else(tmp_path: Path) -> None:
    trunk = {n: t for n, t in build(WITH_OCR, 19).state_dict().items() if not of_head(n)}
    torch.save(trunk, tmp_path / "trunk.pth")
    WITH_OCR.to_yaml(tmp_path / "ocr.yaml")
    text = (tmp_path / "ocr.yaml").read_text()
    (tmp_path / "ocr.yaml").write_text(text.replace("PRETRAINED: ''", "PRETRAINED: trunk.pth"))
    assert HRNet(tmp_path / "ocr.yaml", use_pretrain=True).architecture == WITH_OCR
    del trunk["conv1.weight"]
    torch.save(trunk, tmp_path / "trunk.pth")
    with pytest.raises(WeightsError, match="1 tensors before the head"):
        HRNet(tmp_path / "ocr.yaml", use_pretrain=True)


def with_ocr(architecture: Architecture, rng: random.Random) -> Architecture:
    mid, key = rng.randint(8, 12), rng.randint(6, 9)  # so many that rectifiers leave some
    return replace(architecture, head=OCR, mid_channels=mid, key_channels=key)


def gap(one: HighResolutionNet, other: HighResolutionNet, x: Tensor) -> float:
    """Return how far apart two networks' outputs are, as a share of the first's."""
    with torch.no_grad():
        pairs = list(zip(one.outputs(x), other.outputs(x), strict=True))
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("seed", range(8))
def test_a_head_that_contains_its_source_keeps_both_outputs(seed: int) -> None:
    rng = random.Random(seed)
    source = with_ocr(random_architecture(rng), rng)
    variant = replace(
        larger(source, rng),
        mid_channels=source.mid_channels + rng.choice([0, 3]),
        key_channels=source.key_channels + rng.choice([1, 4]),
    )
    given, network = shaken(source, seed), loud(variant, seed + 1)
    found = inherit(network, given)
    near = gap(given.eval(), network.eval(), images(seed)) < 1e-9
    assert found.same_function == near
    if variant.stages == source.stages:
        assert near


def test_channels_that_are_added_to_the_attention_learn_at_once() -> None:
    """Keys that are 0 behind a rectifier would never: they start as the same for all classes."""
    narrow = replace(WITH_OCR, mid_channels=12, key_channels=8)
    given, network = shaken(narrow, 3), loud(replace(narrow, mid_channels=15, key_channels=13), 4)
    assert inherit(network, given).same_function
    assert gap(given.eval(), network.eval(), images(3)) < 1e-9
    network.train()
    network.outputs(images(3))[-1].square().mean().backward()  # type: ignore[no-untyped-call]
    block = network.ocr_distri_head.object_context_block
    gradients = block.f_object[3][0].weight.grad  # type: ignore[index]
    assert (gradients[8:] != 0).sum() >= 3  # queries of others are rectified to 0


def test_a_plain_network_hands_its_head_to_the_auxiliary_one_and_back(tmp_path: Path) -> None:
    plain, network = shaken(PLAIN, 5), loud(WITH_OCR, 6)
    found = inherit(network, plain)
    assert not found.same_function  # the judged output is a new one
    assert found.kept == 1.0
    x = images(5)
    with torch.no_grad():
        assert torch.allclose(network.eval().outputs(x)[0], plain.eval()(x), rtol=1e-9)
    torch.save(shaken(WITH_OCR, 7).state_dict(), tmp_path / "ocr.pth")
    back = loud(PLAIN, 8)
    assert not inherit_from(back, tmp_path / "ocr.pth").same_function
    with torch.no_grad():
        first = shaken(WITH_OCR, 7).eval().outputs(x)[0]
        assert torch.allclose(back.eval()(x), first, rtol=1e-6)


def test_the_network_of_a_file_is_known_by_its_head() -> None:
    state = shaken(WITH_OCR, 9).state_dict()
    assert network_of(state).architecture == WITH_OCR
    other = shaken(replace(WITH_OCR, mid_channels=9, key_channels=2), 9).state_dict()
    found = network_of(other).architecture
    assert (found.mid_channels, found.key_channels) == (9, 2)


def test_shared_weights_have_slices_for_both_heads_and_all_their_widths() -> None:
    narrow = replace(WITH_OCR, mid_channels=3, key_channels=2)
    other = replace(narrow, stages=(FIRST, SECOND, THIRD, replace(FOURTH, channels=(2, 3, 4, 5))))
    shared = SharedNetwork.of([PLAIN, WITH_OCR, narrow, other], CLASSES)
    whole = {n: t.detach() for n, t in shared.slices(build(WITH_OCR, CLASSES)).items()}
    part = shared.slices(build(other, CLASSES))
    join = "ocr_distri_head.conv_bn_dropout.0.weight"
    columns = [0, 1, 2, 6, 7, 8]  # of context, then of pixels
    assert torch.equal(part[join], whole[join][:3, columns])
    branches = [0, 1, 4, 5, 6, 10, 11, 12, 13, 18, 19, 20, 21, 22]
    assert torch.equal(part["conv3x3_ocr.0.weight"], whole["conv3x3_ocr.0.weight"][:3, branches])
    mixed = shared["conv3x3_ocr.0.weight"].detach()
    bound = mixed[0].numel() ** -0.5
    assert 0.9 * bound < float(mixed.abs().max()) <= bound
    assert shared.start(build(PLAIN, CLASSES)) == ()


def test_evaluation_drops_nothing_and_training_does() -> None:
    network = build(WITH_OCR, CLASSES)
    drops = [module for module in network.modules() if isinstance(module, nn.Dropout2d)]
    assert [module.p for module in drops] == [0.05]
    x = torch.randn(2, 3, 64, 64)
    found = network(x)
    assert isinstance(found, tuple)
    assert [tuple(out.shape) for out in found] == [(2, CLASSES, 16, 16)] * 2
    network.eval()
    assert torch.equal(network(x), network.outputs(x)[-1])
