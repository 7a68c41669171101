"""Who may ask an endpoint: its keys and tokens, changed in the store and told to its front at once."""

import secrets
from datetime import timedelta

from modelwright.errors import KeyUnfit
from modelwright.records import EndpointToken
from modelwright.serving import configuring, control
from modelwright.settings import runtime_folder
from modelwright.store import endpoint_keys, endpoint_settings
from modelwright.store.changes import change
from modelwright.store.database import Store

# How long our own request to an endpoint may take to arrive there.
_PASS_SECONDS = 60.0


def regenerate(store: Store, endpoint: str, kind: str, *, own: str | None = None, actor: str, why: str = "") -> str:
    """Make a new `primary` or `secondary` key, or take the user's own, and return it.

    The one before is refused from now on; the other stays good. Raises EndpointMissing, KeyUnfit, ReasonMissing.
    """
    with change(store, actor=actor, why=why) as opened:
        key = endpoint_keys.regenerate(opened, endpoint, kind, own=own)
    configuring.push(store, endpoint)
    return key


def make_missing_keys(store: Store, endpoint: str, *, actor: str, why: str = "") -> dict[str, str]:
    """Make both keys of an endpoint that asks for one and has none; return them by kind, nothing otherwise."""
    access = configuring.settings_of(store, endpoint).access
    if not access.is_required or any(each.kind in endpoint_keys.KINDS for each in access.keys):
        return {}
    with change(store, actor=actor, why=why) as opened:
        made = {kind: endpoint_keys.regenerate(opened, endpoint, kind) for kind in endpoint_keys.KINDS}
    configuring.push(store, endpoint)
    return made


def make_token(store: Store, endpoint: str, *, life: timedelta, actor: str, why: str = "") -> EndpointToken:
    """Make a token that is good for so long. Raises EndpointMissing, ReasonMissing."""
    with change(store, actor=actor, why=why) as opened:
        token = endpoint_keys.add_token(opened, endpoint, life=life)
    configuring.push(store, endpoint)
    return token


def revoke_tokens(store: Store, endpoint: str, *, actor: str, why: str = "") -> int:
    """Refuse all tokens of the endpoint from now on; return how many were good. Raises EndpointMissing."""
    with change(store, actor=actor, why=why) as opened:
        count = endpoint_keys.revoke_tokens(opened, endpoint)
    configuring.push(store, endpoint)
    return count


def require(store: Store, endpoint: str, *, is_required: bool, actor: str, why: str = "") -> dict[str, str]:
    """Have the endpoint ask for keys, or not; return the keys that were made because it had none."""
    with change(store, actor=actor, why=why) as opened:
        endpoint_settings.set_section(opened, endpoint, "access", {"is_required": is_required})
    configuring.push(store, endpoint)
    return make_missing_keys(store, endpoint, actor=actor, why=why)


def pass_headers(store: Store, endpoint: str) -> dict[str, str]:
    """Return the headers with which a request of ours is let in for a moment: who may command the front may ask it.

    Nothing of it is kept. Raises EndpointMissing, EndpointNotRunning.
    """
    if not configuring.settings_of(store, endpoint).access.is_required:
        return {}
    key = secrets.token_urlsafe(32)
    control.admit(
        endpoint, endpoint_keys.digest_of(key), seconds=_PASS_SECONDS, runtime_folder=runtime_folder(store.folder)
    )
    return key_header(key)


def key_header(key: str) -> dict[str, str]:
    """Return the header that carries a key. Raises KeyUnfit: whoever would send it would show it in a traceback."""
    if not (key.isascii() and key.isprintable()):
        raise KeyUnfit(reason="a header cannot carry it", rule="it is of visible ASCII characters")
    return {"Authorization": f"Bearer {key}"}
