"""What a question about lineage costs where there is much of it: `why` and `impact` among 10^6 edges.

    python benchmarks/lineage.py [--scale 1.0] [--folder FOLDER]

A workspace is made with the real schema: 100,000 runs of three steps, as many versions, 501 dataset versions, 20,000
deployments on 200 endpoints, and 1,000,000 captured requests of five of them. The bound is 50 ms a question in process;
commands are measured beside `wright --version`. FOLDER keeps the workspace for another round.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.lifecycle import lineage
from modelwright.notebooks import layouts
from modelwright.projects import digesting
from modelwright.projects.manifest import MANIFEST_FILE, Manifest, manifest_text
from modelwright.records import Exchange, Goal, LockSource, NodeKind
from modelwright.serving.capture import partitions
from modelwright.store import database, schema
from modelwright.store.blobs import digest_of
from modelwright.store.changes import inserting
from modelwright.store.database import Store

RUNS, MODELS, SNAPSHOTS, ENVIRONMENTS, DATASETS = 100_000, 200, 1_000, 50, 500
DEPLOYMENTS, REQUESTS, CAPTURING = 20_000, 1_000_000, 5
IN_A_SEGMENT = 1_000
POPULAR = 1_000  # runs that read the dataset version which everybody reads
QUESTIONS = 60
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = ("load", "fit", "save")
TRAIN = (
    "def load():\n    return [1]\n\n\ndef fit(rows):\n    return rows\n\n\ndef save(model, output_folder):\n    pass\n"
)
PIPELINE = """from small.train import fit, load, save


def pipeline(output_folder="outputs"):
    rows = load()
    model = fit(rows)
    save(model, output_folder)
    return {"model": model}
"""
SCORE = "def init():\n    pass\n\n\ndef run(raw_data):\n    return raw_data\n"

Rows = Iterator[dict[str, object]]


def code(store: Store, folder: Path) -> tuple[dict[str, tuple[str, int]], list[dict[str, object]]]:
    """Keep a project's files as blobs; return their digests and sizes by path, and what its functions were made of."""
    layout = layouts.layout("small")
    texts = {"src/small/train.py": TRAIN, "src/small/pipeline.py": PIPELINE, "src/small/score.py": SCORE}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    written = {path: digest_of(folder / path) for path in texts}
    manifest = Manifest(
        folder=folder,
        name="small",
        training=Path("/home/ada/training.ipynb"),
        scoring=Path("/home/ada/scoring.ipynb"),
        gate_metric="mse",
        gate_goal=Goal.MINIMIZE,
        python_version="3.12.1",
        platform="linux-x86_64",
        lock_source=LockSource.INDEX,
        generated=written,
        layout=layout,
    )
    (folder / MANIFEST_FILE).write_text(manifest_text(manifest))
    made: list[dict[str, object]] = [
        {
            "path": path,
            "name": each.name,
            "file": written[path],
            "digest": digesting.code_digest(each),
            "cells": [
                {
                    "notebook": "scoring.ipynb" if path.endswith("score.py") else "training.ipynb",
                    "cell": number,
                    "lines": [1, 2],
                    "digest": "c" * 64,
                }
            ],
        }
        for path in ("src/small/train.py", "src/small/score.py")
        for number, each in enumerate(digesting.definitions(texts[path]), start=2)
    ]
    files = [*texts, MANIFEST_FILE]
    with store.blobs.batch() as batch:
        kept = {each: (batch.add(folder / each), (folder / each).stat().st_size) for each in files}
    return kept, made


def at(number: int) -> datetime:
    """Return when the run of that number began."""
    return BEGUN + timedelta(seconds=30 * number)


def name(prefix: str, number: int) -> str:
    """Return the id of the thing of that number."""
    stamp = int(at(number).timestamp() * 1000)
    return records.new_id(prefix, milliseconds=stamp, randomness=number.to_bytes(10, "big"))


def digest(kind: str, number: int) -> str:
    """Return a digest."""
    return f"{kind}{number:x}".encode().hex().ljust(64, "0")[:64]


