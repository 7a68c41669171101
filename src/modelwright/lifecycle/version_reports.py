"""All that is known of a model version, in one answer: where it came from, what it is made of, where it serves."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelwright.models import packages
from modelwright.models.fusing import fusing
from modelwright.records import (
    DatasetVersion,
    Deployment,
    DeploymentStatus,
    Explanation,
    FusedVerdict,
    ModelVersion,
    Proof,
    Run,
    Verdict,
)
from modelwright.serving import deployments
from modelwright.store import datasets, endpoints, environments, explanations, gates, models, projects, runs
from modelwright.store.database import Store


@dataclass(frozen=True)
class Placed:
    """A deployment of the version, and whether it answers requests now."""

    deployment: Deployment
    is_healthy: bool


@dataclass(frozen=True)
class Data:
    """A dataset version that the version is linked with, or that its run read or wrote, and in which role."""

    role: str
    version: DatasetVersion


@dataclass(frozen=True)
class VersionReport:
    """A version and everything around it; `lacks` is what it would need to be served, `explanation` the newest one.

    `verdict` is the gate's on its run, `fused` that of registration on whether it is arrays.
    """

    version: ModelVersion
    run: Run | None
    proof: Proof | None
    environments: tuple[str, ...]
    data: tuple[Data, ...]
    parent: str | None
    derived: tuple[str, ...]
    placed: tuple[Placed, ...]
    lacks: tuple[str, ...]
    explanation: Explanation | None
    verdict: Verdict | None
    fused: FusedVerdict | None


def describe_version(store: Store, reference: str) -> VersionReport:
    """Return all that is known of the version that `reference` names. Raises ModelMissing."""
    version = models.find_version(store, reference)
    run = runs.get_run(store, version.run_id) if version.run_id else None
    digest = version.environment_digest
    named = environments.list_environment_versions(store, digest=digest) if digest else []
    links = (*version.datasets, *(runs.list_dataset_links(store, run.id) if run else ()))
    return VersionReport(
        version=version,
        run=run,
        proof=projects.find_proof(store, version.proof_id) if version.proof_id else None,
        environments=tuple(f"{each.name}:{each.version}" for each in named),
        data=tuple(Data(each.role, datasets.find_dataset_version(store, each.reference)) for each in links),
        parent=models.get_version(store, version.parent_id).reference if version.parent_id else None,
        derived=tuple(models.list_derived(store, version.id)),
        placed=tuple(_placed(store, endpoints.list_deployments(store, version_id=version.id))),
        lacks=tuple(packages.lacks(version)),
        explanation=explanations.latest_explanation(store, version),
        verdict=gates.find_verdict(store, version.run_id) if version.run_id else None,
        fused=fusing.verdict_of(store, version),
    )


def _placed(store: Store, deployed: Sequence[Deployment]) -> list[Placed]:
    """Ask the endpoints of those deployments that should serve whether they do."""
    serving = {each.endpoint for each in deployed if each.status is DeploymentStatus.HEALTHY}
    fronts = {endpoint: deployments.status(store, endpoint) for endpoint in serving}
    found = []
    for each in deployed:
        front = fronts.get(each.endpoint) if each.status is DeploymentStatus.HEALTHY else None
        states = front.deployments if front else ()
        is_healthy = any(
            state.is_ready and (state.name, state.version) == (each.name, each.version) for state in states
        )
        found.append(Placed(each, is_healthy))
    return found
