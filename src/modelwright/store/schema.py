"""The tables. What the migrations build is compared with this in the tests."""

import math
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Timestamp(sa.types.TypeDecorator[datetime]):
    """A UTC time kept as ISO 8601 text with microseconds: sorts as text and reads the same in every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the text that is stored."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the time that was stored."""
        return None if value is None else datetime.fromisoformat(value)


class Number(sa.types.TypeDecorator[float]):
    """A float that may be NaN. SQLite keeps NaN as NULL and would refuse it, so NULL is what stands for NaN here."""

    impl = sa.Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the number that is stored."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> float:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the number that was stored."""
        return math.nan if value is None else float(value)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _column(name: str, kind: Any = sa.Text, *rest: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *rest, nullable=options.pop("nullable", False), **options)


def _link(name: str, target: str, **options: Any) -> sa.Column[Any]:
    return _column(name, sa.Text, sa.ForeignKey(target, ondelete="RESTRICT"), **options)


projects = sa.Table(
    "projects",
    metadata,
    _column("id", primary_key=True),
    _column("name", unique=True),
    _column("folder"),
    _column("created_at", Timestamp),
)

conversions = sa.Table(
    "conversions",
    metadata,
    _column("id", primary_key=True),
    _link("project_id", "projects.id", index=True),
    _column("training_notebook"),
    _column("training_digest"),
    _column("scoring_notebook", nullable=True),
    _column("scoring_digest", nullable=True),
    _column("removals", sa.JSON),
    _column("findings", sa.JSON),
    _column("created_at", Timestamp),
)

proofs = sa.Table(
    "proofs",
    metadata,
    _column("id", primary_key=True),
    _link("project_id", "projects.id", index=True),
    _column("is_equal", sa.Boolean),
    _column("tolerance", sa.Float),
    _column("notebook_digest"),
    _column("project_digest", index=True),
    _column("python_version"),
    _column("comparisons", sa.JSON),
    _column("created_at", Timestamp),
)

environments = sa.Table(
    "environments",
    metadata,
    _column("digest", primary_key=True),
    _column("python_version"),
    _column("platform"),
    _column("lock_text"),
    _column("created_at", Timestamp),
)

datasets = sa.Table(
    "datasets",
    metadata,
    _column("id", primary_key=True),
    _column("name", unique=True),
    _column("description", server_default=""),
    _column("created_at", Timestamp),
)

dataset_tags = sa.Table(
    "dataset_tags",
    metadata,
    _link("dataset_id", "datasets.id", primary_key=True),
    _column("name", primary_key=True),
    _column("value"),
    sa.Index(None, "name", "value"),
)

dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    _column("id", primary_key=True),
    _link("dataset_id", "datasets.id"),
    _column("version", sa.Integer),
    _column("digest"),
    _column("size_bytes", sa.BigInteger),
    _column("kind", server_default="values"),
    _column("storage", server_default="copy"),
    _column("source", sa.JSON, server_default="{}"),
    _column("timestamp_column", nullable=True),
    _column("profile", sa.JSON, nullable=True),
    _column("created_at", Timestamp),
    sa.UniqueConstraint("dataset_id", "version"),
    sa.UniqueConstraint("dataset_id", "digest"),
)

dataset_files = sa.Table(
    "dataset_files",
    metadata,
    _link("version_id", "dataset_versions.id", primary_key=True),
    _column("path", primary_key=True),
    _column("digest", index=True),
    _column("size_bytes", sa.BigInteger),
    _column("location", nullable=True),
)

environment_versions = sa.Table(
    "environment_versions",
    metadata,
    _column("name", primary_key=True),
    _column("version", sa.Integer, primary_key=True),
    _link("environment_digest", "environments.digest", index=True),
    _column("source", sa.JSON),
    _column("findings", sa.JSON),
    _column("created_at", Timestamp),
)

pipelines = sa.Table(
    "pipelines",
    metadata,
    _column("name", primary_key=True),
    _column("is_enabled", sa.Boolean),
    _column("created_at", Timestamp),
)

pipeline_versions = sa.Table(
    "pipeline_versions",
    metadata,
    _column("id", primary_key=True),
    _link("pipeline", "pipelines.name"),
    _column("version", sa.Integer),
    _column("description"),
    _link("project_id", "projects.id", index=True),
    _column("code_digest"),
    _column("parameters", sa.JSON),
    _link("environment_digest", "environments.digest"),
    _link("parent_id", "pipeline_versions.id", nullable=True, index=True),
    _column("is_enabled", sa.Boolean),
    _column("created_at", Timestamp),
    sa.UniqueConstraint("pipeline", "version"),
)

