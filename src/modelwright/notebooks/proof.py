"""The comparison of a notebook's run with its project's: the project runs in a fresh process, in another folder."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright import processes
from modelwright.errors import ProjectRaised
from modelwright.notebooks import importing, printed, seeds
from modelwright.notebooks.describing import difference
from modelwright.notebooks.layouts import Layout
from modelwright.records import Comparison, NotebookRun, Plan, Proof, Shown

_WORKER = Path(__file__).with_name("worker.py")
TOLERANCE = 1e-9
# Three runs of one notebook: the third may lie this many times as far from the first as the second did.
_SPREAD = 3.0
_TEXT_SHOWN = 400
_TEXT_FILES = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".dot", ".md", ".html"})
_TRACEBACK_LINES = 12


@dataclass(frozen=True)
class ProjectRun:
    """What a project gave in a fresh process, as its worker saw it, and where it left its files.

    `is_alone` says that it ran with nothing but what its imports bring along.
    """

    seen: Mapping[str, Any]
    output_folder: Path
    elsewhere: Path
    is_alone: bool = False

    @property
    def missed(self) -> tuple[str, ...]:
        """The modules that the run asked for and that were kept from it."""
        return tuple(self.seen["missed"])

    @property
    def modules(self) -> tuple[str, ...]:
        """The top-level modules that the run loaded.

        Among them are those that no import statement names: what one library asks of another only when it is needed,
        as scikit-learn does with pandas for `as_frame=True`.
        """
        return tuple(self.seen["modules"])

    @property
    def types(self) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        """The types of each function's inputs and outputs, in their order, as `spelling` spells them."""
        found: dict[str, dict[str, list[Any]]] = self.seen["types"]
        return found

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows the longest table has that each function gave."""
        found: dict[str, int] = self.seen["rows"]
        return found

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long each function worked."""
        found: dict[str, float] = self.seen["seconds"]
        return found


def run(  # noqa: PLR0913 - what is run, in which Python, where, and what is to be missing
    plan: Plan,
    training_run: NotebookRun,
    *,
    project: Path,
    layout: Layout,
    python: Path,
    environment: Mapping[str, str],
    work_folder: Path,
    without: Collection[str] = (),
    timeout_seconds: float = 3600.0,
) -> ProjectRun:
    """Run the project's training and scoring in a fresh process of `python`.

    The modules `without` look as if they were not installed. Raises ProjectRaised and CommandTimedOut.
    """
    asked = _request(plan, training_run, project, layout, work_folder) | {"without": list(without)}
    seen = _project_run(asked, python, environment, work_folder, timeout_seconds)
    return ProjectRun(seen, Path(asked["output_folder"]), work_folder / "elsewhere", is_alone=bool(without))


def prove(
    plan: Plan,
    training_run: NotebookRun,
    scoring_run: NotebookRun | None,
    *,
    project_run: ProjectRun,
    project_digest: str,
    again: NotebookRun | None = None,
) -> Proof:
    """Compare what the project's run gave with what the notebooks' runs gave.

    Compared are metrics, what is printed, the values that flow between functions, files written, the saved model's
    predictions on the same rows, how sure it is of them, and the scoring result; floats to `TOLERANCE`, relative. A
    value that only one side has is a difference. `again` is another run of the training notebook: what differs between
    its two runs may differ as much in the project's.
    """
    seen = project_run.seen
    pairs: list[tuple[str, str, object, object]] = [
        (each.name, "metric", training_run.metrics.get(each.name), seen["metrics"].get(each.name))
        for each in plan.metrics
    ]
    # A function that a user renamed or an older conversion cut otherwise has no values under these names.
    called = {name.partition(".")[0] for name in seen["parts"]}
    pairs += [
        (name, "value", value, seen["parts"].get(name))
        for name, value in training_run.parts.items()
        if name.partition(".")[0] in called
    ]
    if training_run.predictions is not None:
        pairs.append(("predictions", "predictions", training_run.predictions, seen["predictions"]))
    if training_run.certainty is not None:
        pairs.append(("certainty", "predictions", training_run.certainty, seen["certainty"]))
    answer = expected_answer(plan, training_run, scoring_run)
    if answer is not None:
        pairs.append(("scores", "scores", answer, seen["answer"]))
    noise = _noise(plan, training_run, again)
    places = {each.name: f"cell {each.places[0][0]}" for each in plan.functions if each.places}
    found = [
        replace(
            _comparison(*pair, noise=noise.get((pair[1], pair[0]), 0.0)),
            place=places.get(pair[0].partition(".")[0], ""),
        )
        for pair in pairs
    ]
    found += _printed(plan, seen["printed"], noise)
    found += _files(plan, training_run, project_run)
    return Proof(
        comparisons=tuple(found),
        tolerance=TOLERANCE,
        notebook_digest=plan.digest,
        project_digest=project_digest,
        python_version=seen["python_version"],
    )


