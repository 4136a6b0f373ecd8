"""Weight files in every wrapping, and every file that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.errors import StorageLostError, WeightsError
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.weights import WeightsReport, load_weights, save_weights

State = dict[str, Tensor]


def network(classes: int = 19) -> HighResolutionNet:
    first = Stage(1, "BASIC", (1,), (4,))
    second, third, fourth = (Stage(1, "BASIC", (1,) * n, (4, 6, 8, 12)[:n]) for n in (2, 3, 4))
    return build(Architecture((first, second, third, fourth)), classes)


def trained(classes: int = 19) -> State:
    """Return a state dict that no fresh network has."""
    state = network(classes).state_dict()
    return {name: torch.full_like(tensor, 2) for name, tensor in state.items()}


def counted(state: State) -> set[str]:
    return {name for name in state if not name.endswith("num_batches_tracked")}


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


def wrapped(state: State) -> dict[str, Any]:
    return {"epoch": 3, "state_dict": prefixed("model.")(state), "optimizer": {"lr": 0.1}}


def resumable(state: State) -> dict[str, Any]:
    """As the official trainer writes `checkpoint.pth.tar`: the best mIoU is numpy's."""
    return wrapped(state) | {"best_mIoU": np.float64(0.75)}


def without_counters(state: State) -> State:
    return {name: state[name] for name in counted(state)}


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "plain": dict,
    "module.": prefixed("module."),
    "model.": prefixed("model."),
    "module.model.": prefixed("module.model."),
    "model.module.": prefixed("model.module."),
    "under state_dict": wrapped,
    "to be resumed": resumable,
    "of torch 0.4": without_counters,
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_complete_checkpoint_loads_whole(tmp_path: Path, wrapping: str, zipped: bool) -> None:
    state, fresh = trained(), network()
    content = WRAPPINGS[wrapping](state)
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    report = load_weights(fresh, tmp_path / "w.pth")
    assert set(report.matched) == counted(state)
    assert (report.missing, report.unexpected, report.reshaped) == ((), (), ())
    assert all((fresh.state_dict()[name] == 2).all() for name in counted(state))
    counter = fresh.state_dict()["bn1.num_batches_tracked"]
    assert counter == (0 if wrapping == "of torch 0.4" else 2)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors_load_too(tmp_path: Path, prefix: str) -> None:
    state, fresh = trained(), network()
    save_file(prefixed(prefix)(state), tmp_path / "w.safetensors")
    assert len(load_weights(fresh, str(tmp_path / "w.safetensors")).matched) == len(counted(state))
    assert (fresh.conv1.weight == 2).all()


def test_a_classification_checkpoint_leaves_the_head_at_its_start(tmp_path: Path) -> None:
    state, fresh = trained(), network()
    head = {name for name in counted(state) if name.startswith("last_layer")}
    trunk = {name: t for name, t in state.items() if not name.startswith("last_layer")}
    torch.save({**trunk, "classifier.weight": torch.zeros(1000, 8)}, tmp_path / "cls.pth")
    before = fresh.state_dict()["last_layer.0.weight"].clone()
    report = load_weights(fresh, tmp_path / "cls.pth")
    assert set(report.missing) == head
    assert len(head) == 8
    assert set(report.matched) == counted(state) - head
    assert report.unexpected == ("classifier.weight",)
    assert torch.equal(fresh.state_dict()["last_layer.0.weight"], before)


OTHER_HEADS = {
    "seg_hrnet_ocr": ("conv3x3_ocr.0.weight", "ocr_distri_head.conv_bn_dropout.0.weight",
                      "cls_head.weight", "aux_head.0.weight"),
    "timm and ImageNet": ("incre_modules.0.0.conv1.weight", "downsamp_modules.0.0.weight",
                          "final_layer.0.weight", "classifier.weight"),
}  # fmt: skip


@pytest.mark.parametrize("publisher", OTHER_HEADS)
def test_the_trunk_is_loaded_whatever_head_was_on_it(tmp_path: Path, publisher: str) -> None:
    trunk = {name: t for name, t in trained().items() if not name.startswith("last_layer")}
    heads = {name: torch.zeros(2) for name in OTHER_HEADS[publisher]}
    torch.save({**trunk, **heads}, tmp_path / "w.pth")
    report = load_weights(network(), tmp_path / "w.pth")
    assert set(report.matched) == counted(trunk)
    assert report.unexpected == OTHER_HEADS[publisher]
    assert {name.split(".")[0] for name in report.missing} == {"last_layer"}


