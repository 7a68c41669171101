"""The tables. What the migrations build is compared with this in the tests."""

import sqlalchemy as sa

from modelwright.store.access_schema import approvals, tokens
from modelwright.store.columns import Number, Timestamp, column, labels, link, metadata
from modelwright.store.event_schema import deliveries, events, subscription_positions, subscriptions
from modelwright.store.model_schema import (
    aliases,
    explanations,
    former_names,
    model_tags,
    model_versions,
    models,
    reproductions,
    version_datasets,
    version_files,
    version_metrics,
    version_properties,
    version_tags,
)
from modelwright.store.serving_schema import (
    capture_segments,
    deployment_models,
    deployments,
    endpoint_keys,
    endpoints,
    rollouts,
)
from modelwright.store.tracking_schema import (
    experiment_tags,
    experiments,
    logged_model_files,
    logged_model_metrics,
    logged_model_parameters,
    logged_model_tags,
    logged_models,
    run_inputs,
    run_outputs,
)

__all__ = [
    "aliases",
    "approvals",
    "capture_segments",
    "deliveries",
    "deployment_models",
    "deployments",
    "endpoint_keys",
    "endpoints",
    "events",
    "experiment_tags",
    "experiments",
    "explanations",
    "former_names",
    "logged_model_files",
    "logged_model_metrics",
    "logged_model_parameters",
    "logged_model_tags",
    "logged_models",
    "metadata",
    "model_tags",
    "model_versions",
    "models",
    "reproductions",
    "rollouts",
    "run_inputs",
    "run_outputs",
    "subscription_positions",
    "subscriptions",
    "tokens",
    "version_datasets",
    "version_files",
    "version_metrics",
    "version_properties",
    "version_tags",
]

projects = sa.Table(
    "projects",
    metadata,
    column("id", primary_key=True),
    column("name", unique=True),
    column("folder"),
    column("created_at", Timestamp),
)

conversions = sa.Table(
    "conversions",
    metadata,
    column("id", primary_key=True),
    link("project_id", "projects.id", index=True),
    column("training_notebook", index=True),
    column("training_digest"),
    column("scoring_notebook", nullable=True, index=True),
    column("scoring_digest", nullable=True),
    column("removals", sa.JSON),
    column("findings", sa.JSON),
    # Which cells each function of the project was made of.
    column("functions", sa.JSON, server_default="[]"),
    column("created_at", Timestamp),
)

proofs = sa.Table(
    "proofs",
    metadata,
    column("id", primary_key=True),
    link("project_id", "projects.id", index=True),
    column("is_equal", sa.Boolean),
    column("tolerance", sa.Float),
    column("notebook_digest"),
    column("project_digest", index=True),
    column("python_version"),
    column("comparisons", sa.JSON),
    column("created_at", Timestamp),
)

environments = sa.Table(
    "environments",
    metadata,
    column("digest", primary_key=True),
    column("python_version"),
    column("platform"),
    column("lock_text"),
    column("created_at", Timestamp),
)

datasets = sa.Table(
    "datasets",
    metadata,
    column("id", primary_key=True),
    column("name", unique=True),
    column("description", server_default=""),
    column("created_at", Timestamp),
)

dataset_tags = labels("dataset_tags", "dataset_id", "datasets.id")

dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    column("id", primary_key=True),
    link("dataset_id", "datasets.id"),
    column("version", sa.Integer),
    column("digest"),
    column("size_bytes", sa.BigInteger),
    column("kind", server_default="values"),
    column("storage", server_default="copy"),
    column("source", sa.JSON, server_default="{}"),
    column("timestamp_column", nullable=True),
    column("profile", sa.JSON, nullable=True),
    column("created_at", Timestamp),
    sa.UniqueConstraint("dataset_id", "version"),
    sa.UniqueConstraint("dataset_id", "digest"),
)

