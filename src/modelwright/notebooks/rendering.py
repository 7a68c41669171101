"""Stages into source code: the user's own lines, with parameters for literals and paths that hold in any folder."""

import ast
import builtins
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import libcst as cst

from modelwright.notebooks import headings, seeds, sentences, shaping, wrapping
from modelwright.notebooks import names as naming
from modelwright.notebooks.closures import Closures
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.measuring import Measure
from modelwright.notebooks.parameters import Parameters
from modelwright.notebooks.results import Results
from modelwright.notebooks.shaping import EVALUATE, LOAD, PREPARE, REPORT, SAVE, SPLIT, TRAIN, Stage
from modelwright.notebooks.statements import Statement, Syntax
from modelwright.records import Function, Parameter

_WIDTH = 100
_HEADING_WIDTH = 70
METRICS = "dict[str, float]"
_DRAWS = "# Only for the random numbers that it draws: those below come after them."
_PURPOSE = {
    LOAD: "Load the data.",
    SPLIT: "Split the data into the rows to learn from and the rows to test with.",
    PREPARE: "Prepare the rows for the model.",
    TRAIN: "Train the model.",
    EVALUATE: "Measure the model; return its metrics by name.",
    SAVE: "Save the model in `output_folder`.",
    REPORT: "Draw a figure.",
}


@dataclass(frozen=True)
class Context:
    """What the rendering of every statement needs: edits of expressions by statement, and the metrics.

    `hidden` are the names of Python's own that are others in the notebook, `draws` the statements that stay only for
    the random numbers that they draw.
    """

    flow: Flow
    edits: Mapping[int, Sequence[tuple[ast.expr, str]]]
    measures: Mapping[int, Sequence[Measure]]
    defaults: Mapping[str, Parameter]
    measured: str = "metrics"
    shows: frozenset[int] = frozenset()
    closures: Closures = field(default_factory=Closures)
    seed: str = "seed"
    hidden: frozenset[str] = frozenset()
    draws: frozenset[int] = frozenset()

    def can_say(self, annotation: str) -> bool:
        """Whether the names in a type mean what they say: a notebook may have a variable called `list`."""
        return self.hidden.isdisjoint(re.findall(r"\w+", annotation))


def context(
    flow: Flow,
    results: Results,
    parameters: Parameters,
    *,
    paths: Mapping[int, Sequence[tuple[ast.expr, str]]],
    closures: Closures,
    draws: frozenset[int],
) -> Context:
    """Return the context. `paths` are the expressions of file paths with what takes their place, by statement."""
    edits: dict[int, list[tuple[ast.expr, str]]] = {}
    for literal in parameters.literals:
        edits.setdefault(literal.statement, []).append((literal.expression, literal.parameter))
    for index, replaced in paths.items():
        edits.setdefault(index, []).extend(replaced)
    measures: dict[int, list[Measure]] = {}
    for each in results.measures:
        measures.setdefault(each.statement, []).append(each)
    bound = {name for each in flow.effects for name in each.binds | each.changes | each.reads}
    measured = next(each for each in ("metrics", "measured_metrics", "_metrics") if each not in bound)
    defaults = {each.name: each for each in parameters.values}
    seed = next(each for each in ("seed", "random_seed", "seed_of_draws") if each not in bound and each not in defaults)
    defaults[seed] = Parameter(seed, seeds.SEED)
    hidden = set().union(flow.names.imports, *(each.binds | each.changes for each in flow.effects))
    return Context(
        flow,
        edits,
        measures,
        defaults,
        measured,
        results.shows,
        closures,
        seed,
        frozenset(hidden & vars(builtins).keys()),
        draws,
    )


