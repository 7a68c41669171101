"""What a step costs: a chain of 100 that do nothing, and a table of 100 MB that crosses the border between two.

    python benchmarks/steps.py [--peers PYTHON]

PYTHON is an interpreter with pandas, pyarrow, joblib, sf-hamilton and blake3: what is measured beside ours. The bounds
are 1.5 ms a step first and 0.3 ms reused in process, 60 ms in a warm worker, and 1.5 times writing and mapping with
pyarrow.
"""

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from modelwright import records
from modelwright.notebooks import layouts
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import Manifest, manifest_text
from modelwright.records import BuiltEnvironment, Goal, Lock, LockSource, Run, Status
from modelwright.runs import definitions, inprocess, pipelines, worker, workers
from modelwright.runs.active import ActiveRun, recorded
from modelwright.runs.closures import Code
from modelwright.runs.execution import Execution
from modelwright.store import database, environments, projects
from modelwright.store.changes import change

STEPS = 100
ROUNDS = 5
FUNCTIONS = "def first():\n    return 0\n\n\ndef add(x):\n    return x + 1\n"
CALLS = "    x0 = first()\n" + "".join(f"    x{number} = add(x{number - 1})\n" for number in range(1, STEPS))
CHAIN = f'def pipeline():\n{CALLS}    return {{"model": x{STEPS - 1}}}\n'

JOBLIB = """
import sys, time
from joblib import Memory
memory = Memory(sys.argv[1], verbose=0)
@memory.cache
def add(x, place):
    return x + 1
for _ in range(2):
    began = time.perf_counter()
    x = 0
    for place in range({steps}):
        x = add(x, place)
    print((time.perf_counter() - began) / {steps} * 1000)
"""
HAMILTON = """
import sys, time, types
from hamilton import driver
module = types.ModuleType("chain")
text = "def x0() -> int:\\n    return 0\\n" + "".join(
    f"def x{{i}}(x{{i - 1}}: int) -> int:\\n    return x{{i - 1}} + 1\\n" for i in range(1, {steps}))
import pathlib
place = pathlib.Path(sys.argv[1]); place.mkdir(exist_ok=True)
(place / "chain.py").write_text(text); sys.path.insert(0, str(place))
import chain
for _ in range(2):
    d = driver.Builder().with_modules(chain).with_cache(path=str(place / "cache")).build()
    began = time.perf_counter()
    d.execute([f"x{{{steps} - 1}}"])
    print((time.perf_counter() - began) / {steps} * 1000)
"""
TABLE = """
import importlib.util, sys, time
import numpy as np, pandas as pd, pyarrow as pa
from blake3 import blake3
from pathlib import Path
spec = importlib.util.spec_from_file_location("worker", sys.argv[2])
worker = importlib.util.module_from_spec(spec); spec.loader.exec_module(worker)
rng = np.random.default_rng(0)
numbers = pd.DataFrame(rng.normal(size=(655_360, 20))).add_prefix("c")
words = pd.DataFrame({"word": rng.choice(["north", "south", "east"], 1_000_000), "n": np.arange(1_000_000)})
words = pd.concat([words] + [pd.Series(rng.normal(size=1_000_000), name=f"c{k}") for k in range(10)], axis=1)
place = Path(sys.argv[1])
for name, frame in (("numbers", numbers), ("numbers and words", words)):
    ours, arrow = [], []
    for _ in range(5):
        for path in place.glob("*.bin"):
            path.unlink()
        began = time.perf_counter()
        table = pa.Table.from_pandas(frame)
        with pa.OSFile(str(place / "a.bin"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        back = pa.ipc.open_file(pa.memory_map(str(place / "a.bin"))).read_all().to_pandas()
        arrow.append(time.perf_counter() - began)
        began = time.perf_counter()
        worker.write_value(frame, place / "b.bin", "table")
        blake3().update_mmap(place / "b.bin").hexdigest()
        back = worker.read_value(str(place / "b.bin"))
        ours.append(time.perf_counter() - began)
        assert back.equals(frame)
    size = (place / "b.bin").stat().st_size / 1e6
    print(f"{name}|{size:.0f}|{sorted(arrow)[2] * 1000:.1f}|{sorted(ours)[2] * 1000:.1f}")
"""


