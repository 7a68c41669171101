"""Kept statements into stages: load, split, prepare, train, evaluate, save; with what flows from one to the next.

The statements stay in the notebook's order, but for plain ones that move down to what uses them: a stage is a run of
statements with one role and, where several models are compared, of one model.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modelwright.notebooks import constants, names, vocabulary
from modelwright.notebooks.cutting import cut
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import DISPLAY, RANDOM
from modelwright.notebooks.measuring import subject
from modelwright.notebooks.parameters import Parameters
from modelwright.notebooks.results import Results
from modelwright.notebooks.slicing import Slice

LOAD, SPLIT, PREPARE, TRAIN, EVALUATE, SAVE, REPORT = range(7)
ROLE_NAMES = ("load", "split", "prepare", "train", "evaluate", "save", "report")
_NAMES = {
    LOAD: "load_data",
    SPLIT: "split_data",
    PREPARE: "prepare_data",
    TRAIN: "train_model",
    EVALUATE: "evaluate_model",
    SAVE: "save_model",
}
PLAIN_NAMES = frozenset(_NAMES.values())
# What is evaluated before there is a model, or beside it.
TESTS_NAME = "evaluate_hypotheses"
# Names of a stage that comes a second time, as when a model is fitted again on all rows after its evaluation.
_AGAIN = {TRAIN: "refit_model", SAVE: "save_results"}
_STOP_WORDS = frozenset(
    """a an and the of in on for to with our s its is how i we you it this that let us did do does now here my will
    be can""".split()  # noqa: SIM905 - read as words
)
_MOST_WORDS = 4
# Calls that bring no rows in.
_PLAIN_CALLS = frozenset({"numpy.random.seed", "random.seed", "torch.manual_seed", "dict", "list", "tuple", "set"}) | {
    "range"
}
# What networks are put together from, and trained with.
_NETWORKS = ("torch.nn.", "torch.optim.")
_NETWORK = re.compile(r"torch\.nn\.|__main__\.")
# What a dictionary of values to search through may call.
_GRID_CALLS = re.compile(r"numpy\.(arange|linspace|logspace|geomspace)|scipy\.stats\.\w+")
# Names that do not tell one model from another; the class does.
_GENERIC_NAMES = re.compile(r"(model|clf|reg|est|estimator|classifier|regressor|m|lr|learner|pipe|pipeline)_?\d*")
# As much cleaning belongs to the loading; more is a preparation of its own.
_CLEANING_LINES = 12


@dataclass(frozen=True)
class Stage:
    """One function to be: its role, its statements in order, the names that flow in and out."""

    name: str
    role: int
    statements: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    seeds: tuple[str, ...] = ()


def stages(flow: Flow, kept: Slice, results: Results, parameters: Parameters) -> list[Stage]:
    """Return the stages in the order of their calls. No statement moves past one that it depends on.

    A stage that is the first to draw from a random state that the notebook never seeded has it among its `seeds`.
    """
    plain = _plain(flow)
    body = _sunk(flow, sorted(kept.body - set(parameters.constants.values())), plain)
    runs = _runs(flow, body, results, plain)
    model = results.model
    if model and not any(role == SAVE for role, _, _ in runs):
        runs.append((SAVE, model, []))
    stage_names = _stage_names(runs, flow, results.learning.tests)
    groups = [group for _, _, group in runs]
    shaped = [
        _stage(stage_names[place], role, groups, place, flow, parameters, model)
        for place, (role, _, _) in enumerate(runs)
    ]
    shaped = [_with_taught(each, flow, results) if each.role == TRAIN else each for each in shaped]
    return _with_seeds(shaped, flow) if flow.seen else shaped


def _with_taught(stage: Stage, flow: Flow, results: Results) -> Stage:
    """Return a stage of training that gives all that it teaches: what nothing after asks for is proven, too."""
    inside = [flow.statements[index].tree for index in stage.statements]
    loops = [each.target for tree in inside for each in ast.walk(tree) if isinstance(each, ast.For)]
    passing = {each.id for target in loops for each in ast.walk(target) if isinstance(each, ast.Name)}
    at_hand = {name for index in stage.statements for name in flow.effects[index].binds} | {*stage.inputs}
    taught = [name for index, name in results.learning.fits if index in stage.statements]
    for index in results.learning.training.intersection(stage.statements, flow.seen):
        mutated = sorted(flow.seen[index].mutated)
        taught += [each for each in mutated if _NETWORK.match(_kind(each, index, flow))]
    more = [each for each in dict.fromkeys(taught) if each in at_hand - passing and each not in stage.outputs]
    return replace(stage, outputs=(*stage.outputs, *more))


def _kind(name: str, index: int, flow: Flow) -> str:
    """Return the type of what a variable holds at a statement, as it was seen when the variable was bound."""
    before = [flow.seen[each] for each in range(index, -1, -1) if each in flow.seen]
    return next((each.kinds[name] for each in before if name in each.kinds), "")


def _with_seeds(shaped: Sequence[Stage], flow: Flow) -> list[Stage]:
    """Return the stages, the first to draw from a state that nothing seeded before it with that among its seeds."""
    settled: set[str] = set()
    found = []
    for stage in shaped:
        drawn: dict[str, None] = {}
        for index in stage.statements:
            known = flow.effects[index]
            drawn |= dict.fromkeys(sorted((known.reads & RANDOM) - settled))
            settled |= (known.reads | known.binds) & RANDOM
        found.append(replace(stage, seeds=tuple(drawn)))
    return found


# --- order ---


def _sunk(flow: Flow, body: Sequence[int], plain: frozenset[int]) -> list[int]:
    """Return the statements with plain ones moved down to the first that must come after them."""
    order = list(body)
    moved: set[int] = set()
    for index in reversed(body):
        place = order.index(index)
        follower = next((at for at in range(place + 1, len(order)) if index in flow.conflicts[order[at]]), None)
        if follower is None:
            continue
        if index in plain or (_splits(flow, order[follower]) and _selects(flow, index)):
            while order[follower - 1] in moved:
                follower -= 1  # those moved before stay behind it, as they were
            order.insert(follower, index)
            order.pop(place)
            moved.add(index)
    return order


# --- roles ---


def _runs(flow: Flow, body: Sequence[int], results: Results, plain: frozenset[int]) -> list[tuple[int, str, list[int]]]:
    """Return the runs of statements that become functions: role, model, statements."""
    fits = {index for index, _ in results.learning.fits}
    roles = _filled(flow, body, _roles(flow, body, results, plain), plain, fits)
    keys = _models(flow, body, roles, results)
    measured: dict[int, set[str]] = {}
    for each in results.measures:
        measured.setdefault(each.statement, set()).add(each.place)
    runs: list[tuple[int, str, list[int]]] = []
    for index in body:
        role, key = roles[index], keys[index]
        last = runs[-1] if runs else None
        places = {place for each in last[2] for place in measured.get(each, ())} if last else set()
        is_again = bool(places & measured.get(index, set())) or bool(places & flow.effects[index].binds)
        if last is None or last[0] != role or is_again or (role in {TRAIN, EVALUATE} and last[1] != key):
            runs.append((role, key, [index]))
        else:
            last[2].append(index)
    estimators = {name for _, name in results.learning.fits}
    teaching = {each for each in body if each in results.learning.training or _builds(flow, each, estimators)}
    parts = [(role, key, part) for role, key, group in runs for part in cut(flow, group)]
    # What uses one model to make rows for another trains none.
    is_for_rows = [role == TRAIN and not teaching & set(part) for role, _, part in parts]
    return [
        (PREPARE, "", part) if is_preparing else (role, key, part)
        for (role, key, part), is_preparing in zip(parts, is_for_rows, strict=True)
    ]


def _roles(flow: Flow, body: Sequence[int], results: Results, plain: frozenset[int]) -> dict[int, int]:
    """Return the role of each statement that has one of its own."""
    learning = results.learning
    inside = set(body)
    saves = {each.statement for each in (*results.saves, *results.files)}
    shown = {each.statement for each in results.measures} | results.shows
    splits = frozenset(index for index in body if _splits(flow, index))
    after_split = flow.descendants(splits)
    model_needs = flow.ancestors(frozenset((learning.training - shown) | {each.statement for each in results.saves}))
    estimators = {name for _, name in learning.fits} - learning.transformers
    roles: dict[int, int] = {}
    for index in body:
        if index in saves:
            roles[index] = SAVE
        elif index in splits and index not in learning.training:
            roles[index] = SPLIT
        elif index in learning.training:
            roles[index] = EVALUATE if index in shown and index not in {at for at, _ in learning.fits} else TRAIN
        elif index in learning.dependent:
            is_needed = index in model_needs and index not in shown
            roles[index] = TRAIN if is_needed else EVALUATE
        elif index in shown:
            roles[index] = EVALUATE
        elif _builds(flow, index, estimators):
            roles[index] = TRAIN
        elif index in after_split and _transforms(flow, index, learning.transformers):
            roles[index] = PREPARE
        elif index not in plain and _brings_rows(flow, index, inside):
            roles[index] = LOAD
    return roles


def _filled(
    flow: Flow, body: Sequence[int], own: Mapping[int, int], plain: frozenset[int], fits: set[int]
) -> dict[int, int]:
    """Return a role for every statement: that of what uses it next, or else of what stands before it."""
    roles = dict(own)
    for place, index in reversed(list(enumerate(body))):
        user = next((each for each in body[place + 1 :] if index in flow.sources[each]), None)
        if index in plain and index not in roles and user in roles:
            roles[index] = roles[user]
    found: dict[int, int] = {}
    cleaning = 0
    for place, index in enumerate(body):
        before = found[body[place - 1]] if place else LOAD
        role = roles.get(index)
        user = next((each for each in body[place + 1 :] if index in flow.sources[each]), None)
        next_role = roles.get(user) if user is not None else None
        if role is None and SPLIT in {before, next_role} and _selects(flow, index):
            role = SPLIT
        elif role is None and before in {LOAD, PREPARE}:
            cleaning += flow.statements[index].end_line - flow.statements[index].line + 1
            role = PREPARE if before == PREPARE or cleaning > _CLEANING_LINES else LOAD
        elif role is None and user is None:
            role = before
        elif role is None:
            # What a later model than the next one is given is no part of training that.
            next_fit = next((each for each in body[place + 1 :] if each in fits), user)
            is_for_later = next_role == TRAIN and user in fits and user != next_fit
            role = PREPARE if next_role in {None, LOAD, SAVE} or is_for_later else next_role
        found[index] = role
    return found


def _models(flow: Flow, body: Sequence[int], roles: Mapping[int, int], results: Results) -> dict[int, str]:
    """Return the model that each statement trains or evaluates; for what only prepares that, the next one."""
    fitted = {index: name for index, name in results.learning.fits if index in results.learning.training}
    found: dict[int, str] = {}
    trained, measured = "", ""
    for place in range(len(body) - 1, -1, -1):
        index = body[place]
        if roles[index] == TRAIN:
            trained = fitted.get(index) or trained
            found[index] = trained
        elif roles[index] == EVALUATE:
            is_last = place + 1 == len(body) or roles[body[place + 1]] != EVALUATE
            measured = subject(flow, results.learning, index) or ("" if is_last else measured)
            found[index] = measured
        else:
            found[index] = ""
    return found


def _brings_rows(flow: Flow, index: int, body: set[int]) -> bool:
    """Whether a statement is where data comes in: it read a file, or uses no earlier variable and calls a library."""
    seen = flow.seen.get(index)
    if seen is not None and seen.read:
        return True
    return not flow.data_sources[index] & body


def _splits(flow: Flow, index: int) -> bool:
    tree = flow.statements[index].tree
    return any(
        flow.names.origin(each.func) in vocabulary.SPLITTERS for each in ast.walk(tree) if isinstance(each, ast.Call)
    )


def _builds(flow: Flow, index: int, estimators: set[str]) -> bool:
    tree = flow.statements[index].tree
    if not isinstance(tree, ast.Assign) or not flow.effects[index].binds & estimators:
        return False
    is_own = isinstance(tree.value, ast.Call) and flow.names.is_own_class(tree.value)
    return is_own or any(flow.names.is_estimator(each) for each in ast.walk(tree))


def _transforms(flow: Flow, index: int, transformers: frozenset[str]) -> bool:
    known = flow.effects[index]
    return bool((known.reads | known.changes) & transformers)


def _plain(flow: Flow) -> frozenset[int]:
    """Return the statements that only bind literals, seeds, or objects that are configured rather than fed."""
    once = constants.bound_once(flow)
    settled = set(_PLAIN_CALLS | flow.names.imports.keys() | flow.names.classes)
    found = set()
    for index, known in enumerate(flow.effects):
        if not known.reads - settled and not known.changes - RANDOM - {DISPLAY} and not _reads_rows(flow, index):
            found.add(index)
            settled |= {name for name in known.binds if once.get(name) == index}
    return frozenset(found)


def _reads_rows(flow: Flow, index: int) -> bool:
    """Whether a statement brings data in: it calls a function of a library that is no estimator and no seed."""
    tree = flow.statements[index].tree
    is_grid = isinstance(tree, ast.Assign) and isinstance(tree.value, ast.Dict)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not flow.names.is_estimator(node):
            called = flow.names.origin(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")
            is_plain = called in _PLAIN_CALLS or called.startswith((*vocabulary.PRINT_SETTINGS, *_NETWORKS))
            is_plain = is_plain or (
                flow.names.is_own_class(node) and not (index in flow.seen and flow.seen[index].read)
            )
            if not is_plain and not (is_grid and _GRID_CALLS.fullmatch(called)):
                return True
    return False


def _selects(flow: Flow, index: int) -> bool:
    """Whether a statement only picks or packs: `X = df.drop("Y", axis=1).values`, `data = {"X": X, "y": y}`."""
    tree = flow.statements[index].tree
    if not isinstance(tree, ast.Assign):
        return False
    allowed = ast.Attribute | ast.Subscript | ast.Name | ast.Constant | ast.List | ast.Tuple | ast.Slice | ast.UnaryOp
    allowed |= ast.Dict
    for node in ast.walk(tree.value):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute) or node.func.attr not in {"drop", "to_numpy", "copy", "ravel"}:
                return False
        elif not isinstance(node, allowed | ast.keyword | ast.expr_context | ast.unaryop):
            return False
    return not flow.effects[index].changes


# --- names ---


def _stage_names(runs: Sequence[tuple[int, str, list[int]]], flow: Flow, tests: frozenset[int]) -> list[str]:
    taken = set().union(*(each.binds | each.reads for each in flow.effects)) if flow.effects else set()
    models = {key for role, key, _ in runs if role == TRAIN}
    found: list[str] = []
    for role, key, group in runs:
        verb = ROLE_NAMES[role]
        plain = _NAMES[role]
        candidates = [plain]
        if role == EVALUATE and not key and tests & set(group):
            candidates = [TESTS_NAME]
        elif role in {TRAIN, EVALUATE} and len(models) > 1:
            candidates = [f"{verb}_{_model_words(key, group, runs, flow) if key else 'models'}"]
        elif role in _AGAIN:
            candidates = [plain, _AGAIN[role]]
        if candidates[0] in taken:
            candidates.append(f"{candidates[0]}_stage")
        words = heading_words(flow.statements[group[0]].heading) if group else ""
        candidates += [f"{verb}_{words}"] if words else []
        if role != TRAIN or not key:
            candidates += [f"{verb}_{name}" for name in _main_variable(group, flow)]
        candidates += [f"{candidates[0]}_{number}" for number in range(2, 1000)]
        found.append(next(each for each in candidates if each not in taken and each not in found))
    return found


def _model_words(key: str, group: Sequence[int], runs: Sequence[tuple[int, str, list[int]]], flow: Flow) -> str:
    """Return what to call a model: its variable, or its class where the variable says nothing."""
    if not _GENERIC_NAMES.fullmatch(key):
        return key.lower()
    last = group[-1] if group else len(flow.statements) - 1
    trained = [index for _, other, part in runs for index in part if other == key and index <= last]
    for index in sorted(trained, reverse=True):
        for node in ast.walk(flow.statements[index].tree):
            if isinstance(node, ast.Call) and flow.names.is_estimator(node):
                return names.snake((flow.names.constructor(node) or "").rpartition(".")[2])
    return key.lower()


def heading_words(heading: str) -> str:
    """Return a heading as a part of a function's name; nothing where it has no plain words.

    Of "Example: feature selection" what follows the colon says more.
    """
    for text in (heading.rpartition(":")[2], heading):
        words = [each.lower() for each in re.findall(r"[A-Za-z][A-Za-z0-9]*", text)]
        telling = [each for each in words if each not in _STOP_WORDS][:_MOST_WORDS]
        if telling:
            return "_".join(telling)
    return ""


def _main_variable(group: Sequence[int], flow: Flow) -> list[str]:
    bound = [name for index in group for name in sorted(flow.effects[index].binds) if not name.startswith(("<", "_"))]
    return [bound[-1].lower()] if bound else []


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
    # Random state is the process's own: whoever runs the stages one by one carries it from one to the next.
    return frozenset(each for each in known.binds | known.changes if not each.startswith("<"))


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
    at_hand = set(inputs) | {name for index in groups[place] for name in stored(flow, index)}
    last_model = model in live and any(model in _written(flow, index) for index in groups[place])
    return [each for each in made if each in live and each in at_hand and (each != model or last_model)]


def stored(flow: Flow, index: int) -> set[str]:
    """Return the names that a statement assigns, be it only in a branch or a loop."""
    nodes = ast.walk(flow.statements[index].tree)
    stored = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return stored | flow.effects[index].binds


def _write_order(flow: Flow, index: int) -> list[str]:
    written = _written(flow, index)
    nodes = [
        each for each in ast.walk(flow.statements[index].tree) if isinstance(each, ast.Name) and each.id in written
    ]
    ordered = [each.id for each in sorted(nodes, key=lambda each: (each.lineno, each.col_offset))]
    return list(dict.fromkeys([*ordered, *sorted(written)]))
