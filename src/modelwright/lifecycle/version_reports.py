"""All that is known of a model version, in one answer: where it came from, what it is made of, where it serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelwright.models import packages
from modelwright.models.fusing import verdicts
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
from modelwright.records.plain import plain
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

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it: the version's own facts, and those around it beside them."""
        run, proof = self.run, self.proof
        around = {
            "experiment": run.experiment if run else None,
            "git": run.git if run else None,
            "code_digest": run.code_digest if run else None,
            "run": _without_files(run) if run else None,
            "proof": {"id": proof.id, "is_equal": proof.is_equal, "created_at": proof.created_at} if proof else None,
            "environments": self.environments,
            "data": [
                {"role": each.role, "dataset": each.version.reference, "digest": each.version.digest}
                for each in self.data
            ],
            "parent": self.parent,
            "derived": self.derived,
            "lacks": self.lacks,
            "fused": self.fused,
            "verdict": self.verdict,
            "deployments": [plain(each.deployment) | {"is_healthy": each.is_healthy} for each in self.placed],
        }
        found: dict[str, Any] = plain(self.version) | plain(around)
        return found


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
        placed=tuple(_placed(store, endpoints.list_deployments_with(store, version))),
        lacks=tuple(packages.lacks(version)),
        explanation=explanations.latest_explanation(store, version),
        verdict=gates.find_verdict(store, version.run_id) if version.run_id else None,
        fused=verdicts.verdict_of(store, version),
    )


def _without_files(run: Run) -> dict[str, Any]:
    return {name: value for name, value in plain(run).items() if name not in {"artifacts", "steps", "datasets"}}


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
