"""What people do with a workspace, over its real database and files: each operation takes a number to choose by."""

import contextlib
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from modelwright import records
from modelwright.datasets import reading
from modelwright.datasets.versions import draft
from modelwright.errors import DatasetMissing, ModelwrightError
from modelwright.lifecycle import deletion, garbage, labelling, recovery
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import (
    Artifact,
    DataKind,
    DatasetFile,
    DeploymentStatus,
    EnvironmentSource,
    Goal,
    Kind,
    Lock,
    LockSource,
    Missed,
    ModelVersion,
    PackageFile,
    PipelineVersion,
    Point,
    Reproduction,
    Run,
    Sameness,
    Sampler,
    Schedule,
    SpecificationKind,
    Status,
    StepRun,
    SweepSpecification,
    Trial,
    Trigger,
    TriggerKind,
)
from modelwright.serving import deployments
from modelwright.store import (
    claims,
    datasets,
    endpoints,
    environments,
    models,
    pipelines,
    projects,
    reproductions,
    runs,
    schedules,
    schema,
    sweeps,
)
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

# So few that the same content belongs to several things.
_CONTENTS = 40
_MODELS, _DATASETS, _ENVIRONMENTS, _PIPELINES, _ENDPOINTS, _LOCKS = 4, 3, 3, 2, 3, 5
_SPECIFICATION = SweepSpecification({"a": "[1]"}, "m", Goal.MINIMIZE, Sampler.GRID, 1, 1, 0, {})


class NothingThere(Exception):
    """There is nothing yet that the operation could be done to."""


