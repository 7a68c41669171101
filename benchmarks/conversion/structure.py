"""How the code of a project is built: functions, their length, globals, parameters, seeds, what the linters say."""

import ast
import statistics
import sys
from pathlib import Path
from typing import Any

import processes
from projects import Project

_CHECK_SECONDS = 120.0


def measure(project: Project) -> dict[str, Any]:
    """Return the measures by name."""
    trees = [ast.parse(each.read_text(encoding="utf-8")) for each in project.modules]
    functions = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "main"
    ]
    lines = [_length(each) for each in functions]
    code = "\n".join(each.read_text(encoding="utf-8") for each in project.modules)
    return {
        "modules": len(trees),
        "functions": len(functions),
        "median_lines": statistics.median(lines) if lines else 0,
        "max_lines": max(lines, default=0),
        # `init` of a scoring script has to say `global model`: servers call it so.
        "globals": sum(isinstance(node, ast.Global) for each in functions if each.name != "init" for node in each.body),
        "module_statements": sum(_is_loose(node) for tree in trees for node in tree.body),
        "parameters": len(project.parameters()) or sum(len(each.args.defaults) for each in functions),
        "seeds": code.count("random_state") + code.count("seed("),
        "ruff": _ruff(project, []),
        "unused": _ruff(project, ["--isolated", "--select", "F401,F811,F841"]),
        "mypy": _mypy(project),
    }


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body that are not its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0


def _is_loose(node: ast.stmt) -> bool:
    """Say whether a statement of a module does something when it is imported."""
    kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.If
    return not isinstance(node, kinds) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _ruff(project: Project, options: list[str]) -> int | None:
    """Return how many things ruff finds; None when it cannot say."""
    tool = Path(sys.executable).with_name("ruff")
    command: list[str | Path] = [
        tool,
        "check",
        "--no-cache",
        "--output-format",
        "concise",
        "--quiet",
        *options,
        project.source,
    ]
    done = processes.run(command, folder=project.folder, timeout_seconds=_CHECK_SECONDS)
    return len(done.stdout.splitlines()) if done.code in {0, 1} else None


def _mypy(project: Project) -> int | None:
    """Return how many errors mypy finds as the project configures it; None if it does not."""
    configuration = project.folder / "pyproject.toml"
    if not configuration.exists() or "[tool.mypy" not in configuration.read_text(encoding="utf-8"):
        return None
    tool = Path(sys.executable).with_name("mypy")
    command: list[str | Path] = [tool, "--cache-dir", "/dev/null", "--no-error-summary", project.source]
    done = processes.run(command, folder=project.folder, timeout_seconds=_CHECK_SECONDS)
    return sum(" error: " in line for line in done.stdout.splitlines())
