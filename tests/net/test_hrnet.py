"""What every network promises, whatever its architecture."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from hrnet_search.arch.architecture import MAX_COUNT, Architecture, Stage
from hrnet_search.errors import ArchitectureError, InputError, WeightsError
from hrnet_search.net.hrnet import HighResolutionModule, HighResolutionNet, HRNet, build
from hrnet_search.net.weights import save_weights

ODD_SIZES = ((1, 1), (31, 33), (65, 97))


def small(fuse: str = "SUM", **changes: Any) -> Architecture:
    first = Stage(1, "BOTTLENECK", (1,), (4,))
    second, third, fourth = (
        Stage(1, "BASIC", (1,) * n, (4, 6, 8, 12)[:n], fuse) for n in (2, 3, 4)
    )
    return replace(Architecture((first, second, third, fourth)), **changes)


def with_stage(number: int, stage: Stage) -> Architecture:
    stages = list(small().stages)
    stages[number - 1] = stage
    return small(stages=tuple(stages))


def drawn(seed: int) -> Architecture:
    """Return a random valid architecture, every rule of what is valid used."""
    rng = random.Random(seed)

    def stage(branches: int, least_modules: int = 0) -> Stage:
        modules, block = rng.randint(least_modules, 2), rng.choice(["BASIC", "BOTTLENECK"])
        blocks = tuple(rng.randint(1, 2) for _ in range(branches))
        channels = tuple(rng.choice([1, 3, 4, 8]) for _ in range(branches))
        return Stage(modules, block, blocks, channels, rng.choice(["SUM", "CAT"]))

    first = stage(1, least_modules=1)
    second, third, fourth = (stage(n) for n in sorted(rng.randint(1, 4) for _ in range(3)))
    kernel, aligned = rng.choice([1, 3]), rng.choice([False, True])
    return Architecture((first, second, third, fourth), "seg_hrnet", kernel, aligned)


def spread(network: HighResolutionNet, seed: int = 0) -> HighResolutionNet:
    """Give every official tensor values that show (at the start, outputs are nearly the bias)."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and "fuse_projections" not in name:
            scale = 4 / tensor[0].numel() ** 0.5 if tensor.dim() == 4 else 0.2
            noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) - 0.5
            around_one = tensor.dim() == 1 and name.endswith(("weight", "var"))
            tensor.copy_(scale * noise + around_one)
    return network


