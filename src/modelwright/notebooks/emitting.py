"""A plan into the modules of a project: a package of functions, a command line, a scoring script and a pipeline."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from modelwright.notebooks import arranging, calling, importing, picturing, wrapping
from modelwright.notebooks.arranging import Arrangement
from modelwright.notebooks.layouts import Layout
from modelwright.notebooks.rendering import signature, types_of
from modelwright.records import Function, Parameter, Plan


def modules(plan: Plan, layout: Layout) -> dict[str, str]:
    """Return the project's modules by path: those that the layout names and the plan has something for."""
    arranged = arranging.arrange(plan, layout)
    texts = {module: _stage_module(plan, arranged, layout, module) for module in arranged.modules}
    texts[layout.train] = _train(plan, arranged, layout)
    if plan.score:
        texts[layout.score] = _score(plan, arranged, layout)
    if plan.report:
        purpose = f"Draw what the model of {_named(plan)} gives: a function for each figure, and a command line."
        given = picturing.imports(plan)
        texts[layout.report] = _module(purpose, picturing.parts(plan), given, arranged, layout, layout.report)
    texts[layout.pipeline] = _pipeline(plan, arranged, layout)
    for module in list(texts):
        folder = module.rpartition(".")[0]
        while folder:
            texts.setdefault(folder, f"{_docstring(_package_purpose(plan, layout, folder))}\n")
            folder = folder.rpartition(".")[0]
    return {layout.file(module): texts[module] for module in sorted(texts)}


def _package_purpose(plan: Plan, layout: Layout, folder: str) -> str:
    if folder == layout.package:
        return f"The model of {_named(plan)}: how it is trained, and how it scores."
    return {
        "training": "How the model is trained.",
        "evaluate": "How the model is measured.",
        "scoring": "How the model scores.",
        "util": "What several modules share.",
    }[folder.rpartition(".")[2]]


def _stage_module(plan: Plan, arranged: Arrangement, layout: Layout, module: str) -> str:
    purposes = {
        layout.data: f"The data of {_named(plan)}: loaded, and split into rows to learn from and rows to test with.",
        layout.features: f"The features of {_named(plan)}: what the model is given.",
        layout.evaluation: f"How good the model of {_named(plan)} is.",
        layout.components: f"Functions and classes of {_named(plan)} that the modules share.",
        layout.package: _package_purpose(plan, layout, layout.package),
    }
    return _module(purposes.get(module, ""), _parts(arranged, module), plan.imports, arranged, layout, module)


def _train(plan: Plan, arranged: Arrangement, layout: Layout) -> str:
    """Return the module that trains: its steps as functions, and a command line with the project's parameters."""
    parts = [*_parts(arranged, layout.train), _main(plan), 'if __name__ == "__main__":\n    main()']
    purpose = f"Train the model of {_named(plan)}: a function for each step, and a command line."
    return _module(purpose, parts, [*plan.imports, "import argparse"], arranged, layout, layout.train)


def _score(plan: Plan, arranged: Arrangement, layout: Layout) -> str:
    purpose, imports, code = arranging.opened(plan.score)
    return _module(purpose, [wrapping.wrapped(code)], imports, arranged, layout, layout.score)


def _pipeline(plan: Plan, arranged: Arrangement, layout: Layout) -> str:
    """Return the module with one function whose calls are the steps of a run."""
    parameters = [*plan.parameters, Parameter("output_folder", "outputs")]
    results = [f'"model": {plan.model}'] if plan.model else []
    results += [f'"metrics": {plan.measured}'] if any(plan.measured in each.outputs for each in plan.functions) else []
    lines = ['    """Train, measure and save the model."""']
    for each in _heard(plan):
        lines += calling.call(each, {name: name for name in (*each.inputs, *each.parameters)})
    lines += wrapping.parts("return {", results, "}")
    header = signature("pipeline", [], parameters, types=types_of(parameters), returns="dict")
    code = "\n".join([header, *lines])
    purpose = "The pipeline: every call is a step of its own, run in a process of its own."
    return _module(purpose, [code], [], arranged, layout, layout.pipeline)


