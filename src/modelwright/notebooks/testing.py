"""The tests of a project: a file for each module, which holds each function to what it gave in the notebook.

They need pytest and the project's own requirements, train nothing and write nothing on import, and work in any folder.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.notebooks import arranging, templates, wrapping
from modelwright.notebooks.layouts import Layout
from modelwright.notebooks.rendering import literal
from modelwright.records import Function, Plan

# Modules beside the tests that every conversion brings as they are, and one that a report's tests need.
_COPIED = ("tests/describing.py", "tests/stepping.py")
_COPIED_FOR_REPORT = "tests/depicting.py"
# What tests may import, and our own modules beside them.
_IMPORTABLE = ["importlib", "joblib", "json", "numpy", "os", "pandas", "pathlib", "pickle", "pytest", "subprocess"]
_GIVEN = (
    *(f"import {each}" for each in [*_IMPORTABLE, "sys"]),
    "from matplotlib import pyplot",
    "from unittest import mock",
)
_OURS = dict.fromkeys(("certainty", "contents", "describe", "difference", "overlaps", "plain", "said"), "describing")
_OURS |= {"depicted": "depicting"}
_RESERVED = frozenset(
    {
        *_OURS,
        *_IMPORTABLE,
        "sys",
        "given",
        "golden",
        "capsys",
        "noted",
        "before",
        "first",
        "second",
        "result",
        "parts",
        "inputs",
        "found",
        "expected",
        "TOLERANCE",
    }
)
# What a test of a function with a long name is said to show.
_IN_SHORT = {
    "gives_the_same_as_in_the_notebook": "gives_the_same",
    "prints_the_same_as_in_the_notebook": "prints_the_same",
    "gives_and_prints_the_same_as_in_the_notebook": "gives_and_prints_the_same",
    "gives_the_same_again_and_leaves_its_inputs_alone": "gives_the_same_again",
}


def copied(plan: Plan) -> tuple[str, ...]:
    """Return the paths of the modules that a plan's tests bring as they are."""
    return (_COPIED_FOR_REPORT, *_COPIED) if plan.report else _COPIED


def tests(plan: Plan, golden: Mapping[str, Any], layout: Layout) -> dict[str, str]:
    """Return the project's test files by path, for what `golden` holds."""
    here = Path(__file__)
    files = {each: here.with_name(Path(each).name).read_text(encoding="utf-8") for each in copied(plan)}
    files["tests/conftest.py"] = templates.CONFTEST
    files["tests/golden.json"] = _text(golden)
    modules = arranging.arrange(plan, layout).functions
    homes = {each.name: module for module, found in modules.items() for each in found} | {"main": layout.train}
    for module in dict.fromkeys([*modules, layout.train]):
        code = _module_tests(plan, golden, modules.get(module, ()), module, layout)
        name = module.rpartition(".")[2]
        files[f"tests/test_{name}.py"] = _file(f"Tests of {name}.py: each function by itself.", code, homes)
    if golden["pipeline"]:
        code = _pipeline_tests(golden)
        files["tests/test_pipeline.py"] = _file("Tests of pipeline.py.", code, {"pipeline": layout.pipeline})
    if golden["calls"]:
        named = {"TRAIN": layout.train, "PIPELINE": layout.pipeline, "MEASURED": plan.measured}
        code = templates.CALLS.format(constants="\n".join(_constant(name, text) for name, text in named.items()))
        files["tests/test_calls.py"] = _file("Tests of what main and pipeline call: some steps take long.", code, {})
    if golden["answer"] is not None:
        code = _score_tests(golden, layout)
        files["tests/test_score.py"] = _file("Tests of the scoring script.", code, homes)
    if golden["report"]:
        loose = golden["within"].get("report")
        code = templates.REPORT.replace("1e-9", repr(loose)) if loose else templates.REPORT
        files["tests/test_report.py"] = _file("Tests of report.py.", code, {"main": layout.report})
    more = [layout.pipeline, *([layout.score] if plan.score else []), *([layout.report] if plan.report else [])]
    code = _imports(sorted({*modules, layout.train, *more}), layout)
    files["tests/test_imports.py"] = _file("Tests of importing the modules.", code, {})
    return files


def _text(golden: Mapping[str, Any]) -> str:
    """Return JSON with a line for each list of plain values."""
    text = json.dumps(golden, indent=1)
    short = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: f"[{re.sub(chr(10) + ' *', ' ', found[1])}]", text)
    return (short if short == text or _is_same(short, golden) else text) + "\n"


def _is_same(text: str, golden: Mapping[str, Any]) -> bool:
    # As texts, for what is not a number is not equal to itself.
    return json.dumps(json.loads(text)) == json.dumps(golden)


def _file(purpose: str, code: str, homes: Mapping[str, str]) -> str:
    imports = arranging.import_lines(code, given=_GIVEN, homes={**homes, **_OURS}, module="")
    return "\n".join([f'"""{purpose}"""', "", *imports, "", code])


