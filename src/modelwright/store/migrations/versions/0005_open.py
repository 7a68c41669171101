"""Tokens that end, events on their way, experiments, logged models, and approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("is_approved", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index(op.f("ix_approvals_subject"), "approvals", ["subject"])
    op.create_table(
        "experiments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("deleted_at", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("name", name=op.f("uq_experiments_name")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_subscriptions")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("told", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("due_at", sa.String(32), nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("attempted_at", sa.String(32), nullable=True),
        sa.Column("finished_at", sa.String(32), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscription"],
            ["subscriptions.name"],
            name=op.f("fk_deliveries_subscription_subscriptions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("subscription", "event_id", name=op.f("uq_deliveries_subscription_event_id")),
    )
    op.create_index(op.f("ix_deliveries_event_id"), "deliveries", ["event_id"])
    op.create_index(
        op.f("ix_deliveries_leased_by"), "deliveries", ["leased_by"], sqlite_where=sa.text("leased_by IS NOT NULL")
    )
    op.create_index(
        op.f("ix_deliveries_subscription_status_due_at"), "deliveries", ["subscription", "status", "due_at"]
    )
    op.create_table(
        "experiment_tags",
        sa.Column("experiment_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.id"],
            name=op.f("fk_experiment_tags_experiment_id_experiments"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("experiment_id", "name", name=op.f("pk_experiment_tags")),
    )
    op.create_index(op.f("ix_experiment_tags_name_value"), "experiment_tags", ["name", "value"])
    op.create_table(
        "model_tags",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model"], ["models.name"], name=op.f("fk_model_tags_model_models"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("model", "name", name=op.f("pk_model_tags")),
    )
    op.create_index(op.f("ix_model_tags_name_value"), "model_tags", ["name", "value"])
    op.create_table(
        "subscription_positions",
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription"],
            ["subscriptions.name"],
            name=op.f("fk_subscription_positions_subscription_subscriptions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("subscription", name=op.f("pk_subscription_positions")),
    )
    op.create_table(
        "logged_models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("experiment_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.id"],
            name=op.f("fk_logged_models_experiment_id_experiments"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_logged_models_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_models")),
    )
    op.create_index(op.f("ix_logged_models_experiment_id"), "logged_models", ["experiment_id"])
    op.create_index(op.f("ix_logged_models_run_id"), "logged_models", ["run_id"])
    op.create_table(
        "run_inputs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("description", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_inputs_run_id_runs"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("run_id", "name", "digest", name=op.f("pk_run_inputs")),
    )
    op.create_table(
        "logged_model_files",
        sa.Column("logged_model_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_files_logged_model_id_logged_models"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "path", name=op.f("pk_logged_model_files")),
    )
    op.create_index(op.f("ix_logged_model_files_digest"), "logged_model_files", ["digest"])
    op.create_table(
        "logged_model_metrics",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("logged_model_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("dataset", sa.JSON(), nullable=True),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_metrics_logged_model_id_logged_models"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_logged_model_metrics_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_logged_model_metrics")),
    )
    op.create_index(op.f("ix_logged_model_metrics_logged_model_id"), "logged_model_metrics", ["logged_model_id"])
    op.create_index(op.f("ix_logged_model_metrics_run_id"), "logged_model_metrics", ["run_id"])
    op.create_table(
        "logged_model_parameters",
        sa.Column("logged_model_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_parameters_logged_model_id_logged_models"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "name", name=op.f("pk_logged_model_parameters")),
    )
    op.create_index(op.f("ix_logged_model_parameters_name_value"), "logged_model_parameters", ["name", "value"])
    op.create_table(
        "logged_model_tags",
        sa.Column("logged_model_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_tags_logged_model_id_logged_models"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "name", name=op.f("pk_logged_model_tags")),
    )
    op.create_index(op.f("ix_logged_model_tags_name_value"), "logged_model_tags", ["name", "value"])
    op.create_table(
        "run_outputs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("logged_model_id", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_run_outputs_logged_model_id_logged_models"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_outputs_run_id_runs"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("run_id", "logged_model_id", name=op.f("pk_run_outputs")),
    )
    op.create_index(op.f("ix_run_outputs_logged_model_id"), "run_outputs", ["logged_model_id"])

    op.create_table(
        "deployment_models",
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name=op.f("fk_deployment_models_deployment_id_deployments"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["model_versions.id"],
            name=op.f("fk_deployment_models_version_id_model_versions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("deployment_id", "version_id", name=op.f("pk_deployment_models")),
    )
    op.create_index(op.f("ix_deployment_models_version_id"), "deployment_models", ["version_id"])

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deleted_at", sa.String(32), nullable=True))

    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("created_by", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("expires_at", sa.String(32), nullable=True))
        batch_op.add_column(sa.Column("revoked_at", sa.String(32), nullable=True))
    op.add_column("models", sa.Column("updated_at", sa.String(32), nullable=True))
    op.add_column("model_versions", sa.Column("updated_at", sa.String(32), nullable=True))
    op.add_column("run_summaries", sa.Column("recorded_at", sa.String(32), nullable=True))
    op.execute(
        "UPDATE run_summaries SET recorded_at = (SELECT MAX(recorded_at) FROM run_metrics "
        "WHERE run_metrics.run_id = run_summaries.run_id AND run_metrics.name = run_summaries.name "
        "AND run_metrics.step = run_summaries.step)"
    )
    op.execute(
        "INSERT INTO experiments (id, name, created_at, updated_at) "
        "SELECT row_number() OVER (ORDER BY min(id)), experiment, min(started_at), max(started_at) "
        "FROM runs WHERE experiment != '' GROUP BY experiment"
    )
