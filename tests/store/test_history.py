"""What commands say of a moment that has passed is what they said in it."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from modelwright import records
from modelwright.cli.program import program
from modelwright.errors import ModelwrightError
from modelwright.records import (
    Artifact,
    DataKind,
    DatasetVersion,
    DeploymentStatus,
    Kind,
    ModelVersion,
    PackageFile,
    Point,
    Run,
    Serving,
    Status,
    StepRun,
    Traffic,
)
from modelwright.store import datasets, endpoints, models, naming, runs, schema
from modelwright.store.changes import Change, change
from modelwright.store.database import Store

NAMES = ("churn", "sales")
ASKED = (
    ("endpoint", "list"),
    *(("endpoint", "show", name) for name in NAMES),
    ("model", "list"),
    ("model", "list", "churn"),
    *(("model", "show", f"{name}{which}") for name in NAMES for which in ("", ":1", ":3", "@champion", "@candidate")),
    ("run", "list"),
    ("run", "list", "--where", "mse < 0.5"),
    ("dataset", "list"),
    *(("dataset", "show", f"{name}{which}") for name in NAMES for which in ("", ":1", ":2")),
    *(("dataset", "users", name) for name in NAMES),
    ("impact", "dataset", "sales:1"),
    ("why", "churn:1"),
    ("audit", "list"),
    ("settings", "list"),
)


def _run(number: int) -> Run:
    return Run(
        id=records.new_id("run"),
        project="",
        status=Status.RUNNING,
        reason="",
        environment_digest="",
        code_digest="",
        git=None,
        started_at=records.now(),
        kind=Kind.SCRIPT,
        experiment="random",
        parameters={"alpha": number / 7},
        tags={"number": str(number)},
    )


def _version(model: str, run: Run | None) -> ModelVersion:
    return ModelVersion(
        id=records.new_id("version"),
        model=model,
        version=0,
        digest="d" * 64,
        framework="custom",
        signature={"inputs": []},
        run_id=run.id if run else None,
        proof_id=None,
        environment_digest=None,
        created_at=records.now(),
        files=(PackageFile("model.pkl", "f" * 64, 3),),
        metrics={"mse": 0.25},
    )


@dataclass
class _History:
    """A workspace to which anything may happen."""

    store: Store
    draw: random.Random
    runs: list[Run] = field(default_factory=list)

    def happen(self) -> None:
        """Let something happen; what is refused has not happened, and something else does."""
        acts = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")]
        while True:
            with suppress(ModelwrightError, IndexError, sa.exc.IntegrityError):
                act = self.draw.choice(acts)
                with change(self.store, actor=self.draw.choice(("ada", "bob")), why=act.__name__) as opened:
                    act(opened)
                return

    def _some_version(self) -> ModelVersion:
        return self.draw.choice(models.list_versions(self.store))

    def _some_run(self) -> Run:
        return self.draw.choice(self.runs)

    def do_start_run(self, opened: Change) -> None:
        self.runs.append(_run(len(self.runs)))
        runs.add_run(opened, self.runs[-1], project_id=None)

    def do_log(self, opened: Change) -> None:
        run = runs.list_runs(self.store, status=Status.RUNNING)[0]
        point = Point(self.draw.choice(("mse", "mae")), 1, self.draw.random(), opened.at)
        runs.log_points(opened, run.id, [point])
        runs.set_note(opened, run.id, f"logged {point.value}")

    def do_step(self, opened: Change) -> None:
        run = self._some_run()
        runs.start_step(opened, run.id, name="fit", position=0, key=None)
        if self.draw.random() > 0.5:
            step = StepRun("fit", 0, Status.SUCCEEDED, {"model": "a" * 64}, opened.at, opened.at)
            runs.finish_step(opened, run.id, step)

    def do_finish_run(self, opened: Change) -> None:
        run = runs.list_runs(self.store, status=Status.RUNNING)[0]
        runs.finish_run(opened, run.id, status=Status.SUCCEEDED, reason="")

    def do_resume_run(self, opened: Change) -> None:
        runs.resume_run(opened, self._some_run().id)

    def do_tag_run(self, opened: Change) -> None:
        runs.set_tags(opened, self._some_run().id, {"kind": self.draw.choice("xyz"), "number": "again"})

    def do_keep_artifact(self, opened: Change) -> None:
        runs.add_artifacts(opened, self._some_run().id, artifacts=[Artifact("a.txt", self.draw.choice("ab") * 64, 3)])

    def do_register(self, opened: Change) -> None:
        run = self._some_run() if self.draw.random() > 0.3 else None
        version = models.add_version(opened, _version(self.draw.choice(NAMES), run))
        if self.draw.random() > 0.5:
            models.move_alias(opened, version, alias="champion")

    def do_move_alias(self, opened: Change) -> None:
        models.move_alias(opened, self._some_version(), alias=self.draw.choice(("champion", "candidate")))

    def do_remove_alias(self, opened: Change) -> None:
        models.remove_alias(opened, self.draw.choice(NAMES), alias=self.draw.choice(("champion", "candidate")))

    def do_rename(self, opened: Change) -> None:
        naming.rename_model(opened, *self.draw.sample((*NAMES, "otherwise"), 2))

    def do_describe(self, opened: Change) -> None:
        models.describe_version(opened, self._some_version(), f"number {self.draw.random()}")

    def do_tag_version(self, opened: Change) -> None:
        models.change_tags(opened, self._some_version(), added={"stage": self.draw.choice("abc")}, removed=["old"])

    def do_add_properties(self, opened: Change) -> None:
        models.add_properties(opened, self._some_version(), {"made_by": self.draw.choice("pq")})

    def do_delete_version(self, opened: Change) -> None:
        version = self._some_version()
        for table in ("version_files", "version_metrics", "version_tags", "version_properties", "version_datasets"):
            part = schema.metadata.tables[table]
            opened.delete(part, part.c.version_id == version.id)
        opened.delete(schema.model_versions, schema.model_versions.c.id == version.id)
        opened.record("model.deleted", f"models/{version.reference}")

    def do_delete_run(self, opened: Change) -> None:
        run = self._some_run()
        for table in ("run_tags", "run_parameters", "run_metrics", "run_summaries", "run_artifacts", "run_steps"):
            part = schema.metadata.tables[table]
            opened.delete(part, part.c.run_id == run.id)
        opened.delete(schema.run_datasets, schema.run_datasets.c.run_id == run.id)
        opened.delete(schema.runs, schema.runs.c.id == run.id)
        opened.record("run.deleted", f"runs/{run.id}")
        self.runs.remove(run)

    def do_deploy(self, opened: Change) -> None:
        endpoint = endpoints.ensure_endpoint(opened, self.draw.choice(NAMES), host="127.0.0.1")
        endpoints.add_deployment(opened, endpoint, version=self._some_version())

    def do_set_address(self, opened: Change) -> None:
        endpoint = self.draw.choice(endpoints.list_endpoints(self.store))
        endpoints.set_address(opened, endpoint, host="127.0.0.1", port=self.draw.randrange(1000, 2000))

    def do_share_out(self, opened: Change) -> None:
        endpoint = self.draw.choice(endpoints.list_endpoints(self.store))
        before = endpoints.serving(self.store, endpoint)
        shared = Traffic({"a": float(self.draw.randrange(100))}, default=self.draw.choice("xyz"))
        endpoints.set_traffic(opened, endpoint, before=before, after=Serving(before.deployments, shared))

    def do_change_deployment(self, opened: Change) -> None:
        deployment = self.draw.choice(endpoints.list_deployments(self.store))
        status = self.draw.choice(list(DeploymentStatus))
        endpoints.set_deployment_status(opened, deployment, status=status, reason="drawn")

    def do_delete_endpoint(self, opened: Change) -> None:
        endpoints.delete_endpoint(opened, self.draw.choice(endpoints.list_endpoints(self.store)))

    def do_add_dataset(self, opened: Change) -> None:
        digest = self.draw.choice("abcdef") * 64
        wanted = DatasetVersion("", self.draw.choice(NAMES), 0, digest, 3, opened.at, kind=DataKind.VALUES)
        version = datasets.ensure_dataset_version(opened, wanted)
        if self.runs:
            runs.link_dataset(opened, self._some_run().id, dataset=version, role="training data")

    def do_describe_dataset(self, opened: Change) -> None:
        datasets.describe(opened, self.draw.choice(NAMES), f"about {self.draw.random()}")

    def do_tag_dataset(self, opened: Change) -> None:
        datasets.change_tags(opened, self.draw.choice(NAMES), added={"a": self.draw.choice("xyz")}, removed=["b"])

    def do_delete_dataset(self, opened: Change) -> None:
        found = self.draw.choice(datasets.list_datasets(self.store))
        table, versions = schema.datasets, schema.dataset_versions
        of_dataset = sa.select(table.c.id).where(table.c.name == found.name).scalar_subquery()
        opened.delete(versions, versions.c.dataset_id == of_dataset)
        opened.delete(schema.dataset_tags, schema.dataset_tags.c.dataset_id == of_dataset)
        opened.delete(table, table.c.name == found.name)
        opened.record("dataset.deleted", f"datasets/{found.name}")


@pytest.fixture
def wright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command in this test's workspace; an error is an answer as any other."""
    monkeypatch.setenv("WRIGHT_WORKSPACE", str(tmp_path / ".wright"))

    def call(*words: str) -> str:
        done = CliRunner().invoke(program, words, standalone_mode=False)
        if done.exception and not isinstance(done.exception, ModelwrightError):
            raise done.exception
        return str(done.exception or done.stdout)

    return call


def _answers(wright: Callable[..., str], *when: str) -> dict[tuple[str, ...], Any]:
    told: dict[tuple[str, ...], Any] = {}
    for words in ASKED:
        text = wright(*when, *words, "--json")
        told[words] = json.loads(text) if text[0] in "[{" else text
        if words[0] in {"impact", "why"} and isinstance(told[words], dict):
            told[words] = sorted(json.dumps(each) for part in ("nodes", "edges", "gaps") for each in told[words][part])
        for each in told[words] if isinstance(told[words], list) else [told[words]]:
            if words[0] == "endpoint" and isinstance(each, dict):
                # There are no processes in this test, and of then there is only the record.
                for name in ("serves", "state", "reason"):
                    del each[name]
    return told


@pytest.mark.parametrize("seed", [7])
def test_a_moment_is_told_of_as_it_was(store: Store, wright: Callable[..., str], seed: int) -> None:
    told: dict[str, dict[tuple[str, ...], Any]] = {}
    past = _History(store, random.Random(seed))
    for number in range(150):
        past.happen()
        if number % 30 == seed:
            told[records.now().isoformat()] = _answers(wright)
    for moment, answers in told.items():
        assert _answers(wright, "at", moment) == answers
