"""Values of a notebook that become keyword parameters: constants, and the literals that steer estimators and splits."""

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from modelwright.notebooks import constants, names, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.results import Results
from modelwright.notebooks.slicing import Slice
from modelwright.records import Parameter

_SEEDING = frozenset({"numpy.random.seed", "random.seed", "torch.manual_seed"})


@dataclass(frozen=True, eq=False)
class Literal:
    """A literal in a statement that a parameter takes the place of. `estimator_keyword` names what it sets, if so."""

    statement: int
    expression: ast.expr
    parameter: str
    estimator_keyword: str = ""


@dataclass(frozen=True)
class Parameters:
    """All parameters in the order of the notebook; `constants` maps those that were variables to their statement."""

    values: Sequence[Parameter]
    literals: Sequence[Literal]
    constants: Mapping[str, int]


def find(flow: Flow, kept: Slice, results: Results) -> Parameters:
    """Return what becomes a parameter. File names of results do not: the caller names the folder they go to."""
    reserved = _result_path_names(flow, results)
    variables = {
        name: index
        for name, index in constants.scalars(flow).items()
        if index in kept.body and name not in reserved and not name.startswith("_")
    }
    values = {name: _value(flow, index) for name, index in variables.items()}
    taken = set().union(*(each.binds | each.changes | each.reads for each in flow.effects)) | {"output_folder"}
    literals: list[Literal] = []
    order: list[tuple[int, str]] = [(index, name) for name, index in variables.items()]
    unpacked = _unpacked_names(flow)
    for index in sorted(kept.body):
        for call_name, keyword, node in _steering(flow.statements[index].tree, flow, unpacked):
            value = constants.scalar(node)
            if value is None:
                continue
            name = _name(keyword, call_name, value, values, taken)
            if name not in values:
                values[name] = value
                order.append((index, name))
            is_estimator = call_name not in {"train_test_split", "seed"}
            literals.append(Literal(index, node, name, keyword if is_estimator else ""))
    ordered = [Parameter(name, values[name]) for _, name in sorted(order, key=lambda each: each[0])]
    return Parameters(ordered, literals, variables)


def _value(flow: Flow, index: int) -> constants.Scalar:
    value = constants.scalar(flow.statements[index].tree.value)  # type: ignore[attr-defined]
    return cast("constants.Scalar", value)


def _result_path_names(flow: Flow, results: Results) -> set[str]:
    paths = [each.path for each in (*results.saves, *results.files)]
    found = {node.id for path in paths for node in ast.walk(path) if isinstance(node, ast.Name)}
    # A path may be put together from other names in a statement of its own.
    values = constants.assigned_values(flow)
    for name in list(found & values.keys()):
        found |= {node.id for node in ast.walk(values[name]) if isinstance(node, ast.Name)}
    return found


def _steering(tree: ast.stmt, flow: Flow, unpacked: Mapping[str, str]) -> list[tuple[str, str, ast.expr]]:
    """Return the literals that steer a fit, a split or a seed: the callable's name, the keyword, the literal.

    `unpacked` are the variables that hold the keywords of a constructor, each with its class.
    """
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        origin = flow.names.origin(node.func) or ""
        last = origin.rpartition(".")[2]
        if origin in _SEEDING and node.args:
            found.append(("seed", "seed", node.args[0]))
        elif origin in vocabulary.SPLITTERS or flow.names.is_estimator(node):
            for each in node.keywords:
                if each.arg is None:
                    found += [(last, key, entry) for key, entry in _entries(each.value)]
                elif each.arg not in vocabulary.TECHNICAL_KEYWORDS:
                    found.append((last, each.arg, each.value))
    name = tree.targets[0].id if isinstance(tree, ast.Assign) and isinstance(tree.targets[0], ast.Name) else ""
    if isinstance(tree, ast.Assign) and name in unpacked:
        found += [(unpacked[name], key, entry) for key, entry in _entries(tree.value)]
    return found


def _unpacked_names(flow: Flow) -> dict[str, str]:
    """Return the variables that a constructor is called with as `**args`, each with the first such class."""
    found: dict[str, str] = {}
    for each in flow.statements:
        for node in ast.walk(each.tree):
            if isinstance(node, ast.Call) and flow.names.is_estimator(node):
                given = [one.value.id for one in node.keywords if one.arg is None and isinstance(one.value, ast.Name)]
                for name in given:
                    found.setdefault(name, (flow.names.constructor(node) or "").rpartition(".")[2])
    return found


def _entries(value: ast.expr) -> list[tuple[str, ast.expr]]:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
        return [(each.arg, each.value) for each in value.keywords if each.arg]
    if not isinstance(value, ast.Dict):
        return []
    return [
        (key.value, entry)
        for key, entry in zip(value.keys, value.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier()
    ]


def _name(
    keyword: str, call_name: str, value: constants.Scalar, values: Mapping[str, constants.Scalar], taken: set[str]
) -> str:
    """Return the parameter's name: the keyword's, shared by equal values, with its owner's before it in a conflict."""
    owner = names.snake(call_name)
    numbered = (f"{owner}_{keyword}_{number}" for number in itertools.count(2))

    def is_free(name: str) -> bool:
        same = name in values and values[name] == value and type(values[name]) is type(value)
        return same or (name not in values and name not in taken)

    return next(name for name in itertools.chain([keyword, f"{owner}_{keyword}"], numbered) if is_free(name))
