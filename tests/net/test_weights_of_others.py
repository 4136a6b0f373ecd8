"""Weight files as others write them: torch.compile, DataParallel, timm, mmengine, pose_hrnet."""

from __future__ import annotations

import argparse
import collections
import copy
import enum
import fractions
import functools
import io
import logging
import pathlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from net.pairs import images
from net.test_weights import State, counted, network, prefixed, trained
from safetensors.torch import save_file
from torch import Tensor, nn

from hrnet_search.errors import WeightsError
from hrnet_search.export.mmseg_structure import model_tensors
from hrnet_search.net.hrnet import HighResolutionModule, HighResolutionNet
from hrnet_search.net.inherit import inherit_from, source_of
from hrnet_search.net.mmseg_names import to_mmseg
from hrnet_search.net.weight_file import read_content
from hrnet_search.net.weights import WeightsReport, absent_edges, load_weights, say


@functools.cache
def noisy(seed: int = 0) -> HighResolutionNet:
    """Return a network of which every tensor is its own, as a trained one's are."""
    made, random = network(), torch.Generator().manual_seed(seed)
    for name, tensor in made.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=random)
            tensor.copy_(noise + 0.5 if "running_var" in name else noise - 0.5)
    return made.eval()


def saved(content: object, path: Path, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


def loaded(path: Path) -> tuple[WeightsReport, State]:
    fresh = network()
    return load_weights(fresh, path), fresh.state_dict()


def assert_whole(path: Path, state: State) -> WeightsReport:
    report, found = loaded(path)
    assert set(report.matched) == counted(state)
    assert all(torch.equal(found[name], state[name]) for name in counted(state))
    # What a study does with the same file.
    assert source_of(path).network.architecture.id == network().architecture.id
    return report


def compiled(made: nn.Module) -> nn.Module:
    return torch.compile(made, backend="eager")  # type: ignore[return-value]


def compiled_part(made: nn.Module) -> nn.Module:
    made.stage4 = compiled(made.get_submodule("stage4"))
    return made


class Siamese(nn.Module):
    def __init__(self, made: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.ModuleDict({"left": made})
        self.temperature = nn.Parameter(torch.ones(()))


WRITERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "torch.compile": compiled,
    "torch.compile of a part": compiled_part,
    "DataParallel": nn.DataParallel,
    "DataParallel of torch.compile": lambda made: nn.DataParallel(compiled(made)),
    "AveragedModel": torch.optim.swa_utils.AveragedModel,
    "a module around": Siamese,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("writer", WRITERS)
def test_names_that_torch_itself_writes_are_read(tmp_path: Path, writer: str) -> None:
    state = noisy().state_dict()
    theirs = WRITERS[writer](copy.deepcopy(noisy())).state_dict()
    assert set(theirs) != set(state)
    assert_whole(saved(theirs, tmp_path / "w.pth"), state)


@pytest.mark.parametrize(
    "prefix",
    ["module._orig_mod.", "encoder.", "model.backbone.", "net.hrnet.body."],
)  # fmt: skip
def test_a_prefix_is_taken_off_and_said(tmp_path: Path, prefix: str) -> None:
    state = noisy().state_dict()
    report = assert_whole(saved(prefixed(prefix)(state), tmp_path / "w.pth"), state)
    rest = prefix.replace("_orig_mod.", "")
    assert (f"prefix {rest} taken off" in str(report)) == bool(rest)


@pytest.mark.parametrize(
    "keys",
    [("model",), ("model_state_dict",), ("state_dict_ema",), ("checkpoint", "ema"), ("other",)],
)  # fmt: skip
def test_a_wrapper_is_opened_and_said(tmp_path: Path, keys: tuple[str, ...]) -> None:
    state = noisy().state_dict()
    content: Any = prefixed("module.")(state)
    for key in reversed(keys):
        content = {"epoch": 3, "loss": torch.ones(()), key: content}
    report = assert_whole(saved(content, tmp_path / "w.pth"), state)
    assert f"read under {'.'.join(keys)}" in str(report)


def test_averaged_weights_come_first_as_in_timm(tmp_path: Path) -> None:
    """`timm.models.load_checkpoint` has `use_ema=True`."""
    raw, averaged = noisy(1).state_dict(), noisy(2).state_dict()
    path = saved({"state_dict": raw, "state_dict_ema": averaged}, tmp_path / "w.pth")
    assert "state_dict is there too" in str(assert_whole(path, averaged))
    # Averages of parameters alone are not a network: batch norm's statistics are missing.
    part = {name: t for name, t in averaged.items() if "running" not in name}
    assert_whole(saved({"state_dict": raw, "ema": part}, tmp_path / "v.pth"), raw)
    counts = {name: t for name, t in averaged.items() if not name.endswith("num_batches_tracked")}
    path = saved({"state_dict": raw, "ema": counts}, tmp_path / "u.pth")
    assert "state_dict is there too" in str(assert_whole(path, averaged))
    larger = {name: torch.cat([t, t]) if t.dim() else t for name, t in raw.items()}
    larger |= {f"stage4.9.{name}": t for name, t in raw.items()}
    path = saved({"state_dict": raw, "teacher": larger}, tmp_path / "t.pth")
    assert "teacher is there too" in str(assert_whole(path, raw))


class Colour(enum.Enum):
    RED = 1


class Attributes(dict[str, Any]):
    """As Lightning's AttributeDict and mmengine's ConfigDict: a dict with a state."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.frozen = True


BESIDE: dict[str, Any] = {
    "argparse.Namespace": argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
    "pathlib.Path": pathlib.Path("runs/one"),
    "a module": nn.Conv2d(1, 1, 1),
    "a defaultdict": collections.defaultdict(list, a=[1]),
    "a deque": collections.deque([1.0, 2.0], maxlen=5),
    "a dict's subclass": Attributes(lr=0.1),
    "an enum": Colour.RED,
    "a fraction": fractions.Fraction(1, 3),
    "a NumPy array": np.arange(3.0),
    "a function": np.mean,
    "a type": int,
}


@pytest.mark.parametrize(
    ("beside", "zipped"),
    [*((beside, True) for beside in BESIDE), ("argparse.Namespace", False), ("a module", False)],
)
def test_tensors_are_read_and_what_is_beside_them_is_not(
    tmp_path: Path, beside: str, zipped: bool
) -> None:
    """torch's own weights-only reader refuses each of these files."""
    state = noisy().state_dict()
    content = {"args": BESIDE[beside], "state_dict": state, "more": [BESIDE[beside]]}
    path = saved(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    if beside == "a module" and not zipped:  # which then keeps its source, to be run
        with pytest.raises(WeightsError, match="holds a pickled module"):
            loaded(path)
        return
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(path, weights_only=True)
    assert_whole(path, state)


def test_the_ending_of_a_name_says_nothing(tmp_path: Path) -> None:
    state = noisy().state_dict()
    save_file(state, tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth", state)
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.safetensors"
        assert_whole(saved(state, path, _use_new_zipfile_serialization=zipped), state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.to_sparse(), "as torch.sparse_coo"),
        (lambda t: t.to("meta"), "without its values (on the meta device)"),
        (lambda t: t.to(torch.complex64), "as torch.complex64"),
        (lambda t: (100 * t).to(torch.int8), "as torch.int8"),
        (lambda t: t * 1e9 * 1e38, "with values that are not finite"),
        (lambda t: t.double() * 1e9 * 1e38, "with values that are not finite"),
        (lambda t: t.to(torch.float8_e4m3fn), "as torch.float8_e4m3fn"),
        (lambda t: t.to(torch.float8_e5m2), "as torch.float8_e5m2"),
    ],
)
def test_tensors_that_are_not_finite_real_numbers_are_refused(
    tmp_path: Path, change: Callable[[Tensor], Tensor], said: str
) -> None:
    """torch copies most of them without a word, and crashes on the first two."""
    state = noisy().state_dict()
    path = saved({**state, "conv1.weight": change(state["conv1.weight"])}, tmp_path / "w.pth")
    for read in (loaded, source_of):
        with pytest.raises(WeightsError) as error:
            read(path)
        assert f"holds conv1.weight {said}" in str(error.value)
        assert str(error.value).endswith("dense tensors of finite floating-point numbers")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_are_read(tmp_path: Path, kind: torch.dtype) -> None:
    state = {n: t.to(kind) if t.is_floating_point() else t for n, t in noisy().state_dict().items()}
    report, found = loaded(saved(state, tmp_path / "w.pth"))
    assert set(report.matched) == counted(state)
    assert found["conv1.weight"].equal(state["conv1.weight"].float())


def test_a_variance_below_nothing_is_refused(tmp_path: Path) -> None:
    """Its root is not a number: every decision would be the first class."""
    state = noisy().state_dict()
    name = "stage2.0.branches.0.0.bn1.running_var"
    state[name] = -state[name]
    path = saved(state, tmp_path / "w.pth")
    for read in (loaded, source_of):
        with pytest.raises(WeightsError, match=f"holds {name} with values below 0"):
            read(path)


def test_single_numbers_under_the_names_of_weights_are_refused(tmp_path: Path) -> None:
    state = dict.fromkeys(noisy().state_dict(), torch.tensor(1.0))
    path = saved(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="0 of"):
        loaded(path)
    with pytest.raises(WeightsError, match="is a single number, and no tensor of weights"):
        source_of(path)


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    """`torch.serialization.set_crc32_options(False)` writes such."""
    state = noisy().state_dict()
    try:
        torch.serialization.set_crc32_options(False)
        path = saved(state, tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert_whole(path, state)


def test_a_changed_byte_is_seen_though_torch_reads_over_it(tmp_path: Path) -> None:
    path = saved(noisy().state_dict(), tmp_path / "w.pth")
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    content[record.header_offset + len(record.filename) + 100] ^= 0x40
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)  # without a word
    with pytest.raises(WeightsError, match=r"is damaged: .*Bad CRC-32.*, download it again"):
        source_of(path)


def lost(content: bytes, part: str) -> bytes:
    middle, size = len(content) // 2, len(content) // 4
    return {
        "the end": content[:-size],
        "the middle": content[:middle] + content[middle + size :],
        "the half": content[:middle],
        "all but the start": content[:60],
    }[part]


@pytest.mark.parametrize("size", [1, 8, 1000])
def test_a_file_of_old_torch_that_lost_bytes_among_its_values_says_so(
    tmp_path: Path, size: int
) -> None:
    """Such files have no checksums: torch sees by the next tensor's size that it reads values."""
    whole = saved(noisy().state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    content = whole.read_bytes()
    for at in np.random.default_rng(size).integers(len(content) // 2, len(content) - size, 10):
        whole.write_bytes(content[:at] + content[at + size :])
        with pytest.raises(WeightsError, match=r"is (cut short|damaged).*, download it again"):
            source_of(whole)


@pytest.mark.parametrize("part", ["the end", "the middle", "the half", "all but the start"])
@pytest.mark.parametrize("form", ["zip", "pickle", "safetensors"])
def test_a_file_that_lost_a_part_says_so(tmp_path: Path, part: str, form: str) -> None:
    path, state = tmp_path / "w.pth", noisy().state_dict()
    if form == "safetensors":
        save_file(state, path)
    else:
        saved(state, path, _use_new_zipfile_serialization=form == "zip")
    path.write_bytes(lost(path.read_bytes(), part))
    with pytest.raises(WeightsError, match=r"is (cut short|damaged).*, download it again"):
        source_of(path)


@pytest.mark.parametrize("form", ["zip", "pickle", "safetensors"])
def test_no_weight_file_is_mapped(tmp_path: Path, form: str) -> None:
    """A file that is cut while it is mapped ends the process by SIGBUS."""
    path, state = tmp_path / f"w.{form}", noisy().state_dict()
    if form == "safetensors":
        save_file(state, path)
    else:
        saved(state, path, _use_new_zipfile_serialization=form == "zip")
    content = read_content(path)
    assert str(path) not in Path("/proc/self/maps").read_text()
    path.write_bytes(b"")
    assert isinstance(content, dict)
    assert all(torch.equal(content[name], state[name]) for name in state)


def test_a_zip_archive_that_unpacks_to_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    saved({"weight": torch.zeros(1000, 1000)}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as whole,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(WeightsError, match=r"packed\.pth: is a compressed zip archive"):
        source_of(tmp_path / "packed.pth")


def archive_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def torchscript() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2)), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def numpy_file(archive: bool) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3)) if archive else np.save(buffer, np.zeros(3))
    return buffer.getvalue()


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 262913121\n"
KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a web page": (lambda: b"\n<!DOCTYPE html><html>sign in</html>", r"is a web page \(HTML\)"),
    "a page of another case": (lambda: b"<?xml version='1.0'?><HTML>", r"is a web page \(HTML\)"),
    "an LFS pointer": (LFS.encode, "is a Git LFS pointer.*git lfs pull"),
    "an answer": (lambda: b'{"error": "not found"}', "is JSON: .*not found"),
    "a storage's answer": (lambda: b"<Error><Code>AccessDenied</Code></Error>", "is XML: .*Denied"),
    "a note": (lambda: "Größe: see the wiki\n".encode(), "is text: 'Größe: see the wiki'"),
    "nothing": (lambda: b"", r"is empty \(0 bytes\), download it again"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file"),
    "ONNX": (lambda: b"\x08\x08\x12\x07pytorch" + bytes(99), "is an ONNX model"),
    "TensorFlow": (lambda: b"\x08\x01\x12\x99" + bytes(99), "is a TensorFlow file"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(99), "is compressed with gzip, unpack it"),
    "tar": (lambda: bytes(257) + b"ustar" + bytes(250), "is a tar archive, unpack it"),
    "a zip": (lambda: archive_of(w_pth=b"x"), r"is a zip archive of w\.pth, unpack it"),
    "NumPy": (lambda: numpy_file(archive=False), "is a NumPy array"),
    "NumPy's archive": (lambda: numpy_file(archive=True), r"is a NumPy archive of a\.npy"),
    "TorchScript": (torchscript, r"is a TorchScript archive.*torch\.jit\.load"),
    "a pickle": (lambda: b"\x80\x04\x95" + bytes(99), r"is a pickle that torch\.save did not"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG image"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_weight_file_is_named(tmp_path: Path, kind: str) -> None:
    content, message = KINDS[kind]
    path = tmp_path / "w.pth"
    path.write_bytes(content())
    with pytest.raises(WeightsError, match=rf"w\.pth: {message}") as caught:
        source_of(path)
    assert "\n" not in str(caught.value)


def other_network() -> State:
    """Return names of torchvision's ResNet, which shares some with HRNet."""
    names = ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer2.0.conv1.weight",
             "fc.weight")  # fmt: skip
    return {name: torch.zeros(2) for name in names}


HOLDS: dict[str, tuple[Callable[[], Any], str]] = {
    "a module": (lambda: nn.Conv2d(1, 1, 1), r"a pickled torch\.nn\.modules\.conv\.Conv2d, save"),
    "a module under a key": (
        lambda: {"epoch": 1, "model": nn.Conv2d(1, 1, 1)},
        r"a dict of epoch, model \(a pickled torch\.nn\.modules\.conv\.Conv2d under model\), save",
    ),
    "another network": (
        lambda: {"state_dict": prefixed("backbone.")(other_network())},
        r"5 tensors under state_dict named backbone\.\*: conv1, bn1, layer1, layer2, fc",
    ),
    "two networks": (
        lambda: prefixed("student.")(trained()) | prefixed("teacher.")(trained()),
        r"holds 2 networks, named student\.\* and teacher\.\*, save the state dict of the one",
    ),
}


@pytest.mark.parametrize("content", HOLDS)
def test_what_a_file_holds_instead_is_named(tmp_path: Path, content: str) -> None:
    make, message = HOLDS[content]
    with pytest.raises(WeightsError, match=rf"w\.pth: .*{message}"):
        source_of(saved(make(), tmp_path / "w.pth"))


def mmseg_config(made: HighResolutionNet) -> dict[str, Any]:
    stages = {
        f"stage{number}": {
            "num_modules": stage.modules,
            "block": stage.block,
            "num_blocks": stage.blocks,
            "num_channels": stage.channels,
        }
        for number, stage in enumerate(made.architecture.stages, start=1)
    }
    widths = list(made.architecture.stages[3].widths)
    head = {"in_channels": widths, "channels": sum(widths), "kernel_size": 1, "num_classes": 19}
    return {"backbone": {"extra": stages}, "decode_head": head}


@pytest.mark.parametrize("around", ["", "module."])
def test_a_checkpoint_of_mmsegmentation_computes_what_it_did(tmp_path: Path, around: str) -> None:
    """Names by `mmseg_structure`, which follows mmsegmentation's sources and not this package."""
    source = noisy()
    theirs = to_mmseg(source.state_dict())
    assert set(theirs) == set(model_tensors(mmseg_config(source)))
    theirs |= {"auxiliary_head.conv_seg.bias": torch.ones(19)}
    content = {"meta": {"epoch": 1}, "state_dict": prefixed(around)(theirs)}
    path, fresh = saved(content, tmp_path / "w.pth"), network().eval()
    report = load_weights(fresh, path)
    assert (report.missing, report.reshaped) == ((), ())
    assert report.unexpected == (f"{around}auxiliary_head.conv_seg.bias",)
    assert f"prefix {around}backbone. taken off; an FCNHead of mmsegmentation" in str(report)
    x = images(1).float()
    with torch.no_grad():
        torch.testing.assert_close(fresh(x), source(x), rtol=1e-4, atol=1e-4)
    variant = network().eval()
    found = inherit_from(variant, path)
    assert found.same_function
    assert found.unused == report.unexpected
    assert not fresh.get_parameter("last_layer.0.bias").any()


def test_another_head_of_mmsegmentation_is_not_taken_for_this_one(tmp_path: Path) -> None:
    theirs = to_mmseg(noisy().state_dict())
    theirs["decode_head.convs.1.conv.weight"] = torch.zeros(30, 30, 1, 1)
    report, _ = loaded(saved({"state_dict": theirs}, tmp_path / "w.pth"))
    assert {name.split(".")[0] for name in report.missing} == {"last_layer"}
    assert "decode_head.convs.1.conv.weight" in report.unexpected


def pose(made: HighResolutionNet) -> State:
    """Return a network's weights as pose_hrnet has them: `multi_scale_output` False at the end."""
    stage, last = made.architecture.stages[3], len(made.stage4) - 1
    ends = HighResolutionModule(stage, align_corners=False, multi_scale_output=False).state_dict()
    kept = {f"stage4.{last}.{name}" for name in ends}
    return {
        name: tensor
        for name, tensor in made.state_dict().items()
        if not name.startswith("last_layer.")
        and (name in kept or not name.startswith(f"stage4.{last}."))
    } | {"final_layer.weight": torch.zeros(17, 4, 1, 1), "final_layer.bias": torch.zeros(17)}


def highest(made: HighResolutionNet, x: Tensor) -> list[Tensor]:
    """Return the branches that the head is given, highest resolution first."""
    found: list[list[Tensor]] = []
    handle = made.stage4.register_forward_hook(lambda *call: found.append(call[2]))
    with torch.no_grad():
        made(x)
    handle.remove()
    return found[0]


@pytest.mark.parametrize("prefix", ["", "backbone."])
@pytest.mark.parametrize("way", ["load", "inherit"])
def test_edges_that_a_pose_network_lacks_start_at_zero(
    tmp_path: Path, prefix: str, way: str
) -> None:
    source, variant = noisy(), network().eval()
    state = pose(source)
    edges = absent_edges(source.state_dict(), state)
    assert [edge.split(".")[3:] for edge in edges] == [
        [str(target), str(origin)]
        for target in (1, 2, 3)
        for origin in range(4)
        if target != origin
    ]
    path = saved({"state_dict": prefixed(prefix)(state)}, tmp_path / "pose.pth")
    report = load_weights(variant, path) if way == "load" else inherit_from(variant, path)
    assert report.edges == edges
    assert "9 edges of the last fusion are not in the file and start at zero (stage4." in str(
        report
    )
    x = images(1).float()
    own, given = highest(variant, x), highest(source, x)
    torch.testing.assert_close(own[0], given[0])
    module = variant.stage4[-1]
    for edge in edges:
        norms = [m for m in variant.get_submodule(edge).modules() if isinstance(m, nn.BatchNorm2d)]
        assert not norms[-1].weight.any()
        assert not norms[-1].bias.any()
    # They learn: a zero has no other behind it.
    module.train()
    torch.stack([t.square().mean() for t in module([t.clone() for t in given])]).sum().backward()  # type: ignore[no-untyped-call]
    for norm in ("1.0.0.1", "1.2.1", "3.0.2.1"):
        gradient = module.get_parameter(f"fuse_layers.{norm}.weight").grad
        assert gradient is not None
        assert gradient.any()


def test_a_trunk_with_other_holes_is_no_pose_network(tmp_path: Path) -> None:
    state = pose(noisy())
    del state["stage4.0.fuse_layers.0.1.0.weight"]
    with pytest.raises(WeightsError, match=r"1 tensors of its trunk do not fit"):
        source_of(saved(state, tmp_path / "w.pth"))


def test_what_was_loaded_is_said_where_nobody_set_up_logging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.Logger, "hasHandlers", lambda _: False)
    say("3 of 4 tensors match")
    assert capsys.readouterr().err == "3 of 4 tensors match\n"
    monkeypatch.setattr(logging.getLogger("hrnet_search"), "level", logging.WARNING)
    logging.getLogger("hrnet_search").manager._clear_cache()  # type: ignore[attr-defined]
    say("4 of 4 tensors match")
    assert capsys.readouterr().err == ""
