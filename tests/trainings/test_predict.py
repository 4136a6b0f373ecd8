"""`predict`: masks of images of any size, by a training, its weights or an ONNX file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import TINY, network
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import hrnet_search
from hrnet_search.arch.architecture import OCR, PLAIN
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.cli import main
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.onnx_model import to_onnx
from hrnet_search.net.weights import load_weights, save_weights
from hrnet_search.records.data_spec import DataSpec, facts_of, of_facts
from hrnet_search.store.trainings import read_record, weights_file
from hrnet_search.trainings.keeper import described
from hrnet_search.trainings.models import of_file

SIZES = ((64, 64), (50, 70), (31, 33), (32, 32))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, size in enumerate(SIZES):
        pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"im{number}.png")
    return folder


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def masks(folder: Path) -> list[np.ndarray]:
    return [opened(folder / f"im{number}.png") for number in range(len(SIZES))]


def test_masks_have_the_size_of_their_images_and_hold_class_ids(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(trained), str(images), "-o", str(out), "--probabilities"]) == 0
    assert capsys.readouterr().out == f"4 masks in {out}\n"
    for number, mask in enumerate(masks(out)):
        assert mask.shape == SIZES[number]
        assert mask.max() < 3
        with Image.open(out / f"im{number}.png") as picture:
            assert picture.mode == "P"
        assert opened(out / f"im{number}_overlay.png").shape == (*SIZES[number], 3)
        found = np.load(out / f"im{number}_probabilities.npz")["probabilities"]
        assert found.shape == (3, *SIZES[number])
        assert np.abs(found.astype(float).sum(axis=0) - 1).max() < 1e-2
        assert (found.argmax(axis=0) == mask).mean() > 0.99  # float16 ties


def test_how_far_it_is_is_said(
    trained: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hrnet_search.commands.working.LINE_S", 0.0)
    (images / "broken.png").write_bytes(b"no image")
    assert main(["predict", str(trained), str(images), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("[")]
    assert [line.partition(",")[0] for line in lines] == [
        "[1/5] im0.png", "[2/5] im1.png", "[3/5] im2.png", "[4/5] im3.png",
    ]  # fmt: skip
    assert all(line.endswith(" left") for line in lines)
    assert said.out == "", "that is for what was written, and nothing was said of it"


def test_a_mask_is_what_the_network_decides(trained: Path, images: Path, tmp_path: Path) -> None:
    """Images were resized to 64 x 64 for the training; one of that size is taken as it is."""
    (found,) = hrnet_search.predict(trained, images / "im0.png", tmp_path / "o", overlay=False)
    net = hrnet_search.HRNet(trained / "config.yaml", classes=3)
    load_weights(net, weights_file(trained, "best"))
    pixels = opened(images / "im0.png") / 255
    given = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    image = torch.from_numpy(given).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(net.eval()(image), (64, 64), mode="bilinear")
    assert (opened(found.mask) == logits[0].argmax(dim=0).numpy()).mean() > 0.999
    assert found.overlay is None


def test_weights_alone_and_batches_decide_the_same(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    """The weight file says which network it is of, and how images are to be given to it."""
    sources = (trained, weights_file(trained, "best"))
    for number, source in enumerate(sources):
        hrnet_search.predict(source, images, tmp_path / str(number), batch=1 + number)
    for one, other in zip(masks(tmp_path / "0"), masks(tmp_path / "1"), strict=True):
        assert (one == other).mean() > 0.999


@pytest.mark.parametrize("head", [PLAIN, OCR])
def test_bare_weights_say_how_many_classes_they_tell_apart(
    head: str, images: Path, tmp_path: Path
) -> None:
    network = build(replace(TINY, head=head, mid_channels=8, key_channels=4), 7).eval()
    torch.save(network.state_dict(), tmp_path / "bare.pth")
    hrnet_search.predict(tmp_path / "bare.pth", images, tmp_path / "out", probabilities=True)
    found = np.load(tmp_path / "out" / "im0_probabilities.npz")["probabilities"]
    assert found.shape == (7, *SIZES[0])


def broken(**changed: float) -> dict[str, torch.Tensor]:
    """Return the weights of a network whose last convolution is filled, by the name of a part."""
    state = build(TINY, 3).eval().state_dict()
    for part, value in changed.items():
        state[f"last_layer.3.{part}"].fill_(value)
    return state


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_decide(
    kind: torch.dtype, images: Path, tmp_path: Path
) -> None:
    state = {n: t.to(kind) if t.is_floating_point() else t for n, t in broken().items()}
    torch.save(state, tmp_path / "bare.pth")
    (found,) = hrnet_search.predict(tmp_path / "bare.pth", images / "im0.png", tmp_path / "out")
    assert opened(found.mask).shape == SIZES[0]


@pytest.mark.parametrize("words", [[], ["--flip"], ["--probabilities", "--scales", "1", "2"]])
@pytest.mark.parametrize("part", [{"weight": 3e38}, {"weight": 3e38, "bias": 3e38}, {"bias": 800}])
def test_scores_that_are_not_finite_decide_nothing(
    part: dict[str, float],
    words: list[str],
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every value of the file is finite; scores, or sums of exp of them, are not."""
    torch.save(broken(**part), tmp_path / "bare.pth")
    given = [str(tmp_path / "bare.pth"), str(images / "im0.png"), "-o", str(tmp_path / "out")]
    if not words and part == {"bias": 800}:
        assert main(["predict", *given]) == 0
        return
    assert main(["predict", *given, *words]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert f"its scores are not finite for the image {images / 'im0.png'}" in line
    assert line.startswith(str(tmp_path / "bare.pth"))
    assert not (tmp_path / "out").exists()


def test_best_and_last_are_of_a_training(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(broken(), tmp_path / "w.pth")
    words = [str(tmp_path / "w.pth"), str(images), "-o", str(tmp_path / "o"), "--which", "last"]
    assert main(["predict", *words]) == 2
    assert "--which: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train", ""], ["evaluate", ""], ["predict", "", "x"],
                                   ["predict", "x", ""], ["train", "x", "--init", ""],
                                   ["predict", "x", "y", "-o", ""]])  # fmt: skip
