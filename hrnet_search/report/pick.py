"""What a study would take within a budget, in words: how sure, what more buys, what comes next."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, InputError, StorageLostError, shown
from hrnet_search.files import write_file
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.records.objective import OBJECTIVES
from hrnet_search.report.budget_words import UNITS, budget_in_words, budgets_of
from hrnet_search.report.commands import shell, start_words
from hrnet_search.report.standing import nothing_there
from hrnet_search.report.summary import ONLY_WIDTH, differences
from hrnet_search.report.trust.believed import seen_and_size
from hrnet_search.report.trust.candidates import (
    BELIEVED,
    COSTS,
    EXPECTED,
    UNKNOWN,
    Budget,
    Candidates,
    candidates_of,
)
from hrnet_search.store.study import Study, named_trial

COUNTED = ("macs", "params", "activations")
"""Costs that are told in thousands, millions or more, here and on the page."""

COARSEST = 0.1
"""Of its unit, the least that any network of a study may have: three digits follow the point."""

OF_LONG = "; by a long schedule, as expected from {}"
EXPECTED_MORE = "what is expected to be better, measured {} points lower"
ONE_SEED = "; by validation images alone, as no seed was repeated"
NOT_KNOWN = "how sure is not known: no seed was repeated and no images were kept"


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost as the page asks for it: `unit` is how many of it, `values` [n] None if not known."""

    name: str
    label: str
    unit: str
    scale: float
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Picker:
    """All that the page needs to answer as the command line does, as columns [n] of candidates.

    `ranks` [draws, n] are 16-bit numbers, the low byte first, in base64. `said` is each in a
    phrase, `by` says what its chances are of or leave out. `train` and `export` are the parts of
    commands that the number of a trial joins.
    """

    numbers: tuple[int, ...]
    accuracies: tuple[float, ...]
    scores: tuple[float, ...]
    costs: tuple[Cost, ...]
    draws: int
    ranks: str
    said: tuple[str, ...]
    by: str
    differs: tuple[str, ...]
    train: tuple[str, ...]
    export: tuple[str, ...]

    def commands(self, pick: int) -> tuple[str, ...]:
        """Return what trains a candidate in full, and what exports it as it is."""
        number = str(self.numbers[pick])
        return number.join(self.train), number.join(self.export)


def picked(study: Study, candidates: Candidates, text: str | None) -> int:
    """Return the index of the best network within a budget in words, or of all of them.

    Raise InputError where there is none.
    """
    place = str(study.folder)
    if not candidates.numbers:
        wrong = f"{nothing_there(study)}, there is nothing to pick from"
        raise InputError(Fault("--pick", text, wrong, "a config", place))
    budget = budgets_of(text) if text is not None else {}
    found = candidates.pick(budget)
    if found is not None:
        return found
    wrong = f"no network of the study has {shown(text)}"
    least = {name: min(candidates.costs[name]) for name in budget}
    unknown = [name for name, value in least.items() if value >= UNKNOWN]
    if unknown:
        instead = f"its networks have no {', '.join(unknown)}"
        raise InputError(Fault("--pick", text, wrong, "", place, instead=instead))
    over = [budget_in_words(name, least[name]) for name in budget if least[name] > budget[name]]
    allowed = f"{', '.join(over)} or more" if over else "one that has all of it at once"
    raise InputError(Fault("--pick", text, wrong, allowed, place))


def picked_trial(study: Study, text: str | None) -> int:
    """Return the number of the trial that a budget in words picks, or of the best of all.

    Raise InputError where there is none.
    """
    candidates = candidates_of(study, ranked=False)
    return candidates.numbers[picked(study, candidates, text)]


def accuracy_label(study: Study, candidates: Candidates) -> str:
    """Return what people call the accuracy that is told of a study's candidates."""
    label = study.notes.goals.accuracy.label
    return f"believed long-schedule {label}" if candidates.by == BELIEVED else label


def picker_of(study: Study, candidates: Candidates) -> Picker:
    """Return what the page answers with."""
    base = ConfigWriter.of(study.notes).base
    networks = {ask.number: ask.architecture for ask, _ in study.trials()}
    of_each = [networks[number] for number in candidates.numbers]
    label = accuracy_label(study, candidates)
    costs = tuple(_cost(candidates, name) for name in COSTS)
    return Picker(
        numbers=candidates.numbers,
        accuracies=candidates.accuracies,
        scores=candidates.scores,
        costs=tuple(cost for cost in costs if any(v is not None for v in cost.values)),
        draws=len(candidates.ranks),
        ranks=base64.b64encode(candidates.ranks.astype("<u2").tobytes()).decode(),
        said=tuple(
            f"#{number} {one.id}: {label} {fixed(100 * accuracy)}%"
            + "".join(_phrase(cost, i) for cost in costs)
            for i, (number, one, accuracy) in enumerate(
                zip(candidates.numbers, of_each, candidates.accuracies, strict=True)
            )
        ),
        by=_by(study, candidates),
        differs=tuple(_differs(n, base.architecture) if base else n.id for n in of_each),
        train=_train(study),
        export=(
            f"{shell('export', str(study.folder))} --trial ",
            " --format hrnet,mmseg,onnx --weights",
        ),
    )


