"""What an event costs: inside a change, on its way to a receiver, and while nothing happens.

`python benchmarks/events/measure.py [PYTHON_WITH_DBOS]` makes workspaces in a temporary folder and prints Markdown
tables. With the interpreter of an environment that has DBOS, its workflows with one step are measured beside.
"""

import contextlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from modelwright import records
from modelwright.lifecycle.events import subscribing, targets
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    DeliveryPolicy,
    DeliveryStatus,
    Envelope,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import deliveries, schema
from modelwright.store.changes import Change, change
from modelwright.store.database import Store, open_store

CHANGES = 1000
TURNS, TURN_CHANGES, TURN_PAUSE_SECONDS = 10, 40, 0.01
PACED, PACE_SECONDS = 300, 0.05
BURST = 1000
POSTS = 2000
DBOS_POSTS = 300
IDLE_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
HERE = Path(__file__).parent
WITH = "with its event"


class _Untold(Change):
    """A change whose records make no events: what it would cost without them."""

    def _publish(self, action: str, subject: str, at: str, data: str) -> None:
        """Publish nothing."""


@contextlib.contextmanager
def untold(store: Store) -> Iterator[Change]:
    """Open a transaction that publishes nothing."""
    with store.writing() as connection:
        yield _Untold(connection, actor="benchmark", why="", at=records.now())


def describe(opened: Change, number: int) -> None:
    """Do what is a change: a row, and the record of it."""
    row = {"name": f"churn-{number}", "created_at": opened.at, "updated_at": opened.at}
    known = {column.name for column in schema.models.c}
    opened.insert(schema.models, {name: value for name, value in row.items() if name in known})
    opened.record("model.registered", f"models/churn-{number}:1", after={"number": number, "framework": "sklearn"})


