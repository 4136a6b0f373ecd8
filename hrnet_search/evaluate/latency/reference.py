"""The A/A check that a study begins with, and the reference's latency that it freezes.

A noisy one would be in every latency of the study, so it is made again; where the device does not
become quiet, steady latencies that were kept from before take its place.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

from hrnet_search.arch.hrnet_yaml import DEFAULT_CLASSES
from hrnet_search.evaluate.latency.kept import kept_references
from hrnet_search.evaluate.latency.measure import aa_check
from hrnet_search.evaluate.latency.one_network import no_room
from hrnet_search.evaluate.machine.allocator import out_of_memory
from hrnet_search.latency_rule import AACheck
from hrnet_search.records.latency import LatencySpec

MOST_CHECKS = 4
"""Checks until one is steady, at most; each takes the `seconds` of one measurement."""


def settled_check(spec: LatencySpec, *, classes: int = DEFAULT_CLASSES) -> AACheck:
    """Check the instrument until it is steady; return the steadiest check.

    Its `reference_ms` is the lowest of all checks, for load only slows a device down. Where the
    steadiest one is still noisy, or others used the device, the median of what the reference
    took beside latencies kept under the same condition takes its place, if there are any. Raise
    InputError where the reference does not fit into memory at the size that is asked for.
    """
    try:
        checks = [aa_check(spec, classes=classes)]
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise no_room("latency.size", error) from None
    while checks[-1].noisy and len(checks) < MOST_CHECKS:
        checks.append(aa_check(spec, classes=classes))
    found = replace(
        min(checks, key=lambda check: (check.noisy, (check.high - check.low) / check.ratio)),
        reference_ms=min(check.reference_ms for check in checks),
        checks=len(checks),
    )
    kept = kept_references(found.condition, classes) if found.noisy or found.busy else ()
    if not kept:
        return found
    return replace(found, reference_ms=statistics.median(kept), kept=len(kept))
