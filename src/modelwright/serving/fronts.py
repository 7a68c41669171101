"""The front of an endpoint as its record wants it: where it listens, logs and captures."""

from pathlib import Path

from modelwright.records import Endpoint, FrontStatus
from modelwright.serving import configuring, control
from modelwright.serving.capture import places
from modelwright.settings import runtime_folder
from modelwright.store import endpoints
from modelwright.store.changes import change
from modelwright.store.database import Store


def status(store: Store, endpoint: str) -> FrontStatus | None:
    """Return what the endpoint's front says of itself; None when it is not running, or may have been then."""
    if store.moment:
        return None
    return control.status(endpoint, runtime_folder=runtime_folder(store.folder))


def log_file(store: Store, endpoint: str) -> Path:
    """Return the file that the endpoint's front and scoring scripts log to."""
    return store.folder / "logs" / f"{endpoint}.log"


def capture_folder(store: Store) -> Path:
    """Return the folder below which every endpoint's requests and answers are captured."""
    return places.root(store)


def ensure(
    store: Store, place: Endpoint, *, host: str | None = None, port: int | None = None, actor: str, why: str = ""
) -> bool:
    """Have the endpoint's front run, by default where it did last; return whether it was started.

    One that listens elsewhere than is asked for is stopped first, and started again there when it cannot move. Raises
    NoFreePort and EndpointNotStarted.
    """
    folder = runtime_folder(store.folder)
    running = control.status(place.name, runtime_folder=folder)
    wanted = (host or place.host, port or place.port)
    if running and (host or running.host, port or running.port) == (running.host, running.port):
        return False
    if running:
        if wanted[1] and wanted[1] != running.port:
            control.check_port(wanted[1], host=wanted[0])
        control.stop(place.name, runtime_folder=folder)
    try:
        started = _start(store, place, *wanted)
    except BaseException:
        if running:
            _start(store, place, running.host, running.port)
        raise
    if (started.host, started.port) != (place.host, place.port):
        with change(store, actor=actor, why=why) as opened:
            endpoints.set_address(opened, place, host=started.host, port=started.port)
    # What was changed while it started could not be told to it.
    configuring.push(store, place.name)
    return True


def _start(store: Store, place: Endpoint, host: str, port: int | None) -> FrontStatus:
    log = log_file(store, place.name)
    log.parent.mkdir(exist_ok=True)
    return control.start(
        place.name,
        runtime_folder=runtime_folder(store.folder),
        log=log,
        capture_folder=capture_folder(store),
        host=host,
        port=port,
        settings=configuring.settings_of(store, place.name, host=host),
    )
