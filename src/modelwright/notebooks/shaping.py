"""Kept statements into stages: load, split, prepare, train, evaluate, save; with what flows from one to the next."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelwright.notebooks import constants, names, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import RANDOM
from modelwright.notebooks.parameters import Parameters
from modelwright.notebooks.results import Results
from modelwright.notebooks.slicing import Slice

LOAD, SPLIT, PREPARE, TRAIN, EVALUATE, SAVE = range(6)
_ROLES = 6
_NAMES = {
    LOAD: "load_data",
    SPLIT: "split_data",
    PREPARE: "prepare_data",
    TRAIN: "train_model",
    EVALUATE: "evaluate_model",
    SAVE: "save_model",
}
# Calls that bring no rows in.
_PLAIN_CALLS = frozenset({"numpy.random.seed", "random.seed", "dict", "list", "tuple", "set", "range"})
# Names of a stage that comes a second time, as when a model is fitted again on all rows after its evaluation.
_AGAIN = {TRAIN: "refit_model", SAVE: "save_results"}


@dataclass(frozen=True)
class Stage:
    """One function to be: its role, its statements in order, the names that flow in and out.

    Shared random state flows as `<numpy random>`; the rendering gives it a variable.
    """

    name: str
    role: int
    statements: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]


def stages(flow: Flow, kept: Slice, results: Results, parameters: Parameters) -> list[Stage]:
    """Return the stages in the order of their calls. No statement moves before one that it depends on."""
    body = sorted(kept.body - set(parameters.constants.values()))
    roles = _roles(flow, body, results)
    phases = _sunk(flow, body, roles, _phases(flow, body, roles))
    numbered = sorted(set(phases.values()) | ({SAVE} if not results.saves else set()))
    groups = [[index for index in body if phases[index] == phase] for phase in numbered]
    names = _stage_names(numbered, flow)
    model = model_name(results)
    return [
        _stage(names[place], phase % _ROLES, groups, place, flow, parameters, model)
        for place, phase in enumerate(numbered)
    ]


def model_name(results: Results) -> str:
    """Return the variable that holds the model kept: the one saved, preferring one that predicts; else fitted last."""
    saved = [each.value.id for each in results.saves if isinstance(each.value, ast.Name)]
    predicting = [each for each in saved if each not in results.transformers]
    fitted = [name for _, name in results.fits if name not in results.transformers]
    ranked = [*(each for each in predicting if each in fitted), *predicting, *saved, *reversed(fitted)]
    return ranked[0] if ranked else "model"


def _roles(flow: Flow, body: Sequence[int], results: Results) -> dict[int, int]:
    """Return the role of each statement that has one of its own."""
    inside = set(body)
    roles: dict[int, int] = {}
    saves = {each.statement for each in (*results.saves, *results.files)}
    model_needs = _ancestors(flow, [each.statement for each in results.saves]) or _ancestors(
        flow, [index for index, name in results.fits if name not in results.transformers][-1:], itself=True
    )
    fits = {index: name for index, name in results.fits if index in inside}
    measures = {each.statement for each in results.measures}
    estimators = set(fits.values()) - results.transformers
    splits = {index for index in body if _splits(flow, index)}
    after_split = _descendants(flow, splits)
    after_fit = _descendants(flow, {index for index, name in fits.items() if name not in results.transformers})
    for index in body:
        if index in saves:
            roles[index] = SAVE
        elif index in splits:
            roles[index] = SPLIT
        elif index in fits and fits[index] not in results.transformers:
            roles[index] = TRAIN if index in model_needs or index not in measures else EVALUATE
        elif index in after_fit:
            roles[index] = TRAIN if index in model_needs else EVALUATE
        elif index in measures:
            roles[index] = EVALUATE
        elif _builds(flow, index, estimators):
            roles[index] = TRAIN
        elif index in after_split and _transforms(flow, index, results.transformers):
            roles[index] = PREPARE
    return roles


def _splits(flow: Flow, index: int) -> bool:
    tree = flow.statements[index].tree
    return any(
        flow.names.origin(each.func) in vocabulary.SPLITTERS for each in ast.walk(tree) if isinstance(each, ast.Call)
    )


def _builds(flow: Flow, index: int, estimators: set[str]) -> bool:
    tree = flow.statements[index].tree
    binds = isinstance(tree, ast.Assign) and bool(flow.effects[index].binds & estimators)
    return binds and any(flow.names.is_estimator(each) for each in ast.walk(tree))


def _transforms(flow: Flow, index: int, transformers: frozenset[str]) -> bool:
    known = flow.effects[index]
    return bool((known.reads | known.changes) & transformers)


def _ancestors(flow: Flow, roots: Sequence[int], *, itself: bool = False) -> set[int]:
    found: set[int] = set()
    waiting = [each for root in roots for each in flow.sources[root]]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting += flow.sources[index]
    return found | set(roots) if itself else found


def _descendants(flow: Flow, roots: set[int]) -> set[int]:
    found: set[int] = set()
    for index, sources in enumerate(flow.sources):
        if sources & (found | roots):
            found.add(index)
    return found


def _phases(flow: Flow, body: Sequence[int], roles: Mapping[int, int]) -> dict[int, int]:
    """Return each statement's phase: the first of its role that no conflict forbids.

    A phase is a role in a round; a fit after an evaluation that it must not precede comes in the second round.
    """
    phases: dict[int, int] = {}
    for index in body:
        least = max((phases[each] for each in flow.conflicts[index] if each in phases), default=LOAD)
        role = roles.get(index)
        phases[index] = least if role is None else least + (role - least) % _ROLES
    return phases


def _sunk(flow: Flow, body: Sequence[int], roles: Mapping[int, int], phases: dict[int, int]) -> dict[int, int]:
    """Return the phases with plain preparations moved to where they are used, as far as no conflict forbids."""
    followers: dict[int, list[int]] = {index: [] for index in body}
    for index in body:
        for each in flow.conflicts[index]:
            if each in followers:
                followers[each].append(index)
    moved = dict(phases)
    for index in reversed(body):
        if index in roles or not followers[index]:
            continue
        latest = min(moved[each] for each in followers[index])
        if not _binds_random(flow, index) and len({moved[each] for each in followers[index]}) > 1:
            # Several stages use it; each of them is given it by the first, rather than by one another.
            continue
        if _is_plain(flow, index) or (latest == SPLIT and _selects(flow, index)):
            moved[index] = max(moved[index], latest)
    return moved


def _binds_random(flow: Flow, index: int) -> bool:
    return bool((flow.effects[index].binds | flow.effects[index].changes) & RANDOM)


def _is_plain(flow: Flow, index: int) -> bool:
    """Whether a statement only binds literals, seeds, or objects that are configured rather than fed."""
    known = flow.effects[index]
    literals = {
        name for name, place in constants.bound_once(flow).items() if names.is_literal(flow.statements[place].tree)
    }
    reads = known.reads - flow.names.imports.keys() - _PLAIN_CALLS - literals
    return not reads and not known.changes - RANDOM and not _reads_rows(flow, index)


def _reads_rows(flow: Flow, index: int) -> bool:
    """Whether a statement brings data in: it calls a function of a library that is no estimator and no seed."""
    for node in ast.walk(flow.statements[index].tree):
        if isinstance(node, ast.Call) and not flow.names.is_estimator(node):
            called = flow.names.origin(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")
            if called not in _PLAIN_CALLS:
                return True
    return False


def _selects(flow: Flow, index: int) -> bool:
    """Whether a statement only picks columns: `X = df.drop("Y", axis=1).values`, `y = df["Y"]`."""
    tree = flow.statements[index].tree
    if not isinstance(tree, ast.Assign):
        return False
    allowed = ast.Attribute | ast.Subscript | ast.Name | ast.Constant | ast.List | ast.Tuple | ast.Slice | ast.UnaryOp
    for node in ast.walk(tree.value):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute) or node.func.attr not in {"drop", "to_numpy", "copy", "ravel"}:
                return False
        elif not isinstance(node, allowed | ast.keyword | ast.expr_context | ast.unaryop):
            return False
    return not flow.effects[index].changes


def _stage_names(numbered: Sequence[int], flow: Flow) -> list[str]:
    taken = set().union(*(each.binds | each.reads for each in flow.effects)) if flow.effects else set()
    found: list[str] = []
    for place, phase in enumerate(numbered):
        role = phase % _ROLES
        again = any(each % _ROLES == role for each in numbered[:place])
        first = _AGAIN.get(role, f"{_NAMES[role]}_again") if again else _NAMES[role]
        candidates = [first, f"{first}_stage", *(f"{first}_{number}" for number in range(2, 1000))]
        found.append(next(each for each in candidates if each not in taken and each not in found))
    return found


# --- what flows ---


def _stage(
    name: str,
    role: int,
    groups: Sequence[Sequence[int]],
    place: int,
    flow: Flow,
    parameters: Parameters,
    model: str,
) -> Stage:
    known = {each.name for each in parameters.values}
    made = _made(groups[:place], flow) - known
    exposed = _exposed(groups[place], flow)
    if role == SAVE and not groups[place]:
        exposed = [model]
    own = _own_parameters(groups[place], exposed, parameters)
    inputs = [each for each in exposed if each in made]
    if role in {EVALUATE, SAVE} and model in inputs:
        inputs = [model, *(each for each in inputs if each != model)]
    outputs = _outputs(groups, place, flow, model, inputs) if role != EVALUATE or place < len(groups) else ()
    return Stage(name, role, tuple(groups[place]), tuple(inputs), tuple(outputs), tuple(own))


def _made(groups: Sequence[Sequence[int]], flow: Flow) -> set[str]:
    return {name for group in groups for index in group for name in _written(flow, index)}


def _written(flow: Flow, index: int) -> frozenset[str]:
    known = flow.effects[index]
    return frozenset(each for each in known.binds | known.changes if each in RANDOM or not each.startswith("<"))


def _exposed(group: Sequence[int], flow: Flow) -> list[str]:
    """Return the names that a stage reads before it binds them, in the order of their first use."""
    bound: set[str] = set()
    found: list[str] = []
    for index in group:
        known = flow.effects[index]
        for name in _in_order(flow, index):
            if name not in bound and name not in found:
                found.append(name)
        bound |= known.binds
    return found


def _in_order(flow: Flow, index: int) -> list[str]:
    """Return a statement's reads in the order of the text; those of called functions and hidden state come last."""
    reads = flow.effects[index].reads
    nodes = [each for each in ast.walk(flow.statements[index].tree) if isinstance(each, ast.Name) and each.id in reads]
    ordered = [each.id for each in sorted(nodes, key=lambda each: (each.lineno, each.col_offset))]
    return list(dict.fromkeys([*ordered, *sorted(reads)]))


