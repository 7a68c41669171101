"""What the process of `wright up` takes while nobody asks anything, beside `mlflow server`.

    python benchmarks/service/idle.py --mlflow PYTHON

PYTHON is that of an environment of its own with MLflow in it. Each is started in an empty folder, asked once whether it
answers, left alone for a while, and then measured for as long: processes, resident memory (pages that processes share
counted in each, and once), processor time, and the addresses that it listens at. Every line is of the whole tree of
processes.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

PATIENCE_SECONDS = 400.0


@contextlib.contextmanager
def wright(folder: Path) -> Iterator[psutil.Process]:
    """Give the process that `wright up` has started."""
    command = [sys.executable, "-m", "modelwright", "--workspace", str(folder / ".wright")]
    up = subprocess.run([*command, "up", "--json"], check=True, capture_output=True, cwd=folder)  # noqa: S603 - our own
    told = json.loads(up.stdout)
    answers(f"{told['api']}/models")
    try:
        yield psutil.Process(int((folder / ".wright" / "claims" / "background").read_text()))
    finally:
        subprocess.run([*command, "down"], check=True, capture_output=True, cwd=folder)  # noqa: S603 - our own


@contextlib.contextmanager
def mlflow(folder: Path, python: str, *options: str, **variables: str) -> Iterator[psutil.Process]:
    """Give the process that `mlflow server` is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603 - the server that is measured
        [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answers(f"http://127.0.0.1:{port}/health")
        yield psutil.Process(process.pid)
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            with contextlib.suppress(psutil.Error):
                each.kill()
        process.wait()


def answers(url: str) -> None:
    """Wait until something answers at `url`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - what was started here
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def measure(name: str, process: psutil.Process, seconds: float) -> None:
    """Print what the process and all below it take."""
    time.sleep(seconds)  # what starting has left to do
    before = _processor_seconds(process)
    time.sleep(seconds)
    used = _processor_seconds(process) - before
    tree = _tree(process)
    memory = [each.memory_full_info() for each in tree]
    listening = {
        f"{each.laddr.ip}:{each.laddr.port}"
        for one in tree
        for each in one.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }
    megabytes = [sum(kind) / 1e6 for kind in zip(*((each.rss, each.pss) for each in memory), strict=True)]
    print(
        f"{name:<28} {len(tree):3d} processes  rss {megabytes[0]:6.0f} MB  pss {megabytes[1]:6.0f} MB  "
        f"processor {used / seconds:7.3%}  listens {sorted(listening)}"
    )


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _processor_seconds(process: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in _tree(process))


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlflow", metavar="PYTHON")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, wright(Path(folder)) as process:
        measure("wright up", process, options.seconds)
    if options.mlflow:
        with tempfile.TemporaryDirectory() as folder, mlflow(Path(folder), options.mlflow) as process:
            measure("mlflow server", process, options.seconds)
        one = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (
            tempfile.TemporaryDirectory() as folder,
            mlflow(Path(folder), options.mlflow, "--workers", "1", **one) as process,
        ):
            measure("mlflow server, 1 worker, no jobs", process, options.seconds)


if __name__ == "__main__":
    main()
