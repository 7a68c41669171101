"""Runs of the small project, in the Python that runs the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from modelwright import records
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import read_manifest
from modelwright.records import BuiltEnvironment, Run, Status
from modelwright.runs import definitions, pipelines, workers
from modelwright.runs.active import ActiveRun, recorded
from modelwright.runs.closures import Code
from modelwright.runs.execution import Execution
from modelwright.runs.states import Progress, Rules
from modelwright.store import environments, projects, runs
from modelwright.store.changes import change
from modelwright.store.database import Store


@dataclass
class Runner:
    """Runs the small project, as it is edited by then; `progress` is what the last run told."""

    store: Store
    project: Path
    environment: BuiltEnvironment
    progress: list[Progress] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    @property
    def train(self) -> Path:
        return self.project / "src" / "small" / "train.py"

    def edit(self, old: str, new: str, *, file: str = "train.py") -> None:
        path = self.train.with_name(file)
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    @contextmanager
    def running(self, **parameters: object) -> Iterator[ActiveRun]:
        manifest = read_manifest(self.project)
        with change(self.store, actor="ada") as opened:
            project_id = projects.ensure_project(opened, "small", folder=self.project)
            environments.ensure_environment(opened, self.environment.lock)
        run = Run(
            id=records.new_id("run"),
            project="small",
            status=Status.RUNNING,
            reason="",
            environment_digest=self.environment.lock.digest,
            code_digest=code_digest(self.project),
            git=None,
            started_at=records.now(),
            parameters={"alpha": 0.5} | parameters,
            seed=0,
        )
        active = ActiveRun(self.store, run, self.project, manifest.layout.source, self.environment, "ada")
        with recorded(active, project_id=project_id):
            yield active

    @contextmanager
    def execution(self, active: ActiveRun, rules: Rules | None = None) -> Iterator[Execution]:
        manifest = read_manifest(active.code)
        code = Code(active.code / active.source)
        pipeline = definitions.checked(pipelines.read_pipeline(manifest.pipeline), code)
        self.progress, self.order = [], [each.name for each in pipeline.steps]
        with workers.started(
            project=active.code,
            source=active.code / active.source,
            modules=pipeline.modules,
            log=active.folder / "logs" / "worker.log",
        ) as pool:
            yield Execution(active, pipeline, pool, rules=rules, on_step=self.progress.append)

    def run(self, rules: Rules | None = None, **parameters: object) -> Run:
        """Run the pipeline and return the run, also when it fails."""
        with self.running(**parameters) as active, self.execution(active, rules) as execution:
            execution.run(dataset="small")
        return runs.get_run(self.store, active.run.id)

    def log(self, run: Run, step: str) -> str:
        return (self.store.folder / "runs" / run.id / "logs" / f"{step}.log").read_text()

    def ran(self) -> list[str]:
        """Return the steps of the last run that really ran, in the pipeline's order."""
        return self._ended(is_reused=False)

    def reused(self) -> list[str]:
        return self._ended(is_reused=True)

    def _ended(self, *, is_reused: bool) -> list[str]:
        ended = {
            each.step
            for each in self.progress
            if each.status is Status.SUCCEEDED and bool(each.reused_from) is is_reused
        }
        return [name for name in self.order if name in ended]