def _main(plan: Plan) -> str:
    flowing = {name for each in plan.functions for name in (*each.inputs, *each.outputs)}
    parser, arguments, name, value = (calling.free(each, flowing) for each in ("parser", "arguments", "name", "value"))
    lines = [f"    {parser} = argparse.ArgumentParser(description=__doc__)"]
    for each in plan.parameters:
        lines += wrapping.call(f"{parser}.add_argument", calling.option(each))
    lines.append(f'    {parser}.add_argument("--output-folder", default="outputs")')
    functions = _heard(plan)
    is_used = any(each.parameters or "output_folder" in each.inputs for each in functions)
    lines.append(f"    {arguments} = {parser}.parse_args()" if is_used else f"    {parser}.parse_args()")
    measuring = [each.name for each in plan.functions if plan.measured in each.outputs][-1:]
    for function in functions:
        given = {each: each for each in function.inputs} | {each: f"{arguments}.{each}" for each in function.parameters}
        if "output_folder" in given:
            given["output_folder"] = f"{arguments}.output_folder"
        lines += calling.call(function, given)
        if function.name in measuring:
            lines.append(f"    for {name}, {value} in {plan.measured}.items():")
            lines.append(f'        print(f"{{{name}}}: {{{value}!r}}")')
    purpose = "Train with the parameters of the command line, print the metrics, save the model."
    return "\n".join(["def main() -> None:", f'    """{purpose}"""', *lines])


def _heard(plan: Plan) -> list[Function]:
    """Return the functions as they are called one after the other: without outputs where nothing after takes any."""
    wanted = {plan.model, plan.measured}
    found = []
    for each in reversed(plan.functions):
        found.append(each if wanted & set(each.outputs) else replace(each, outputs=()))
        wanted |= set(each.inputs)
    return found[::-1]


def _parts(arranged: Arrangement, module: str) -> list[str]:
    """Return the code that stands in a module: definitions, then functions."""
    functions = [wrapping.wrapped(each.code.strip("\n")) for each in arranged.functions.get(module, ())]
    return [arranging.joined(arranged.definitions.get(module, ())), *functions]


def _module(
    purpose: str, parts: Sequence[str], given: Sequence[str], arranged: Arrangement, layout: Layout, module: str
) -> str:
    """Return a module's text: what it is for, the imports that its code needs of those `given`, its code."""
    code = "\n\n\n".join(each for each in parts if each)
    head = _docstring(purpose)
    if "PROJECT" in arranging.unresolved(code):
        path, given = _path_class(code, given)
        # A path that is computed from the module's own holds in any folder.
        line = f"PROJECT = {path}(__file__).resolve().parents[{layout.depth(module)}]"
        code = f"{line}\n\n\n{code}" if _begins_with_block(code) or code.startswith("#") else f"{line}\n{code}"
    imports = arranging.import_lines(code, given=given, homes=arranged.homes, module=module, beside=arranged.beside)
    head += "\n\n" + "\n".join(imports) if imports else ""
    return f"{head}\n\n\n{code}\n" if _begins_with_block(code) else f"{head}\n\n{code}\n"


def _begins_with_block(code: str) -> bool:
    """Whether code begins with a function or class, comments above it included."""
    first = next((line for line in code.splitlines() if not line.startswith("#")), "")
    return first.startswith(("def ", "class ", "async ", "@"))


def _docstring(purpose: str) -> str:
    """Return what a module is for as its docstring, on several lines where one is too short."""
    plain = f'"""{purpose}"""'
    return plain if len(plain) <= wrapping.WIDTH else "\n".join(textwrap.wrap(plain[:-3], wrapping.WIDTH - 3)) + '\n"""'


def _path_class(code: str, given: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return what makes a path in a module, and the imports with it, whatever the user calls `Path`."""
    import_it = "from pathlib import Path"
    others = [each for each in given if "Path" in importing.names_bound(each) and each != import_it]
    if others or "Path" in arranging.bound(code):
        return "pathlib.Path", [*given, "import pathlib"]
    return "Path", [*given, import_it]


def _named(plan: Plan) -> str:
    """Return the notebook's name as a docstring can hold it."""
    return plan.notebook.replace("\\", "/").replace('"', "'")
