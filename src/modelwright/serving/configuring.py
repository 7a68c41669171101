"""The settings of an endpoint: kept in the store, and told to its front when it runs."""

from typing import Any

from modelwright.errors import EndpointMissing
from modelwright.records import CaptureSettings, FrontSettings
from modelwright.records.decoding import decoded
from modelwright.records.plain import plain
from modelwright.serving import control
from modelwright.settings import runtime_folder, scoring_timeout_ms
from modelwright.store import endpoint_settings
from modelwright.store.changes import change
from modelwright.store.database import Store


def settings_of(store: Store, endpoint: str) -> FrontSettings:
    """Return how an endpoint is to serve. Raises EndpointMissing."""
    kept: dict[str, Any] = {"timeout_ms": scoring_timeout_ms()} | endpoint_settings.get_settings(store, endpoint)
    found: FrontSettings = decoded(FrontSettings, kept)
    return found


def capture_of(store: Store, endpoint: str) -> CaptureSettings:
    """Return how an endpoint is to record its requests. Raises EndpointMissing."""
    return settings_of(store, endpoint).capture


def capture_or_none(store: Store, endpoint: str) -> CaptureSettings | None:
    """Return the same, or None for an endpoint that was deleted."""
    try:
        return capture_of(store, endpoint)
    except EndpointMissing:
        return None


def set_capture(store: Store, endpoint: str, capture: CaptureSettings, *, actor: str, why: str = "") -> None:
    """Have an endpoint record its requests so from now on, without a restart.

    Raises EndpointMissing, EndpointUnresponsive, ReasonMissing.
    """
    with change(store, actor=actor, why=why) as opened:
        endpoint_settings.set_section(opened, endpoint, "capture", plain(capture))
    push(store, endpoint)


def push(store: Store, endpoint: str) -> bool:
    """Tell the endpoint's front its settings; return whether it runs. One that is started later is told then."""
    folder = runtime_folder(store.folder)
    if control.status(endpoint, runtime_folder=folder) is None:
        return False
    control.configure(endpoint, settings_of(store, endpoint), runtime_folder=folder)
    return True
