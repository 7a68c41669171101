"""Keys and tokens of endpoints, by their SHA-256 digests alone: nobody can read one here, audit records included."""

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa

from modelwright.errors import EndpointMissing, KeyUnfit
from modelwright.records import AccessKey, EndpointToken
from modelwright.store import endpoints, schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

PRIMARY, SECONDARY, TOKEN = "primary", "secondary", "token"
KINDS = (PRIMARY, SECONDARY)
# Shorter ones can be tried out, longer ones do not fit into a header's line everywhere.
_LEAST_LENGTH, _MOST_LENGTH = 20, 200
# When of a token's life its holder should get the next one.
_REFRESH_SHARE = 0.75


def regenerate(change: Change, endpoint: str, kind: str, *, own: str | None = None) -> str:
    """Make a new key of that kind, `own` if it is given, and return it: this once, for only its digest is kept.

    The one before is good no longer, the other kind stays. Raises EndpointMissing, KeyUnfit.
    """
    key = _checked(own) if own is not None else f"wright_{secrets.token_urlsafe(32)}"
    endpoint_id = _id_of(change, endpoint)
    table = schema.endpoint_keys
    if change.rows(sa.select(table.c.kind).where(table.c.digest == digest_of(key))):
        raise KeyUnfit(reason="it is a key already", rule="every key is another")
    replaced = change.delete(table, (table.c.endpoint_id == endpoint_id) & (table.c.kind == kind))
    change.insert(table, _row(endpoint_id, kind, key) | {"created_at": change.at, "expires_at": None})
    facts = {"kind": kind, "replaces_one": bool(replaced)}
    change.record("endpoint.key_regenerated", f"endpoints/{endpoint}", after=facts)
    return key


def add_token(change: Change, endpoint: str, *, life: timedelta) -> EndpointToken:
    """Make a token that is good for so long, and return it: this once. Raises EndpointMissing."""
    endpoint_id = _id_of(change, endpoint)
    _forget_expired(change, endpoint_id)
    token = f"wright_token_{secrets.token_urlsafe(32)}"
    expires_at = change.at + life
    row = _row(endpoint_id, TOKEN, token) | {"created_at": change.at, "expires_at": expires_at}
    change.insert(schema.endpoint_keys, row)
    facts = {"expires_at": expires_at.isoformat()}
    change.record("endpoint.token_made", f"endpoints/{endpoint}", after=facts)
    return EndpointToken(token, expires_at=expires_at, refresh_after=change.at + life * _REFRESH_SHARE)


def revoke_tokens(change: Change, endpoint: str) -> int:
    """Let no token of the endpoint be good any more; return how many were. Raises EndpointMissing."""
    endpoint_id = _id_of(change, endpoint)
    _forget_expired(change, endpoint_id)
    table = schema.endpoint_keys
    count = change.delete(table, (table.c.endpoint_id == endpoint_id) & (table.c.kind == TOKEN))
    change.record("endpoint.tokens_revoked", f"endpoints/{endpoint}", after={"tokens": count})
    return count


def list_keys(store: Store, endpoint: str) -> list[AccessKey]:
    """Return the keys and tokens of an endpoint by kind, oldest first. Raises EndpointMissing."""
    table = schema.endpoint_keys
    place = endpoints.get_endpoint(store, endpoint)
    query = table.select().where(table.c.endpoint_id == place.id).order_by(table.c.kind, table.c.created_at)
    with store.reader.connect() as connection:
        return [
            AccessKey(row.kind, row.digest, created_at=row.created_at, expires_at=row.expires_at)
            for row in connection.execute(query)
        ]


def digest_of(key: str) -> str:
    """Return what is kept of a key."""
    # Random keys of 256 bits, and long ones of users' own, need no slow hash: nobody tries them all.
    return hashlib.sha256(key.encode()).hexdigest()


def _id_of(change: Change, endpoint: str) -> str:
    table = schema.endpoints
    found = change.rows(sa.select(table.c.id).where(table.c.name == endpoint))
    if not found:
        raise EndpointMissing(endpoint=endpoint)
    return str(found[0].id)


def _checked(key: str) -> str:
    if not _LEAST_LENGTH <= len(key) <= _MOST_LENGTH:
        rule = f"it has from {_LEAST_LENGTH} to {_MOST_LENGTH} characters"
        raise KeyUnfit(reason=f"it has {len(key)} characters", rule=rule)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise KeyUnfit(reason="a header cannot carry it", rule="it is of visible ASCII characters")
    return key


def _row(endpoint_id: str, kind: str, key: str) -> dict[str, object]:
    return {"digest": digest_of(key), "endpoint_id": endpoint_id, "kind": kind}


def _forget_expired(change: Change, endpoint_id: str) -> None:
    table = schema.endpoint_keys
    change.delete(table, (table.c.endpoint_id == endpoint_id) & (table.c.expires_at < change.at))
