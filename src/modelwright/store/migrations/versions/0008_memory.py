"""How much memory each process of a deployment may hold."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("deployments", sa.Column("memory_gb", sa.Float(), nullable=True))
