"""What tracking costs, against the same rows written with nothing but sqlite3, and search against MLflow.

Run by `python benchmarks/tracking.py [--mlflow PYTHON]`, PYTHON being that of an environment with MLflow.

The bare side is fair: the same tables with their indices, the same rows, as many transactions as what is promised
needs, `synchronous=FULL` and WAL, one connection that stays open, SQLAlchemy nowhere. A metric is a row of its series
and its last value; a small run is two transactions, one that begins it (run, 5 parameters, its tag, audit record and
event), so that it is seen while it runs, and one that ends it (5 metrics, their last values, the run's status, audit
record and event). Ours does besides what a user is promised: the claim by which a killed run is known, the snapshot of
the code, git, packages and machine.

The two take turns, and of each turn the CPU time of the process is compared, what the kernel does for it included:
waiting for the disk is the same for both, and depends on who else uses it. Printed are medians.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import modelwright
from modelwright import records
from modelwright.runs import workspaces
from modelwright.runs.searching import find_runs
from modelwright.store.database import open_store

ROUNDS = 15
PROCESSES, COMMITTED, BUFFERED = 32, 20, 20_000
NOW = "2025-01-01T00:00:00.000000+00:00"
METRIC = "INSERT INTO run_metrics (run_id, name, step, value, recorded_at) VALUES (?, ?, ?, ?, ?)"
SUMMARY = (
    "INSERT INTO run_summaries (run_id, name, step, value) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (run_id, name) DO UPDATE SET step = excluded.step, value = excluded.value"
)
RUN = (
    "INSERT INTO runs (id, kind, experiment, status, reason, note, environment_digest, code_digest, machine, actor, "
    "started_at) VALUES (?, 'script', 'bench', 'running', '', '', ?, ?, ?, 'ada', ?)"
)
AUDIT = (
    "INSERT INTO audit_records (at, actor, action, subject, why, before, after, digest) "
    "VALUES (?, 'ada', ?, ?, '', ?, ?, '')"
)
EVENT = "INSERT INTO events (id, type, subject, at, data) VALUES (?, ?, ?, ?, ?)"
FIVE = {f"parameter{number}": number for number in range(5)}
METRICS = {f"metric{number}": 0.5 for number in range(5)}
THOUSAND = {f"metric{number}": 0.5 for number in range(1_000)}


class Bare:
    """A connection of sqlite3 to a workspace's database."""

    def __init__(self, folder: Path) -> None:
        """Open it."""
        self.connection = sqlite3.connect(folder / "modelwright.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            self.connection.execute(f"PRAGMA {pragma}")
        self.connection.execute("CREATE TABLE IF NOT EXISTS plain (run_id, name, step, value, recorded_at)")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Callable[..., object]]:
        """Give the means to execute statements, committed at the end of the block."""
        self.connection.execute("BEGIN IMMEDIATE")
        yield self.connection.execute
        self.connection.execute("COMMIT")

    def row(self) -> None:
        """Write one row into a table without any index."""
        with self.transaction() as execute:
            execute("INSERT INTO plain VALUES (?, ?, ?, ?, ?)", ("run", "loss", 1, 0.5, NOW))

    def metric(self, run_id: str) -> None:
        """Write a point and the metric's last value."""
        with self.transaction() as execute:
            execute(METRIC, (run_id, "loss", 1, 0.5, NOW))
            execute(SUMMARY, (run_id, "loss", 1, 0.5))

    def batch(self, run_id: str) -> None:
        """Write a point of each of 1,000 metrics, and their last values."""
        with self.transaction():
            rows = [(run_id, name, 1, value, NOW) for name, value in THOUSAND.items()]
            self.connection.executemany(METRIC, rows)
            self.connection.executemany(SUMMARY, [row[:4] for row in rows])

    def series(self, run_id: str, first: int) -> None:
        """Write 1,000 points of a metric, and its last value."""
        with self.transaction() as execute:
            rows = [(run_id, "loss", step, 0.5, NOW) for step in range(first, first + 1_000)]
            self.connection.executemany(METRIC, rows)
            execute(SUMMARY, rows[-1][:4])

    def run(self, facts: tuple[str, str, str]) -> None:
        """Write a small run."""
        run_id = records.new_id("run")
        begun = json.dumps({"project": "", "parameters": FIVE, "tags": {"script": "train.py"}})
        with self.transaction() as execute:
            execute(RUN, (run_id, *facts, NOW))
            parameters = [(run_id, name, json.dumps(value)) for name, value in FIVE.items()]
            self.connection.executemany("INSERT INTO run_parameters VALUES (?, ?, ?)", parameters)
            execute("INSERT INTO run_tags VALUES (?, 'script', 'train.py')", (run_id,))
            self.tell("run.started", run_id, None, begun)
        ended = json.dumps({"status": "succeeded", "reason": ""})
        with self.transaction() as execute:
            rows = [(run_id, name, 0, value, NOW) for name, value in METRICS.items()]
            self.connection.executemany(METRIC, rows)
            self.connection.executemany(SUMMARY, [row[:4] for row in rows])
            execute("UPDATE runs SET status = 'succeeded', finished_at = ? WHERE id = ?", (NOW, run_id))
            self.tell("run.succeeded", run_id, json.dumps({"status": "running"}), ended)

    def tell(self, action: str, run_id: str, before: str | None, after: str) -> None:
        """Write an audit record and an event."""
        self.connection.execute(AUDIT, (NOW, action, f"runs/{run_id}", before, after))
        self.connection.execute(EVENT, (records.new_id("event"), action, f"runs/{run_id}", NOW, after))


