"""A plan into the project's files: `train.py`, `score.py` and `pipeline.py`, and tests of them.

The tests say that what each function gave when the notebook ran is what it must give again. They need pytest and the
project's own requirements, train nothing and write nothing on import, and work in any folder.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.notebooks import templates
from modelwright.notebooks.proof import expected_answer, sample_request
from modelwright.notebooks.rendering import literal, signature
from modelwright.records import Function, NotebookRun, Parameter, Plan

_DESCRIBING = Path(__file__).with_name("describing.py")

_WIDTH = 100


def modules(plan: Plan) -> dict[str, str]:
    """Return the project's modules by file name."""
    return {"train.py": train(plan), "score.py": plan.score, "pipeline.py": pipeline(plan)}


def train(plan: Plan) -> str:
    """Return `train.py`: the notebook's steps as functions, and a command line with its parameters."""
    imports = _with_argparse(plan.imports)
    parts = [
        f'"""Train the model of {plan.notebook}: a function for each step, and a command line."""\n\n'
        + "\n".join(imports),
        plan.definitions.strip("\n"),
        *(each.code.strip("\n") for each in plan.functions),
        _main(plan),
        'if __name__ == "__main__":\n    main()',
    ]
    text = "\n\n\n".join(each for each in parts if each) + "\n"
    # A module-level constant needs no two blank lines above it.
    return text.replace("\n\n\nPROJECT = ", "\n\nPROJECT = ", 1)


def pipeline(plan: Plan) -> str:
    """Return `pipeline.py`: one function whose calls are the steps of a run."""
    parameters = [*plan.parameters, Parameter("output_folder", "outputs")]
    lines = [_call(each) for each in plan.functions]
    results = [f'"model": {plan.model}']
    results += [f'"metrics": {plan.measured}'] if any(plan.measured in each.outputs for each in plan.functions) else []
    returned = f"return {{{', '.join(results)}}}"
    names = ", ".join(sorted(each.name for each in plan.functions))
    header = signature("pipeline", [], parameters)
    imports = f"from train import {names}"
    if len(imports) > _WIDTH:
        imports = (
            "from train import (\n"
            + "".join(f"    {each.name},\n" for each in sorted(plan.functions, key=lambda each: each.name))
            + ")"
        )
    body = "\n".join(f"    {line}" for line in (*lines, returned))
    return (
        f'"""The pipeline: every call is a step of its own, run in a process of its own."""\n\n{imports}\n\n\n'
        f'{header}\n    """Train, measure and save the model."""\n{body}\n'
    )


def _with_argparse(imports: Sequence[str]) -> list[str]:
    """Return the import lines with argparse among those of the standard library."""
    lines = list(imports)
    place = 0
    for number, line in enumerate(lines):
        if line.startswith("from __future__"):
            place = number + 2
    while place < len(lines) and lines[place].startswith("import ") and lines[place] < "import argparse":
        place += 1
    return [*lines[:place], "import argparse", *lines[place:]]


def _call(function: Function) -> str:
    given = [*function.inputs, *(f"{each}={each}" for each in function.parameters)]
    targets = ", ".join(function.outputs)
    arguments = ", ".join(given)
    return f"{targets} = {function.name}({arguments})" if targets else f"{function.name}({arguments})"


def _main(plan: Plan) -> str:
    flowing = {name for each in plan.functions for name in (*each.inputs, *each.outputs)}
    parser, arguments, name, value = (_free(each, flowing) for each in ("parser", "arguments", "name", "value"))
    lines = [f"{parser} = argparse.ArgumentParser(description=__doc__)"]
    lines += [f"{parser}.add_argument({_option(each)})" for each in plan.parameters]
    lines.append(f'{parser}.add_argument("--output-folder", default="outputs")')
    lines.append(f"{arguments} = {parser}.parse_args()")
    measuring = [each.name for each in plan.functions if plan.measured in each.outputs][-1:]
    for function in plan.functions:
        given = [
            *(f"{arguments}.output_folder" if each == "output_folder" else each for each in function.inputs),
            *(f"{each}={arguments}.{each}" for each in function.parameters),
        ]
        call = f"{function.name}({', '.join(given)})"
        lines.append(f"{', '.join(function.outputs)} = {call}" if function.outputs else call)
        if function.name in measuring:
            lines.append(f"for {name}, {value} in {plan.measured}.items():")
            lines.append(f'    print(f"{{{name}}}: {{{value}!r}}")')
    body = "\n".join(f"    {line}" for line in lines)
    purpose = "Train with the parameters of the command line, print the metrics, save the model."
    return f'def main():\n    """{purpose}"""\n{body}'


def _free(name: str, taken: Collection[str]) -> str:
    """Return a local name that none of the notebook's variables has."""
    return name if name not in taken else _free(f"{name}_", taken)


def _option(parameter: Parameter) -> str:
    flag = f'"--{parameter.name.replace("_", "-")}"'
    if isinstance(parameter.value, bool):
        return f"{flag}, action=argparse.BooleanOptionalAction, default={literal(parameter.value)}"
    return f"{flag}, type={type(parameter.value).__name__}, default={literal(parameter.value)}"


# --- tests ---


