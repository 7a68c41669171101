"""A guest: watches a notebook's top-level statements while they run in its kernel. Standard library only.

A call stands before each statement and after the last one of a cell, so that a cell stays one request: its inline
figures, the display of its bare last expression and `Out` are those of a plain run.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
import re
import runpy
import sys
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).resolve().parent
_HOOK = "__wright_statement__"
_HIDDEN = re.compile(r"_i?\d*|_+|_i+|_[doi]h|In|Out|get_ipython|exit|quit|__\w+__")
# Beyond these shares of the notebook's own time, what takes long to read is no longer read.
_FREE_SECONDS, _SHARE, _LONG_SECONDS, _LATE_SHARE = 1.2, 0.35, 0.02, 0.05


def install(request_file: str) -> None:
    """Watch the cells that the request names, from the next one on; write what is seen to its folder."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    shell = builtins.__dict__["get_ipython"]()
    tracer = _Tracer(shell, request)
    setattr(builtins, _HOOK, tracer.step)
    shell.ast_transformers.append(tracer)
    shell.events.register("pre_execute", tracer.entered)
    shell.events.register("pre_run_cell", tracer.started)
    # Ahead of the others, which show and close the figures.
    shell.events.callbacks["post_execute"].insert(0, tracer.left)


class _Known(NamedTuple):
    """A variable as last read: the object's address, its reading, when and how long it took."""

    identity: int
    reading: Any
    step: int
    seconds: float


class _Before(NamedTuple):
    """What stood before a statement."""

    statement: int
    modules: int
    stores: frozenset[str]
    watched: frozenset[str]
    names: dict[str, int]
    figures: Any


