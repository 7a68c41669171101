"""The process that serves a workspace's HTTP API, from `wright up` to `wright down`.

`python -m modelwright.api.server --workspace FOLDER` listens, detaches itself, and tells through a pipe where it is. It
ends with the runs that it has started.
"""

import argparse
import contextlib
import json
import os
import socket
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from modelwright import processes
from modelwright.errors import ApiNotInstalled, ApiNotStarted, Busy, NoFreePort
from modelwright.store import claims
from modelwright.store.database import Store, open_store

_MODULE = "modelwright.api.server"
_CLAIM = "api"
_LOG = "api.log"
_PLACE = "api.url"
_LOOK_SECONDS = 1.0


def url(store: Store) -> str | None:
    """Return where the workspace's API answers; None when nothing serves it."""
    place = store.folder / _PLACE
    return place.read_text(encoding="utf-8") if claims.holder(store, _CLAIM) is not None and place.exists() else None


def start(store: Store, *, host: str = "127.0.0.1", port: int = 0) -> str:
    """Serve the workspace's API and return where; one that is served is left as it is. `port` 0 takes a free one.

    Raises ApiNotInstalled, NoFreePort and ApiNotStarted.
    """
    found = url(store)
    if found:
        return found
    if not all(map(find_spec, ("fastapi", "uvicorn"))):
        raise ApiNotInstalled
    log = store.folder / _LOG
    arguments: list[str | Path] = ["--workspace", store.folder.absolute(), "--host", host, "--port", str(port)]
    said = json.loads(processes.detach(_MODULE, arguments, log=log) or "{}")
    if "reason" in said:
        raise NoFreePort(port=port, host=host, reason=said["reason"])
    found = said.get("url") or url(store)
    if not found:
        raise ApiNotStarted(log=log)
    return str(found)


def stop(store: Store) -> bool:
    """End the process that serves the API, with the runs that it has started; return whether there was one."""
    return claims.end_holder(store, _CLAIM)


def serve(workspace: Path, listening: socket.socket, *, report: int) -> None:
    """Serve until SIGTERM, or until the workspace is gone."""
    import uvicorn

    from modelwright.api.app import create_app

    store = open_store(workspace)
    host, port = listening.getsockname()[:2]
    place = store.folder / _PLACE
    with contextlib.suppress(Busy), claims.claim(store, _CLAIM):
        place.write_text(f"http://{host}:{port}", encoding="utf-8")
        os.write(report, json.dumps({"url": f"http://{host}:{port}"}).encode())
        os.close(report)
        config = uvicorn.Config(
            create_app(workspace), log_level="warning", access_log=False, lifespan="on", proxy_headers=False
        )
        server = uvicorn.Server(config)

        def look() -> None:
            while not server.should_exit:
                server.should_exit = not (workspace / "modelwright.db").exists()
                time.sleep(_LOOK_SECONDS)

        threading.Thread(target=look, daemon=True).start()
        try:
            server.run(sockets=[listening])
        finally:
            place.unlink(missing_ok=True)
    store.close()


def main() -> None:
    """Listen, detach and serve as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    options = parser.parse_args()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except OSError as error:
        os.write(options.report_fd, json.dumps({"reason": error.strerror or str(error)}).encode())
        return
    listening.listen(128)
    if os.fork() == 0:
        os.setsid()
        serve(options.workspace, listening, report=options.report_fd)


if __name__ == "__main__":
    main()
