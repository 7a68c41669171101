"""The tables of events: what happened, who wants to be told, and how far telling them is."""

import sqlalchemy as sa

from modelwright.store.columns import Timestamp, column, link, metadata

# What happened, in the order of the transactions that wrote it: sequence numbers have no other order.
events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    column("id", unique=True),
    column("type"),
    column("subject"),
    column("at", Timestamp),
    column("data", sa.JSON),
    column("hops", sa.Integer, server_default="0"),
    sqlite_autoincrement=True,
)

# Who wants to be told of what, how and where. Secrets are not here but in files of their own.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    column("name", primary_key=True),
    column("handler"),
    column("target", sa.JSON),
    column("filter", sa.JSON),
    column("envelope"),
    column("policy", sa.JSON),
    column("state"),
    column("created_by"),
    column("created_at", Timestamp),
)

# Up to which event deliveries were made of what a subscription wants. A row apart, for it is written all the time.
subscription_positions = sa.Table(
    "subscription_positions",
    metadata,
    link("subscription", "subscriptions.name", primary_key=True),
    column("sequence", sa.Integer),
)

# An event on its way to a subscriber. Who is at it leases it: it is not due again until his lease ends. How long it may
# be tried counts from `created_at`, which is set anew when it is to start anew.
deliveries = sa.Table(
    "deliveries",
    metadata,
    column("id", primary_key=True),
    link("subscription", "subscriptions.name"),
    column("event_id", index=True),
    column("status"),
    column("attempts", sa.Integer, server_default="0"),
    column("told", server_default=""),
    column("reason", server_default=""),
    column("due_at", Timestamp),
    column("leased_by", nullable=True),
    column("created_at", Timestamp),
    column("attempted_at", Timestamp, nullable=True),
    column("finished_at", Timestamp, nullable=True),
    sa.UniqueConstraint("subscription", "event_id"),
    sa.Index(None, "subscription", "status", "due_at"),
    sa.Index(None, "leased_by", sqlite_where=sa.text("leased_by IS NOT NULL")),
)
