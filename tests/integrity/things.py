"""Things of a workspace, made by the store's own functions with as little as they need."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from modelwright import records
from modelwright.datasets.versions import draft
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import (
    Artifact,
    DataKind,
    DatasetFile,
    DatasetVersion,
    Deployment,
    DeploymentStatus,
    EnvironmentSource,
    EnvironmentVersion,
    Lock,
    LockSource,
    ModelVersion,
    PackageFile,
    PipelineVersion,
    Run,
    SpecificationKind,
    Status,
    StepRun,
)
from modelwright.store import datasets, endpoints, environments, models, pipelines, projects, runs
from modelwright.store.blobs import Batch, digest_of


def hexadecimal(text: str) -> str:
    from blake3 import blake3

    return blake3(text.encode()).hexdigest()


def lock(text: str = "nothing\n") -> Lock:
    return Lock(text, "3.12", "here", hexadecimal(text), LockSource.INDEX)


def _kept(batch: Batch, contents: Sequence[str], *, is_packed: bool = False) -> list[Artifact]:
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name, f"file-{number}") for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_text(content)
        digests = batch.add_all(paths, is_packed=is_packed)
        return [Artifact(path.name, each, path.stat().st_size) for path, each in zip(paths, digests, strict=True)]


def add_run(
    session: Session,
    *,
    status: Status = Status.SUCCEEDED,
    code: str = "code",
    data: Sequence[DatasetVersion] = (),
    reused: Run | None = None,
    parent: Run | None = None,
    published: PipelineVersion | None = None,
) -> Run:
    """Record a run with its code, a step, a value and a file."""
    run = Run(
        id=records.new_id("run"),
        project="small",
        status=Status.RUNNING,
        reason="",
        environment_digest=lock().digest,
        code_digest=hexadecimal(code),
        git=None,
        started_at=records.now(),
        parent_id=parent.id if parent else None,
        pipeline_version_id=published.id if published else None,
    )
    with session.store.blobs.batch() as batch:
        (kept,) = _kept(batch, [f"output of {run.id}"])
        (value,) = _kept(batch, [f"value of {run.id}"])
        step = StepRun("fit", 1, Status.SUCCEEDED, {"model": value.digest}, records.now(), records.now())
        if reused:
            (known,) = runs.get_run(session.store, reused.id).steps
            step = StepRun(
                "fit", 1, Status.SUCCEEDED, known.outputs, records.now(), records.now(), reused_from=reused.id
            )
        with session.change() as opened:
            project = projects.ensure_project(opened, "small", folder=session.store.folder.parent)
            environments.ensure_environment(opened, lock())
            runs.keep_code(opened, run.code_digest, _kept(batch, [code]))
            runs.add_run(opened, run, project_id=project)
            runs.add_artifacts(opened, run.id, artifacts=[kept])
            runs.finish_step(opened, run.id, step)
            for each in data:
                runs.link_dataset(opened, run.id, dataset=each, role="training data")
            if status is not Status.RUNNING:
                runs.finish_run(opened, run.id, status=status, reason="")
    return runs.get_run(session.store, run.id)


def add_version(
    session: Session,
    *,
    run: Run | None = None,
    parent: ModelVersion | None = None,
    data: DatasetVersion | None = None,
    content: str = "model",
    model: str = "churn",
) -> ModelVersion:
    """Register the next version of a model."""
    with tempfile.TemporaryDirectory() as name, session.store.blobs.batch() as batch:
        paths = [Path(name, each) for each in (packages.MANIFEST, "model.txt")]
        for path, text in zip(paths, (json.dumps({"id": records.new_id("manifest")}), content), strict=True):
            path.write_text(text)
        files = [PackageFile(path.name, batch.add(path), path.stat().st_size) for path in paths]
        version = ModelVersion(
            id=records.new_id("version"),
            model=model,
            version=0,
            digest=digest_of(paths[0]),
            framework="sklearn",
            signature={},
            run_id=run.id if run else None,
            proof_id=None,
            environment_digest=run.environment_digest if run else None,
            created_at=records.now(),
            files=tuple(files),
            parent_id=parent.id if parent else None,
        )
        with session.change() as opened:
            return models.add_version(opened, version, datasets=[("test data", data.id)] if data else [])


def add_data(session: Session, *contents: str, name: str = "sales", is_packed: bool = False) -> DatasetVersion:
    """Register a dataset version with a file for each content."""
    with session.store.blobs.batch() as batch, session.change() as opened:
        files = [
            DatasetFile(each.path, each.digest, each.size_bytes)
            for each in _kept(batch, contents or ("rows",), is_packed=is_packed)
        ]
        return datasets.ensure_dataset_version(opened, draft(name, files, kind=DataKind.FILES))


def add_environment(session: Session, name: str = "production") -> EnvironmentVersion:
    """Name the lock that runs have."""
    source = EnvironmentSource("requirements.txt", SpecificationKind.REQUIREMENTS, "0", (), (), LockSource.INDEX)
    with session.change() as opened:
        return environments.ensure_environment_version(opened, name, lock(), source=source, findings=[])[0]


def publish(session: Session, *, content: str = "steps", parent: PipelineVersion | None = None) -> PipelineVersion:
    """Publish the next version of pipeline `small`."""
    with session.store.blobs.batch() as batch, session.change() as opened:
        project = projects.ensure_project(opened, "small", folder=session.store.folder.parent)
        environments.ensure_environment(opened, lock())
        version = PipelineVersion(
            id=records.new_id("pipeline"),
            pipeline="small",
            version=0,
            description="",
            project="small",
            code_digest=hexadecimal(content),
            parameters={},
            environment_digest=lock().digest,
            parent_id=parent.id if parent else None,
            is_enabled=True,
            is_pipeline_enabled=True,
            created_at=records.now(),
            files=tuple(PackageFile(each.path, each.digest, each.size_bytes) for each in _kept(batch, [content])),
        )
        return pipelines.ensure_version(opened, version, project_id=project, facts={})


def deploy(session: Session, version: ModelVersion, status: DeploymentStatus, *, endpoint: str = "churn") -> Deployment:
    """Record a deployment that got so far; nothing serves."""
    with session.change() as opened:
        place = endpoints.ensure_endpoint(opened, endpoint, host="127.0.0.1")
        deployment = endpoints.add_deployment(opened, place, version=version)
        if status is not DeploymentStatus.STARTING:
            endpoints.set_deployment_status(opened, deployment, status=status)
    return deployment