def function(stage: Stage, known: Context, *, extra: Sequence[str] = (), metrics_so_far: bool = False) -> Function:
    """Return a stage as a function. `extra` lines end its body, before what it returns.

    `metrics_so_far` says that an earlier stage measured too: its metrics come in and go out again with the new ones.
    """
    inputs, outputs = list(stage.inputs), list(stage.outputs)
    body: list[cst.BaseStatement] = [cst.parse_statement(f'"""{_purpose(stage, known)}"""')]
    if stage.role == SAVE:
        body.append(cst.parse_statement("os.makedirs(output_folder, exist_ok=True)"))
    body += [_parsed(f"{_seeding(each, known.flow)}({known.seed})") for each in stage.seeds]
    for index in stage.statements:
        body += statement(known.flow.statements[index], known)
    body += [_parsed(line) for line in extra]
    if measures_of(stage, known):
        inputs += [known.measured] if metrics_so_far else []
        body += _measured(stage, known, outputs, metrics_so_far=metrics_so_far)
        outputs = [known.measured, *outputs]
    elif outputs:
        body.append(_returning(outputs))
    inputs += ["output_folder"] if _writes(body) else []
    given = (*stage.parameters, *([known.seed] if stage.seeds else []))
    defaults = [known.defaults[each] for each in given]
    types = {"output_folder": "str", known.measured: METRICS, **types_of(defaults)}
    types = {name: found for name, found in types.items() if name in {*inputs, *given} and known.can_say(found)}
    returns = "" if outputs else "None"
    if outputs == [known.measured] and known.can_say(METRICS):
        returns = METRICS
    header = signature(stage.name, inputs, defaults, types=types, returns=returns)
    role = shaping.ROLE_NAMES[stage.role]
    places = tuple((known.flow.statements[each].cell, known.flow.statements[each].line) for each in stage.statements)
    code = _without_unused(_definition(header, body))
    return Function(stage.name, tuple(inputs), tuple(outputs), given, code, role, places, types, returns)


def _without_unused(code: str) -> str:
    """Return a function's code without the variables that only held what a call returns."""
    while True:
        below_purpose = cast("ast.FunctionDef", ast.parse(code).body[0]).body[1:]
        shorter = cst.parse_module(code).visit(_Unused(_read_in(below_purpose))).code
        if shorter == code:
            return code
        code = shorter


def _read_in(body: Iterable[ast.stmt]) -> set[str]:
    """Return the names that statements read, change or delete, and those in their texts: some query tables."""
    found: set[str] = set()
    for each in (node for one in body for node in ast.walk(one)):
        match each:
            case ast.Name(id=name, ctx=ast.Load() | ast.Del()) | ast.AugAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Constant(value=str(text)):
                found.update(re.findall(r"\w+", text))
    return found


class _Unused(cst.CSTTransformer):
    """Turns assignments of calls to names that nothing reads into calls."""

    def __init__(self, read: Collection[str]) -> None:
        super().__init__()
        self.read = read

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.BaseSmallStatement:
        target = original_node.targets[0].target
        is_one = len(original_node.targets) == 1 and isinstance(target, cst.Name) and target.value not in self.read
        if is_one and isinstance(original_node.value, cst.Call):
            return cst.Expr(updated_node.value)
        return updated_node


def types_of(parameters: Sequence[Parameter]) -> dict[str, str]:
    """Return the types of parameters, which are those of their defaults."""
    return {each.name: type(each.value).__name__ for each in parameters}


def _purpose(stage: Stage, known: Context) -> str:
    """Return what a function is for: by the text above it, the heading that it is named after, or its role."""
    told = sentences.purpose(_text_above(stage, known.flow))
    if told:
        return told
    own = stage.name.partition("_")[2]
    first = known.flow.statements[stage.statements[0]] if stage.statements else None
    heading = first.heading if first else ""
    words = re.sub(r"[^\w\s,:'()/+-]", "", heading).strip(" .:-")
    # `split_data` is not named after a heading "Data".
    is_named_after = stage.name not in shaping.PLAIN_NAMES and own == shaping.heading_words(heading)
    # Of several functions from one section, the heading tells of the first.
    is_first = first is not None and first.index <= min(_working(first.cell, known.flow), default=first.index)
    is_told = is_first and bool(headings.headings(first.markdown if first else ""))
    if own and is_named_after and is_told and len(words) <= _HEADING_WIDTH:
        return f"{words[0].upper()}{words[1:]}."
    if stage.name.startswith(shaping.TESTS_NAME):
        return "Test hypotheses about the data."
    thing = "the model" if stage.name in shaping.PLAIN_NAMES or is_named_after else _thing(own, known.flow)
    are_several = bool(re.fullmatch(r"models(_\d+)?", own))
    thing = "the models" if are_several else thing
    if stage.role == EVALUATE:
        measured = f"Measure {thing}; return {'their' if are_several else 'its'} metrics by name."
        return measured if measures_of(stage, known) else f"Look at what {thing} {'give' if are_several else 'gives'}."
    return f"Train {thing}." if stage.role == TRAIN else _PURPOSE[stage.role]


