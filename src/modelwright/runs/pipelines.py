"""Reads a project's pipeline, a Python file, into a graph of steps, before anything runs."""

import ast
from dataclasses import dataclass, field
from pathlib import Path

from modelwright.errors import ParameterUnknown, ProjectInvalid


@dataclass(frozen=True)
class Argument:
    """What a step is called with: the value or parameter `name`, or the literal `value` when `name` is None."""

    keyword: str | None
    name: str | None
    value: object = None


@dataclass(frozen=True)
class Options:
    """What `@step(…)` says of a function; by default, nothing.

    `cpus` is how many processors it needs, `environment` the named one that it runs in instead of the project's, and
    `variables` are the environment variables that its outputs depend on.
    """

    cache: bool = True
    retries: int = 0
    retry_seconds: float = 1.0
    timeout_seconds: float | None = None
    cpus: int = 1
    environment: str | None = None
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One call of a function of the project; `outputs` are the names that its result, or the parts of it, are given."""

    name: str
    module: str
    function: str
    arguments: tuple[Argument, ...]
    outputs: tuple[str, ...]
    is_unpacked: bool
    line: int = 0
    options: Options = field(default_factory=Options)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the values and parameters that it takes."""
        return tuple(each.name for each in self.arguments if each.name is not None)


@dataclass(frozen=True)
class Pipeline:
    """A graph of steps in an order that satisfies them; `results` maps what the pipeline returns to value names."""

    parameters: dict[str, object]
    steps: tuple[Step, ...]
    results: dict[str, str]
    file: Path

    def bind(self, overrides: dict[str, object], *, folder: Path) -> dict[str, object]:
        """Return all parameters with `overrides` in place of the defaults. Raises ParameterUnknown."""
        for name in overrides:
            if name not in self.parameters:
                raise ParameterUnknown(name=name, known=", ".join(self.parameters) or "none", folder=folder)
        return self.parameters | overrides

    @property
    def modules(self) -> tuple[str, ...]:
        """The project's modules that its steps come from."""
        return tuple(dict.fromkeys(step.module for step in self.steps))

    def sources(self) -> set[str]:
        """Return the names of the values that come from outside: outputs of steps that take no other step's value."""
        values = {name for step in self.steps for name in step.outputs}
        return {
            output
            for step in self.steps
            if not any(argument.name in values for argument in step.arguments)
            for output in step.outputs
        }


def read_pipeline(path: Path) -> Pipeline:
    """Return the pipeline in the file `path`.

    It holds one function, `pipeline`, whose parameters have literal defaults and whose body is assignments of calls and
    a last `return` of a dictionary. Raises ProjectInvalid, with the line, for anything else.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ProjectInvalid(path=path, reason=error) from error
    modules = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "pipeline"]
    if len(functions) != 1:
        raise ProjectInvalid(path=path, reason='it must define one function called "pipeline"')
    return read_function(functions[0], file=path, modules=modules)


def read_function(function: ast.FunctionDef, *, file: Path, modules: dict[str, tuple[str, str]]) -> Pipeline:
    """Return the pipeline that a function's lines describe; `modules` says where the names that it calls come from.

    Raises ProjectInvalid, with the line in `file`.
    """
    return _Reader(file, modules).read(function)


@dataclass
class _Reader:
    path: Path
    modules: dict[str, tuple[str, str]]
    later: dict[str, int] = field(default_factory=dict)

    def read(self, function: ast.FunctionDef) -> Pipeline:
        parameters = self._parameters(function)
        known = set(parameters)
        steps: list[Step] = []
        *body, last = [node for node in function.body if not _is_docstring(node)]
        self.later = {name: node.lineno for node in body for name in _stored(node)}
        for node in body:
            step = self._step(node, known, taken={step.name for step in steps})
            steps.append(step)
            known |= set(step.outputs)
        return Pipeline(parameters, tuple(steps), self._results(last, known), self.path)

    def _parameters(self, function: ast.FunctionDef) -> dict[str, object]:
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        if arguments.vararg or arguments.kwarg or len(arguments.defaults) != len(positional):
            raise self._invalid(function, "every parameter of the pipeline needs a name and a default")
        pairs = [*zip(positional, arguments.defaults, strict=True)]
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is None:
                raise self._invalid(function, f'parameter "{argument.arg}" needs a default')
            pairs.append((argument, default))
        return {argument.arg: self._literal(default) for argument, default in pairs}

    def _step(self, node: ast.stmt, known: set[str], *, taken: set[str]) -> Step:
        match node:
            case ast.Expr(value=ast.Call() as call):
                targets: tuple[str, ...] = ()
                is_unpacked = False
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                targets, is_unpacked = (name,), False
            case ast.Assign(targets=[ast.Tuple(elts=elements)], value=ast.Call() as call):
                targets, is_unpacked = tuple(self._name(each) for each in elements), True
            case _:
                raise self._invalid(node, "each line of the pipeline is a call of a step: outputs = function(inputs)")
        if not isinstance(call.func, ast.Name) or call.func.id not in self.modules:
            raise self._invalid(node, "a step is a function imported by name: from train import FUNCTION")
        module, function = self.modules[call.func.id]
        count = sum(1 for each in taken if each.partition("-")[0] == function)
        return Step(
            name=f"{function}-{count + 1}" if count else function,
            module=module,
            function=function,
            arguments=(
                *(self._argument(each, None, known) for each in call.args),
                *(self._argument(each.value, each.arg, known) for each in call.keywords),
            ),
            outputs=targets,
            is_unpacked=is_unpacked,
            line=node.lineno,
        )

    def _argument(self, node: ast.expr, keyword: str | None, known: set[str]) -> Argument:
        if isinstance(node, ast.Name):
            if node.id not in known and self.later.get(node.id, 0) >= node.lineno:
                rule = f'"{node.id}" is made only in line {self.later[node.id]}: a step takes what steps above it made'
                raise self._invalid(node, rule)
            if node.id not in known:
                raise self._invalid(node, f'"{node.id}" is neither a parameter nor the output of a step above')
            return Argument(keyword, node.id)
        return Argument(keyword, None, self._literal(node))

    def _results(self, node: ast.stmt, known: set[str]) -> dict[str, str]:
        if not (isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)):
            raise self._invalid(node, 'the pipeline ends with: return {"model": model, "metrics": metrics}')
        results = {}
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            name = self._name(value)
            if key is None or name not in known:
                raise self._invalid(value, f'"{name}" is not the output of a step')
            results[str(self._literal(key))] = name
        return results

    def _name(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Name):
            raise self._invalid(node, "only plain names may stand here")
        return node.id

    def _literal(self, node: ast.expr) -> object:
        try:
            return ast.literal_eval(node)
        except ValueError as error:
            raise self._invalid(node, "only literals, parameters and values may stand here") from error

    def _invalid(self, node: ast.AST, rule: str) -> ProjectInvalid:
        return ProjectInvalid(path=self.path, reason=f"line {getattr(node, 'lineno', 1)}: {rule}")


def _stored(node: ast.stmt) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
