"""The tables of models: their names, versions, files, labels and aliases, and what was found out about versions."""

import sqlalchemy as sa

from modelwright.store.columns import Number, Timestamp, column, labels, link, metadata

# `last_version` is the highest number that was ever given: a number is not given again when its version is deleted.
models = sa.Table(
    "models",
    metadata,
    column("name", primary_key=True),
    column("description", server_default=""),
    column("last_version", sa.Integer, server_default="0"),
    column("created_at", Timestamp),
    column("updated_at", Timestamp, nullable=True),
)

model_tags = labels("model_tags", "model", "models.name")

# What a model was called before: what was recorded then says so, and nothing else can be called that while it lives.
former_names = sa.Table(
    "former_names",
    metadata,
    column("name", primary_key=True),
    link("model", "models.name", index=True),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    column("id", primary_key=True),
    link("model", "models.name"),
    column("version", sa.Integer),
    column("digest"),
    column("framework"),
    column("framework_version", server_default=""),
    column("description", server_default=""),
    column("signature", sa.JSON),
    column("source", sa.JSON, server_default="{}"),
    link("run_id", "runs.id", nullable=True, index=True),
    link("proof_id", "proofs.id", nullable=True, index=True),
    link("environment_digest", "environments.digest", nullable=True, index=True),
    link("parent_id", "model_versions.id", nullable=True, index=True),
    column("created_by", server_default=""),
    column("created_at", Timestamp),
    column("updated_at", Timestamp, nullable=True),
    sa.UniqueConstraint("model", "version"),
    sa.Index(None, "created_at", "version"),
)

version_files = sa.Table(
    "version_files",
    metadata,
    link("version_id", "model_versions.id", primary_key=True),
    column("path", primary_key=True),
    column("digest", index=True),
    column("size_bytes", sa.Integer),
    column("is_executable", sa.Boolean),
)

reproductions = sa.Table(
    "reproductions",
    metadata,
    column("id", primary_key=True),
    link("version_id", "model_versions.id", index=True),
    link("run_id", "runs.id", nullable=True, index=True),
    column("verdict"),
    column("cause"),
    column("comparisons", sa.JSON),
    column("created_at", Timestamp),
)

version_metrics = sa.Table(
    "version_metrics",
    metadata,
    link("version_id", "model_versions.id", primary_key=True),
    column("name", primary_key=True),
    column("value", Number, nullable=True),
)

version_tags = labels("version_tags", "version_id", "model_versions.id")

# Like tags, but written once.
version_properties = labels("version_properties", "version_id", "model_versions.id")

version_datasets = sa.Table(
    "version_datasets",
    metadata,
    link("version_id", "model_versions.id", primary_key=True),
    link("dataset_version_id", "dataset_versions.id", primary_key=True, index=True),
    column("role", primary_key=True),
)

# What was found out about why a version answers as it does; the table of single rows is a blob.
explanations = sa.Table(
    "explanations",
    metadata,
    column("id", primary_key=True),
    link("version_id", "model_versions.id", index=True),
    column("method"),
    column("result", sa.JSON),
    column("digest", nullable=True, index=True),
    column("created_at", Timestamp),
)

aliases = sa.Table(
    "aliases",
    metadata,
    link("model", "models.name", primary_key=True),
    column("alias", primary_key=True),
    link("version_id", "model_versions.id", index=True),
    column("moved_at", Timestamp),
)