class Chooser:
    """Makes many choices of one number, always the same ones."""

    def __init__(self, number: int) -> None:
        self.number = number * 2_654_435_761 + 1

    def below(self, count: int) -> int:
        self.number = (self.number * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % (1 << 64)
        return (self.number >> 33) % count

    def maybe(self) -> bool:
        return self.below(2) == 1


class World:
    """A workspace, and somebody who does things in it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session = Session(store, "ada", why="a test")

    def row(self, statement: str, choose: Chooser) -> str:
        """Return one of the first column's values."""
        with self.store.reader.connect() as connection:
            count = connection.exec_driver_sql(f"SELECT COUNT(*) FROM ({statement})").scalar_one()
            if not count:
                raise NothingThere(statement)
            chosen = (choose.below(count),)
            return str(connection.exec_driver_sql(f"{statement} LIMIT 1 OFFSET ?", chosen).scalar_one())

    def maybe_row(self, statement: str, choose: Chooser) -> str | None:
        if choose.maybe():
            with contextlib.suppress(NothingThere):
                return self.row(statement, choose)
        return None

    def version(self, choose: Chooser) -> ModelVersion:
        reference = self.row("SELECT model || ':' || version FROM model_versions ORDER BY id", choose)
        return models.find_version(self.store, reference)

    @contextlib.contextmanager
    def files(self, choose: Chooser):
        """Give a folder with a few files."""
        with tempfile.TemporaryDirectory(dir=self.store.folder) as name:
            for number in range(1 + choose.below(4)):
                Path(name, f"file-{number}").write_bytes(f"content {choose.below(_CONTENTS)}".encode())
            yield Path(name)


def add_project(world: World, change: object) -> str:
    return projects.ensure_project(change, "small", folder=world.store.folder.parent)


def _lock(choose: Chooser) -> Lock:
    text = f"package=={choose.below(_LOCKS)}\n"
    return Lock(text, "3.12", "here", _hex(text), LockSource.INDEX)


def _hex(text: str) -> str:
    from blake3 import blake3

    return blake3(text.encode()).hexdigest()


def register_version(world: World, choose: Chooser) -> None:
    store = world.store
    run = world.maybe_row("SELECT id FROM runs WHERE status = 'succeeded' ORDER BY id", choose)
    parent = world.maybe_row("SELECT id FROM model_versions ORDER BY id", choose)
    environment = world.maybe_row("SELECT digest FROM environments ORDER BY digest", choose)
    data = world.maybe_row("SELECT id FROM dataset_versions ORDER BY id", choose)
    with world.files(choose) as folder:
        (folder / packages.MANIFEST).write_text(json.dumps({"made": records.new_id("test")}))
        paths = sorted(folder.iterdir())
        with store.blobs.batch() as batch:
            found = batch.add_all(paths)
            files = [
                PackageFile(path.name, digest, path.stat().st_size) for path, digest in zip(paths, found, strict=True)
            ]
            version = ModelVersion(
                id=records.new_id("version"),
                model=f"model-{choose.below(_MODELS)}",
                version=0,
                digest=digest_of(folder / packages.MANIFEST),
                framework="",
                signature={},
                run_id=run,
                proof_id=None,
                environment_digest=environment,
                created_at=records.now(),
                files=tuple(files),
                metrics={"error": 1.0, "nothing": math.nan},
                tags={"a": "b"},
                properties={"c": "d"},
                parent_id=parent,
            )
            with world.session.change() as opened:
                numbered = models.add_version(opened, version, datasets=[("training", data)] if data else [])
                if choose.maybe():
                    models.move_alias(opened, numbered, alias="champion")
    if choose.maybe():
        models.get_version(store, version.id)
    _explain(world, version, choose)


def _explain(world: World, version: ModelVersion, choose: Chooser) -> None:
    if not choose.maybe():
        return
    with world.files(choose) as folder, world.store.blobs.batch() as batch:
        digest = batch.add(folder / "file-0")
        row = {"id": records.new_id("explanation"), "version_id": version.id, "method": "permutation", "result": {}}
        with world.session.change() as opened:
            opened.insert(schema.explanations, row | {"digest": digest, "created_at": opened.at})
            opened.record("model.tagged", f"models/{version.reference}")


def run_pipeline(world: World, choose: Chooser) -> None:
    _run(world, choose, kind=Kind.PIPELINE)


def _run(world: World, choose: Chooser, *, kind: Kind, parent: str | None = None) -> str:
    store, session = world.store, world.session
    if parent is None:
        parent = world.maybe_row("SELECT id FROM runs WHERE parent_id IS NULL ORDER BY id", choose)
    published = world.maybe_row("SELECT id FROM pipeline_versions ORDER BY id", choose)
    lock = _lock(choose)
    run = Run(
        id=records.new_id("run"),
        project="small",
        status=Status.RUNNING,
        reason="",
        environment_digest=lock.digest,
        code_digest=_hex(f"code {choose.below(_CONTENTS)}"),
        git=None,
        started_at=records.now(),
        parameters={"alpha": 1},
        tags={"a": "b"},
        kind=kind,
        parent_id=parent,
        pipeline_version_id=published,
    )
    with claims.claim(store, run.id), world.files(choose) as folder:
        with store.blobs.batch() as batch:
            code = [Artifact(path.name, batch.add(path), path.stat().st_size) for path in sorted(folder.iterdir())]
            with session.change() as opened:
                project = add_project(world, opened)
                environments.ensure_environment(opened, lock)
                runs.keep_code(opened, run.code_digest, code)
                runs.add_run(opened, run, project_id=project)
        _perform(world, run, choose)
        status = (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)[choose.below(4)]
        with session.change() as opened:
            runs.finish_run(opened, run.id, status=status, reason="")
    return run.id


def _perform(world: World, run: Run, choose: Chooser) -> None:
    """Let the run read data, take a step, reuse another, and keep a file."""
    store, session = world.store, world.session
    read: list = []
    data = world.maybe_row(
        "SELECT name || ':' || version FROM dataset_versions JOIN datasets ON datasets.id = dataset_id ORDER BY 1",
        choose,
    )
    if data:
        with contextlib.suppress(DatasetMissing):
            reading.read(store, data, on_read=read.append)
    with world.files(choose) as folder, store.blobs.batch() as batch:
        kept = [Artifact(path.name, batch.add(path), path.stat().st_size) for path in sorted(folder.iterdir())]
        value = folder / "value"
        value.write_text(f"value {choose.below(_CONTENTS)}")
        step = StepRun(
            name="fit",
            position=1,
            status=Status.SUCCEEDED,
            outputs={"model": batch.take(value)},
            started_at=records.now(),
            finished_at=records.now(),
            key=_hex(f"key {choose.below(_CONTENTS)}"),
            evidence={"blobs": [kept[0].digest]},
        )
        found = runs.find_results(store, str(step.key)) if choose.maybe() else []
        with session.change() as opened:
            for each in read:
                runs.link_dataset(opened, run.id, dataset=each, role="input")
            runs.add_artifacts(opened, run.id, artifacts=kept)
            runs.log_points(opened, run.id, [Point("loss", 0, 1.0, records.now())])
            runs.finish_step(opened, run.id, step)
            if found:
                other, known = found[0]
                again = StepRun(
                    "reused", 2, Status.SUCCEEDED, known.outputs, records.now(), records.now(), key=step.key
                )
                runs.finish_step(opened, run.id, _reused(again, other, known))
            if choose.maybe():
                opened.insert(
                    schema.gate_verdicts,
                    {
                        "id": records.new_id("verdict"),
                        "run_id": run.id,
                        "model": "model-0",
                        "champion": None,
                        "outcome": "passed",
                        "reason": "",
                        "numbers": {},
                        "created_at": opened.at,
                    },
                )
                opened.record("run.tagged", f"runs/{run.id}")


def _reused(step: StepRun, run_id: str, known: StepRun) -> StepRun:
    from dataclasses import replace

    return replace(step, evidence=known.evidence, reused_from=run_id)


def sweep(world: World, choose: Chooser) -> None:
    """Run a sweep with a trial or two."""
    parent = _run(world, choose, kind=Kind.SWEEP)
    with world.session.change() as opened:
        sweeps.set_specification(opened, parent, _SPECIFICATION)
    for number in range(1 + choose.below(2)):
        trial = Trial(parent, number, None, Status.RUNNING, {"a": 1}, math.nan)
        with world.session.change() as opened:
            sweeps.start_trial(opened, trial)
        run = _run(world, choose, kind=Kind.TRIAL, parent=parent)
        with world.session.change() as opened:
            sweeps.finish_trial(opened, Trial(parent, number, run, Status.SUCCEEDED, {"a": 1}, 1.0))


def add_dataset(world: World, choose: Chooser) -> None:
    name = f"data-{choose.below(_DATASETS)}"
    with world.files(choose) as folder, world.store.blobs.batch() as batch:
        paths = sorted(folder.iterdir())
        found = batch.add_all(paths, is_packed=choose.maybe())
        files = [DatasetFile(path.name, digest, path.stat().st_size) for path, digest in zip(paths, found, strict=True)]
        with world.session.change() as opened:
            datasets.ensure_dataset_version(opened, draft(name, files, kind=DataKind.FILES))
            datasets.change_tags(opened, name, added={"a": "b"})


def add_environment(world: World, choose: Chooser) -> None:
    source = EnvironmentSource("requirements.txt", SpecificationKind.REQUIREMENTS, _hex("x"), (), (), LockSource.INDEX)
    with world.session.change() as opened:
        environments.ensure_environment_version(
            opened, f"environment-{choose.below(_ENVIRONMENTS)}", _lock(choose), source=source, findings=[]
        )


def publish_pipeline(world: World, choose: Chooser) -> None:
    lock = _lock(choose)
    parent = world.maybe_row("SELECT id FROM pipeline_versions ORDER BY id", choose)
    with world.files(choose) as folder, world.store.blobs.batch() as batch:
        paths = sorted(folder.iterdir())
        files = tuple(PackageFile(path.name, batch.add(path), path.stat().st_size) for path in paths)
        version = PipelineVersion(
            id=records.new_id("pipeline"),
            pipeline=f"pipeline-{choose.below(_PIPELINES)}",
            version=0,
            description="",
            project="small",
            code_digest=_hex(f"code {choose.below(_CONTENTS)}"),
            parameters={},
            environment_digest=lock.digest,
            parent_id=parent,
            is_enabled=True,
            is_pipeline_enabled=True,
            created_at=records.now(),
            files=files,
        )
        with world.session.change() as opened:
            project = add_project(world, opened)
            environments.ensure_environment(opened, lock)
            pipelines.ensure_version(opened, version, project_id=project, facts={})


def add_schedule(world: World, choose: Chooser) -> None:
    schedule = Schedule(
        name=records.new_id("schedule"),
        pipeline=world.row("SELECT name FROM pipelines ORDER BY name", choose),
        version=None,
        trigger=Trigger(TriggerKind.INTERVAL, "1h", "UTC"),
        parameters={},
        missed=Missed.SKIP,
        is_enabled=False,
        created_at=records.now(),
        next_at=None,
        state={},
    )
    with world.session.change() as opened:
        schedules.add_schedule(opened, schedule)


def remove_schedule(world: World, choose: Chooser) -> None:
    found = schedules.get_schedule(world.store, world.row("SELECT name FROM schedules ORDER BY name", choose))
    with world.session.change() as opened:
        schedules.remove_schedule(opened, found)


def reproduce(world: World, choose: Chooser) -> None:
    version = world.version(choose)
    run = _run(world, choose, kind=Kind.REPRODUCTION)
    again = Reproduction(
        records.new_id("reproduction"), version.reference, Sameness.IDENTICAL, "", "", records.now(), run
    )
    with world.session.change() as opened:
        reproductions.add_reproduction(opened, again, version_id=version.id)


def move_alias(world: World, choose: Chooser) -> None:
    version = world.version(choose)
    with world.session.change() as opened:
        models.move_alias(opened, version, alias=("champion", "candidate")[choose.below(2)])


def remove_alias(world: World, choose: Chooser) -> None:
    model, _, alias = world.row("SELECT model || '@' || alias FROM aliases ORDER BY 1", choose).partition("@")
    with world.session.change() as opened:
        models.remove_alias(opened, model, alias=alias)


def deploy(world: World, choose: Chooser) -> None:
    """Deploy as far as the records go: no process serves."""
    store, version = world.store, world.version(choose)
    name = f"endpoint-{choose.below(_ENDPOINTS)}"
    with contextlib.ExitStack() as held:
        with world.session.change() as opened:
            place = endpoints.ensure_endpoint(opened, name, host="127.0.0.1")
            deployment = endpoints.add_deployment(opened, place, version=version)
            held.enter_context(claims.claim(store, deployment.id))
        packages.restore(store, version)
        has_failed = choose.maybe()
        before = endpoints.list_deployments(store, endpoint=name, status=DeploymentStatus.HEALTHY)
        with world.session.change() as opened:
            if has_failed:
                endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.FAILED, reason="a test")
                return
            for each in before:
                endpoints.set_deployment_status(opened, each, status=DeploymentStatus.REPLACED)
            endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.HEALTHY)