pipeline_files = sa.Table(
    "pipeline_files",
    metadata,
    _link("version_id", "pipeline_versions.id", primary_key=True),
    _column("path", primary_key=True),
    _column("digest", index=True),
    _column("size_bytes", sa.BigInteger),
    _column("is_executable", sa.Boolean),
)

runs = sa.Table(
    "runs",
    metadata,
    _column("id", primary_key=True),
    _link("project_id", "projects.id", nullable=True, index=True),
    _column("kind", server_default="pipeline"),
    _column("experiment", server_default=""),
    _link("parent_id", "runs.id", nullable=True, index=True),
    _link("pipeline_version_id", "pipeline_versions.id", nullable=True, index=True),
    _column("status"),
    _column("reason"),
    _column("note", server_default=""),
    _link("environment_digest", "environments.digest", nullable=True),
    _column("code_digest", nullable=True),
    _column("git_commit", nullable=True),
    _column("git_is_dirty", sa.Boolean, nullable=True),
    _column("git_branch", nullable=True),
    _column("git_repository", nullable=True),
    _column("seed", sa.BigInteger, nullable=True),
    _column("machine", sa.JSON, server_default="{}"),
    _column("actor", server_default=""),
    _column("started_at", Timestamp, index=True),
    _column("finished_at", Timestamp, nullable=True),
    # With the id, which sorts by time, the newest few of an experiment or a status are found without sorting them all.
    sa.Index(None, "experiment", "id"),
    sa.Index(None, "status", "id"),
)

# Without a row id the rows of a run lie together, and an index on name and value leads to the run and not to a row.
run_tags = sa.Table(
    "run_tags",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _column("name", primary_key=True),
    _column("value"),
    sa.Index(None, "name", "value"),
    sqlite_with_rowid=False,
)

run_steps = sa.Table(
    "run_steps",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _column("name", primary_key=True),
    _column("position", sa.Integer),
    _column("status"),
    _column("reason", server_default=""),
    _column("attempts", sa.Integer, server_default="1"),
    _column("key", nullable=True, index=True),
    _column("outputs", sa.JSON),
    _column("evidence", sa.JSON, server_default="{}"),
    _link("reused_from", "runs.id", nullable=True, index=True),
    _column("started_at", Timestamp),
    _column("finished_at", Timestamp, nullable=True),
)

run_parameters = sa.Table(
    "run_parameters",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _column("name", primary_key=True),
    _column("value", sa.JSON, nullable=True),
    sa.Index(None, "name", "value"),
    sqlite_with_rowid=False,
)

# Every point that a run logged, in its order; a name may be logged many times, at the same step too.
run_metrics = sa.Table(
    "run_metrics",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    _link("run_id", "runs.id"),
    _column("name"),
    _column("step", sa.BigInteger),
    _column("value", Number, nullable=True),
    _column("recorded_at", Timestamp),
    sa.Index(None, "run_id", "name", "step"),
)

# The last value of each metric of each run: what lists show and searches ask for.
run_summaries = sa.Table(
    "run_summaries",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _column("name", primary_key=True),
    _column("step", sa.BigInteger),
    _column("value", Number, nullable=True),
    sa.Index(None, "name", "value"),
    sqlite_with_rowid=False,
)

run_artifacts = sa.Table(
    "run_artifacts",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _column("path", primary_key=True),
    _column("digest", index=True),
    _column("size_bytes", sa.BigInteger),
)

# The files of each state of the code that ran, once: the many runs of one state share its rows by `code_digest`.
code_files = sa.Table(
    "code_files",
    metadata,
    _column("code_digest", primary_key=True),
    _column("path", primary_key=True),
    _column("digest", index=True),
    _column("size_bytes", sa.BigInteger),
)

run_datasets = sa.Table(
    "run_datasets",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _link("dataset_version_id", "dataset_versions.id", primary_key=True),
    _column("role", primary_key=True),
)

sweeps = sa.Table(
    "sweeps",
    metadata,
    _link("run_id", "runs.id", primary_key=True),
    _column("specification", sa.JSON),
    _column("created_at", Timestamp),
)

