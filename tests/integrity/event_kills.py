"""Four dispatchers of one workspace that are killed with SIGKILL again and again, while events go on happening.

`python event_kills.py 200` kills so many times and prints what it found; `make event-kills` runs it. Every event must
reach every subscriber that wants it, or be given up because the subscriber says so; what comes twice bears one id.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from modelwright import records
from modelwright.lifecycle.events import handlers, subscribing, targets
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    Attempt,
    DeadReason,
    Delivery,
    DeliveryPolicy,
    DeliveryStatus,
    Envelope,
    Event,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.settings import child_environment
from modelwright.store import audit, deliveries
from modelwright.store.database import Store, open_store

_DISPATCHERS = 4
_SUBSCRIBERS = ("well", "slow", "strict")
_TYPE = "model.registered"
_LONGEST_SECONDS = 0.5
_SLOW_SECONDS = 0.05
_PATIENCE_SECONDS = 120.0
# How a dispatcher comes to its end: from outside at any time, or by its own hand before or after it has told somebody.
_OUTSIDE, _BEFORE, _AFTER = "outside", "before", "after"


@dataclass
class Tally:
    """What happened, what was told, and what turned out to be wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended: dict[tuple[str, str], Delivery] = field(default_factory=dict)

    @property
    def lost(self) -> set[tuple[str, str]]:
        """Wanted, and never told, or not on record as ended."""
        return (self.wanted - self.told.keys()) | (self.wanted - self.ended.keys())

    @property
    def invented(self) -> set[tuple[str, str]]:
        """Told, and never wanted."""
        return self.told.keys() - self.wanted

    @property
    def doubled(self) -> int:
        """How often something was told once more than needed."""
        return sum(self.told.values()) - len(self.told)

    @property
    def wrong(self) -> list[Delivery]:
        """Given up without the subscriber's saying so."""
        return [
            each
            for each in self.ended.values()
            if (each.status is DeliveryStatus.DEAD) != (each.subscription == "strict" and _is_refused(each.event.id))
            or each.reason not in {None, DeadReason.HOPELESS}
        ]

    def __str__(self) -> str:
        dead = sum(each.status is DeliveryStatus.DEAD for each in self.ended.values())
        kills = ", ".join(f"{count} {way}" for way, count in sorted(self.kills.items()))
        done = f"{self.kills.total()} kills ({kills}), {len(self.wanted):,} to tell, {self.told.total():,} told"
        ends = f"{len(self.ended) - dead:,} delivered, {dead:,} dead by the subscriber's word"
        found = f"{len(self.lost)} lost, {len(self.invented)} invented, {len(self.wrong)} wrong"
        return f"{done}: {ends}, {found}, {self.doubled} told twice under the same id"


def kill(times: int, *, folder: Path, seed: int = 0) -> Tally:
    """Kill dispatchers of a workspace below `folder` so many times while events happen; return what came of it."""
    chance, tally = random.Random(seed), Tally()
    store = open_store(folder / "workspace")
    session = Session(store, "ada")
    with _receiver(tally) as port, _nursery(store.folder) as nursery:
        for name in _SUBSCRIBERS:
            subscribing.subscribe(session, _subscription(name, port), is_vouched_for=True)
        is_over = threading.Event()
        happening = threading.Thread(target=_let_happen, args=(session, is_over))
        happening.start()
        living = [nursery.spawn(_OUTSIDE) for _ in range(_DISPATCHERS)]
        for number in range(times):
            way = (_OUTSIDE, _BEFORE, _AFTER)[number % 3]
            time.sleep(chance.random() * _LONGEST_SECONDS)
            os.kill(living.pop(0), signal.SIGKILL)
            tally.kills[_OUTSIDE] += 1
            if way != _OUTSIDE and sum(tally.kills.values()) < times:
                nursery.wait(nursery.spawn(way))
                tally.kills[way] += 1
            living.append(nursery.spawn(_OUTSIDE))
            if sum(tally.kills.values()) >= times:
                break
        is_over.set()
        happening.join()
        _wait_until_told(store)
        for each in living:
            os.kill(each, signal.SIGTERM)
            nursery.wait(each)
    events = [each["id"] for each in audit.list_events(store) if each["type"] == _TYPE]
    tally.wanted = {(name, event) for name in _SUBSCRIBERS for event in events}
    for each in deliveries.list_deliveries(store):
        assert (each.subscription, each.event.id) not in tally.ended
        if each.status is not DeliveryStatus.PENDING:
            tally.ended[each.subscription, each.event.id] = each
    assert audit.list_events(store)[-1]["type"] == _TYPE  # telling has made none
    store.close()
    return tally