def test_tensors_of_another_shape_stay_at_their_start(tmp_path: Path) -> None:
    torch.save(trained(classes=5), tmp_path / "five.pth")
    fresh = network(classes=19)
    before = fresh.state_dict()["last_layer.3.weight"].clone()
    report = load_weights(fresh, tmp_path / "five.pth")
    assert report.reshaped == ("last_layer.3.weight", "last_layer.3.bias")
    assert not set(report.matched) & set(report.reshaped)
    assert torch.equal(fresh.state_dict()["last_layer.3.weight"], before)


def test_weights_keep_the_precision_of_the_network(tmp_path: Path) -> None:
    torch.save({"conv1.weight": trained()["conv1.weight"].half()}, tmp_path / "half.pth")
    fresh = network().double()
    load_weights(fresh, tmp_path / "half.pth")
    assert fresh.conv1.weight.dtype == torch.float64
    assert (fresh.conv1.weight == 2).all()


def test_a_report_is_one_line() -> None:
    report = WeightsReport(("a", "b"), ("c",), tuple("defgh"), ("f",))
    text = "2 of 4 tensors match, 1 missing (c), 1 reshaped (f), 5 unexpected (d, e, f and 2 more)"
    assert str(report) == text
    assert str(WeightsReport(("a",), (), (), ())) == "1 of 1 tensors match"


def other_names(path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(2)}, path)


def only_counters(path: Path) -> None:
    torch.save({"bn1.num_batches_tracked": torch.tensor(5)}, path)


def other_shapes(path: Path) -> None:
    torch.save({name: torch.zeros(1, 2, 3) for name in trained()}, path)


def a_pickled_module(path: Path) -> None:
    torch.save(nn.Conv2d(1, 1, 1), path)


def names_twice(path: Path) -> None:
    torch.save({**trained(), **prefixed("module.")(trained())}, path)


FAILURES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "does not exist"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "garbage": (lambda path: path.write_bytes(bytes(range(256)) * 9), "is of no known format"),
    "a pickled module": (a_pickled_module, "a pickled torch.nn.modules.conv.Conv2d"),
    "a list": (lambda path: torch.save([torch.zeros(2)], path), "no state dict: it is a list"),
    "a tensor": (lambda path: torch.save(torch.zeros(2), path), "no state dict: it is a Tensor"),
    "an empty dict": (lambda path: torch.save({}, path), "a dict of no keys"),
    "numbers": (lambda path: torch.save({"conv1.weight": 3}, path), "a dict of conv1.weight"),
    "other names": (other_names, r"holds 1 tensor named encoder\.\*: weight"),
    "other shapes": (other_shapes, r"holds 315 tensors: conv1, bn1, .* more"),
    "only counters": (only_counters, r"holds 1 tensor named bn1\.\*"),
    "names twice": (names_twice, r"holds 2 networks, named \* and module\.\*"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_without_fitting_weights_is_refused(
    tmp_path: Path, failure: str, suffix: str
) -> None:
    write, reason = FAILURES[failure]
    path, fresh = tmp_path / f"w{suffix}", network()
    write(path)
    before = {name: t.clone() for name, t in fresh.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"0 of \d+ tensors match: .*{reason}") as caught:
        load_weights(fresh, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], t) for name, t in fresh.state_dict().items())


def test_no_code_in_a_file_is_ever_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"conv1.weight": torch.zeros(64, 3, 3, 3), "trap": Trap()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"asks to run posix\.mkdir"):
        load_weights(network(), tmp_path / "w.pth")
    assert not (tmp_path / "sprung").exists()


def test_a_numpy_array_of_objects_runs_nothing_either(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    content = resumable(trained()) | {"more": np.array([Trap()], dtype=object)}
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"asks to run posix\.mkdir"):
        load_weights(network(), tmp_path / "w.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_saved_weights_come_back_with_their_metadata(
    tmp_path: Path, memory: torch.memory_format
) -> None:
    source, path = network(), tmp_path / "w.safetensors"
    source.to(memory_format=memory)  # type: ignore[call-overload]
    save_weights(source, path, {"architecture": source.architecture.id})
    fresh = network()
    report = load_weights(fresh, path)
    assert (report.missing, report.unexpected, report.reshaped) == ((), (), ())
    state = source.state_dict()
    assert all(torch.equal(t, state[name]) for name, t in fresh.state_dict().items())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"architecture": source.architecture.id}


def test_a_state_dict_is_saved_as_it_is(tmp_path: Path) -> None:
    save_weights({"conv1.weight": torch.ones(64, 3, 3, 3)}, tmp_path / "w.safetensors", {})
    assert load_weights(network(), tmp_path / "w.safetensors").matched == ("conv1.weight",)


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    save_weights({"conv1.weight": torch.ones(2)}, path, {})
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageLostError, match=r"No space .* \(needs .* MB, .* [MG]B free\)"):
        save_weights(trained(), path, {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
