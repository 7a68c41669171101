"""What a figure needs beside its own statements: values that training gives, and what is made for the figure alone."""

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from modelwright.notebooks import dataflow, figures, names, slicing
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import FIGURE, RANDOM
from modelwright.notebooks.parameters import Parameters
from modelwright.notebooks.results import Results
from modelwright.notebooks.shaping import Stage
from modelwright.notebooks.slicing import Slice

# What may be computed a second time for a figure.
_CHEAP_SECONDS = 1.0
# What can be copied, so that a figure may change it.
_COPIED = ("pandas.", "numpy.ndarray", "sklearn.", "list", "dict")


@dataclass(frozen=True)
class Training:
    """What is known of the training that figures are drawn after."""

    flow: Flow
    kept: Slice
    results: Results
    parameters: Parameters
    stages: Sequence[Stage]


@dataclass(frozen=True)
class Supplied:
    """What draws a figure: its statements, the values it is given once `place` + 1 stages have run, and definitions.

    `copied` are the values given that its statements change, each with whether it has a method `copy` of its own.
    `repeated` counts the statements of training in it.
    """

    statements: tuple[int, ...]
    place: int
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    copied: tuple[tuple[str, bool], ...]
    definitions: frozenset[int]
    repeated: int


class Unmade(Exception):
    """A figure cannot be drawn from what training gives; the text says why."""


class _Unreturned(Unmade):
    """Training makes what a figure needs, gives it to nobody, and must not make it again."""

    def __init__(self, name: str, index: int, reason: str) -> None:
        super().__init__(f'training makes "{name}" and does not return it; making it again {reason}')
        self.name = name
        self.index = index


class _Clash(Unmade):
    """A name would stand for two values in the function that draws a figure."""

    def __init__(self, name: str) -> None:
        super().__init__(f'"{name}" stands for two values')
        self.name = name


def supplied(group: Sequence[int], known: Training) -> Supplied:
    """Return what draws a figure: with as little computed again as can be, and near its place in the notebook.

    Raises Unmade.
    """
    best: Supplied | None = None
    error = Unmade("nothing is trained")
    for place in _places(group, known):
        try:
            one = _found(group, place, known)
        except Unmade as found:
            error = found if best is None and place == _places(group, known)[0] else error
            continue
        if best is None or one.repeated < best.repeated:
            best = one
    if best is None:
        raise error
    return best


def completed(known: Training) -> list[Stage]:
    """Return the stages of training, which also give what its figures need of them and nothing can make again."""
    for group in figures.figures(known.flow, known.kept, known.results):
        giving: Training | None = known
        while giving:
            try:
                supplied(group, giving)
                known = giving
                break
            except _Unreturned as error:
                giving = _returning(error.name, error.index, giving)
            except Unmade:
                break
    return list(known.stages)


def _returning(name: str, index: int, known: Training) -> Training | None:
    """Return the training whose stage with a statement also gives a variable as the statement left it, if it can."""
    place = next((number for number, stage in enumerate(known.stages) if index in stage.statements), None)
    if place is None or name in known.stages[place].outputs or index not in state(name, place, known):
        return None
    stage = known.stages[place]
    if name not in stage.inputs and not any(name in known.flow.effects[each].binds for each in stage.statements):
        return None
    giving = replace(stage, outputs=(*stage.outputs, name))
    return replace(known, stages=[*known.stages[:place], giving, *known.stages[place + 1 :]])


def _found(group: Sequence[int], place: int, known: Training) -> Supplied:
    """Return what draws a figure at one place; a value in conflict with what is made for it is made for it too."""
    own: frozenset[str] = frozenset()
    while True:
        search = _Search(group, place, known, own)
        try:
            return search.run()
        except _Clash as error:
            if error.name in own:
                raise
            own |= {error.name}


def state(name: str, place: int, known: Training) -> frozenset[int]:
    """Return the statements that gave a variable what it holds once the stages up to `place` have run."""
    found = set()
    for stage in reversed(known.stages[: place + 1]):
        for index in reversed(stage.statements):
            if name in known.flow.effects[index].changes:
                found.add(index)
            if name in known.flow.effects[index].binds:
                return frozenset({*found, index})
    return frozenset(found)


def _places(group: Sequence[int], known: Training) -> list[int]:
    """Return the stages after which a figure may be drawn, that of the notebook first."""
    last = len(known.stages) - 1
    before = [number for number, stage in enumerate(known.stages) if any(each < group[0] for each in stage.statements)]
    own = max(before, default=-1)
    return [*range(own, -2, -1), *range(own + 1, last + 1)]


