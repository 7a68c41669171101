"""What the registry costs, against MLflow's on SQLite: by alias, latest version, registration, search by tags.

Run by `python benchmarks/registry.py --mlflow PYTHON`, PYTHON being that of an environment with MLflow.

Both are asked in process, through the functions that their own users call, and each in its own interpreter; the two
take turns, so that whatever else the machine does is the same for both. Both are as durable as they are by default:
MLflow's SQLite with its rollback journal, ours with a write-ahead log and a flush for each commit. The models are
filled alike: 100 models, each version with two tags. MLflow's rows are written by SQL, copied from one that MLflow
itself wrote, since filling it through its functions would take hours. Times are medians of wall time.

A registration is the rows of a version with its tags, without files on either side: MLflow takes a link to files that
lie somewhere else. What a registration takes with its bytes, packed, digested and flushed, is printed below.
"""

import argparse
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MODELS = 100
ROUNDS = 15
SIZES = (100, 10_000, 100_000)
TARGETS = {"alias": 20, "latest": 50, "register": 10, "search": 20}
TIMES = {"alias": 40, "latest": 20, "register": 10, "search": 3}
SAME_AREA = 10  # so many versions have the same value of the tag that is searched for


class Ours:
    """The registry of a workspace."""

    def __init__(self, folder: Path) -> None:
        """Open it."""
        from modelwright.store.database import open_store

        self.store = open_store(folder / ".wright")
        self.count = 0

    def fill(self, count: int) -> None:
        """Add versions until there are so many."""
        from modelwright.store import models
        from modelwright.store.changes import change

        while self.count < count:
            with change(self.store, actor="ada") as opened:
                for _ in range(min(1_000, count - self.count)):
                    version = self._version()
                    models.add_version(opened, version)
        with change(self.store, actor="ada") as opened:
            for number in range(MODELS):
                models.move_alias(opened, models.find_version(self.store, f"m{number}:1"), alias="champion")

    def _version(self) -> Any:
        from modelwright import records
        from modelwright.records import ModelVersion

        number, self.count = self.count, self.count + 1
        return ModelVersion(
            id=records.new_id("version"),
            model=f"m{number % MODELS}",
            version=0,
            digest="0" * 64,
            framework="sklearn",
            signature={},
            run_id=None,
            proof_id=None,
            environment_digest=None,
            created_at=records.now(),
            tags=tags_of(number),
        )

    def alias(self, number: int) -> int:
        """Find a version by its alias."""
        from modelwright.store import models

        return models.find_version(self.store, f"m{number % MODELS}@champion").version

    def latest(self, number: int) -> int:
        """Find the newest version of a model."""
        from modelwright.store import models

        return models.find_version(self.store, f"m{number % MODELS}").version

    def register(self, _number: int) -> int:
        """Add a version."""
        from modelwright.store import models
        from modelwright.store.changes import change

        with change(self.store, actor="ada") as opened:
            return models.add_version(opened, self._version()).version

    def search(self, number: int) -> int:
        """Find the versions with two tags."""
        from modelwright.records import VersionFilter
        from modelwright.store import models

        wanted = VersionFilter(tags={"area": f"a{number}", "kind": "ridge"})
        return len(models.list_versions(self.store, wanted, limit=100))


