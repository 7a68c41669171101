"""Small notebooks, one for each pattern that is hard to convert: the project gives the notebook's numbers.

A pattern's first cell is a header of comments, which say what must hold of the project:

- `keeps:` its code has this text, `drops:` it has not, and a statement with it is among the removals;
- `silent:` it need not show what a statement with this text shows;
- `order:` the texts, parted by ` < `, stand in its code in this order;
- `report:` its report has this text; `pictures:` it writes these, and without the line there is no report;
- `because:` a removal has this text in its reason;
- `function:` it has a function with this header; `parameter:`, `metric:`, `finding:` are there;
- `refused:` there is no project, but this error.

Every number that the notebook prints is printed by the project too, but for statements that `drops:` or `silent:`
names.
"""

import json
import math
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from modelwright.errors import NotebookNotConvertible
from modelwright.notebooks import dataflow, emitting, execution, layouts, planning, reading, seeds, statements
from modelwright.records import Notebook, Plan, Trace
from modelwright.settings import child_environment
from tests.notebooks.conftest import Ask

HERE = Path(__file__).parent
PATTERNS = sorted(each.stem for each in (HERE / "patterns").glob("*.txt"))
TRACER = Path(execution.__file__).with_name("tracing.py")
LAYOUT = layouts.layout("small")
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# Numbers are shown rounded by one side and in full by the other.
MOST_DIGITS = 9


@dataclass(frozen=True)
class Pattern:
    """A notebook and what its header expects of the project, by kind."""

    notebook: Notebook
    expected: dict[str, list[str]]


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern(name: str, ask: Ask, tmp_path: Path) -> None:
    pattern = _pattern(name, tmp_path / "user")
    trace = _traced(pattern.notebook, ask, tmp_path / "traced")
    refused = pattern.expected.get("refused", [])
    if refused:
        with pytest.raises(NotebookNotConvertible) as error:
            planning.plan(pattern.notebook, trace=trace)
        assert error.value.facts["finding"].code == refused[0]
        return
    plan = planning.plan(pattern.notebook, trace=trace)
    files = emitting.modules(plan, LAYOUT)
    _assert_facts(plan, files, pattern.expected)
    printed = _run(plan, files, ask, tmp_path)
    pictures = " ".join(pattern.expected.get("pictures", [])).split()
    assert _pictures(plan, ask, tmp_path) == sorted(pictures)
    unshown = [*pattern.expected.get("drops", []), *pattern.expected.get("silent", [])]
    sources = {each.index: each.source for each in statements.statements(pattern.notebook)}
    for each in trace.statements:
        if not any(text in sources[each.index] for text in unshown):
            missing = [number for number in NUMBER.findall(each.printed) if not _is_among(number, printed)]
            assert not missing, f"{sources[each.index]!r} showed {each.printed!r}; the project printed {printed!r}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aliases", "seed_then_exploration", "globals_of_functions"])
def test_kernel_sees_what_the_fork_sees(name: str, ask: Ask, tmp_path: Path) -> None:
    pattern = _pattern(name, tmp_path / "user")
    fork = _traced(pattern.notebook, ask, tmp_path / "traced")
    known = dataflow.flow(statements.statements(pattern.notebook))
    run = execution.execute(
        pattern.notebook,
        python=Path(sys.executable),
        folder=tmp_path / "kernel",
        environment=child_environment(),
        watch=dataflow.watched(known),
    )
    assert run.trace
    for one, other in zip(fork.statements, run.trace.statements, strict=True):
        assert (one.bound, one.mutated, one.drew, one.printed) == (
            other.bound,
            other.mutated,
            other.drew,
            other.printed,
        )


def _pattern(name: str, folder: Path) -> Pattern:
    """Read a pattern; its notebook stands in the folder, with the patterns' data beside it."""
    shutil.copytree(HERE / "patterns" / "data", folder)
    text = (HERE / "patterns" / f"{name}.txt").read_text(encoding="utf-8")
    header, *texts = f"\n{text}".split("\n# ---\n")
    expected: dict[str, list[str]] = {}
    for line in header.strip().splitlines():
        kind, _, text = line.removeprefix("#").partition(":")
        expected.setdefault(kind.strip(), []).append(text.strip())
    cells = []
    for text in texts:
        tags = re.match(r"# tags: (.*)\n", text)
        code = text[tags.end() :] if tags else text
        cells.append(new_code_cell(code.strip("\n"), metadata={"tags": tags[1].split()} if tags else {}))
    nbformat.write(new_notebook(cells=cells), folder / "training.ipynb")
    return Pattern(reading.read(folder / "training.ipynb"), expected)


