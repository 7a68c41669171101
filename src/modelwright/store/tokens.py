"""Tokens of the HTTP API, by their digests alone."""

import hashlib
import secrets
from datetime import datetime

import sqlalchemy as sa

from modelwright.records import Role, Token, now
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

_KNOWN = [column for column in schema.tokens.c if column.name != "digest"]


def add_token(change: Change, name: str, *, role: Role, expires_at: datetime | None = None) -> str:
    """Make a token and return it: this once, for only its digest is kept."""
    token = f"wright_{secrets.token_urlsafe(32)}"
    row = {"digest": _digest(token), "name": name, "role": role, "created_by": change.actor, "created_at": change.at}
    change.insert(schema.tokens, row | {"expires_at": expires_at})
    told = {"role": role, "expires_at": expires_at.isoformat() if expires_at else None}
    change.record("token.created", f"tokens/{name}", after=told)
    return token


def find_holder(store: Store, token: str) -> Token | None:
    """Return what is known of a token that still counts; None when it is none of this workspace, or ended."""
    table = schema.tokens
    query = sa.select(*_KNOWN).where(
        table.c.digest == _digest(token),
        table.c.revoked_at.is_(None),
        sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now()),
    )
    with store.reader.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else _token(row)


def has_tokens(store: Store) -> bool:
    """Whether any token was made."""
    with store.reader.connect() as connection:
        return connection.execute(sa.select(schema.tokens.c.digest).limit(1)).first() is not None


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    told = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return Token(**told | {"role": Role(told["role"])})


def _digest(token: str) -> str:
    # 256 random bits need no slow hash: nobody tries them all.
    return hashlib.sha256(token.encode()).hexdigest()