def first_rows(made: list[dict[str, object]]) -> Iterator[tuple[sa.Table, Rows]]:
    """Give what runs and versions refer to."""
    project = {"id": "project_1", "name": "small", "folder": "/home/ada/small", "created_at": BEGUN}
    yield schema.projects, iter([project])
    conversion: dict[str, object] = {
        "id": "conversion_1",
        "project_id": "project_1",
        "removals": [],
        "findings": [],
        "functions": made,
    }
    conversion |= {"training_notebook": "/home/ada/training.ipynb", "training_digest": "a" * 64}
    conversion |= {"scoring_notebook": "/home/ada/scoring.ipynb", "scoring_digest": "b" * 64, "created_at": BEGUN}
    yield schema.conversions, iter([conversion])
    about = {"python_version": "3.12.1", "platform": "linux-x86_64", "lock_text": "", "created_at": BEGUN}
    yield schema.environments, (about | {"digest": digest("e", each)} for each in range(ENVIRONMENTS))
    yield (
        schema.datasets,
        ({"id": f"dataset_{each}", "name": f"sales{each}", "created_at": BEGUN} for each in range(51)),
    )
    yield (
        schema.dataset_versions,
        (
            {
                "id": f"data_{each}",
                "dataset_id": f"dataset_{each // 10}",
                "version": each % 10 + 1,
                "digest": digest("d", each),
                "size_bytes": 1_000,
                "created_at": BEGUN,
            }
            for each in range(DATASETS + 1)
        ),
    )
    proof = {"project_id": "project_1", "is_equal": True, "tolerance": 0.0, "notebook_digest": "a" * 64}
    proof |= {"python_version": "3.12.1", "comparisons": [], "created_at": BEGUN}
    yield (
        schema.proofs,
        (proof | {"id": f"proof_{each}", "project_digest": digest("s", each)} for each in range(SNAPSHOTS)),
    )
    yield schema.models, ({"name": f"model{each}", "created_at": BEGUN} for each in range(MODELS))
    place = {"host": "127.0.0.1", "port": 5000, "created_at": BEGUN}
    yield schema.endpoints, (place | {"id": f"endpoint_{each}", "name": f"model{each}"} for each in range(MODELS))


