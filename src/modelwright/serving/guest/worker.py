"""Runs one scoring script in its own environment and answers the front. Standard library only, Python 3.9 or later.

Started as `python -I worker.py --fd N --script SCRIPT --model-dir …/azureml-models/NAME/VERSION --version REFERENCE`,
where N is a connected stream socket and standard error is the endpoint's log. Messages are as `frames.py` says.
Exit codes: 0 when the front closes the socket, 3 when the script cannot serve.
"""

import argparse
import faulthandler
import importlib
import importlib.machinery
import importlib.util
import inspect
import io
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, Optional

if TYPE_CHECKING:
    from collections.abc import Callable

READY, FAILED, ANSWER = 1, 2, 3
ANSWERED, RAISED, UNSERIALIZABLE = 0, 1, 2
# Length of what follows these four bytes, number, kind, code, small, length of the head, microseconds.
PREFIX = struct.Struct("!IIBBHII")
PREFIX_REST = PREFIX.size - 4
CANNOT_SERVE = 3

# More threads than one fight over the cores with other workers: a request of one row never pays for a team of them.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


NOT_PYTHON = "it is not a Python file"
NO_FUNCTION = "it defines no function {name}()"
BAD_PARAMETERS = "run() may not take positional-only parameters, *args or **kwargs"
NO_BODY = "run() needs a parameter for the request's body"
NO_DEFAULT = "run() gets one body, but its parameter {name!r} has no default"


class ScriptUnfit(Exception):
    """The script breaks a rule of the scoring contract."""


class LogStream(io.TextIOBase):
    """Standard output or error of the script: each line goes to the log with the time and the request's id."""

    request_id = "-"
    version = "-"

    def __init__(self, descriptor: int) -> None:
        """Write to `descriptor`."""
        self._descriptor = descriptor
        self._rest = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """How text becomes bytes."""
        return "utf-8"

    @property
    def buffer(self) -> BinaryIO:
        """A stream for bytes, as `sys.stdout.buffer` is; what goes here has no request id."""
        return io.FileIO(self._descriptor, "wb", closefd=False)

    def fileno(self) -> int:
        """Return the descriptor of the log."""
        return self._descriptor

    def writable(self) -> bool:
        """Say that text can be written."""
        return True

    def write(self, text: str) -> int:
        """Keep `text` until its line is whole, then log it."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            if lines:
                self._log(lines)
        return len(text)

    def end_line(self) -> None:
        """Log what was written without a newline."""
        with self._lock:
            if self._rest:
                rest, self._rest = self._rest, ""
                self._log([rest])

    def _log(self, lines: "list[str]") -> None:
        milliseconds = int(time.time() * 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds / 1000))
        prefix = f"{stamp}.{milliseconds % 1000:03d}Z {LogStream.request_id} {LogStream.version} "
        data = "".join(f"{prefix}{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        try:
            os.write(self._descriptor, data)  # one write: lines of several processes do not mix
        except OSError:
            # A full disk must not turn a print into a failed request.
            return


def message(
    number: int, kind: int, *, code: int = 0, status: int = 0, micros: int = 0, head: bytes = b"", body: bytes = b""
) -> bytes:
    """Return one message to the front."""
    length = PREFIX_REST + len(head) + len(body)
    return PREFIX.pack(length, number, kind, code, status, len(head), micros) + head + body


class Uncached(importlib.machinery.SourceFileLoader):
    """Loads Python files without writing `__pycache__` beside them: a model package never changes."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


def import_uncached_from(folder: str) -> None:
    """Have modules below `folder` loaded by `Uncached`; all others keep their bytecode caches, and start fast."""

    def find(path: str) -> importlib.machinery.FileFinder:
        if path != folder and not path.startswith(folder + os.sep):
            raise ImportError(path, path=path)
        return importlib.machinery.FileFinder(
            path,
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
            (Uncached, importlib.machinery.SOURCE_SUFFIXES),
            (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
        )

    sys.path_hooks.insert(0, find)


def load(script: str) -> ModuleType:
    """Return the script as a module, with its folder first on the path; that of its package if it is in one."""
    folder, names = Path(script).parent, [Path(script).stem]
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    import_uncached_from(str(folder))
    sys.path.insert(0, str(folder))
    sys.argv = [script]
    # Under its own name, so that what the script defines can be pickled and found again.
    name = ".".join(names)
    for parent in itertools.accumulate(names[:-1], "{}.{}".format):
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(name, script, loader=Uncached(name, script))
    if spec is None or spec.loader is None:
        raise ScriptUnfit(NOT_PYTHON)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def scorer(module: ModuleType) -> "Callable[[str, dict[str, str]], Any]":
    """Return `run` as a function of the body and the request's headers, whatever its parameters are called."""
    for name in ("init", "run"):
        if not callable(getattr(module, name, None)):
            raise ScriptUnfit(NO_FUNCTION.format(name=name))
    run = module.run
    parameters = list(inspect.signature(run).parameters.values())
    if any(each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) for each in parameters):
        raise ScriptUnfit(BAD_PARAMETERS)
    takes_headers = any(each.name == "request_headers" for each in parameters)
    inputs = [each for each in parameters if each.name != "request_headers"]
    if not inputs:
        raise ScriptUnfit(NO_BODY)
    missing = [each.name for each in inputs[1:] if each.default is each.empty]
    if missing:
        raise ScriptUnfit(NO_DEFAULT.format(name=missing[0]))
    first = inputs[0].name
    if takes_headers:
        return lambda body, headers: run(**{first: body, "request_headers": headers})
    return lambda body, _headers: run(**{first: body})