def test_an_empty_name_is_not_the_folder_that_one_is_in(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-o", "o"] if words[0] == "predict" and "-o" not in words else []
    with pytest.raises(SystemExit) as ended:
        main([*words, *more])
    assert ended.value.code == 2
    assert "'' names nothing" in capsys.readouterr().err


def test_a_link_in_the_place_of_a_mask_is_refused(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "im0.png").symlink_to(tmp_path / "mine")
    assert main(["predict", str(trained), str(images / "im0.png"), "-o", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "is a symbolic link, not followed, allowed: a file or folder that is no link"
    )


def test_a_file_without_a_head_is_named(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: t for name, t in broken().items() if not name.startswith("last_layer")}
    torch.save(state, tmp_path / "trunk.pth")
    assert main(["predict", str(tmp_path / "trunk.pth"), str(images), "-o", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / 'trunk.pth'}: has no head")


def one_convolution(path: Path, shape: list[str | int | None]) -> torch.nn.Conv2d:
    """Write an ONNX file of one convolution, whose logits have a quarter of the size; return it."""
    from onnx import TensorProto, helper, numpy_helper, save

    conv = torch.nn.Conv2d(3, 4, 4, stride=4)
    values = [("w", conv.weight), ("b", conv.bias)]
    weights = [numpy_helper.from_array(v.detach().numpy(), n) for n, v in values if v is not None]
    node = helper.make_node("Conv", ["images", "w", "b"], ["logits"], strides=[4, 4])
    graph = helper.make_graph(
        [node], "one", [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], 4, "h", "w"])],
        weights,
    )  # fmt: skip
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    return conv


@pytest.mark.parametrize("shape", [["N", 3, "H", "W"], [2, 3, 32, 32]], ids=["open", "fixed"])
def test_an_onnx_file_decides_too(
    shape: list[str | int | None], images: Path, tmp_path: Path
) -> None:
    """One that takes one size alone looks at images in windows of it."""
    path = tmp_path / "one.onnx"
    conv = one_convolution(path, shape)
    out = tmp_path / "out"
    hrnet_search.predict(path, images, out)
    assert [mask.shape for mask in masks(out)] == list(SIZES)
    pixels = opened(images / "im3.png") / 255
    given = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    image = torch.from_numpy(given).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(conv(image), (32, 32), mode="bilinear")
    assert (masks(out)[3] == logits[0].argmax(dim=0).numpy()).mean() > 0.999


