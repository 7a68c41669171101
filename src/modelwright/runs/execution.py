"""Executes a pipeline: every step in a process of its own, in the project's built environment, on the record."""

import contextlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.datasets import versions
from modelwright.errors import ProjectInvalid, RunCancelled, StepFailed
from modelwright.projects.code import code_files, copy_code
from modelwright.records import Artifact, Point, Run, Status, StepRun
from modelwright.runs.pipelines import Argument, Pipeline, Step
from modelwright.runs.workers import Worker
from modelwright.store import claims, runs
from modelwright.store.blobs import digest_of
from modelwright.store.changes import change
from modelwright.store.database import Store

OUTPUT_FOLDER = "output_folder"

# The parts of a run's folder that its artifacts take the place of.
_PASSING = ("code", "outputs", "values")


@dataclass(frozen=True)
class ActiveRun:
    """A run of `project` while it is running.

    Its folder holds the copy of the project's code that really runs, the outputs, the values that pass between the
    steps, and the logs.
    """

    store: Store
    run: Run
    project: Path
    worker: Worker
    actor: str

    @property
    def folder(self) -> Path:
        """Where this run's files are until they are kept as artifacts."""
        return run_folder(self.store, self.run.id)

    @property
    def code(self) -> Path:
        """The copy of the project's code, which stays as it is whatever the user edits."""
        return self.folder / "code"

    @property
    def outputs(self) -> Path:
        """Where the run's own files go; they become its artifacts."""
        return self.folder / "outputs"

    def value(self, name: str) -> Path:
        """Return the file that holds the value a step called `name`."""
        return self.folder / "values" / f"{name}.pickle"


def run_folder(store: Store, run_id: str) -> Path:
    """Return the folder of a run's logs and, while it runs, of its values."""
    return store.folder / "runs" / run_id


@contextlib.contextmanager
def recorded(store: Store, run: Run, *, project_id: str, project: Path, actor: str) -> Iterator[Path]:
    """Record `run` as running for as long as the block lasts, and its end however the block ends; give its folder.

    The project's code is copied there first; ProjectInvalid when it is no longer what the run's code digest says.
    A RunCancelled (the gate's verdict) or Ctrl-C ends it `cancelled`, any other exception `failed`.
    """
    folder = run_folder(store, run.id)
    with claims.claim(store, run.id):
        with change(store, actor=actor) as opened:
            runs.add_run(opened, run, project_id=project_id)
        for part in _PASSING:
            (folder / part).mkdir(parents=True)
        (folder / "logs").mkdir()
        status, reason = Status.FAILED, "ended unexpectedly"
        try:
            _fix_code(project, folder / "code", run=run)
            yield folder
            status, reason = Status.SUCCEEDED, ""
        except RunCancelled as verdict:
            status, reason = Status.CANCELLED, str(verdict)
            raise
        except KeyboardInterrupt:
            status, reason = Status.CANCELLED, "interrupted from the keyboard"
            raise
        except Exception as error:
            reason = str(error)
            raise
        finally:
            with change(store, actor=actor, why=reason) as opened:
                runs.finish_run(opened, run.id, status=status, reason=reason)
            discard_values(store, run.id)


def _fix_code(project: Path, copy: Path, *, run: Run) -> None:
    if copy_code(project, copy) != run.code_digest:
        raise ProjectInvalid(path=project, reason="it was edited while the run was starting; run it again")


def discard_values(store: Store, run_id: str) -> None:
    """Delete what a run needs only while it is running; its logs stay."""
    for name in _PASSING:
        shutil.rmtree(run_folder(store, run_id) / name, ignore_errors=True)


def execute(
    active: ActiveRun, pipeline: Pipeline, *, dataset: str, on_step: Callable[[str], None] = lambda _: None
) -> dict[str, float]:
    """Run every step in order and return the pipeline's metrics.

    The values that enter the pipeline from outside become a version of `dataset`. Afterwards the files that the steps
    wrote and the project's code are artifacts of the run. Raises StepFailed.
    """
    metrics: dict[str, float] = {}
    for position, step in enumerate(pipeline.steps, start=1):
        on_step(step.name)
        with change(active.store, actor=active.actor) as opened:
            runs.start_step(opened, active.run.id, name=step.name, position=position, key=None)
        numbers = call(active, step)
        digests = {name: digest_of(active.value(name)) for name in step.outputs}
        found = numbers.get(pipeline.results.get("metrics", ""), {})
        metrics |= found
        with change(active.store, actor=active.actor) as opened:
            ended = StepRun(step.name, position, Status.SUCCEEDED, digests, opened.at, opened.at)
            runs.finish_step(opened, active.run.id, ended)
            runs.log_points(opened, active.run.id, [Point(name, 0, value, opened.at) for name, value in found.items()])
    sources = {name: active.value(name) for name in pipeline.sources()}
    if sources:
        version = versions.pin(active.store, dataset, files=sources, actor=active.actor)
        with change(active.store, actor=active.actor) as opened:
            runs.link_dataset(opened, active.run.id, dataset=version, role="training data")
    _keep_artifacts(active)
    return metrics


def call(
    active: ActiveRun, step: Step, *, replaced: dict[str, Path] | None = None, into: str = "values"
) -> dict[str, dict[str, float]]:
    """Run one step and return its outputs that are dictionaries of numbers, by name.

    `replaced` puts other files in the place of values, so that a step can be asked about another model.
    Raises StepFailed with the end of the user's traceback; the whole is in the step's log.
    """
    replaced = replaced or {}
    folder = active.folder / into
    folder.mkdir(exist_ok=True)
    values = {path.stem for path in (active.folder / "values").glob("*.pickle")}
    parameters = active.run.parameters | {OUTPUT_FOLDER: str(active.outputs)}

    def described(argument: Argument) -> dict[str, object]:
        path = replaced.get(argument.name or "") or (active.value(argument.name) if argument.name in values else None)
        value = parameters[argument.name] if argument.name and not path else argument.value
        return {"keyword": argument.keyword, "path": str(path) if path else None, "value": value}

    log = active.folder / "logs" / f"{step.name}.log"
    code = active.worker.run(
        {
            "module": step.module,
            "function": step.function,
            "arguments": [described(argument) for argument in step.arguments],
            "outputs": step.outputs,
            "is_unpacked": step.is_unpacked,
            "folder": str(folder),
            "log": str(log),
        }
    )
    if code != 0:
        raise StepFailed(step=step.name, run=active.run.id, reason=_reason(code, log), log=log, folder=active.project)
    found: dict[str, dict[str, float]] = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    return found


def _reason(code: int, log: Path) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    has_raised = any(line.startswith("Traceback (most recent call last)") for line in lines)
    return lines[-1] if has_raised else f"exit code {code}"


def _keep_artifacts(active: ActiveRun) -> None:
    written = {f"outputs/{path.relative_to(active.outputs)}": path for path in sorted(active.outputs.rglob("*"))}
    code = {f"code/{name}": path for name, path in code_files(active.code).items()}
    with active.store.blobs.batch() as batch:
        artifacts = [
            Artifact(path=name, digest=batch.add(path), size_bytes=path.stat().st_size)
            for name, path in (written | code).items()
            if path.is_file()
        ]
        with change(active.store, actor=active.actor) as opened:
            runs.add_artifacts(opened, active.run.id, artifacts=artifacts)