def stop(world: World, choose: Chooser) -> None:
    name = world.row("SELECT name FROM endpoints ORDER BY name", choose)
    with world.session.change() as opened:
        for each in endpoints.list_deployments(world.store, endpoint=name, status=DeploymentStatus.HEALTHY):
            endpoints.set_deployment_status(opened, each, status=DeploymentStatus.STOPPED)


def undeploy(world: World, choose: Chooser) -> None:
    reference = world.row(
        "SELECT endpoints.name || ' ' || model || ':' || version FROM deployments "
        "JOIN endpoints ON endpoints.id = endpoint_id JOIN model_versions ON model_versions.id = version_id ORDER BY 1",
        choose,
    )
    name, _, version = reference.partition(" ")
    deployments.undeploy(world.store, name, version, actor="ada")


def delete_endpoint(world: World, choose: Chooser) -> None:
    name = world.row("SELECT name FROM endpoints ORDER BY name", choose)
    with world.session.change() as opened:
        endpoints.delete_endpoint(opened, endpoints.get_endpoint(world.store, name))


def rename_model(world: World, choose: Chooser) -> None:
    model = world.row("SELECT name FROM models ORDER BY name", choose)
    labelling.rename_model(world.session, model, f"model-{choose.below(_MODELS + 2)}")


