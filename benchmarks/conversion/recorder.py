"""Guest: notes every top-level fit, and in a kernel every text shown and the cell line that showed it.

Installed before the first cell of a notebook, or as `recorder.py RECORD -m MODULE ...` / `recorder.py RECORD FILE ...`
before a program; what it notes goes to RECORD as lines of JSON. Classes of libraries are wrapped when their base class
is made (`__init_subclass__`), so nothing is imported that the program does not import. Standard library only.
"""

from __future__ import annotations

import atexit
import functools
import importlib.abc
import importlib.util
import inspect
import json
import os
import random
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FITTING = ("fit", "fit_transform", "fit_predict", "partial_fit", "fit_resample")
_PARAMETERS_LENGTH = 400
# Where a notebook sets no seed, both sides may be run from this one.
SEED = int(os.environ["JUDGE_SEED"]) if os.environ.get("JUDGE_SEED") else None


def _sibling(name: str) -> Any:
    """Load the guest beside this one under a name of its own: the user may have a module of the same name."""
    spec = importlib.util.spec_from_file_location(f"_judge_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - it lies beside this file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_sketch: Callable[[Any], dict[str, list[Any]]] = _sibling("sketch").sketch


class Record:
    """Where it is noted, and how deep in fits the program is."""

    def __init__(self, path: str) -> None:
        """Begin an empty record."""
        self.path = path
        self.process = os.getpid()
        self.depth = 0
        self.cell = 0
        self.optimizers: list[Any] = []

    def write(self, event: dict[str, Any]) -> None:
        """Add an event; those of child processes are their own affair."""
        if os.getpid() != self.process:
            return
        with open(self.path, "a", encoding="utf-8") as file:  # noqa: PTH123 - the user's code may break Path
            file.write(json.dumps(event) + "\n")

    def fit(self, owner: Any, result: Any) -> None:
        """Note the end of a top-level fit."""
        try:
            parameters = repr(owner.get_params(deep=False)) if hasattr(owner, "get_params") else ""
        except Exception:  # noqa: BLE001 - a user's class may not keep to the rules
            parameters = ""
        event = {"event": "fit", "class": type(owner).__name__, "params": parameters[:_PARAMETERS_LENGTH]}
        self.write({**event, "state": _sketch(_state_of(owner, result)), **place(self)})

    def finish(self) -> None:
        """Note how the parameters of each torch optimizer ended, as the fit of what it trained."""
        optimizers, self.optimizers = self.optimizers, []
        for each in optimizers:
            held = [value for group in each.param_groups for value in group["params"]]
            self.write({"event": "fit", "class": type(each).__name__, "params": "", "state": _sketch(_Held(held))})


class _Held:
    def __init__(self, parameters: list[Any]) -> None:
        self.parameters = parameters


def _state_of(owner: Any, result: Any) -> Any:
    if not type(owner).__module__.startswith("statsmodels"):
        return owner
    # A results object of statsmodels holds the whole model and computes the rest when asked.
    return _Held([type(result).__name__, getattr(result, "params", None), getattr(result, "fittedvalues", None)])


def place(record: Record) -> dict[str, int]:
    """Return the cell, counted as run, and the line of it that is being run; nothing outside of a kernel."""
    shell = _shell()
    if shell is None:
        return {}
    found = {"cell": record.cell}
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals is shell.user_ns and frame.f_code.co_name in {"<module>", "<cell line: 1>"}:
            found["line"] = frame.f_lineno
        frame = frame.f_back
    return found


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


# --- fits ---


def _noting(record: Record, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def noted(self: Any, *arguments: Any, **keywords: Any) -> Any:
        is_outer = record.depth == 0
        record.depth += 1
        try:
            result = original(self, *arguments, **keywords)
        finally:
            record.depth -= 1
        if is_outer:
            record.fit(self, result)
        return result

    return noted


class _Noted:
    """A method that its class gives only under conditions, wrapped where it is given."""

    def __init__(self, record: Record, original: Any) -> None:
        self.record = record
        self.original = original

    def __get__(self, instance: Any, owner: Any) -> Any:
        bound = self.original.__get__(instance, owner)
        if instance is None or not callable(bound):
            return bound
        noted = _noting(self.record, lambda _, *arguments, **keywords: bound(*arguments, **keywords))
        return functools.partial(noted, instance)


def _wrap(record: Record, kind: type) -> None:
    """Wrap the fitting methods of a library's class; the user's own classes are left alone."""
    module = sys.modules.get(kind.__module__)
    if "-packages" not in str(getattr(module, "__file__", "") or ""):
        return
    for name in _FITTING:
        original = kind.__dict__.get(name)
        if inspect.isfunction(original):
            setattr(kind, name, _noting(record, original))
        elif original is not None and hasattr(original, "__get__") and not isinstance(original, _Noted):
            setattr(kind, name, _Noted(record, original))


def _wrap_family(record: Record, base: type) -> None:
    """Wrap a base class, the subclasses that it has, and each that it will have."""
    own = base.__dict__.get("__init_subclass__")

    def made(kind: type, **keywords: Any) -> None:
        if own is not None:
            own.__func__(kind, **keywords)
        else:
            super(base, kind).__init_subclass__(**keywords)  # type: ignore[arg-type]
        _wrap(record, kind)

    base.__init_subclass__ = classmethod(made)  # type: ignore[assignment,arg-type]
    waiting = [base]
    while waiting:
        kind = waiting.pop()
        _wrap(record, kind)
        waiting += kind.__subclasses__()


def _wrap_function(record: Record, module: Any, name: str) -> None:
    original = getattr(module, name)

    @functools.wraps(original)
    def noted(*arguments: Any, **keywords: Any) -> Any:
        is_outer = record.depth == 0
        record.depth += 1
        try:
            result = original(*arguments, **keywords)
        finally:
            record.depth -= 1
        if is_outer:
            record.fit(result, result)
        return result

    setattr(module, name, noted)


def _watch_optimizers(record: Record, module: Any) -> None:
    original = module.Optimizer.__init__

    @functools.wraps(original)
    def noted(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        record.optimizers.append(self)

    module.Optimizer.__init__ = noted


_WATCHED: dict[str, Callable[[Record, Any], None]] = {
    "sklearn.base": lambda record, module: _wrap_family(record, module.BaseEstimator),
    "statsmodels.base.model": lambda record, module: _wrap_family(record, module.Model),
    "xgboost.training": lambda record, module: _wrap_function(record, module, "train"),
    "lightgbm.engine": lambda record, module: _wrap_function(record, module, "train"),
    "torch.optim.optimizer": _watch_optimizers,
}


if SEED is not None:
    _WATCHED["numpy.random"] = lambda _, module: module.seed(SEED)
    _WATCHED["torch.random"] = lambda _, module: module.default_generator.manual_seed(SEED)


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps what is watched for right after its module was run."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:  # noqa: ARG002 - the protocol
        if fullname not in _WATCHED:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path)
            if spec is not None and spec.loader is not None:
                self._follow(spec, fullname)
                return spec
        return None

    def _follow(self, spec: Any, fullname: str) -> None:
        original = spec.loader.exec_module

        def run(module: Any) -> None:
            original(module)
            _WATCHED[fullname](self.record, module)

        spec.loader.exec_module = run


# --- what a kernel shows ---


def _note_texts(record: Record) -> None:
    """Note what cells print and display, with the line that did it."""
    shell = _shell()
    publish = shell.display_pub.publish

    def noted_publish(*arguments: Any, **keywords: Any) -> Any:
        data = keywords.get("data", arguments[0] if arguments else {})
        if "image/png" not in data:
            record.write({"event": "text", "kind": "display", "text": data.get("text/plain", ""), **place(record)})
        return publish(*arguments, **keywords)

    def begin_cell(info: Any) -> None:
        record.cell += bool(info.store_history)
        _note_prints(record)

    shell.display_pub.publish = noted_publish
    shell.events.register("pre_run_cell", begin_cell)


def _note_prints(record: Record) -> None:
    """Note what is written to the standard output; done anew for each cell, as IPython puts its own back after one."""
    write = sys.stdout.write
    if getattr(write, "is_noting", False):
        return

    def noted_write(text: str) -> Any:
        record.write({"event": "text", "kind": "print", "text": text, **place(record)})
        return write(text)

    noted_write.is_noting = True  # type: ignore[attr-defined]
    sys.stdout.write = noted_write  # type: ignore[method-assign]


def install(path: str) -> Record:
    """Start noting to the file."""
    record = Record(path)
    sys.meta_path.insert(0, _Finder(record))
    for name, wrap in _WATCHED.items():
        if name in sys.modules:
            wrap(record, sys.modules[name])
    if _shell() is not None:
        _note_texts(record)
    if SEED is not None:
        random.seed(SEED)
    atexit.register(record.finish)
    return record


def _main() -> None:
    path, *command = sys.argv[1:]
    install(path)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).parent))
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    sys.path.pop(0)
    _main()