class _Tracer(ast.NodeVisitor):
    """Goes from statement to statement and notes what each has done."""

    def __init__(self, shell: Any, request: Any) -> None:
        self._shell = shell
        self._folder = request["folder"]
        self._cells = request["cells"]
        self._watch = request["watch"]
        self._next_cell = 0
        self._cell: Any = None
        self._nodes: list[ast.stmt] = []
        self._number = -1
        self._depth = 0
        self._before: _Before | None = None
        self._known: dict[str, _Known] = {}
        self._states: dict[str, str] = {}
        self._settings: dict[str, str] = {}
        self._step = 0
        self._spent_seconds = self._ran_seconds = 0.0
        self._began = 0.0
        self._look = runpy.run_path(str(_HERE / "worker.py"))["look"]
        if self._watch is not None:
            fingerprints = runpy.run_path(str(_HERE / "fingerprints.py"))
            self._read_value, self._kind_of = fingerprints["read"], fingerprints["kind_of"]
            self._around = runpy.run_path(str(_HERE / "ambient.py"))
            self._files, self._output = self._around["Files"](str(Path.cwd())), self._around["Output"](shell)
            self._seen = Path(self._folder, "trace.jsonl").open("w", encoding="utf-8")  # noqa: SIM115 - open to the end

    # --- where we are ---

    def entered(self) -> None:
        """Count cells that run inside one another."""
        self._depth += 1

    def started(self, info: Any = None) -> None:
        """Note that one of the notebook's cells begins."""
        is_ours = self._next_cell < len(self._cells) and self._cells[self._next_cell]["code"] == getattr(
            info, "raw_cell", None
        )
        if is_ours:
            self._cell, self._nodes = self._cells[self._next_cell], []
            self._depth, self._number = 1, -1
            self._next_cell += 1

    def visit(self, node: ast.AST) -> ast.AST:
        """Put a call before each statement of the cell that begins."""
        if self._cell is None or self._nodes or not isinstance(node, ast.Module):
            return node
        self._nodes = list(node.body)
        calls = [ast.parse(f"{_HOOK}({number})").body[0] for number in range(len(self._nodes))]
        for call, statement in zip(calls, self._nodes):  # noqa: B905 - not in Python 3.9
            for each in ast.walk(call):
                ast.copy_location(each, statement)
        node.body = [each for pair in zip(calls, self._nodes) for each in pair]  # noqa: B905 - as above
        return node

    def step(self, number: int) -> None:
        """End the statement before and begin another."""
        if self._cell is not None:
            self._between(number, is_over=False)

    def left(self) -> None:
        """End the cell's last statement."""
        self._depth -= 1
        if self._cell is not None and self._depth <= 0:
            self._between(len(self._nodes), is_over=True)
            self._cell, self._nodes = None, []

    def _between(self, number: int, *, is_over: bool) -> None:
        now = time.perf_counter()
        traced = self._watch is not None
        if traced:
            self._files.is_on = False
            if self._before is not None:
                with contextlib.suppress(Exception):
                    self._finish(now - self._began)
        self._look_at(number, is_over=is_over)
        self._number = number
        if traced and not is_over:
            with contextlib.suppress(Exception):
                self._begin(number)
        self._began = time.perf_counter()
        self._spent_seconds += self._began - now
        if traced:
            self._files.is_on = not is_over

    def _look_at(self, number: int, *, is_over: bool) -> None:
        """Look at the points behind the statements that ran."""
        points = [each for each in self._cell["points"] if self._place(each["line"]) == number]
        # A statement that raised ends its cell before the last one began.
        if not points or (is_over and self._number < number - 1):
            return
        with contextlib.redirect_stdout(io.StringIO()):
            self._look(self._shell.user_ns, points, self._folder)
        # Looking may have changed what it looked at.
        self._known.clear()
        if self._watch is not None:
            self._output.taken()
            self._states, self._settings = self._around["random_states"](), self._around["settings"]()

    def _place(self, line: int) -> int:
        return sum(each.lineno <= line for each in self._nodes)

    # --- what a statement did ---

    def _begin(self, number: int) -> None:
        """Note what stands before a statement."""
        node, index = self._nodes[number], self._cell["first"] + number
        self._step += 1
        variables = self._variables()
        watched = frozenset(self._watch.get(str(index), ())) & variables.keys()
        for name in watched:
            self._baseline(name, variables[name])
        touched = watched | self._sharing(watched)
        for name in touched - watched:
            self._baseline(name, variables[name])
        if number == 0:
            # Showing the figures of the cell before comes in between.
            self._states, self._settings = self._around["random_states"](), self._around["settings"]()
            self._output.listen()
        self._files.taken()
        self._output.taken()
        self._before = _Before(
            statement=index,
            modules=len(sys.modules),
            stores=_stores(node),
            watched=touched,
            names={name: id(value) for name, value in variables.items()},
            figures=self._around["figures"](),
        )

    def _finish(self, elapsed_seconds: float) -> None:
        """Write what the statement before did."""
        before, self._before = self._before, None
        assert before is not None  # noqa: S101 - asked by the caller
        self._ran_seconds += elapsed_seconds
        printed, shown = self._output.taken()
        read, written = self._files.taken()
        variables = self._variables()
        bound = {name for name, value in variables.items() if before.names.get(name) != id(value)}
        deleted = before.names.keys() - variables.keys()
        for name in deleted:
            self._known.pop(name, None)
        mutated, opaque = self._compared(before, variables, bound)
        # Rebound in a loop, it may lie where it lay before.
        bound, mutated = bound | (mutated & before.stores), mutated - before.stores
        around = self._around
        states, settings = around["random_states"](), around["settings"]()
        drew, set_anew = around["changed"](self._states, states), around["changed"](self._settings, settings)
        self._states, self._settings = states, settings
        has_imported = len(sys.modules) > before.modules
        figures = around["figures"]()
        drawn = sum(before.figures.get(each) != held for each, held in figures.items())
        entry = {
            "index": before.statement,
            "step": self._step,
            "elapsed_seconds": elapsed_seconds,
            "bound": sorted(bound),
            "deleted": sorted(deleted),
            "mutated": sorted(mutated),
            "opaque": sorted(opaque),
            "aliases": self._aliases(bound | mutated),
            "drew": drew,
            "settings": [each for each in set_anew if not (has_imported and each in around["SET_BY_IMPORTS"])],
            "read": read,
            "written": written,
            "printed": printed,
            "figures": max(drawn, shown),
            "kinds": {name: self._kind_of(variables[name]) for name in sorted(bound)},
        }
        self._seen.write(json.dumps(entry) + "\n")
        self._seen.flush()

    def _compared(self, before: _Before, variables: Any, bound: Any) -> tuple[set[str], set[str]]:
        """Return the names whose content is another than before, and those that could not be compared."""
        mutated, opaque = set(), set()
        for name in bound:
            self._read(name, variables[name])
        for name in (before.watched | before.stores) & variables.keys() - bound:
            old = self._known.get(name)
            new = self._read(name, variables[name])
            if _differ(old, new):
                mutated.add(name)
            if name in before.watched and not (old and new and old.reading.is_complete and new.reading.is_complete):
                opaque.add(name)
        return mutated, opaque - mutated

    def _aliases(self, names: Any) -> list[list[str]]:
        """Return pairs of one of the names and another name that share memory."""
        return sorted([name, other] for name in names if name in self._known for other in self._sharing({name}))

    def _sharing(self, names: Any) -> set[str]:
        """Return the other names that share memory with some of the names."""
        memory = {each for name in names if name in self._known for each in self._known[name].reading.memory}
        if not memory:
            return set()
        return {
            name
            for name, known in self._known.items()
            if name not in names and not memory.isdisjoint(known.reading.memory)
        }

    # --- variables ---

    def _variables(self) -> dict[str, Any]:
        return {name: value for name, value in list(self._shell.user_ns.items()) if not _HIDDEN.fullmatch(str(name))}

    def _baseline(self, name: str, value: Any) -> None:
        """See to it that the variable is known as it is before the statement."""
        known = self._known.get(name)
        if known is not None and known.identity == id(value):
            # What is small is read again only to see that nothing changed unseen.
            is_fresh = known.step >= self._step - 1
            if is_fresh or not known.reading.is_small:
                return
        new = self._read(name, value)
        if known and new and known.identity == new.identity and _differ(known, new):
            late = {"changed": name, "after": known.step, "before": self._step}
            self._seen.write(json.dumps(late) + "\n")

    def _read(self, name: str, value: Any) -> _Known | None:
        """Read a variable anew; None when it cannot be, or costs too much by now."""
        known = self._known.pop(name, None)
        is_late = self._spent_seconds > _FREE_SECONDS + _SHARE * self._ran_seconds
        if is_late and known is not None and known.seconds > _LONG_SECONDS and known.identity == id(value):
            self._known[name] = known._replace(reading=known.reading._replace(digest="", is_complete=False))
            return None
        began = time.perf_counter()
        try:
            reading = self._read_value(value, _checksum, _LATE_SHARE if is_late else 1.0)
        except Exception:  # noqa: BLE001 - whatever the user's objects raise, they are not read
            return None
        if is_late and not reading.is_complete:
            # Read less far than it may have been before, it compares with nothing.
            reading = reading._replace(digest="")
        self._known[name] = _Known(id(value), reading, self._step, time.perf_counter() - began)
        return self._known[name]


def _differ(old: _Known | None, new: _Known | None) -> bool:
    """Whether two readings tell of a change; those cut short tell nothing."""
    digests = {each.reading.digest for each in (old, new) if each is not None and each.reading.digest}
    return len(digests) > 1


def _checksum(data: Any) -> bytes:
    """Return a quick digest, good enough to see a change within one process."""
    return zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(8, "little")


def _stores(node: ast.stmt) -> frozenset[str]:
    """Return the names that a statement binds itself, outside of functions and classes."""
    names: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(each.name)
            continue
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            names.add(each.id)
        # `x += 1` changes an array in place.
        waiting += [each.value] if isinstance(each, ast.AugAssign) else ast.iter_child_nodes(each)
    return frozenset(names)
