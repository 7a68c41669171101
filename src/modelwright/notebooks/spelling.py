"""A guest: spells the types of values as a project's own code would write them. Standard library only.

Nothing is imported for it, and no attribute is asked of what computes attributes: places are looked up in what the
modules that are loaded hold by now.
"""

import builtins
import itertools
import sys
from typing import Any, NamedTuple

# Of longer containers only so many elements are spelled; that all of them have one class is seen before.
_ITEMS = 300
_MOST_ITEMS = 100_000
_DEPTH = 2
_SHORT_TUPLE = 4
_WIDTH = 60
_CUSTOMARY = {"numpy": "np", "pandas": "pd"}
# Parts of modules' names that say: import it from elsewhere.
_INTERNAL = frozenset({"core", "impl", "internal", "internals", "python", "src", "testing", "tests"})
# Their class is a matter of the machine or of how a value was computed; what they are to a reader is this.
_PLAINER = {"PosixPath": "Path", "WindowsPath": "Path"}
_PLAIN_SCALARS = {"float64": "float", "str_": "str"}
_NAMELESS = frozenset({"NoneType", "function", "builtin_function_or_method", "method", "module", "generator"})


class Spelled(NamedTuple):
    """A type as code, with the import lines that it needs beyond those given, each by the name that it binds."""

    text: str
    needs: Any


def speller(imports: Any, package: str) -> Any:
    """Return a function that spells the type of a value, or gives None for one that cannot be told for sure.

    `imports` are the project's names of imported things with their dotted origins. Classes of `package` itself go by
    their own names.
    """
    names = {name: _found(origin) for name, origin in imports.items()}
    known: Any = {}

    def spelled_class(kind: type) -> Any:
        if id(kind) not in known:
            known[id(kind)] = _of_class(kind, names, package)
        return known[id(kind)]

    def spelled(value: Any, depth: int = _DEPTH) -> Any:
        kind = type(value)
        whole = spelled_class(kind)
        if whole is None or kind not in (list, set, frozenset, dict, tuple) or not depth or not value:
            return whole
        parts = _parts(value, spelled, depth - 1)
        if not parts or None in parts:
            return whole
        text = f"{whole.text}[{', '.join(each if isinstance(each, str) else each.text for each in parts)}]"
        needs: Any = {}
        for each in parts:
            needs.update({} if isinstance(each, str) else each.needs)
        return Spelled(text, needs) if len(text) <= _WIDTH else whole

    return spelled


def _parts(value: Any, spelled: Any, depth: int) -> Any:
    """Return what stands between a container's brackets; None among them for what is not one type."""
    if isinstance(value, dict):
        return [_one(value.keys(), spelled, depth), _one(value.values(), spelled, depth)]
    if not isinstance(value, tuple):
        return [_one(value, spelled, depth)]
    if len(value) <= _SHORT_TUPLE:
        return [spelled(each, depth) for each in value]
    return [_one(value, spelled, depth), "..."]


def _one(values: Any, spelled: Any, depth: int) -> Any:
    """Return the type that all values have; None if they have several."""
    if len(values) > _MOST_ITEMS or len(set(map(type, values))) > 1:
        return None
    found = {each and each.text: each for each in (spelled(one, depth) for one in itertools.islice(values, _ITEMS))}
    return next(iter(found.values())) if len(found) == 1 else None


def _of_class(kind: type, names: Any, package: str) -> Any:
    if kind.__name__ in _NAMELESS or "." in kind.__qualname__:
        return None
    module, name = str(kind.__module__), kind.__qualname__
    if module == "numpy" and name in _PLAIN_SCALARS:
        return Spelled(_PLAIN_SCALARS[name], {})
    if name in _PLAINER and module.partition(".")[0] == "pathlib":
        name = _PLAINER[name]
        kind = vars(sys.modules["pathlib"])[name]
    if vars(builtins).get(name) is kind:
        return Spelled(name, {})
    top = module.partition(".")[0]
    if top == package:
        return Spelled(name, {})
    return _by_import(kind, name, names) or _by_place(kind, name)


def _by_import(kind: type, name: str, names: Any) -> Any:
    """Return a class as the project's imports name it: by itself, or as a part of its library."""
    for given, value in names.items():
        if value is kind:
            return Spelled(given, {})
    top = str(kind.__module__).partition(".")[0]
    for given, value in names.items():
        held = getattr(value, "__dict__", {}) if type(value) is type(sys) else {}
        if held.get(name) is kind and value.__name__.partition(".")[0] == top:
            return Spelled(f"{given}.{name}", {})
    return None


def _by_place(kind: type, name: str) -> Any:
    place = _public_place(kind, name)
    if not place:
        return None
    if place in _CUSTOMARY:
        short = _CUSTOMARY[place]
        return Spelled(f"{short}.{name}", {short: f"import {place} as {short}"})
    return Spelled(name, {name: f"from {place} import {name}"})


def _public_place(kind: type, name: str) -> str:
    """Return the module that a user imports a class from: the outermost public one of its library that holds it."""
    if name.startswith("_"):
        return ""
    parts = str(kind.__module__).split(".")
    own = [".".join(parts[: end + 1]) for end in range(len(parts))]
    others = sorted(
        (each for each in list(sys.modules) if each.startswith(f"{parts[0]}.")),
        key=lambda each: (each.count("."), each),
    )
    holding = [each for each in [*own, *others] if _held(each, name) is kind and "._" not in f".{each}"]
    public = [each for each in holding if not _INTERNAL & set(each.split(".")[1:])]
    return next(iter([*public, *holding]), "")


def _found(origin: str) -> Any:
    """Return what a dotted name stands for, None if it is not loaded."""
    parts = origin.split(".")
    for end in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:end]))
        if module is not None:
            value: Any = module
            for each in parts[end:]:
                value = getattr(value, "__dict__", {}).get(each)
            return value
    return None


def _held(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), "__dict__", {}).get(name)
