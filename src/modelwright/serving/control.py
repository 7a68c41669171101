"""Starts, asks, changes and stops the process that serves an endpoint. All synchronous; nothing here opens the store.

A runtime folder holds three files for each endpoint: `NAME.lock`, held by the front for its whole life, so that a
number that the system gave to another process is never mistaken for it; `NAME.sock`, its control socket; `NAME.json`,
its process id and port. Stopping removes all three.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, replace
from email.message import Message
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from modelwright import processes
from modelwright.errors import (
    Busy,
    DeploymentFailed,
    DeploymentMissing,
    EndpointNotReached,
    EndpointNotRunning,
    EndpointNotStarted,
    EndpointOutdated,
    EndpointUnresponsive,
    FolderNotWritable,
    NoFreePort,
)
from modelwright.records import DeployAnswer, FrontSettings, FrontStatus, ScoringAnswer, Traffic, WorkerSpec
from modelwright.records.decoding import NotThisRecord, decoded
from modelwright.records.plain import plain
from modelwright.serving import commands
from modelwright.serving.rollout import observing
from modelwright.serving.rollout.observing import Observed

_START_SECONDS = 30.0
# A front answers in milliseconds, unless the machine or its disk stands still.
_ASK_SECONDS = 10.0
# How long a front may hold its lock without answering: it is starting, or saying its last answers.
_SILENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
# After what it was given to drain, what a front may take to end its worker and itself before it is killed.
_END_SECONDS = 8.0


def start(
    endpoint: str,
    *,
    runtime_folder: Path,
    log: Path,
    capture_folder: Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    settings: FrontSettings | None = None,
) -> FrontStatus:
    """Start the endpoint's front, which outlives this process, and return its status; one that runs is left as it is.

    `port` None lets the system choose. Requests are recorded in `capture_folder/endpoint`. Raises NoFreePort,
    EndpointNotStarted, FolderNotWritable.
    """
    _make_private(runtime_folder)
    running = status(endpoint, runtime_folder=runtime_folder)
    if running is not None:
        return running
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise FolderNotWritable(folder=log.parent, reason=error.strerror, option="--workspace") from error
    arguments: list[str | Path] = [
        "--endpoint",
        endpoint,
        "--runtime-folder",
        runtime_folder.absolute(),
        "--log",
        log.absolute(),
    ]
    arguments += ["--capture-folder", capture_folder.absolute(), "--host", host, "--port", str(port or 0)]
    wanted = settings or FrontSettings()
    # Everybody on the machine can read a command line. Until it is told its keys the front lets nobody in.
    arguments += ["--settings", json.dumps(_told(replace(wanted, access=replace(wanted.access, keys=()))))]
    told = _report(
        processes.detach("modelwright.serving.front.server", arguments, log=log, patience_seconds=_START_SECONDS)
    )
    if "status" in told:
        if wanted.access.keys:
            configure(endpoint, wanted, runtime_folder=runtime_folder)
        return _as_status(endpoint, told["status"])
    if told.get("failed") == "port":
        raise NoFreePort(port=port, host=host, reason=_port_reason(port, told["reason"]))
    if told.get("failed") == "busy":
        # Another command was quicker; its front is as good as ours.
        running = status(endpoint, runtime_folder=runtime_folder)
        if running is not None:
            return running
    raise EndpointNotStarted(endpoint=endpoint, reason=told.get("reason", f'its process ended; its log is "{log}"'))


def check_port(port: int, *, host: str) -> None:
    """Find out, before any work is done for it, whether an endpoint can listen on `port`. Raises NoFreePort."""
    with socket.socket() as probe:
        # As the front does: a port in TIME_WAIT can be had.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = _port_reason(port, error.strerror or str(error))
            raise NoFreePort(port=port, host=host, reason=reason) from error


def status(endpoint: str, *, runtime_folder: Path) -> FrontStatus | None:
    """Return what the endpoint's front says of itself, or None when there is none.

    Raises EndpointUnresponsive and EndpointOutdated.
    """
    deadline = time.monotonic() + _SILENCE_SECONDS
    while True:
        try:
            told = _ask(
                endpoint, {"command": commands.STATUS}, runtime_folder=runtime_folder, timeout_seconds=_ASK_SECONDS
            )
            return _as_status(endpoint, told)
        except (FileNotFoundError, ConnectionError) as error:
            if _clean_if_dead(endpoint, runtime_folder):
                return None
            if time.monotonic() > deadline:
                raise EndpointUnresponsive(endpoint=endpoint, reason="its control socket is closed") from error
            time.sleep(_PAUSE_SECONDS)


def is_running(endpoint: str, *, runtime_folder: Path) -> bool:
    """Whether the endpoint has a front, however busy it is: asked of the system, not of the front."""
    return not _clean_if_dead(endpoint, runtime_folder)


def deploy(
    endpoint: str,
    *,
    runtime_folder: Path,
    worker: WorkerSpec,
    timeout_seconds: float = 300.0,
    is_replacing: bool = True,
) -> DeployAnswer:
    """Put a model version into service: started, its sample scored, and only then given requests.

    With `is_replacing` it takes all of the endpoint's traffic, and what served before finishes the requests it has and
    ends; otherwise only a deployment of the same name is replaced, and traffic stays as it is. `timeout_seconds` covers
    `init()` and the sample. Raises DeploymentFailed, with the fact `log_tail`, after which everything is as it was;
    EndpointNotRunning; Busy.
    """
    command = {
        "command": "deploy",
        "worker": _told(worker),
        "timeout_seconds": timeout_seconds,
        "is_replacing": is_replacing,
    }
    told = _change(endpoint, command, runtime_folder=runtime_folder, timeout_seconds=timeout_seconds + 30)
    if "failed" in told:
        raise DeploymentFailed(
            endpoint=endpoint, version=worker.version, reason=told["failed"], log_tail=told["log_tail"]
        )
    return DeployAnswer(endpoint, worker.version, replaced=told["replaced"], answer=told["answer"])


def share_out(
    endpoint: str,
    traffic: Traffic,
    *,
    runtime_folder: Path,
    fallback: Traffic | None = None,
    lease_seconds: float = 0.0,
) -> None:
    """Have the endpoint's requests shared out like that from now on.

    With `fallback` only for `lease_seconds`, unless `renew` is called in time: after that the front shares them out
    like that by itself. Raises DeploymentMissing, EndpointNotRunning.
    """
    command = {"command": "traffic", "traffic": _told(traffic), "lease_seconds": lease_seconds}
    command |= {"fallback": _told(fallback) if fallback else None}
    _change(endpoint, command, runtime_folder=runtime_folder)


def renew(endpoint: str, seconds: float, *, runtime_folder: Path) -> bool:
    """Confirm traffic on trial for so many seconds more; return whether there was any. Raises EndpointNotRunning."""
    return bool(_change(endpoint, {"command": "renew", "seconds": seconds}, runtime_folder=runtime_folder)["held"])


def observe(endpoint: str, *, runtime_folder: Path) -> Observed:
    """Return what each deployment has done, side by side. Raises EndpointNotRunning and EndpointOutdated."""
    told = _change(endpoint, {"command": "observe"}, runtime_folder=runtime_folder)
    try:
        return observing.observed(told)
    except (KeyError, TypeError, ValueError) as error:
        raise EndpointOutdated(endpoint=endpoint, reason=f"what it has seen cannot be read: {error}") from error


def retire(endpoint: str, deployment: str, *, runtime_folder: Path) -> None:
    """Let a deployment finish the requests it has, and end its processes.

    Raises DeploymentMissing, EndpointNotRunning.
    """
    _change(endpoint, {"command": "retire", "deployment": deployment}, runtime_folder=runtime_folder)


def restart(endpoint: str, deployment: str, *, runtime_folder: Path, timeout_seconds: float = 300.0) -> None:
    """Replace the deployment's processes one after the other; no request is refused meanwhile.

    Raises DeploymentFailed, DeploymentMissing, EndpointNotRunning, Busy.
    """
    command = {"command": "restart", "deployment": deployment}
    told = _change(endpoint, command, runtime_folder=runtime_folder, timeout_seconds=timeout_seconds)
    _check_change(endpoint, deployment, told)


def scale(
    endpoint: str, deployment: str, workers: int, *, runtime_folder: Path, timeout_seconds: float = 300.0
) -> None:
    """Have the deployment served by so many processes. Raises what `restart` raises."""
    command = {"command": "scale", "deployment": deployment, "workers": workers}
    told = _change(endpoint, command, runtime_folder=runtime_folder, timeout_seconds=timeout_seconds)
    _check_change(endpoint, deployment, told)


def configure(endpoint: str, settings: FrontSettings, *, runtime_folder: Path) -> None:
    """Have the endpoint go on with other limits, capture and keys.

    Raises EndpointNotRunning, and FolderNotWritable where captured fields cannot be hashed; then all is as before.
    """
    told = _change(endpoint, {"command": "configure", "settings": _told(settings)}, runtime_folder=runtime_folder)
    if "unwritable" in told:
        raise FolderNotWritable(folder=told["unwritable"], reason=told["reason"], option="--workspace")


def admit(endpoint: str, digest: str, *, seconds: float, runtime_folder: Path) -> None:
    """Have the endpoint let in, for so long, who has the key of that digest. Raises EndpointNotRunning."""
    _change(endpoint, {"command": "admit", "digest": digest, "seconds": seconds}, runtime_folder=runtime_folder)


def stop(endpoint: str, *, runtime_folder: Path, timeout_seconds: float = 10.0) -> bool:
    """End the endpoint's front and its worker; return whether there was one. Nothing of it is left.

    Requests that wait get their answers for at most `timeout_seconds`; what does not end after that is killed.
    """
    if _clean_if_dead(endpoint, runtime_folder):
        return False
    family = _family(endpoint, runtime_folder)
    try:
        command = {"command": commands.STOP, "grace_seconds": timeout_seconds}
        _ask(endpoint, command, runtime_folder=runtime_folder, timeout_seconds=_ASK_SECONDS)
        patience = timeout_seconds + _END_SECONDS
    except (OSError, EndpointUnresponsive):
        patience = _END_SECONDS
        for process in family[:1]:
            with contextlib.suppress(psutil.Error):
                process.terminate()
    alive = _await_end(family, timeout_seconds=patience)
    for process in alive:
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            os.killpg(os.getpgid(process.pid), signal.SIGKILL)
    _await_end(alive, timeout_seconds=_END_SECONDS)
    if not _clean_if_dead(endpoint, runtime_folder):
        raise EndpointUnresponsive(endpoint=endpoint, reason="it could not be ended")
    return True


def score(
    url: str, body: str | bytes, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 120.0
) -> ScoringAnswer:
    """Send one request to a scoring URL and return the answer, whatever its status. Raises EndpointNotReached."""
    data = body.encode() if isinstance(body, str) else body
    # A proxy that the user's variables name knows nothing of our ports; and a redirect would get the key.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    try:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked below
            url, data=data, headers={"Content-Type": "application/json", **(headers or {})}, method="POST"
        )
        if request.type not in ("http", "https"):
            raise EndpointNotReached(url=url, reason="it is not an http address")
        with opener.open(request, timeout=timeout_seconds) as response:
            return _scoring_answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return _scoring_answer(error.code, error.headers, error.read())
    except (OSError, ValueError, http.client.HTTPException) as error:  # not there, no address, no HTTP
        raise EndpointNotReached(url=url, reason=getattr(error, "reason", error)) from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes an answer that leads elsewhere as the answer."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def _change(
    endpoint: str, command: Mapping[str, Any], *, runtime_folder: Path, timeout_seconds: float = _ASK_SECONDS
) -> dict[str, Any]:
    """Send a command that changes something, and return what the front says of it.

    Raises EndpointOutdated when it does not know the command, or not all that it was told.
    """
    try:
        told = _ask(endpoint, command, runtime_folder=runtime_folder, timeout_seconds=timeout_seconds)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise EndpointNotRunning(endpoint=endpoint) from error
    except ConnectionError as error:
        raise EndpointUnresponsive(endpoint=endpoint, reason="it ended during the change") from error
    if "refused" in told:
        raise EndpointOutdated(endpoint=endpoint, reason=told["refused"])
    if told.get("busy"):
        command_line = f"wright endpoint show {endpoint}"
        raise Busy(thing=f'endpoint "{endpoint}"', holder="it is deploying another version", command=command_line)
    if "unknown" in told:
        raise DeploymentMissing(endpoint=endpoint, version=", ".join(told["unknown"]))
    return told


def _check_change(endpoint: str, deployment: str, told: Mapping[str, Any]) -> None:
    if "failed" in told:
        raise DeploymentFailed(endpoint=endpoint, version=deployment, reason=told["failed"], log_tail=told["log_tail"])


def _told(record: Any) -> Any:
    """Return a record as the front reads it."""
    return plain(asdict(record))


def _scoring_answer(code: int, headers: Message, body: bytes) -> ScoringAnswer:
    return ScoringAnswer(
        status=code,
        body=body.decode(errors="replace"),
        request_id=headers.get("x-request-id", ""),
        version=headers.get("x-modelwright-version"),
    )


def _make_private(folder: Path) -> None:
    """Make the folder for us alone. In a shared temporary folder, somebody else may have been there first."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise FolderNotWritable(folder=folder, reason=error.strerror, option="XDG_RUNTIME_DIR") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise FolderNotWritable(folder=folder, reason="it belongs to somebody else", option="XDG_RUNTIME_DIR")
    if stat.S_IMODE(found.st_mode) != 0o700:  # noqa: PLR2004 - the mode we make it with
        folder.chmod(0o700)