def _thing(own: str, flow: Flow) -> str:
    """Return what a function works on that is named after a variable, or else after a class, and may have a number."""
    variables = {name.lower(): name for each in flow.statements for name in shaping.stored(flow, each.index)}
    for name in (own, re.sub(r"_\d+$", "", own)):
        if name in variables and name != "model":
            return f"`{variables[name]}`"
    words = re.sub(r"_\d+$|_?model", "", own).replace("_", " ").strip()
    return f"the {words} model" if words else "the model"


def _text_above(stage: Stage, flow: Flow) -> str:
    """Return the text above the cell that a function comes from; nothing where text or function tell of more."""
    if not stage.statements:
        return ""
    first = flow.statements[stage.statements[0]]
    here = [each for each in stage.statements if flow.statements[each].cell == first.cell]
    is_one_section = all(flow.statements[each].heading == first.heading for each in stage.statements)
    is_this = _working(first.cell, flow) <= set(here) and 2 * len(here) >= len(stage.statements)
    return first.markdown if is_one_section and is_this else ""


def _working(cell: int, flow: Flow) -> set[int]:
    """Return the statements of a cell that give variables a value or change one, but for imports."""
    inside = [each.index for each in flow.statements if each.cell == cell and not naming.is_import(each.tree)]
    written = {each: flow.effects[each].binds | flow.effects[each].changes for each in inside}
    return {each for each, names in written.items() if any(not name.startswith("<") for name in names)}


def seed_imports(stages: Sequence[Stage], flow: Flow) -> list[str]:
    """Return the modules whose random state the stages seed, but for those that the notebook imports."""
    return sorted(each for each in _seeded(stages) if not _own_names(each, flow))


def seed_names(stages: Sequence[Stage], flow: Flow) -> frozenset[str]:
    """Return the notebook's own names of the modules whose random state the stages seed."""
    return frozenset(name for each in _seeded(stages) for name in _own_names(each, flow)[:1])


def _seeded(stages: Sequence[Stage]) -> set[str]:
    return {seeds.FUNCTIONS[each][0] for stage in stages for each in stage.seeds}


def _seeding(state: str, flow: Flow) -> str:
    """Return the function that seeds a random state, by the notebook's own name of its module if it has one."""
    module, function = seeds.FUNCTIONS[state]
    return f"{next(iter(_own_names(module, flow)), module)}.{function}"


def _own_names(module: str, flow: Flow) -> list[str]:
    """Return the names that the notebook's cells import a module by."""
    trees = [each.tree for each in flow.statements if isinstance(each.tree, ast.Import)]
    return [name for tree in trees for name, origin in naming.imported_names(tree).items() if origin == module]


def measures_of(stage: Stage, known: Context) -> list[Measure]:
    """Return the metrics that a stage measures."""
    return [each for index in stage.statements for each in known.measures.get(index, ())]


def _writes(body: Sequence[cst.BaseStatement]) -> bool:
    """Whether statements name the folder of results."""
    return "output_folder" in cst.Module([]).code_for_node(cst.IndentedBlock(body))


