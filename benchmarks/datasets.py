"""How long adding data takes, first and unchanged, against DVC.

Run by `python benchmarks/datasets.py DVC [ROUNDS]`, where DVC is the program `dvc` of an environment of its own. Every
round makes new data and takes the peers in turn; each adds it, and asks after it again unchanged:

    `wright dataset add` and again            `dvc add` and `dvc status`
    the same by hard link and by reference    (DVC has its link types, but its add reads and copies all the same)
    the same functions called in a process that runs, as a pipeline does

A process is timed from its start to its end. The files of a round are seconds old when they are added, as data is; so
nothing is remembered of them. Written data is flushed before each measurement and what is measured includes our own
flushes, which DVC does without: a version that `wright` reports is on the disk.
"""

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from modelwright.datasets import adding
from modelwright.records import Storage
from modelwright.store.database import open_store

WRIGHT = str(Path(sys.executable).with_name("wright"))
MEGABYTE = 1 << 20
SIZES = {
    "one file of 256 MB": (1, 256 * MEGABYTE),
    "one file of 2 GB": (1, 2048 * MEGABYTE),
    "10,000 of 4 KB": (10_000, 4096),
}
ROUNDS = 3
# The largest case in four places: the data, and what each of the peers keeps of it.
ROOM_TIMES = 5
SETTLED_SECONDS = 2.5
# With it set no compiled modules are kept, and every start would compile all of ours anew.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def make_data(folder: Path, shape: tuple[int, int]) -> Path:
    """Write random files, so many of so many bytes; return the file, or the folder when there are many."""
    count, size_bytes = shape
    folder.mkdir()
    for number in range(count):
        with (folder / f"{number}.bin").open("wb") as file:
            for begin in range(0, size_bytes, MEGABYTE):
                file.write(os.urandom(min(MEGABYTE, size_bytes - begin)))
    os.sync()
    time.sleep(SETTLED_SECONDS)
    return folder if count > 1 else folder / "0.bin"


def seconds(work: Callable[[], object]) -> float:
    """Return how long it took, in seconds, after the disk has come to rest."""
    os.sync()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def command(*arguments: str, folder: Path) -> Callable[[], object]:
    """Return the work of running a command in a folder."""

    def run() -> object:
        return subprocess.run(arguments, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own

    return run


def dvc_times(dvc: str, shape: tuple[int, int], folder: Path) -> dict[str, float]:
    """Return how long `dvc add` and `dvc status` take on new data."""
    folder.mkdir()
    command(dvc, "init", "--no-scm", "--quiet", folder=folder)()
    name = make_data(folder / "data", shape).relative_to(folder)
    return {
        "add": seconds(command(dvc, "add", "--quiet", str(name), folder=folder)),
        "again": seconds(command(dvc, "status", "--quiet", folder=folder)),
    }


def command_times(storage: Storage, shape: tuple[int, int], folder: Path) -> dict[str, float]:
    """Return how long `wright dataset add` takes on new data, and again."""
    folder.mkdir()
    (folder / "small").write_text("x")
    command(WRIGHT, "dataset", "add", "small", "small", folder=folder)()
    name = make_data(folder / "data", shape).relative_to(folder)
    add = command(WRIGHT, "dataset", "add", "data", str(name), "--storage", storage, folder=folder)
    return {"add": seconds(add), "again": _again(add)}


def call_times(storage: Storage, shape: tuple[int, int], folder: Path) -> dict[str, float]:
    """Return how long the function behind `wright dataset add` takes on new data, and again."""
    folder.mkdir()
    path = make_data(folder / "data", shape)
    store = open_store(folder / ".wright")
    (folder / "small").write_text("x")
    adding.add_files(store, "small", path=folder / "small", actor="me")

    def add() -> object:
        return adding.add_files(store, "data", path=path, actor="me", storage=storage)

    taken = {"add": seconds(add), "again": _again(add)}
    store.close()
    return taken


def _again(add: Callable[[], object]) -> float:
    # A hard link changes its file's time of change, and what changed a moment ago is read once more: let that pass.
    time.sleep(SETTLED_SECONDS)
    add()
    return seconds(add)


def measured(dvc: str, shape: tuple[int, int], folder: Path) -> dict[str, dict[str, float]]:
    """Return one round's times of every peer."""
    peers: dict[str, Callable[[Path], dict[str, float]]] = {"dvc": partial(dvc_times, dvc, shape)}
    for storage in Storage:
        peers[f"wright, {storage}"] = partial(command_times, storage, shape)
        peers[f"in process, {storage}"] = partial(call_times, storage, shape)
    found = {}
    for name, take in peers.items():
        place = folder / "place"
        found[name] = take(place)
        shutil.rmtree(place)
    return found


def main() -> None:
    """Measure and print a Markdown table of medians and of the ratios of each round."""
    dvc, rounds = sys.argv[1], int(next(iter(sys.argv[2:]), ROUNDS))
    print("| data | what | add, s | dvc add / it | unchanged, s | dvc status / it |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        for title, shape in SIZES.items():
            if shutil.disk_usage(name).free < ROOM_TIMES * math.prod(shape):
                print(f"| {title} | left out: the disk is too full | | | | |")
                continue
            all_rounds = [measured(dvc, shape, Path(name)) for _ in range(rounds)]
            for peer in all_rounds[0]:
                cells = []
                for what in ("add", "again"):
                    cells.append(f"{statistics.median(each[peer][what] for each in all_rounds):.3f}")
                    cells.append(
                        f"{statistics.median(each['dvc'][what] / each[peer][what] for each in all_rounds):.1f}"
                    )
                print(f"| {title} | {peer} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
