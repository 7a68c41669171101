"""Notebooks run from top to bottom in a fresh kernel, on a copy of their folder, with a look at chosen values."""

import ast
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modelwright.errors import (
    KernelDied,
    NotebookRaised,
    NotebookTimedOut,
    NotebookTooLarge,
)
from modelwright.notebooks import kernels, reading, seeds
from modelwright.records import Cell, Notebook, NotebookRun, ProbePoint, StatementTrace, Trace

_WORKER = Path(__file__).with_name("worker.py")
_TRACER = Path(__file__).with_name("tracing.py")
# More than this is no folder of a notebook but a home or a disk of data.
_COPY_LIMIT_BYTES = 2 * 1024**3
_FRAMES_SHOWN = 3
# Texts that name something in a folder above the notebook's.
_ABOVE = re.compile(r"""['"]((?:\.\./){1,3}[^'"\n{}]+)""")


def execute(
    notebook: Notebook,
    *,
    python: Path,
    folder: Path,
    environment: Mapping[str, str],
    probe: Sequence[ProbePoint] = (),
    files: Mapping[str, Path] | None = None,
    timeout_seconds: float = 600.0,
    watch: Mapping[int, frozenset[str]] | None = None,
) -> NotebookRun:
    """Run the notebook in a fresh kernel of `python`; return what was printed and what the probe's points gave.

    The notebook's own folder is copied into `folder` and never touched; `files` are put into the copy, by their path
    relative to it. A cell may take `timeout_seconds`. With `watch` the run is traced: by a statement's index, the
    names whose content is compared before and after it.

    Raises NotebookRaised, NotebookTimedOut, NotebookTooLarge, KernelMissing and KernelDied.
    """
    started = time.monotonic()
    version = kernels.version(python, folder=folder, environment=environment)
    cells = _cells(notebook, probe)
    for is_last in (False, True):
        copy = _laid_out(notebook, folder, files or {})
        try:
            with kernels.kernel(python, copy, environment=environment, timeout_seconds=timeout_seconds) as client:
                _run_unseen(client, seeds.code([each.code for each in notebook.cells]))
                if probe or watch is not None:
                    _install(client, cells, folder / "seen", watch)
                outputs = tuple(
                    (cell.number, _run_code(client, sent["code"], cell, notebook) if sent["code"] else "")
                    for cell, sent in zip(notebook.cells, cells, strict=True)
                )
            break
        except kernels.Stalled as error:
            if is_last:
                raise KernelDied(notebook=notebook.path.name, cell=error.cell) from error
    return _gathered(notebook, version, outputs, folder / "seen", copy, time.monotonic() - started)


# --- the copy ---


def _laid_out(notebook: Notebook, folder: Path, files: Mapping[str, Path]) -> Path:
    """Lay out a fresh copy of the notebook's folder with `files` in it, and an empty folder for what is seen."""
    for each in ("notebook", "seen"):
        shutil.rmtree(folder / each, ignore_errors=True)
    (folder / "seen").mkdir(parents=True)
    copy = _copied(notebook, folder / "notebook", skip=folder)
    for relative, source in files.items():
        (copy / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy / relative)
    return copy


def _copied(notebook: Notebook, target: Path, *, skip: Path) -> Path:
    """Copy the notebook's folder, and what its texts name in folders above it; return the copy of its folder."""
    home = notebook.path.parent.absolute()
    named = {text for each in notebook.cells for text in _ABOVE.findall(each.code)}
    if reading.imports_from_above(notebook):
        named |= {f"../{each.name}" for each in home.parent.glob("*.py")}
    above = {text: path for text in named if (path := _existing(home / text)) is not None}
    height = max((text.count("../") for text in above), default=0)
    # A folder of another name stands for one that has none, as that of a disk.
    parts = [each.name or "root" for each in reversed([home, *home.parents][: height + 1])]
    copy = target.joinpath(*parts)
    _copy_folder(home, copy, skip=skip)
    for text, path in above.items():
        place = copy.joinpath(*[".."] * text.count("../")).resolve() / path.relative_to(
            home.joinpath(*[".."] * text.count("../")).resolve()
        )
        if path.is_dir():
            _copy_folder(path, place, skip=skip)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
    return copy


