"""The front as configs and weights of mmsegmentation: HRNet, FCNHead over all scales, OCRHead."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrnet_search.arch.targets import MMSEG, target_problems
from hrnet_search.class_iou import class_name
from hrnet_search.data.palette import class_colour
from hrnet_search.errors import WeightsError
from hrnet_search.export.member import Member
from hrnet_search.export.mmseg_structure import model_tensors
from hrnet_search.export.result import SLICE, ExportOptions, ExportResult, refusal
from hrnet_search.export.trained import (
    empty_state,
    shapes_of,
    slice_of,
    torch_bytes,
    trained_network,
)
from hrnet_search.files import write_file
from hrnet_search.library.readers import ignored_label, is_renumbered
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.net.mmseg_names import FOLDED, mmseg_name, to_mmseg
from hrnet_search.net.ocr import DROPOUT
from hrnet_search.records.schedule import AUX_WEIGHT

CROP = (512, 1024)
"""Height and width of a training crop where a study noted none."""


def export_mmseg(member: Member, folder: Path, options: ExportOptions) -> ExportResult:
    """Write a model config, the names of its tensors, and its weights if asked.

    What mmsegmentation cannot express is refused by name, unless `as_is`. Raises
    StorageLostError where a file cannot be written.
    """
    name = f"{member.plain_stem}_mmseg"
    model = model_config(member)
    text = config_source(member, model)
    reasons = target_problems(MMSEG, member.architecture)
    fits = tensor_problems(text, to_mmseg(empty_state(member)))
    if (reasons or fits) and not options.as_is:
        return refusal(f"{name}.py", [*reasons, *fits])
    written = [write_file(folder / f"{name}.py", text.encode())]
    if fits:
        return ExportResult(tuple(written)) + refusal(f"{name}.pth", fits)
    names = write_file(folder / f"{name}_keys.json", _names_json(member))
    result = ExportResult((*written, names))
    if options.weights:
        result += _weights(member, folder / f"{name}.pth", text, trained_network)
    if options.slices:
        started = partial(slice_of, as_is=options.as_is)
        result += _weights(member, folder / f"{name}{SLICE}.pth", text, started)
    return result


def model_config(member: Member) -> dict[str, Any]:
    """Return the `model` of an mmsegmentation config, in the shape of its own HRNet configs."""
    architecture = member.architecture
    norm = {"type": "SyncBN", "requires_grad": True}
    stages = {
        f"stage{number}": {
            "num_modules": stage.modules,
            "num_branches": stage.branches,
            "block": stage.block,
            "num_blocks": stage.blocks,
            "num_channels": stage.channels,
        }
        for number, stage in enumerate(architecture.stages, start=1)
    }
    cascade = {"type": "CascadeEncoderDecoder", "num_stages": 2}
    return {
        **(cascade if architecture.has_ocr else {"type": "EncoderDecoder"}),
        "data_preprocessor": _preprocessor(member),
        "pretrained": None,
        "backbone": {"type": "HRNet", "norm_cfg": norm, "norm_eval": False, "extra": stages},
        "decode_head": _heads(member, norm),
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }


def _heads(member: Member, norm: dict[str, Any]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the FCNHead, and an OCRHead behind it if the network has one."""
    architecture = member.architecture
    widths = list(architecture.stages[3].widths)
    inputs = {
        "in_channels": widths,
        "in_index": tuple(range(len(widths))),
        "input_transform": "resize_concat",
    }
    shared = {
        "num_classes": member.classes,
        "norm_cfg": norm,
        "align_corners": architecture.align_corners,
        "ignore_index": ignored_label(member.data),
    }
    pixels = {
        "type": "FCNHead",
        **inputs,
        "channels": sum(widths),
        "kernel_size": 1,
        "num_convs": 1,
        "concat_input": False,
        "dropout_ratio": -1,
        **shared,
    }
    if not architecture.has_ocr:
        return {**pixels, "loss_decode": _loss(1.0)}
    aux_weight = member.schedule.aux_weight if member.schedule else AUX_WEIGHT
    ocr = {
        "type": "OCRHead",
        **inputs,
        "channels": architecture.mid_channels,
        "ocr_channels": architecture.key_channels,
        "dropout_ratio": DROPOUT,
        **shared,
    }
    return [
        {**pixels, "loss_decode": _loss(aux_weight)},
        {**ocr, "loss_decode": _loss(1.0)},
    ]


