"""The guest that runs a scoring script: what it takes for one, and where the script's words go."""

import ast
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import DeploymentFailed
from modelwright.models import guest
from modelwright.serving import control
from modelwright.serving.front import frames
from modelwright.serving.front.routes import Route

WORKER = Path(guest.__file__).with_name("worker.py")
INIT = "def init():\n    pass\n"


def test_the_worker_is_written_for_python_3_9_and_imports_nothing_of_ours() -> None:
    tree = ast.parse(WORKER.read_text(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def run(data): ...", "it defines no function init()"),
        (INIT, "it defines no function run()"),
        (INIT + "def run(): ...", "run() needs a parameter for the request's body"),
        (INIT + "def run(request_headers): ...", "run() needs a parameter for the request's body"),
        (INIT + "def run(data, /): ...", "run() may not take positional-only parameters, *args or **kwargs"),
        (INIT + "def run(*data): ...", "run() may not take positional-only parameters, *args or **kwargs"),
        (INIT + "def run(data, **more): ...", "run() may not take positional-only parameters, *args or **kwargs"),
        (INIT + "def run(data, more): ...", "run() gets one body, but its parameter 'more' has no default"),
        (
            "import nothing_of_this_name",
            "ModuleNotFoundError: No module named 'nothing_of_this_name' (score.py, line 1)",
        ),
        ("def run(data): ...\ndef init():\n    raise KeyError('k')", "KeyError: 'k' (score.py, line 3)"),
        ("def run(data): ...\ndef init():\n    raise SystemExit(0)", "SystemExit: 0 (score.py, line 3)"),
        ("def run(data: ...", "SyntaxError"),
        ("def run(data): ...\ndef init():\n    import os; os._exit(9)", "its process ended before init() had returned"),
    ],
)
def test_a_script_that_cannot_serve_is_refused_with_the_reason(served: Any, script: str, reason: str) -> None:
    served.start()
    with pytest.raises(DeploymentFailed) as caught:
        served.deploy(script)
    assert reason in str(caught.value)
    assert served.status().version is None


@pytest.mark.parametrize(
    ("run", "answer"),
    [
        ("def run(any_name): return any_name", "body"),
        ("def run(data=None): return data", "body"),
        ("def run(*, data): return data", "body"),
        ("def run(request_headers, data): return [data, type(request_headers).__name__]", ["body", "dict"]),
        ("def run(data, more=7): return [data, more]", ["body", 7]),
    ],
)
def test_run_is_called_by_the_names_of_its_parameters(served: Any, run: str, answer: object) -> None:
    served.start()
    served.deploy(INIT + run)
    assert json.loads(served.ask(body="body").body) == answer


def test_what_a_script_prints_is_logged_with_the_id_of_the_request(served: Any) -> None:
    served.start()
    served.deploy(
        """
        import logging, os, sys
        def init():
            print("in init")
            logging.basicConfig(level=logging.INFO, format="%(message)s")
        def run(data):
            print("printed", data)
            print("two\\nlines", end="")
            logging.info("logged")
            sys.stdout.buffer.write(b"bytes\\n")
            os.write(1, b"past Python\\n")
            return "answer"
        """
    )
    assert served.ask(body="x", headers={"x-request-id": "one"}).body == '"answer"'
    assert served.ask(body="y", headers={"x-request-id": "two"}).body == '"answer"'
    lines = served.log.read_text().splitlines()
    told = [line.split(" ", 1)[1] for line in lines if "diabetes:1 " in line and " front " not in line]
    assert told[0] == "- diabetes:1 info in init"
    by_request = {name: [line for line in told if line.startswith(f"{name} ")] for name in ("one", "two")}
    for name, body in (("one", "x"), ("two", "y")):
        words = [line.removeprefix(f"{name} diabetes:1 ") for line in by_request[name]]
        assert sorted(words) == sorted([f"info printed {body}", "info two", "info lines", "error logged"])
    assert lines.count("past Python") == lines.count("bytes") == 2


def test_the_package_is_imported_from_and_not_written_to(served: Any) -> None:
    served.start()
    spec = served.spec("")
    (spec.script.parent / "neighbour.py").write_text("VALUE = 41")
    (spec.script.parent / "parts").mkdir()
    (spec.script.parent / "parts" / "__init__.py").write_text("VALUE = 1")
    before = sorted(spec.script.parent.rglob("*"))
    served.deploy(
        """
        import os, neighbour, parts
        def init():
            global answer
            answer = [neighbour.VALUE + parts.VALUE, os.path.basename(os.getcwd()), os.environ["OMP_NUM_THREADS"]]
        def run(data):
            return answer
        """
    )
    assert json.loads(served.ask(body="").body) == [42, "package-1", os.environ.get("OMP_NUM_THREADS", "1")]
    assert sorted(spec.script.parent.rglob("*")) == before


def start_worker(folder: Path, script: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    (folder / "score.py").write_text(script)
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-I", str(WORKER), "--fd", "1", "--script", str(folder / "score.py")]
        process = subprocess.Popen(
            [*command, "--model-dir", str(folder), "--version", "m:1"],
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
        )
    ours.settimeout(120)
    return process, ours


def next_frame(connection: socket.socket, buffer: bytearray) -> frames.Frame:
    while True:
        for frame in frames.take(buffer):
            return frame
        piece = connection.recv(65536)
        assert piece, "the worker has ended"
        buffer += piece


def test_the_worker_speaks_in_frames_and_ends_when_the_front_goes_away(tmp_path: Path) -> None:
    process, connection = start_worker(tmp_path, INIT + "def run(data): return data * 2")
    buffer = bytearray()
    with connection:
        ready = next_frame(connection, buffer)
        assert (ready.kind, json.loads(ready.head)["pid"]) == (frames.READY, process.pid)
        packed = [
            frames.request(number, Route.SCORE, request_id=b"i", head=b"", body=b"x" * number) for number in (1, 70_000)
        ]
        connection.sendall(b"".join(packed))
        for number in (1, 70_000):
            frame = next_frame(connection, buffer)
            assert (frame.number, frame.kind, frame.code, frame.status) == (number, frames.ANSWER, frames.ANSWERED, 200)
            assert json.loads(frame.body) == "x" * number * 2
    assert process.wait(120) == 0


def test_a_script_that_raises_in_init_exits_with_3(tmp_path: Path) -> None:
    process, connection = start_worker(tmp_path, "def run(data): ...\ndef init():\n    raise ValueError('no model')")
    with connection:
        frame = next_frame(connection, bytearray())
    assert (frame.kind, frame.body) == (frames.FAILED, b"ValueError: no model (score.py, line 3)")
    assert process.wait(120) == 3


def test_a_script_in_a_package_is_imported_as_a_part_of_it(served: Any) -> None:
    served.start()
    spec = served.spec("from small.parts import answer\ndef init(): ...\ndef run(data): return answer(__name__)")
    package = spec.script.parent / "src" / "small"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text("def answer(name): return [name, answer.__module__]")
    script = spec.script.rename(package / "score.py")
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=replace(spec, script=script))
    assert json.loads(served.ask(body="{}").body) == ["small.score", "small.parts"]
    assert not list(package.rglob("*.pyc")), "a model package never changes"