def _existing(path: Path) -> Path | None:
    """Return a path that a text names, or the folder that it names the beginning of; None for nothing or too much."""
    resolved = path.resolve()
    found = next((each for each in (resolved, resolved.parent) if each.exists()), None)
    is_too_much = found is None or found in {Path.home(), Path(found.anchor)} or found in path.absolute().parents
    return None if is_too_much else found


def _copy_folder(source: Path, target: Path, *, skip: Path) -> None:
    """Copy the notebook's folder without environments, hidden folders and other projects."""
    paths = (place / name for place, _, names in _walk(source, skip) for name in names)
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if size > _COPY_LIMIT_BYTES:
        raise NotebookTooLarge(folder=source, size_bytes=size, limit_bytes=_COPY_LIMIT_BYTES)
    target.mkdir(parents=True, exist_ok=True)
    for place, _, names in _walk(source, skip):
        # Empty folders too: the notebook may write into them.
        copy = target / place.relative_to(source)
        copy.mkdir(exist_ok=True)
        for name in names:
            if (place / name).is_file():
                shutil.copy2(place / name, copy / name)


def _walk(source: Path, skip: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Go through the notebook's folders, those above first, with the names of what lies in each."""
    skipped = skip.absolute()
    for place, folders, names in os.walk(source):
        folders[:] = sorted(
            each for each in folders if _belongs(Path(place, each)) and Path(place, each).absolute() != skipped
        )
        yield Path(place), folders, sorted(names)


def _belongs(folder: Path) -> bool:
    is_foreign = (folder / "pyvenv.cfg").exists() or (folder / "wright.toml").exists()
    return not folder.name.startswith(".") and folder.name not in {"__pycache__", "node_modules"} and not is_foreign


# --- the cells ---


def _cells(notebook: Notebook, probe: Sequence[ProbePoint]) -> list[dict[str, Any]]:
    """Return for each cell the code that runs, the index of its first statement and its points."""
    cells, first = [], 0
    for cell in notebook.cells:
        points = [asdict(each) for each in probe if each.cell == cell.number]
        code = _in_place(cell.code.splitlines())
        # A cell of comments is run only where something is looked at behind it.
        is_run = bool(code.strip("#\n ")) or bool(points)
        cells.append({"code": code if is_run else "", "first": first, "points": points})
        first += len(_parsed(cell.code).body)
    return cells


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        # Odd escapes in the user's strings are the user's affair.
        warnings.simplefilter("ignore")
        return ast.parse(code)


def _install(
    client: Any, cells: Sequence[Mapping[str, Any]], seen_folder: Path, watch: Mapping[int, frozenset[str]] | None
) -> None:
    """Put the tracer into the kernel."""
    request = {
        "folder": str(seen_folder.absolute()),
        "cells": [each for each in cells if each["code"]],
        "watch": None if watch is None else {index: sorted(names) for index, names in watch.items()},
    }
    request_file = seen_folder.absolute() / "request.json"
    request_file.write_text(json.dumps(request), encoding="utf-8")
    _run_unseen(client, f'__import__("runpy").run_path({str(_TRACER)!r})["install"]({str(request_file)!r})')


def _run_unseen(client: Any, code: str) -> None:
    """Run code that leaves nothing in the user's `In` and `Out`."""
    from nbformat.v4 import new_code_cell

    cell = new_code_cell(code)
    client.nb.cells = [cell]
    client.execute_cell(cell, 0, store_history=False)


def _in_place(lines: Sequence[str]) -> str:
    """Return a cell's lines with empty comments for empty lines at the top, so that tracebacks name the cell's lines.

    IPython strips empty lines there, and would count from below them.
    """
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    return "#\n" * first + "\n".join(lines[first:])


def _run_code(client: Any, code: str, cell: Cell, notebook: Notebook) -> str:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbformat.v4 import new_code_cell

    executed = new_code_cell(code)
    client.nb.cells = [executed]
    try:
        client.execute_cell(executed, 0)
    except CellExecutionError as error:
        raise _raised(client, error, cell, notebook) from error
    except CellTimeoutError as error:
        raise NotebookTimedOut(
            notebook=notebook.path.name, cell=cell.number, timeout_seconds=client.timeout_func(executed)
        ) from error
    except DeadKernelError as error:
        raise KernelDied(notebook=notebook.path.name, cell=cell.number) from error
    except kernels.Stalled as error:
        error.cell = cell.number
        raise
    return "".join(_printed(each) for each in executed.outputs)


def _printed(output: Any) -> str:
    if output.output_type == "stream" and output.name == "stdout":
        return str(output.text)
    if output.output_type in {"execute_result", "display_data"}:
        return str(output.data.get("text/plain", "")) + "\n"
    return ""


def _raised(client: Any, error: Any, cell: Cell, notebook: Notebook) -> NotebookRaised:
    """Return the error with the place in the cell, asked of the kernel, and the user's last frames below it."""
    from nbformat.v4 import new_code_cell

    asking = new_code_cell(f'print(__import__("runpy").run_path({str(_WORKER)!r})["place_of_error"]())')
    client.execute_cell(asking, 0)
    frames = json.loads("".join(_printed(each) for each in asking.outputs) or "[]")
    inside = [number for number, each in enumerate(frames) if each[2] == "<module>" and "ipykernel" in each[0]]
    place = inside[0] if inside else None
    line = frames[place][1] if place is not None else 1
    lines = cell.code.splitlines()
    below = frames[place + 1 :][-_FRAMES_SHOWN:] if place is not None else []
    return NotebookRaised(
        notebook=notebook.path.name,
        cell=cell.number,
        line=line,
        ename=error.ename,
        evalue=error.evalue,
        statement=lines[line - 1].strip() if line <= len(lines) else "",
        frames="".join(f"\n    in {name}{_place(file, number)}: {text}" for file, number, name, text in below),
    )


def _place(file: str, number: int) -> str:
    """Return a frame's file and line; cells have no file that the user knows."""
    return "" if "ipykernel" in file else f", {Path(file).name}:{number}"


# --- what was seen ---


def _gathered(
    notebook: Notebook,
    version: str,
    outputs: tuple[tuple[int, str], ...],
    seen_folder: Path,
    copy: Path,
    elapsed_seconds: float,
) -> NotebookRun:
    file = seen_folder / "seen.jsonl"
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    good = [each for each in entries if "value" in each]

    def one(kind: str) -> Any:
        return next((each["value"] for each in good if each["kind"] == kind), None)

    rows = seen_folder / "rows.pickle"
    return NotebookRun(
        notebook=notebook.path.name,
        python_version=version,
        outputs=outputs,
        metrics={each["name"]: each["value"] for each in good if each["kind"] == "metric"},
        parts={each["name"]: each["value"] for each in good if each["kind"] == "part"},
        overlaps={each["name"]: each["value"] for each in good if each["kind"] == "overlap"},
        rows_file=rows if rows.exists() else None,
        rows=one("rows"),
        predictions=one("predictions"),
        certainty=one("certainty"),
        answer=one("answer"),
        unseen={each["name"]: each["error"] for each in entries if "error" in each},
        folder=copy,
        elapsed_seconds=elapsed_seconds,
        trace=_trace(seen_folder / "trace.jsonl", copy),
        replays={each["name"]: each["value"] for each in good if each["kind"] == "replay"},
    )


def _trace(file: Path, folder: Path) -> Trace | None:
    """Return the trace that the kernel wrote, None when there was none to write; paths are relative to `folder`."""
    if not file.exists():
        return None
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    seen = [each for each in entries if "index" in each]
    for late in (each for each in entries if "changed" in each):
        # Changed between two readings by statements that were not watched for it: each of them may have.
        for each in seen:
            if late["after"] < each["step"] < late["before"]:
                each["mutated"].append(late["changed"])
    statements = tuple(_statement_trace(each, folder.resolve()) for each in seen)
    return Trace(statements, sum(each.elapsed_seconds for each in statements))


def _statement_trace(seen: Mapping[str, Any], folder: Path) -> StatementTrace:
    def near(path: str) -> str:
        """Return a path in the copy, above the notebook's own folder, as relative to that."""
        is_copied = any(path.startswith(f"{each}{os.sep}") for each in folder.parents if each.name == "notebook")
        return Path(os.path.relpath(path, folder)).as_posix() if is_copied else path

    names = {each: frozenset(seen[each]) for each in ("bound", "deleted", "mutated", "opaque", "drew", "settings")}
    return StatementTrace(
        index=seen["index"],
        elapsed_seconds=seen["elapsed_seconds"],
        aliases=frozenset((name, other) for name, other in seen["aliases"]),
        read=tuple(near(each) for each in seen["read"]),
        written=tuple(near(each) for each in seen["written"]),
        printed=seen["printed"],
        figures=seen["figures"],
        kinds=seen["kinds"],
        **names,
    )
