"""Which paths an endpoint answers, what they mean, and by which methods they are asked."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

from modelwright.models.guest.codes import Route

__all__ = ["METHODS", "OF_FRONT", "SCORING", "ModelAsked", "Route", "find", "model_asked"]

_READ = ("GET", "HEAD")
_PLAIN: Mapping[str, Route] = MappingProxyType(
    {
        "/": Route.HEALTH,
        "/score": Route.SCORE,
        "/swagger.json": Route.SWAGGER,
        "/docs": Route.DOCS,
        "/invocations": Route.INVOCATIONS,
        "/ping": Route.PING,
        "/health": Route.PING,
        "/version": Route.VERSION,
        "/livez": Route.LIVE,
        "/readyz": Route.READY,
        "/metrics": Route.METRICS,
        "/v2": Route.SERVER,
        "/v2/health/live": Route.LIVE,
        "/v2/health/ready": Route.READY,
    }
)
METHODS: Mapping[Route, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(Route, _READ),
        Route.SCORE: ("GET", "POST", "OPTIONS"),
        Route.INVOCATIONS: ("POST",),
        Route.INFER: ("POST",),
    }
)
# What is known without asking a version.
OF_FRONT = frozenset({Route.HEALTH, Route.DOCS, Route.PING, Route.VERSION, Route.LIVE, Route.READY})
# What has rows and gets predictions; the others only tell something.
SCORING = frozenset({Route.SCORE, Route.INVOCATIONS, Route.INFER})
# How Kubernetes clusters of the cloud publish a service; a proxy that does not cut this off is understood too.
_PUBLISHED = re.compile(r"^/api/v1/(?:service|endpoint)/[^/]+(?=/|$)")
_MODEL = re.compile(r"^/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<verb>infer|ready))?$")
_VERBS = {"infer": Route.INFER, "ready": Route.MODEL_READY, None: Route.MODEL}


class ModelAsked(NamedTuple):
    """The model that a path names, and its version if it says."""

    name: str
    version: str | None


@lru_cache(maxsize=512)
def find(path: str) -> Route | None:
    """Return what `path`, without its query, asks for; None when nothing is there."""
    plain = _plain(path)
    known = _PLAIN.get(plain)
    if known is not None:
        return known
    found = _MODEL.match(plain)
    return _VERBS[found["verb"]] if found else None


def model_asked(path: str) -> ModelAsked | None:
    """Return the model that a path of the Open Inference Protocol names; None for any other path."""
    found = _MODEL.match(_plain(path))
    if found is None:
        return None
    version = found["version"]
    return ModelAsked(unquote(found["name"]), None if version is None else unquote(version))


def _plain(path: str) -> str:
    """Return a path as the endpoint itself has it, without what a cluster puts before it."""
    return _PUBLISHED.sub("", path) or "/"