dataset_files = sa.Table(
    "dataset_files",
    metadata,
    link("version_id", "dataset_versions.id", primary_key=True),
    column("path", primary_key=True),
    column("digest", index=True),
    column("size_bytes", sa.BigInteger),
    column("location", nullable=True),
)

environment_versions = sa.Table(
    "environment_versions",
    metadata,
    column("name", primary_key=True),
    column("version", sa.Integer, primary_key=True),
    link("environment_digest", "environments.digest", index=True),
    column("source", sa.JSON),
    column("findings", sa.JSON),
    column("created_at", Timestamp),
)

pipelines = sa.Table(
    "pipelines",
    metadata,
    column("name", primary_key=True),
    column("is_enabled", sa.Boolean),
    column("created_at", Timestamp),
)

pipeline_versions = sa.Table(
    "pipeline_versions",
    metadata,
    column("id", primary_key=True),
    link("pipeline", "pipelines.name"),
    column("version", sa.Integer),
    column("description"),
    link("project_id", "projects.id", index=True),
    column("code_digest", index=True),
    column("parameters", sa.JSON),
    link("environment_digest", "environments.digest", index=True),
    link("parent_id", "pipeline_versions.id", nullable=True, index=True),
    column("is_enabled", sa.Boolean),
    column("created_at", Timestamp),
    sa.UniqueConstraint("pipeline", "version"),
)

pipeline_files = sa.Table(
    "pipeline_files",
    metadata,
    link("version_id", "pipeline_versions.id", primary_key=True),
    column("path", primary_key=True),
    column("digest", index=True),
    column("size_bytes", sa.BigInteger),
    column("is_executable", sa.Boolean),
)

runs = sa.Table(
    "runs",
    metadata,
    column("id", primary_key=True),
    link("project_id", "projects.id", nullable=True, index=True),
    column("kind", server_default="pipeline"),
    column("experiment", server_default=""),
    link("parent_id", "runs.id", nullable=True, index=True),
    link("pipeline_version_id", "pipeline_versions.id", nullable=True, index=True),
    column("status"),
    column("reason"),
    column("note", server_default=""),
    link("environment_digest", "environments.digest", nullable=True, index=True),
    column("code_digest", nullable=True, index=True),
    column("git_commit", nullable=True, index=True),
    column("git_is_dirty", sa.Boolean, nullable=True),
    column("git_branch", nullable=True),
    column("git_repository", nullable=True),
    column("seed", sa.BigInteger, nullable=True),
    column("machine", sa.JSON, server_default="{}"),
    column("actor", server_default=""),
    column("started_at", Timestamp, index=True),
    column("finished_at", Timestamp, nullable=True),
    column("deleted_at", Timestamp, nullable=True),
    # With the id, which sorts by time, the newest few of an experiment or a status are found without sorting them all.
    sa.Index(None, "experiment", "id"),
    sa.Index(None, "status", "id"),
)

# Without a row id the rows of a run lie together, and an index on name and value leads to the run and not to a row.
run_tags = labels("run_tags", "run_id", "runs.id", sqlite_with_rowid=False)

run_steps = sa.Table(
    "run_steps",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    column("name", primary_key=True),
    column("position", sa.Integer),
    column("status"),
    column("reason", server_default=""),
    column("attempts", sa.Integer, server_default="1"),
    column("key", nullable=True, index=True),
    column("outputs", sa.JSON),
    column("evidence", sa.JSON, server_default="{}"),
    link("reused_from", "runs.id", nullable=True, index=True),
    column("started_at", Timestamp),
    column("finished_at", Timestamp, nullable=True),
)

run_parameters = sa.Table(
    "run_parameters",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    column("name", primary_key=True),
    column("value", sa.JSON, nullable=True),
    sa.Index(None, "name", "value"),
    sqlite_with_rowid=False,
)

# Every point that a run logged, in its order; a name may be logged many times, at the same step too.
run_metrics = sa.Table(
    "run_metrics",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    link("run_id", "runs.id"),
    column("name"),
    column("step", sa.BigInteger),
    column("value", Number, nullable=True),
    column("recorded_at", Timestamp),
    sa.Index(None, "run_id", "name", "step"),
)