def _subscription(name: str, port: int) -> Subscription:
    return Subscription(
        name=name,
        handler=HandlerKind.WEBHOOK,
        target=targets.webhook(f"http://127.0.0.1:{port}/{name}", is_private_allowed=True),
        filter=EventFilter(types=(_TYPE,)),
        envelope=Envelope.CLOUD_EVENTS,
        policy=DeliveryPolicy(),
        state=SubscriptionState.ACTIVE,
        created_by="ada",
        created_at=records.now(),
    )


def _is_refused(event_id: str) -> bool:
    return event_id.endswith(("0", "1", "2"))


def _let_happen(session: Session, is_over: threading.Event) -> None:
    number = 0
    while not is_over.wait(0.01):
        number += 1
        with session.change() as opened:
            opened.record(_TYPE, f"models/churn:{number}", after={"number": number})


def _wait_until_told(store: Store) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    count = sum(each["type"] == _TYPE for each in audit.list_events(store))
    while time.monotonic() < deadline:
        counts = deliveries.count_deliveries(store)
        ended = [n for each in counts.values() for status, n in each.items() if status is not DeliveryStatus.PENDING]
        if sum(ended) == count * len(_SUBSCRIBERS):
            return
        time.sleep(0.05)


@contextlib.contextmanager
def _receiver(tally: Tally) -> Iterator[int]:
    """Serve the subscribers on a free port, whose number is given, and count what they are told."""
    lock = threading.Lock()

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = self.path.removeprefix("/")
            assert told["id"] == self.headers["webhook-id"]
            with lock:
                tally.told[name, told["id"]] += 1
            if name == "slow":
                time.sleep(_SLOW_SECONDS)
            is_refused = name == "strict" and _is_refused(told["id"])
            with contextlib.suppress(OSError):  # who asked may be dead
                self.send_response(400 if is_refused else 204)
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a connection that was cut by a kill

    with Quiet(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


class _Nursery:
    """A process that has everything imported, and forks a dispatcher whenever it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__), "--nursery", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment({"PYTHONPATH": str(Path(__file__).parents[1])}),
        )

    def spawn(self, way: str) -> int:
        return int(self._ask(way))

    def wait(self, pid: int) -> None:
        """Wait until that dispatcher has ended."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._ask(str(pid)) == "lives":
            assert time.monotonic() < deadline, f"dispatcher {pid} does not end"
            time.sleep(0.01)

    def _ask(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def _nursery(folder: Path) -> Iterator[_Nursery]:
    nursery = _Nursery(folder)
    with nursery.process:
        yield nursery


def _be_nursery(folder: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead go away by themselves
    for number, line in enumerate(sys.stdin):
        if line.strip().isdecimal():
            try:
                os.kill(int(line), 0)
                sys.stdout.write("lives\n")
            except ProcessLookupError:
                sys.stdout.write("gone\n")
        elif (child := os.fork()) == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _dispatch(folder, line.strip(), patience=1 + number % 10)
            os._exit(0)
        else:
            sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _dispatch(folder: Path, way: str, *, patience: int) -> None:
    """Tell of events until SIGTERM, or until this process ends itself at its so-manieth attempt."""
    store, stopped, left = open_store(folder), threading.Event(), iter(range(patience, -(10**9), -1))
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())

    def send(store: Store, subscription: Subscription, event: Event, *, attempt: int) -> Attempt:
        is_last = next(left) <= 0
        if is_last and way == _BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        told = handlers.send(store, subscription, event, attempt=attempt)
        if is_last and way == _AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return told

    Dispatcher(store, send).run(stopped)


if __name__ == "__main__":
    if sys.argv[1] == "--nursery":
        _be_nursery(Path(sys.argv[2]))
        sys.exit()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        found = kill(int(sys.argv[1]), folder=Path(place), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(f"{found} ({time.monotonic() - begun:.0f} s)\n")
    for each in [*found.lost, *found.invented, *found.wrong][:10]:
        sys.stdout.write(f"{each}\n")
    sys.exit(bool(found.lost or found.invented or found.wrong))
