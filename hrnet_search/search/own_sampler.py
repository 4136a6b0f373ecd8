"""A sampler of one's own, looked at before anything runs."""

from __future__ import annotations

from hrnet_search.errors import InputError
from hrnet_search.records.search_options import SAMPLER_NAMES
from hrnet_search.space.load import SpaceFile


def check_sampler(file: SpaceFile) -> None:
    """Raise InputError unless the sampler that a space file names can be made and proposes."""
    if file.search.sampler in SAMPLER_NAMES:
        return
    # Imported here: `check` answers at once, without the second that scipy takes.
    from hrnet_search.search.samplers.own import check_own
    from hrnet_search.search.space_problem import problem_of
    from hrnet_search.space.published import known_designs

    problem, anchors = problem_of(file.space, file.objectives), known_designs(file.space)
    options = {"seed": file.search.seed, "trials": file.search.trials, "anchors": anchors}
    try:
        check_own(file.search.sampler, problem, **options)
    except InputError as error:
        raise InputError(fault.at(file.path) for fault in error.faults) from error
