"""Runs one model version in its own environment and answers the front. Standard library only, Python 3.9 or later.

Started as `python -I worker.py --fd N --model-dir …/azureml-models/NAME/VERSION --version REFERENCE`, with
`--script SCRIPT` or with `--framework FRAMEWORK [--model-file FILE]`, where N is a connected stream socket and standard
error is the endpoint's log. Messages are as `messages.py` says. Exit codes: 0 when the front closes the socket, 3 when
it cannot serve.
"""

import argparse
import faulthandler
import gc
import importlib
import importlib.util
import os
import socket
import sys
import traceback
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, Optional

CANNOT_SERVE = 3
_READ_BYTES = 1 << 18
# How long answers of a model wait for those after them, so that many are sent at once.
_HELD_SECONDS = 0.002

# More threads than one fight over the cores with other workers: a request of one row never pays for a team of them.
# ONNX Runtime is told in its session, and asks these where it was built with OpenMP.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ORT_NUM_THREADS",
)


def ours(name: str) -> Any:
    """Return a module of this folder, which becomes the package `modelwright_guest` here."""
    package = "modelwright_guest"
    if package not in sys.modules:
        folder = Path(__file__).parent
        places = [str(folder)]
        spec = importlib.util.spec_from_file_location(
            package, folder / "__init__.py", submodule_search_locations=places
        )
        if spec is None or spec.loader is None:
            raise ImportError(package)
        module = importlib.util.module_from_spec(spec)
        sys.modules[package] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{package}.{name}")


def prepare(options: argparse.Namespace) -> Any:
    """Load what is to be served and return what answers for it."""
    ours("shims").install()
    models = Path(options.model_dir)
    package = Path(options.package) if options.package else package_of(models)
    if options.script:
        module = ours("importing").import_script(options.script)
        served = ours("scripts").Script(module)
        module.init()
    else:
        served = ours("models").Model(options.framework, Path(options.model_file or models), package)
    return ours("answering").Answering(served, reference=options.version, package=package)


def package_of(models: Path) -> Path:
    """Return the folder of the package whose model's folder, or folder of several models, is given."""
    root = next((each for each in (models, *models.parents) if each.name == "azureml-models"), models)
    return root.parent


def serve(connection: socket.socket, answering: Any) -> None:
    """Answer requests in the order in which they come, until the front closes the connection."""
    messages = ours("messages")
    take, pack = messages.take, messages.pack
    # A script takes as long as it takes: nobody waits for the answer to somebody else.
    held_seconds = _HELD_SECONDS if answering.is_together else 0.0
    buffer, room = bytearray(), memoryview(bytearray(_READ_BYTES))
    while True:
        size = connection.recv_into(room)
        if not size:
            return
        buffer += room[:size]
        calls = take(buffer)
        ready, due = [], monotonic() + held_seconds
        for call, reply in zip(calls, answering.answer_together(calls)):
            ready.append(pack(call.number, reply))
            if monotonic() >= due:
                connection.sendall(b"".join(ready))
                ready, due = [], monotonic() + held_seconds
        if ready:
            connection.sendall(b"".join(ready))


def cannot_serve(connection: socket.socket, error: BaseException) -> NoReturn:
    """Log why the version cannot serve, tell the front in a line, and exit."""
    traceback.print_exc()
    where, kind = "", ""
    if not isinstance(error, ours("importing").ScriptUnfit):
        kind = f"{type(error).__name__}: "
        frames = traceback.extract_tb(error.__traceback__)
        if frames:
            where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    messages = ours("messages")
    connection.sendall(messages.announce(ours("codes").Kind.FAILED, {}, f"{kind}{error}{where}"))
    sys.stdout.flush()
    os._exit(CANNOT_SERVE)


def main(arguments: Optional["list[str]"] = None) -> None:
    """Load the version, run `init()`, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--script")
    parser.add_argument("--framework", default="")
    parser.add_argument("--model-file")
    parser.add_argument("--package")
    parser.add_argument("--model-dir", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--log", help="what standard error is open on")
    parser.add_argument("--attached", action="store_true")
    options = parser.parse_args(arguments)
    connection = socket.socket(fileno=os.dup(options.fd))
    os.close(options.fd)
    # A child that a script forks must neither answer nor keep the front from seeing that we have ended.
    os.register_at_fork(after_in_child=connection.close)
    faulthandler.enable(file=2)
    if not options.attached:  # then somebody is at the terminal, and a debugger may want to ask them
        # The socket may have come as standard output; what the script prints must never reach it.
        os.dup2(2, 1)
        ours("logs").take_over(options.version, options.log)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    os.environ["AZUREML_MODEL_DIR"] = options.model_dir
    os.environ.setdefault("AML_APP_ROOT", str(package_of(Path(options.model_dir))))
    if options.script:
        os.environ["AZUREML_ENTRY_SCRIPT"] = options.script
    try:
        answering = prepare(options)
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a script is a failure to start as well
        cannot_serve(connection, error)
    # What is here stays, and the collector need not look through it all while somebody waits for an answer.
    gc.collect()
    gc.freeze()
    facts = {"pid": os.getpid(), "takes_head": answering.takes_head}
    connection.sendall(ours("messages").announce(ours("codes").Kind.READY, facts))
    try:
        serve(connection, answering)
    except (ConnectionError, KeyboardInterrupt):
        return


if __name__ == "__main__":
    main()
