"""`/endpoints/NAME/keys`, `/tokens` and `/settings`: who an endpoint answers, and what it accepts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.routing import Router
from modelwright.records import EndpointToken, FrontLimits, FrontSettings, Role
from modelwright.serving import access, configuring

router = Router("/endpoints")
_deployer = [needs(Role.DEPLOYER)]
_LONGEST_HOURS = 24 * 366.0
_Seconds = Annotated[float, Field(gt=0, le=1e9)] | None
_Count = Annotated[int, Field(ge=1, le=2**53)] | None
_CountOrAny = Annotated[int, Field(ge=0, le=2**53)] | None


@dataclass(frozen=True)
class KeyKnown:
    """A key or token that an endpoint takes; itself it is known to nobody."""

    kind: str
    created_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True)
class Keys:
    """Whether an endpoint asks for a key, and which it takes."""

    is_required: bool
    keys: list[KeyKnown]


@dataclass(frozen=True)
class KeyMade:
    """A key, told this once."""

    kind: str
    key: str


@dataclass(frozen=True)
class Revoked:
    """How many tokens no longer count."""

    revoked: int


@dataclass(frozen=True)
class Accepting:
    """What an endpoint accepts, and the keys that were made for it, told this once."""

    is_key_required: bool
    timeout_ms: int
    limits: FrontLimits
    made_keys: dict[str, str]


class OwnKey(BaseModel):
    """A key of one's own, instead of one that is made."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = None


class Life(BaseModel):
    """For how long a token is good."""

    model_config = ConfigDict(extra="forbid")

    hours: Annotated[float, Field(gt=0, le=_LONGEST_HOURS)] = 1.0


class Accepts(BaseModel):
    """What is to change of what an endpoint accepts; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    is_key_required: bool | None = None
    timeout_ms: _Count = None
    max_body_bytes: _Count = None
    max_held_bytes: _Count = None
    max_depth: _Count = None
    max_waiting: _Count = None
    max_wait_ms: _CountOrAny = None
    max_concurrent: _CountOrAny = None
    max_connections: _Count = None
    max_log_bytes: Annotated[int, Field(ge=10_000, le=2**53)] | None = None
    header_seconds: _Seconds = None
    body_seconds: _Seconds = None
    idle_seconds: _Seconds = None


@router.get("/{name}/keys")
def show_keys(name: str, reading: Reading) -> Keys:
    """Show which keys and tokens an endpoint takes, and since when; never a key itself."""
    found = configuring.settings_of(reading, name).access
    return Keys(found.is_required, [KeyKnown(each.kind, each.created_at, each.expires_at) for each in found.keys])


@router.post("/{name}/keys/{kind}", dependencies=_deployer)
def regenerate_key(
    name: str, kind: Literal["primary", "secondary"], acting: Acting, wanted: OwnKey | None = None
) -> KeyMade:
    """Make an endpoint's primary or secondary key anew and tell it, this once; the other one stays good."""
    own = wanted.key if wanted else None
    return KeyMade(kind, access.regenerate(acting.store, name, kind, own=own, actor=acting.actor, why=acting.why))


@router.post("/{name}/tokens", dependencies=_deployer)
def make_endpoint_token(name: str, acting: Acting, wanted: Life | None = None) -> EndpointToken:
    """Make a token of an endpoint that expires, and tell it, this once."""
    life = timedelta(hours=(wanted or Life()).hours)
    return access.make_token(acting.store, name, life=life, actor=acting.actor, why=acting.why)


@router.delete("/{name}/tokens", dependencies=_deployer)
def revoke_endpoint_tokens(name: str, acting: Acting) -> Revoked:
    """Refuse all tokens of an endpoint from now on; its keys stay."""
    return Revoked(access.revoke_tokens(acting.store, name, actor=acting.actor, why=acting.why))


@router.get("/{name}/settings")
def show_endpoint_settings(name: str, reading: Reading) -> Accepting:
    """Show what an endpoint accepts."""
    return _accepting(configuring.settings_of(reading, name), {})


@router.patch("/{name}/settings", dependencies=_deployer)
def change_endpoint_settings(name: str, wanted: Accepts, acting: Acting) -> Accepting:
    """Change what an endpoint accepts, while it serves; keys that it has to make for that are told this once."""
    limits = wanted.model_dump(exclude={"is_key_required", "timeout_ms"}, exclude_none=True)
    if limits or wanted.timeout_ms is not None:
        timeout = wanted.timeout_ms
        configuring.set_limits(acting.store, name, limits, timeout_ms=timeout, actor=acting.actor, why=acting.why)
    made: dict[str, str] = {}
    if wanted.is_key_required is not None:
        required = wanted.is_key_required
        made = access.require(acting.store, name, is_required=required, actor=acting.actor, why=acting.why)
    return _accepting(configuring.settings_of(acting.store, name), made)


def _accepting(found: FrontSettings, made: dict[str, str]) -> Accepting:
    return Accepting(found.access.is_required, found.timeout_ms, found.limits, made)