def _module_tests(
    plan: Plan, golden: Mapping[str, Any], functions: Sequence[Function], module: str, layout: Layout
) -> str:
    text = templates.TOLERANCE
    for each in functions:
        noted = golden["gives"].get(each.name)
        if noted is not None:
            text += _gives(each, noted, is_whole=golden["most rows"] is None) + _again(each, noted)
        for parameter in each.parameters:
            other = golden["with"].get(f"{each.name}.{parameter}")
            text += _heeds(each, parameter, other) if other is not None else ""
    if module == layout.train and golden["main"] is not None:
        text += templates.MAIN.format(check=_main_check(plan, golden))
    return text


def _imports(modules: Sequence[str], layout: Layout) -> str:
    """Return the test that importing the modules does nothing else."""
    project = "pathlib.Path(__file__).resolve().parents[1]"
    source = project if layout.source == "." else f'{project} / "{layout.source}"'
    listed = "\n".join(f'    "{each}",' for each in modules)
    return templates.IMPORTS.format(source=source, modules=listed)


# --- one function ---


def _local(function: Function, names: Sequence[str]) -> list[str]:
    """Return the names that values have in a test: their own, where nothing else is called so."""
    return [f"{each}_" if each in _RESERVED or each == function.name else each for each in names]


def _arrange(function: Function) -> str:
    names = _local(function, function.inputs)
    return "\n".join(wrapping.call("given", [f'"{function.name}"'], targets=names))


def _act(function: Function, *parameters: str) -> str:
    given = [*_local(function, function.inputs), *parameters]
    return "\n".join(wrapping.call(function.name, given, targets=_local(function, function.outputs)))


def _check(function: Function, held: Mapping[str, Any]) -> list[str]:
    """Return the lines that compare with what is `noted`."""
    lines, within = [], held["within"]
    for name in held["outputs"]:
        local = _local(function, [name])[0]
        lines += _compared(f"describe({local})", f'noted["outputs"]["{name}"]', within.get(name))
    if held["printed"] is not None:
        lines += _compared("said(capsys.readouterr().out)", 'noted["printed"]', within.get("printed"))
    return lines


def _fixtures(held: Mapping[str, Any]) -> list[str]:
    return ["given", "golden", *(["capsys"] if held["printed"] is not None else [])]


def _compared(one: str, other: str, within: float | None = None) -> list[str]:
    """Return the lines that compare two values, loosely where another number of threads gives others."""
    told = [] if within is None else ["    # Other numbers of threads give other floats."]
    plain = f"    assert difference({one}, {other}) <= {_tolerance(within)}"
    if len(plain) <= wrapping.WIDTH:
        return [*told, plain]
    return [
        f"    found = {one}",
        f"    expected = {other}",
        *told,
        f"    assert difference(found, expected) <= {_tolerance(within)}",
    ]


def _tolerance(within: float | None) -> str:
    return "TOLERANCE" if within is None else repr(within)


def _noted(kind: str, name: str) -> list[str]:
    """Return the lines that look up what was noted of a function, or of it with another value of a parameter."""
    plain = f'    noted = golden["{kind}"]["{name}"]'
    return [plain] if len(plain) <= wrapping.WIDTH else [f'    noted = golden["{kind}"][', f'        "{name}"', "    ]"]


def _header(function: str, does: str, fixtures: Sequence[str]) -> str:
    """Return the first lines of a test of what a function does, in fewer words where its name is long."""
    is_long = len(f"def test_{function}_{does}(") > wrapping.WIDTH
    name = f"{function}_{_IN_SHORT.get(does, does) if is_long else does}"
    return "\n".join(wrapping.parts(f"def test_{name}(", fixtures, "):", indent=0))


def _gives(function: Function, noted: Mapping[str, Any], *, is_whole: bool) -> str:
    text = ""
    check = _check(function, noted)
    does = [*(["gives"] if noted["outputs"] else []), *(["prints"] if noted["printed"] is not None else [])]
    if check:
        source = "in_the_notebook" if is_whole else "on_fewer_rows"
        text += templates.GIVES.format(
            header=_header(function.name, f"{'_and_'.join(does)}_the_same_as_{source}", _fixtures(noted)),
            arrange=_arrange(function),
            act=_act(function),
            check="\n".join([*_noted("gives", function.name), *check]),
        )
    if noted["overlaps"]:
        names = zip(function.outputs, _local(function, function.outputs), strict=True)
        check = wrapping.parts("parts = {", [f'"{name}": {local}' for name, local in names], "}")
        check += _noted("gives", function.name)
        check.append('    assert overlaps(parts) == noted["overlaps"]')
        text += templates.GIVES.format(
            header=_header(function.name, "keeps_test_rows_apart", ["given", "golden"]),
            arrange=_arrange(function),
            act=_act(function),
            check="\n".join(check),
        )
    return text