@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_is_the_same_with_probabilities_and_without(
    images: Path, tmp_path: Path, flip: bool
) -> None:
    """Also where what is decided on has another size, and scores are resized."""
    one_convolution(tmp_path / "one.onnx", ["N", 3, "H", "W"])
    for wanted in (False, True):
        hrnet_search.predict(
            tmp_path / "one.onnx", images, tmp_path / f"{wanted}", size=(9, 11), flip=flip,
            probabilities=wanted,
        )  # fmt: skip
    for one, other in zip(masks(tmp_path / "False"), masks(tmp_path / "True"), strict=True):
        assert (one == other).all()
    found = np.load(tmp_path / "True" / "im0_probabilities.npz")["probabilities"]
    assert np.abs(found.astype(float).sum(axis=0) - 1).max() < 5e-3  # float16


def test_windows_of_another_size_than_an_onnx_file_takes_are_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_convolution(tmp_path / "one.onnx", [2, 3, 32, 32])
    given = [str(tmp_path / "one.onnx"), str(images), "-o", str(tmp_path / "out"), "--window"]
    assert main(["predict", *given, "16", "32"]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "--window: " in one]
    assert "one.onnx takes images of [32, 32] alone" in line
    assert not (tmp_path / "out").exists()
    assert main(["predict", *given, "32", "32"]) == 0


def of_scores(path: Path, last: str, **more: Any) -> None:
    """Write an ONNX file of a convolution to four classes, and one operation more."""
    from onnx import TensorProto, helper, numpy_helper, save

    torch.manual_seed(5)
    conv = torch.nn.Conv2d(3, 4, 1)
    weights = [
        numpy_helper.from_array(conv.weight.detach().numpy(), "w"),
        numpy_helper.from_array(conv.bias.detach().numpy(), "b"),  # type: ignore[union-attr]
    ]
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["scores"]),
        helper.make_node(last, ["scores"], ["out"], **more),
    ]
    kind = TensorProto.INT64 if last == "ArgMax" else TensorProto.FLOAT
    given: list[str | int | None] = ["N", 3, "H", "W"]
    shape: list[str | int | None] = (
        ["N", 4, "H", "W"] if last != "ArgMax" else ["N", *[1] * more["keepdims"], "H", "W"]
    )
    graph = helper.make_graph(
        nodes, "two", [helper.make_tensor_value_info("images", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("out", kind, shape)], weights,
    )  # fmt: skip
    opset = [helper.make_opsetid("", 13)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))


@pytest.mark.parametrize("keep", [0, 1])
def test_an_onnx_file_that_has_decided_already_is_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    """Of one number a pixel the largest is always the first: class 0 everywhere."""
    of_scores(tmp_path / "net.onnx", "ArgMax", axis=1, keepdims=keep)
    out = ["-o", str(tmp_path / "o")]
    assert main(["predict", str(tmp_path / "net.onnx"), str(images), *out]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "no scores of classes" in one]
    assert "tensor(int64)" in line
    assert "without an ArgMax" in line


def test_an_onnx_file_that_ends_in_a_softmax_gives_these_probabilities(
    images: Path, tmp_path: Path
) -> None:
    found = {}
    for last, more in (("Identity", {}), ("Softmax", {"axis": 1})):
        of_scores(tmp_path / f"{last}.onnx", last, **more)
        out = tmp_path / last
        hrnet_search.predict(tmp_path / f"{last}.onnx", images, out, probabilities=True)
        found[last] = np.load(out / "im0_probabilities.npz")["probabilities"].astype(float)
    assert np.abs(found["Identity"] - found["Softmax"]).max() < 2e-3  # float16
    assert found["Identity"].max() > 0.3