def answer(picker: Picker, candidates: Candidates, pick: int, budget: Budget) -> tuple[str, ...]:
    """Return what is said of a pick; the page's script says the same, word for word."""
    lines = [picker.said[pick], _how_sure(picker, candidates, pick, budget)]
    for cost in picker.costs:
        if cost.name not in budget:
            continue
        step = candidates.step(pick, budget, cost.name)
        if step is None:
            lines.append(f"no network of the study is better for more {cost.label} alone")
            continue
        values, heights = candidates.costs[cost.name], candidates.accuracies
        more = fixed((values[step.index] - values[pick]) / cost.scale, 3)
        higher = heights[step.index] - heights[pick]
        sure = "" if step.chance is None else f", better with a chance of {_percent(step.chance)}"
        # Not always, where it is by what is expected and not by the heights that were measured.
        gain = f"{fixed(100 * higher)} points"
        if higher <= 0:
            gain = EXPECTED_MORE.format(fixed(100 * abs(higher)))
        buys = f"{more} {cost.unit} more {cost.label} buys {gain}"
        lines.append(f"{buys}: {picker.said[step.index]}{sure}")
    return (*lines, f"differs from the base: {picker.differs[pick]}")


def pick_lines(study: Study, text: str) -> tuple[str, ...]:
    """Return what a study would take within a budget in words; its config is written.

    Raise InputError for what is not a budget, or one that no network keeps. A config that cannot be
    written is a line.
    """
    budget = budgets_of(text)
    candidates = candidates_of(study)
    found = picked(study, candidates, text)
    picker, number = picker_of(study, candidates), candidates.numbers[found]
    first, *rest = answer(picker, candidates, found, budget)
    try:
        config = f"config: {_write_config(study, number)}"
    except StorageLostError as error:  # the answer is worth more than the file
        config = str(error)
    lines = [f"pick for {shown(text)}: {first}", *(f"  {line}" for line in rest)]
    return (*lines, f"  {config}", *(f"  {command}" for command in picker.commands(found)))


def fixed(number: float, digits: int = 2) -> str:
    """Return a number with that many digits, halves away from zero as JavaScript's toFixed."""
    step = Decimal(1).scaleb(-digits)
    return str(Decimal(number).quantize(step, ROUND_HALF_UP))


def _by(study: Study, candidates: Candidates) -> str:
    if candidates.by == EXPECTED:
        return OF_LONG.format(seen_and_size(study.notes, candidates.signal))
    return ONE_SEED if candidates.one_seed else ""


def _how_sure(picker: Picker, candidates: Candidates, pick: int, budget: Budget) -> str:
    chances = candidates.chances(budget)
    if not chances:
        return NOT_KNOWN
    own = chances.pop(pick)
    said = f"the best within the budget with a chance of {_percent(own)}"
    rival = max(chances, key=lambda i: (chances[i], -i), default=None)
    if rival is None or _percent(chances[rival]) == "0%":
        return f"{said}{picker.by}"
    other = f"#{picker.numbers[rival]}"
    next_one = (
        f"next {other}" if chances[rival] <= own else f"{other}, on average worse and less sure,"
    )
    return f"{said}; {next_one} with {_percent(chances[rival])}{picker.by}"


def _percent(chance: float) -> str:
    return f"{int(100 * chance + 0.5)}%"


def _cost(candidates: Candidates, name: str) -> Cost:
    objective = OBJECTIVES[name]
    values = tuple(v if v < UNKNOWN else None for v in candidates.costs[name])
    letter = _letter(min((v for v in values if v), default=1.0)) if name in COUNTED else ""
    return Cost(name, objective.label, letter or objective.unit, UNITS[letter], values)


def _letter(least: float) -> str:
    fit = (letter for letter in ("G", "M", "k") if least >= COARSEST * UNITS[letter])
    return next(fit, "")


def _differs(network: Architecture, base: Architecture) -> str:
    """Return what differs from the base, its width too: no column says it here."""
    others = differences(network, base)
    if network.width == base.width:
        return others
    width = f"width {network.width} (base {base.width})"
    return width if others == ONLY_WIDTH else f"{width}, {others}"


def _phrase(cost: Cost, index: int) -> str:
    value = cost.values[index]
    return "" if value is None else f", {fixed(value / cost.scale, 3)} {cost.unit} {cost.label}"


def _train(study: Study) -> tuple[str, ...]:
    """Return the parts of the command that trains a trial in full: its number joins them."""
    folder = str(study.folder)
    place = shlex.quote(f"{folder}-trial0")
    end = "'" if place.endswith("'") else ""
    opened = place.removesuffix(end).removesuffix("0")
    return (f"{shell('train', folder, *start_words(study))} --trial ", f" -o {opened}", end)


def _write_config(study: Study, number: int) -> Path:
    ask = named_trial(study, number)
    text = ConfigWriter.of(study.notes).write(ask.architecture, ask.key.schedule).text
    return write_file(study.folder / "report" / f"pick_trial{number}.yaml", text.encode())
