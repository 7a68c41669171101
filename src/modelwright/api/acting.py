"""In whose name, and why, a request changes something."""

from typing import Annotated

from fastapi import Depends, Query, Request

from modelwright.lifecycle.sessions import Session


def _session(request: Request, why: Annotated[str, Query(description="The reason, for the record.")] = "") -> Session:
    return Session(request.app.state.store, request.state.actor, why=why)


# The session of whoever holds the request's token, with the reason that the request gives.
Acting = Annotated[Session, Depends(_session)]
