"""Where an endpoint's captured requests lie."""

from pathlib import Path

from modelwright.errors import EndpointMissing
from modelwright.store import endpoints
from modelwright.store.database import Store

_ROOT = "capture"


def root(store: Store) -> Path:
    """Return the folder below which every endpoint's requests and answers are captured."""
    return store.folder / _ROOT


def folder_of(store: Store, endpoint: str) -> Path:
    """Return the capture folder of an endpoint, which may be deleted by now. Raises EndpointMissing."""
    if endpoint not in endpoints_of(store):  # a name that leads elsewhere is never one of them
        raise EndpointMissing(endpoint=endpoint)
    return root(store) / endpoint


def endpoints_of(store: Store) -> list[str]:
    """Return the endpoints that have captured requests, and those that may have some, by name."""
    captured = {each.name for each in root(store).glob("*/") if each.is_dir()}
    return sorted(captured | {each.name for each in endpoints.list_endpoints(store)})
