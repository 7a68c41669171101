"""The way from raw rows to the model, taken out of a training notebook: what scoring has to do again with new rows.

A replay starts from a table of the notebook, the entry, and repeats the statements that made of it what the model is
given. What was learnt from the rows on the way is saved beside the model. Whether a replay is true is not decided here:
it is tried in the notebook's own kernel, and later in the project.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelwright.notebooks import constants, names, rowwise, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import RANDOM
from modelwright.notebooks.learning import Learning
from modelwright.notebooks.splicing import spliced
from modelwright.records import ProbePoint

_TABLE = re.compile(
    r"pandas\.(core\.(frame|series)\.)?(DataFrame|Series)$|numpy\.\w+\[|builtins\.list$|scipy\.sparse\."
)
_ROWS = re.compile(_TABLE.pattern.replace(r"|builtins\.list$", ""))
# Attributes that are no columns.
_OF_TABLES = frozenset({"target", "data", "values", "T", "labels"})
PREPARE = "prepare_rows"
OTHER_ROWS = "it brings in rows of another table"
NOT_ON_THE_WAY = "the model's rows do not come from it"


class NotReplayable(Exception):
    """A statement that cannot be done again with the rows of a request."""

    def __init__(self, statement: int, problem: str) -> None:
        """Keep the statement's index, and what it does that cannot be repeated."""
        super().__init__(problem)
        self.statement = statement
        self.problem = problem