def delete_model(world: World, choose: Chooser) -> None:
    deletion.delete_model(world.session, world.version(choose).reference)


def delete_run(world: World, choose: Chooser) -> None:
    run = world.row("SELECT id FROM runs ORDER BY id", choose)
    deletion.delete_run(world.session, run, with_children=choose.maybe())


def delete_dataset(world: World, choose: Chooser) -> None:
    versions = (
        "SELECT name || ':' || version FROM dataset_versions JOIN datasets ON datasets.id = dataset_id ORDER BY 1"
    )
    names = "SELECT name FROM datasets ORDER BY 1"
    deletion.delete_dataset(world.session, world.row(versions if choose.below(4) else names, choose))


def delete_environment(world: World, choose: Chooser) -> None:
    named = "SELECT name || ':' || version FROM environment_versions ORDER BY 1"
    locks = "SELECT digest FROM environments ORDER BY 1"
    deletion.delete_environment(world.session, world.row(named if choose.maybe() else locks, choose))


def delete_pipeline(world: World, choose: Chooser) -> None:
    named = "SELECT pipeline || ':' || version FROM pipeline_versions ORDER BY 1"
    deletion.delete_pipeline(world.session, world.row(named, choose))


def collect_garbage(world: World, choose: Chooser) -> None:
    found = garbage.collect(world.session, is_dry=choose.below(4) == 0)
    assert not found.lost
    assert not found.missing, [_named_by(world, each) for each in found.missing]
    assert not found.kept


