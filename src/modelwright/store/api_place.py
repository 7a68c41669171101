"""Where a workspace's HTTP API answers."""

import contextlib
from collections.abc import Iterator

from modelwright.store import claims
from modelwright.store.database import Store

_FILE = "api.url"
_CLAIM = "api"


@contextlib.contextmanager
def told(store: Store, url: str) -> Iterator[None]:
    """Say that this process serves the API at `url` for as long as the block runs. Raises Busy when another does."""
    # In this order: who sees the claim finds where it is.
    (store.folder / _FILE).write_text(url, encoding="utf-8")
    with claims.claim(store, _CLAIM):
        yield


def url(store: Store) -> str | None:
    """Return where the API answers; None when nothing serves it."""
    return last_url(store) if claims.holder(store, _CLAIM) is not None else None


def last_url(store: Store) -> str | None:
    """Return where the API answers or did last; None when it was never served."""
    place = store.folder / _FILE
    return place.read_text(encoding="utf-8") if place.exists() else None