def _own_parameters(group: Sequence[int], exposed: Sequence[str], parameters: Parameters) -> list[str]:
    inside = set(group)
    used = {each.parameter for each in parameters.literals if each.statement in inside}
    return [each.name for each in parameters.values if each.name in used or each.name in exposed]


def _outputs(groups: Sequence[Sequence[int]], place: int, flow: Flow, model: str, inputs: Sequence[str]) -> list[str]:
    """Return what a stage makes that a later one reads before binding it anew; the model is read by the save."""
    live: set[str] = {model}
    for group in reversed(groups[place + 1 :]):
        surely = set().union(*(flow.effects[index].binds for index in group)) if group else set()
        live = (live - surely) | set(_exposed(group, flow))
    made = list(dict.fromkeys(name for index in groups[place] for name in _write_order(flow, index)))
    at_hand = set(inputs) | {name for index in groups[place] for name in _stored(flow, index)}
    last_model = model in live and any(model in _written(flow, index) for index in groups[place])
    flowing = [each for each in made if each in live and each in at_hand and (each != model or last_model)]
    return sorted(flowing, key=lambda each: each in RANDOM)


def _stored(flow: Flow, index: int) -> set[str]:
    """Return the names that a statement assigns, be it only in a branch or a loop."""
    nodes = ast.walk(flow.statements[index].tree)
    stored = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return stored | flow.effects[index].binds | (flow.effects[index].changes & RANDOM)


def _write_order(flow: Flow, index: int) -> list[str]:
    written = _written(flow, index)
    nodes = [
        each for each in ast.walk(flow.statements[index].tree) if isinstance(each, ast.Name) and each.id in written
    ]
    ordered = [each.id for each in sorted(nodes, key=lambda each: (each.lineno, each.col_offset))]
    return list(dict.fromkeys([*ordered, *sorted(written)]))