# The last value of each metric of each run: what lists show and searches ask for.
run_summaries = sa.Table(
    "run_summaries",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    column("name", primary_key=True),
    column("step", sa.BigInteger),
    column("value", Number, nullable=True),
    column("recorded_at", Timestamp, nullable=True),
    sa.Index(None, "name", "value"),
    sqlite_with_rowid=False,
)

run_artifacts = sa.Table(
    "run_artifacts",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    column("path", primary_key=True),
    column("digest", index=True),
    column("size_bytes", sa.BigInteger),
)

# The files of each state of the code that ran, once: the many runs of one state share its rows by `code_digest`.
code_files = sa.Table(
    "code_files",
    metadata,
    column("code_digest", primary_key=True),
    column("path", primary_key=True),
    column("digest", index=True),
    column("size_bytes", sa.BigInteger),
)

run_datasets = sa.Table(
    "run_datasets",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    link("dataset_version_id", "dataset_versions.id", primary_key=True, index=True),
    column("role", primary_key=True),
)

# What steps ran in besides the run's own environment.
run_environments = sa.Table(
    "run_environments",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    link("environment_digest", "environments.digest", primary_key=True, index=True),
)

sweeps = sa.Table(
    "sweeps",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    column("specification", sa.JSON),
    column("created_at", Timestamp),
)

trials = sa.Table(
    "trials",
    metadata,
    link("sweep_id", "sweeps.run_id", primary_key=True),
    column("number", sa.Integer, primary_key=True),
    link("run_id", "runs.id", nullable=True, index=True),
    column("status"),
    column("parameters", sa.JSON),
    column("value", Number, nullable=True),
)

schedules = sa.Table(
    "schedules",
    metadata,
    column("name", primary_key=True),
    link("pipeline", "pipelines.name", index=True),
    column("version", sa.Integer, nullable=True),
    column("trigger", sa.JSON),
    column("parameters", sa.JSON),
    column("missed"),
    column("is_enabled", sa.Boolean),
    column("state", sa.JSON),
    column("next_at", Timestamp, nullable=True, index=True),
    column("created_at", Timestamp),
)

schedule_ticks = sa.Table(
    "schedule_ticks",
    metadata,
    link("schedule", "schedules.name", primary_key=True),
    column("due_at", Timestamp, primary_key=True),
    link("run_id", "runs.id", nullable=True, index=True),
    column("outcome", index=True),
    column("taken_at", Timestamp),
)

# What gates decided. The champion is named and not linked: that one was compared with it keeps it from nothing.
gate_verdicts = sa.Table(
    "gate_verdicts",
    metadata,
    column("id", primary_key=True),
    link("run_id", "runs.id", index=True),
    column("model"),
    column("champion", nullable=True),
    column("outcome"),
    column("reason"),
    column("numbers", sa.JSON),
    column("created_at", Timestamp),
)

# The highest number of a name whose version was deleted: it is not given again. Of models that are there
# `last_version` tells it.
retired_numbers = sa.Table(
    "retired_numbers",
    metadata,
    column("noun", primary_key=True),
    column("name", primary_key=True),
    column("version", sa.Integer),
)

# The workspace's own rules, such as which changes need a reason.
settings = sa.Table(
    "settings",
    metadata,
    column("name", primary_key=True),
    column("value"),
)

# Who did what. `undo` is what the rows were before, which takes the change back. `digest` is that of the record and of
# the digest before it, so that a change to any of them shows.
audit_records = sa.Table(
    "audit_records",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    column("at", Timestamp),
    column("actor"),
    column("action"),
    column("subject", index=True),
    column("why"),
    column("before", sa.JSON, nullable=True),
    column("after", sa.JSON, nullable=True),
    column("undo", sa.JSON, nullable=True),
    column("digest"),
    sqlite_autoincrement=True,
)
