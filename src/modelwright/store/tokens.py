"""Tokens of the HTTP API, by their digests alone."""

import hashlib
import secrets
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.errors import NameInvalid, TokenExists, TokenMissing
from modelwright.records import Role, Token, now
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

_HOLDER = (
    "SELECT name, role, created_by, created_at, expires_at FROM tokens "
    "WHERE digest = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
)
_LONGEST_NAME = 255
_KNOWN = [column for column in schema.tokens.c if column.name != "digest"]


def add_token(change: Change, name: str, *, role: Role, expires_at: datetime | None = None) -> str:
    """Make a token and return it: this once, for only its digest is kept.

    Raises NameInvalid, and TokenExists when one of that name counts: a name in a record is to say who it was.
    """
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        rule = f"it has 1 to {_LONGEST_NAME} signs that can be seen, and no space around them"
        raise NameInvalid(name=name, noun="token", rule=rule, way="NAME")
    if change.rows(sa.select(schema.tokens.c.name).where(_counts(change.at), schema.tokens.c.name == name)):
        raise TokenExists(name=name)
    token = f"wright_{secrets.token_urlsafe(32)}"
    row = {"digest": _digest(token), "name": name, "role": role, "created_by": change.actor, "created_at": change.at}
    change.insert(schema.tokens, row | {"expires_at": expires_at})
    told = {"role": role, "expires_at": expires_at.isoformat() if expires_at else None}
    change.record("token.created", f"tokens/{name}", after=told)
    return token


class Holders:
    """Who holds which token: a connection that stays open, for every request asks. One thread at a time may use it."""

    def __init__(self, store: Store) -> None:
        """Take a connection for reading from `store`."""
        self._pooled = store.reader.raw_connection()
        self._driver: Any = self._pooled.driver_connection

    def find(self, token: str) -> Token | None:
        """Return what is known of a token that still counts; None when it is none of this workspace, or ended."""
        moment = now().isoformat(timespec="microseconds")
        found = self._driver.execute(_HOLDER, (_digest(token), moment)).fetchall()
        if not found:
            return None
        name, role, created_by, created_at, expires_at = found[0]
        return Token(
            name,
            Role(role),
            created_by,
            datetime.fromisoformat(created_at),
            datetime.fromisoformat(expires_at) if expires_at else None,
        )

    def close(self) -> None:
        """Give the connection back."""
        self._pooled.close()


def revoke(change: Change, name: str) -> None:
    """Let the token of that name count no more, from the next request on. Raises TokenMissing."""
    if not change.update(
        schema.tokens, sa.and_(_counts(change.at), schema.tokens.c.name == name), revoked_at=change.at
    ):
        raise TokenMissing(name=name)
    change.record("token.revoked", f"tokens/{name}", after={"revoked_at": change.at.isoformat()})


def list_tokens(store: Store) -> list[Token]:
    """Return what is known of all tokens, those that ended too, newest first."""
    with store.reader.connect() as connection:
        return [
            _token(row) for row in connection.execute(sa.select(*_KNOWN).order_by(schema.tokens.c.created_at.desc()))
        ]


def has_tokens(store: Store) -> bool:
    """Whether any token was made."""
    with store.reader.connect() as connection:
        return connection.execute(sa.select(schema.tokens.c.digest).limit(1)).first() is not None


def _counts(at: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a token counts at that time."""
    table = schema.tokens
    return sa.and_(table.c.revoked_at.is_(None), sa.or_(table.c.expires_at.is_(None), table.c.expires_at > at))


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    told = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return Token(**told | {"role": Role(told["role"])})


def _digest(token: str) -> str:
    # 256 random bits need no slow hash: nobody tries them all.
    return hashlib.sha256(token.encode()).hexdigest()
