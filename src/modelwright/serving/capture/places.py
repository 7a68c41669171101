"""Where an endpoint's captured requests lie."""

from pathlib import Path

from modelwright.store import endpoints
from modelwright.store.database import Store

_ROOT = "capture"


def root(store: Store) -> Path:
    """Return the folder below which every endpoint's requests and answers are captured."""
    return store.folder / _ROOT


def folder_of(store: Store, endpoint: str) -> Path:
    """Return the capture folder of an endpoint, which may be deleted by now. Raises EndpointMissing."""
    folder = root(store) / endpoint
    if not folder.is_dir():
        endpoints.get_endpoint(store, endpoint)
    return folder


def endpoints_of(store: Store) -> list[str]:
    """Return the endpoints that have captured requests, and those that may have some, by name."""
    captured = {each.name for each in root(store).glob("*/") if each.is_dir()}
    return sorted(captured | {each.name for each in endpoints.list_endpoints(store)})
