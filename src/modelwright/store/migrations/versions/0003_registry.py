"""Versions from anywhere, gate verdicts, explanations, the workspace's rules, and a chain of audit records."""

import sqlalchemy as sa
from alembic import op

from modelwright.store import chain

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "retired_numbers",
        sa.Column("noun", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("noun", "name", name=op.f("pk_retired_numbers")),
    )
    op.create_table(
        "run_environments",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("environment_digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_run_environments_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["environment_digest"],
            ["environments.digest"],
            name=op.f("fk_run_environments_environment_digest_environments"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("run_id", "environment_digest", name=op.f("pk_run_environments")),
    )
    op.create_index(op.f("ix_run_environments_environment_digest"), "run_environments", ["environment_digest"])
    op.create_table(
        "gate_verdicts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("champion", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_gate_verdicts_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_verdicts")),
    )
    op.create_index(op.f("ix_gate_verdicts_run_id"), "gate_verdicts", ["run_id"], unique=False)
    _link_audit_records()
    with op.batch_alter_table("conversions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("functions", sa.JSON(), server_default="[]", nullable=False))
        batch_op.create_index(batch_op.f("ix_conversions_scoring_notebook"), ["scoring_notebook"])
        batch_op.create_index(batch_op.f("ix_conversions_training_notebook"), ["training_notebook"])
    with op.batch_alter_table("pipeline_versions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pipeline_versions_code_digest"), ["code_digest"])
        batch_op.create_index(batch_op.f("ix_pipeline_versions_environment_digest"), ["environment_digest"])
    with op.batch_alter_table("run_datasets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_datasets_dataset_version_id"), ["dataset_version_id"])
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_code_digest"), ["code_digest"])
        batch_op.create_index(batch_op.f("ix_runs_environment_digest"), ["environment_digest"])
        batch_op.create_index(batch_op.f("ix_runs_git_commit"), ["git_commit"])
    _open_registry()


def _link_audit_records() -> None:
    """Chain the records that are there, and let every one have a digest from now on."""
    with op.batch_alter_table("audit_records", schema=None) as batch_op:
        batch_op.add_column(sa.Column("undo", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("digest", sa.Text(), server_default="", nullable=False))
    connection = op.get_bind()
    columns = ", ".join(chain.Written._fields)
    digest = chain.FIRST
    for row in connection.exec_driver_sql(f"SELECT {columns} FROM audit_records ORDER BY sequence").all():  # noqa: S608 - ours
        digest = chain.digest_after(digest, chain.Written(*row))
        connection.exec_driver_sql("UPDATE audit_records SET digest = ? WHERE sequence = ?", (digest, row[0]))
    # Made anew, the table would forget how many records it ever had.
    numbered = {"sqlite_autoincrement": True}
    with op.batch_alter_table("audit_records", schema=None, table_kwargs=numbered) as batch_op:
        batch_op.alter_column("digest", existing_type=sa.TEXT(), server_default=None, existing_nullable=False)


def _open_registry() -> None:
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("last_version", sa.Integer(), server_default="0", nullable=False))
    op.execute(
        "UPDATE models SET last_version = (SELECT COALESCE(MAX(version), 0) FROM model_versions WHERE model = name)"
    )
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("framework_version", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("source", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("parent_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("created_by", sa.Text(), server_default="", nullable=False))
        batch_op.alter_column("run_id", existing_type=sa.TEXT(), nullable=True)
        batch_op.alter_column("environment_digest", existing_type=sa.TEXT(), nullable=True)
        batch_op.create_index(batch_op.f("ix_model_versions_environment_digest"), ["environment_digest"])
        batch_op.create_index(batch_op.f("ix_model_versions_parent_id"), ["parent_id"])
        batch_op.create_index(batch_op.f("ix_model_versions_proof_id"), ["proof_id"])
        batch_op.create_index(batch_op.f("ix_model_versions_created_at_version"), ["created_at", "version"])
        batch_op.create_foreign_key(
            batch_op.f("fk_model_versions_parent_id_model_versions"),
            "model_versions",
            ["parent_id"],
            ["id"],
            ondelete="RESTRICT",
        )
    with op.batch_alter_table("version_tags", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_version_tags_name_value"), ["name", "value"])
    op.create_table(
        "version_properties",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        _of_version("version_properties"),
        sa.PrimaryKeyConstraint("version_id", "name", name=op.f("pk_version_properties")),
    )
    op.create_index(op.f("ix_version_properties_name_value"), "version_properties", ["name", "value"])
    op.create_table(
        "version_datasets",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("dataset_version_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        _of_version("version_datasets"),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"],
            ["dataset_versions.id"],
            name=op.f("fk_version_datasets_dataset_version_id_dataset_versions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("version_id", "dataset_version_id", "role", name=op.f("pk_version_datasets")),
    )
    op.create_index(op.f("ix_version_datasets_dataset_version_id"), "version_datasets", ["dataset_version_id"])
    op.create_table(
        "explanations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        _of_version("explanations"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_explanations")),
    )
    op.create_index(op.f("ix_explanations_digest"), "explanations", ["digest"])
    op.create_index(op.f("ix_explanations_version_id"), "explanations", ["version_id"])


def _of_version(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_version_id_model_versions")
    return sa.ForeignKeyConstraint(["version_id"], ["model_versions.id"], name=name, ondelete="RESTRICT")