def _again(function: Function, noted: Mapping[str, Any]) -> str:
    """Return a test that a function gives the same twice and changes nothing that it is given, as far as it is so."""
    if noted["changes"] or not (function.inputs or noted["repeats"]):
        return ""
    # Several inputs are compared, and handed on, as the tuple that they come in.
    inputs = _local(function, function.inputs) if len(function.inputs) <= 1 else ["inputs"]
    call = f"{function.name}({'*' if len(function.inputs) > 1 else ''}{''.join(inputs)})"
    arrange = wrapping.call("given", [f'"{function.name}"'], targets=inputs)
    act, check = [f"    {call}"], []
    is_described = noted["repeats"] and noted["outputs"]
    if is_described:
        act = [line for each in ("first", "second") for line in wrapping.call("describe", [call], targets=[each])]
        check.append("    assert difference(second, first) == 0.0")
    if inputs:
        arrange.append(f"    before = describe({inputs[0]})")
        check.append(f"    assert difference(describe({inputs[0]}), before) == 0.0")
    if not check:
        return ""
    does = [*(["gives_the_same_again"] if is_described else []), *(["leaves_its_inputs_alone"] if inputs else [])]
    return templates.GIVES.format(
        header=_header(function.name, "_and_".join(does), ["given"]),
        arrange="\n".join(arrange),
        act="\n".join(act),
        check="\n".join(check),
    )


def _heeds(function: Function, parameter: str, held: Mapping[str, Any]) -> str:
    value = held["value"]
    if "raises" in held:
        lines = wrapping.call(
            function.name, [*_local(function, function.inputs), f"{parameter}={literal(value)}"], indent=8
        )
        return (
            templates.GIVES.format(
                header=_header(function.name, f"reads_the_file_of_{parameter}", ["given"]),
                arrange=_arrange(function),
                act=f"    with pytest.raises({held['raises']}):\n" + "\n".join(lines),
                check="",
            ).rstrip()
            + "\n"
        )
    return templates.GIVES.format(
        header=_header(function.name, f"heeds_{parameter}", _fixtures(held)),
        arrange=_arrange(function),
        act=_act(function, f"{parameter}={literal(value)}"),
        check="\n".join([*_noted("with", f"{function.name}.{parameter}"), *_check(function, held)]),
    )


# --- the whole ---


def _main_check(plan: Plan, golden: Mapping[str, Any]) -> str:
    within = golden["within"]
    text = "\n".join(_compared("said(text)", 'golden["main"]', within.get("main"))) + "\n"
    text += templates.MAIN_METRICS if golden["metrics"] else ""
    if golden["files"]:
        check = _compared("contents(saved)", 'golden["files"]', within.get("files"))
        text += templates.MAIN_CONTENTS.format(check="\n".join(check))
    elif golden.get("is saved"):
        text += templates.MAIN_SAVES.format(model_file=plan.model_file)
    if golden["predictions"] is None:
        return text
    path = f'saved / "{plan.model_file}"'
    read = path if plan.loader == "joblib" else f"({path}).read_bytes()"
    load = wrapping.call("joblib.load" if plan.loader == "joblib" else "pickle.loads", [read], targets=["model"])
    text += templates.MAIN_PREDICTIONS.format(load="\n".join(load), rows=_table(golden["rows"]))
    return text if golden["certainty"] is None else text + templates.MAIN_CERTAINTY


def _table(shown: Mapping[str, Any]) -> str:
    """Return the expression that makes the rows shown again, as a frame or as an array like the notebook's."""
    if shown["columns"] is not None:
        return 'pandas.DataFrame(table["rows"], columns=table["columns"])'
    texts = {isinstance(each, str) for row in shown["rows"] for each in (row if isinstance(row, list) else [row])}
    return 'numpy.array(table["rows"], dtype=object)' if len(texts) > 1 else 'numpy.array(table["rows"])'


def _pipeline_tests(golden: Mapping[str, Any]) -> str:
    held, within = golden["pipeline"], golden["within"]
    found = {
        "result": "describe(result)",
        "printed": "said(capsys.readouterr().out)",
        "files": 'contents(tmp_path / "outputs")',
    }
    check = []
    for key, expression in found.items():
        if key in held and (key != "files" or held[key]):
            check += _compared(expression, f'noted["{key}"]', within.get(f"pipeline.{key}"))
    return templates.TOLERANCE + templates.PIPELINE.format(check="\n".join(check))


def _score_tests(golden: Mapping[str, Any], layout: Layout) -> str:
    noted = golden["score"]
    check = _compared("json.loads(json.dumps(answer))", 'golden["answer"]', golden["within"].get("answer"))
    text = templates.SCORE.format(module=_constant("MODULE", layout.score), check="\n".join(check))
    text += templates.SCORE_REPEATS if noted["repeats"] else ""
    text += templates.SCORE_EARLY if noted["early"] == "NameError" else ""
    text += templates.SCORE_MISSING if noted["missing"] == "FileNotFoundError" else ""
    return text


def _constant(name: str, text: str) -> str:
    """Return the line or lines that give a text a name."""
    plain, short = f'{name} = "{text}"', f'    "{text}"'
    return f"{name} = (\n{short}\n)" if len(plain) > wrapping.WIDTH >= len(short) else plain