def images(height: int, width: int, count: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(count, 3, height, width, generator=generator, dtype=dtype)


def quarter(size: int) -> int:
    return math.ceil(math.ceil(size / 2) / 2)


@torch.inference_mode()
def evaluated(network: HighResolutionNet, x: Tensor) -> Tensor:
    logits: Tensor = network.eval()(x)
    return logits


def assert_variant_runs(seed: int, device: str, sizes: tuple[tuple[int, int], ...]) -> None:
    classes = 1 + seed % 7
    with torch.device(device):
        network = build(drawn(seed), classes)
    calls: Counter[str] = Counter()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            calls[name] = 0
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    for height, width in sizes:
        logits = evaluated(network, images(height, width).to(device))
        assert logits.shape == (1, classes, quarter(height), quarter(width)), drawn(seed)
    assert set(calls.values()) == {len(sizes)}, "each convolution is called once a forward"


@pytest.mark.parametrize("count", [50, pytest.param(2000, marks=pytest.mark.bench)])
def test_random_variants_give_quarter_size_logits_at_odd_sizes(count: int) -> None:
    for seed in range(count):
        assert_variant_runs(seed, "cpu", ODD_SIZES)


@pytest.mark.parametrize("count", [8, pytest.param(500, marks=pytest.mark.bench)])
def test_random_variants_run_on_the_meta_device(count: int) -> None:
    for seed in range(count):
        assert_variant_runs(seed, "meta", ODD_SIZES[1:2])


@pytest.mark.parametrize("seed", range(8))
def test_every_parameter_gets_a_gradient(seed: int) -> None:
    network = build(drawn(seed), 3)
    network.train()(images(64, 96, count=2)).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_a_meta_network_occupies_nothing_and_has_the_same_state() -> None:
    for architecture in (small(), small("CAT")):
        with torch.device("meta"):
            network = build(architecture)
        assert all(t.is_meta for t in network.state_dict().values())
        real = {k: v.shape for k, v in build(architecture).state_dict().items()}
        assert {k: v.shape for k, v in network.state_dict().items()} == real


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_the_head_stands_over_the_branches_that_are_there(branches: int) -> None:
    channels = (4, 6, 8)[:branches]
    stages = [small().stages[0]]
    for most in (1, 2, 3):
        n = min(most, branches)
        stages.append(Stage(1, "BASIC", (1,) * n, channels[:n]))
    network = build(small(stages=tuple(stages)))
    head = network.last_layer[0]
    assert isinstance(head, nn.Conv2d)
    assert head.in_channels == head.out_channels == sum(channels)
    assert evaluated(network, images(31, 33)).shape == (1, 19, 8, 9)


def test_a_stage_without_modules_is_its_transition_alone() -> None:
    network = build(with_stage(3, replace(small().stages[2], modules=0)))
    names = {name.split(".")[0] for name in network.state_dict()}
    assert len(network.stage3) == 0
    assert "stage3" not in names
    assert {"transition2", "stage4"} <= names
    assert evaluated(network, images(31, 33)).shape == (1, 19, 8, 9)


def test_a_branch_alone_is_neither_fused_nor_rectified() -> None:
    module = HighResolutionModule(Stage(1, "BASIC", (1,), (4,), "CAT"), align_corners=False)
    assert not any("fuse" in name for name in module.state_dict())
    x = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        (out,) = module.eval()([x])
        assert torch.equal(out, module.branches[0](x))


def test_one_scale_output_is_the_first_of_all_scales() -> None:
    stage = Stage(1, "BASIC", (1, 1, 1), (4, 6, 8))
    every = HighResolutionModule(stage, align_corners=True).eval()
    first = HighResolutionModule(stage, align_corners=True, multi_scale_output=False).eval()
    first.load_state_dict({k: v for k, v in every.state_dict().items() if k in first.state_dict()})
    xs = [torch.randn(1, c, s, s) for c, s in zip((4, 6, 8), (9, 5, 3), strict=True)]
    given = [x.clone() for x in xs]
    with torch.no_grad():
        outputs, (only,) = every(xs), first(xs)
    assert len(outputs) == 3
    assert torch.equal(outputs[0], only)
    assert all(torch.equal(x, g) for x, g in zip(xs, given, strict=True)), "inputs are untouched"


def test_a_second_network_never_changes_the_first() -> None:
    x = images(65, 97)
    first = spread(build(small(align_corners=True)))
    before = evaluated(first, x)
    second = spread(build(small(align_corners=False)))
    assert torch.equal(evaluated(first, x), before)
    assert (evaluated(second, x) - before).abs().max() > 1e-3


def test_starting_weights_follow_the_official_rule() -> None:
    torch.manual_seed(0)
    network = build(small("CAT", final_kernel=3))
    convs = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    drawn_weights = torch.cat([m.weight.flatten() for n, m in convs if "projections" not in n])
    assert drawn_weights.std().item() == pytest.approx(0.001, rel=0.03)
    assert abs(drawn_weights.mean().item()) < 5e-5
    assert {n for n, m in convs if m.bias is not None} == {"last_layer.0", "last_layer.3"}
    # torch's own start is uniform within 1 / sqrt(fan in), far wider than the weights here
    first, last = network.last_layer[0], network.last_layer[3]
    for conv, fan_in in ((first, 30), (last, 9 * 30)):
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        assert 0.2 * fan_in**-0.5 < conv.bias.abs().max() <= fan_in**-0.5
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.1, 1e-5)}
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)