def seconds(call: Callable[[], object], times: int) -> float:
    """Return the CPU time of one call."""
    begun = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begun) / times


def ratio(ours: Callable[[], object], theirs: Callable[[], object], *, times: int) -> tuple[float, float, float]:
    """Return the median CPU time of both, in seconds, and the median of the turns' ratios."""
    seconds(ours, 3)
    seconds(theirs, 3)
    pairs = [(seconds(ours, times), seconds(theirs, times)) for _ in range(ROUNDS)]
    mine, other = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(one / two for one, two in pairs)


def small_run() -> None:
    """Track a small run."""
    with modelwright.start_run("bench", parameters=FIVE, tags={"script": "train.py"}) as run:
        run.log_metrics(METRICS)


def costs(folder: Path) -> None:
    """Print what logging costs."""
    bare = Bare(folder)
    print("| CPU | ours, us | bare sqlite3, us | ratio | at most |")
    print("|---|---:|---:|---:|---:|")

    def line(name: str, found: tuple[float, float, float], bound: float) -> None:
        print(f"| {name} | {1e6 * found[0]:.1f} | {1e6 * found[1]:.1f} | {found[2]:.2f} | {bound:g} |", flush=True)

    with modelwright.start_run("bench") as bare_tracked:
        bare_run = bare_tracked.id
    with modelwright.start_run("bench", buffer_seconds=0) as run:
        committed = lambda: run.log_metric("loss", 0.5, step=1)  # noqa: E731
        line("one committed metric", ratio(committed, lambda: bare.metric(bare_run), times=40), 3)
        line("… against one row without an index", ratio(committed, bare.row, times=40), 3)

    with modelwright.start_run("bench", buffer_seconds=60) as run:
        mine, other = itertools.count(0, 1_000), itertools.count(0, 1_000)

        def series() -> None:
            first = next(mine)
            for step in range(first, first + 1_000):
                run.log_metric("loss", 0.5, step=step)
            run.flush()

        bare_series = lambda: bare.series(bare_run, next(other))  # noqa: E731
        line("1,000 points of a metric in a batch", ratio(series, bare_series, times=10), 2)
    read = run.read()
    # Each batch goes to a run that has no metrics yet, or the costs would be those of an index with many equal keys.
    count = 5 * ROUNDS + 3
    started = [modelwright.start_run("bench", buffer_seconds=60) for _ in range(2 * count)]
    ours, theirs = iter(started[:count]), iter(started[count:])

    def batch() -> None:
        run = next(ours)
        run.log_metrics(THOUSAND, step=1)
        run.flush()

    line("1,000 metrics in a batch", ratio(batch, lambda: bare.batch(next(theirs).id), times=5), 2)
    for each in started:
        each.finish()
    facts = (read.environment_digest, read.code_digest, json.dumps(read.machine))
    line("a small run", ratio(small_run, lambda: bare.run(facts), times=30), 5)

    with modelwright.start_run("bench") as run:
        points = 50_000

        def buffered() -> None:
            for _ in range(points):
                run.log_metric("loss", 0.5)
            run.flush()

        taken = statistics.median(seconds(buffered, 1) / points for _ in range(ROUNDS))
    print(f"\nbuffered logging, written and committed: {1e6 * taken:.2f} us of CPU a point (at most 5)\n", flush=True)


