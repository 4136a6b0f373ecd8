"""What keys of one section of a space file must be for those of another."""

from __future__ import annotations

from collections.abc import Mapping

from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.errors import InputError, shown
from hrnet_search.goals import Goals
from hrnet_search.records.accuracy import MIOU, MIOU_INT8
from hrnet_search.records.latency import INT8, LatencySpec
from hrnet_search.records.schedule import AUTO
from hrnet_search.records.search_options import ALONE, SHARED, THAW
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.search_section import SearchSpec, said_by
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.survey import keeps_none, least_costs


def check_sections(
    reader: Reader,
    parts: Mapping[str, Section],
    latency: LatencySpec,
    search: SearchSpec,
    rungs: tuple[int, ...],
    goals: Goals,
) -> None:
    """Add a fault for each key that does not go with what another section says."""
    for key in ("limits", "objectives"):
        _check_int8(reader, parts[key], latency)
    _check_rungs(reader, parts["search"], search, rungs)
    _check_signal(reader, parts["search"], search, goals)
    _check_judged(reader, parts["objectives"], search, goals)


def check_limits(reader: Reader, space: SearchSpace, limits: Section) -> None:
    """Add a fault for each limit that no network of the space can keep."""
    if not space.limits:
        return
    try:
        least = dict(zip(COST_NAMES, least_costs(space), strict=True))
    except InputError as error:
        reader.fault(limits.node, "vary", error.faults[0].wrong, "smaller counts")
        return
    for limit in space.limits:
        if limit.objective in least and limit.at_most < least[limit.objective]:
            lowest = least[limit.objective]
            wrong = f"{limit.at_most:g} is below the space's minimum of {lowest}"
            node = limits.node_of(limit.objective)
            reader.fault(node, f"limits.{limit.objective}", wrong, f"at least {lowest}")
    names = [limit.objective for limit in space.limits if limit.objective in least]
    if len(names) > 1 and not reader.faults and keeps_none(space):
        wrong = f"no network of the space keeps {' and '.join(names)} together"
        reader.fault(limits.node, "limits", wrong, "higher ones, or smaller counts")


NO_AUXILIARY = "is not used by a plain head, which has no auxiliary output"


def check_aux_weight(reader: Reader, section: Section, space: SearchSpace) -> None:
    if "aux_weight" in section and not space.has_ocr:
        wrong = NO_AUXILIARY
        allowed = "a base with an OCR head, or vary.HEAD with ocr"
        reader.fault(section.key_node("aux_weight"), section.where("aux_weight"), wrong, allowed)


def _check_int8(reader: Reader, section: Section, latency: LatencySpec) -> None:
    if MIOU_INT8 in section and latency.precision != INT8:
        wrong = f"is not known where latency is measured in {latency.precision}"
        allowed = "latency: {runtime: onnxruntime, precision: int8}"
        reader.fault(section.key_node(MIOU_INT8), section.where(MIOU_INT8), wrong, allowed)


def _check_judged(reader: Reader, section: Section, search: SearchSpec, goals: Goals) -> None:
    """What is judged by slices is judged as it is, not in int8."""
    if search.evaluator == SHARED and goals.accuracy.key == MIOU_INT8:
        wrong = f"does not go with search.evaluator: {SHARED}, which judges in floating point"
        node, where = section.key_node(MIOU_INT8), section.where(MIOU_INT8)
        reader.fault(node, where, wrong, f"evaluator: {ALONE}, or another accuracy")


def _check_rungs(
    reader: Reader, section: Section, search: SearchSpec, rungs: tuple[int, ...]
) -> None:
    if search.fidelity == THAW and len(rungs) < 2:
        key = said_by(section)
        wrong = f"{THAW} pauses trials at the first of schedule.rungs, and there is none"
        allowed = "schedule.rungs: [STEP], an eighth of the steps, say"
        reader.fault(section.node_of(key), section.where(key), wrong, allowed)


def _check_signal(reader: Reader, section: Section, search: SearchSpec, goals: Goals) -> None:
    """Soft IoU and mIoU are of all classes, as trained: nothing else is learned from them."""
    accuracy = goals.accuracy
    if accuracy.key != MIOU and search.signal != AUTO:
        what = "the network as trained" if accuracy.key == MIOU_INT8 else "all classes"
        wrong = f"{search.signal} is of {what}, objectives.{shown(accuracy.name)} is not"
        reader.fault(section.node_of("signal"), "search.signal", wrong, f"{AUTO}, or remove it")
