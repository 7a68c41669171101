"""Who sends a request, in which role, and that nobody else gets in: for every path of the application.

It is ASGI middleware, so that what is mounted below the application is guarded by the same lines.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from starlette.datastructures import State
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelwright import settings
from modelwright.api import loopback
from modelwright.errors import ModelwrightError, RoleTooLow, TokenUnknown
from modelwright.records import Role
from modelwright.store import events, hops, rules

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
_HOPS = hops.HEADER.encode()
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Surface:
    """A part of the paths: how they begin, how errors are told there, and which requests but GET change nothing.

    `looks` is asked with a request's method and path: a path that is looked at by one may be changed by another.
    `answering` is asked in the place of the application's routes, of which each would be tried. One that `is_open` lets
    requests in whose paths have secrets of their own.
    """

    prefix: str
    explained: Callable[[ModelwrightError], Response]
    looks: Callable[[str, str], bool] = lambda _method, _path: False
    answering: ASGIApp | None = None
    is_open: bool = False


class Authentication:
    """Puts `actor` and `role` into the state of each request, or refuses it.

    A reader's request has to be one that looks; what takes more than a contributor is said by the route (`needs`).
    """

    def __init__(self, app: ASGIApp, *, surfaces: Sequence[Surface], trusts_loopback: bool) -> None:
        """Guard `app`. The first surface whose prefix fits is a path's; the last has the prefix of all, ``."""
        self._app = app
        self._trusts_loopback = trusts_loopback
        self._surfaces = surfaces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on in the name of who sent it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        surface = next(each for each in self._surfaces if path.startswith(each.prefix))
        if surface.is_open:
            await self._app(scope, receive, send)
            return
        try:
            name, role = self._sender(scope, scope["app"].state)
            is_looking = scope["method"] in _LOOKING or surface.looks(scope["method"], path)
            needed = Role.READER if is_looking else Role.CONTRIBUTOR
            if not role.allows(needed):
                raise RoleTooLow(name=name, role=role, needed=needed)
        except ModelwrightError as error:
            answer = surface.explained(error)
            if isinstance(error, TokenUnknown):
                # Not Basic: a browser would ask for a password, keep it, and send it along with other sites' requests.
                answer.headers["WWW-Authenticate"] = "Bearer"
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {}).update(actor=name, role=role)
        with hops.led_by(_hops(scope, role)):
            await (surface.answering or self._app)(scope, receive, send)

    def _sender(self, scope: Scope, state: State) -> tuple[str, Role]:
        """Return who sends the request, and in which role. Raises TokenUnknown."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if given:
            token = _token(given[0].decode("latin-1")) if len(given) == 1 else None
            holder = state.holders.find(token) if token else None
            if holder is None:
                raise TokenUnknown
            return holder.name, holder.role
        if (
            self._trusts_loopback
            and rules.is_on(state.store, rules.LOOPBACK_TRUST)
            and loopback.is_own(cast("dict[str, Any]", scope), state.store.folder)
        ):
            return settings.actor(), Role.OWNER
        raise TokenUnknown


def _hops(scope: Scope, role: Role) -> int:
    """Return how many events led to a request, as it says itself; what says no number is led by none.

    It keeps webhooks from being told: who may pause a subscription is believed, others as far as events bear it out.
    """
    given = next((value for name, value in scope["headers"] if name == _HOPS), b"")
    said = int(given) if given.isdigit() and len(given) <= _MOST_DIGITS else 0
    if said and not role.allows(Role.DEPLOYER):
        return min(said, events.most_hops(scope["app"].state.store) + 1)
    return said


def _token(authorization: str) -> str | None:
    """Return the token in the header `Authorization`: Bearer, or the password of Basic."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