class Theirs:
    """MLflow's registry on SQLite."""

    def __init__(self, folder: Path) -> None:
        """Open it."""
        from mlflow import MlflowClient

        self.path = folder / "mlflow.db"
        self.client = MlflowClient(f"sqlite:///{self.path}", f"sqlite:///{self.path}")
        self.count = 0
        for number in range(MODELS):
            self.client.create_registered_model(f"m{number}")
            self.register(number)

    def fill(self, count: int) -> None:
        """Copy rows of versions until there are so many."""
        with sqlite3.connect(self.path) as database:
            columns = [row[1] for row in database.execute("PRAGMA table_info(model_versions)")]
            row = dict(zip(columns, database.execute("SELECT * FROM model_versions").fetchone(), strict=True))
            new = [
                row | {"name": f"m{number % MODELS}", "version": number // MODELS + 1}
                for number in range(self.count, count)
            ]
            marks = ", ".join(f":{column}" for column in columns)
            database.executemany(f"INSERT INTO model_versions VALUES ({marks})", new)  # noqa: S608 - MLflow's own columns
            tags = [
                (each["name"], each["version"], key, value)
                for number, each in enumerate(new, self.count)
                for key, value in tags_of(number).items()
            ]
            database.executemany("INSERT INTO model_version_tags (name, version, key, value) VALUES (?, ?, ?, ?)", tags)
        self.count = max(self.count, count)
        for number in range(MODELS):
            self.client.set_registered_model_alias(f"m{number}", "champion", "1")

    def alias(self, number: int) -> int:
        """Find a version by its alias."""
        return int(self.client.get_model_version_by_alias(f"m{number % MODELS}", "champion").version)

    def latest(self, number: int) -> int:
        """Find the newest version of a model."""
        return int(self.client.get_latest_versions(f"m{number % MODELS}")[0].version)

    def register(self, _number: int) -> int:
        """Add a version."""
        number, self.count = self.count, self.count + 1
        made = self.client.create_model_version(f"m{number % MODELS}", source="/nowhere/model", tags=tags_of(number))
        return int(made.version)

    def search(self, number: int) -> int:
        """Find the versions with two tags."""
        wanted = f"tag.area = 'a{number}' AND tag.kind = 'ridge'"
        return len(self.client.search_model_versions(wanted, max_results=100))


def tags_of(number: int) -> dict[str, str]:
    """Return the tags of a version: one that few have, one that most of them have."""
    return {"area": f"a{number // SAME_AREA}", "kind": "ridge" if number % 7 else "tree"}


def serve(side: Any) -> None:
    """Do what lines of JSON ask for, and answer each with a line: the seconds that one took, and those of the CPU."""
    for line in sys.stdin:
        name, number, times = json.loads(line)
        begun, busy = time.perf_counter(), time.process_time()
        found = None
        for each in range(times):
            found = getattr(side, name)(number + each)
        spent = ((time.perf_counter() - begun) / times, (time.process_time() - busy) / times)
        print(json.dumps([*spent, found]), flush=True)


class Peer:
    """One side in a process of its own."""

    def __init__(self, python: str, side: str, folder: Path) -> None:
        """Start it."""
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(  # noqa: S603 - this file, in the Python that the user named
            [python, __file__, "--side", side, "--folder", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, name: str, number: int, times: int = 1) -> tuple[float, float, Any]:
        """Have it do something so many times; return the time of one, that of the CPU, and what came of the last."""
        assert self.process.stdin  # noqa: S101 - both are pipes
        assert self.process.stdout  # noqa: S101
        self.process.stdin.write(json.dumps([name, number, times]) + "\n")
        self.process.stdin.flush()
        seconds, cpu, found = json.loads(self.process.stdout.readline())
        return seconds, cpu, found


def bare_commit(folder: Path) -> float:
    """Return the microseconds that SQLite itself takes to put one row on the disk: no registration is quicker."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE plain (value)")
    seconds = []
    for number in range(200):
        begun = time.perf_counter()
        database.execute("INSERT INTO plain VALUES (?)", (number,))
        seconds.append(time.perf_counter() - begun)
    database.close()
    return statistics.median(seconds) * 1e6


def compare(ours: Peer, theirs: Peer, *, folder: Path) -> None:
    """Print the medians of both at each size, and their ratio."""
    print(f"One row committed by bare sqlite3, flushed as ours is, takes {bare_commit(folder):,.0f} us.")
    print("| | versions | ours, us | MLflow, us | ratio | ratio of CPU | at least |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    chance = random.Random(0)  # noqa: S311 - which versions are asked for
    for size in SIZES:
        for peer in (ours, theirs):
            peer.ask("fill", size)
        for name, times in TIMES.items():
            turns = []
            for _ in range(ROUNDS):
                number = chance.randrange(size // SAME_AREA)
                mine, other = (peer.ask(name, number, times) for peer in (ours, theirs))
                if mine[2] != other[2]:
                    wrong = f"{name}: ours says {mine[2]}, MLflow {other[2]}"
                    raise SystemExit(wrong)
                turns.append((*mine[:2], *other[:2]))
            told = [statistics.median(each) for each in zip(*turns[1:], strict=True)]
            ratio, of_cpu = (statistics.median(each[n + 2] / each[n] for each in turns[1:]) for n in (0, 1))
            row = f"{told[0] * 1e6:,.0f} | {told[2] * 1e6:,.0f} | {ratio:.0f} | {of_cpu:.0f} | {TARGETS[name]}"
            print(f"| {name} | {size:,} | {row} |", flush=True)


def with_bytes(folder: Path) -> None:
    """Print what it takes to register files, from their reading to the commit."""
    from modelwright.lifecycle import registering
    from modelwright.lifecycle.sessions import Session
    from modelwright.store.database import open_store

    store = open_store(folder / "bytes")
    for size in (10_000, 10_000_000, 200_000_000):
        seconds = []
        for _ in range(3):
            (folder / "model.bin").write_bytes(os.urandom(size))
            begun = time.perf_counter()
            registering.register(Session(store, "ada"), registering.Order(["model.bin"], folder, "m"))
            seconds.append(time.perf_counter() - begun)
        print(f"a file of {size:,} bytes is registered in {statistics.median(seconds) * 1000:,.0f} ms")


def main() -> None:
    """Run the benchmark, or one side of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlflow", help="the Python of an environment with MLflow")
    parser.add_argument("--side", choices=["ours", "theirs"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        serve(Ours(options.folder) if options.side == "ours" else Theirs(options.folder))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.mlflow:
            compare(Peer(sys.executable, "ours", folder), Peer(options.mlflow, "theirs", folder), folder=folder)
        with_bytes(folder)


if __name__ == "__main__":
    main()