trials = sa.Table(
    "trials",
    metadata,
    _link("sweep_id", "sweeps.run_id", primary_key=True),
    _column("number", sa.Integer, primary_key=True),
    _link("run_id", "runs.id", nullable=True, index=True),
    _column("status"),
    _column("parameters", sa.JSON),
    _column("value", Number, nullable=True),
)

# Who may use the HTTP API. A token itself is nowhere, only its digest.
tokens = sa.Table(
    "tokens",
    metadata,
    _column("digest", primary_key=True),
    _column("name"),
    _column("role"),
    _column("created_at", Timestamp),
)

schedules = sa.Table(
    "schedules",
    metadata,
    _column("name", primary_key=True),
    _link("pipeline", "pipelines.name", index=True),
    _column("version", sa.Integer, nullable=True),
    _column("trigger", sa.JSON),
    _column("parameters", sa.JSON),
    _column("missed"),
    _column("is_enabled", sa.Boolean),
    _column("state", sa.JSON),
    _column("next_at", Timestamp, nullable=True, index=True),
    _column("created_at", Timestamp),
)

schedule_ticks = sa.Table(
    "schedule_ticks",
    metadata,
    _link("schedule", "schedules.name", primary_key=True),
    _column("due_at", Timestamp, primary_key=True),
    _link("run_id", "runs.id", nullable=True, index=True),
    _column("outcome", index=True),
    _column("taken_at", Timestamp),
)

models = sa.Table(
    "models",
    metadata,
    _column("name", primary_key=True),
    _column("created_at", Timestamp),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    _column("id", primary_key=True),
    _link("model", "models.name"),
    _column("version", sa.Integer),
    _column("digest"),
    _column("framework"),
    _column("signature", sa.JSON),
    _link("run_id", "runs.id", index=True),
    _link("proof_id", "proofs.id", nullable=True),
    _link("environment_digest", "environments.digest"),
    _column("created_at", Timestamp),
    sa.UniqueConstraint("model", "version"),
)

version_files = sa.Table(
    "version_files",
    metadata,
    _link("version_id", "model_versions.id", primary_key=True),
    _column("path", primary_key=True),
    _column("digest", index=True),
    _column("size_bytes", sa.Integer),
    _column("is_executable", sa.Boolean),
)

reproductions = sa.Table(
    "reproductions",
    metadata,
    _column("id", primary_key=True),
    _link("version_id", "model_versions.id", index=True),
    _link("run_id", "runs.id", nullable=True, index=True),
    _column("verdict"),
    _column("cause"),
    _column("comparisons", sa.JSON),
    _column("created_at", Timestamp),
)

version_metrics = sa.Table(
    "version_metrics",
    metadata,
    _link("version_id", "model_versions.id", primary_key=True),
    _column("name", primary_key=True),
    _column("value", Number, nullable=True),
)

version_tags = sa.Table(
    "version_tags",
    metadata,
    _link("version_id", "model_versions.id", primary_key=True),
    _column("name", primary_key=True),
    _column("value"),
)

aliases = sa.Table(
    "aliases",
    metadata,
    _link("model", "models.name", primary_key=True),
    _column("alias", primary_key=True),
    _link("version_id", "model_versions.id", index=True),
    _column("moved_at", Timestamp),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    _column("id", primary_key=True),
    _column("name", unique=True),
    _column("host"),
    _column("port", sa.Integer, nullable=True),
    _column("created_at", Timestamp),
)

deployments = sa.Table(
    "deployments",
    metadata,
    _column("id", primary_key=True),
    _link("endpoint_id", "endpoints.id", index=True),
    _link("version_id", "model_versions.id", index=True),
    _column("status"),
    _column("reason"),
    _column("created_at", Timestamp),
    _column("finished_at", Timestamp, nullable=True),
)

audit_records = sa.Table(
    "audit_records",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    _column("at", Timestamp),
    _column("actor"),
    _column("action"),
    _column("subject", index=True),
    _column("why"),
    _column("before", sa.JSON, nullable=True),
    _column("after", sa.JSON, nullable=True),
    sqlite_autoincrement=True,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    _column("id", unique=True),
    _column("type"),
    _column("subject"),
    _column("at", Timestamp),
    _column("data", sa.JSON),
    sqlite_autoincrement=True,
)