def twins(dtype: torch.dtype) -> tuple[HighResolutionNet, HighResolutionNet]:
    """Return a SUM network and the CAT network that its weights were loaded into."""
    plain, cat = spread(build(small()).to(dtype)), build(small("CAT")).to(dtype)
    missing, unexpected = cat.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    expected = [f"stage{s}.0.fuse_projections.{b}.weight" for s in (2, 3, 4) for b in range(s)]
    assert missing == expected
    return plain, cat


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_cat_starts_as_exactly_the_sum_network(
    mode: str, dtype: torch.dtype, allowed: float
) -> None:
    plain, cat = (net.train(mode == "train") for net in twins(dtype))
    x = images(65, 97, count=2, dtype=dtype)
    logits = plain(x)
    assert (cat(x) - logits).abs().max() <= allowed * logits.abs().max()
    assert logits.std() > 0.01, "the outputs tell something"


def test_one_seed_starts_sum_and_cat_alike() -> None:
    torch.manual_seed(3)
    plain = build(small()).state_dict()
    torch.manual_seed(3)
    cat = build(small("CAT")).state_dict()
    assert all(torch.equal(cat[name], tensor) for name, tensor in plain.items())
    projection = cat["stage3.0.fuse_projections.1.weight"]
    assert projection.shape == (6, 18, 1, 1)
    assert torch.equal(projection[:, :, 0, 0], torch.eye(6).repeat(1, 3))


def test_cat_leaves_the_sum_network_with_its_first_step() -> None:
    plain, cat = twins(torch.float64)
    x = images(64, 96, count=2, dtype=torch.float64)
    for network in (plain, cat):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        network.train()(x).square().mean().backward()
        optimiser.step()
    assert (evaluated(cat, x) - evaluated(plain, x)).abs().max() > 1e-6


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("fuse", ["SUM", "CAT"])
def test_a_traced_network_computes_the_same(fuse: str) -> None:
    network, x = spread(build(small(fuse))).eval(), images(31, 33)
    traced: Callable[[Tensor], Tensor] = torch.jit.trace(network, x)  # type: ignore[no-untyped-call]
    assert torch.equal(traced(x), evaluated(network, x))


@pytest.mark.parametrize("fuse", ["SUM", "CAT"])
def test_an_exported_network_computes_the_same(fuse: str) -> None:
    network, x = spread(build(small(fuse))).eval(), images(31, 33)
    exported = torch.export.export(network, (x,)).module()
    assert torch.allclose(exported(x), evaluated(network, x), atol=1e-6)


def test_every_problem_of_an_architecture_is_told_before_anything_is_built() -> None:
    wrong = with_stage(3, Stage(1, "BASIC", (1, 0, 1), (4, 6, 9999)))
    with pytest.raises(ArchitectureError) as caught:
        build(wrong)
    assert len(caught.value.faults) == 2


def test_a_head_of_no_kind_is_refused_by_name() -> None:
    with pytest.raises(ArchitectureError, match=r"MODEL.NAME: .*allowed: seg_hrnet, seg_hrnet_ocr"):
        build(small(head="seg_unet"))


@pytest.mark.parametrize("classes", [0, -1, MAX_COUNT + 1, 2.0, "5", True, None])
def test_a_class_count_that_is_none_is_refused(classes: Any) -> None:
    with pytest.raises(InputError, match=f"classes: .*allowed: an integer from 1 to {MAX_COUNT}"):
        build(small(), classes)


def config(folder: Path, pretrained: str = "", data: object = None) -> Path:
    """Write the yaml of `small(align_corners=True)`."""
    stages: dict[str, Any] = {
        f"STAGE{number}": {
            "NUM_MODULES": stage.modules,
            "NUM_BRANCHES": stage.branches,
            "BLOCK": stage.block,
            "NUM_BLOCKS": list(stage.blocks),
            "NUM_CHANNELS": list(stage.channels),
            "FUSE_METHOD": stage.fuse,
        }
        for number, stage in enumerate(small().stages, start=1)
    }
    model = {
        "NAME": "seg_hrnet",
        "ALIGN_CORNERS": True,
        "PRETRAINED": pretrained,
        "EXTRA": {"FINAL_CONV_KERNEL": 1, **stages},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"DATASET": data or {"NUM_CLASSES": 7}, "MODEL": model}))
    return path