@dataclass
class _Search:
    """Goes back from a figure's statements to what training gives by one place."""

    group: Sequence[int]
    place: int
    known: Training
    own: frozenset[str]  # what is made for the figure although training gives it
    included: set[int] = field(default_factory=set)
    inputs: dict[str, set[int]] = field(default_factory=dict)  # with the statements that read what they are given
    parameters: set[str] = field(default_factory=set)
    definitions: set[int] = field(default_factory=set)

    def run(self) -> Supplied:
        flow = self.known.flow
        waiting = [each for each in self.group if not figures.only_saves(each, flow)]
        waiting += self._drawn_in_training()
        while waiting:
            index = waiting.pop()
            if index not in self.included:
                self._check(index)
                self.included.add(index)
                waiting += self._sources(index)
        self._check_values()
        self._check_draws()
        order = tuple(sorted(self.included))
        literals = {each.parameter for each in self.known.parameters.literals if each.statement in self.included}
        parameters = self.parameters | literals
        return Supplied(
            statements=order,
            place=self.place,
            inputs=tuple(name for name in _in_order(order, flow) if name in self.inputs),
            parameters=tuple(each.name for each in self.known.parameters.values if each.name in parameters),
            copied=self._copied(),
            definitions=frozenset(self.definitions),
            repeated=len(self.included & self.known.kept.body),
        )

    def _drawn_in_training(self) -> list[int]:
        """Return the kept statements that draw a part of the same figure."""
        cell = self.known.flow.statements[self.group[0]].cell
        return [
            index
            for index in self.known.kept.body
            if self.known.flow.statements[index].cell == cell
            and FIGURE in self.known.flow.effects[index].changes
            and self.group[0] < index < self.group[-1]
        ]

    def _sources(self, index: int) -> list[int]:
        """Return the statements to include for one that is; what training or a module has is noted."""
        flow, kept, given = self.known.flow, self.known.kept, self.known.parameters
        found: list[int] = []
        for name, givers in self._givers(index).items():
            defined = {each for each in givers if names.is_definition(flow.statements[each].tree)} - kept.body
            self.definitions |= defined
            rest = givers - defined
            if not rest or rest <= kept.definitions | kept.settings:
                continue
            if given.constants.get(name) in rest:
                self.parameters.add(name)
                continue
            ours = frozenset(rest & kept.body)
            if ours and name not in self.own and self._is_at_hand(name, ours):
                self.inputs.setdefault(name, set()).add(index)
                found += rest - ours
            else:
                for each in ours:
                    self._check_repeated(each, name)
                found += rest
        return found

    def _givers(self, index: int) -> dict[str, set[int]]:
        """Return the statements that give each variable which a statement reads what it holds by then."""
        flow = self.known.flow
        found = {}
        for name, all_givers in dataflow.givers(index, flow.effects).items():
            if name.startswith("<") or name in flow.names.imports:
                continue
            givers = {each for each in all_givers if not figures.only_saves(each, flow)}
            ours = givers & self.known.kept.body
            # What libraries of plots are feared to change in what training made, they do not.
            found[name] = {each for each in givers if each in ours or not ours or self._is_written(name, each)}
        return found

    def _is_written(self, name: str, index: int) -> bool:
        known, seen = self.known.flow.effects[index], self.known.flow.seen.get(index)
        if seen is None:
            return name in known.binds | known.changes
        return name in known.binds | seen.mutated | (seen.bound & known.changes)

    def _is_at_hand(self, name: str, givers: frozenset[int]) -> bool:
        """Whether what runs the stages holds a variable as the given statements left it."""
        if state(name, self.place, self.known) != givers:
            return False
        for stage in reversed(self.known.stages[: self.place + 1]):
            effects = [self.known.flow.effects[index] for index in stage.statements]
            if name in stage.outputs:
                return True
            if any(name in each.binds for each in effects):
                return False
            if any(name in each.changes for each in effects) and name not in stage.inputs:
                return False
        return False

    def _check_repeated(self, index: int, name: str) -> None:
        """Raise Unmade unless a statement of training may run once more for the figure."""
        known, seen = self.known.flow.effects[index], self.known.flow.seen.get(index)
        learning = self.known.results.learning
        reason = ""
        if index in learning.training or index in {at for at, _ in learning.fits}:
            reason = "would fit again"
        elif (known.reads | known.changes | known.binds) & RANDOM:
            reason = "would draw other random numbers"
        elif seen and seen.written:
            reason = "would write a file again"
        elif seen and seen.elapsed_seconds > _CHEAP_SECONDS:
            reason = "would take long"
        if reason:
            raise _Unreturned(name, index, reason)

    def _check(self, index: int) -> None:
        flow = self.known.flow
        seen = flow.seen.get(index)
        if index in self.known.kept.body:
            names_given = sorted(each for each in flow.effects[index].binds if not each.startswith("<"))
            self._check_repeated(index, names_given[0] if names_given else "figure")
        elif seen and seen.read:
            message = f'it reads "{seen.read[0]}"'
            raise Unmade(message)
        elif seen and seen.written:
            message = f'it writes "{seen.written[0]}"'
            raise Unmade(message)

    def _check_values(self) -> None:
        """Raise Unmade if a statement would see another value of a variable than it saw in the notebook."""
        for index in sorted(self.included):
            for name, givers in self._givers(index).items():
                wanted = {each for each in givers if each in self.included}
                is_given = index in self.inputs.get(name, ())
                written, is_bound = self._written_before(name, index)
                if written != wanted or (is_given and is_bound):
                    raise _Clash(name)

    def _written_before(self, name: str, index: int) -> tuple[set[int], bool]:
        found = set()
        for each in sorted((at for at in self.included if at < index), reverse=True):
            known = self.known.flow.effects[each]
            is_ours = each in self.known.kept.body or name not in self.inputs
            if name in known.changes and (is_ours or self._is_written(name, each)):
                found.add(each)
            if name in known.binds:
                return {*found, each}, True
        return found, False

    def _check_draws(self) -> None:
        """Raise Unmade if random numbers would be drawn before all of training has run, which might draw others."""
        effects = [self.known.flow.effects[index] for index in self.included]
        draws = any((each.reads | each.changes | each.binds) & RANDOM for each in effects)
        if draws and self.place < len(self.known.stages) - 1:
            message = "it draws random numbers, and what it shows is another thing once training has ended"
            raise Unmade(message)

    def _copied(self) -> tuple[tuple[str, bool], ...]:
        """Return the values given that are changed in place. Raises Unmade for those that cannot be copied."""
        flow = self.known.flow
        found = []
        for name in self.inputs:
            if not any(self._is_written(name, each) and name not in flow.effects[each].binds for each in self.included):
                continue
            kinds = [
                flow.seen[each].kinds.get(name, "") for each in state(name, self.place, self.known) & flow.seen.keys()
            ]
            kind = next((each for each in kinds if each), "")
            if not kind.startswith(_COPIED):
                message = f'it changes "{name}", which training gives'
                raise Unmade(message)
            found.append((name, kind.startswith(("pandas.", "numpy."))))
        return tuple(found)