def in_process(folder: Path) -> tuple[list[float], list[float]]:
    """Return milliseconds a step of calls that run every step, and of calls that reuse all."""
    os.environ["WRIGHT_WORKSPACE"] = str(folder / "in-process")
    (folder / "chain_functions.py").write_text(f"{FUNCTIONS}\n\n{CHAIN}")
    sys.path.insert(0, str(folder))
    chain = inprocess.pipeline(importlib.import_module("chain_functions").pipeline)
    chain()
    first = [_timed(lambda: chain(is_fresh=True)) for _ in range(ROUNDS)]
    return first, [_timed(chain) for _ in range(ROUNDS)]


def in_workers(folder: Path) -> tuple[list[float], list[float]]:
    """Return milliseconds a step of a run in a warm worker, and of one that reuses all."""
    project = _project(folder / "chain")
    store = database.open_store(folder / "workers")
    (folder / "environment").symlink_to(sys.prefix)
    lock = Lock("", "3", "here", "0" * 64, LockSource.INDEX)
    environment = BuiltEnvironment(lock, folder / "environment")
    with change(store, actor="benchmark") as opened:
        project_id = projects.ensure_project(opened, "chain", folder=project)
        environments.ensure_environment(opened, lock)

    def run() -> None:
        described = Run(
            records.new_id("run"), "chain", Status.RUNNING, "", lock.digest, code_digest(project), None, records.now()
        )
        active = ActiveRun(store, replace(described, seed=0), project, "src", environment, "benchmark")
        with recorded(active, project_id=project_id):
            read = pipelines.read_pipeline(active.code / "src" / "chain" / "pipeline.py")
            checked = definitions.checked(read, Code(active.code / "src"))
            log = active.folder / "logs" / "worker.log"
            with workers.started(
                project=active.code, source=active.code / "src", modules=checked.modules, log=log
            ) as pool:
                Execution(active, checked, pool).run(dataset="chain")

    first = _timed(run)
    again = [_timed(run) for _ in range(ROUNDS)]
    store.close()
    return [first], again


def _project(folder: Path) -> Path:
    package = folder / "src" / "chain"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "train.py").write_text(FUNCTIONS)
    (package / "pipeline.py").write_text(f"from chain.train import add, first\n\n\n{CHAIN}")
    manifest = Manifest(
        folder, "chain", None, None, None, Goal.MINIMIZE, "3", "here", LockSource.INDEX, {}, layouts.layout("chain")
    )
    (folder / "wright.toml").write_text(manifest_text(manifest))
    return folder


def _timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return (time.perf_counter() - began) / STEPS * 1000


def _peer(python: Path, text: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run(  # noqa: S603 - the Python that the caller named
        [python, "-c", text, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else [f"failed: {done.stderr.strip()[-100:]}"] * 2


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="a Python with pandas, pyarrow, joblib, sf-hamilton and blake3")
    peers = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f"{STEPS} steps that do nothing, ms a step".ljust(48), "first".rjust(9), "reused".rjust(9))
        for name, (first, reused) in (("in process", in_process(folder)), ("in a warm worker", in_workers(folder))):
            print(name.ljust(48), f"{statistics.median(first):9.2f}", f"{statistics.median(reused):9.2f}")
        for name, text in (("joblib.Memory", JOBLIB), ("Hamilton, with its cache", HAMILTON)) if peers else ():
            first_text, again_text = _peer(peers, text.format(steps=STEPS), folder / name.partition(".")[0])
            print(name.ljust(48), f"{first_text[:9]:>9}", f"{again_text[:9]:>9}")
        if peers:
            print(
                "\na table from one step to another, ms".ljust(49),
                "pyarrow".rjust(9),
                "here".rjust(9),
                "ratio".rjust(7),
            )
            for line in _peer(peers, TABLE, folder, worker.__file__):
                name, size, arrow, ours = line.split("|")
                ratio = float(ours) / float(arrow)
                print(f"{name}, {size} MB".ljust(48), f"{arrow:>9}", f"{ours:>9}", f"{ratio:7.2f}")


if __name__ == "__main__":
    main()