CROWD = """
import modelwright
with modelwright.start_run("crowd", buffer_seconds=0) as run:
    for number in range({committed}):
        run.log_metric("committed", number)
with modelwright.start_run("crowd") as run:
    for number in range({buffered}):
        run.log_metric("buffered", number)
"""


def crowd(folder: Path) -> None:
    """Let 32 processes log at once and count what arrived."""
    program = CROWD.format(committed=COMMITTED, buffered=BUFFERED)
    begun = time.perf_counter()
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own
        for _ in range(PROCESSES)
    ]
    errors = [each.communicate()[1] for each in processes]
    took = time.perf_counter() - begun
    count = Bare(folder).connection.execute
    found = count("SELECT count(*) FROM run_metrics WHERE name IN ('committed', 'buffered')").fetchone()[0]
    locked = sum("locked" in each for each in errors)
    print(
        f"{PROCESSES} processes at once: {found:,} of {PROCESSES * (COMMITTED + BUFFERED):,} points arrived, "
        f'{locked} were told "database is locked", {sum(bool(each) for each in errors)} wrote an error; {took:.0f} s\n',
        flush=True,
    )


def fill(folder: Path, count: int) -> None:
    """Make a workspace with that many runs of 5 parameters, 2 tags and 5 metrics."""
    open_store(folder).close()
    bare = Bare(folder)
    execute = bare.connection.executemany
    numbers = random.Random(0)  # noqa: S311 - no secret
    ids = [records.new_id("run", milliseconds=1_700_000_000_000 + number) for number in range(count)]
    bare.connection.execute("BEGIN")
    execute(RUN, [(each, None, "c", "{}", NOW) for each in ids])
    execute("INSERT INTO run_tags VALUES (?, 'kind', ?)", [(each, f"k{at % 10}") for at, each in enumerate(ids)])
    execute("INSERT INTO run_tags VALUES (?, 'group', ?)", [(each, str(at // 5)) for at, each in enumerate(ids)])
    execute(
        "INSERT INTO run_parameters VALUES (?, ?, ?)",
        [(each, f"p{at}", str(numbers.random())) for each in ids for at in range(5)],
    )
    execute(
        "INSERT INTO run_summaries VALUES (?, ?, 0, ?)",
        [(each, f"m{at}", numbers.random()) for each in ids for at in range(5)],
    )
    bare.connection.execute("COMMIT")


SEARCHES = {
    "a common tag and metric, the first 20": (("tags.kind = k3", "metrics.m0 < 0.5"), None, 20),
    "… ordered by the metric": (("tags.kind = k3", "metrics.m0 < 0.5"), "m0", 20),
    "a rare tag and a metric": (("tags.group = '17'", "metrics.m0 < 0.9"), None, 20),
    "a common tag and metric, the first 50": (("tags.kind = k3", "metrics.m0 < 0.5"), None, 50),
}

MLFLOW = """
import json, random, sys, time
import mlflow
from mlflow.tracking import MlflowClient
from mlflow.entities import Metric, Param, RunTag
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
client = MlflowClient()
experiment = client.create_experiment("bench")
numbers = random.Random(0)
for at in range(1000):
    run = client.create_run(experiment)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(f"m{each}", numbers.random(), 0, 0) for each in range(5)],
        params=[Param(f"p{each}", str(numbers.random())) for each in range(5)],
        tags=[RunTag("kind", f"k{at % 10}"), RunTag("group", str(at // 5))],
    )
searches = (
    ("tags.kind = 'k3' and metrics.m0 < 0.5", None, 20),
    ("tags.kind = 'k3' and metrics.m0 < 0.5", ["metrics.m0 ASC"], 20),
    ("tags.group = '17' and metrics.m0 < 0.9", None, 20),
    ("tags.kind = 'k3' and metrics.m0 < 0.5", None, 50),
)
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    number, kind = json.loads(line)
    text, order, limit = searches[number]
    begun = time.process_time()
    for _ in range(5):
        mlflow.search_runs(
            [experiment], filter_string=text, order_by=order, max_results=limit, output_format=kind
        )
    print(json.dumps((time.process_time() - begun) / 5), flush=True)
"""


def searches(folder: Path, mlflow: Path | None) -> None:
    """Print how long it takes to find runs, with what MLflow takes as a list and as the frame that is its default."""
    stores = {}
    for count in (1_000, 100_000):
        fill(folder / str(count), count)
        stores[count] = open_store(folder / str(count))
    print("| CPU of a search, ms | 100,000 runs | 1,000 runs | MLflow, 1,000, list | ratio | frame | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with asked(mlflow, folder) as ask:
        for number, (name, (where, order, limit)) in enumerate(SEARCHES.items()):

            def search(count: int) -> float:
                store = stores[count]
                return seconds(lambda: find_runs(store, where, order=order, limit=limit), 10)  # noqa: B023

            turns = [
                (search(100_000), search(1_000), ask(number, "list"), ask(number, "pandas")) for _ in range(ROUNDS)
            ]
            cells = [1000 * statistics.median(each) for each in zip(*turns, strict=True)]
            ratios = [statistics.median(turn[at] / turn[1] for turn in turns) for at in (2, 3)]
            print(
                f"| {name} | {cells[0]:.2f} | {cells[1]:.2f} | {cells[2]:.1f} | {ratios[0]:.0f} "
                f"| {cells[3]:.1f} | {ratios[1]:.0f} |",
                flush=True,
            )


@contextlib.contextmanager
def asked(mlflow: Path | None, folder: Path) -> Iterator[Callable[[int, str], float]]:
    """Give a function that lets MLflow search, and returns its CPU time; without MLflow it returns 0."""
    if mlflow is None:
        yield lambda _number, _kind: 0.0
        return
    peer = subprocess.Popen(  # noqa: S603 - the environment that was named
        [mlflow, "-c", MLFLOW, folder / "mlflow.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with peer:
        assert peer.stdin and peer.stdout  # noqa: S101, PT018 - for the type checker
        questions, answers = peer.stdin, peer.stdout
        answers.readline()

        def ask(number: int, kind: str) -> float:
            questions.write(json.dumps([number, kind]) + "\n")
            questions.flush()
            return float(json.loads(answers.readline()))

        yield ask
        questions.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlflow", type=Path, help="the Python of an environment with MLflow")
    mlflow = parser.parse_args().mlflow
    folder = Path(tempfile.mkdtemp(prefix="wright-benchmark-", dir=Path.cwd()))
    try:
        project = folder / "project"
        project.mkdir()
        for number in range(10):
            (project / f"module{number}.py").write_text(f"value = {number}\n" * 50)
        os.chdir(project)
        sys.modules["__main__"].__file__ = str(project / "module0.py")  # the script that is tracked is there
        workspace = project / ".wright"
        os.environ["WRIGHT_WORKSPACE"] = str(workspace)
        modelwright.start_run("bench").finish()
        costs(workspace)
        crowd(workspace)
        searches(folder, mlflow)
    finally:
        workspaces.close_workspaces()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
