"""What a request of MLflow's client costs the server: ours beside `mlflow server`.

    python benchmarks/mlflow/costs.py --peer /tmp/peer/bin/python [--runs 200]

The peer is an environment that has `mlflow`, whose client asks both servers. Counted is the processor time of all
processes of a server, from before the first request to after the last; the memory is what they hold then, with what
they share counted once. The peer runs with its defaults, and with one worker and without its jobs besides.
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
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from modelwright.api import server
from modelwright.records import Role
from modelwright.store import tokens
from modelwright.store.changes import change
from modelwright.store.database import open_store

_CLIENT = Path(__file__).with_name("training.py")
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    print(f"{'server':34} {'requests':>8} {'CPU ms/request':>15} {'seconds':>8} {'processes':>9} {'MB':>6}")
    with tempfile.TemporaryDirectory() as folder:
        with _ours(Path(folder) / "ours") as (process, environment):
            _measure("modelwright", process, environment, options)
        for name, arguments, extra in (
            ("mlflow server", [], {}),
            ("mlflow server, 1 worker, no jobs", ["--workers", "1"], {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}),
        ):
            place = Path(folder) / name.replace(" ", "-")
            with _peer(options.peer, place, arguments, extra) as (process, environment):
                _measure(name, process, environment, options)


def _measure(name: str, process: psutil.Process, environment: dict[str, str], options: argparse.Namespace) -> None:
    client = [options.peer, _CLIENT]
    variables = os.environ | _QUIET | environment
    subprocess.run([*client, "3"], env=variables, check=True, capture_output=True)  # noqa: S603 - ours; what is done once is done
    before = _cpu_seconds(process)
    done = subprocess.run([*client, str(options.runs)], env=variables, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    spent = _cpu_seconds(process) - before
    found = json.loads(done.stdout.splitlines()[-1])
    family = _family(process)
    held = sum(each.memory_full_info().pss for each in family) / 1e6
    cost = spent / found["requests"] * 1000
    print(
        f"{name:34} {found['requests']:8} {cost:15.2f} {found['seconds']:8.1f} {len(family):9} {held:6.0f}", flush=True
    )


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    times = [each.cpu_times() for each in _family(process)]
    return sum(float(each.user + each.system + each.children_user + each.children_system) for each in times)


@contextlib.contextmanager
def _ours(folder: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    store = open_store(folder)
    with change(store, actor="benchmark") as opened:
        token = tokens.add_token(opened, "benchmark", role=Role.CONTRIBUTOR)
    url = str(server.start(store))
    port = int(url.rpartition(":")[2])
    try:
        yield _listening(port), {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_TOKEN": token}
    finally:
        server.stop(store)
        store.close()


@contextlib.contextmanager
def _peer(
    python: Path, folder: Path, arguments: list[str], extra: dict[str, str]
) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [str(python.with_name("mlflow")), "server", *places, "--port", str(port), *arguments]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | _QUIET | extra, cwd=folder, stdout=log, stderr=log)  # noqa: S603 - ours
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while not _is_well(url):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"mlflow server did not start: {folder}/log")
            time.sleep(0.2)
        yield psutil.Process(process.pid), {"MLFLOW_TRACKING_URI": url}
    finally:
        family = _family(psutil.Process(process.pid))
        process.terminate()
        _gone, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            each.kill()


def _is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310 - ours
            return True
    except (urllib.error.URLError, OSError):
        return False


def _listening(port: int) -> psutil.Process:
    """Return the process that listens at the port."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            places = [each.laddr.port for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
            if port in places:
                return process
    sys.exit("the server is gone")


if __name__ == "__main__":
    main()
