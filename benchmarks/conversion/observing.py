"""What a notebook or a project does when it runs: its fits, what it shows, the files it writes."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import processes

_HERE = Path(__file__).parent
_IGNORED = {"__pycache__", ".ipynb_checkpoints", ".git", ".wright", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
_LARGEST_BYTES = 100_000_000
RUN_SECONDS = 600.0
# Of a notebook whose run ends without an answer, which is the judge's fault rather than the notebook's.
_MOST_RUNS = 3


@dataclass(frozen=True)
class Shown:
    """A text that a notebook showed, with the cell, counted as run, and the line of it that did."""

    cell: int
    line: int
    kind: str
    text: str


@dataclass(frozen=True)
class Fit:
    """A top-level fit: the class, how it was set and a sketch of what was learnt."""

    kind: str
    params: str
    state: dict[str, list[Any]]
    cell: int = 0
    line: int = 0


@dataclass(frozen=True)
class Cell:
    """A cell that ran, numbered as run, among all cells and among cells of code; all from one."""

    run: int
    place: int
    code_place: int
    source: str


@dataclass(frozen=True)
class Observation:
    """All that was seen of a run; `folder` holds the files that it wrote."""

    is_ok: bool
    error: str
    seconds: float
    folder: Path
    files: tuple[str, ...]
    shown: tuple[Shown, ...] = ()
    fits: tuple[Fit, ...] = ()
    cells: tuple[Cell, ...] = ()
    stdout: str = ""
    stderr: str = field(default="", repr=False)


def watch_notebook(notebook: Path, python: Path, *, root: Path, work: Path, seed: int | None = None) -> Observation:
    """Run a notebook of the folder `root` as it is, on a copy of the folder in `work`, and return what it does.

    What was seen is kept in `work` and read from there the next time.
    """
    answer, record, files = work / "answer.json", work / "record.jsonl", work / "files"
    if not (work / "done").exists():
        for _ in range(_MOST_RUNS):
            done = _run_notebook(notebook, python, root=root, work=work, seed=seed)
            if answer.exists() or done.is_timeout:
                break
        if not answer.exists():
            error = "timeout" if done.is_timeout else done.stderr[-600:]
            answer.write_text(json.dumps({"ok": False, "error": error, "seconds": done.seconds, "cells": []}))
        (work / "done").touch()
    return _read_notebook(answer, record, files)


def _run_notebook(notebook: Path, python: Path, *, root: Path, work: Path, seed: int | None) -> processes.Done:
    """Run a notebook once, on a new copy, and keep in `work` what was seen; without an answer when its worker ended."""
    shutil.rmtree(work, ignore_errors=True)
    copy = work / "folder"
    copy_folder(root, copy)
    before = _snapshot(copy)
    guest = [python, _HERE / "notebook_worker.py", copy / notebook.relative_to(root), _HERE / "recorder.py"]
    done = processes.run(
        [*guest, work / "record.jsonl", work / "answer.json"],
        folder=copy,
        timeout_seconds=RUN_SECONDS,
        environment=_seeded(seed),
    )
    _keep_written(copy, before, work / "files")
    shutil.rmtree(copy)
    return done


def _read_notebook(answer: Path, record: Path, files: Path) -> Observation:
    seen = json.loads(answer.read_text(encoding="utf-8"))
    events = _events(record)
    shown = [
        Shown(each.get("cell", 0), each.get("line", 0), each["kind"], each["text"])
        for each in events
        if each["event"] == "text"
    ]
    shown += [Shown(each["run"], 0, "result", text) for each in seen["cells"] for text in each["results"]]
    return Observation(
        is_ok=seen["ok"],
        error=seen["error"],
        seconds=seen["seconds"],
        folder=files,
        files=_files_in(files),
        shown=tuple(_joined(shown)),
        fits=tuple(_fits(events)),
        cells=tuple(Cell(each["run"], each["place"], each["code_place"], each["source"]) for each in seen["cells"]),
    )


def _joined(shown: list[Shown]) -> list[Shown]:
    """Join what the same line wrote piece by piece."""
    joined: list[Shown] = []
    for each in shown:
        last = joined[-1] if joined else None
        if last and each.kind == last.kind == "print" and (each.cell, each.line) == (last.cell, last.line):
            joined[-1] = Shown(each.cell, each.line, each.kind, last.text + each.text)
        else:
            joined.append(each)
    return joined


def watch_project(
    command: list[str], python: Path, *, path: list[Path], work: Path, seed: int | None = None
) -> Observation:
    """Run a program of a project in a fresh process and an empty folder; `{out}` in it is the output folder."""
    shutil.rmtree(work, ignore_errors=True)
    elsewhere, out, record = work / "elsewhere", work / "out", work / "record.jsonl"
    elsewhere.mkdir(parents=True)
    arguments = [each.replace("{out}", str(out)) for each in command]
    done = processes.run(
        [python, _HERE / "recorder.py", record, *arguments],
        folder=elsewhere,
        timeout_seconds=RUN_SECONDS,
        environment={"PYTHONPATH": os.pathsep.join(str(each) for each in path), **_seeded(seed)},
    )
    if elsewhere.exists() and any(elsewhere.iterdir()):
        shutil.copytree(elsewhere, out, dirs_exist_ok=True)
    error = "timeout" if done.is_timeout else done.stderr[-1500:] if done.code else ""
    return Observation(
        is_ok=not done.code and not done.is_timeout,
        error=error,
        seconds=done.seconds,
        folder=out,
        files=_files_in(out),
        fits=tuple(_fits(_events(record))),
        stdout=done.stdout,
        stderr=done.stderr[-3000:],
    )


def read_fits(record: Path) -> tuple[Fit, ...]:
    """Return the fits that a record notes."""
    return tuple(_fits(_events(record)))


def _seeded(seed: int | None) -> dict[str, str]:
    return {} if seed is None else {"JUDGE_SEED": str(seed)}


def _events(record: Path) -> list[dict[str, Any]]:
    if not record.exists():
        return []
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines() if line.strip()]


def _fits(events: list[dict[str, Any]]) -> list[Fit]:
    return [
        Fit(each["class"], each["params"], each["state"], each.get("cell", 0), each.get("line", 0))
        for each in events
        if each["event"] == "fit"
    ]


# --- files ---


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder without what tools left in it."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_IGNORED), symlinks=False)


def _files_in(folder: Path) -> tuple[str, ...]:
    found = [each for each in folder.rglob("*") if each.is_file() and not _IGNORED & set(each.parts)]
    return tuple(sorted(str(each.relative_to(folder)) for each in found))


def _snapshot(folder: Path) -> dict[str, str]:
    return {each: _digest(folder / each) for each in _files_in(folder)}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _keep_written(folder: Path, before: dict[str, str], target: Path) -> None:
    """Move the files that are new or changed to the folder `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for each in _files_in(folder):
        path = folder / each
        if path.stat().st_size <= _LARGEST_BYTES and before.get(each) != _digest(path):
            (target / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target / each)
