"""The settings of an endpoint: kept in the store, and told to its front when it runs."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelwright.errors import EndpointMissing
from modelwright.records import Access, CaptureSettings, FrontSettings
from modelwright.records.decoding import decoded
from modelwright.records.plain import plain
from modelwright.serving import control
from modelwright.settings import runtime_folder, scoring_timeout_ms
from modelwright.store import endpoint_keys, endpoint_settings, endpoints
from modelwright.store.changes import change
from modelwright.store.database import Store

# Whoever reads captured requests must not find a key there, whatever was asked for.
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})


def settings_of(store: Store, endpoint: str, *, host: str | None = None) -> FrontSettings:
    """Return how an endpoint is to serve, at `host` if that is another than before. Raises EndpointMissing."""
    kept: dict[str, Any] = {"timeout_ms": scoring_timeout_ms()} | endpoint_settings.get_settings(store, endpoint)
    found: FrontSettings = decoded(FrontSettings, kept)
    # Whom only this machine can reach need not ask for keys; all others do, until they are told not to.
    place = host or endpoints.get_endpoint(store, endpoint).host
    asks = found.access.is_required if "access" in kept else not is_loopback(place)
    headers = tuple(each for each in found.capture.headers if each.lower() not in _SECRET_HEADERS)
    return replace(
        found,
        access=Access(asks, keys=tuple(endpoint_keys.list_keys(store, endpoint))),
        capture=replace(found.capture, headers=headers),
    )


def capture_of(store: Store, endpoint: str) -> CaptureSettings:
    """Return how an endpoint is to record its requests. Raises EndpointMissing."""
    return settings_of(store, endpoint).capture


def capture_or_none(store: Store, endpoint: str) -> CaptureSettings | None:
    """Return the same, or None for an endpoint that was deleted."""
    try:
        return capture_of(store, endpoint)
    except EndpointMissing:
        return None


def set_capture(
    store: Store, endpoint: str, said: Mapping[str, Any], *, is_anew: bool = False, actor: str, why: str = ""
) -> CaptureSettings:
    """Have an endpoint record its requests otherwise from now on, without a restart; return how.

    `said` are fields of CaptureSettings; those that are not given stay, or are as usual where it `is_anew`. Raises
    EndpointMissing, EndpointUnresponsive, FolderNotWritable, ReasonMissing.
    """
    with change(store, actor=actor, why=why) as opened:  # which lets nobody else change them meanwhile
        now = capture_of(store, endpoint)
        wanted = replace(CaptureSettings() if is_anew else now, **said)
        if wanted != now:
            endpoint_settings.set_section(opened, endpoint, "capture", plain(wanted))
    if wanted != now:
        push(store, endpoint)
    return wanted


def set_limits(
    store: Store,
    endpoint: str,
    limits: Mapping[str, float],
    *,
    timeout_ms: int | None = None,
    actor: str,
    why: str = "",
) -> FrontSettings:
    """Have an endpoint refuse by other `limits`, fields of FrontLimits, from now on, and wait so long for `run()`.

    Those that are not given stay. Raises EndpointMissing, EndpointUnresponsive, ReasonMissing.
    """
    with change(store, actor=actor, why=why) as opened:
        if limits:
            kept = endpoint_settings.get_settings(store, endpoint).get("limits", {})
            endpoint_settings.set_section(opened, endpoint, "limits", kept | dict(limits))
        if timeout_ms is not None:
            endpoint_settings.set_section(opened, endpoint, "timeout_ms", timeout_ms)
    push(store, endpoint)
    return settings_of(store, endpoint)


def push(store: Store, endpoint: str) -> bool:
    """Tell the endpoint's front its settings; return whether it runs. One that is started later is told then.

    They are read again after that: of two who change them at once, the one that is told last must not have read first.
    """
    folder = runtime_folder(store.folder)
    if control.status(endpoint, runtime_folder=folder) is None:
        return False
    told = None
    while told != (settings := settings_of(store, endpoint)):
        control.configure(endpoint, settings, runtime_folder=folder)
        told = settings
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