def test_a_config_gives_its_structure_and_classes(tmp_path: Path) -> None:
    network = HRNet(config(tmp_path))
    assert network.architecture == small(align_corners=True)
    assert evaluated(network, images(31, 33)).shape[1] == 7


def test_a_config_without_classes_has_the_official_default(tmp_path: Path) -> None:
    network = HRNet(config(tmp_path, data={"ROOT": "data/"}))
    assert evaluated(network, images(31, 33)).shape[1] == 19


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"NUM_CLASSES": 0}, "DATASET.NUM_CLASSES: 0 is not a class count"),
        ({"NUM_CLASSES": 5.0}, "DATASET.NUM_CLASSES: 5.0 is not a class count"),
    ],
)
def test_a_config_with_wrong_classes_is_told_where(
    tmp_path: Path, data: object, message: str
) -> None:
    path = config(tmp_path, data=data)
    with pytest.raises(InputError, match=f"config.yaml: {message}"):
        HRNet(path)
    assert evaluated(HRNet(path, classes=2), images(1, 1)).shape[1] == 2


def test_a_config_whose_data_are_no_section_is_told_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml:1:10: DATASET: is not a mapping"):
        HRNet(config(tmp_path, data=5), classes=2)


def test_arguments_override_the_config(tmp_path: Path) -> None:
    network = HRNet(str(config(tmp_path)), classes=3, align_corners=False)
    assert network.architecture == small(align_corners=False)
    assert evaluated(network, images(31, 33)).shape[1] == 3


def test_an_unknown_argument_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="num_classes"):
        HRNet(config(tmp_path), num_classes=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("place", ["absolute", "beside the yaml", "working directory"])
def test_pretrained_weights_are_found_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    source = spread(build(small(align_corners=True), 7))
    folder = tmp_path / "cwd" if place == "working directory" else tmp_path
    folder.mkdir(exist_ok=True)
    save_weights(source, folder / "trained.safetensors", {})
    monkeypatch.chdir(folder if place == "working directory" else "/")
    named = str(folder / "trained.safetensors") if place == "absolute" else "trained.safetensors"
    network = HRNet(config(tmp_path, named), use_pretrain=True)
    x = images(31, 33)
    assert torch.equal(evaluated(network, x), evaluated(source, x))


def test_another_class_count_keeps_the_pretrained_trunk(tmp_path: Path) -> None:
    source = spread(build(small(), 19))
    save_weights(source, tmp_path / "trained.safetensors", {})
    network = HRNet(config(tmp_path, "trained.safetensors", {"NUM_CLASSES": 5}), use_pretrain=True)
    assert torch.equal(network.conv1.weight, source.conv1.weight)
    assert network.state_dict()["last_layer.3.weight"].shape[0] == 5


def test_weights_of_another_trunk_are_refused(tmp_path: Path) -> None:
    stage = small().stages[3]
    other = build(with_stage(4, replace(stage, channels=(8, 6, 8, 12))))
    save_weights(other, tmp_path / "other.safetensors", {})
    message = r"MODEL.PRETRAINED: 222 of 273 tensors match.* untrained.*\(stage4.* does not fit"
    with pytest.raises(WeightsError, match=message):
        HRNet(config(tmp_path, "other.safetensors"), use_pretrain=True)


@pytest.mark.parametrize("named", ["", "gone.pth"])
def test_absent_pretrained_weights_are_never_a_random_start(tmp_path: Path, named: str) -> None:
    count = sum("num_batches" not in name for name in build(small()).state_dict())
    with pytest.raises(WeightsError, match=f"0 of {count} tensors match"):
        HRNet(config(tmp_path, named), use_pretrain=True)