def _report(said: bytes | None) -> dict[str, Any]:
    """Return what the new front says; empty when it ended without a word."""
    if said is None:
        return {"failed": "late", "reason": f"it did not listen within {_START_SECONDS:g} s"}
    report: dict[str, Any] = json.loads(said) if said else {}
    return report


def _port_reason(port: int | None, reason: str) -> str:
    """Return why the port cannot be had, naming its holder where the system tells."""
    try:
        for each in psutil.net_connections("inet"):
            if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN:
                who = f"process {each.pid} ({psutil.Process(each.pid).name()})" if each.pid else "another process"
                return f"{who} listens on it"
    except psutil.Error:
        pass  # some systems tell this to the administrator only
    return reason


def _ask(endpoint: str, command: Mapping[str, Any], *, runtime_folder: Path, timeout_seconds: float) -> dict[str, Any]:
    """Send a command to the endpoint's front and return its answer. Raises what `commands.ask` raises."""
    place = runtime_folder / f"{endpoint}.sock"
    return commands.ask(endpoint, command, place=place, timeout_seconds=timeout_seconds)


def _clean_if_dead(endpoint: str, runtime_folder: Path) -> bool:
    """Return whether no front holds the endpoint's lock, and then remove what a dead one left."""
    if not runtime_folder.is_dir():
        return True
    path = runtime_folder / f"{endpoint}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    try:
        for ending in ("json", "sock", "lock"):
            (runtime_folder / f"{endpoint}.{ending}").unlink(missing_ok=True)
    finally:
        lock.release()
    return True


def _family(endpoint: str, runtime_folder: Path) -> list[psutil.Process]:
    """Return the front and everything it started. Its lock is held, so the id in its file is still its own."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        pid = json.loads((runtime_folder / f"{endpoint}.json").read_bytes())["pid"]
        front = psutil.Process(pid)
        return [front, *front.children(recursive=True)]
    return []


def _await_end(family: list[psutil.Process], *, timeout_seconds: float) -> list[psutil.Process]:
    """Wait until all have ended and return those that have not."""
    deadline = time.monotonic() + timeout_seconds
    while alive := [process for process in family if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE_SECONDS)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    """Return whether the process runs; one that only waits to be reaped, as in some containers, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _as_status(endpoint: str, fields: Mapping[str, Any]) -> FrontStatus:
    try:
        status: FrontStatus = decoded(FrontStatus, fields)
    except NotThisRecord as error:
        raise EndpointOutdated(endpoint=endpoint, reason=f"of what it says of itself, {error}") from error
    return status