def _in_order(indices: Collection[int], flow: Flow) -> list[str]:
    """Return the names that statements read, in the order of the text."""
    found: dict[str, None] = {}
    for index in sorted(indices):
        reads = flow.effects[index].reads
        nodes = [each for each in ast.walk(flow.statements[index].tree) if isinstance(each, ast.Name)]
        nodes = sorted(nodes, key=lambda each: (each.lineno, each.col_offset))
        found |= dict.fromkeys([each.id for each in nodes if each.id in reads])
        found |= dict.fromkeys(sorted(reads))
    return list(found)


def needed_stages(one: Supplied, known: Training) -> set[int]:
    """Return the stages that must have run for a figure, with those whose random draws theirs go on from."""
    homes = {index: number for number, stage in enumerate(known.stages) for index in stage.statements}
    waiting = [homes[index] for name in one.inputs for index in state(name, one.place, known)]
    # What returns a value last has it for whoever runs the stages.
    found: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number in found:
            continue
        found.add(number)
        for index in known.stages[number].statements:
            waiting += [homes[each] for each in known.flow.sources[index] if each in homes]
    return found


def new_definitions(one: Supplied, known: Training) -> frozenset[int]:
    """Return the definitions, with the constants in them, that a figure needs and training has not. Raises Unmade."""
    closed = slicing.closure(known.flow, set(one.definitions))
    absorbed = set(known.parameters.constants.values())
    if closed.body - known.kept.body - absorbed:
        message = "a function of it is defined with values of the notebook"
        raise Unmade(message)
    return closed.definitions - known.kept.definitions - absorbed
