"""What events say of things besides what changed: all that a subscriber filters by or acts on."""

from typing import Any

from modelwright.records import DatasetVersion, Deployment, ModelVersion
from modelwright.store.changes import Change
from modelwright.store.loading import rows

_RUN = (
    "SELECT runs.experiment, runs.kind, projects.name, runs.git_commit, runs.code_digest, runs.environment_digest, "
    "runs.parent_id, pipeline || ':' || pipeline_versions.version FROM runs "
    "LEFT JOIN projects ON projects.id = runs.project_id "
    "LEFT JOIN pipeline_versions ON pipeline_versions.id = runs.pipeline_version_id WHERE runs.id = ?"
)
_PROPERTIES = ("project", "git_commit", "code_digest", "environment_digest", "parent", "pipeline")
_RUN_TAGS = "SELECT name, value FROM run_tags WHERE run_id = ? ORDER BY name"
_VERSION_TAGS = "SELECT name, value FROM version_tags WHERE version_id = ? ORDER BY name"
_VERSION_PROPERTIES = "SELECT name, value FROM version_properties WHERE version_id = ? ORDER BY name"


def of_model_version(version: ModelVersion) -> dict[str, Any]:
    """Return what a version is and where it comes from."""
    return {
        "model": version.model,
        "version": version.version,
        "digest": version.digest,
        "run": version.run_id,
        "framework": version.framework,
        "description": version.description,
        "source": dict(version.source),
        "metrics": version.metrics,
        "tags": version.tags,
        "properties": version.properties,
    }


def of_dataset_version(version: DatasetVersion) -> dict[str, Any]:
    """Return which version of a dataset it is, its content, and how it is kept."""
    return {
        "dataset": version.dataset,
        "version": version.version,
        "digest": version.digest,
        "size_bytes": version.size_bytes,
        "storage": version.storage,
    }


def of_run(change: Change, run_id: str) -> dict[str, Any]:
    """Return a run's experiment, kind, tags, and as properties what never changes; nothing for one that is gone."""
    found = rows(change.connection, _RUN, (run_id,))
    if not found:
        return {}
    experiment, kind, *fixed = found[0]
    return {
        "experiment": experiment,
        "kind": kind,
        "tags": dict(rows(change.connection, _RUN_TAGS, (run_id,))),
        "properties": {name: value for name, value in zip(_PROPERTIES, fixed, strict=True) if value},
    }


def of_deployment(change: Change, deployment: Deployment) -> dict[str, Any]:
    """Return where a version is deployed, which models that is, and its tags and properties."""
    return {
        "endpoint": deployment.endpoint,
        "models": [deployment.version, *deployment.companions],
        "tags": dict(rows(change.connection, _VERSION_TAGS, (deployment.version_id,))),
        "properties": dict(rows(change.connection, _VERSION_PROPERTIES, (deployment.version_id,))),
    }
