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

# Modules beside the tests that every conversion brings as they are.
COPIED = ("tests/describing.py", "tests/stepping.py")
# What tests may import, and our own modules beside them.
_IMPORTABLE = ["importlib", "joblib", "json", "numpy", "os", "pandas", "pathlib", "pickle", "pytest", "subprocess"]
_GIVEN = tuple(f"import {each}" for each in [*_IMPORTABLE, "sys"])
_OURS = dict.fromkeys(("certainty", "describe", "difference", "overlaps", "plain", "said"), "describing")
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
        "parts",
        "TOLERANCE",
        "SOURCE",
    }
)


def tests(plan: Plan, golden: Mapping[str, Any], layout: Layout) -> dict[str, str]:
    """Return the project's test files by path, for what `golden` holds."""
    here = Path(__file__)
    files = {each: here.with_name(Path(each).name).read_text(encoding="utf-8") for each in COPIED}
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
    if golden["answer"] is not None:
        code = _score_tests(golden, layout)
        files["tests/test_score.py"] = _file("Tests of the scoring script.", code, homes)
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
    text = templates.HEAD
    for each in functions:
        noted = golden["gives"].get(each.name)
        if noted is not None:
            text += _gives(each, noted, is_whole=golden["most rows"] is None) + _again(each, noted)
        for parameter in each.parameters:
            other = golden["with"].get(f"{each.name}.{parameter}")
            text += _heeds(each, parameter, other) if other is not None else ""
    if module == layout.train and golden["main"] is not None:
        text += templates.MAIN.format(check=_main_check(plan, golden))
    return text + templates.IMPORT.format(name=module.rpartition(".")[2], module=module)


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
    lines = []
    for name in held["outputs"]:
        lines += _compared(f"describe({_local(function, [name])[0]})", f'noted["outputs"]["{name}"]')
    if held["printed"] is not None:
        lines += _compared("said(capsys.readouterr().out)", 'noted["printed"]')
    return lines


def _fixtures(held: Mapping[str, Any]) -> list[str]:
    return ["given", "golden", *(["capsys"] if held["printed"] is not None else [])]


def _compared(one: str, other: str) -> list[str]:
    return wrapping.parts("assert difference(", [one, other], ") <= TOLERANCE")


def _header(name: str, fixtures: Sequence[str]) -> str:
    return "\n".join(wrapping.parts(f"def test_{name}(", fixtures, "):", indent=0))


def _gives(function: Function, noted: Mapping[str, Any], *, is_whole: bool) -> str:
    text = ""
    check = _check(function, noted)
    does = [*(["gives"] if noted["outputs"] else []), *(["prints"] if noted["printed"] is not None else [])]
    if check:
        source = "in_the_notebook" if is_whole else "on_fewer_rows"
        text += templates.GIVES.format(
            header=_header(f"{function.name}_{'_and_'.join(does)}_the_same_as_{source}", _fixtures(noted)),
            arrange=_arrange(function),
            act=_act(function),
            check="\n".join([f'    noted = golden["gives"]["{function.name}"]', *check]),
        )
    if noted["overlaps"]:
        names = zip(function.outputs, _local(function, function.outputs), strict=True)
        check = wrapping.parts("parts = {", [f'"{name}": {local}' for name, local in names], "}")
        check.append(f'    noted = golden["gives"]["{function.name}"]')
        check.append('    assert overlaps(parts) == noted["overlaps"]')
        text += templates.APART.format(
            function=function.name, arrange=_arrange(function), act=_act(function), check="\n".join(check)
        )
    return text


def _again(function: Function, noted: Mapping[str, Any]) -> str:
    """Return a test that a function gives the same twice and changes nothing that it is given, as far as it is so."""
    if noted["changes"] or not (function.inputs or noted["repeats"]):
        return ""
    inputs = _local(function, function.inputs)
    call = f"{function.name}({', '.join(inputs)})"
    whole = "(" + ", ".join(inputs) + ("," if len(inputs) == 1 else "") + ")"
    arrange = [_arrange(function)]
    check = []
    if inputs:
        arrange.append(f"    before = describe({whole})")
        check.append(f"    assert difference(describe({whole}), before) == 0.0")
    is_described = noted["repeats"] and noted["outputs"]
    act = [f"    first = describe({call})"] if is_described else [f"    {call}"]
    if is_described:
        check.append(f"    assert difference(describe({call}), first) == 0.0")
    if not check:
        return ""
    does = [*(["gives_the_same_again"] if is_described else []), *(["leaves_its_inputs_alone"] if inputs else [])]
    return templates.GIVES.format(
        header=_header(f"{function.name}_{'_and_'.join(does)}", ["given"]),
        arrange="\n".join(arrange),
        act="\n".join(act),
        check="\n".join(check),
    )


def _heeds(function: Function, parameter: str, held: Mapping[str, Any]) -> str:
    value = held["value"]
    act = _act(function, f"{parameter}={literal(value)}")
    name = f"{function.name}_heeds_{parameter}"
    if "raises" in held:
        lines = wrapping.call(
            function.name, [*_local(function, function.inputs), f"{parameter}={literal(value)}"], indent=8
        )
        return (
            templates.GIVES.format(
                header=_header(f"{function.name}_reads_the_file_of_{parameter}", ["given"]),
                arrange=_arrange(function),
                act=f"    with pytest.raises({held['raises']}):\n" + "\n".join(lines),
                check="",
            ).rstrip()
            + "\n"
        )
    return templates.GIVES.format(
        header=_header(name, _fixtures(held)),
        arrange=_arrange(function),
        act=act,
        check="\n".join([f'    noted = golden["with"]["{function.name}.{parameter}"]', *_check(function, held)]),
    )


# --- the whole ---


def _main_check(plan: Plan, golden: Mapping[str, Any]) -> str:
    text = templates.MAIN_PRINTED + (templates.MAIN_METRICS if golden["metrics"] else "")
    if golden["predictions"] is None:
        return text + (templates.MAIN_SAVES.format(model_file=plan.model_file) if golden.get("is saved") else "")
    path = f'tmp_path / "outputs" / "{plan.model_file}"'
    load = f"joblib.load({path})" if plan.loader == "joblib" else f"pickle.loads(({path}).read_bytes())"
    has_columns = golden["rows"]["columns"] is not None
    rows = 'pandas.DataFrame(table["rows"], columns=table["columns"])' if has_columns else 'numpy.array(table["rows"])'
    text += templates.MAIN_PREDICTIONS.format(load=load, rows=rows)
    return text if golden["certainty"] is None else text + templates.MAIN_CERTAINTY


def _pipeline_tests(golden: Mapping[str, Any]) -> str:
    held = golden["pipeline"]
    check = _compared("describe(result)", 'noted["result"]') if "result" in held else []
    check += _compared("said(capsys.readouterr().out)", 'noted["printed"]') if "printed" in held else []
    if held.get("files"):
        check.append('    found = sorted(each.name for each in (tmp_path / "outputs").iterdir())')
        check.append('    assert found == noted["files"]')
    return templates.TOLERANCE + templates.PIPELINE.format(check="\n".join(check))


def _score_tests(golden: Mapping[str, Any], layout: Layout) -> str:
    noted = golden["score"]
    text = templates.SCORE.format(module=layout.score)
    text += templates.SCORE_REPEATS if noted["repeats"] else ""
    text += templates.SCORE_EARLY if noted["early"] == "NameError" else ""
    text += templates.SCORE_MISSING if noted["missing"] == "FileNotFoundError" else ""
    return text + templates.IMPORT.format(name="score", module=layout.score)