def test_one_fixed_side_of_an_onnx_file_is_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_convolution(tmp_path / "net.onnx", ["N", 3, 48, "W"])
    out = ["-o", str(tmp_path / "o")]
    assert main(["predict", str(tmp_path / "net.onnx"), str(images), *out]) == 2
    assert "one side of its images is fixed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mean", "[1,2"), ("mean", "(0.5,)"), ("std", "[1, 2, 'a']"), ("size", "[40]"),
        ("names", "{0: 'person'}"), ("classes", "x"), ("yaml", "garbage: ["), ("swaps", "[[1]]"),
    ],
)  # fmt: skip
def test_facts_that_cannot_be_read_are_one_line(
    name: str,
    text: str,
    trained: Path,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = weights_file(trained, "best")
    facts = {**described(read_record(trained)), name: text}
    save_weights(load_file(weights), tmp_path / "w.safetensors", facts)
    out = ["-o", str(tmp_path / "o")]
    assert main(["predict", str(tmp_path / "w.safetensors"), str(images), *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / 'w.safetensors'}: its metadata cannot be read: ")


def test_more_classes_than_a_mask_holds_are_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build(TINY, 300)
    torch.save(network.state_dict(), tmp_path / "many.pth")
    out = ["-o", str(tmp_path / "o")]
    assert main(["predict", str(tmp_path / "many.pth"), str(images), *out]) == 2
    assert "tells 300 classes apart, and masks hold 256" in capsys.readouterr().err


@pytest.mark.slow
def test_an_exported_network_decides_as_in_torch(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    net = hrnet_search.HRNet(trained / "config.yaml", classes=3)
    load_weights(net, weights_file(trained, "best"))
    path = tmp_path / "net.onnx"
    path.write_bytes(to_onnx(net, (64, 64), 2).SerializeToString())
    for name, source in (("onnx", path), ("torch", trained)):
        hrnet_search.predict(source, images, tmp_path / name, size=(64, 64))
    for one, other in zip(masks(tmp_path / "torch"), masks(tmp_path / "onnx"), strict=True):
        assert (one == other).mean() > 0.99


def test_images_are_turned_by_their_exif_flag_and_lose_their_alpha(
    trained: Path, tmp_path: Path
) -> None:
    """As images of data sets do."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(pixels[..., :3]).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    found = hrnet_search.predict(
        trained, [tmp_path / "alpha.png", tmp_path / "turned.jpg"], tmp_path / "out"
    )
    assert [opened(one.mask).shape for one in found] == [(40, 60), (60, 40)]


def test_what_is_wrong_is_one_line_and_exit_2(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, text, same = tmp_path / "empty", tmp_path / "x.png", tmp_path / "im0.jpg"
    empty.mkdir()
    text.write_text("no image")
    Image.new("RGB", (8, 8)).save(same)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no onnx")
    image = str(images / "im0.png")
    for given, wrong in (
        ([str(trained), "no.png"], "is not there"),
        ([str(trained), str(empty)], "holds no image"),
        ([str(trained), str(text)], "cannot be read"),
        ([str(trained), image, str(same)], "would be written over the mask of"),
        ([str(empty), image], "it is not a training"),
        ([str(broken), image], "cannot be run"),
        (["no.pt", image], "no.pt"),
        ([image, image], "image"),
        ([str(trained), image, "--size", "100000", "100000"], "--size: (100000, 100000) is not"),
        ([str(trained), image, "--window", "1", "16385"], "--window: (1, 16385) is not allowed"),
        ([str(trained), image, "--batch", "4097"], "--batch: 4097 is not allowed"),
        ([str(trained), image, "--scales", "17"], "are not scales"),
    ):
        assert main(["predict", *given, "-o", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert wrong in line


def test_all_images_but_those_that_cannot_be_read_have_masks(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "im1.png").write_bytes((images / "im1.png").read_bytes()[:100])
    (images / "im3.png").write_text("no image")
    assert main(["predict", str(trained), str(images), "-o", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(str(images / f"im{n}.png") in line for n, line in zip((1, 3), lines, strict=True))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {f"im{n}{end}.png" for n in (0, 2) for end in ("", "_overlay")}


def test_an_image_that_there_is_no_memory_for_is_one_line_that_says_what_needs_less(
    trained: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 80 GiB")

    monkeypatch.setattr(HighResolutionNet, "forward", full)
    given = ["predict", str(trained), str(images / "im0.png"), "-o", str(tmp_path / "out")]
    for command in (given, ["evaluate", str(trained)]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "there is no memory for it: OutOfMemoryError: CUDA out of memory" in line
        assert "--window H W" in line
        assert line.startswith(str(images / "im0.png")) == (command is given)
    monkeypatch.setattr(HighResolutionNet, "to", full)
    assert main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{weights_file(trained, 'best')}: there is no memory for it: ")
    assert line.endswith("another --device than cpu, or later")


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


WAYS = {
    "the folder itself": "images",
    "the folder, spelled differently": "images/../images/.",
    "a link to the folder": "link",
    "a folder that holds links to the images": "links",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_image_is_replaced_by_its_mask(
    way: str, trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(images)
    (tmp_path / "links").mkdir()
    for path in images.iterdir():
        (tmp_path / "links" / path.name).hardlink_to(path)
    before = kept(images)
    out = f"{tmp_path}/{WAYS[way]}"
    assert main(["predict", str(trained), str(images), "-o", out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(SIZES)
    assert all("would be replaced by what is written of" in line for line in lines)
    assert kept(images) == before


@pytest.mark.parametrize(("other", "words"), [("b_overlay.png", []), ("b.png", ["--no-overlay"])])
def test_what_is_written_beside_a_mask_replaces_no_image(
    other: str, words: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mask of a jpg, and an overlay, in a folder where images of these names lie."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in (folder / "b.jpg", tmp_path / "o" / other):
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32)).save(path)
    before = kept(tmp_path / "o")
    given = [str(folder / "b.jpg"), str(tmp_path / "o" / other)]
    assert main(["predict", str(trained), *given[:1], "-o", str(folder), *words]) == 0
    code = main(["predict", str(trained), *given, "-o", str(tmp_path / "o"), *words])
    assert code == 2
    assert kept(tmp_path / "o") == before
    assert "would be" in capsys.readouterr().err


def test_two_files_of_one_name_are_not_written(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overlay of one image, and the mask of another."""
    for name in ("a.jpg", "a_overlay.jpg"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    given = [str(tmp_path / name) for name in ("a.jpg", "a_overlay.jpg")]
    out = tmp_path / "out"
    assert main(["predict", str(trained), *given, "-o", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a_overlay.png would be written of" in line
    assert not out.exists()
    assert main(["predict", str(trained), *given, "-o", str(out), "--no-overlay"]) == 0


def saved(folder: Path, aligned: bool, ocr: bool = False) -> tuple[Path, Path]:
    """Return an official file of random weights, and the config that they are of."""
    torch.manual_seed(3)
    head = replace(TINY, head=OCR, mid_channels=8, key_channels=4) if ocr else TINY
    network = build(replace(head, align_corners=aligned), 3)
    for name, weight in network.named_parameters():  # so that neighbouring pixels differ
        if weight.dim() == 4 or name.startswith(("last_layer.3", "cls_head")):
            torch.nn.init.normal_(weight, std=0.3)
    weights, config = folder / "official.pth", folder / "official.yaml"
    torch.save({f"model.{name}": tensor for name, tensor in network.state_dict().items()}, weights)
    text = config_text(network.architecture)
    config.write_text(text.replace("NUM_CLASSES: 19", "NUM_CLASSES: 3"))
    return weights, config


@pytest.mark.parametrize("ocr", [False, True])
def test_what_weights_do_not_show_is_said_and_read_from_their_config(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ocr: bool
) -> None:
    decided = {}
    for aligned in (True, False):
        weights, config = saved(tmp_path, aligned, ocr)
        for name, more in (("alone", []), ("config", ["--config", str(config)])):
            out = tmp_path / f"{name}-{aligned}"
            assert main(["predict", str(weights), str(images), "-o", str(out), *more]) == 0
            said = capsys.readouterr().err
            assert ("does not say MODEL.ALIGN_CORNERS" in said) == (name == "alone")
            decided[name, aligned] = masks(out)
    right = ocr  # alone, an OCR head is taken to be of the branch where it is true

    def same(first: tuple[str, bool], second: tuple[str, bool]) -> bool:
        return all(map(np.array_equal, decided[first], decided[second]))

    assert same(("alone", right), ("config", right))
    assert not same(("config", True), ("config", False))
    assert not same(("alone", not right), ("config", not right))


def test_a_config_of_another_network_or_of_a_training_is_refused(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, config = saved(tmp_path, aligned=True)
    config.write_text(config_text(network(6)).replace("NUM_CLASSES: 19", "NUM_CLASSES: 3"))
    out = ["-o", str(tmp_path / "o"), "--config", str(config)]
    assert main(["predict", str(weights), str(images), *out]) == 2
    assert "are not those of hr-" in capsys.readouterr().err
    assert main(["predict", str(trained), str(images), *out]) == 2
    assert "--config: a training has a config of its own" in capsys.readouterr().err


def test_a_weight_file_says_all_that_who_uses_it_has_to_know() -> None:
    """Classes that trade places in a mirror too: a flipped image is decided by them."""
    spec = DataSpec(
        "folder", 4, ("a", "left, arm", "right arm", "d"), size=(48, 64), mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6), swaps=((1, 2),),
    )  # fmt: skip
    assert of_facts(facts_of(spec), 4) == replace(spec, kind="")
    assert of_facts({}, 4) == DataSpec("", 4)
    whole = facts_of(replace(spec, size=None, swaps=()))
    assert of_facts(whole, 4) == replace(spec, kind="", size=None, swaps=())
    with pytest.raises((ValueError, TypeError, SyntaxError)):
        of_facts({"mean": "as usual"}, 4)


def test_what_trades_places_in_a_mirror_is_in_the_weights_of_a_training(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    record = read_record(trained)
    noted = record.schedule
    data = replace(noted.schedule.data, swaps=((0, 1),))
    kept = replace(record, schedule=replace(noted, schedule=replace(noted.schedule, data=data)))
    weights = weights_file(trained, "best")
    save_weights(load_file(weights), tmp_path / "w.safetensors", described(kept))
    found = of_file(tmp_path / "w.safetensors", "cpu")
    assert found.data.swaps == ((0, 1),)
    flipped = {}
    for name, source in (("with", tmp_path / "w.safetensors"), ("without", weights)):
        hrnet_search.predict(source, images, tmp_path / name, flip=True, overlay=False)
        flipped[name] = masks(tmp_path / name)
    assert not all(map(np.array_equal, flipped["with"], flipped["without"]))


def test_masks_that_people_drew_are_not_written_over(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are called like their images; what `predict` wrote itself it writes again."""
    drawn = tmp_path / "masks"
    drawn.mkdir()
    Image.new("L", (64, 64), 1).save(drawn / "im0.png")
    before = (drawn / "im0.png").read_bytes()
    out = ["-o", str(drawn), "--probabilities"]
    assert main(["predict", str(trained), str(images), *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{drawn / 'im0.png'}: IMAGE: is there already, and `predict` has not written it" in line
    assert [path.name for path in drawn.iterdir()] == ["im0.png"]
    assert (drawn / "im0.png").read_bytes() == before
    (drawn / "im0.png").unlink()
    for _ in range(2):
        assert main(["predict", str(trained), str(images), *out]) == 0
    (drawn / "im1_probabilities.npz").write_bytes(b"mine")
    assert main(["predict", str(trained), str(images), *out]) == 2


def test_images_in_folders_of_a_folder_are_said_not_to_be_taken(
    trained: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "more").mkdir()
    (images / "im0.png").rename(images / "more" / "im0.png")
    out = tmp_path / "out"
    assert main(["predict", str(trained), str(images), "-o", str(out), "--no-overlay"]) == 0
    found = capsys.readouterr()
    assert "note: 1 image in folders of these folders not taken" in found.err
    assert found.out.startswith("3 masks")
    assert len(hrnet_search.predict(trained, images / "more", tmp_path / "m", scales=0.5)) == 1  # type: ignore[arg-type]
