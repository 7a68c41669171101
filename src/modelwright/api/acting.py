"""In whose name, and why, a request changes something, and which role that takes."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request

from modelwright.errors import RoleTooLow
from modelwright.lifecycle.sessions import Session
from modelwright.records import Role
from modelwright.store.database import Store


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def _session(request: Request, why: Annotated[str, Query(description="The reason, for the record.")] = "") -> Session:
    return Session(request.app.state.store, request.state.actor, why=why)


# The workspace, to be read.
Reading = Annotated[Store, Depends(_store)]
# The session of whoever holds the request's token, with the reason that the request gives.
Acting = Annotated[Session, Depends(_session)]


def demand(request: Request, role: Role) -> None:
    """Raise RoleTooLow unless whoever sends the request has this role."""
    if not request.state.role.allows(role):
        raise RoleTooLow(name=request.state.actor, role=request.state.role, needed=role)


def needs(role: Role) -> Any:
    """Return what a route depends on that takes this role. Raises RoleTooLow for holders of a lower one."""

    def check(request: Request) -> None:
        demand(request, role)

    check.role = role  # type: ignore[attr-defined] # the OpenAPI document tells it
    return Depends(check)