def encode(result: object) -> bytes:
    """Return an answer's body: JSON, and `{}` for None. Raises TypeError, ValueError or RecursionError."""
    return json.dumps({} if result is None else result).encode()


def answer(run: "Callable[[str, dict[str, str]], Any]", number: int, head: bytes, body: bytes) -> bytes:
    """Run the script on one request and return the message that answers it."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return refusal(number, 400, f"Input cannot be decoded as UTF-8: {error}")
    headers = json.loads(head)["headers"] if head else {}
    started = time.perf_counter()
    try:
        result = run(text, headers)
        micros = int((time.perf_counter() - started) * 1e6)
    except (Exception, SystemExit):  # noqa: BLE001 - sys.exit() too fails this request, not the worker
        traceback.print_exc()
        return message(number, ANSWER, code=RAISED)
    try:
        return message(number, ANSWER, status=200, micros=micros, body=encode(result))
    except Exception:  # noqa: BLE001 - an object may raise anything while it is encoded
        traceback.print_exc()
        return message(number, ANSWER, code=UNSERIALIZABLE)


def refusal(number: int, status: int, text: str) -> bytes:
    """Return the message that tells a client what is wrong with its request."""
    return message(number, ANSWER, status=status, body=json.dumps({"message": text}).encode())


def serve(connection: socket.socket, run: "Callable[[str, dict[str, str]], Any]") -> None:
    """Answer requests in the order in which they come, until the front closes the connection."""
    with connection.makefile("rb", buffering=1 << 16) as stream:
        while True:
            prefix = stream.read(PREFIX.size)
            if len(prefix) < PREFIX.size:
                return
            length, number, _kind, _route, id_length, head_length, _micros = PREFIX.unpack(prefix)
            rest = stream.read(length - PREFIX_REST)
            if len(rest) < length - PREFIX_REST:
                return
            LogStream.request_id = rest[:id_length].decode()
            body_start = id_length + head_length
            reply = answer(run, number, rest[id_length:body_start], rest[body_start:])
            for each in (sys.stdout, sys.stderr):
                if isinstance(each, LogStream):
                    each.end_line()
            LogStream.request_id = "-"
            connection.sendall(reply)


def cannot_serve(connection: socket.socket, error: BaseException) -> NoReturn:
    """Log why the script cannot serve, tell the front in a line, and exit."""
    traceback.print_exc()
    where = ""
    frames = traceback.extract_tb(error.__traceback__)
    if frames and not isinstance(error, ScriptUnfit):
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    kind = "" if isinstance(error, ScriptUnfit) else f"{type(error).__name__}: "
    connection.sendall(message(0, FAILED, body=f"{kind}{error}{where}".encode("utf-8", "replace")))
    sys.stdout.flush()
    os._exit(CANNOT_SERVE)


def main(arguments: Optional["list[str]"] = None) -> None:
    """Load the script, run `init()`, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--package")
    parser.add_argument("--model-dir", required=True)
    parser.add_argument("--version", required=True)
    options = parser.parse_args(arguments)
    # The socket may have come as standard output; what the script prints must never reach it.
    connection = socket.socket(fileno=os.dup(options.fd))
    os.close(options.fd)
    os.dup2(2, 1)
    faulthandler.enable(file=2)
    LogStream.version = options.version
    sys.stdout, sys.stderr = LogStream(1), LogStream(2)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    os.environ["AZUREML_MODEL_DIR"] = options.model_dir
    os.environ["AZUREML_ENTRY_SCRIPT"] = options.script
    try:
        module = load(options.script)
        run = scorer(module)
        module.init()
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a script is a failure to start as well
        cannot_serve(connection, error)
    takes_head = "request_headers" in inspect.signature(module.run).parameters
    facts = {"pid": os.getpid(), "takes_head": takes_head}
    connection.sendall(message(0, READY, head=json.dumps(facts).encode()))
    try:
        serve(connection, run)
    except (ConnectionError, KeyboardInterrupt):
        return


if __name__ == "__main__":
    main()
