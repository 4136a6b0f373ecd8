"""Arms: what the runs of a design are in networks and schedules, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hrnet_search.ablation.design import (
    ARM,
    INTERACTION,
    LEAVE_ONE_OUT,
    MAIN,
    Contrast,
    Design,
    design,
)
from hrnet_search.ablation.fraction import Run
from hrnet_search.ablation.matching import TOLERANCE, match_macs
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.data.contents import Contents
from hrnet_search.errors import Fault, SpaceError
from hrnet_search.inventory import Inventory
from hrnet_search.records.schedule import Schedule
from hrnet_search.space.ablate import AblateSpec, Factor
from hrnet_search.space.initial_weights import init_path
from hrnet_search.space.load import SpaceFile
from hrnet_search.space.training_choices import trained_by
from hrnet_search.store.findings import Probe

REFERENCE = "reference"
EQUAL_MACS = " at equal MACs"
NONE, MACS = "none", "macs"
KINDS = (ARM, MAIN, INTERACTION)


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm: a run of the design, as it is or rescaled to the reference's MACs.

    `ratio` is its MACs as a share of the reference's; `note` what a reader has to know.
    """

    name: str
    run: Run
    match: str
    architecture: Architecture
    schedule: Schedule
    rungs: tuple[int, ...]
    cost: Cost
    ratio: float
    note: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What is trained: arms with equal identities share their trials."""
        return self.architecture.id, self.schedule.id

    @property
    def point(self) -> tuple[int, ...]:
        """Level indices, the last one of the match."""
        return (*self.run, (NONE, MACS).index(self.match))


@dataclass(frozen=True, slots=True)
class Difference:
    """A contrast on arms: `weights` are (index of an arm, weight)."""

    name: str
    kind: str
    match: str
    changed: tuple[tuple[int, int], ...]
    weights: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Ablation:
    """Everything that an ablation trains and asks; the reference is the first arm."""

    spec: AblateSpec
    design: Design
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    probe: Probe | None = None
    """What was found on the machine that settled open keys of the schedule."""

    initial: tuple[str, ...] = ()
    """What arms start from, in lines for people."""

    data: Inventory = field(default_factory=Inventory)
    """What its data hold."""

    contents: Contents = ()
    """What each file of its data holds."""

    @property
    def distinct(self) -> tuple[Arm, ...]:
        """The arms that differ in what is trained, in their order."""
        found: dict[tuple[str, str], Arm] = {}
        for arm in self.arms:
            found.setdefault(arm.identity, arm)
        return tuple(found.values())

    @property
    def trainings(self) -> int:
        return len(self.distinct) * len(self.spec.seeds)

    def families(self) -> tuple[tuple[Difference, ...], ...]:
        """Return the differences that are corrected together: all of one kind."""
        kinds = [tuple(d for d in self.differences if d.kind == kind) for kind in KINDS]
        return tuple(kind for kind in kinds if kind)


def settle(
    file: SpaceFile, schedule: Schedule, finish: Callable[[Schedule], Schedule] = lambda s: s
) -> Ablation:
    """Return the ablation that a space file asks for; `schedule` is the file's, with its data.

    `finish` settles what an arm's schedule leaves open: which weights its start names. Raise
    SpaceError if the arms are all the same.
    """
    spec = file.ablation
    assert spec is not None, "asked for only where the file has `ablate`"
    planned = design(spec.design, spec.shape, spec.resolution)
    maker = _Maker(file, schedule, finish, planned.runs[0])
    plain = [maker.plain(run) for run in planned.runs]
    arms, notes = [plain[0]], _left_out(spec)
    differences: list[Difference] = []
    for match in spec.match:
        chosen = plain if match == NONE else [plain[0], *map(maker.matched, plain[1:])]
        arms += [arm for arm in chosen[1:] if arm not in arms and not maker.gives_back(arm)]
        for contrast in planned.contrasts:
            if match == MACS and (undone := maker.undone(contrast)):
                notes.append(f"{undone}{EQUAL_MACS} is the reference again: nothing to compare")
                continue
            found = _difference(spec, contrast, match, chosen, arms)
            same = [d for d in differences if d.weights == found.weights and d.match != match]
            if found.weights and not same:
                differences.append(found)
            elif not found.weights:
                notes.append(f"{found.name}: both sides are the same trainings, nothing to compare")
    if not differences:
        wrong = f"compares nothing with match: {', '.join(spec.match)}: {'; '.join(notes[:1])}"
        fault = Fault("ablate.factors", None, wrong, "match: [none], or levels that change more")
        raise SpaceError(fault.at(file.path, *spec.factors_at))
    notes = [*dict.fromkeys([*maker.notes, *notes])]
    return Ablation(spec, planned, tuple(arms), tuple(differences), tuple(notes))


class _Maker:
    def __init__(
        self,
        file: SpaceFile,
        schedule: Schedule,
        finish: Callable[[Schedule], Schedule],
        first: Run,
    ) -> None:
        assert file.ablation is not None
        self.file, self.spec, self.space = file, file.ablation, file.space
        self.schedule, self.finish, self.rungs = schedule, finish, file.rungs
        self.first = first
        self.notes: list[str] = []
        self._undone: dict[tuple[int, int], bool] = {}
        self.target = self._cost(self._architecture(first)).macs

    def plain(self, run: Run) -> Arm:
        architecture, schedule = self._architecture(run), self._schedule(run)
        rungs = (*(r for r in self.rungs if r < schedule.steps), schedule.steps)
        counted = self._cost(architecture)
        name = _name(self.spec.factors, run, self.first)
        ratio = counted.macs / self.target
        note = f"lr {schedule.lr:g}" if self._brings_rates else ""
        return Arm(name, run, NONE, architecture, schedule, rungs, counted, ratio, note)

    def matched(self, arm: Arm) -> Arm:
        """Return an arm at the reference's MACs: itself where it is within 2% as it is."""
        if abs(arm.ratio - 1) <= TOLERANCE:
            if arm.architecture.id != self._architecture(self.first).id:
                self.notes.append(f"{arm.name}: within 2% of the reference's MACs as it is")
            return arm
        found = match_macs(arm.architecture, self.target, self.space.input_size, self._classes)
        note = f"widths {widths(found.architecture)}"
        if not found.within:
            note += f", the closest there is: {found.ratio:.1%} of the reference's MACs"
        return replace(
            arm,
            name=arm.name + EQUAL_MACS,
            match=MACS,
            architecture=found.architecture,
            cost=self._cost(found.architecture),
            ratio=found.ratio,
            note=", ".join(filter(None, [arm.note, note])),
        )

    def gives_back(self, arm: Arm) -> bool:
        """Whether an arm rescaled to equal MACs has become the reference."""
        reference = (self._architecture(self.first).id, self._schedule(self.first).id)
        return arm.match == MACS and arm.identity == reference

    def undone(self, contrast: Contrast) -> str:
        """Return what a contrast changes and rescaling to equal MACs undoes, empty if nothing.

        Beside other factors it would leave what rounding to whole channels leaves of it.
        """
        for changed in contrast.changed:
            if changed not in self._undone:  # interactions ask again for what main effects asked
                self._undone[changed] = self._is_undone(*changed)
            if self._undone[changed]:
                return _changes(self.spec.factors, [changed])
        return ""

    def _is_undone(self, factor: int, level: int) -> bool:
        network = self._architecture((*self.first[:factor], level, *self.first[factor + 1 :]))
        if abs(self._cost(network).macs / self.target - 1) <= TOLERANCE:
            return False
        found = match_macs(network, self.target, self.space.input_size, self._classes)
        return found.architecture == self._architecture(self.first)

    @property
    def _brings_rates(self) -> bool:
        """Whether the learning rate follows from other factors: people should see it."""
        keys = {factor.schedule_key for factor in self.spec.factors}
        return bool(keys & {"optimiser", "init"}) and "lr" not in keys and not self.spec.lr

    @property
    def _classes(self) -> int:
        return self.space.classes

    def _cost(self, architecture: Architecture) -> Cost:
        return cost(architecture, self.space.input_size, self._classes)

    def _architecture(self, run: Run) -> Architecture:
        pairs = zip(self.spec.factors, run, strict=True)
        return self.space.decode([level for factor, level in pairs if not factor.schedule_key])

    def _schedule(self, run: Run) -> Schedule:
        changes: dict[str, Any] = {
            factor.schedule_key: factor.levels[level]
            for factor, level in zip(self.spec.factors, run, strict=True)
            if factor.schedule_key
        }
        if "init" in changes:
            named = str(changes["init"])
            changes["init_path"] = init_path(named, self.file.path, self.file.base)
        if self.spec.lr:
            changes.setdefault("lr", self.schedule.lr)
        return self.finish(trained_by(self.schedule, changes))


