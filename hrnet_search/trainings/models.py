"""Networks with their weights, from wherever they lie, ready to decide on images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from hrnet_search.arch.architecture import OCR, PLAIN, Architecture
from hrnet_search.arch.hrnet_yaml import Config, class_count, parse_config, read_config
from hrnet_search.errors import ArchitectureError, Fault, InputError, WeightsError, shown
from hrnet_search.evaluate.forward import logits_of
from hrnet_search.evaluate.inference import Inference, Protocol, room_for
from hrnet_search.evaluate.machine.devices import resolve_device
from hrnet_search.net.file_kind import SAFETENSORS, NotWeightsError, kind_of
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.structure import ALIGNED, has_head, network_of
from hrnet_search.net.tensor_names import Found
from hrnet_search.net.weights import load_weights, named_tensors, refusal
from hrnet_search.records.data_spec import DataSpec, of_facts
from hrnet_search.records.schedule import Schedule
from hrnet_search.store.trainings import read_record, read_results, weights_file
from hrnet_search.trainings.onnx_network import OnnxFile, is_onnx
from hrnet_search.trainings.starts import Start

OPTION = "--device"
UNKNOWN = DataSpec("", 0)
SCORES = {PLAIN: "last_layer.3.weight", OCR: "cls_head.weight"}
"""The last convolution of each head: a row a class."""

CLASSES = "classes"
"""The fact that is in every file of ours that says of what it is."""

OCR_NAME = "conv3x3_ocr.0.weight"
NOTHING = Found({})


@dataclass(frozen=True, slots=True)
class Model:
    """A network that decides: images float32 [N, 3, H, W] to logits, and what it was trained on.

    `schedule` has its data: classes, their names, mean and std, and the size that images were
    resized to; `window` is the only size that it takes, if there is one; `line` says which network
    it is, where it was chosen; `guessed` what its file does not say.
    """

    what: str
    network: Callable[[Tensor], Tensor]
    schedule: Schedule
    align_corners: bool
    device: torch.device
    window: tuple[int, int] | None = None
    line: str = ""
    guessed: str = ""

    @property
    def data(self) -> DataSpec:
        """What it was trained on, as far as that is known."""
        return self.schedule.data

    def inference(self, protocol: Protocol) -> Inference:
        """Return what decides by a protocol; one size alone is looked at in windows of it.

        Raise InputError for windows of another size than the only one.
        """
        if self.window is not None:
            if protocol.window not in (None, self.window):
                wrong = f"{shown(self.what, 300)} takes images of {list(self.window)} alone"
                allowed = "windows of that size, which are taken without it too"
                raise InputError(Fault("--window", protocol.window, wrong, allowed))
            protocol = replace(protocol, window=self.window, whole_up_to=0.0, shifted=False)
        mean, std = (torch.tensor(part) for part in (self.data.mean, self.data.std))
        black = (-mean / std).to(self.device)
        swaps = self.data.swaps
        return Inference(self.network, protocol, self.align_corners, black, swaps, self.what)


def of_start(start: Start, weights: str | Path, device: str) -> Model:
    """Return the network of a config or a trial with weights of a file.

    Raise WeightsError if they are not all that it has.
    """
    place = resolve_device(device, OPTION)
    found = _built(start.architecture, start.schedule, Path(weights), place)
    return replace(found, line=start.line)


def of_training(folder: str | Path, which: str, device: str, weights: Path | None = None) -> Model:
    """Return the network of a training with its best or last weights, or those of a file."""
    record = read_record(folder)
    path = weights or weights_file(folder, which)
    if not path.is_file():
        wrong, allowed = "is not there: nothing was judged yet", "after the first epoch"
        if weights is not None:
            wrong, allowed = "is not a file", "weights of the network of the training"
        elif read_results(folder).rungs:
            wrong, allowed = "is gone", "the file as it was, or --weights FILE"
        raise WeightsError(Fault("", str(path), wrong, allowed, str(path)))
    return _built(
        record.architecture, record.schedule.schedule, path, resolve_device(device, OPTION)
    )


def of_file(path: str | Path, device: str, config: str | Path | None = None) -> Model:
    """Return the network that a weight file is of, or an ONNX file.

    What the file says of classes and normalisation is believed; else they are ImageNet's. `config`
    is the HRNet library's yaml that it was trained by, for a file that does not say. Raise
    WeightsError for a file that is neither, or not of the config, InputError for a config.
    """
    file, place = Path(path), resolve_device(device, OPTION)
    given = None if config is None else read_config(config)
    if is_onnx(file):
        return _of_onnx(file, given)
    facts = _facts(file)
    given = given or _config_of(file, facts)
    if given is not None:
        said = _class_fact(file, facts)
        data = _described(file, facts, class_count(given) if said is None else said)
        return _built(given.architecture, Schedule(data), file, place)
    try:
        found = named_tensors(file)
        aligned, guessed = _aligned(file, facts, found)
        network = network_of(found.tensors, aligned).float()  # files may hold halves
    except NotWeightsError as error:
        raise WeightsError(refusal(file, error)) from error
    except ValueError as error:
        raise WeightsError(refusal(file, NotWeightsError(str(error)))) from error
    if not has_head(network):
        wrong = "has no head: it decides nothing"
        allowed = "weights of a whole network"
        raise WeightsError(Fault("", str(path), wrong, allowed, str(path)))
    data = _described(file, facts, len(network.state_dict()[SCORES[network.architecture.head]]))
    return replace(_model(network, Schedule(data), file, place), guessed=guessed)


def _of_onnx(file: Path, config: Config | None) -> Model:
    found = OnnxFile(file)
    data = _described(file, found.facts, found.classes)
    config = config or _config_of(file, found.facts)
    aligned, guessed = (
        _aligned(file, found.facts) if config is None else (config.architecture.align_corners, "")
    )
    cpu = torch.device("cpu")  # what onnxruntime computes on
    return Model(str(file), found, Schedule(data), aligned, cpu, window=found.size, guessed=guessed)


def _aligned(file: Path, facts: Mapping[str, str], found: Found = NOTHING) -> tuple[bool, str]:
    """Return MODEL.ALIGN_CORNERS of a network, and what to say where that is a guess.

    The library's branch HRNet-OCR, which alone has that head, has it true unless a yaml says
    otherwise; its other branches do not know it, and compute as with false, and so do the HRNets
    of mmsegmentation.
    """
    if (said := facts.get(ALIGNED)) is not None:
        return said == "true", ""
    if found.of_mmseg:
        return False, ""
    ocr = OCR_NAME in found.tensors
    branches = "as HRNet-OCR has it" if ocr else "as pytorch-v1.1 has it; HRNet-OCR has true"
    word = "true" if ocr else "false"
    return ocr, f"{file} does not say MODEL.ALIGN_CORNERS: {word} is taken, {branches}"


def _built(network: Architecture, schedule: Schedule, path: Path, device: torch.device) -> Model:
    built = build(network, schedule.data.classes)
    report = load_weights(built, path)
    if wrong := (*report.missing, *report.reshaped):
        said = f"are not those of {network.id} with {schedule.data.classes} classes: {report}"
        allowed = f"a file that holds all of it ({shown(wrong[0])} does not fit)"
        raise WeightsError(Fault("", str(path), said, allowed, str(path)))
    if faults := _other_data(path, schedule.data):
        raise WeightsError(faults)
    return _model(built, schedule, path, device)


def _other_data(path: Path, data: DataSpec) -> list[Fault]:
    """Return why images of some data are not what the weights of a file decide on, as it says."""
    facts = _facts(path)
    if CLASSES not in facts:
        return []
    said, faults = _described(path, facts, data.classes), []
    if (said.mean, said.std) != (data.mean, data.std):
        wrong = f"takes images normalised with {said.mean} and {said.std}"
        allowed = f"weights of images as the data have them, with {data.mean} and {data.std}"
        faults.append(Fault("", str(path), wrong, allowed, str(path)))
    if said.names and data.names and said.names != data.names:
        pairs = zip(said.names, data.names, strict=False)
        one, other = next(((a, b) for a, b in pairs if a != b), ("", ""))
        wrong = f"has the class {shown(one)} where the data have {shown(other)}"
        faults.append(Fault("", str(path), wrong, "weights of the same classes", str(path)))
    return faults


def _model(
    network: HighResolutionNet, schedule: Schedule, path: Path, device: torch.device
) -> Model:
    with room_for(str(path), f"another --device than {device}, or later"):
        network = network.to(device).eval().requires_grad_(False)
    aligned = network.architecture.align_corners

    def forward(images: Tensor) -> Tensor:
        return logits_of(network, images, schedule.precision, schedule.memory_format)

    return Model(str(path), forward, schedule, aligned, device)


def _facts(path: Path) -> dict[str, str]:
    """Return what a safetensors file says of itself; nothing of any other."""
    try:
        if kind_of(path) != SAFETENSORS:
            return {}
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except Exception:  # who reads its tensors says what is wrong with it
        return {}


def _described(file: Path, facts: Mapping[str, str], classes: int) -> DataSpec:
    """Return the data that a file says it was trained on, as far as it says so.

    Of a file that does not say how many classes it has others wrote what it says.
    """
    if CLASSES not in facts:
        return DataSpec("", classes)
    try:
        return of_facts(facts, classes)
    except (ValueError, TypeError, SyntaxError) as error:
        raise _unread(file, error) from error


def _class_fact(file: Path, facts: Mapping[str, str]) -> int | None:
    """Return the classes that a file says it tells apart, if it says so."""
    try:
        return int(facts[CLASSES]) if CLASSES in facts else None
    except ValueError as error:
        raise _unread(file, error) from error


def _config_of(file: Path, facts: Mapping[str, str]) -> Config | None:
    """Return the config that a file says it was trained by, if it says so."""
    if "yaml" not in facts or CLASSES not in facts:
        return None
    try:
        return parse_config(facts["yaml"])
    except ArchitectureError as error:
        raise _unread(file, error) from error


def _unread(file: Path, error: Exception) -> WeightsError:
    wrong = f"its metadata cannot be read: {shown(str(error), 100)}"
    allowed = "what hrnet-search writes, or none"
    return WeightsError(Fault("", str(file), wrong, allowed, str(file)))