def in_one_line(comparison: Comparison) -> str:
    """Return what differs: the result, its cell, and the first part of it that is not the same."""
    path, notebook, project = _first_apart(comparison.notebook, comparison.project)
    place = f" ({comparison.place})" if comparison.place else ""
    part = f" at {path}" if path else ""
    return f"{comparison.name}{place}{part} is {_brief(project)} where the notebook has {_brief(notebook)}"


def _first_apart(one: Any, other: Any, path: str = "") -> tuple[str, Any, Any]:
    """Return the path of the first entry in which two values differ, and what both have there."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(f"{path}.{key}", one.get(key), other.get(key)) for key in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{place}]", *pair) for place, pair in enumerate(zip(one, other, strict=True))]
    else:
        return path.lstrip("."), one, other
    found = (_first_apart(first, second, place) for place, first, second in pairs if difference(first, second))
    return next(found, (path.lstrip("."), one, other))


def _brief(value: Any) -> str:
    return "nothing" if value is None else _short(repr(value))


def _noise(plan: Plan, one: NotebookRun, other: NotebookRun | None) -> dict[tuple[str, str], float]:
    """Return how far two runs of the notebook are apart, by kind and name of each result that differs."""
    if other is None:
        return {}
    found = {("metric", name): difference(value, other.metrics.get(name)) for name, value in one.metrics.items()}
    found |= {("value", name): difference(value, other.parts.get(name)) for name, value in one.parts.items()}
    found["predictions", "predictions"] = difference(one.predictions, other.predictions)
    found["predictions", "certainty"] = difference(one.certainty, other.certainty)
    texts = {each.index: each.printed for each in (other.trace.statements if other.trace else ())}
    for each in plan.shown:
        values, others = printed.numbers(each.text), printed.numbers(texts.get(each.statement, ""))
        found["printed", _place(each)] = difference(values, others)
    return {key: apart for key, apart in found.items() if apart > TOLERANCE}


def _printed(plan: Plan, text: str, noise: Mapping[tuple[str, str], float]) -> list[Comparison]:
    looked_through = printed.Printed(text)
    found = []
    for each in plan.shown:
        match = looked_through.find(each.text, is_display=each.is_display)
        own_noise = noise.get(("printed", _place(each)), 0.0)
        is_equal = match.difference <= max(TOLERANCE, _SPREAD * own_noise)
        found.append(
            Comparison(
                _place(each),
                "printed",
                _short(each.text),
                _short(match.text),
                is_equal=is_equal,
                difference=match.difference,
                noise=own_noise,
                place=_place(each),
            )
        )
    return found


def _place(shown: Shown) -> str:
    return f"cell {shown.cell}, line {shown.line}"


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else f"{text[:_TEXT_SHOWN]}…"


def _files(plan: Plan, training_run: NotebookRun, project_run: ProjectRun) -> list[Comparison]:
    """Compare the files that both sides wrote, if they can be read as texts; pictures and models are left out."""
    found = []
    for name in plan.written_files:
        theirs = training_run.folder / name
        places = [project_run.output_folder / theirs.name, project_run.elsewhere / name]
        ours = next((each for each in places if each.is_file()), None)
        if theirs.suffix.lower() not in _TEXT_FILES or not theirs.is_file():
            continue
        apart = _files_apart(theirs, ours) if ours else math.inf
        found.append(
            Comparison(name, "file", name, ours.name if ours else None, is_equal=apart <= TOLERANCE, difference=apart)
        )
    return found


def _files_apart(one: Path, other: Path) -> float:
    if one.read_bytes() == other.read_bytes():
        return 0.0
    texts = [each.read_text(encoding="utf-8", errors="replace") for each in (one, other)]
    return difference(*(printed.numbers(each) for each in texts))


def sample_request(plan: Plan, training_run: NotebookRun) -> str | None:
    """Return the request to try scoring with: the scoring notebook's, else two of the rows that were predicted on."""
    if plan.sample_request is not None:
        return plan.sample_request
    rows = [row for _, row in _sample_rows(training_run)]
    return json.dumps({"data": rows}) if rows else None


