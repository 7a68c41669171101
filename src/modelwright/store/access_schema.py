"""The tables of who may do what, and of who let what go on."""

import sqlalchemy as sa

from modelwright.store.columns import Timestamp, column, metadata

# Who may use the HTTP API, and in which role. A token itself is nowhere, only its digest.
tokens = sa.Table(
    "tokens",
    metadata,
    column("digest", primary_key=True),
    column("name"),
    column("role"),
    column("created_by", server_default=""),
    column("created_at", Timestamp),
    column("expires_at", Timestamp, nullable=True),
    column("revoked_at", Timestamp, nullable=True),
)

# Who let what go on, such as a version's way to production, or not.
approvals = sa.Table(
    "approvals",
    metadata,
    column("id", primary_key=True),
    column("subject", index=True),
    column("stage"),
    column("is_approved", sa.Boolean),
    column("actor"),
    column("why"),
    column("created_at", Timestamp),
)