@dataclass(frozen=True, eq=False)
class Replay:
    """A way from the `entry`, as statement `start` made it, to what the model is given.

    `code` is a function that goes it, and ends with the expression `given`. `saved` are the names that it takes from
    training, `hoists` what takes the place of expressions there, by statement, so that they have them; `steps` are the
    statements repeated, each with the line of `code` that it starts at. `targets` are columns that a request does not
    have. `splits` are the expressions of all rows and of those taken of them, with the statement.
    """

    entry: str
    start: int
    code: str
    given: str
    saved: tuple[str, ...] = ()
    hoists: Mapping[int, Sequence[tuple[ast.expr, str]]] = field(default_factory=dict)
    steps: Mapping[int, int] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    splits: tuple[tuple[int, str, str], ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why there is no replay from a table: the statement in the way, and what it does."""

    start: int
    statement: int
    problem: str


def replays(
    flow: Flow, learning: Learning, *, at: int, rows: ast.expr, model: str
) -> tuple[list[Replay], list[Refusal]]:
    """Return the ways to `rows`, which statement `at` gives to `model`, from the rawest table on; and those refused.

    Without a trace there are none: which variables hold tables is not known.
    """
    targets = _targets(flow, learning, model)
    found: list[Replay] = []
    refused: list[Refusal] = []
    for start, entry in _entries(flow, at):
        try:
            found.append(_Walk(flow, learning, start=start, entry=entry, targets=targets, model=model).to(at, rows))
        except NotReplayable as stop:
            refused.append(Refusal(start, stop.statement, stop.problem))
    return found, refused


def _entries(flow: Flow, at: int) -> list[tuple[int, str]]:
    """Return the tables on the way to a statement, in the order in which they come to be."""
    return [
        (index, name)
        for index in sorted(flow.ancestors(frozenset({at})))
        if index in flow.seen and not _is_configuration(flow.statements[index].tree)
        for name in sorted(flow.effects[index].binds)
        if _TABLE.match(flow.seen[index].kinds.get(name, ""))
    ]


def _is_configuration(tree: ast.stmt) -> bool:
    return names.is_definition(tree) or names.is_literal(tree)


def _targets(flow: Flow, learning: Learning, model: str) -> tuple[str, ...]:
    """Return the columns that the model learns to tell, as far as the code names them."""
    for index, name in reversed(learning.fits):
        if name != model:
            continue
        for node in ast.walk(flow.statements[index].tree):
            is_fit = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_fit and node.func.attr in vocabulary.FITTING_METHODS and len(node.args) > 1:  # type: ignore[attr-defined]
                return tuple(sorted(_columns_behind(flow, index, node.args[1], set())))  # type: ignore[attr-defined]
    return ()


def _columns_behind(  # noqa: C901, PLR0911 - a case for each way to name a column
    flow: Flow, at: int, expression: ast.expr, seen: set[tuple[int, str]]
) -> set[str]:
    """Return the columns that an expression of the target comes from: by name, or "#-1" by number."""
    match expression:
        case ast.Subscript(value=ast.Name(), slice=ast.Constant(value=str() as column)):
            return {column}
        case ast.Subscript(value=ast.Attribute(attr="iloc"), slice=ast.Tuple(elts=[ast.Slice(), position])):
            number = constants.scalar(position)
            return {f"#{number}"} if isinstance(number, int) else set()
        case ast.Subscript(value=ast.Name(), slice=ast.List(elts=columns)):
            return {str(each.value) for each in columns if isinstance(each, ast.Constant)}
        case ast.Call(func=ast.Attribute(value=ast.Name(), attr="pop"), args=[ast.Constant(value=str() as column)]):
            return {column}
        case ast.Attribute(value=ast.Name(id=table), attr=column) if column not in _OF_TABLES:
            return {column} if not flow.names.imports.get(table) else set()
        case ast.Name(id=name):
            found: set[str] = set()
            for giver in _givers(flow, name, at):
                if (giver, name) in seen or name not in flow.effects[giver].binds:
                    continue
                seen.add((giver, name))
                value = _value_of(flow, giver, name)
                found |= _columns_behind(flow, giver, value, seen) if value is not None else set()
            return found
        case ast.Call(func=function, args=given):
            inner = [*given, *([function.value] if isinstance(function, ast.Attribute) else [])]
            return set().union(*(_columns_behind(flow, at, each, seen) for each in inner)) if inner else set()
        case ast.Attribute(value=inner_value) | ast.Subscript(value=inner_value):
            return _columns_behind(flow, at, inner_value, seen)
        case ast.BinOp(left=left, right=right):
            return _columns_behind(flow, at, left, seen) | _columns_behind(flow, at, right, seen)
    return set()


def _givers(flow: Flow, name: str, before: int) -> list[int]:
    """Return the statements that may have given a name what it holds, the last one first."""
    found = []
    for index in range(before - 1, -1, -1):
        if name in flow.effects[index].changes | flow.effects[index].binds:
            found.append(index)
        if name in flow.effects[index].binds:
            break
    return found


def _value_of(flow: Flow, index: int, name: str) -> ast.expr | None:
    """Return the expression whose value an assignment gives to a name; of a split, the rows that it splits."""
    tree = flow.statements[index].tree
    if not isinstance(tree, ast.Assign):
        return None
    for target in tree.targets:
        if isinstance(target, ast.Name) and target.id == name:
            return tree.value
        if isinstance(target, ast.Tuple | ast.List):
            places = [at for at, each in enumerate(target.elts) if isinstance(each, ast.Name) and each.id == name]
            if not places:
                continue
            if isinstance(tree.value, ast.Tuple) and len(tree.value.elts) == len(target.elts):
                return tree.value.elts[places[0]]
            split = _split_rows(flow, tree.value, places[0])
            if split is not None:
                return split
    return None


def _split_rows(flow: Flow, value: ast.expr, place: int) -> ast.expr | None:
    """Return the rows of which a split's result at a place is a part."""
    if not isinstance(value, ast.Call) or flow.names.origin(value.func) not in vocabulary.SPLITTERS:
        return None
    return value.args[place // 2] if place // 2 < len(value.args) else None


class _Walk:
    """Goes back from what the model is given to one entry."""

    def __init__(
        self, flow: Flow, learning: Learning, *, start: int, entry: str, targets: Sequence[str], model: str
    ) -> None:
        self.flow = flow
        self.learning = learning
        self.start = start
        self.entry = entry
        self.targets = tuple(targets)
        self.model = model
        self.from_entry = flow.descendants(frozenset({start}))
        self.lines: dict[int, str] = {}
        self.saved: dict[str, int] = {}
        self.hoists: dict[int, list[tuple[ast.expr, str]]] = {}
        self.splits: list[tuple[int, str, str]] = []
        self.done: set[tuple[int, str]] = set()
        self.is_met = False
        fits = [name for _, name in learning.fits]
        self.refitted = frozenset(name for name in fits if fits.count(name) > 1) & learning.transformers
        self.taken = {name for each in flow.effects for name in each.binds | each.reads | each.changes}

    def to(self, at: int, rows: ast.expr) -> Replay:
        """Return the replay that ends with `rows`. Raises NotReplayable."""
        given = self._done_again(at, rows)
        if not self.is_met:
            raise NotReplayable(self.start, NOT_ON_THE_WAY)
        body = [(index, line) for index, line in sorted(self.lines.items()) if line]
        # A request is not split: what only names the rows taken says nothing.
        while body and (same := re.fullmatch(rf"{re.escape(given)} = (\w+)", body[-1][1])):
            given = same[1]
            body.pop()
        steps, text = {}, [f"def {PREPARE}({self.entry}):", '    """Return what the model is given for raw rows."""']
        for index, line in body:
            steps[index] = len(text) + 1
            text += [f"    {each}" if each else "" for each in line.splitlines()]
        text.append(f"    return {given}")
        return Replay(
            entry=self.entry,
            start=self.start,
            code="\n".join(text) + "\n",
            given=given,
            saved=tuple(self.saved),
            hoists=self.hoists,
            steps=steps,
            targets=self.targets,
            splits=tuple(self.splits),
        )

    # --- names ---

    def _need(self, name: str, at: int) -> None:
        """See to it that a name holds in scoring what it held before statement `at`."""
        if name in self.flow.names.imports or name == self.model:
            return
        for giver in _givers(self.flow, name, at):
            if giver == self.start and name == self.entry:
                self.is_met = True
                return
            if (giver, name) in self.done:
                continue
            if names.is_definition(self.flow.statements[giver].tree):
                self._definition(giver)
            elif giver > self.start and giver in self.from_entry and not self._is_learnt(name, giver):
                self.done.add((giver, name))
                self._again(giver, name)
            elif names.is_literal(self.flow.statements[giver].tree) and len(_givers(self.flow, name, at)) == 1:
                self.lines[giver] = self.flow.statements[giver].source
            else:
                self._save(name, giver, at)
                return

    def _definition(self, index: int) -> None:
        statement = self.flow.statements[index]
        read = names.global_reads(statement.tree)
        for name in read:
            givers = [each.index for each in self.flow.statements if name in self.flow.effects[each.index].binds]
            if any(names.is_definition(self.flow.statements[each].tree) for each in givers):
                if (givers[-1], name) not in self.done and givers[-1] != index:
                    self.done.add((givers[-1], name))
                    self._definition(givers[-1])
            elif givers and name not in self.flow.names.imports:
                raise NotReplayable(index, f'it reads the variable "{name}" of the notebook')
        if rowwise.mixes_rows(statement.tree):
            raise NotReplayable(index, "it looks at many rows at once")

    def _is_learnt(self, name: str, giver: int) -> bool:
        """Whether a name holds something learnt from rows rather than rows."""
        if name in {each for _, each in self.learning.fits}:
            return True
        value = _value_of(self.flow, giver, name)
        if isinstance(value, ast.Call):
            last = value.func.attr if isinstance(value.func, ast.Attribute) else ""
            along = any(each.arg == "axis" and getattr(each.value, "value", 0) == 1 for each in value.keywords)
            if last in rowwise.SUMMARIES and not along:
                return True
        seen = self.flow.seen.get(giver)
        kind = seen.kinds.get(name, "") if seen else ""
        if kind.startswith("builtins.list"):
            return not _goes_through_rows(value)
        return bool(kind) and not _ROWS.match(kind)

    def _save(self, name: str, giver: int, at: int) -> None:
        """Have training save what a name holds."""
        seen = self.flow.seen.get(giver)
        kind = seen.kinds.get(name, "") if seen else ""
        if giver not in self.from_entry and _ROWS.match(kind) and not kind.endswith(",1]"):
            raise NotReplayable(giver, OTHER_ROWS)
        for later in range(at, len(self.flow.statements)):
            if name in self.flow.effects[later].binds | self.flow.effects[later].changes:
                raise NotReplayable(later, f'"{name}" is another one by then')
        self.saved.setdefault(name, giver)

    # --- statements ---

    def _again(self, index: int, name: str) -> None:
        """Do a statement again, as far as it gives `name` its rows."""
        tree = self.flow.statements[index].tree
        seen = self.flow.seen.get(index)
        if self.flow.effects[index].changes & RANDOM and not self._only_chooses(index, name):
            raise NotReplayable(index, "it draws random numbers")
        if seen is not None and seen.read:
            raise NotReplayable(index, "it reads a file")
        if self._is_about_target(tree):
            return
        value = _value_of(self.flow, index, name)
        if value is None:
            self._whole(index, name)
            return
        assert isinstance(tree, ast.Assign)  # noqa: S101 - only assignments have a value
        target = tree.targets[0]
        if isinstance(target, ast.Tuple) and not isinstance(tree.value, ast.Tuple):
            self.splits.append((index, self.flow.statements[index].source_of(value), name))
        else:
            chosen = rowwise.chosen_rows(value, self.flow.names)
            if chosen is not None:
                self.splits.append((index, ast.unparse(chosen), name))
            while chosen is not None:
                value, chosen = chosen, rowwise.chosen_rows(chosen, self.flow.names)
        code = self._done_again(index, value)
        line = "" if code == name else f"{name} = {code}"
        self.lines[index] = "\n".join(filter(None, [self.lines.get(index, ""), line]))

    def _only_chooses(self, index: int, name: str) -> bool:
        value, tree = _value_of(self.flow, index, name), self.flow.statements[index].tree
        is_split = isinstance(tree, ast.Assign) and value is not None and value is not tree.value
        return is_split or (value is not None and rowwise.chosen_rows(value, self.flow.names) is not None)

    def _is_about_target(self, tree: ast.stmt) -> bool:
        """Whether a statement only changes the column that is to be told, or takes it out."""
        if not isinstance(tree, ast.Assign):
            return False
        match tree.targets[0]:
            case ast.Subscript(slice=ast.Constant(value=column)) | ast.Attribute(attr=column):
                return column in self.targets
        return False

    def _whole(self, index: int, name: str) -> None:
        """Do a statement again that changes a table rather than binds one."""
        statement = self.flow.statements[index]
        tree = statement.tree
        if (
            isinstance(tree, ast.Assign)
            and isinstance(tree.value, ast.Call)
            and name in self.flow.effects[index].changes
        ):
            method = tree.value.func
            if isinstance(method, ast.Attribute) and method.attr == "pop":
                self.lines[index] = ast.unparse(tree.value)
                return
        if isinstance(tree, ast.Expr) and rowwise.chosen_rows(tree.value, self.flow.names) is not None:
            return
        if not isinstance(tree, ast.Assign | ast.AugAssign | ast.Expr | ast.For | ast.Delete | ast.If):
            raise NotReplayable(index, "it is not known what it does to a row")
        self.lines[index] = spliced(statement.lines, tree, self._look(index, tree))

    def _done_again(self, index: int, expression: ast.expr) -> str:
        """Return the code that gives for a request what an expression of a statement gave."""
        edits = self._look(index, expression)
        return spliced(self.flow.statements[index].lines, expression, edits)

    def _look(self, index: int, tree: ast.AST) -> list[tuple[ast.expr, str]]:
        """Return what takes the place of expressions in scoring, having seen to all that they need."""
        read = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
        read &= self.flow.effects[index].reads | self.flow.effects[index].changes
        rows = frozenset(
            name
            for name in read
            if name not in self.flow.names.imports
            and any(
                each == self.start or (each in self.from_entry and not self._is_learnt(name, each))
                for each in _givers(self.flow, name, index)
            )
        )
        reader = rowwise.Reader(self.flow.names, rows, self.taken, refitted=self.refitted)
        reader.visit(tree)
        found = reader.found
        if found.problem:
            raise NotReplayable(index, found.problem)
        if found.hoists:
            self.hoists[index] = found.hoists
        gone = {id(each) for node, text in found.edits for each in ast.walk(node) if not text.endswith(".transform")}
        left = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and id(each) not in gone}
        remade = {text.partition(".")[0] for _, text in found.edits if text.endswith(".transform")}
        for _, text in found.edits:
            left |= {each.id for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Name)}
        hoisted = {name for name in found.saved if any(f"{name} :=" in text for _, text in found.hoists)}
        for name in found.saved:
            if name in hoisted:
                self.saved.setdefault(name, index)
            elif name in remade:
                self._save(name, index, index + 1)
        handled = set(found.saved) | (self.refitted if hoisted else set())
        called = set().union(
            *(self.flow.names.functions[each].reads for each in left & self.flow.names.functions.keys())
        )
        for name in sorted(
            (left & read | left & self.flow.names.functions.keys() | (called & self.flow.names.functions.keys()))
            - handled
        ):
            self._need(name, index)
        return found.edits


