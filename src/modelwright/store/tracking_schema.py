"""The tables of what tracking clients know besides runs: experiments, models that runs logged, and their inputs."""

import sqlalchemy as sa

from modelwright.store.columns import Number, Timestamp, column, labels, link, metadata

# A name for runs that belong together, which they carry themselves. One that was put away has `deleted_at`.
experiments = sa.Table(
    "experiments",
    metadata,
    column("id", primary_key=True),
    column("name", unique=True),
    column("created_at", Timestamp),
    column("updated_at", Timestamp),
    column("deleted_at", Timestamp, nullable=True),
)

experiment_tags = labels("experiment_tags", "experiment_id", "experiments.id")

# What a run read, as its client described it; a dataset version of ours has its own link.
run_inputs = sa.Table(
    "run_inputs",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    column("name", primary_key=True),
    column("digest", primary_key=True),
    column("description", sa.JSON),
)

# A model that a client wrote down while a run went on, before anybody registered it.
logged_models = sa.Table(
    "logged_models",
    metadata,
    column("id", primary_key=True),
    link("experiment_id", "experiments.id", index=True),
    link("run_id", "runs.id", nullable=True, index=True),
    column("name"),
    column("kind", server_default=""),
    column("status"),
    column("created_at", Timestamp),
    column("updated_at", Timestamp),
)

logged_model_tags = labels("logged_model_tags", "logged_model_id", "logged_models.id")

logged_model_parameters = labels("logged_model_parameters", "logged_model_id", "logged_models.id")

logged_model_metrics = sa.Table(
    "logged_model_metrics",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    link("logged_model_id", "logged_models.id", index=True),
    link("run_id", "runs.id", nullable=True, index=True),
    column("name"),
    column("step", sa.BigInteger),
    column("value", Number, nullable=True),
    column("dataset", sa.JSON, nullable=True),
    column("recorded_at", Timestamp),
)

logged_model_files = sa.Table(
    "logged_model_files",
    metadata,
    link("logged_model_id", "logged_models.id", primary_key=True),
    column("path", primary_key=True),
    column("digest", index=True),
    column("size_bytes", sa.BigInteger),
)

# The models that a run put out, and at which step.
run_outputs = sa.Table(
    "run_outputs",
    metadata,
    link("run_id", "runs.id", primary_key=True),
    link("logged_model_id", "logged_models.id", primary_key=True, index=True),
    column("step", sa.BigInteger),
)
