"""The tables of what serves: endpoints, what is deployed there, who may ask, rollouts, and what was captured."""

import sqlalchemy as sa

from modelwright.store.columns import Timestamp, column, link, metadata

# `settings` is what can be changed of it while it serves; `traffic` is how requests are shared out.
endpoints = sa.Table(
    "endpoints",
    metadata,
    column("id", primary_key=True),
    column("name", unique=True),
    column("host"),
    column("port", sa.Integer, nullable=True),
    column("settings", sa.JSON, server_default="{}"),
    column("traffic", sa.JSON, server_default="{}"),
    column("created_at", Timestamp),
)

# An empty name is that of the version.
deployments = sa.Table(
    "deployments",
    metadata,
    column("id", primary_key=True),
    link("endpoint_id", "endpoints.id", index=True),
    link("version_id", "model_versions.id", index=True),
    column("name", server_default=""),
    column("workers", sa.Integer, server_default="1"),
    column("memory_gb", sa.Float, nullable=True),
    column("status"),
    column("reason"),
    column("created_at", Timestamp),
    column("finished_at", Timestamp, nullable=True),
)

# The further versions whose files the scoring script of a deployment needs.
deployment_models = sa.Table(
    "deployment_models",
    metadata,
    link("deployment_id", "deployments.id", primary_key=True),
    link("version_id", "model_versions.id", primary_key=True, index=True),
)

# Keys and tokens by their digests alone.
endpoint_keys = sa.Table(
    "endpoint_keys",
    metadata,
    column("digest", primary_key=True),
    link("endpoint_id", "endpoints.id", index=True),
    column("kind"),
    column("created_at", Timestamp),
    column("expires_at", Timestamp, nullable=True),
)

# `state` is where the plan stands: step, since when, what the checks saw, and the traffic to go back to.
rollouts = sa.Table(
    "rollouts",
    metadata,
    column("id", primary_key=True),
    link("endpoint_id", "endpoints.id", index=True),
    column("deployment"),
    column("plan", sa.JSON),
    column("state", sa.JSON),
    column("status", index=True),
    column("reason"),
    column("created_at", Timestamp),
    column("finished_at", Timestamp, nullable=True),
)

# What became Parquet of a segment, which is deleted after this row is written: each is read once. `files` names what
# was made of it, below the endpoint's capture folder.
capture_segments = sa.Table(
    "capture_segments",
    metadata,
    column("id", primary_key=True),
    column("endpoint", index=True),
    column("row_count", sa.Integer),
    column("digest"),
    column("files", sa.JSON),
    column("kept_at", Timestamp),
)
