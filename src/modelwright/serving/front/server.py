"""The front: the process that owns an endpoint's port, its control socket and its model version's worker.

Started by `control.start` as `python -m modelwright.serving.front.server`; it detaches itself, tells through a pipe
whether it listens, and lives until it is told to stop, is signalled, or its workspace is gone.

Commands come through a Unix socket, in the form that `commands` tells of.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from modelwright import processes
from modelwright.records import FrontSettings, FrontStatus, now
from modelwright.records.decoding import NotThisRecord, decoded
from modelwright.records.plain import plain
from modelwright.serving import commands
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front.connections import Clients
from modelwright.serving.front.logs import Lines, LogFile
from modelwright.serving.front.metrics import Metrics
from modelwright.serving.front.service import Service
from modelwright.serving.front.tracing import Spans

_LOG = logging.getLogger(__name__)
FORMAT_VERSION = 1
_SWEEP_SECONDS = 0.25
# How often deployments are compared while several serve.
_LOOK_SECONDS = 1.0
# Cleaners of temporary folders remove what has not been touched for days.
_TOUCH_SECONDS = 3600.0
# Those who look whether anybody lives hold the lock for a moment.
_LOCK_SECONDS = 1.0
_FAREWELL_SECONDS = 2.0
_BACKLOG = 1024
_HIGHEST_PORT = 65_535
# What the front holds open besides its clients' connections, and those who are told that there are too many.
_OTHER_FILES = 400


class Front:
    """One endpoint."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Take over what the command line says."""
        self.endpoint: str = options.endpoint
        self._runtime_folder = Path(options.runtime_folder)
        self._log = Path(options.log)
        self._log_file = LogFile(self._log)
        self._host: str = options.host
        self._port: int = options.port
        settings: FrontSettings = decoded(FrontSettings, json.loads(options.settings))
        recorder = Recorder(Path(options.capture_folder) / self.endpoint, settings.capture)
        self._service = Service(settings, recorder=recorder, log=self._log)
        self._started_at = now()
        capacity = _file_limit(settings.limits.max_connections + _OTHER_FILES) - _OTHER_FILES
        self._clients = Clients(
            self._service.scoring.handle, settings.limits, admit=self._service.scoring.admit, capacity=capacity
        )
        metrics = Metrics(
            self.endpoint, scoring=self._service.scoring, clients=self._clients, started_at=self._started_at
        )
        self._service.scoring.metrics = metrics.text
        self._spans = Spans(self.endpoint)
        self._service.scoring.spans = self._spans if self._spans.is_sending else None
        self._grace_seconds = settings.timeout_ms / 1000
        self._stopping = asyncio.Event()
        self._files = [self._runtime_folder / f"{self.endpoint}.{ending}" for ending in ("json", "sock")]

    async def run(self, report: "Report") -> int:
        """Serve until told to stop. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if not 0 <= self._port <= _HIGHEST_PORT:
            # uvloop would take the lower half of the number.
            report.failed("port", f"ports go from 0 to {_HIGHEST_PORT}")
            return 1
        try:
            listener = await loop.create_server(self._clients.connect, self._host, self._port, backlog=_BACKLOG)
        except OSError as error:
            report.failed("port", str(error))
            return 1
        self._port = listener.sockets[0].getsockname()[1]
        state, control_path = self._files
        control_path.unlink(missing_ok=True)
        control = await asyncio.start_unix_server(self._command, control_path)
        told = self._status()
        temporary = state.with_suffix(".json.new")
        temporary.write_text(json.dumps(told | {"format_version": FORMAT_VERSION}))
        temporary.replace(state)
        # What is here stays. The collector, which would stop every client while it looks through it all, need not.
        gc.collect()
        gc.freeze()
        report.started(told)
        _LOG.info("endpoint %s listens on %s port %d", self.endpoint, self._host, self._port)
        sweeper = asyncio.create_task(self._sweep())
        await self._stopping.wait()
        sweeper.cancel()
        # No new clients, and no more commands, while those that are here get their answers.
        listener.close()
        control.close()
        await self._finish()
        for path in self._files:
            path.unlink(missing_ok=True)
        _LOG.info("endpoint %s stopped", self.endpoint)
        return 0

    async def _finish(self) -> None:
        """Answer what is waiting, then end every worker."""
        self._clients.close_when_idle()
        await self._service.close(drain_seconds=self._grace_seconds)
        # What was answered last may still be on its way out.
        await self._clients.wait_closed(_FAREWELL_SECONDS)
        self._spans.close(patience_seconds=_FAREWELL_SECONDS)

    async def _sweep(self) -> None:
        """End connections whose time is up; notice that the workspace is gone; keep our files from being cleaned up."""
        loop = asyncio.get_running_loop()
        touched = looked = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            moment = loop.time()
            self._clients.sweep(moment)
            if moment - looked > _LOOK_SECONDS:
                looked = moment
                self._compare()
            if not self._log.parent.is_dir() or not self._files[0].exists():
                _LOG.error("the workspace or the runtime folder of endpoint %s is gone", self.endpoint)
                self._stopping.set()
                continue
            self._log_file.check(self._service.settings.limits.max_log_bytes)
            if moment - touched > _TOUCH_SECONDS:
                touched = moment
                for path in (*self._files, self._runtime_folder / f"{self.endpoint}.lock"):
                    with contextlib.suppress(OSError):
                        os.utime(path)

    def _compare(self) -> None:
        try:
            self._service.standings.look()
        except Exception:  # noqa: BLE001 - whatever it is, connections are to be ended and files to be kept all the same
            _LOG.exception("the deployments could not be compared")

    # --- commands ---

    async def _command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = int.from_bytes(await reader.readexactly(commands.LENGTH_BYTES), "big")
            command = json.loads(await reader.readexactly(length))
            # The client says nothing more; its going away, kill -9 included, takes back what it asked for.
            answering = asyncio.create_task(self._obey(command))
            leaving = asyncio.create_task(reader.read(1))
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not answering.done():
                answering.cancel()
                if command["command"] == "deploy":
                    self._service.forget_change()
            writer.write(commands.framed(await answering))
            await writer.drain()
            if command["command"] == commands.STOP:
                self._stopping.set()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            _LOG.info("a command was taken back")
        finally:
            writer.close()

    async def _obey(self, command: Mapping[str, Any]) -> dict[str, Any]:
        if difference := commands.told_difference(command):
            return {"refused": difference}
        match command["command"]:
            case commands.STATUS:
                return self._status()
            case "observe":
                return {"started_at": self._started_at.isoformat(), **await self._service.obey(command)}
            case commands.STOP:
                self._grace_seconds = float(command["grace_seconds"])
                return {}
            case _:
                try:
                    answer = await self._service.obey(command)
                except NotThisRecord as error:
                    return {"refused": f"of the command {command['command']!r}, {error}"}
                self._clients.limits = self._service.settings.limits
                return answer

    def _status(self) -> dict[str, Any]:
        service = self._service
        status = FrontStatus(
            endpoint=self.endpoint,
            pid=os.getpid(),
            host=self._host,
            port=self._port,
            started_at=self._started_at,
            is_healthy=service.scoring.is_healthy,
            version=service.router.default.spec.version if service.router.default else None,
            requests=service.scoring.totals.answered,
            traffic=service.router.traffic,
            deployments=tuple(each.state for each in service.router.versions.values()),
            lease_seconds=service.standings.lease.left_seconds,
            lapsed_at=service.standings.lease.lapsed_at,
            capture=service.scoring.recorder.counts,
        )
        told: dict[str, Any] = plain(asdict(status))
        return told


class Report:
    """The pipe to the process that started us: one JSON object, said once."""

    def __init__(self, descriptor: int) -> None:
        """Speak through `descriptor`."""
        self._descriptor = descriptor

    def started(self, status: Mapping[str, Any]) -> None:
        """Say that the endpoint listens."""
        self._say({"status": dict(status)})

    def failed(self, kind: str, reason: str) -> None:
        """Say why it does not."""
        self._say({"failed": kind, "reason": reason})

    def _say(self, fact: dict[str, Any]) -> None:
        processes.tell(self._descriptor, json.dumps(fact).encode())


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m modelwright.serving.front.server")
    for name in ("--endpoint", "--runtime-folder", "--log", "--capture-folder", "--host", "--settings"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--report-fd"):
        parser.add_argument(name, required=True, type=int)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Detach, take the endpoint's lock, and serve. Returns the exit code."""
    options = _options(arguments)
    # The starter waits for the first process only, so that the second is adopted by the system and leaves no zombie.
    if os.fork():
        os._exit(0)
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Not the asyncio chatter about its selector.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    report = Report(options.report_fd)
    lock_path = Path(options.runtime_folder) / f"{options.endpoint}.lock"
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        report.failed("busy", "another process serves this endpoint")
        return 1
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(options, report))
    finally:
        # While we still hold it: who waits for this lock sees that the file is gone and makes a new one.
        lock_path.unlink(missing_ok=True)
        lock.release()


def _file_limit(wanted: int) -> int:
    """Have the system allow so many open files, or as many as it will; return how many."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return wanted
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest loop that there is for this platform; None stands for Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(options: argparse.Namespace, report: Report) -> int:
    try:
        front = Front(options)
    except OSError as error:
        report.failed("start", f"{error.strerror or error}: {error.filename}")
        return 1
    return await front.run(report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
