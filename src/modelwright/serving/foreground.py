"""A version served in this very terminal, so that a debugger in its scoring script has somebody to talk to.

We listen; one process, a child of ours that has the terminal, scores. Nothing is recorded, nothing times out, and when
either of both ends the other does too.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from modelwright.errors import NoFreePort, WorkerFailed
from modelwright.records import CaptureMode, CaptureSettings, FrontLimits, FrontSettings, Traffic, WorkerSpec
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front.connections import Clients
from modelwright.serving.front.service import Service
from modelwright.serving.front.versions import Version

_HOST = "127.0.0.1"
_WEEK_SECONDS = 7 * 24 * 3600
_LOOK_SECONDS = 0.2
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_SETTINGS = FrontSettings(
    limits=FrontLimits(idle_seconds=_WEEK_SECONDS),
    capture=CaptureSettings(mode=CaptureMode.OFF),
    timeout_ms=_WEEK_SECONDS * 1000,
)


def attached(spec: WorkerSpec, *, script: Path | None = None) -> WorkerSpec:
    """Return the same to be served in the terminal, by `script` if one is given. Its sample is left to its author."""
    return replace(
        spec,
        script=script.absolute() if script else spec.script,
        is_local=script is not None,
        is_attached=True,
        workers=1,
        sample=None,
        expected=None,
    )


def serve(spec: WorkerSpec, *, port: int, on_ready: Callable[[str], None]) -> int:
    """Serve until Ctrl-C, or until the process ends; `on_ready` is told the URL. Return the exit code.

    Raises NoFreePort and WorkerFailed.
    """
    with tempfile.TemporaryDirectory(prefix="wright-") as folder, _terminal_kept():
        return asyncio.run(_serve(spec, port=port, folder=Path(folder), on_ready=on_ready))


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """Leave the terminal as it was: a debugger that is ended at its prompt does not."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def _serve(spec: WorkerSpec, *, port: int, folder: Path, on_ready: Callable[[str], None]) -> int:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    service = Service(_SETTINGS, recorder=Recorder(folder, _SETTINGS.capture), log=Path(os.devnull))
    clients = Clients(service.scoring.handle, _SETTINGS.limits)
    try:
        listener = await loop.create_server(clients.connect, _HOST, port)
    except OSError as error:
        raise NoFreePort(port=port, host=_HOST, reason=error.strerror) from error
    version = Version(spec, log=Path(os.devnull), timeout_ms=_SETTINGS.timeout_ms)
    opening = asyncio.create_task(version.open(timeout_seconds=_WEEK_SECONDS))
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            return _INTERRUPTED
        await opening
        service.router.versions[spec.deployment] = version
        service.router.share_out(Traffic(default=spec.deployment))
        on_ready(f"http://{_HOST}:{listener.sockets[0].getsockname()[1]}/score")
        while version.is_ready and not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), _LOOK_SECONDS)
        if not stopped.is_set():
            raise WorkerFailed(version=spec.version, reason="its process ended")
        return _INTERRUPTED
    finally:
        opening.cancel()
        stopping.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)
        listener.close()
        await version.close(drain_seconds=0)
        clients.close_when_idle()
        await service.close(drain_seconds=0)
