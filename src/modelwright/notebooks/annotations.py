"""The types in the signatures of a project's functions: what a run of the project saw them take and give.

What is not sure stays without a type: one that the project would need another library for, or whose name means
something else there.
"""

import ast
import builtins
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from modelwright.notebooks import arranging, importing
from modelwright.notebooks.rendering import signature
from modelwright.records import Function, Plan

_WIDTH = 100
_ANY = ("Any", {"Any": "from typing import Any"})
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
# Libraries that come with others: what needs one of these needs it too.
_COMES_WITH = {
    "numpy": frozenset({"lightgbm", "matplotlib", "pandas", "scipy", "seaborn", "sklearn", "statsmodels", "xgboost"}),
    "pandas": frozenset({"seaborn", "statsmodels"}),
    "scipy": frozenset({"lightgbm", "sklearn", "statsmodels", "xgboost"}),
}


def annotated(plan: Plan, seen: Mapping[str, Mapping[str, Sequence[Any]]]) -> Plan:
    """Return the plan with the types that a run saw its functions take and give, and the imports that these need.

    `seen` has the types of each function's inputs and outputs, in their order, as `spelling` spells them.
    """
    names = _names(plan)
    functions = tuple(
        _annotated(each, plan, seen[each.name], names) if each.name in seen else each for each in plan.functions
    )
    added = tuple(names.added.values())
    # A library that came with another is now needed by name.
    modules = {each for each in importing.modules(added) if each not in names.files}
    return replace(
        plan, functions=functions, imports=(*plan.imports, *added), modules=tuple(sorted({*plan.modules, *modules}))
    )


@dataclass
class _Names:
    """What names mean at the level of the project's modules, and the import lines that types have added so far.

    `taken` are all names in the project's code, `own` those that its definitions bind, and `files` the modules that
    the user brought along.
    """

    imported: frozenset[str]
    own: frozenset[str]
    taken: frozenset[str]
    modules: frozenset[str]
    files: frozenset[str]
    added: dict[str, str] = field(default_factory=dict)

    def written(self, spelled: Sequence[Any] | None) -> str:
        """Return a type as code, having noted the imports that it needs; nothing where it cannot be written."""
        if spelled is None:
            return ""
        text, needs = spelled
        means_it = all(self._means(each) for each in set(_NAME.findall(text)) - needs.keys())
        if not means_it or not all(self._may_add(name, line) for name, line in needs.items()):
            return ""
        self.added |= needs
        return str(text)

    def _means(self, name: str) -> bool:
        """Whether a name means what the run saw: a thing of Python's, an import or a definition, and one of them."""
        return (name in vars(builtins)) + (name in self.imported) + (name in self.own) == 1

    def _may_add(self, name: str, line: str) -> bool:
        """Whether a name is free for an import that needs no library beyond those that the project has."""
        top = re.split(r"[ .]", line)[1]
        has_it = top in self.modules | self.files | sys.stdlib_module_names
        has_it = has_it or bool(_COMES_WITH.get(top, frozenset()) & self.modules)
        return has_it and name not in self.taken and self.added.get(name, line) == line


def _names(plan: Plan) -> _Names:
    imported = frozenset(importing.origins(plan.imports))
    codes = [plan.definitions, *(each.code for each in plan.functions)]
    nodes = [node for code in codes for node in ast.walk(ast.parse(code))]
    found = {str(getattr(node, each)) for node in nodes for each in ("id", "arg", "name") if getattr(node, each, None)}
    files = {PurePosixPath(each) for each in plan.data_files if each.endswith(".py")}
    return _Names(
        imported=imported,
        own=arranging.bound(plan.definitions),
        taken=imported | found | vars(builtins).keys(),
        modules=frozenset(plan.modules),
        files=frozenset(next(part for part in each.parts if part != "..").removesuffix(".py") for each in files),
    )


def _annotated(function: Function, plan: Plan, seen: Mapping[str, Sequence[Any]], names: _Names) -> Function:
    types = {name: names.written(each) for name, each in zip(function.inputs, seen["inputs"], strict=True)}
    types = {name: text for name, text in types.items() if text} | dict(function.types)
    returns = function.returns or _returns(function, [names.written(each) for each in seen["outputs"]], names)
    before = _header(function, plan)
    found = replace(function, types=types, returns=returns)
    return replace(found, code=function.code.replace(before, _header(found, plan), 1))


def _header(function: Function, plan: Plan) -> str:
    defaults = [each for each in plan.parameters if each.name in function.parameters]
    return signature(function.name, function.inputs, defaults, types=function.types, returns=function.returns)


def _returns(function: Function, parts: Iterable[str], names: _Names) -> str:
    """Return the type of what a function gives: of several values a tuple, in which `Any` stands for the unknown."""
    found = list(parts)
    if len(found) == 1 or not any(found):
        return found[0]
    any_ = "" if all(found) else names.written(_ANY)
    texts = [each or any_ for each in found]
    if not all(texts) or not names.written(("tuple", {})):
        return ""
    wanted = [f"tuple[{', '.join(texts)}]", *([f"tuple[{texts[0]}, ...]"] if len(set(texts)) == 1 else []), "tuple"]
    return next(each for each in wanted if each == "tuple" or len(f"def {function.name}() -> {each}:") <= _WIDTH)