def _goes_through_rows(value: ast.expr | None) -> bool:
    """Whether a list has an entry for each row: it is made in a loop over one, not over columns."""
    match value:
        case ast.ListComp(generators=[ast.comprehension(iter=through), *_]):
            return not any(isinstance(each, ast.Attribute) and each.attr == "columns" for each in ast.walk(through))
    return False


# --- what is looked at to try a replay ---


def place(flow: Flow, point: ProbePoint) -> tuple[int, ast.expr] | None:
    """Return the statement that a point looks behind, and the expression that it looks at."""
    for each in flow.statements:
        if (each.cell, each.end_line) != (point.cell, point.line):
            continue
        for node in ast.walk(each.tree):
            if not isinstance(node, ast.expr) or isinstance(node, ast.Starred):
                continue
            if spliced(each.lines, node, ()) == point.expression:
                return each.index, node
    return None


def points(flow: Flow, found: Sequence[Replay], *, model: str, final: tuple[int, int]) -> list[ProbePoint]:
    """Return where the raw rows are put aside, and where the replays are tried, after `final` cell and line."""
    result: dict[tuple[int, str], ProbePoint] = {}
    for each in found:
        one = flow.statements[each.start]
        result[each.start, each.entry] = ProbePoint(
            one.cell, one.end_line, "raw", f"{each.start}.{each.entry}", each.entry
        )
        for index, every, some in each.splits:
            split = flow.statements[index]
            # All rows may be another object by then; their number and labels are what counts.
            name = f"split {index}.{some}"
            result[index, name] = ProbePoint(split.cell, split.end_line, "split", name, f"({every}, {some})")
    for number, each in enumerate(found):
        asked = {
            "code": each.code,
            "raw": f"{each.start}.{each.entry}",
            "targets": list(each.targets),
            "splits": [f"split {index}.{some}" for index, _, some in sorted(each.splits, reverse=True)],
            "hoists": [text for hoists in each.hoists.values() for _, text in hoists],
        }
        text = f'{{"asked": {asked!r}, "model": {model}}}'
        result[number, "<replay>"] = ProbePoint(*final, "replay", f"replay.{number}", text)
    return list(result.values())