def run_rows(count: int, kept: dict[str, tuple[str, int]]) -> Iterator[tuple[sa.Table, Rows]]:
    """Give runs with their steps, files, data, metrics and verdicts."""
    yield (
        schema.runs,
        (
            {
                "id": name("run", each),
                "project_id": "project_1",
                "status": "succeeded",
                "reason": "",
                "environment_digest": digest("e", each // 10 % ENVIRONMENTS),
                "code_digest": digest("s", each * SNAPSHOTS // count),
                "git_commit": digest("g", each * SNAPSHOTS * 2 // count)[:40],
                "git_is_dirty": each % 3 == 0,
                "actor": "ada",
                "started_at": at(each),
                "finished_at": at(each) + timedelta(seconds=9),
            }
            for each in range(count)
        ),
    )
    yield (
        schema.run_steps,
        (
            {
                "run_id": name("run", each),
                "name": step,
                "position": position,
                "status": "succeeded",
                "key": digest("k", each * 3 + position),
                "outputs": {"rows": "f" * 64},
                "evidence": {"read": {"code:data.csv": "f" * 64}} if position == 1 else {},
                "reused_from": name("run", each // 10 * 10) if position == 1 and each % 10 else None,
                "started_at": at(each),
            }
            for each in range(count)
            for position, step in enumerate(STEPS, start=1)
        ),
    )
    files = [(f"code/{path}", *what) for path, what in kept.items()]
    yield (
        schema.run_artifacts,
        (
            {"run_id": name("run", each), "path": path, "digest": content, "size_bytes": size}
            for each in range(count)
            for path, content, size in files
        ),
    )
    read: dict[str, object] = {"role": "training data"}
    popular = count // POPULAR
    yield (
        schema.run_datasets,
        (
            read | {"run_id": name("run", each), "dataset_version_id": f"data_{data}"}
            for each in range(count)
            for data in (each // 10 % DATASETS, *([DATASETS] if each % popular == min(5, popular - 1) else []))
        ),
    )
    for table in (schema.run_summaries, schema.run_parameters):
        extra = {"step": 0} if table is schema.run_summaries else {}
        yield table, (extra | {"run_id": name("run", each), "name": "mse", "value": each / 7} for each in range(count))
    yield (
        schema.gate_verdicts,
        (
            {
                "id": name("verdict", each),
                "run_id": name("run", each),
                "model": f"model{each % MODELS}",
                "champion": None,
                "outcome": "passed",
                "reason": "better",
                "numbers": {},
                "created_at": at(each),
            }
            for each in range(count)
        ),
    )


def version_rows(count: int, served: int) -> Iterator[tuple[sa.Table, Rows]]:
    """Give a version of each run, aliases, deployments, and the audit records of all."""
    yield (
        schema.model_versions,
        (
            {
                "id": name("version", each),
                "model": f"model{each % MODELS}",
                "version": each // MODELS + 1,
                "digest": digest("m", each),
                "framework": "sklearn",
                "signature": {},
                "run_id": name("run", each),
                "proof_id": f"proof_{each * SNAPSHOTS // count}",
                "environment_digest": digest("e", each // 10 % ENVIRONMENTS),
                "created_by": "ada",
                "created_at": at(each),
            }
            for each in range(count)
        ),
    )
    last = {each: count - MODELS + each for each in range(MODELS)}
    yield (
        schema.aliases,
        (
            {"model": f"model{each}", "alias": alias, "version_id": name("version", number), "moved_at": at(number)}
            for each, number in last.items()
            for alias in ("candidate", "champion")
        ),
    )
    yield (
        schema.deployments,
        (
            {
                "id": name("deployment", each),
                "endpoint_id": f"endpoint_{each % MODELS}",
                "version_id": name("version", each),
                "status": "healthy" if each >= count - MODELS else "replaced",
                "reason": "",
                "created_at": at(each),
                "finished_at": None if each >= count - MODELS else at(each + MODELS),
            }
            for each in range(count - served, count)
        ),
    )
    said: dict[str, object] = {
        "actor": "ada",
        "why": "better on March",
        "before": None,
        "after": {},
        "digest": "0" * 64,
    }
    for kind in ("run", "model", "deployment"):
        yield (
            schema.audit_records,
            (
                said | {"at": at(each), "action": action, "subject": subject}
                for each in range(count - served if kind == "deployment" else 0, count)
                for action, subject in [
                    {
                        "run": ("run.started", f"runs/{name('run', each)}"),
                        "model": ("model.registered", f"models/model{each % MODELS}:{each // MODELS + 1}"),
                        "deployment": ("deployment.started", f"endpoints/model{each % MODELS}"),
                    }[kind]
                ]
            ),
        )


def fill(store: Store, tables: Iterator[tuple[sa.Table, Rows]]) -> None:
    """Write rows as they come."""
    for table, rows in tables:
        with store.writer.begin() as connection:
            first = next(rows)
            statement, binds = inserting(table, tuple(first), connection.dialect)

            def bound(row: dict[str, object]) -> tuple[object, ...]:
                return tuple(bind(row[key]) if bind else row[key] for key, bind in binds)  # noqa: B023 - used at once

            driver: Any = connection.connection.driver_connection
            driver.executemany(statement, (bound(row) for row in [first]))
            driver.executemany(statement, map(bound, rows))


def capture(folder: Path, requests: int, versions: int) -> list[str]:
    """Write the captured requests of one day of some endpoints; return their ids."""
    ids = []
    day = at(versions).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for endpoint in range(CAPTURING):
        exchanges = []
        for each in range(requests // CAPTURING):
            moment = day + timedelta(milliseconds=each * 80_000_000 // (requests // CAPTURING))
            request = records.new_request_id(milliseconds=int(moment.timestamp() * 1000))
            if each % 1000 == 0:
                request = f"order-{endpoint}-{each}" if each % 2000 else request
                ids.append(request)
            text = json.dumps({"data": [[each, 2, 3, 4, 5, 6, 7, 8, 9, 10]]}).encode()
            reference = f"model{endpoint}:{versions // MODELS}"
            exchanges.append(
                Exchange(request, moment.timestamp(), reference, reference, "/score", 200, 1.0, {}, text, b"[1.5]")
            )
            if len(exchanges) == IN_A_SEGMENT:
                partitions.write(folder / f"model{endpoint}", records.new_id("segment"), exchanges)
                exchanges = []
        partitions.write(folder / f"model{endpoint}", records.new_id("segment"), exchanges)
    return ids


def edges(store: Store) -> int:
    """Return how many edges the rows hold."""
    counted = {
        "runs": 3,  # its code, its environment, its commit's code
        "run_steps": 1,
        "run_datasets": 1,
        "gate_verdicts": 2,
        "model_versions": 3,  # its run, environment and proof
        "aliases": 1,
        "deployments": 2,
    }
    with store.reader.connect() as connection:
        found = sum(
            edges * connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one()  # noqa: S608 - ours
            for table, edges in counted.items()
        )
        reused = "SELECT COUNT(*) FROM run_steps WHERE reused_from IS NOT NULL"
        return int(found + connection.exec_driver_sql(reused).scalar_one())


def measured(title: str, questions: list[Callable[[], records.Lineage]]) -> None:
    """Ask all questions and print a row: the time of the processor and by the clock, and the size of an answer."""
    worked, taken, sizes = [], [], []
    for ask in questions:
        began, begun = time.process_time(), time.perf_counter()
        found = ask()
        worked.append((time.process_time() - began) * 1000)
        taken.append((time.perf_counter() - begun) * 1000)
        sizes.append(len(found.nodes))
    middle = statistics.median
    print(f"| {title} | {middle(worked):,.1f} | {middle(taken):,.1f} | {max(taken):,.1f} | {max(sizes):,} |")


def ask(store: Store, count: int, ids: list[str]) -> None:
    """Print what questions cost in process."""
    pick = random.Random(0)  # noqa: S311 - the same questions every time
    versions = [f"model{pick.randrange(MODELS)}:{pick.randrange(count // MODELS) + 1}" for _ in range(QUESTIONS)]
    timed = [each for each in ids if not each.startswith("order")]
    own = [each for each in ids if each.startswith("order")]
    numbers = [pick.randrange(count) for _ in range(QUESTIONS)]
    print(
        "\n| in process | processor, ms | median, ms | longest, ms | things in the answer |\n|---|---:|---:|---:|---:|"
    )
    why, impact = lineage.why, lineage.impact
    measured("why model17:123", [partial(why, store, each) for each in versions])
    measured("why run_…", [partial(why, store, name("run", each)) for each in numbers])
    endpoint = NodeKind.ENDPOINT
    measured("why endpoint model17", [partial(why, store, f"model{each}", kind=endpoint) for each in range(50)])
    measured("why REQUEST", [partial(why, store, each) for each in pick.sample(timed, min(60, len(timed)))])
    measured("why REQUEST, an id of the client's", [partial(why, store, each) for each in own[:10]])

    def users(kind: NodeKind, names: list[str]) -> list[Callable[[], records.Lineage]]:
        return [partial(impact, store, kind, each) for each in names]

    measured("impact dataset sales7:3", users(NodeKind.DATASET, [f"sales{n % 50}:{n % 10 + 1}" for n in numbers[:20]]))
    measured(f"impact dataset that {POPULAR:,} runs read", users(NodeKind.DATASET, ["sales50:1"] * 5))
    measured("impact run", users(NodeKind.RUN, [name("run", each) for each in numbers]))
    measured("impact model", users(NodeKind.MODEL, versions))
    measured("impact commit", users(NodeKind.COMMIT, [digest("g", each)[:40] for each in range(20)]))
    measured("impact snapshot", users(NodeKind.SNAPSHOT, [digest("s", each) for each in range(20)]))
    measured("impact environment", users(NodeKind.ENVIRONMENT, [digest("e", each) for each in range(5)]))


def ask_by_command(folder: Path, ids: list[str]) -> None:
    """Print what the commands take beside the one that does nothing."""
    timed = next(each for each in ids if not each.startswith("order"))
    commands = [["--version"], ["model", "show", "model17:9", "--json"], ["why", "model17:9", "--json"]]
    commands += [["why", timed, "--json"], ["impact", "dataset", "sales50:1", "--json"]]
    print("\n| command | median, ms |\n|---|---:|")
    program = [sys.executable, "-m", "modelwright", "--workspace", str(folder)]
    taken: dict[int, list[float]] = {}
    for _ in range(7):
        for number, each in enumerate(commands):
            begun = time.perf_counter()
            subprocess.run([*program, *each], check=True, capture_output=True)  # noqa: S603 - ours
            taken.setdefault(number, []).append((time.perf_counter() - begun) * 1000)
    for number, each in enumerate(commands):
        told = " ".join(part for part in each if part != "--json")
        print(f"| `wright {told}` | {statistics.median(taken[number]):,.0f} |")


def main() -> None:
    """Make the workspace and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    count = int(RUNS * options.scale) // MODELS * MODELS
    with tempfile.TemporaryDirectory(prefix="wright-lineage-") as temporary:
        folder = options.folder or Path(temporary) / ".wright"
        is_made = (folder / "ids.json").exists()
        store = database.open_store(folder)
        if not is_made:
            begun = time.perf_counter()
            kept, made = code(store, Path(temporary) / "small")
            fill(store, first_rows(made))
            fill(store, run_rows(count, kept))
            fill(store, version_rows(count, int(DEPLOYMENTS * options.scale)))
            found = capture(folder / "capture", int(REQUESTS * options.scale), count)
            (folder / "ids.json").write_text(json.dumps(found))
            print(f"made in {time.perf_counter() - begun:.0f} s")
        ids = json.loads((folder / "ids.json").read_text())
        print(f"{edges(store):,} edges, {int(REQUESTS * options.scale):,} captured requests")
        ask(store, count, ids)
        store.close()
        ask_by_command(folder, ids)


if __name__ == "__main__":
    main()
