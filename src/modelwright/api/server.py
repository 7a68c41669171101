"""The one process of `wright up`: serves a workspace's HTTP API and does its work in the background.

`python -m modelwright.api.server --workspace FOLDER` listens, detaches itself, and tells through a pipe where it is. It
ends with the runs that it has started.
"""

import argparse
import contextlib
import errno
import json
import os
import signal
import socket
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from modelwright import processes, records
from modelwright.errors import ApiNotInstalled, ApiPortTaken, BackgroundNotStarted, Busy, HostNotOpen
from modelwright.lifecycle import background
from modelwright.store import api_place, tokens
from modelwright.store.database import Store, open_store

_MODULE = "modelwright.api.server"
# Below the ports that systems give to outgoing connections. The first free one from here on is a workspace's for good.
_FIRST_PORT = 4810
_PORTS = 1000
_HOST = "127.0.0.1"
# How long answers that go on may take when the process is to end.
_GRACE_SECONDS = 3


def start(store: Store, *, host: str = "", port: int = 0) -> str | None:
    """Serve the workspace's API and work in the background; return where, None when that goes on without the API.

    What is served is left as it is. Without `host` and `port` it is where it was the last time, and the first time on
    this machine alone. Raises ApiNotInstalled, HostNotOpen, ApiPortTaken and BackgroundNotStarted.
    """
    if background.is_running(store):
        return api_place.url(store)
    if not all(map(find_spec, ("fastapi", "uvicorn"))):
        raise ApiNotInstalled
    last = urlsplit(api_place.last_url(store) or "")
    host, port = host or last.hostname or _HOST, port or last.port or 0
    if not _is_loopback(host) and not any(each.state(records.now()) == "counts" for each in tokens.list_tokens(store)):
        raise HostNotOpen(host=host)
    log = store.folder / background.LOG
    arguments: list[str | Path] = ["--workspace", store.folder.absolute(), "--host", host, "--port", str(port)]
    said = json.loads(processes.detach(_MODULE, arguments, log=log) or "{}")
    if "reason" in said:
        raise ApiPortTaken(port=port, host=host, reason=said["reason"])
    found = said.get("url") or api_place.url(store)
    if not found:
        raise BackgroundNotStarted(log=log)
    return str(found)


def stop(store: Store) -> bool:
    """End the process, with the runs that it has started; return whether there was one."""
    return background.stop(store)


def serve(workspace: Path, listening: socket.socket, *, report: int) -> None:
    """Serve until SIGTERM, or until the workspace is gone."""
    import uvicorn

    from modelwright.api.app import create_app

    store = open_store(workspace)
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    # uvicorn raises a signal once more when it has ended; this process has more to end then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(Busy), background.hosted(store, url=url):
        processes.tell(report, json.dumps({"url": url}).encode())
        config = uvicorn.Config(
            create_app(workspace, trusts_loopback=_is_loopback(host)),
            log_level="warning",
            access_log=False,
            lifespan="on",
            proxy_headers=False,  # whoever asks could name any machine as theirs
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        background.when_gone(store, lambda: setattr(server, "should_exit", True))
        server.run(sockets=[listening])
    store.close()


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the port, for 0 at the first free one of ours. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for each in [port] if port else range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, each))
            listening.listen(128)
        except OSError as error:
            listening.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
        else:
            return listening
    raise OSError(errno.EADDRINUSE, f"none from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} is free")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> None:
    """Listen, detach and serve as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    options = parser.parse_args()
    try:
        listening = _listening(options.host, options.port)
    except OSError as error:
        os.write(options.report_fd, json.dumps({"reason": error.strerror or str(error)}).encode())
        return
    if os.fork() == 0:
        os.setsid()
        serve(options.workspace, listening, report=options.report_fd)


if __name__ == "__main__":
    main()