def _left_out(spec: AblateSpec) -> list[str]:
    """Return which levels a design that takes back its changes never trains."""
    if spec.design != LEAVE_ONE_OUT:
        return []
    return [
        f"{factor.name}: {', '.join(map(spelt, between))} not trained, {LEAVE_ONE_OUT} takes the"
        " last level back to the first"
        for factor in spec.factors
        if (between := factor.levels[1:-1])
    ]


def widths(architecture: Architecture) -> str:
    """Return the channels of stages 2 to 4: once where the stages share them."""
    later = [stage.channels for stage in architecture.stages[1:]]
    if all(own == later[-1][: len(own)] for own in later):
        return "/".join(map(str, later[-1]))
    return ", ".join("/".join(map(str, own)) for own in later)


def spelt(level: Any) -> str:
    """Return a level as a space file spells it."""
    if isinstance(level, tuple):
        return f"[{', '.join(map(str, level))}]"
    return str(level).lower() if isinstance(level, bool) else str(level)


def _name(factors: Sequence[Factor], run: Run, first: Run) -> str:
    changed = [(f, level) for f, (level, own) in enumerate(zip(run, first, strict=True))
               if level != own]  # fmt: skip
    return _changes(factors, changed) or REFERENCE


def _changes(factors: Sequence[Factor], changed: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{factors[f].name}={spelt(factors[f].levels[level])}" for f, level in changed)


def _difference(
    spec: AblateSpec,
    contrast: Contrast,
    match: str,
    chosen: Sequence[Arm],
    arms: Sequence[Arm],
) -> Difference:
    """Return a contrast on arms; what cancels because both sides are the same is left out."""
    total: dict[tuple[str, str], float] = {}
    for run, weight in contrast.weights:
        identity = chosen[run].identity
        total[identity] = total.get(identity, 0.0) + weight
    index = {arm.identity: i for i, arm in reversed(list(enumerate(arms)))}
    weights = tuple((index[key], w) for key, w in total.items() if abs(w) > 1e-12)
    sign = " x " if contrast.kind == INTERACTION else ", "
    name = sign.join(_changes(spec.factors, [one]) for one in contrast.changed)
    name += EQUAL_MACS if match == MACS else ""
    return Difference(name, contrast.kind, match, contrast.changed, tuple(sorted(weights)))
