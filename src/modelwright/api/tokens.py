"""`/tokens`: who may use the workspace from elsewhere, and in which role."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from modelwright.api.acting import Acting, needs
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.told import Deleted
from modelwright.records import Role, Token
from modelwright.store import tokens

router = Router("/tokens")
_owner = [needs(Role.OWNER)]
_LONGEST_HOURS = 24 * 366 * 10.0


class NewToken(BaseModel):
    """For whom a token is, what its holder may do, and for how long it counts; without `hours` until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: Role
    hours: float | None = Field(None, gt=0, le=_LONGEST_HOURS)


@dataclass(frozen=True)
class TokenMade:
    """A token, told this once, with whose it is, in which role and until when."""

    name: str
    role: Role
    expires_at: datetime | None
    token: str


@router.get("", dependencies=_owner)
def list_tokens(acting: Acting, page: Paged) -> list[Token]:
    """List the tokens that were made, newest first: for whom, in which role, until when; never a token itself."""
    return page.cut(tokens.list_tokens(acting.store), lambda each: f"{each.name} {each.created_at.isoformat()}")


@router.post("", status_code=201, dependencies=_owner)
def create_token(wanted: NewToken, acting: Acting) -> TokenMade:
    """Make a token for somebody, who is the actor of all that is done with it, and tell it this once."""
    with acting.change() as opened:
        until = opened.at + timedelta(hours=wanted.hours) if wanted.hours else None
        made = tokens.add_token(opened, wanted.name, role=wanted.role, expires_at=until)
    return TokenMade(wanted.name, wanted.role, until, made)


@router.delete("/{name}", dependencies=_owner)
def revoke_token(name: str, acting: Acting) -> Deleted:
    """Refuse somebody's token from the next request on."""
    with acting.change() as opened:
        tokens.revoke(opened, name)
    return Deleted(name)
