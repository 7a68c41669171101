"""Which paths an endpoint answers, and what they mean."""

from enum import IntEnum


class Route(IntEnum):
    """What a request asks for; those from SCORE on are answered by a version."""

    HEALTH = 0
    SCORE = 1


# Where a version is asked, by path.
OF_VERSION = {"/score": Route.SCORE}


def find(path: str) -> Route | None:
    """Return what `path` asks for; None when nothing is there."""
    if path == "/":
        return Route.HEALTH
    return OF_VERSION.get(path)