def _traced(notebook: Notebook, ask: Ask, folder: Path) -> Trace:
    """Run the notebook on a copy of its folder; return what was seen."""
    copy, seen = folder / "notebook", folder / "seen"
    shutil.copytree(notebook.path.parent, copy)
    seen.mkdir()
    watched = dataflow.watched(dataflow.flow(statements.statements(notebook)))
    cells = [each for each in execution._cells(notebook, ()) if each["code"]]
    watch = {index: sorted(names) for index, names in watched.items()}
    request = seen / "request.json"
    request.write_text(json.dumps({"folder": str(seen), "cells": cells, "watch": watch}), encoding="utf-8")
    codes = [seeds.code([each.code for each in notebook.cells]), *(each["code"] for each in cells)]
    output = seen / "output.txt"
    assert ask(cells=codes, folder=copy, output=output, request=request, tracer=TRACER) == 0, output.read_text()
    trace = execution._trace(seen / "trace.jsonl", copy)
    assert trace
    return trace


def _run(plan: Plan, files: dict[str, str], ask: Ask, folder: Path) -> str:
    """Run the project in a folder of its own; return what it printed."""
    project, elsewhere = folder / "project", folder / "elsewhere"
    elsewhere.mkdir()
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    for relative in plan.data_files:
        (project / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / "user" / relative, project / relative)
    output = folder / "printed.txt"
    exit_code = ask(module=LAYOUT.train, source=project / LAYOUT.source, folder=elsewhere, output=output)
    printed = output.read_text(encoding="utf-8")
    assert exit_code == 0, f"{printed}\n{_code(files)}"
    return printed


def _pictures(plan: Plan, ask: Ask, folder: Path) -> list[str]:
    """Run the project's report, if it has one; return the names of the pictures that it wrote and told of."""
    if not plan.report:
        return []
    project, elsewhere, output = folder / "project", folder / "drawn", folder / "told.txt"
    elsewhere.mkdir()
    exit_code = ask(module=LAYOUT.report, source=project / LAYOUT.source, folder=elsewhere, output=output)
    told = output.read_text(encoding="utf-8")
    assert exit_code == 0, told
    found = sorted((elsewhere / "outputs" / "report").iterdir())
    assert all(each.stat().st_size and str(each) in told.splitlines() for each in found)
    return [each.name for each in found]


def _assert_facts(plan: Plan, files: dict[str, str], expected: dict[str, list[str]]) -> None:
    code = _code(files)
    for text in expected.get("keeps", []):
        assert text in code, f"{text!r} is not in\n{code}"
    for text in expected.get("drops", []):
        assert text not in code, f"{text!r} is in\n{code}"
        assert any(text in each.source for each in plan.removals), f"{text!r} is not told of as removed"
    for text in expected.get("report", []):
        assert text in files[LAYOUT.file(LAYOUT.report)], f"{text!r} is not in\n{files[LAYOUT.file(LAYOUT.report)]}"
    for text in expected.get("because", []):
        assert any(text in each.reason for each in plan.removals), f"{text!r} is no reason in {plan.removals}"
    for text in expected.get("order", []):
        places = [code.find(each) for each in text.split(" < ")]
        assert -1 not in places, f"{text!r} is not all in\n{code}"
        assert places == sorted(places), f"{text!r} is not the order in\n{code}"
    for text in expected.get("function", []):
        assert f"def {text}:" in code, f"no {text!r} in\n{code}"
    for text in expected.get("parameter", []):
        assert text in {f"{each.name}={each.value!r}" for each in plan.parameters}
    for text in expected.get("metric", []):
        assert text in {each.name for each in plan.metrics}
    for text in expected.get("finding", []):
        assert text in {each.code for each in plan.findings}


def _code(files: dict[str, str]) -> str:
    """Return the modules that train, in the order of their steps."""
    others = ("score.py", "pipeline.py", "report.py")
    return "\n".join(text for path, text in sorted(files.items()) if not path.endswith(others))


def _is_among(number: str, printed: str) -> bool:
    """Whether a number is in a text, be it with more digits or fewer."""
    value = float(number)
    mantissa = re.split("[eE]", number)[0]
    digits = min(len(mantissa.partition(".")[2]), MOST_DIGITS)
    exponent = math.floor(math.log10(abs(value))) if value and "e" in number.lower() else 0
    room = 0.501 * 10.0 ** (exponent - digits) if "." in mantissa else 1e-9
    return any(abs(float(each) - value) <= room for each in NUMBER.findall(printed))
