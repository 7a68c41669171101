"""What other tools make of the same notebooks: nbconvert (run by Python and by IPython), soorgeon and nbrefactor.

    python benchmarks/conversion/peers.py --corpus INDEX.json [--only SLUG ...] [--out FOLDER] [--workspace FOLDER]

Each tool is installed in an environment of its own in the workspace; its code runs with the notebook's Python. What a
tool's code shows and fits is compared with the notebook as our own is, no line excused. `report.py` puts the results
beside ours. LineaPy is not among them yet: see the README.
"""

import argparse
import ast
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import comparing
import corpus
import judge
import observing
import processes
from corpus import Entry
from observing import Observation

_HERE = Path(__file__).parent
_MAKE_SECONDS = 300.0
_UV = Path(sys.executable).with_name("uv")
_PLOOMBER = "from ploomber_cli.cli import cmd_router; cmd_router()"
_IMPORTER = "import importlib, sys\nfor each in {names!r}:\n    importlib.import_module(each)\n"


def environment(name: str, workspace: Path) -> Path:
    """Return the folder of programs of an environment with the tool in it, made the first time."""
    folder = workspace / f"{name}-environment"
    if not folder.exists():
        _made([_UV, "venv", "--quiet", "--python", sys.executable, folder], workspace)
        _made([_UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", name, "setuptools"], workspace)
    return folder / "bin"


def _beside(name: str, python: Path, workspace: Path) -> Path:
    """Return a folder with a package to run beside the notebook's own Python."""
    folder = workspace / f"{name}-site"
    if not folder.exists():
        _made([_UV, "pip", "install", "--quiet", "--python", python, "--target", folder, name], workspace)
    return folder


def _made(command: list[str | Path], folder: Path) -> processes.Done:
    return processes.run(command, folder=folder, timeout_seconds=_MAKE_SECONDS)


# --- tools: each gives the code files it made and what these do when they run ---

Made = tuple[list[Path], Callable[[], Observation] | None, str]


def nbconvert(entry: Entry, notebook: Path, work: Path, *, with_ipython: bool) -> Made:
    """Make a script of the notebook, run by Python or by IPython."""
    done = _made(
        [entry.python, "-m", "nbconvert", "--to", "script", "--output", "converted", notebook], notebook.parent
    )
    scripts = [each for each in notebook.parent.glob("converted.*") if each.suffix in {".py", ".ipy", ".txt"}]
    if not scripts:
        return [], None, done.stderr[-300:]
    command = ["-m", "IPython", str(scripts[0])] if with_ipython else [str(scripts[0])]
    return scripts, lambda: _watch_beside(command, entry, notebook.parent, work), ""


def soorgeon(entry: Entry, notebook: Path, work: Path) -> Made:
    """Make a pipeline of tasks, run by ploomber; what tasks show is in the notebooks that it writes."""
    tool = environment("soorgeon", work.parent) / "soorgeon"
    before = set(notebook.parent.rglob("*.py"))
    command: list[str | Path] = [tool, "refactor", notebook, "--file-format", "py"]
    done = _made(command, notebook.parent)
    if "H2 heading" in done.stdout + done.stderr:
        done = _made([*command, "--single-task"], notebook.parent)  # as it advises itself
    if not (notebook.parent / "pipeline.yaml").exists():
        return [], None, (done.stdout + done.stderr)[-300:]
    code = [each for each in notebook.parent.rglob("*.py") if each not in before]

    def run() -> Observation:
        path = {"PYTHONPATH": str(_beside("ploomber", entry.python, work.parent))}
        built = processes.run(
            [entry.python, "-c", _PLOOMBER, "build"],
            folder=notebook.parent,
            timeout_seconds=observing.RUN_SECONDS,
            environment=path,
        )
        shown = "\n".join(_texts(each) for each in _written(notebook.parent))
        error = built.stderr[-300:] if built.code else ""
        return Observation(not built.code, error, built.seconds, notebook.parent, (), stdout=shown)

    return code, run, ""


def nbrefactor(entry: Entry, notebook: Path, work: Path) -> Made:
    """Make a package by headings; its modules are imported in the order in which they were written."""
    tool = environment("nbrefactor", work.parent) / "jupyter-nbrefactor"
    out = notebook.parent / "refactored"
    done = _made([tool, notebook, out], notebook.parent)
    code = sorted(out.rglob("*.py"), key=lambda each: each.stat().st_mtime_ns)
    if not code:
        return [], None, (done.stdout + done.stderr)[-300:]
    names = [".".join(each.relative_to(out).with_suffix("").parts) for each in code]
    importer = notebook.parent / "import_all.py"
    importer.write_text(_IMPORTER.format(names=names), encoding="utf-8")
    return code, lambda: _watch_beside([str(importer)], entry, notebook.parent, work, path=[out]), ""


def _written(folder: Path) -> list[Path]:
    """Return the notebooks that ploomber ran."""
    return [each for name in ("output", "products") for each in folder.glob(f"{name}/*.ipynb")]


def _texts(notebook: Path) -> str:
    """Return all that an executed notebook shows as text."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [each for cell in cells for each in cell.get("outputs", [])]
    texts = [each.get("text") or each.get("data", {}).get("text/plain", "") for each in outputs]
    return "\n".join("".join(each) for each in texts)


def _watch_beside(
    command: list[str], entry: Entry, folder: Path, work: Path, *, path: list[Path] | None = None
) -> Observation:
    """Run a tool's code in the folder with the notebook's data, where it expects to be."""
    record = work.parent / f"{work.name}.record.jsonl"
    record.unlink(missing_ok=True)
    done = processes.run(
        [entry.python, _HERE / "recorder.py", record, *command],
        folder=folder,
        timeout_seconds=observing.RUN_SECONDS,
        environment={"PYTHONPATH": os.pathsep.join(str(each) for each in path or [])},
    )
    # IPython prints the traceback of a script that fails and ends well.
    is_ok = not done.code and not done.is_timeout and "Traceback (most recent call last)" not in done.stdout
    error = "" if is_ok else (done.stderr or done.stdout)[-300:]
    fits = observing.read_fits(record)
    return Observation(is_ok, error, done.seconds, folder, (), fits=fits, stdout=done.stdout)


_TOOLS: dict[str, Callable[[Entry, Path, Path], Made]] = {
    "nbconvert, Python": lambda entry, notebook, work: nbconvert(entry, notebook, work, with_ipython=False),
    "nbconvert, IPython": lambda entry, notebook, work: nbconvert(entry, notebook, work, with_ipython=True),
    "soorgeon": soorgeon,
    "nbrefactor": nbrefactor,
}


# --- judging ---


def examine(entry: Entry, workspace: Path, notebooks: Path) -> dict[str, Any]:
    """Return what each tool makes of a notebook; runs of the notebook itself are shared with run.py."""
    notebook, again = judge.watch_twice(entry, notebooks / entry.slug)
    tools = {name: _examined(name, entry, notebook, again, workspace) for name in _TOOLS} if notebook.is_ok else {}
    return {"slug": entry.slug, "tools": tools}


def _examined(name: str, entry: Entry, notebook: Observation, again: Observation, workspace: Path) -> dict[str, Any]:
    work = workspace / entry.slug
    shutil.rmtree(work, ignore_errors=True)
    observing.copy_folder(entry.folder, work)
    code, run, error = _TOOLS[name](entry, work / entry.notebook.relative_to(entry.folder), work)
    found: dict[str, Any] = {"code": bool(code), "runs": False, "reproduces": False, "error": error}
    if run is None:
        return found
    found["new_functions"] = max(0, _functions([each.read_text(encoding="utf-8") for each in code]) - _own(notebook))
    found["tests"] = sum("def test_" in each.read_text(encoding="utf-8") for each in code)
    ran = run()
    found.update(runs=ran.is_ok, error=ran.error, seconds=ran.seconds)
    if ran.is_ok:
        # Kernels of a pipeline are out of the recorder's sight: what they fitted is believed.
        seen = replace(ran, fits=notebook.fits) if name == "soorgeon" else ran
        sketches = comparing.FileSketches(lambda _: {"sketch": {}})
        asked = replace(notebook, files=())
        agreement = comparing.compare(asked, again, seen, removals=[], sketches=sketches)
        printed = replace(asked, shown=tuple(each for each in asked.shown if each.kind == "print"))
        printed_again = replace(again, shown=tuple(each for each in again.shown if each.kind == "print"))
        prints = comparing.compare(printed, printed_again, seen, removals=[], sketches=sketches)
        found.update(reproduces=agreement.is_equal, prints=prints.is_equal, evidence=agreement.evidence[:2])
    shutil.rmtree(work, ignore_errors=True)
    return found


def _own(notebook: Observation) -> int:
    """Return how many functions the user wrote."""
    return _functions([each.source for each in notebook.cells])


def _functions(codes: list[str]) -> int:
    count = 0
    for code in codes:
        plain = "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines())
        try:
            count += sum(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(plain)))
        except SyntaxError:
            count += plain.count("\ndef ")
    return count


def _state(found: dict[str, Any]) -> str:
    return next((name for name in ("reproduces", "prints", "runs", "code") if found.get(name)), "-")


def main() -> None:
    """Try every tool on every notebook, one result file each, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scratch = Path("/tmp") / "wright-conversion"  # noqa: S108 - a scratch folder outside of the repository
    parser.add_argument("--corpus", help="index.json of the corpus; else the variable MODELWRIGHT_CORPUS")
    parser.add_argument("--only", nargs="+", metavar="SLUG", help="notebooks whose slug contains one of these")
    parser.add_argument("--notebooks", type=Path, default=scratch / "work", help="the workspace of run.py")
    parser.add_argument("--workspace", type=Path, default=scratch / "peers-work", help="where the tools run")
    parser.add_argument("--out", type=Path, default=scratch / "peers", help="the folder of results")
    parser.add_argument("--again", action="store_true", help="run also what has a result")
    arguments = parser.parse_args()
    arguments.workspace.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for entry in corpus.read(corpus.index_path(arguments.corpus), arguments.only):
        file = arguments.out / f"{entry.slug}.json"
        if file.exists() and not arguments.again and not arguments.only:
            continue
        result = examine(entry, arguments.workspace.absolute(), arguments.notebooks.absolute())
        file.write_text(json.dumps(result, indent=1), encoding="utf-8")
        states = [f"{name}: {_state(each)}" for name, each in result["tools"].items()]
        print(entry.slug, *(states or ["the notebook does not run"]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