def publishing(store: Store) -> dict[str, tuple[float, float]]:
    """Return the median microseconds, of the clock and of a processor, of a change with its event and without."""
    ways: dict[str, Callable[[], contextlib.AbstractContextManager[Change]]] = {
        "the change alone: its row and its audit record": lambda: untold(store),
        WITH: lambda: change(store, actor="benchmark"),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    number = 0
    for _ in range(CHANGES):
        for name, way in ways.items():
            number += 1
            begun, used = time.perf_counter(), time.process_time()
            with way() as opened:
                describe(opened, number)
            taken[name].append((time.perf_counter() - begun, time.process_time() - used))
    return {
        name: (statistics.median(each[0] for each in times) * 1e6, statistics.median(each[1] for each in times) * 1e6)
        for name, times in taken.items()
    }


@dataclass
class Receiving:
    """A receiver in a process of its own, and when it got what."""

    process: "subprocess.Popen[str]"
    url: str
    came: dict[str, float]
    enough: threading.Condition

    def wait(self, count: int) -> None:
        """Wait until so many different events have come."""
        with self.enough:
            if not self.enough.wait_for(lambda: len(self.came) >= count, PATIENCE_SECONDS):
                sys.exit(f"only {len(self.came)} of {count} events came")


@contextlib.contextmanager
def receiving() -> Iterator[Receiving]:
    """Give a receiver."""
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-u", HERE / "receiver.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        output = process.stdout
        if output is None or process.stdin is None:
            sys.exit("no pipes")
        found = Receiving(process, f"http://127.0.0.1:{output.readline().strip()}/", {}, threading.Condition())

        def read() -> None:
            for line in output:
                event, _, at = line.partition(" ")
                with found.enough:
                    found.came.setdefault(event, float(at))
                    found.enough.notify()

        reading = threading.Thread(target=read)
        reading.start()
        yield found
        process.stdin.close()
        reading.join()


def subscribe(store: Store, url: str) -> None:
    """Let the receiver be told of every model."""
    made = Subscription(
        name="receiver",
        handler=HandlerKind.WEBHOOK,
        target=targets.webhook(url, is_private_allowed=True),
        filter=EventFilter(types=("model.registered",)),
        envelope=Envelope.CLOUD_EVENTS,
        policy=DeliveryPolicy(),
        state=SubscriptionState.ACTIVE,
        created_by="benchmark",
        created_at=records.now(),
    )
    subscribing.subscribe(Session(store, "benchmark"), made, is_vouched_for=True)


def publish(store: Store, count: int, *, pace_seconds: float = 0.0) -> dict[str, float]:
    """Make changes one after the other; return when each event was committed, by its id."""
    made = []
    for number in range(count):
        with change(store, actor="benchmark") as opened:
            opened.record("model.registered", f"models/churn:{number}", after={"number": number})
        made.append(time.time())
        time.sleep(pace_seconds)
    newest = sa.select(schema.events.c.id).order_by(schema.events.c.sequence.desc()).limit(count)
    with store.reader.connect() as connection:
        return dict(zip(reversed(connection.execute(newest).scalars().all()), made, strict=True))


@contextlib.contextmanager
def dispatching(store: Store) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a dispatcher in a process of its own, as it is beside whoever makes changes."""
    with subprocess.Popen([sys.executable, __file__, "--dispatch", store.folder]) as process:  # noqa: S603 - ours
        yield process
        process.terminate()


def dispatch(folder: Path) -> None:
    """Tell of events until SIGTERM."""
    Dispatcher(open_store(folder)).run(threading.Event())


def latencies(folder: Path) -> dict[str, list[float]]:
    """Return the milliseconds from the end of a change until the receiver had the event, sorted."""
    found = {}
    for name, count, pace in ((f"{1 / PACE_SECONDS:.0f} a second", PACED, PACE_SECONDS), ("a burst", BURST, 0.0)):
        store = open_store(folder / name)
        with receiving() as receiver, dispatching(store):
            subscribe(store, receiver.url)
            publish(store, 1)
            receiver.wait(1)
            made = publish(store, count, pace_seconds=pace)
            receiver.wait(count + 1)
        found[name] = sorted((receiver.came[event] - at) * 1e3 for event, at in made.items())
        store.close()
    return found


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours_per_cpu_second(folder: Path) -> tuple[float, float]:
    """Return how many events a second of a processor delivers here, and how many with the whole changes they are of."""
    store = open_store(folder)
    with receiving() as receiver:
        subscribe(store, receiver.url)
        publish(store, 20)
        Dispatcher(store).run_once()
        used = _cpu_seconds()
        publish(store, POSTS)
        published = _cpu_seconds()
        Dispatcher(store).run_once()
        delivered = _cpu_seconds()
        receiver.wait(POSTS + 20)
    counts = deliveries.count_deliveries(store)["receiver"]
    if counts != {DeliveryStatus.DELIVERED: POSTS + 20}:
        sys.exit(f"not all was delivered: {counts}")
    store.close()
    return POSTS / (delivered - published), POSTS / (delivered - used)


def dbos_per_cpu_second(python: str, folder: Path) -> float:
    """Return how many workflows with one step that posts a second of a processor does with DBOS on SQLite."""
    with receiving() as receiver:
        command = [python, str(HERE / "dbos_posts.py"), str(folder / "dbos.sqlite"), receiver.url, str(DBOS_POSTS)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return DBOS_POSTS / float(json.loads(done.stdout.splitlines()[-1])["cpu_seconds"])


def idle(folder: Path) -> float:
    """Return the part of a processor that a dispatcher with a subscriber takes while nothing happens."""
    store = open_store(folder)
    with receiving() as receiver, dispatching(store) as process:
        subscribe(store, receiver.url)
        publish(store, 1)
        receiver.wait(1)
        time.sleep(2)
        before = _of(process.pid)
        time.sleep(IDLE_SECONDS)
        used = _of(process.pid) - before
    store.close()
    return used / IDLE_SECONDS


def _of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--dispatch"]:
        dispatch(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory(prefix="wright-events-") as temporary:
        folder = Path(temporary)
        store = open_store(folder / "publishing")
        costs = publishing(store)
        store.close()
        alone, beside = beside_a_dispatcher(folder / "beside")
        first = next(iter(costs.values()))
        print("| a change | clock, µs | processor, µs | times, at most 1.3 |\n|---|---:|---:|---:|")
        for name, (clock, cpu) in costs.items():
            print(f"| {name} | {clock:,.0f} | {cpu:,.0f} | {clock / first[0]:.2f}, {cpu / first[1]:.2f} |")
        print(f"| alone, in turns with the next | {alone:,.0f} | | 1.00 |")
        print(f"| with its event, a dispatcher at work | {beside:,.0f} | | {beside / alone:.2f} |")
        print("\n| from the change to the receiver, ms | half within | 99 % within | longest |\n|---|---:|---:|---:|")
        for name, took in latencies(folder / "latency").items():
            print(f"| {name} | {statistics.median(took):,.0f} | {took[int(len(took) * 0.99)]:,.0f} | {took[-1]:,.0f} |")
        print(f"\nidle: {idle(folder / 'idle'):.2%} of a processor")
        delivered, whole = ours_per_cpu_second(folder / "posts")
        dbos = dbos_per_cpu_second(sys.argv[1], folder) if len(sys.argv) > 1 else math.nan
        event = 1 / (1 / delivered + (costs[WITH][1] - first[1]) / 1e6)
        print("\n| a second of a processor | events | times DBOS, at least 8 |\n|---|---:|---:|")
        for name, count in (
            ("DBOS, a workflow with one step", dbos),
            ("an event, written and delivered", event),
            ("the same with the whole change that it is of", whole),
        ):
            print(f"| {name} | {count:,.0f} | {count / dbos:.1f} |")


def beside_a_dispatcher(folder: Path) -> tuple[float, float]:
    """Return the median microseconds of a change alone, and of one with its event that is told to a receiver meanwhile.

    They take turns, each in a workspace of its own on the same disk: what else the machine has to do is in both.
    """
    quiet, busy = open_store(folder / "quiet"), open_store(folder / "busy")
    alone: list[float] = []
    beside: list[float] = []
    with receiving() as receiver, dispatching(busy):
        subscribe(busy, receiver.url)
        for turn in range(TURNS):
            alone += _turn(lambda: untold(quiet), turn)
            beside += _turn(lambda: change(busy, actor="benchmark"), turn)
            receiver.wait((turn + 1) * TURN_CHANGES)
    for each in (quiet, busy):
        each.close()
    return statistics.median(alone), statistics.median(beside)


def _turn(way: Callable[[], contextlib.AbstractContextManager[Change]], turn: int) -> Iterator[float]:
    for number in range(TURN_CHANGES):
        begun = time.perf_counter()
        with way() as opened:
            describe(opened, turn * TURN_CHANGES + number)
        yield (time.perf_counter() - begun) * 1e6
        time.sleep(TURN_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
