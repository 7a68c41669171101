"""What audit records cost, and how long it takes to walk them, export them and look back over them.

`python benchmarks/audit.py [RECORDS]` makes workspaces in a temporary folder and prints a Markdown table.
"""

import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelwright.records import DatasetVersion, Endpoint
from modelwright.store import audit, chain, datasets, endpoints, history, schema, undoing
from modelwright.store.changes import change
from modelwright.store.database import Store, open_store

ROUNDS = 2000
WRITERS = 32
WRITES = 100


def microseconds(call: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(taken)


def costs(store: Store) -> dict[str, float]:
    """Return the cost of a record's parts within one open transaction, and of whole changes, in microseconds."""
    statement = "UPDATE datasets SET description = ? WHERE name = 'sales'"
    where = schema.datasets.c.name == "sales"
    facts = {"description": "about sales"}
    found: dict[str, float] = {}
    with change(store, actor="benchmark") as opened:
        written = chain.Written(1, "2026-01-01T00:00:00.000000+00:00", "a", "b.c", "d/e", "why", "null", "{}", "{}")
        insert = "INSERT INTO audit_records VALUES (NULL,'2026','a','b.c','d/e','why','null','{}','{}','0')"
        found["insert of the record's row alone"] = microseconds(lambda: opened.connection.exec_driver_sql(insert))
        opened.connection.exec_driver_sql("DELETE FROM audit_records WHERE digest = '0'")
        found["digest that chains it"] = microseconds(lambda: chain.digest_after(chain.FIRST, written))
        found["row as it was before"] = microseconds(
            lambda: list(undoing.rows(schema.datasets, where, opened.connection))
        )
        found["Change.record, with its event"] = microseconds(
            lambda: opened.record("dataset.described", "datasets/sales", before=facts, after=facts)
        )
        found["UPDATE by the driver"] = microseconds(lambda: opened.connection.exec_driver_sql(statement, ("x",)))
        found["Change.update"] = microseconds(lambda: opened.update(schema.datasets, where, description="x"))
        opened.record("dataset.described", "datasets/sales")
    names = iter(range(10**9))

    def describe() -> None:
        with change(store, actor="benchmark") as opened:
            datasets.describe(opened, "sales", f"about {next(names)}")

    found["a whole change on disk: describe a dataset"] = microseconds(describe, rounds=300)
    return found


def write(folder: Path, number: int) -> None:
    """Make changes as one of many processes."""
    store = open_store(folder)
    for count in range(WRITES):
        with change(store, actor=f"writer {number}") as opened:
            datasets.describe(opened, "sales", f"{number} {count}")
    store.close()


def race(store: Store) -> tuple[float, int, str]:
    """Let many processes write at once; return seconds, how many failed, and what is wrong with the chain."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=write, args=(store.folder, number)) for number in range(WRITERS)]
    begun = time.perf_counter()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return time.perf_counter() - begun, sum(each.exitcode != 0 for each in workers), audit.check(store).fault


def fill(store: Store, count: int) -> datetime:
    """Record that an endpoint was moved `count` times, as fast as the driver can, and return the time before."""
    with change(store, actor="benchmark") as opened:
        place = endpoints.ensure_endpoint(opened, "churn", host="127.0.0.1")
    with change(store, actor="benchmark") as opened:
        last = opened._last_record()  # noqa: SLF001 - to go on from there
        for start in range(0, count, 10_000):
            rows = []
            for number in range(start, min(start + 10_000, count)):
                written = _moved(last[0] + 1, opened.at, place, port=number)
                last = (written.sequence, chain.digest_after(last[1], written))
                rows.append((*written, last[1]))
            columns = ", ".join([*chain.Written._fields, "digest"])
            marks = ", ".join("?" * len(rows[0]))
            statement = f"INSERT INTO audit_records ({columns}) VALUES ({marks})"  # noqa: S608 - ours
            opened.connection.exec_driver_sql(statement, rows)
    return place.created_at


def _moved(sequence: int, at: datetime, place: Endpoint, *, port: int) -> chain.Written:
    row = {"id": place.id, "name": place.name, "host": place.host, "port": port, "created_at": "2026-01-01"}
    return chain.Written(
        sequence,
        at.astimezone(UTC).isoformat(timespec="microseconds"),
        "benchmark",
        "endpoint.moved",
        "endpoints/churn",
        "",
        json.dumps({"port": port}),
        json.dumps({"port": port + 1}),
        json.dumps({"endpoints": {"before": [row]}}),
    )


def expect_whole(found: chain.Found) -> None:
    """Stop when there is something wrong with the chain: its numbers would mean nothing."""
    if found.fault:
        raise SystemExit(found.fault)


def walks(store: Store, before: datetime, folder: Path) -> dict[str, float]:
    """Return how many seconds of a processor it takes to verify, export, verify the file, and look back."""
    found = {}
    file = folder / "audit.jsonl"

    def timed(name: str, call: Callable[[], object]) -> None:
        begun = time.process_time()
        call()
        found[name] = time.process_time() - begun

    def export() -> None:
        with file.open("wb") as handle:
            expect_whole(audit.export(store, handle.write))

    def check_file() -> None:
        with file.open("rb") as lines:
            expect_whole(chain.check_file(lines))

    def look(moment: datetime) -> None:
        with history.as_of(store, moment) as past:
            endpoints.list_endpoints(past)

    timed("audit verify", lambda: expect_whole(audit.check(store)))
    timed("audit export", export)
    timed("audit verify FILE", check_file)
    timed("at, before all of them", lambda: look(before))
    timed("at, after all of them", lambda: look(datetime.now(UTC) + timedelta(seconds=1)))
    timed(
        "audit list --subject … --limit 20",
        lambda: audit.find_audit_records(store, audit.AuditFilter(subject="endpoints/churn"), limit=20),
    )
    return found


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="wright-audit-") as temporary:
        folder = Path(temporary)
        store = open_store(folder / ".wright")
        with change(store, actor="benchmark") as opened:
            datasets.ensure_dataset_version(opened, DatasetVersion("", "sales", 0, "d" * 64, 0, opened.at))
        print("| in process | median, µs |\n|---|---:|")
        for name, value in costs(store).items():
            print(f"| {name} | {value:,.1f} |")
        seconds, failed, fault = race(store)
        print(
            f"\n{WRITERS} processes, {WRITES} changes each: {seconds:.1f} s, {failed} failed, chain {fault or 'whole'}"
        )
        store.close()
        store = open_store(folder / "many")
        before = fill(store, count)
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"\n| {count:,} records | processor, s |\n|---|---:|")
        for name, value in walks(store, before, folder).items():
            print(f"| {name} | {value:,.2f} |")
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size
        print(f"\nmost memory meanwhile: {more / 1024:.0f} MiB more than before")


if __name__ == "__main__":
    main()
