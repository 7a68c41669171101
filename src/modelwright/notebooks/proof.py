"""The comparison of a notebook's run with its project's: the project runs in a fresh process, in another folder."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from modelwright import processes
from modelwright.errors import ProjectRaised
from modelwright.notebooks.describing import difference
from modelwright.records import Comparison, NotebookRun, Plan, Proof

_WORKER = Path(__file__).with_name("worker.py")
TOLERANCE = 1e-9
_TRACEBACK_LINES = 12


def prove(  # noqa: PLR0913 - both sides of the comparison and where it is done, all named at the call
    *,
    plan: Plan,
    training_run: NotebookRun,
    scoring_run: NotebookRun | None,
    project: Path,
    project_digest: str,
    python: Path,
    environment: Mapping[str, str],
    work_folder: Path,
    timeout_seconds: float = 3600.0,
) -> Proof:
    """Run the project's training and scoring in a fresh process of `python`; compare with what the notebooks gave.

    Compared are metrics, the saved model's predictions on the same rows, how sure it is of them, and the scoring
    result; floats to `TOLERANCE`, relative. A value that only one side has is a difference. Raises ProjectRaised and
    CommandTimedOut.
    """
    asked = _request(plan, training_run, project, work_folder)
    seen = _project_run(asked, python, environment, work_folder, timeout_seconds)
    pairs: list[tuple[str, str, Any, Any]] = [
        (each.name, "metric", training_run.metrics.get(each.name), seen["metrics"].get(each.name))
        for each in plan.metrics
    ]
    if training_run.predictions is not None:
        pairs.append(("predictions", "predictions", training_run.predictions, seen["predictions"]))
    if training_run.certainty is not None:
        pairs.append(("certainty", "predictions", training_run.certainty, seen["certainty"]))
    answer = expected_answer(plan, training_run, scoring_run)
    if answer is not None:
        pairs.append(("scores", "scores", answer, seen["answer"]))
    return Proof(
        comparisons=tuple(_comparison(*pair) for pair in pairs),
        tolerance=TOLERANCE,
        notebook_digest=plan.digest,
        project_digest=project_digest,
        python_version=seen["python_version"],
    )


def loaded_modules(
    *,
    plan: Plan,
    training_run: NotebookRun,
    project: Path,
    python: Path,
    environment: Mapping[str, str],
    work_folder: Path,
    without: Collection[str] = (),
    timeout_seconds: float = 3600.0,
) -> tuple[str, ...]:
    """Run the project in a fresh process of `python` and return the top-level modules that this loaded.

    Among them are those that no import statement names: what one library asks of another only when it is needed, as
    scikit-learn does with pandas for `as_frame=True`. The modules `without` look as if they were not installed.
    Raises ProjectRaised and CommandTimedOut.
    """
    asked = _request(plan, training_run, project, work_folder) | {"without": list(without)}
    seen = _project_run(asked, python, environment, work_folder, timeout_seconds)
    return tuple(seen["modules"])


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
    if plan.sample_request is not None:
        return scoring_run.answer if scoring_run else None
    request = sample_request(plan, training_run)
    if request is None or not isinstance(training_run.predictions, list):
        return None
    return {"result": [training_run.predictions[number] for number, _ in _sample_rows(training_run)]}


def _comparison(name: str, kind: str, notebook: Any, project: Any) -> Comparison:
    if notebook is None or project is None:
        return Comparison(name, kind, notebook, project, is_equal=False, difference=float("inf"))
    apart = difference(notebook, project)
    return Comparison(name, kind, notebook, project, is_equal=apart <= TOLERANCE, difference=apart)


def _request(plan: Plan, training_run: NotebookRun, project: Path, work_folder: Path) -> dict[str, Any]:
    has_rows = training_run.rows_file is not None and training_run.predictions is not None
    # The place of a served model, whose last two parts are its name and version.
    output = work_folder / "azureml-models" / project.name / "1"
    output.mkdir(parents=True, exist_ok=True)
    return {
        "project": str(project.absolute()),
        "output_folder": str(output.absolute()),
        "metrics": [each.name for each in plan.metrics],
        "rows_file": str(training_run.rows_file.absolute()) if training_run.rows_file and has_rows else None,
        "model_file": plan.model_file,
        "loader": plan.loader,
        "sample_request": sample_request(plan, training_run),
        "without": [],
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
        environment=environment,
        timeout_seconds=timeout_seconds,
        after_timeout="allow more time, or convert a notebook that does less",
    )
    if done.returncode or not answer_file.exists():
        tail = "\n".join(done.stderr.strip().splitlines()[-_TRACEBACK_LINES:])
        raise ProjectRaised(
            project=Path(asked["project"]).name, traceback=tail or f"it ended with exit code {done.returncode}"
        )
    seen: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
    return seen
