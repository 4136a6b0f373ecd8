"""The front as safetensors files: weights, and in their metadata the yaml that builds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import safetensors.torch

from hrnet_search.arch.hrnet_yaml import parse_config
from hrnet_search.errors import WeightsError
from hrnet_search.export.member import Member
from hrnet_search.export.result import ExportOptions, ExportResult, refusal
from hrnet_search.export.trained import empty_state, shapes_of, trained_network
from hrnet_search.files import write_file
from hrnet_search.records.data_spec import facts_of


def export_safetensors(member: Member, folder: Path, _: ExportOptions) -> ExportResult:
    """Write a member's weights under the official names, with its yaml in the metadata.

    Refused if the weights were not kept. Raises StorageLostError where it cannot be written.
    """
    name = f"{member.stem}.safetensors"
    try:
        tensors = trained_network(member).state_dict()
    except WeightsError as error:
        return refusal(name, [str(error)])
    metadata = facts(member)
    content = safetensors.torch.save({k: t.contiguous() for k, t in tensors.items()}, metadata)
    same = parse_config(metadata["yaml"]).architecture.id == member.architecture.id
    again = shapes_of(safetensors.torch.load(content))
    if not same or again != shapes_of(empty_state(member)):
        return refusal(name, ["what was written does not read as this network"])
    return ExportResult((write_file(folder / name, content),))


def facts(member: Member) -> dict[str, str]:
    """Return what a file of weights says of itself."""
    return {
        "architecture": member.architecture.id,
        "yaml": member.config.text,
        "study": member.study,
        "trial": str(member.result.key),
        "miou": repr(member.result.miou),
        **facts_of(replace(member.data, classes=member.classes)),
    }
