"""What a search may be told to do, by the names that a space file has for it."""

from hrnet_search.records.schedule import AUTO

SAMPLER_NAMES = ("pareto", "random", "grid", "local", "optuna:tpe", "optuna:nsga2", "optuna:gp")

EVALUATOR = "search.evaluator"
ALONE, SHARED = "alone", "shared"

EVALUATORS = (ALONE, SHARED)
"""By what a search judges variants: by a training of each, or by slices of shared weights."""

FIDELITY = "search.fidelity"
STOP_EARLY, THAW, SHORT_FIRST, TO_THE_END = "stop", "thaw", "short_first", "none"

FIDELITIES = (AUTO, STOP_EARLY, THAW, SHORT_FIRST, TO_THE_END)
"""How a search saves training: as fits the rungs, what will hardly reach the front ends at a rung,
many are paused at a rung and some go on, a short study comes first, or not at all."""

PART_FIRST = (THAW, SHORT_FIRST)
"""Those by which many variants are trained in part before any is to the end."""

PAUSED_BYTES = 10 * 10**9
"""What checkpoints of paused trials may take on disk unless a space file says otherwise."""

KEEP_ALL, KEEP_CONFIRMED, KEEP_FRONT = "all", "confirmed", "front"

KEEPS = (KEEP_ALL, KEEP_CONFIRMED, KEEP_FRONT)
"""Whose weights a study keeps: every trial's, those of what it confirmed too, the front's alone."""

GATE = 8
"""Variants that are trained alone, so that scores by slices can be held against them."""

MIRROR_NAMES = ("mlflow", "optuna", "tensorboard")

HANG_S = 120.0
"""Seconds without a sign of life after which, at the earliest, a trial's process hangs."""

CONFIRMED_FROM = 12
"""A study of fewer trials spends none of them on confirming what it found."""
