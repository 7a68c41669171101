"""Ships a notebook: convert, prove, test, run, gate, register, deploy, smoke-test, each only after the one before."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from modelwright.environments.locking import pins
from modelwright.errors import NotBetter, ProofDiffers
from modelwright.lifecycle import recovery, stages, training
from modelwright.lifecycle.stages import Report, stage
from modelwright.models import registry
from modelwright.projects import conversion, testing
from modelwright.projects.conversion import Study
from modelwright.projects.manifest import Manifest, read_lock
from modelwright.records import BuiltEnvironment, DeploymentStatus, Endpoint, ModelVersion, Proof, ScoringAnswer
from modelwright.projects.code import code_digest
from modelwright.serving import deployments
from modelwright.settings import interpreter
from modelwright.store import claims, endpoints, environments, models, projects
from modelwright.store.changes import change
from modelwright.store.database import Store


@dataclass(frozen=True)
class Converted:
    """A project folder just made, what is known of its notebooks, and its environment."""

    study: Study
    manifest: Manifest
    environment: BuiltEnvironment


@dataclass(frozen=True)
class Shipment:
    """What a notebook became: a proven project, a model version, an endpoint that answers."""

    converted: Converted
    proof: Proof
    version: ModelVersion
    endpoint: Endpoint
    sample: str
    answer: ScoringAnswer


def ship(
    store: Store,
    training_notebook: Path,
    scoring_notebook: Path | None,
    *,
    name: str,
    into: Path,
    python: Path | None = None,
    port: int | None = None,
    is_overwritten: bool = False,
    actor: str,
    report: Report = stages.silent,
) -> Shipment:
    """Take the notebooks all the way to an endpoint that answers, or stop at the first stage that does not hold.

    Whatever raises leaves what was registered and served before as it was. The same call after an interruption
    finishes the work; after a success it raises NotBetter, since an equal model is not better.
    """
    registry.check_name(name)
    conversion.check_place(into, is_overwritten=is_overwritten)
    with claims.claim(store, f"ship-{name}"):
        recovery.recover(store, actor=actor)
        deployments.check_port(store, name, port=port)
        with claims.scratch_folder(store) as work_folder:
            converted = _converted(
                store,
                training_notebook,
                scoring_notebook,
                name=name,
                into=into,
                python=interpreter(python),
                is_overwritten=is_overwritten,
                work_folder=work_folder,
                actor=actor,
                report=report,
            )
            proof = _proven(
                store,
                converted.manifest,
                studied=converted.study,
                environment=converted.environment,
                work_folder=work_folder,
                actor=actor,
                report=report,
            )
        test(store, converted.manifest, report=report)
        version = _trained_version(store, converted.manifest, actor=actor, report=report)
        return _served(store, converted, proof=proof, version=version, port=port, actor=actor, report=report)


def convert(
    store: Store,
    training_notebook: Path,
    scoring_notebook: Path | None,
    *,
    name: str,
    into: Path,
    python: Path | None,
    is_overwritten: bool,
    actor: str,
    report: Report = stages.silent,
) -> Converted:
    """Convert the notebooks into the project folder `into`, on the record. Raises what conversion raises."""
    registry.check_name(name)
    conversion.check_place(into, is_overwritten=is_overwritten)
    with claims.scratch_folder(store) as work_folder:
        return _converted(
            store,
            training_notebook,
            scoring_notebook,
            name=name,
            into=into,
            python=interpreter(python),
            is_overwritten=is_overwritten,
            work_folder=work_folder,
            actor=actor,
            report=report,
        )


def prove(
    store: Store, manifest: Manifest, *, python: Path | None = None, actor: str, report: Report = stages.silent
) -> Proof:
    """Run the project's notebooks and the project, compare their results, and record the proof, equal or not.

    Raises ProofDiffers when a result is not equal.
    """
    environment = training.environment_of(store, read_lock(manifest), python=python)
    with claims.scratch_folder(store) as work_folder:
        with stage("notebook", report, doing=f"running {manifest.training.name} in a fresh kernel") as current:
            studied = conversion.study(
                manifest.training, manifest.scoring, python=interpreter(python), work_folder=work_folder
            )
            current.decided = f"{len(studied.training.cells)} cells ran"
            current.recorded = str(manifest.training)
        return _proven(
            store,
            manifest,
            studied=studied,
            environment=environment,
            work_folder=work_folder,
            actor=actor,
            report=report,
        )


def test(store: Store, manifest: Manifest, *, report: Report = stages.silent) -> str:
    """Run the project's own tests in its environment; return pytest's last line. Raises TestsFailed."""
    with stage("test", report, doing="the project's own tests") as current:
        environment = training.environment_of(store, read_lock(manifest))
        current.decided = testing.run_tests(
            manifest.folder,
            environment=environment,
            cache=store.folder / "environments",
            wheels=store.folder / "wheels",
        )
        current.recorded = str(manifest.folder / "tests")
    return current.decided


def _converted(
    store: Store,
    training_notebook: Path,
    scoring_notebook: Path | None,
    *,
    name: str,
    into: Path,
    python: Path,
    is_overwritten: bool,
    work_folder: Path,
    actor: str,
    report: Report,
) -> Converted:
    with stage("convert", report, doing=f"running {training_notebook.name} in a fresh kernel") as current:
        studied = conversion.study(training_notebook, scoring_notebook, python=python, work_folder=work_folder)
        plan = studied.plan
        current.decided = (
            f"{len(plan.functions)} functions, {len(plan.parameters)} parameters; {len(plan.removals)} removals"
        )
        current.recorded = str(into)
    with stage("lock", report, doing="the environment that the notebook ran in") as current:
        environment = conversion.lock(
            studied, python=python, cache=store.folder / "environments", wheels=store.folder / "wheels"
        )
        manifest = conversion.lay_out(
            studied, name=name, into=into, environment=environment, is_overwritten=is_overwritten
        )
        with change(store, actor=actor) as opened:
            project_id = projects.ensure_project(opened, name, folder=into)
            environments.ensure_environment(opened, environment.lock)
            projects.add_conversion(
                opened,
                name,
                project_id=project_id,
                training=(training_notebook, studied.training.digest),
                scoring=(studied.scoring.path, studied.scoring.digest) if studied.scoring else None,
                removals=plan.removals,
                findings=plan.findings,
            )
        current.decided = f"{len(pins(environment.lock))} packages in the versions that the notebook ran with"
        current.recorded = f"environment {environment.lock.digest[:12]}"
    return Converted(studied, manifest, environment)


def _proven(
    store: Store,
    manifest: Manifest,
    *,
    studied: Study,
    environment: BuiltEnvironment,
    work_folder: Path,
    actor: str,
    report: Report,
) -> Proof:
    with stage("prove", report, doing="running the project in a fresh process") as current:
        proof = conversion.prove(studied, manifest, environment=environment, work_folder=work_folder)
        with change(store, actor=actor) as opened:
            project_id = projects.ensure_project(opened, manifest.name, folder=manifest.folder)
            projects.add_proof(opened, manifest.name, project_id=project_id, proof=proof)
        if not proof.is_equal:
            raise ProofDiffers(differences=_differences(proof), folder=manifest.folder)
        current.decided = "equal to the notebook: " + ", ".join(each.name for each in proof.comparisons)
        current.recorded = proof.id
    return proof


def _trained_version(store: Store, manifest: Manifest, *, actor: str, report: Report) -> ModelVersion:
    """Train and register; or return the champion when it is this very model and an interruption kept it unserved."""
    try:
        trained = training.train(store, manifest, actor=actor, report=report)
    except NotBetter:
        champion = models.find_version(store, f"{manifest.name}@champion")
        if not _is_unserved(store, champion, manifest):
            raise
        with stage("register", report) as current:
            current.decided = f"{champion.reference} is this model already and was never served: going on with it"
            current.recorded = champion.reference
        return champion
    with stage("register", report, doing="packaging the model") as current:
        version = training.register(store, trained.run.id, actor=actor)
        current.decided = f"{version.reference}, {len(version.files)} files, {version.framework}"
        current.recorded = f"{version.reference} ({version.digest[:12]})"
    return version


def _is_unserved(store: Store, champion: ModelVersion, manifest: Manifest) -> bool:
    served = endpoints.list_deployments(store, version_id=champion.id)
    is_same_code = champion.tags.get("code_digest") == code_digest(manifest.folder)
    return is_same_code and all(each.status is DeploymentStatus.FAILED for each in served)


def _served(
    store: Store,
    converted: Converted,
    *,
    proof: Proof,
    version: ModelVersion,
    port: int | None,
    actor: str,
    report: Report,
) -> Shipment:
    with contextlib.ExitStack() as trial:
        with stage("deploy", report, doing=f"starting {version.reference}") as current:
            deployment = trial.enter_context(
                deployments.deploying(store, version, endpoint=version.model, port=port, actor=actor)
            )
            endpoint = endpoints.get_endpoint(store, version.model)
            current.decided = f"{version.reference} takes the requests of endpoint {endpoint.name}"
            current.recorded = deployment.id
        with stage("smoke-test", report, doing=str(endpoint.url)) as current:
            answer = deployments.smoke_test(store, deployment)
            current.decided = f"the sample is answered as at registration: {answer.body}"
            current.recorded = str(deployments.capture_folder(store) / endpoint.name)
    sample = deployments.sample_of(store, version)
    return Shipment(converted, proof, version, endpoint, sample, answer)


def _differences(proof: Proof) -> str:
    told = [
        f"{each.name} is {each.project!r} where the notebook has {each.notebook!r}"
        for each in proof.comparisons
        if not each.is_equal
    ]
    return "; ".join(told) or "there was nothing to compare"
