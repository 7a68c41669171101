"""Which columns name blobs. A test finds a column of digests, or of JSON, that is named nowhere here."""

from collections.abc import Iterator

import sqlalchemy as sa

from modelwright.records import Storage
from modelwright.store import schema

# Columns with the digest of a blob.
NAMING = (
    "version_files.digest",
    "explanations.digest",
    "run_artifacts.digest",
    "code_files.digest",
    "dataset_files.digest",
    "pipeline_files.digest",
    "logged_model_files.digest",
)
# Columns of JSON that names blobs: the values that pass between steps, and what steps left and told.
LISTING = ("run_steps.outputs", "run_steps.evidence")
# Digests of other things than a blob, and JSON that names none.
OTHER = (
    "environments.digest",
    "environment_versions.environment_digest",
    "environment_versions.source",
    "environment_versions.findings",
    "dataset_versions.digest",  # of the digests of its files
    "dataset_versions.source",
    "dataset_versions.profile",
    "conversions.training_digest",
    "conversions.scoring_digest",
    "conversions.removals",
    "conversions.findings",
    "conversions.functions",
    "proofs.notebook_digest",
    "proofs.project_digest",
    "proofs.comparisons",
    "pipeline_versions.code_digest",
    "pipeline_versions.environment_digest",
    "pipeline_versions.parameters",
    "runs.environment_digest",
    "runs.code_digest",
    "runs.machine",
    "run_environments.environment_digest",
    "run_parameters.value",
    "code_files.code_digest",
    "sweeps.specification",
    "trials.parameters",
    "tokens.digest",
    "endpoints.settings",
    "endpoints.traffic",
    "endpoint_keys.digest",
    "rollouts.plan",
    "rollouts.state",
    "capture_segments.digest",  # of the segment that it was
    "capture_segments.files",
    "schedules.trigger",
    "schedules.parameters",
    "schedules.state",
    "model_versions.digest",  # of its manifest, which is among its files
    "model_versions.environment_digest",
    "model_versions.signature",
    "model_versions.source",
    "reproductions.comparisons",
    "explanations.result",
    "gate_verdicts.numbers",
    "audit_records.digest",
    "audit_records.before",  # what was
    "audit_records.after",
    "audit_records.undo",
    "events.data",
    "subscriptions.target",
    "subscriptions.filter",
    "subscriptions.policy",
    "run_inputs.digest",  # as the client reckoned it
    "run_inputs.description",
    "logged_model_metrics.dataset",
)


def blob_digests(connection: sa.Connection) -> set[str]:
    """Return the digests of all blobs that some row names."""
    return kept_digests(connection) | set(_of_steps(connection))


def kept_digests(connection: sa.Connection) -> set[str]:
    """Return the digests of the blobs that rows name, without those of steps, which can be made again."""
    found: set[str] = set()
    for name in NAMING:
        owner, _, column = name.partition(".")
        digest = schema.metadata.tables[owner].c[column]
        query = sa.select(digest).where(digest.is_not(None))
        if owner == "dataset_files":  # a version by reference names files of the user's, of which there is no blob
            versions = schema.dataset_versions
            query = query.join(versions, versions.c.id == schema.dataset_files.c.version_id)
            query = query.where(versions.c.storage != Storage.REFERENCE)
        found.update(connection.execute(query).scalars())
    return found


def _of_steps(connection: sa.Connection) -> Iterator[str]:
    steps = schema.run_steps
    for row in connection.execute(sa.select(steps.c.outputs, steps.c.evidence)):
        yield from row.outputs.values()
        yield from row.evidence.get("blobs", [])
