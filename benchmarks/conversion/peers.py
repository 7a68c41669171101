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
_SEED = 0
_OF_THE_SAME_TIME = ("ipython", "matplotlib-inline", "traitlets")
# Plotly opens a browser out of a notebook and waits until it has fetched the page.
_BROWSER = "curl --silent --output /dev/null %s &"
_UV = Path(sys.executable).with_name("uv")
_PLOOMBER = "from ploomber_cli.cli import cmd_router; cmd_router()"
# A module without headings is named "..py", which can only be run by its path.
_IMPORTER = """\
import importlib, runpy
for name, path in {modules!r}:
    if all(each.isidentifier() for each in name.split(".")):
        importlib.import_module(name)
    else:
        runpy.run_path(path)
"""
# The kernels of a pipeline start with it: the recorder, which seeds them.
_SITE = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("_judge_recorder", {recorder!r})
module = importlib.util.module_from_spec(spec)
sys.modules["_judge_recorder"] = module
spec.loader.exec_module(module)
module.install({record!r})
"""


def environment(name: str, workspace: Path, *others: str) -> Path:
    """Return the folder of programs of an environment with the tool and `others` in it, made the first time."""
    folder = workspace / f"{name}-environment"
    if not folder.exists():
        _made([_UV, "venv", "--quiet", "--python", sys.executable, folder], workspace)
        command: list[str | Path] = [_UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
        done = _made([*command, name, "setuptools", *others], workspace)
        if done.code:
            sys.exit(f"{name} could not be installed: {done.stderr[-300:]}")
    return folder / "bin"


def _beside(name: str, python: Path, workspace: Path) -> Path:
    """Return a folder with a package to run beside the notebook's own Python, and with that one's IPython.

    What is in the folder hides what the notebook's Python has, and Matplotlib needs an IPython of its own time.
    """
    listed = ", ".join(f'"{each}"' for each in _OF_THE_SAME_TIME)
    code = f"from importlib.metadata import version\nprint(*(f'{{each}}=={{version(each)}}' for each in ({listed})))"
    pins = _made([python, "-c", code], workspace).stdout.split()
    folder = workspace / "-".join([name, "site", *(each.rpartition("=")[2] for each in pins)])
    if not folder.exists():
        command: list[str | Path] = [_UV, "pip", "install", "--quiet", "--python", python, "--target", folder]
        done = _made([*command, name, *pins], workspace)
        if done.code:
            sys.exit(f"{name} could not be installed: {done.stderr[-300:]}")
    return folder


def _made(command: list[str | Path], folder: Path) -> processes.Done:
    return processes.run(command, folder=folder, timeout_seconds=_MAKE_SECONDS)


# --- tools: each gives the code files it made and what these do when they run ---

# The code, what it does when it is run, from a seed or from none, and why there is no code.
Made = tuple[list[Path], Callable[[int | None], Observation] | None, str]


def nbconvert(entry: Entry, notebook: Path, work: Path, *, with_ipython: bool) -> Made:
    """Make a script of the notebook, run by Python or by IPython."""
    # Without IPython it leaves magics as they are.
    tool = environment("nbconvert", work.parent, "ipython") / "jupyter-nbconvert"
    done = _made([tool, "--to", "script", "--output", "converted", notebook], notebook.parent)
    scripts = [each for each in notebook.parent.glob("converted.*") if each.suffix in {".py", ".ipy", ".txt"}]
    if not scripts:
        return [], None, done.stderr[-300:]
    command = ["-m", "IPython", str(scripts[0])] if with_ipython else [str(scripts[0])]
    return scripts, lambda seed: _watch_beside(command, entry, notebook.parent, work, seed=seed), ""


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

    def run(seed: int | None) -> Observation:
        path = {"PYTHONPATH": str(_beside("ploomber", entry.python, work.parent))}
        if seed is not None:
            site = work.parent / f"{work.name}.site"
            site.mkdir(exist_ok=True)
            code = _SITE.format(recorder=str(_HERE / "recorder.py"), record=str(site / "record.jsonl"))
            (site / "sitecustomize.py").write_text(code, encoding="utf-8")
            path = {"PYTHONPATH": f"{site}{os.pathsep}{path['PYTHONPATH']}", "JUDGE_SEED": str(seed)}
        built = processes.run(
            [entry.python, "-c", _PLOOMBER, "build", "--force"],
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
    out.mkdir()
    done = _made([tool, notebook, out], notebook.parent)
    code = sorted(out.rglob("*.py"), key=lambda each: each.stat().st_mtime_ns)
    if not code:
        return [], None, (done.stdout + done.stderr)[-300:]
    modules = [(".".join(each.relative_to(out.parent).with_suffix("").parts), str(each)) for each in code]
    importer = notebook.parent / "import_all.py"
    importer.write_text(_IMPORTER.format(modules=modules), encoding="utf-8")
    command, path = [str(importer)], [out.parent]
    return code, lambda seed: _watch_beside(command, entry, notebook.parent, work, path=path, seed=seed), ""


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
    command: list[str], entry: Entry, folder: Path, work: Path, *, path: list[Path] | None = None, seed: int | None
) -> Observation:
    """Run a tool's code in the folder with the notebook's data, where it expects to be."""
    record = work.parent / f"{work.name}.record.jsonl"
    record.unlink(missing_ok=True)
    done = processes.run(
        [entry.python, _HERE / "recorder.py", record, *command],
        folder=folder,
        timeout_seconds=observing.RUN_SECONDS,
        environment={
            "PYTHONPATH": os.pathsep.join(str(each) for each in path or []),
            "BROWSER": _BROWSER,
            **({} if seed is None else {"JUDGE_SEED": str(seed)}),
        },
    )
    # IPython prints the traceback of a script that fails and ends well.
    is_raised = "Traceback (most recent call last)" in done.stdout
    is_ok = not done.code and not done.is_timeout and not is_raised
    error = "" if is_ok else (done.stdout if is_raised else done.stderr or done.stdout)[-300:]
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
    notebook, _ = judge.watch_twice(entry, notebooks / entry.slug)
    tools = {name: _examined(name, entry, workspace, notebooks) for name in _TOOLS} if notebook.is_ok else {}
    return {"slug": entry.slug, "tools": tools}


def _examined(name: str, entry: Entry, workspace: Path, notebooks: Path) -> dict[str, Any]:
    notebook, again = judge.watch_twice(entry, notebooks / entry.slug)
    work = workspace / entry.slug
    shutil.rmtree(work, ignore_errors=True)
    observing.copy_folder(entry.folder, work)
    copy = work / entry.notebook.relative_to(entry.folder)
    _name_kernel(copy)
    code, run, error = _TOOLS[name](entry, copy, work)
    found: dict[str, Any] = {"code": bool(code), "runs": False, "reproduces": False, "error": error}
    if run is None:
        return found
    found["new_functions"] = max(0, _functions([each.read_text(encoding="utf-8") for each in code]) - _own(notebook))
    found["tests"] = sum("def test_" in each.read_text(encoding="utf-8") for each in code)
    ran = run(None)
    found.update(runs=ran.is_ok, error=ran.error, seconds=ran.seconds)
    if ran.is_ok:
        found.update(_agreement(notebook, again, ran, tool=name))
        if found["is_noisy"] and not found["reproduces"]:
            # As for our own: what differs from run to run is compared once more from the same seed.
            seeded = run(_SEED)
            pair = judge.watch_twice(entry, notebooks / entry.slug, seed=_SEED)
            if seeded.is_ok and all(each.is_ok for each in pair):
                better = _agreement(*pair, seeded, tool=name)
                found.update({key: found[key] or better[key] for key in ("reproduces", "prints")})
    shutil.rmtree(work, ignore_errors=True)
    return found


def _name_kernel(notebook: Path) -> None:
    """Name the kernel that there is: an author's own, such as py38, is on nobody else's machine."""
    if notebook.suffix == ".ipynb":
        content = json.loads(notebook.read_text(encoding="utf-8"))
        content["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.write_text(json.dumps(content), encoding="utf-8")


def _agreement(notebook: Observation, again: Observation, ran: Observation, *, tool: str) -> dict[str, Any]:
    """Return whether a run of a tool's code reproduces the notebook, and whether it does what the notebook prints."""
    # Kernels of a pipeline are out of the recorder's sight: what they fitted is believed.
    seen = replace(ran, fits=notebook.fits) if tool == "soorgeon" else ran
    sketches = comparing.FileSketches(lambda _: {"sketch": {}})
    asked = replace(notebook, files=())
    all_of_it = comparing.compare(asked, again, seen, removals=[], sketches=sketches)
    printed = replace(asked, shown=tuple(each for each in asked.shown if each.kind == "print"))
    printed_again = replace(again, shown=tuple(each for each in again.shown if each.kind == "print"))
    prints = comparing.compare(printed, printed_again, seen, removals=[], sketches=sketches)
    return {
        "reproduces": all_of_it.is_equal,
        "prints": prints.is_equal,
        "is_noisy": all_of_it.is_noisy,
        "evidence": all_of_it.evidence[:2],
    }


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
