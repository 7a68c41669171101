"""Pipelines that are reused and published, tracked runs, dataset files, schedules, sweeps, reproductions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:  # noqa: PLR0915 - one statement for each change, in their order
    """Apply."""
    op.create_table(
        "tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tokens")),
    )
    op.create_table(
        "pipelines",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pipelines")),
    )
    op.create_table(
        "code_files",
        sa.Column("code_digest", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code_digest", "path", name=op.f("pk_code_files")),
    )
    with op.batch_alter_table("code_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_code_files_digest"), ["digest"], unique=False)

    op.create_table(
        "dataset_tags",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_tags_dataset_id_datasets"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("dataset_id", "name", name=op.f("pk_dataset_tags")),
    )
    with op.batch_alter_table("dataset_tags", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dataset_tags_name_value"), ["name", "value"], unique=False)

    op.create_table(
        "environment_versions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("environment_digest", sa.Text(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_digest"],
            ["environments.digest"],
            name=op.f("fk_environment_versions_environment_digest_environments"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_environment_versions")),
    )
    with op.batch_alter_table("environment_versions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_environment_versions_environment_digest"), ["environment_digest"], unique=False
        )

    op.create_table(
        "pipeline_versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("code_digest", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("environment_digest", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_digest"],
            ["environments.digest"],
            name=op.f("fk_pipeline_versions_environment_digest_environments"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["pipeline_versions.id"],
            name=op.f("fk_pipeline_versions_parent_id_pipeline_versions"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["pipeline"], ["pipelines.name"], name=op.f("fk_pipeline_versions_pipeline_pipelines"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_pipeline_versions_project_id_projects"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_versions")),
        sa.UniqueConstraint("pipeline", "version", name=op.f("uq_pipeline_versions_pipeline_version")),
    )
    with op.batch_alter_table("pipeline_versions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pipeline_versions_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_pipeline_versions_project_id"), ["project_id"], unique=False)

    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("trigger", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("missed", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("next_at", sa.String(32), nullable=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline"], ["pipelines.name"], name=op.f("fk_schedules_pipeline_pipelines"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    with op.batch_alter_table("schedules", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_schedules_next_at"), ["next_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_schedules_pipeline"), ["pipeline"], unique=False)

    op.create_table(
        "dataset_files",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["dataset_versions.id"],
            name=op.f("fk_dataset_files_version_id_dataset_versions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("version_id", "path", name=op.f("pk_dataset_files")),
    )
    with op.batch_alter_table("dataset_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dataset_files_digest"), ["digest"], unique=False)

    op.create_table(
        "pipeline_files",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("is_executable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["pipeline_versions.id"],
            name=op.f("fk_pipeline_files_version_id_pipeline_versions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("version_id", "path", name=op.f("pk_pipeline_files")),
    )
    with op.batch_alter_table("pipeline_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pipeline_files_digest"), ["digest"], unique=False)

    op.create_table(
        "run_summaries",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_run_summaries_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_summaries")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("run_summaries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_summaries_name_value"), ["name", "value"], unique=False)

    op.create_table(
        "run_tags",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_tags_run_id_runs"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_tags")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("run_tags", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_tags_name_value"), ["name", "value"], unique=False)

    op.create_table(
        "schedule_ticks",
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("due_at", sa.String(32), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_schedule_ticks_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["schedule"], ["schedules.name"], name=op.f("fk_schedule_ticks_schedule_schedules"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("schedule", "due_at", name=op.f("pk_schedule_ticks")),
    )
    with op.batch_alter_table("schedule_ticks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_schedule_ticks_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_schedule_ticks_outcome"), ["outcome"], unique=False)

    op.create_table(
        "sweeps",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("specification", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_sweeps_run_id_runs"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_sweeps")),
    )
    op.create_table(
        "reproductions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("comparisons", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_reproductions_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["model_versions.id"],
            name=op.f("fk_reproductions_version_id_model_versions"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reproductions")),
    )
    with op.batch_alter_table("reproductions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reproductions_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reproductions_version_id"), ["version_id"], unique=False)

    op.create_table(
        "trials",
        sa.Column("sweep_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_trials_run_id_runs"), ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["sweeps.run_id"], name=op.f("fk_trials_sweep_id_sweeps"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", name=op.f("pk_trials")),
    )
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_trials_run_id"), ["run_id"], unique=False)

    with op.batch_alter_table("dataset_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.Text(), server_default="values", nullable=False))
        batch_op.add_column(sa.Column("storage", sa.Text(), server_default="copy", nullable=False))
        batch_op.add_column(sa.Column("source", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("timestamp_column", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("profile", sa.JSON(), nullable=True))
        batch_op.alter_column("size_bytes", existing_type=sa.INTEGER(), type_=sa.BigInteger(), existing_nullable=False)

    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("description", sa.Text(), server_default="", nullable=False))

    with op.batch_alter_table("run_artifacts", schema=None) as batch_op:
        batch_op.alter_column("size_bytes", existing_type=sa.INTEGER(), type_=sa.BigInteger(), existing_nullable=False)

    _number_points()
    _order_parameters()

    with op.batch_alter_table("run_steps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reason", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("attempts", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("key", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("evidence", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("reused_from", sa.Text(), nullable=True))
        batch_op.create_index(batch_op.f("ix_run_steps_key"), ["key"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_steps_reused_from"), ["reused_from"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_run_steps_reused_from_runs"), "runs", ["reused_from"], ["id"], ondelete="RESTRICT"
        )

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.Text(), server_default="pipeline", nullable=False))
        batch_op.add_column(sa.Column("experiment", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("parent_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("pipeline_version_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("note", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("git_branch", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("git_repository", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("seed", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("machine", sa.JSON(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("actor", sa.Text(), server_default="", nullable=False))
        batch_op.alter_column("project_id", existing_type=sa.TEXT(), nullable=True)
        batch_op.alter_column("environment_digest", existing_type=sa.TEXT(), nullable=True)
        batch_op.alter_column("code_digest", existing_type=sa.TEXT(), nullable=True)
        batch_op.create_index(batch_op.f("ix_runs_experiment_id"), ["experiment", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_status_id"), ["status", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_pipeline_version_id"), ["pipeline_version_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_runs_pipeline_version_id_pipeline_versions"),
            "pipeline_versions",
            ["pipeline_version_id"],
            ["id"],
            ondelete="RESTRICT",
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_runs_parent_id_runs"), "runs", ["parent_id"], ["id"], ondelete="RESTRICT"
        )


def _number_points() -> None:
    """Let a metric have several values at one step; the last ones go to a table of their own."""
    op.rename_table("run_metrics", "old_metrics")
    op.create_table(
        "run_metrics",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_metrics_run_id_runs"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_run_metrics")),
    )
    op.execute(
        "INSERT INTO run_metrics (run_id, name, step, value, recorded_at) "
        "SELECT run_id, name, step, value, recorded_at FROM old_metrics ORDER BY recorded_at"
    )
    op.execute(
        "INSERT INTO run_summaries (run_id, name, step, value) "
        "SELECT run_id, name, step, value FROM old_metrics AS one "
        "WHERE step = (SELECT MAX(step) FROM old_metrics WHERE run_id = one.run_id AND name = one.name)"
    )
    op.drop_table("old_metrics")
    op.create_index(op.f("ix_run_metrics_run_id_name_step"), "run_metrics", ["run_id", "name", "step"], unique=False)


def _order_parameters() -> None:
    """Keep the parameters of a run together, and find runs by them."""
    op.rename_table("run_parameters", "old_parameters")
    op.create_table(
        "run_parameters",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_run_parameters_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_run_parameters")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO run_parameters (run_id, name, value) SELECT run_id, name, value FROM old_parameters")
    op.drop_table("old_parameters")
    op.create_index(op.f("ix_run_parameters_name_value"), "run_parameters", ["name", "value"], unique=False)
