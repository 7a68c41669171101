"""Notebooks: what is read, what is planned, what was seen when they ran."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelwright.records.traces import Trace


class Goal(StrEnum):
    """Which direction of a metric is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True)
class Finding:
    """What analysis reports about a notebook: a stable code, a place and a fix.

    `cell` and `line` count from 1; 0 means the whole notebook. An `is_error` finding stops the conversion.
    """

    code: str
    message: str
    fix: str
    notebook: str
    cell: int = 0
    line: int = 0
    is_error: bool = False


@dataclass(frozen=True)
class Removal:
    """A statement of a notebook that the project does not have, and why."""

    notebook: str
    cell: int
    line: int
    source: str
    reason: str


@dataclass(frozen=True)
class Cell:
    """A code cell that is not empty.

    `number` counts such cells from 1, as `In [n]` does after a run from top to bottom. `code` is plain Python with
    the lines of `source`: notebook syntax in it went or became Python. Only below a `%run`, whose file's code stands
    in its place, are the lines of `code` further down than those of `source`.

    `markdown` is the text between this cell and the code cell before it, `heading` the nearest heading above and
    `section` the headings that it lies under, the outermost first. `tags` are those of the cell's metadata.
    `outputs_text` is the text that is stored as its result, None when nothing is.
    """

    number: int
    source: str
    code: str
    execution_count: int | None = None
    heading: str = ""
    section: tuple[str, ...] = ()
    markdown: str = ""
    tags: frozenset[str] = frozenset()
    outputs_text: str | None = None


@dataclass(frozen=True)
class Notebook:
    """A notebook as read from its file. `digest` is the BLAKE3 of its cells' sources, and of those that they run.

    `requirements` are what its cells install, as pip writes them. `written_files` are the files that its cells write
    with `%%writefile`, by path, with their text: modules of its own are among them.
    """

    path: Path
    digest: str
    cells: tuple[Cell, ...]
    removals: tuple[Removal, ...] = ()
    findings: tuple[Finding, ...] = ()
    requirements: tuple[str, ...] = ()
    written_files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What the user decides over the analysis: numbers of cells to keep whole, and of cells to leave out."""

    keep: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A value of the notebook that became a keyword parameter of the project."""

    name: str
    value: bool | int | float | str


@dataclass(frozen=True)
class Metric:
    """A number that tells how good a model is, and which direction is better."""

    name: str
    goal: Goal


@dataclass(frozen=True)
class Function:
    """A function of the project: its code, and the names that flow in and out.

    `role` is what it does for the pipeline: "load", "split", "prepare", "train", "evaluate" or "save". `places` are
    the cells and lines of the notebook's statements in it, in their order. `types` are the annotations of inputs and
    parameters, as far as they are known, `returns` is that of what it gives.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    code: str
    role: str = "train"
    places: tuple[tuple[int, int], ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""


@dataclass(frozen=True)
class ProbePoint:
    """What is looked at in a notebook's kernel: `expression`, right after `line` of `cell` has run.

    `kind` says what becomes of it: "metric" a number, "part" a description of its rows, "rows" are put aside,
    "predictions" and "certainty" are those of the model that the expression names on the rows put aside, "overlap"
    counts test rows that are train rows too, "answer" is kept as JSON. "raw" rows and a "split" of rows are kept for a
    "replay", which tries to make what the model was given of raw rows.
    """

    cell: int
    line: int
    kind: str
    name: str
    expression: str


@dataclass(frozen=True)
class Shown:
    """What a kept statement showed when the notebook ran.

    A `is_display` text is that of a value which the notebook shows by itself, and the project prints.
    """

    statement: int
    cell: int
    line: int
    text: str
    is_display: bool


@dataclass(frozen=True)
class Plot:
    """A function of the report: it draws figures from what the first `after` functions of the plan give.

    `needs` are the places in the plan's functions of those that must have run. `removals` are its statements, as they
    are told of when it is left out.
    """

    function: Function
    after: int
    needs: tuple[int, ...]
    removals: tuple[Removal, ...]


@dataclass(frozen=True)
class Beside:
    """A statement of the report's module level that training does without: its code, if it defines anything.

    `removals` are how it is told of when no plot is left that needs it, by the name that it binds.
    """

    code: str
    cell: int
    line: int
    removals: dict[str, Removal]


@dataclass(frozen=True)
class Report:
    """The figures that depend on a model: the functions that draw them, in order, and what they need beside training.

    `style` sets how all of them look, None where the notebook leaves that alone; it is given nothing. `imports` are the
    notebook's import lines for all of it. `pyplot` is the name that matplotlib.pyplot has in it.
    """

    plots: tuple[Plot, ...]
    beside: tuple[Beside, ...]
    style: Plot | None
    imports: tuple[str, ...]
    pyplot: str


@dataclass(frozen=True)
class Plan:
    """What a training notebook, with its scoring notebook if there is one, becomes.

    `functions` stand in the order in which they are called. `data_files` are files beside the notebook that the
    project needs, relative to it; `modules` the installed packages that it imports, by import name.
    `model_file` is the model's name in an output folder.
    `scoring_files` are the files that the scoring notebook loads, each with the training notebook's path of it.
    `measured` is the variable of the metrics between functions, a name that the notebook does not have.
    `estimator_keywords` are the parameters that the model is built with, each with its keyword.
    `shown` are the texts that the project must print too, in its order; `written_files` the files that the notebook's
    kept statements wrote, relative to it. `report` draws the figures that depend on a model; None without any.
    """

    notebook: str
    digest: str
    imports: tuple[str, ...]
    definitions: str
    functions: tuple[Function, ...]
    parameters: tuple[Parameter, ...]
    metrics: tuple[Metric, ...]
    model: str
    model_file: str
    loader: str
    score: str
    sample_request: str | None
    scoring_files: tuple[tuple[str, str], ...]
    measured: str
    modules: tuple[str, ...]
    data_files: tuple[str, ...]
    estimator_keywords: tuple[tuple[str, str], ...]
    removals: tuple[Removal, ...]
    findings: tuple[Finding, ...]
    training_probe: tuple[ProbePoint, ...]
    shown: tuple[Shown, ...]
    written_files: tuple[str, ...]
    scoring_probe: tuple[ProbePoint, ...]
    report: Report | None = None


@dataclass(frozen=True)
class NotebookRun:
    """What was seen when a notebook ran: printed text by cell, and what its probe points gave.

    `rows` are the first of those in `rows_file`, a pickle: {"columns": names or None, "rows": lists}. `unseen` are the
    points whose expression raised, each with its error. `trace` is there when the run was traced. `replays` is what
    came of each way from raw rows to the model that was tried.
    """

    notebook: str
    python_version: str
    outputs: tuple[tuple[int, str], ...]
    metrics: dict[str, float]
    parts: dict[str, object]
    overlaps: dict[str, object]
    rows_file: Path | None
    rows: object
    predictions: object
    certainty: object
    answer: object
    unseen: dict[str, str]
    folder: Path
    elapsed_seconds: float
    trace: Trace | None = None
    replays: dict[str, Any] = field(default_factory=dict)
