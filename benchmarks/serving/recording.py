"""What keeping a request costs, beside other ways to keep it: all in one run, on one disk, in one process each.

`python benchmarks/serving/recording.py [--folder DIR] [--seconds 3] [--rounds 3]` prints a table. So many requests are
in flight at once, and each is followed by another when it is safe. Ways: the recorder's modes; a flush for each
record; a flush for all that wait, of a file that grows (the recorder without the zeros ahead); SQLite with a
transaction for each record or for all that wait, with `synchronous` FULL and NORMAL; nothing, which is the loop of the
benchmark itself.
"""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from modelwright.records import CaptureMode, CaptureSettings, Exchange, new_request_id
from modelwright.serving.capture.encoding import encoded
from modelwright.serving.capture.recorder import Recorder

IN_FLIGHT = (1, 16, 64, 256)
INPUT = b'{"data": [[0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.020, -0.018]]}'
OUTPUT = b'{"result": [206.117]}'

Done = Callable[[bool], None]


class Keeper(Protocol):
    """Keeps exchanges, as the recorder does."""

    def record(self, exchange: Exchange, done: Done) -> None:
        """Keep an exchange and call `done` when it is safe."""

    async def close(self) -> None:
        """Finish."""


class Nothing:
    """Keeps nothing."""

    def record(self, exchange: Exchange, done: Done) -> None:  # noqa: ARG002 - as the others
        """Say at once that it is done."""
        done(True)  # noqa: FBT003

    async def close(self) -> None:
        """Do nothing."""


class Grouped:
    """Keeps what a turn of the loop brought by one call of `write`, in the loop's own thread."""

    def __init__(
        self, write: Callable[[list[bytes]], None], end: Callable[[], None], *, at_once: int = 1 << 30
    ) -> None:
        """Give `write` at most `at_once` records."""
        self._write, self._end, self._at_once = write, end, at_once
        self._waiting: list[tuple[bytes, Done]] = []

    def record(self, exchange: Exchange, done: Done) -> None:
        """Have an exchange written at the end of the turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((encoded(exchange, {}), done))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), self._at_once):
            some = waiting[start : start + self._at_once]
            self._write([content for content, _ in some])
            for _, done in some:
                done(True)  # noqa: FBT003

    async def close(self) -> None:
        """Close what is written to."""
        self._end()


def flushed(folder: Path, *, at_once: int = 1 << 30) -> Grouped:
    """Return what appends to a file and flushes it."""
    descriptor = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(contents: list[bytes]) -> None:
        os.write(descriptor, b"".join(contents))
        os.fdatasync(descriptor)

    return Grouped(write, lambda: os.close(descriptor), at_once=at_once)


def database(folder: Path, *, synchronous: str, at_once: int = 1 << 30) -> Grouped:
    """Return what inserts into a table of SQLite."""
    connection = sqlite3.connect(folder / "log.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("CREATE TABLE records (content BLOB)")

    def write(contents: list[bytes]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO records VALUES (?)", [(each,) for each in contents])
        connection.execute("COMMIT")

    return Grouped(write, connection.close, at_once=at_once)


def recorder(folder: Path, mode: CaptureMode) -> Recorder:
    """Return ours."""
    return Recorder(folder / "endpoint", CaptureSettings(mode=mode, rate=0.1))


WAYS: dict[str, Callable[[Path], Keeper]] = {
    "nothing": lambda _: Nothing(),
    "off": lambda folder: recorder(folder, CaptureMode.OFF),
    "sample 0.1": lambda folder: recorder(folder, CaptureMode.SAMPLE),
    "fast": lambda folder: recorder(folder, CaptureMode.FAST),
    "durable": lambda folder: recorder(folder, CaptureMode.DURABLE),
    "flush for all that wait, growing file": flushed,
    "flush for each": lambda folder: flushed(folder, at_once=1),
    "SQLite FULL, all that wait": lambda folder: database(folder, synchronous="FULL"),
    "SQLite FULL, each": lambda folder: database(folder, synchronous="FULL", at_once=1),
    "SQLite NORMAL, each": lambda folder: database(folder, synchronous="NORMAL", at_once=1),
}


@dataclass(frozen=True)
class Measured:
    """What a way took."""

    way: str
    in_flight: int
    records_a_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def exchanges(number: int) -> list[Exchange]:
    """Return different requests."""
    return [
        Exchange(new_request_id(), time.time(), "m:1", "m:1", "/score", 200, 0.4, {}, INPUT, OUTPUT)
        for _ in range(number)
    ]


async def measure(keeper: Keeper, *, in_flight: int, seconds: float) -> tuple[float, float, list[float]]:
    """Keep requests for a while; return records a second, CPU seconds a record, and the seconds each took."""
    loop, told, ended = asyncio.get_running_loop(), exchanges(4096), asyncio.Event()
    took: list[float] = []
    living, end = in_flight, time.perf_counter() + seconds

    def ask() -> None:
        nonlocal living
        begun = time.perf_counter()
        if begun > end:
            living -= 1
            if not living:
                ended.set()
            return

        def done(_is_answered: bool) -> None:  # noqa: FBT001 - as a recorder calls it
            took.append(time.perf_counter() - begun)
            loop.call_soon(ask)

        keeper.record(told[len(took) & 4095], done)

    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(in_flight):
        loop.call_soon(ask)
    await ended.wait()
    elapsed, spent = time.perf_counter() - begun, time.process_time() - cpu
    await keeper.close()
    return len(took) / elapsed, spent / len(took), took


@contextmanager
def place(parent: Path | None) -> Iterator[Path]:
    """Give an empty folder on the disk that is measured."""
    folder = Path(tempfile.mkdtemp(prefix="recording-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run(way: str, *, in_flight: int, seconds: float, parent: Path | None) -> Measured:
    """Measure one way once."""
    with place(parent) as folder:

        async def main() -> tuple[float, float, list[float]]:
            return await measure(WAYS[way](folder), in_flight=in_flight, seconds=seconds)

        a_second, cpu, took = asyncio.run(main())
    took.sort()
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    return Measured(way, in_flight, a_second, cpu * 1e6, took[len(took) // 2] * 1e3, p99 * 1e3)


def middle(measured: list[Measured]) -> Measured:
    """Return the medians of several rounds."""
    columns = zip(*(list(asdict(each).values())[2:] for each in measured), strict=True)
    numbers = [statistics.median(values) for values in columns]
    return Measured(measured[0].way, measured[0].in_flight, *numbers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="On which disk; by default that of temporary files.")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| in flight | way | records/s | x flush for each | CPU us/record | p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for in_flight in IN_FLIGHT:
        rounds: dict[str, list[Measured]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):  # one after the other in every round: the disk is not the same all the time
            for way, found in rounds.items():
                found.append(run(way, in_flight=in_flight, seconds=options.seconds, parent=options.folder))
        each_flushed = middle(rounds["flush for each"]).records_a_second
        for found in rounds.values():
            one = middle(found)
            rows.append(asdict(one))
            ratio = one.records_a_second / each_flushed
            print(
                f"| {in_flight} | {one.way} | {one.records_a_second:,.0f} | {ratio:.1f} | {one.cpu_us:.1f} | "
                f"{one.p50_ms:.3f} | {one.p99_ms:.3f} |"
            )
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
