"""What a server is to the benchmark: how it is started, asked, checked, watched and ended."""

import contextlib
import json
import math
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ground import SERVER_CORE, VARIABLES, Ground

_START_SECONDS = 180.0
_END_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
Rows = list[list[float]]


class Unfit(Exception):
    """A server did not start, or does not answer what the model says."""

    def __init__(self, server: str, reason: object) -> None:
        """Say which, and what it said."""
        super().__init__(f"{server}: {reason}")


@dataclass
class Running:
    """A server that was started at `began`, if that tells anything.

    `spent` is the CPU of the programs that started it and ended.
    """

    port: int
    roots: list[psutil.Process]
    stop: Callable[[], None]
    began: float | None
    spent: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    is_restless: bool = False

    def family(self) -> list[psutil.Process]:
        """Return every process of it that lives."""
        found = []
        for root in self.roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [root, *root.children(recursive=True)]
        return list(dict.fromkeys(found))

    def cpu_seconds(self) -> float:
        """Return the CPU that all of them have used, those included that ended and were waited for."""
        used = 0.0
        for each in self.family():
            with contextlib.suppress(psutil.Error):
                times = each.cpu_times()
                used += times.user + times.system + times.children_user + times.children_system
        return used

    def freeze(self) -> None:
        """Let it stand still while others are measured."""
        for each in self.family():
            with contextlib.suppress(psutil.Error):
                each.suspend()

    def thaw(self) -> None:
        """Let it go on."""
        for each in self.family():
            with contextlib.suppress(psutil.Error):
                each.resume()

    def memory_mb(self) -> float:
        """Return the memory that all of them hold, what they share counted once (PSS)."""
        held = 0
        for each in self.family():
            with contextlib.suppress(psutil.Error):
                held += each.memory_full_info().pss
        return held / 2**20


def as_data(rows: Rows) -> object:
    """Return the request that most of them take."""
    return {"data": rows}


def from_result(answer: Any) -> list[float]:
    """Return the numbers of the answer that most of them give."""
    numbers: list[float] = answer["result"]
    return numbers


@dataclass(frozen=True)
class Server:
    """Something that serves a model over HTTP."""

    name: str
    title: str
    start: Callable[[Ground, str], Running]
    environment: Callable[[Ground], Path] | None = None
    path: str = "/score"
    ask: Callable[[Rows], object] = as_data
    told: Callable[[Any], list[float]] = from_result
    is_steady: bool = True  # the same bytes are answered to the same request
    is_ours: bool = False
    is_floor: bool = False  # answers what it was given, whatever is asked
    models: tuple[str, ...] = ("m1", "m2", "m3")

    def request(self, ground: Ground, model: str, *, rows: int, headers: Mapping[str, str]) -> bytes:
        """Return the bytes of a request of so many rows."""
        asked = json.loads((ground.model(model) / f"rows-{rows}.json").read_text())
        body = json.dumps(self.ask(asked)).encode()
        lines = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Accept": "*/*",
            "User-Agent": "load",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def check(self, ground: Ground, model: str, running: Running, *, rows: int) -> bytes:
        """Ask once and return the answer's body. Raises Unfit unless it says what the model itself says."""
        folder = ground.model(model)
        body = self.request(ground, model, rows=rows, headers={}).partition(b"\r\n\r\n")[2]
        request = urllib.request.Request(
            f"http://127.0.0.1:{running.port}{self.path}",
            data=body,
            headers={"Content-Type": "application/json", **running.headers},
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
                said: bytes = response.read()
        except urllib.error.HTTPError as error:
            raise Unfit(self.name, f"{error.code} {error.read()[:500]!r}") from error
        if not self.is_floor:
            right = json.loads((folder / f"answers-{rows}.json").read_text())
            given = self.told(json.loads(said))
            if len(given) != len(right) or not all(map(_is_close, given, right)):
                raise Unfit(self.name, f"{said[:200]!r} where the model says {str(right)[:200]}")
        return said

    def await_answer(self, ground: Ground, model: str, running: Running) -> None:
        """Wait until it gives its first right answer. Raises Unfit when it never does."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.check(ground, model, running, rows=1)
            except (OSError, Unfit) as error:
                if time.monotonic() > deadline or not running.family():
                    raise Unfit(self.name, f"it did not start: {error}") from error
                time.sleep(_PAUSE_SECONDS)
            else:
                return


def _is_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)


def launch(
    command: list[str | Path], *, port: int, log: Path, variables: Mapping[str, str] | None = None, folder: Path
) -> Running:
    """Start a program on the servers' core and return it; `stop` ends it and everything that it started."""
    began = time.monotonic()
    pinned = ["taskset", "-c", str(SERVER_CORE), *command]
    with log.open("ab") as output:
        started = subprocess.Popen(  # noqa: S603 - the commands of this benchmark
            pinned,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**VARIABLES, **(variables or {})},
            cwd=folder,
            start_new_session=True,
        )
    running = Running(port, [psutil.Process(started.pid)], lambda: None, began)

    def stop() -> None:
        family = running.family()
        started.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(_END_SECONDS)
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        started.wait()
        psutil.wait_procs(family, timeout=_END_SECONDS)

    running.stop = stop
    return running