def golden(plan: Plan, training_run: NotebookRun, scoring_run: NotebookRun | None = None) -> dict[str, Any]:
    """Return what the notebooks gave, as the tests compare with it."""
    known = {each.name for each in plan.metrics}
    rows = _rows(training_run)

    def shown(values: object) -> object:
        """Return what the model gave for the rows that are shown, of what it gave for all that were put aside."""
        return values[: len(rows["rows"])] if rows and isinstance(values, list) else None

    return {
        "metrics": {name: value for name, value in training_run.metrics.items() if name in known},
        "parts": training_run.parts,
        "overlaps": {name: counts for name, counts in training_run.overlaps.items() if counts},
        "rows": rows,
        "predictions": shown(training_run.predictions),
        "certainty": shown(training_run.certainty),
        "request": sample_request(plan, training_run),
        "answer": expected_answer(plan, training_run, scoring_run),
    }


def tests(plan: Plan, golden: Mapping[str, Any]) -> dict[str, str]:
    """Return the project's test files by path, for what `golden` holds."""
    files = {
        "pytest.ini": templates.PYTEST_SETTINGS,
        "tests/conftest.py": templates.CONFTEST,
        "tests/describing.py": _DESCRIBING.read_text(encoding="utf-8"),
        "tests/golden.json": json.dumps(golden, indent=1) + "\n",
        "tests/test_train.py": _train_tests(plan, golden),
    }
    if golden["answer"] is not None:
        files["tests/test_score.py"] = templates.SCORE.format() + templates.IMPORT.format(module="score")
    return files


def _rows(run: NotebookRun) -> dict[str, Any] | None:
    """Return the rows shown if they can be made again from plain numbers and texts."""
    if not isinstance(run.rows, dict) or not isinstance(run.rows.get("rows"), list):
        return None
    values = [each for row in run.rows["rows"] for each in (row if isinstance(row, list) else [row])]
    return run.rows if all(isinstance(each, int | float | str) for each in values) else None


def _train_tests(plan: Plan, golden: Mapping[str, Any]) -> str:
    head = templates.TRAIN_HEAD.format(
        loader_import="" if golden["predictions"] is None else f"import {plan.loader}\n",
        functions=", ".join(sorted(each.name for each in plan.functions)),
        steps="\n".join(f"    {line}" for each in plan.functions for line in _step(each, golden)),
    )
    parts = [each.partition(".") for each in golden["parts"]]
    text = head + "".join(templates.PART.format(function=function, name=name) for function, _, name in parts)
    text += "".join(templates.OVERLAP.format(function=function) for function in golden["overlaps"])
    text += templates.METRICS.format(measured=plan.measured) if golden["metrics"] else ""
    text += "".join(_reaching(plan, name, keyword) for name, keyword in plan.estimator_keywords)
    text += templates.MAIN.format(predictions=_main_predictions(plan, golden))
    return _without_unused(text + templates.IMPORT.format(module="train"))


def _step(function: Function, golden: Mapping[str, Any]) -> list[str]:
    """Return the lines that call a function and note what it gave, before a later one changes it."""
    call = f"{function.name}({', '.join(function.inputs)})"
    lines = [f"{', '.join(function.outputs)} = {call}" if function.outputs else call]
    for name in function.outputs:
        part = f"{function.name}.{name}"
        if part in golden["parts"]:
            lines.append(f'parts_seen["{part}"] = describe({name})')
    if function.name in golden["overlaps"]:
        shown = ", ".join(f'"{name}": {name}' for name in function.outputs)
        lines.append(f"overlaps_seen = overlaps({{{shown}}})")
    return lines


def _reaching(plan: Plan, name: str, keyword: str) -> str:
    """Return a test that a parameter's other value reaches the model; no text if no other is sure to be right."""
    parameter = next(each for each in plan.parameters if each.name == name)
    other = _other(parameter)
    function = next((each for each in plan.functions if plan.model in each.outputs and name in each.parameters), None)
    if other is None or function is None:
        return ""
    given = [*(f"steps.{each}" for each in function.inputs), f"{name}={other!r}"]
    place = function.outputs.index(plan.model)
    return templates.REACHES.format(
        parameter=name,
        call=f"{function.name}({', '.join(given)})",
        pick="" if len(function.outputs) == 1 else f"[{place}]",
        keyword=keyword,
        other=repr(other),
    )


def _other(parameter: Parameter) -> int | float | None:
    """Return a valid value near the parameter's own; None for switches and texts, whose other values are not known."""
    value = parameter.value
    if isinstance(value, bool | str):
        return None
    return value + 1 if isinstance(value, int) else value / 2 or 0.5


def _main_predictions(plan: Plan, golden: Mapping[str, Any]) -> str:
    if golden["predictions"] is None:
        return templates.MAIN_SAVES.format(model_file=plan.model_file)
    path = f'tmp_path / "outputs" / "{plan.model_file}"'
    load = f"joblib.load({path})" if plan.loader == "joblib" else f"pickle.loads(({path}).read_bytes())"
    has_columns = golden["rows"]["columns"] is not None
    rows = 'pandas.DataFrame(table["rows"], columns=table["columns"])' if has_columns else 'numpy.array(table["rows"])'
    text = templates.MAIN_PREDICTIONS.format(load=load, rows=rows)
    return text if golden["certainty"] is None else text + templates.MAIN_CERTAINTY.format(rows=rows)


def _without_unused(text: str) -> str:
    """Return the module without imports that no test of this project uses, and with those that one does."""
    names = [each for each in ("certainty", "describe", "difference", "overlaps", "plain") if f"{each}(" in text]
    text = text.replace(
        "from describing import certainty, describe, difference, overlaps, plain",
        f"from describing import {', '.join(names)}",
    )
    if "pandas.DataFrame(" in text:
        text = text.replace("import pytest\n", "import pandas\nimport pytest\n", 1)
    if "numpy.array(" in text:
        text = text.replace("import pytest\n", "import numpy\nimport pytest\n", 1)
    return text