def _sample_rows(training_run: NotebookRun) -> list[tuple[int, list[Any]]]:
    """Return the first two rows that JSON can hold, with their numbers; texts only where columns have names."""
    rows = training_run.rows
    if not isinstance(rows, dict) or not isinstance(rows.get("rows"), list):
        return []
    kinds = int | float if rows.get("columns") is None else int | float | str

    def fits(row: Any) -> bool:
        is_plain = isinstance(row, list) and all(isinstance(each, kinds) for each in row)
        return is_plain and all(math.isfinite(each) for each in row if not isinstance(each, str))

    return [(number, row) for number, row in enumerate(rows["rows"]) if fits(row)][:2]


def expected_answer(plan: Plan, training_run: NotebookRun, scoring_run: NotebookRun | None) -> Any:
    """Return what the notebooks answer to the sample request; None when neither says."""
    if plan.sample_request is not None and scoring_run is None and training_run.predictions is not None:
        return {"result": training_run.predictions}  # scoring derived from training answers for the rows put aside
    if plan.sample_request is not None:
        return scoring_run.answer if scoring_run else None
    request = sample_request(plan, training_run)
    if request is None or not isinstance(training_run.predictions, list):
        return None
    return {"result": [training_run.predictions[number] for number, _ in _sample_rows(training_run)]}


def _comparison(name: str, kind: str, notebook: Any, project: Any, *, noise: float) -> Comparison:
    apart = math.inf if notebook is None or project is None else difference(notebook, project)
    is_equal = apart <= max(TOLERANCE, _SPREAD * noise)
    return Comparison(name, kind, notebook, project, is_equal=is_equal, difference=apart, noise=noise)


def _request(plan: Plan, training_run: NotebookRun, project: Path, layout: Layout, work_folder: Path) -> dict[str, Any]:
    has_rows = training_run.rows_file is not None and training_run.predictions is not None
    # The place of a served model, whose last two parts are its name and version.
    output = work_folder / "azureml-models" / project.name / "1"
    output.mkdir(parents=True, exist_ok=True)
    return {
        "project": project.name,
        "source": str(project.absolute() / layout.source),
        "train": layout.train,
        "score": layout.score,
        "output_folder": str(output.absolute()),
        "metrics": [each.name for each in plan.metrics],
        "functions": {each.name: list(each.outputs) for each in plan.functions},
        "imports": importing.origins(plan.imports),
        "rows_file": str(training_run.rows_file.absolute()) if training_run.rows_file and has_rows else None,
        "model_file": plan.model_file,
        "loader": plan.loader,
        "sample_request": sample_request(plan, training_run),
    }


def _project_run(
    asked: Mapping[str, Any], python: Path, environment: Mapping[str, str], work_folder: Path, timeout_seconds: float
) -> dict[str, Any]:
    elsewhere = work_folder / "elsewhere"
    elsewhere.mkdir(parents=True, exist_ok=True)
    request_file, answer_file = work_folder / "request.json", work_folder / "answer.json"
    answer_file.unlink(missing_ok=True)
    request_file.write_text(json.dumps(asked), encoding="utf-8")
    done = processes.run(
        [python, _WORKER, request_file.absolute(), answer_file.absolute()],
        folder=elsewhere,
        environment={**environment, **seeds.ENVIRONMENT},
        timeout_seconds=timeout_seconds,
        after_timeout="allow more time, or convert a notebook that does less",
    )
    if done.returncode or not answer_file.exists():
        tail = "\n".join(done.stderr.strip().splitlines()[-_TRACEBACK_LINES:])
        raise ProjectRaised(project=asked["project"], traceback=tail or f"it ended with exit code {done.returncode}")
    seen: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
    return seen
