"""Tokens of the HTTP API, by their digests alone."""

import hashlib
import secrets

import sqlalchemy as sa

from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

OWNER = "owner"


def add_token(change: Change, name: str, *, role: str) -> str:
    """Make a token and return it: this once, for only its digest is kept."""
    token = f"wright_{secrets.token_urlsafe(32)}"
    change.insert(schema.tokens, {"digest": _digest(token), "name": name, "role": role, "created_at": change.at})
    change.record("token.created", f"tokens/{name}", after={"role": role})
    return token


def find_holder(store: Store, token: str) -> str | None:
    """Return the name that the token was made for; None when it is none of this workspace."""
    table = schema.tokens
    with store.reader.connect() as connection:
        name: str | None = connection.execute(
            sa.select(table.c.name).where(table.c.digest == _digest(token))
        ).scalar_one_or_none()
    return name


def has_tokens(store: Store) -> bool:
    """Whether any token was made."""
    with store.reader.connect() as connection:
        return connection.execute(sa.select(schema.tokens.c.digest).limit(1)).first() is not None


def _digest(token: str) -> str:
    # 256 random bits need no slow hash: nobody tries them all.
    return hashlib.sha256(token.encode()).hexdigest()
