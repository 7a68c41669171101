"""How many events in a row led to an event."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("events", sa.Column("hops", sa.Integer(), server_default="0", nullable=False))
