"""A plan's report as a module: its plots as functions, and a command line that saves what they draw as pictures."""

from collections.abc import Sequence
from dataclasses import replace

from modelwright.notebooks import arranging, calling, importing, wrapping
from modelwright.records import Function, Plan, Report

FOLDER = "report"

_SAVING = '''\
@contextlib.contextmanager
def saved_figures(folder, name):
    """Save each figure that is shown or left open meanwhile as a picture, and print its path."""
    numbers = itertools.count(1)

    def save(*_given, **_named):
        for figure in map({pyplot}.figure, {pyplot}.get_fignums()):
            if figure.axes:
                number = next(numbers)
                path = os.path.join(folder, f"{{name}}_{{number}}.png" if number > 1 else f"{{name}}.png")
                figure.savefig(path, bbox_inches="tight")
                print(path)
        {pyplot}.close("all")

    {pyplot}.close("all")
    with mock.patch.object({pyplot}, "show", save):
        yield
        save()'''


def prefix(number: int, name: str) -> str:
    """Return what the names of a plot's pictures begin with; `number` counts the plots from 1."""
    return f"{number:02}_{name}"


def parts(plan: Plan) -> list[str]:
    """Return the code of a plan's report: what its plots need beside them, the plots, and the command line."""
    report = _report(plan)
    beside = [each for one in report.beside if one.code for each in arranging.definitions(one.code)]
    drawing = [*([report.style] if report.style else []), *report.plots]
    plots = [wrapping.wrapped(each.function.code.strip("\n")) for each in drawing]
    saving = _SAVING.format(pyplot=report.pyplot)
    return [arranging.joined(beside), *plots, saving, _main(plan), 'if __name__ == "__main__":\n    main()']


def imports(plan: Plan) -> list[str]:
    """Return the import lines for the code of a plan's report."""
    own = [f"import {each}" for each in ("argparse", "contextlib", "copy", "functools", "itertools", "os", "pathlib")]
    given = [*plan.imports, *_report(plan).imports, *own, "from unittest import mock"]
    pyplot = _report(plan).pyplot
    is_given = any(pyplot in importing.names_bound(each) for each in given)
    return given if is_given else [*given, f"import matplotlib.pyplot as {pyplot}"]


def _report(plan: Plan) -> Report:
    assert plan.report is not None  # noqa: S101 - asked for only of a plan that has one
    return plan.report


def _main(plan: Plan) -> str:
    """Return the function that runs the steps which the plots need, each plot as soon as what it draws is there."""
    report = _report(plan)
    flowing = {name for each in plan.functions for name in (*each.inputs, *each.outputs)}
    parser, arguments, folder = (calling.free(each, flowing) for each in ("parser", "arguments", "folder"))
    lines = [f"    {parser} = argparse.ArgumentParser(description=__doc__)"]
    for each in plan.parameters:
        lines += wrapping.call(f"{parser}.add_argument", calling.option(each))
    lines.append(f'    {parser}.add_argument("--output-folder", default="outputs")')
    lines.append(f"    {arguments} = {parser}.parse_args()")
    lines.append(f'    {folder} = os.path.join({arguments}.output_folder, "{FOLDER}")')
    lines.append(f"    os.makedirs({folder}, exist_ok=True)")
    lines.append(f'    {report.pyplot}.switch_backend("Agg")')
    lines += [f"    {report.style.function.name}()"] if report.style else []
    steps = {number for each in report.plots for number in each.needs}
    for number in range(len(plan.functions) + 1):
        for place, plot in enumerate(report.plots, start=1):
            if plot.after == number:
                lines.append(f'    with saved_figures({folder}, "{prefix(place, plot.function.name)}"):')
                lines += _call(plot.function, arguments, indent=8)
        if number in steps:
            later = [plan.functions[step] for step in steps if step > number]
            later += [plot.function for plot in report.plots if plot.after > number]
            lines += _call(_with_used_outputs(plan.functions[number], later), arguments)
    purpose = "Run the steps that the figures need, draw them, and print the path of each picture."
    return "\n".join(["def main():", f'    """{purpose}"""', *lines])


def _call(function: Function, arguments: str, *, indent: int = 4) -> list[str]:
    given = {each: each for each in function.inputs} | {each: f"{arguments}.{each}" for each in function.parameters}
    if "output_folder" in given:
        given["output_folder"] = f"{arguments}.output_folder"
    return calling.call(function, given, indent=indent)


def _with_used_outputs(function: Function, later: Sequence[Function]) -> Function:
    """Return a function without what it gives, if nothing later is given any of it."""
    used = {name for each in later for name in each.inputs}
    return function if used & set(function.outputs) else replace(function, outputs=())
