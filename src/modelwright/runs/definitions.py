"""The functions behind a pipeline's calls: that they exist and take what they are given, and what `@step` says of them.

All of it is read from the source, before anything runs.
"""

import ast
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from modelwright.errors import ProjectInvalid
from modelwright.runs.closures import Code
from modelwright.runs.pipelines import Options, Pipeline, Step

# Types that are certainly not one another. Whatever else an annotation says is left to the run.
_DISTINCT = frozenset(
    {"DataFrame", "Series", "ndarray", "str", "bytes", "int", "float", "dict", "list", "tuple", "set", "None"}
)
_FITTING = frozenset({("int", "float")})
_OPTIONS = {each.name: each for each in fields(Options)}


def checked(pipeline: Pipeline, code: Code) -> Pipeline:
    """Return the pipeline with the options of its steps.

    Raises ProjectInvalid, with the line, when a function is missing, lacks an argument, is given one that it does not
    have, or one of another type than it says; and for options of `@step` that there are none of.
    """
    types: dict[str, str] = {}
    steps = []
    for step in pipeline.steps:
        function = _function(pipeline, step, code)
        if function is None:
            steps.append(step)
            continue
        _check_arguments(pipeline, step, function, types)
        types |= _output_types(step, function)
        module = code.module(step.module)
        assert module is not None  # noqa: S101 - its function was found in it
        steps.append(replace(step, options=_options(function, module.file)))
    return replace(pipeline, steps=tuple(steps))


def _function(pipeline: Pipeline, step: Step, code: Code) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the function's definition; None when it is made otherwise, or is not the project's."""
    module = code.module(step.module)
    if module is None:
        return None
    imported = module.imports.get(step.function)
    if step.function not in module.bindings and imported is None and not module.stars:
        raise _invalid(pipeline, step, f'"{step.module}" has no "{step.function}"')
    return module.definition(step.function)


def _check_arguments(
    pipeline: Pipeline, step: Step, function: ast.FunctionDef | ast.AsyncFunctionDef, types: dict[str, str]
) -> None:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    by_name = {each.arg: each for each in [*arguments.args, *arguments.kwonlyargs]}
    given = [each for each in step.arguments if each.keyword is None]
    if len(given) > len(positional) and not arguments.vararg:
        raise _invalid(pipeline, step, f'"{step.function}" takes {len(positional)} arguments and is given {len(given)}')
    unknown = [each.keyword for each in step.arguments if each.keyword and each.keyword not in by_name]
    if unknown and not arguments.kwarg:
        raise _invalid(pipeline, step, f'"{step.function}" has no parameter "{unknown[0]}"')
    pairs = [
        *zip(positional, given, strict=False),
        *((by_name[each.keyword], each) for each in step.arguments if each.keyword and each.keyword in by_name),
    ]
    filled = {parameter.arg for parameter, _ in pairs}
    optional = positional[len(positional) - len(arguments.defaults) :]
    needed = [each.arg for each in positional if each not in optional]
    needed += [
        each.arg for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value is None
    ]
    missing = [name for name in needed if name not in filled]
    if missing:
        raise _invalid(pipeline, step, f'"{step.function}" is not given its "{missing[0]}"')
    for parameter, argument in pairs:
        wanted, got = _type(parameter.annotation), types.get(argument.name or "")
        if wanted in _DISTINCT and got in _DISTINCT and wanted != got and (got, wanted) not in _FITTING:
            rule = f'"{step.function}" takes a {wanted} as "{parameter.arg}", and "{argument.name}" is a {got}'
            raise _invalid(pipeline, step, rule)


def _output_types(step: Step, function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    returned = function.returns
    if not step.is_unpacked:
        return {name: _type(returned) for name in step.outputs}
    parts = getattr(getattr(returned, "slice", None), "elts", None)
    if _type(returned) != "tuple" or parts is None or len(parts) != len(step.outputs):
        return {}
    return {name: _type(part) for name, part in zip(step.outputs, parts, strict=True)}


def _type(annotation: ast.expr | None) -> str:
    """Return the last word of a plain annotation, such as DataFrame of `pd.DataFrame`."""
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _type(value)
        case ast.Constant(value=None):
            return "None"
        case _:
            return ""


def _options(function: ast.FunctionDef | ast.AsyncFunctionDef, file: Path) -> Options:
    given: dict[str, Any] = {}
    for decorator in function.decorator_list:
        if not (isinstance(decorator, ast.Call) and _type(decorator.func) == "step"):
            continue
        for keyword in decorator.keywords:
            place = f"line {decorator.lineno}"
            if keyword.arg not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise ProjectInvalid(path=file, reason=f'{place}: @step has no "{keyword.arg}"; it has {known}')
            try:
                value = ast.literal_eval(keyword.value)
            except ValueError as error:
                raise ProjectInvalid(path=file, reason=f'{place}: "{keyword.arg}" must be a literal') from error
            given[str(keyword.arg)] = tuple(value) if isinstance(value, list) else value
    return Options(**given)


def _invalid(pipeline: Pipeline, step: Step, rule: str) -> ProjectInvalid:
    return ProjectInvalid(path=pipeline.file, reason=f"line {step.line}: {rule}")
