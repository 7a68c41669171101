"""Ships a notebook: convert, prove, test, run, gate, register, deploy, smoke-test, each only after the one before."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from modelwright.environments import inspection
from modelwright.environments.locking import pins
from modelwright.errors import (
    CommandTimedOut,
    ModelwrightError,
    NotBetter,
    ProjectRaised,
    ProjectWithoutNotebook,
    ProofDiffers,
    TestsFailed,
)
from modelwright.lifecycle import recovery, training
from modelwright.lifecycle.sessions import Session
from modelwright.models import registry
from modelwright.models.gate.gates import CHAMPION
from modelwright.notebooks import reviewing
from modelwright.notebooks.layouts import Style
from modelwright.notebooks.proof import in_one_line
from modelwright.projects import conversion, testing
from modelwright.projects.code import code_digest
from modelwright.projects.conversion import Study
from modelwright.projects.manifest import Manifest, read_lock, read_requirements
from modelwright.records import (
    BuiltEnvironment,
    DeploymentStatus,
    Endpoint,
    Finding,
    ModelVersion,
    Placement,
    Proof,
    ScoringAnswer,
    Wishes,
)
from modelwright.serving import deployments
from modelwright.settings import interpreter
from modelwright.store import claims, endpoints, environments, models, projects, reasons

# What a deployment is that has not answered anybody.
_NEVER_SERVED = (DeploymentStatus.FAILED, DeploymentStatus.UNSCHEDULABLE)
# So many of the results that differ are told of.
_MOST_TOLD = 3


@dataclass(frozen=True)
class Order:
    """What is to be converted: the notebooks, the project's name and folder, and the Python that notebooks run in.

    `is_overwritten` discards what the user edited in the project since its last conversion. `layout` says how its
    folders are cut; by default as its last conversion had them. `wishes` are the user's word on cells.
    """

    training: Path
    scoring: Path | None
    name: str
    into: Path
    python: Path | None = None
    is_overwritten: bool = False
    layout: Style | None = None
    wishes: Wishes = field(default_factory=Wishes)


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


def ship(session: Session, order: Order, *, port: int | None = None) -> Shipment:
    """Take the notebooks all the way to an endpoint that answers, or stop at the first stage that does not hold.

    Whatever raises leaves what was registered and served before as it was. The same call after an interruption
    finishes the work; after a success it raises NotBetter, since an equal model is not better.
    """
    store = session.store
    _check(order)
    reasons.require(store, "alias.moved", f"models/{order.name}@{CHAMPION}", why=session.why)
    reasons.require(store, "deployment.started", f"endpoints/{order.name}", why=session.why)
    with claims.claim(store, f"ship-{order.name}"):
        recovery.recover(session)
        deployments.check_port(store, order.name, port=port)
        with claims.scratch_folder(store) as work_folder:
            converted = _converted(session, order, work_folder)
            training.gate_of(converted.manifest)  # or all that follows would be in vain
            converted, proof = _proven(session, order, converted, work_folder)
            conversion.write_page(converted.study, converted.manifest, proof=proof, tests=None)
            _check_proof(proof, converted)
        tests = run_tests(session, converted.manifest)
        conversion.write_page(converted.study, converted.manifest, proof=proof, tests=tests)
        version = _trained_version(session, converted.manifest)
        return _served(session, converted, proof=proof, version=version, port=port)


@dataclass(frozen=True)
class Verified:
    """A project folder just made, the comparison with its notebooks, equal or not, and the outcome of its own tests.

    `failure` is what its tests, or the project itself in its own environment, failed with.
    """

    converted: Converted
    proof: Proof | None
    tests: str | None
    failure: ModelwrightError | None

    @property
    def is_equal(self) -> bool:
        """Whether the project is all that it should be."""
        return self.failure is None and self.proof is not None and self.proof.is_equal


def convert(session: Session, order: Order) -> Verified:
    """Convert the notebooks into a project folder, on the record, and find out what it is worth.

    Raises what conversion raises; a project that differs from its notebooks, or whose tests fail, is returned so.
    """
    _check(order)
    with claims.scratch_folder(session.store) as work_folder:
        converted = _converted(session, order, work_folder)
        proof, tests, failure = None, None, None
        try:
            converted, proof = _proven(session, order, converted, work_folder)
            tests = run_tests(session, converted.manifest)
        except (ProjectRaised, TestsFailed, CommandTimedOut) as error:
            failure = error
        told = str(failure.facts["summary"]) if isinstance(failure, TestsFailed) else tests
        conversion.write_page(converted.study, converted.manifest, proof=proof, tests=told)
        return Verified(converted, proof, tests, failure)


def prove(session: Session, manifest: Manifest, *, python: Path | None = None) -> Proof:
    """Run the project's notebooks and the project, compare their results, and record the proof, equal or not.

    Raises ProjectWithoutNotebook, InterpreterDiffers when `python` has other versions than the project, and
    ProofDiffers when a result is not equal.
    """
    if manifest.training is None:
        raise ProjectWithoutNotebook(project=manifest.name, folder=manifest.folder)
    inspection.check_versions(read_requirements(manifest), python=interpreter(python))
    environment = training.environment_of(session.store, read_lock(manifest), python=python)
    with claims.scratch_folder(session.store) as work_folder:
        with session.stage("notebook", f"running {manifest.training.name} in a fresh kernel") as stage:
            studied = conversion.study(
                manifest.training,
                manifest.scoring,
                python=interpreter(python),
                work_folder=work_folder,
                wishes=manifest.wishes,
            )
            stage.decided = f"{len(studied.training.cells)} cells ran"
            stage.recorded = str(manifest.training)
        converted = Converted(studied, manifest, environment)
        proof = _compared(session, converted, work_folder)
        _check_proof(proof, converted)
        return proof


def run_tests(session: Session, manifest: Manifest) -> str:
    """Run the project's own tests in its environment; return pytest's last line. Raises TestsFailed."""
    folder = session.store.folder
    with session.stage("test", "the project's own tests") as stage:
        environment = training.environment_of(session.store, read_lock(manifest))
        stage.decided = testing.run_tests(
            manifest.folder, environment=environment, cache=folder / "environments", wheels=folder / "wheels"
        )
        stage.recorded = str(manifest.folder / "tests")
    return stage.decided


def _check(order: Order) -> None:
    registry.check_name(order.name)
    conversion.check_place(order.into, is_overwritten=order.is_overwritten)


def _converted(session: Session, order: Order, work_folder: Path) -> Converted:
    python = interpreter(order.python)
    with session.stage("convert", f"running {order.training.name} in a fresh kernel") as stage:
        studied = conversion.study(
            order.training, order.scoring, python=python, work_folder=work_folder, wishes=order.wishes
        )
        plan = studied.plan
        stage.decided = (
            f"{len(plan.functions)} functions, {len(plan.parameters)} parameters, {len(plan.removals)} removals"
        )
        stage.recorded = str(order.into)
        stage.notes = tuple(map(_told, plan.findings))
    return _laid_out(session, order, studied)


def _laid_out(session: Session, order: Order, studied: Study) -> Converted:
    python, folder = interpreter(order.python), session.store.folder
    with session.stage("lock", "the environment that the notebook ran in") as stage:
        locked = conversion.lock(studied, python=python, cache=folder / "environments", wheels=folder / "wheels")
        environment = locked.environment
        manifest = conversion.lay_out(
            studied,
            locked,
            name=order.name,
            layout=conversion.layout_of(order.name, into=order.into, python=python, style=order.layout),
            wishes=order.wishes,
            into=order.into,
            is_overwritten=order.is_overwritten,
        )
        with session.change() as opened:
            environments.ensure_environment(opened, environment.lock)
            projects.add_conversion(
                opened,
                order.name,
                project_id=projects.ensure_project(opened, order.name, folder=order.into),
                training=(order.training, studied.training.digest),
                scoring=(studied.scoring.path, studied.scoring.digest) if studied.scoring else None,
                removals=studied.plan.removals,
                findings=studied.plan.findings,
                functions=conversion.origins_of(studied, manifest),
            )
        stage.decided = f"{len(pins(environment.lock))} packages in the versions that the notebook ran with"
        stage.recorded = f"environment {environment.lock.digest[:12]}"
    return Converted(studied, manifest, environment)


def _check_proof(proof: Proof, converted: Converted) -> None:
    """Raise ProofDiffers unless the project is equal to its notebooks."""
    if not proof.is_equal:
        raise ProofDiffers(differences=_differences(proof), folder=converted.manifest.folder)


def _proven(session: Session, order: Order, converted: Converted, work_folder: Path) -> tuple[Converted, Proof]:
    """Return the project compared with its notebooks: without what its report does not draw in its own environment."""
    proof = _compared(session, converted, work_folder)
    failures = reviewing.failures(proof)
    if not failures:
        return converted, proof
    smaller = conversion.without_plots(converted.study, failures)
    again = _laid_out(session, order, smaller)
    return again, _compared(session, again, work_folder / "without-plots")


def _compared(session: Session, converted: Converted, work_folder: Path) -> Proof:
    manifest = converted.manifest
    with session.stage("prove", "running the project in a fresh process") as stage:
        proof = conversion.prove(converted.study, manifest, environment=converted.environment, work_folder=work_folder)
        with session.change() as opened:
            project_id = projects.ensure_project(opened, manifest.name, folder=manifest.folder)
            projects.add_proof(opened, manifest.name, project_id=project_id, proof=proof)
        stage.decided = _told_of(proof)
        stage.recorded = proof.id
    return proof


def _trained_version(session: Session, manifest: Manifest) -> ModelVersion:
    """Train and register; or return the champion when it is this very model and an interruption kept it unserved."""
    try:
        trained = training.train(session, manifest)
    except NotBetter:
        champion = models.find_version(session.store, f"{manifest.name}@champion")
        if not _is_unserved(session, champion, manifest):
            raise
        with session.stage("register") as stage:
            stage.decided = f"{champion.reference} is this model already and was never served: going on with it"
            stage.recorded = champion.reference
        return champion
    with session.stage("register", "packaging the model") as stage:
        version = training.register(session, trained.run.id)
        stage.decided = f"{version.reference}, {len(version.files)} files, {version.framework}"
        stage.recorded = f"{version.reference} ({version.digest[:12]})"
    return version


def _is_unserved(session: Session, champion: ModelVersion, manifest: Manifest) -> bool:
    served = endpoints.list_deployments(session.store, version_id=champion.id)
    is_same_code = champion.tags.get("code_digest") == code_digest(manifest.folder)
    return is_same_code and all(each.status in _NEVER_SERVED for each in served)


def _served(
    session: Session, converted: Converted, *, proof: Proof, version: ModelVersion, port: int | None
) -> Shipment:
    store = session.store
    with contextlib.ExitStack() as trial:
        with session.stage("deploy", f"starting {version.reference}") as stage:
            deployment = trial.enter_context(
                deployments.deploying(
                    store,
                    version,
                    endpoint=version.model,
                    actor=session.actor,
                    why=session.why,
                    placement=Placement(port=port),
                )
            )
            endpoint = endpoints.get_endpoint(store, version.model)
            stage.decided = f"{version.reference} is on trial at endpoint {endpoint.name}"
            stage.recorded = deployment.id
        with session.stage("smoke-test", str(endpoint.url)) as stage:
            answer = deployments.smoke_test(store, deployment)
            stage.decided = f"the sample is answered as at registration: {answer.body}"
            stage.recorded = str(deployments.capture_folder(store) / endpoint.name)
    return Shipment(converted, proof, version, endpoint, deployments.sample_of(store, version), answer)


def _told(finding: Finding) -> str:
    place = f" {finding.notebook} cell {finding.cell} line {finding.line}" if finding.cell else ""
    return f"{finding.code}{place}: {finding.message}; {finding.fix}"


def _told_of(proof: Proof) -> str:
    """Return how many results of each kind agree, and that some do not."""
    counts = Counter(each.kind for each in proof.comparisons if each.is_equal)
    agreeing = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
    differing = sum(not each.is_equal for each in proof.comparisons)
    return f"equal to the notebook: {agreeing}" + (f"; different: {differing}" if differing else "")


def _differences(found: Proof) -> str:
    """Return the first differences in the order of the project's functions, and the names of the others."""
    others = [each for each in found.comparisons if not each.is_equal]
    names = ", ".join(each.name for each in others[_MOST_TOLD:])
    more = [f"also different: {names}"] if names else []
    return "; ".join([*map(in_one_line, others[:_MOST_TOLD]), *more]) or "there was nothing to compare"
