"""Tests of a project that hold what its notebook gave.

They say that what each function gave when the notebook ran is what it must give again. They need pytest and the
project's own requirements, train nothing and write nothing on import, and work in any folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.notebooks import arranging, templates, wrapping
from modelwright.notebooks.layouts import Layout
from modelwright.notebooks.proof import expected_answer, sample_request
from modelwright.records import Function, NotebookRun, Parameter, Plan

_DESCRIBING = Path(__file__).with_name("describing.py")

# What tests may import, and our own module beside them.
_IMPORTABLE = ["importlib", "joblib", "json", "numpy", "os", "pandas", "pathlib"]
_IMPORTABLE += ["pickle", "pytest", "subprocess", "sys", "types"]
_GIVEN = tuple(f"import {each}" for each in _IMPORTABLE)
_OURS = dict.fromkeys(("certainty", "describe", "difference", "overlaps", "plain"), "describing")


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


def tests(plan: Plan, golden: Mapping[str, Any], layout: Layout) -> dict[str, str]:
    """Return the project's test files by path, for what `golden` holds."""
    files = {
        "tests/conftest.py": templates.CONFTEST,
        "tests/describing.py": _DESCRIBING.read_text(encoding="utf-8"),
        "tests/golden.json": json.dumps(golden, indent=1) + "\n",
        "tests/test_train.py": _train_tests(plan, golden, layout),
    }
    if golden["answer"] is not None:
        code = templates.SCORE.format(module=layout.score) + templates.IMPORT.format(name="score", module=layout.score)
        purpose = "Tests of the scoring script against what its notebook answered."
        files["tests/test_score.py"] = _test_module(purpose, code, {"main": layout.train, **_OURS})
    return files


def _test_module(purpose: str, code: str, homes: Mapping[str, str]) -> str:
    """Return a module of tests with the imports that its code needs."""
    imports = arranging.import_lines(code, given=_GIVEN, homes=homes, module="")
    return "\n".join([f'"""{purpose}"""', "", *imports, "", code])


def _rows(run: NotebookRun) -> dict[str, Any] | None:
    """Return the rows shown if they can be made again from plain numbers and texts."""
    if not isinstance(run.rows, dict) or not isinstance(run.rows.get("rows"), list):
        return None
    values = [each for row in run.rows["rows"] for each in (row if isinstance(row, list) else [row])]
    return run.rows if all(isinstance(each, int | float | str) for each in values) else None


def _train_tests(plan: Plan, golden: Mapping[str, Any], layout: Layout) -> str:
    text = templates.STEPS.format(steps="\n".join(line for each in plan.functions for line in _step(each, golden)))
    parts = [each.partition(".") for each in golden["parts"]]
    text += "".join(templates.PART.format(function=function, name=name) for function, _, name in parts)
    text += "".join(templates.OVERLAP.format(function=function) for function in golden["overlaps"])
    text += templates.METRICS.format(measured=plan.measured) if golden["metrics"] else ""
    text += "".join(_reaching(plan, name, keyword) for name, keyword in plan.estimator_keywords)
    text += templates.MAIN.format(predictions=_main_predictions(plan, golden))
    text += templates.IMPORT.format(name="train", module=layout.train)
    modules = arranging.arrange(plan, layout).functions
    homes = {each.name: module for module, found in modules.items() for each in found}
    purpose = "Tests of each step of the training against what its notebook gave."
    return _test_module(purpose, text, {"main": layout.train, **homes, **_OURS})


def _step(function: Function, golden: Mapping[str, Any]) -> list[str]:
    """Return the lines that call a function and note what it gave, before a later one changes it."""
    lines = wrapping.call(function.name, function.inputs, targets=function.outputs)
    for name in function.outputs:
        part = f"{function.name}.{name}"
        if part in golden["parts"]:
            lines.append(f'    parts_seen["{part}"] = describe({name})')
    if function.name in golden["overlaps"]:
        shown = [f'"{name}": {name}' for name in function.outputs]
        lines += wrapping.parts("overlaps_seen = {", shown, "}")
        lines.append("    overlaps_seen = overlaps(overlaps_seen)")
    return lines


def _reaching(plan: Plan, name: str, keyword: str) -> str:
    """Return a test that a parameter's other value reaches the model; no text if no other is sure to be right."""
    parameter = next(each for each in plan.parameters if each.name == name)
    other = _other(parameter)
    function = next((each for each in plan.functions if plan.model in each.outputs and name in each.parameters), None)
    if other is None or function is None:
        return ""
    given = [*(f"steps.{each}" for each in function.inputs), f"{name}={other!r}"]
    lines = wrapping.call(function.name, given, targets=("model",))
    lines[-1] += "" if len(function.outputs) == 1 else f"[{function.outputs.index(plan.model)}]"
    return templates.REACHES.format(
        parameter=name,
        call="\n".join(lines),
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