def _named_by(world: World, digest: str) -> list[str]:
    """Return the rows that name a blob."""
    found = []
    with world.store.reader.connect() as connection:
        for table in schema.metadata.sorted_tables:
            found += [
                f"{table.name}: {dict(row)}"
                for row in connection.execute(table.select()).mappings()
                if digest in str(dict(row)) and table.name not in {"audit_records", "events"}
            ]
    return found


def restore(world: World, choose: Chooser) -> None:
    """Restore a package, of which every byte is verified."""
    folder = packages.restore(world.store, world.version(choose))
    assert (folder / packages.MANIFEST).is_file()


def export_dataset(world: World, choose: Chooser) -> None:
    versions = (
        "SELECT name || ':' || version FROM dataset_versions JOIN datasets ON datasets.id = dataset_id ORDER BY 1"
    )
    with tempfile.TemporaryDirectory(dir=world.store.folder) as name:
        reading.export(world.store, world.row(versions, choose), Path(name, "copy"))


def recover(world: World, choose: Chooser) -> None:
    recovery.recover(world.session)


# Each as often as it stands here.
OPERATIONS: dict[str, Callable[[World, Chooser], None]] = {
    each.__name__: each
    for each in (
        register_version,
        run_pipeline,
        sweep,
        add_dataset,
        add_environment,
        publish_pipeline,
        add_schedule,
        remove_schedule,
        reproduce,
        move_alias,
        remove_alias,
        deploy,
        stop,
        undeploy,
        delete_endpoint,
        rename_model,
        delete_model,
        delete_run,
        delete_dataset,
        delete_environment,
        delete_pipeline,
        collect_garbage,
        restore,
        export_dataset,
        recover,
    )
}
# What is rather done more often, so that things are there to delete, and are deleted as fast as they come.
OFTEN = ("register_version", "run_pipeline", "add_dataset", "move_alias", "deploy", "undeploy")
DELETING = ("delete_model", "delete_run", "delete_dataset", "delete_environment", "delete_pipeline", "delete_run")
NAMES = (*OPERATIONS, *OFTEN, *DELETING, *DELETING)


def perform(world: World, name: str, number: int) -> str:
    """Do an operation; return `done`, `nothing`, or the code of the error that refused it."""
    try:
        OPERATIONS[name](world, Chooser(number))
    except NothingThere:
        return "nothing"
    except ModelwrightError as error:
        return error.code
    return "done"