def statement(one: Statement, known: Context) -> list[Syntax]:
    """Return a statement with its edits.

    Of one that shows metrics, these are assigned; what it shows beyond them is printed.
    """
    edits = {one.syntax_of(node): code for node, code in known.edits.get(one.index, ())}
    shown = [each for each in known.measures.get(one.index, ()) if not each.is_bound]
    lines: list[Syntax] = []
    for each in shown:
        expression = one.syntax_of(each.expression)
        edited = cast("cst.BaseExpression", _edited(expression, edits))
        lines.append(_assignment(cst.Name(each.name), edited))
        edits = {**edits, expression: each.name}
    if not shown or one.index in known.shows:
        lines.append(_printing(one, cast("Syntax", _edited(one.syntax, edits)), known))
    if one.is_displayed and one.index in known.shows and isinstance(one.tree, ast.Assign):
        lines.append(_parsed(f"print({ast.unparse(one.tree.targets[0])})"))
    lines = [each for line in lines for each in _unwrapped(line)]
    told = [cst.EmptyLine(comment=cst.Comment(_DRAWS))] if one.index in known.draws else []
    lines[0] = lines[0].with_changes(leading_lines=[*_comments(one.syntax), *told])
    return [cast("Syntax", known.closures.applied(each, one.index)) for each in lines]


def _unwrapped(line: Syntax) -> list[Syntax]:
    """Return a statement after those that give values a name which it names in the middle of an expression."""
    if not isinstance(line, cst.SimpleStatementLine) or not isinstance(line.body[0], cst.Assign):
        return [line]
    inside = _Named()
    rest = cast("Syntax", line.visit(inside))
    return [*(_assignment(name, value) for name, value in inside.found), rest]


def _assignment(target: cst.BaseExpression, value: cst.BaseExpression) -> Syntax:
    is_whole = _is_one_line(value) or value.lpar
    whole = value if is_whole else value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(cast("cst.Name", target))], whole)])


# What runs some of its expressions never, or more than once.
_SOMETIMES = (cst.Lambda, cst.IfExp, cst.BooleanOperation, cst.BaseComp)


class _Named(cst.CSTTransformer):
    """Takes the values out that are given a name whenever the statement runs, and leaves the names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.BaseExpression, cst.BaseExpression]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        return not isinstance(node, _SOMETIMES) and super().on_visit(node)

    def leave_NamedExpr(self, original_node: cst.NamedExpr, updated_node: cst.NamedExpr) -> cst.BaseExpression:
        self.found.append((original_node.target, updated_node.value))
        return original_node.target


def prints(tree: ast.stmt) -> bool:
    """Whether a statement is a call of `print` or `display`."""
    call = tree.value if isinstance(tree, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"print", "display"}


def _printing(one: Statement, syntax: Syntax, known: Context) -> Syntax:
    """Return a statement that prints what a notebook shows by itself: the value of a cell's last expression."""
    if one.index not in known.shows or not isinstance(one.tree, ast.Expr):
        return syntax.visit(_Displays())  # type: ignore[return-value]
    call = one.tree.value
    if prints(one.tree):
        return syntax.visit(_Displays())  # type: ignore[return-value]
    expression = cast("cst.Expr", cast("cst.SimpleStatementLine", syntax).body[0]).value
    if not one.is_displayed or known.flow.names.is_silent(call):
        return syntax
    seen = known.flow.seen.get(one.index)
    if seen is not None and seen.printed.lstrip().startswith(("<", "array(")):
        # Sparse matrices and arrays print otherwise than a notebook shows them.
        expression = cst.Call(cst.Name("repr"), [cst.Arg(expression)])
    printed = cst.Call(cst.Name("print"), [cst.Arg(expression)])
    return cst.SimpleStatementLine([cst.Expr(printed)])


class _Displays(cst.CSTTransformer):
    """Prints what a notebook displays."""

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        is_display = isinstance(original_node.func, cst.Name) and original_node.func.value == "display"
        return updated_node.with_changes(func=cst.Name("print")) if is_display else updated_node


