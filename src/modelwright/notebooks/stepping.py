"""A project's functions called one after the other, as its `main` does, with what each is given put aside.

Standard library only; also part of generated tests.
"""

import contextlib
import copy
import importlib
import io
import math
import random
import sys
from typing import Any


class Steps:
    """The functions in the order of their calls; each runs when what it is given, or what comes after it, is asked for.

    `functions` are dictionaries with `name`, `module`, `inputs`, `outputs` and `role`. With `most_rows`, what is loaded
    is cut to so many rows, evenly spread.
    """

    def __init__(self, functions: Any, folder: str, most_rows: Any = None) -> None:
        """Start before the first function, with the random states as importing the project leaves them."""
        self._functions = functions
        self._folder = folder
        self._most_rows = most_rows
        for each in functions:
            importlib.import_module(each["module"])
        self._first_states = random_states()
        self._start()

    def _start(self) -> None:
        self._values: Any = {"output_folder": self._folder}
        self._states = self._first_states
        self._given: Any = {}
        self._next = 0

    def given(self, name: str) -> Any:
        """Return copies of what a function is given, in the order of its arguments; one value by itself.

        The shared random states are as they were when the function was called.
        """
        while name not in self._given:
            self._advance()
        inputs, states = self._given[name]
        if inputs is None:
            inputs = self._again(name)
        restore(states)
        copied = copy.deepcopy(inputs) if self._given[name][0] is not None else inputs
        return copied[0] if len(copied) == 1 else copied

    def restart(self) -> None:
        """Set the random states to what importing the project leaves."""
        restore(self._first_states)

    @contextlib.contextmanager
    def fewer_rows(self) -> Any:
        """Cut what the functions that load give to the rows of these steps, whoever calls them."""
        changed = []
        for each in self._functions if self._most_rows else ():
            function = getattr(importlib.import_module(each["module"]), each["name"])
            package = each["module"].partition(".")[0]
            known = list(sys.modules.items())
            callers = [module for name, module in known if name.partition(".")[0] == package]
            if each["role"] == "load":
                changed += [
                    (module, each["name"], function)
                    for module in callers
                    if getattr(module, each["name"], None) is function
                ]
        for module, name, function in changed:
            setattr(module, name, self._cutting(function))
        try:
            yield
        finally:
            for module, name, function in changed:
                setattr(module, name, function)

    def _cutting(self, function: Any) -> Any:
        def called(*given: Any, **named: Any) -> Any:
            return fewer(function(*given, **named), self._most_rows)

        return called

    def _advance(self, *, is_copied: bool = True) -> None:
        function = self._functions[self._next]
        inputs = tuple(self._values[each] for each in function["inputs"])
        restore(self._states)
        if is_copied:
            try:
                put_aside: Any = copy.deepcopy(inputs)
            except Exception:  # noqa: BLE001 - what cannot be copied is made again
                put_aside = None
            self._given[function["name"]] = put_aside, self._states
        called = getattr(importlib.import_module(function["module"]), function["name"])
        with contextlib.redirect_stdout(io.StringIO()):
            result = called(*inputs)
        if self._most_rows and function["role"] == "load":
            result = fewer(result, self._most_rows)
        values = result if len(function["outputs"]) > 1 else (result,)
        self._values.update(zip(function["outputs"], values))  # noqa: B905 - Python 3.9 has no strict
        self._states = random_states()
        self._next += 1

    def _again(self, name: str) -> Any:
        """Return what a function is given, made anew from the first function on."""
        fresh = Steps(self._functions, self._folder, self._most_rows)
        fresh._first_states = fresh._states = self._first_states
        place = [each["name"] for each in self._functions].index(name)
        for _ in range(place):
            fresh._advance(is_copied=False)
        return tuple(fresh._values[each] for each in self._functions[place]["inputs"])


def fewer(value: Any, most: int) -> Any:
    """Return a value with its tables cut to at most so many rows, evenly spread; equally long ones to the same rows."""
    if isinstance(value, dict):
        found = copy.copy(value)
        found.update({key: fewer(each, most) for key, each in value.items()})
        return found
    if type(value) is tuple:
        return tuple(fewer(each, most) for each in value)
    stride = math.ceil(_length(value) / most) if _is_table(value) else 1
    if stride <= 1:
        return value
    if not hasattr(value, "iloc"):
        return value[::stride]
    is_numbered = type(value.index).__name__ == "RangeIndex"
    cut = value.iloc[::stride]
    return cut.reset_index(drop=True) if is_numbered else cut.copy()


def rows(value: Any) -> int:
    """Return how many rows the longest of a value's tables has, of those that `fewer` cuts; 0 without any."""
    if isinstance(value, dict):
        return max(map(rows, value.values()), default=0)
    if type(value) is tuple:
        return max(map(rows, value), default=0)
    return _length(value) if _is_table(value) else 0


def _length(table: Any) -> int:
    # Sparse ones have no length.
    shape = getattr(table, "shape", None)
    return int(shape[0]) if shape else len(table)


def _is_table(value: Any) -> bool:
    is_array = hasattr(value, "dtype") and len(getattr(value, "shape", ())) > 0
    return hasattr(value, "iloc") or is_array or isinstance(value, list)


def random_states() -> Any:
    """Return the shared random states of the libraries that are loaded."""
    numpy, torch = _loaded()
    of_numpy = numpy.get_state() if numpy else None
    return random.getstate(), of_numpy, torch.get_rng_state() if torch else None


def restore(states: Any) -> None:
    """Set the shared random states."""
    numpy, torch = _loaded()
    random.setstate(states[0])
    if numpy and states[1] is not None:
        numpy.set_state(states[1])
    if torch and states[2] is not None:
        torch.set_rng_state(states[2])


def _loaded() -> Any:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    return getattr(numpy, "random", None), torch if hasattr(torch, "get_rng_state") else None
