"""An endpoint under load that is killed with SIGKILL again and again, and a comparison of what it answered and kept.

`python capture_kills.py 200` kills so many times and prints what it found; `make kills` runs it. What a client got an
answer to must be on record once, as it was asked and answered; what is on record must have been asked.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from modelwright.records import CaptureMode, CaptureSettings, Exchange, FrontSettings, FrontStatus, WorkerSpec
from modelwright.serving import control
from modelwright.serving.capture import compaction, reading
from modelwright.store.database import open_store

_NAME = "killed"
_CONNECTIONS = 32
_LONGEST_SECONDS = 0.6
_COMPACTED_EVERY = 5
_PATIENCE_SECONDS = 20.0
_ECHO = """
def init():
    pass

def run(raw_data):
    return raw_data
"""


@dataclass
class Tally:
    """What was sent, what was answered, and what turned out to be wrong."""

    kills: int = 0
    sent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    kept: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def lost(self) -> set[str]:
        """Answered, and not on record."""
        return self.answered - self.kept.keys()

    @property
    def invented(self) -> set[str]:
        """On record, and never asked."""
        return self.kept.keys() - self.sent

    @property
    def doubled(self) -> set[str]:
        """On record more than once."""
        return {name for name, count in self.kept.items() if count > 1}

    def __str__(self) -> str:
        done = f"{self.kills} kills, {len(self.sent):,} sent, {len(self.answered):,} answered"
        found = f"{len(self.lost)} lost, {len(self.invented)} invented, {len(self.doubled)} doubled"
        return f"{done}, {sum(self.kept.values()):,} kept: {found}, {len(self.wrong)} wrong"


def kill(times: int, *, folder: Path, seed: int = 0) -> Tally:
    """Kill an endpoint below `folder` so many times; return what came of it."""
    chance, tally = random.Random(seed), Tally()
    store = open_store(folder / "workspace")
    capture = store.folder / "capture"
    with tempfile.TemporaryDirectory(prefix="wr-") as short:
        for number in range(times):
            mode = CaptureMode.FAST if number % 4 == 3 else CaptureMode.DURABLE
            status = _serving(folder, capture=capture, runtime_folder=Path(short), mode=mode)
            asyncio.run(
                _load(status.port, number, seconds=chance.random() * _LONGEST_SECONDS, pid=status.pid, tally=tally)
            )
            tally.kills += 1
            if number % _COMPACTED_EVERY == _COMPACTED_EVERY - 1:
                compaction.compact(store, capture / _NAME, actor="ada")
        control.stop(_NAME, runtime_folder=Path(short), timeout_seconds=1)
    for each in reading.exchanges(capture / _NAME):
        _check(each, tally)
    store.close()
    return tally


def _serving(folder: Path, *, capture: Path, runtime_folder: Path, mode: CaptureMode) -> FrontStatus:
    """Start the endpoint anew with its version."""
    settings = FrontSettings(capture=CaptureSettings(mode=mode))
    log = folder / "logs" / "endpoint.log"
    status = control.start(_NAME, runtime_folder=runtime_folder, log=log, capture_folder=capture, settings=settings)
    models = folder / "package" / "azureml-models" / "echo" / "1"
    models.mkdir(parents=True, exist_ok=True)
    script = folder / "package" / "score.py"
    script.write_text(textwrap.dedent(_ECHO), encoding="utf-8")
    worker = WorkerSpec(version="echo:1", python=Path(sys.executable), script=script, model_folder=models)
    control.deploy(_NAME, runtime_folder=runtime_folder, worker=worker)
    return status


async def _load(port: int, number: int, *, seconds: float, pid: int, tally: Tally) -> None:
    """Ask over many connections until the front is killed."""
    asking = [asyncio.create_task(_ask(port, f"{number}-{each}", tally)) for each in range(_CONNECTIONS)]
    await asyncio.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(asyncio.gather(*asking), _PATIENCE_SECONDS)


async def _ask(port: int, name: str, tally: Tally) -> None:
    """Ask one after the other over one connection until it ends; note what was answered whole."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            count = 0
            while True:
                request = f"{name}-{count}"
                body = f"body of {request}".encode()
                tally.sent.add(request)
                head = f"POST /score HTTP/1.1\r\nhost: x\r\nx-request-id: {request}\r\ncontent-length: {len(body)}"
                writer.write(head.encode() + b"\r\n\r\n" + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                content = await reader.readexactly(length)
                if not answer.startswith(b"HTTP/1.1 200") or body.decode() not in content.decode():
                    tally.wrong.append(f"{request}: {answer!r} {content!r}")
                tally.answered.add(request)
                count += 1


def _check(exchange: Exchange, tally: Tally) -> None:
    """Count a record; note one that is not what was asked and answered."""
    name = exchange.request_id
    tally.kept[name] += 1
    asked = f"body of {name}"
    if exchange.input.decode() != asked or (name in tally.answered and asked not in exchange.output.decode()):
        tally.wrong.append(f"{name}: {exchange!r}")


if __name__ == "__main__":
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        found = kill(int(sys.argv[1]), folder=Path(place), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(f"{found} ({time.monotonic() - begun:.0f} s)\n")
    for each in found.wrong[:10]:
        sys.stdout.write(f"{each}\n")
    sys.exit(bool(found.lost or found.invented or found.doubled or found.wrong))