def definitions(flow: Flow, indices: Sequence[int], known: Context) -> str:
    """Return statements that stand at the module's level, two blank lines around functions and classes."""
    parts = [cst.Module(statement(flow.statements[index], known)).code.strip("\n") for index in indices]
    text = ""
    previous_is_block = False
    for part, index in zip(parts, indices, strict=True):
        is_block = isinstance(flow.statements[index].tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        text += ("\n\n\n" if is_block or previous_is_block else "\n") if text else ""
        text += part
        previous_is_block = is_block
    return f"{text}\n" if text else ""


def signature(
    name: str, inputs: Sequence[str], parameters: Sequence[Parameter], *, types: Mapping[str, str], returns: str
) -> str:
    """Return a function's header with the `types` that are known, wrapped where it would be too wide."""
    given = [f"{each}: {types[each]}" if each in types else each for each in inputs]
    for each in parameters:
        value = literal(each.value)
        given.append(f"{each.name}: {types[each.name]} = {value}" if each.name in types else f"{each.name}={value}")
    end = f") -> {returns}:" if returns else "):"
    plain = f"def {name}({', '.join(given)}{end}"
    return plain if len(plain) <= _WIDTH else f"def {name}(\n" + "".join(f"    {each},\n" for each in given) + end


def literal(value: float | str) -> str:
    """Return a value as Python source, texts in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _measured(stage: Stage, known: Context, outputs: Sequence[str], *, metrics_so_far: bool) -> list[cst.BaseStatement]:
    """Return the statements that return a stage's metrics, and then its outputs."""
    new = [wrapping.parts(f'"{each.name}": float(', [each.place], ")", indent=8) for each in measures_of(stage, known)]
    entries = [*([f"**{known.measured}"] if metrics_so_far else []), *("\n".join(each).lstrip() for each in new)]
    whole = ", ".join(["{" + ", ".join(entries) + "}", *outputs])
    if not outputs:
        return [_parsed("\n".join(_unindented(wrapping.parts("return {", entries, "}"))))]
    if len(f"    return {whole}") <= _WIDTH:
        return [_parsed(f"return {whole}")]
    bound = wrapping.parts(f"{known.measured} = {{", entries, "}")
    return [_parsed("\n".join(_unindented(bound))), _returning([known.measured, *outputs])]


def _returning(outputs: Sequence[str]) -> cst.BaseStatement:
    """Return the statement that returns names, each on a line of its own where one line is too short."""
    plain = f"return {', '.join(outputs)}"
    if len(f"    {plain}") <= _WIDTH:
        return _parsed(plain)
    return _parsed("return (\n" + "".join(f"    {each},\n" for each in outputs) + ")")


def _unindented(lines: Sequence[str]) -> list[str]:
    """Return a statement's lines without the indentation that the body of its function gives them."""
    return [each[4:] for line in lines for each in line.splitlines()]


def _parsed(line: str) -> cst.SimpleStatementLine | cst.BaseCompoundStatement:
    return cst.parse_statement(line)


def _definition(header: str, body: Sequence[cst.BaseStatement]) -> str:
    module = cst.parse_module(f"{header}\n    pass\n")
    empty = cast("cst.FunctionDef", module.body[0])
    return module.with_changes(body=[empty.with_changes(body=cst.IndentedBlock(body=body))]).code


class _Replace(cst.CSTTransformer):
    """Puts code in the place of the given expressions."""

    def __init__(self, edits: Mapping[cst.BaseExpression, str]) -> None:
        super().__init__()
        self.edits = {id(node): code for node, code in edits.items()}

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        code = self.edits.get(id(original_node))
        return updated_node if code is None else cst.parse_expression(code)


def _edited(node: cst.CSTNode, edits: Mapping[cst.BaseExpression, str]) -> cst.CSTNode:
    if not edits:
        return node
    return cast("cst.CSTNode", node.visit(_Replace(edits)))


def _is_one_line(expression: cst.BaseExpression) -> bool:
    code = cst.Module([]).code_for_node(expression)
    return "\n" not in code or bool(re.match(r"[\w.]+\(", code))


def _comments(syntax: Syntax) -> list[cst.EmptyLine]:
    """Return the comments right above a statement."""
    lines = list(syntax.leading_lines)
    kept = [each for each in lines if each.comment is not None]
    # Comments that hang in the air above a blank line belong to what stood there.
    blank = next((number for number in range(len(lines) - 1, -1, -1) if lines[number].comment is None), -1)
    return [each for each in lines[blank + 1 :] if each.comment is not None] or kept