def _loss(weight: float) -> dict[str, Any]:
    return {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": weight}


def config_source(member: Member, model: dict[str, Any]) -> str:
    """Return the Python text of the config, with what is not as in the network that was judged."""
    divisor = 4 * 2 ** (member.architecture.stages[3].branches - 1)
    lines = [
        f"{member.architecture.id}, written by hrnet-search for mmsegmentation 1.x; a model file,",
        "to stand in _base_ in place of ../_base_/models/fcn_hr18.py.",
        f"Exact for images whose sides are multiples of {divisor}; for others mmsegmentation",
        "upsamples in two steps while it fuses, and the logits differ a little.",
    ]
    if is_renumbered(member.data):
        lines += ["Masks hold other ids than classes: write masks of class ids, 255 is ignored."]
    lines += _of_training(member)
    if reasons := target_problems(MMSEG, member.architecture):
        lines += ["NOT as it was searched:", *(f"  {reason}" for reason in reasons)]
    return "".join(f"# {line}\n" for line in lines) + f"model = {_source(model, 0)}\n"


def _of_training(member: Member) -> Iterator[str]:
    """Yield what these losses, and a pipeline, do not do of how the network was trained."""
    schedule = member.schedule
    if schedule and schedule.loss == "ohem":
        scores = " on the OCRHead's scores" if member.architecture.has_ocr else ""
        yield f"Trained with OHEM{scores}; these losses take every pixel."
    if schedule and schedule.class_weights != "none":
        yield f"Trained with class weights, {schedule.class_weights}; these losses have none."
    if member.data.swaps:
        pairs = ", ".join(f"{one} and {other}" for one, other in member.data.swaps)
        yield f"Classes that trade places in a mirror: {pairs}; RandomFlip does not exchange them."


def tensor_problems(text: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps a state dict from being that of a config's text, read as mmengine does."""
    namespace: dict[str, Any] = {}
    exec(compile(text, "config", "exec"), {}, namespace)
    theirs, ours = model_tensors(namespace["model"]), shapes_of(tensors)
    if theirs == ours:
        return []
    wrong = sorted(n for n in theirs.keys() | ours.keys() if theirs.get(n) != ours.get(n))
    return [f"{len(wrong)} tensors have no equal there, {wrong[0]} first"]


def _weights(
    member: Member, path: Path, text: str, network_of: Callable[[Member], HighResolutionNet]
) -> ExportResult:
    try:
        tensors = to_mmseg(network_of(member).state_dict())
    except WeightsError as error:
        return refusal(path.name, [str(error)])
    content = torch_bytes({"meta": _meta(member), "state_dict": tensors})
    again = torch.load(io.BytesIO(content), weights_only=True)["state_dict"]
    if problems := tensor_problems(text, again):
        return refusal(path.name, problems)
    return ExportResult((write_file(path, content),))


def _preprocessor(member: Member) -> dict[str, Any]:
    return {
        "type": "SegDataPreProcessor",
        "mean": [round(255 * value, 6) for value in member.mean],
        "std": [round(255 * value, 6) for value in member.std],
        "bgr_to_rgb": True,
        "pad_val": 0,
        "seg_pad_val": ignored_label(member.data),
        "size": member.schedule.crop if member.schedule else CROP,
    }


def _meta(member: Member) -> dict[str, Any]:
    count = member.classes
    names = [class_name(index, member.data.names) for index in range(count)]
    palette = [list(class_colour(index)) for index in range(count)]
    return {"dataset_meta": {"classes": names, "palette": palette}}


def _names_json(member: Member) -> bytes:
    tensors = empty_state(member)
    names = {name: mmseg_name(name) for name in tensors if name not in FOLDED}
    note = {name: f"taken off {into}" for name, into in FOLDED.items() if name in tensors}
    return (json.dumps({"names": names, "folded": note}, indent=1) + "\n").encode()


def _source(value: Any, depth: int) -> str:
    """Return a literal as mmsegmentation's configs spell it: `dict(key=...)`, a key a line."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inner = "    " * (depth + 1)
        rows = "".join(f"{inner}{_source(item, depth + 1)},\n" for item in value)
        return f"[\n{rows}{'    ' * depth}]"
    if not isinstance(value, dict):
        return repr(value)
    if not value:
        return "dict()"
    pad = "    " * (depth + 1)
    items = "".join(f"{pad}{key}={_source(item, depth + 1)},\n" for key, item in value.items())
    return f"dict(\n{items}{'    ' * depth})"
