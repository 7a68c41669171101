"""Runs steps in the project's own environment. Standard library only; started by path, never imported by the host.

`python worker.py SOURCE MODULE …` imports the project's modules from the folder SOURCE, once. Its standard output is a
socket: for each line of JSON that comes from it, a step, it forks; the fork runs the step as a process of its own, and
the exit code goes back as a line. Random draws go on from step to step as in one process. Every output is pickled to
`<folder>/<name>.pickle`; dictionaries of numbers also go
to `<folder>/numbers.json`.
"""

import contextlib
import importlib
import json
import os
import pickle
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

# The modules that draw from a state of the whole process, with the functions that get and set it.
_RANDOM_STATES = {
    "random": ("getstate", "setstate"),
    "numpy.random": ("get_state", "set_state"),
    "torch": ("get_rng_state", "set_rng_state"),
}


def main() -> None:
    """Serve until the socket closes. In a fork: run one step and return."""
    sys.path[0] = sys.argv[1]
    channel = os.dup(1)
    os.dup2(2, 1)  # what the project prints while it is imported is no answer
    _preload(sys.argv[2:])
    with os.fdopen(os.dup(channel), encoding="utf-8") as requests:
        for line in requests:
            request = json.loads(line)
            sys.stdout.flush()  # or every fork would print it again
            child = os.fork()
            if child == 0:
                os.close(channel)
                _write_to(request["log"])
                run_step(request)
                return
            _, status = os.waitpid(child, 0)
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            os.write(channel, b"%d\n" % code)


def run_step(request: dict[str, Any]) -> None:
    """Run the step that the request describes; write its outputs."""
    positional = []
    keywords = {}
    for argument in request["arguments"]:
        value = _load(argument["path"]) if argument["path"] else argument["value"]
        if argument["keyword"]:
            keywords[argument["keyword"]] = value
        else:
            positional.append(value)
    function = getattr(importlib.import_module(request["module"]), request["function"])
    random_states = Path(request["folder"], "random.states")
    _restore(random_states)
    result = function(*positional, **keywords)
    _keep(random_states)
    names = request["outputs"]
    values = tuple(result) if request["is_unpacked"] else (result,) * len(names)
    if len(values) != len(names):
        message = "{} gave {} values where the pipeline takes {}"
        raise ValueError(message.format(request["function"], len(values), len(names)))
    numbers = {}
    for name, value in zip(names, values):  # noqa: B905 - Python 3.9 has no strict=; lengths were compared
        with (Path(request["folder"]) / (name + ".pickle")).open("wb") as handle:
            # Protocol 5 everywhere, so that the bytes do not depend on the interpreter's default.
            pickle.dump(value, handle, protocol=5)
        if isinstance(value, dict) and all(_is_number(each) for each in value.values()):
            numbers[name] = {str(key): float(each) for key, each in value.items()}
    (Path(request["folder"]) / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")


def _restore(file: Path) -> None:
    """Let random draws go on where the step before this one left them."""
    if file.exists():
        for name, state in pickle.loads(file.read_bytes()).items():  # noqa: S301 - written by a step of this run
            getattr(importlib.import_module(name), _RANDOM_STATES[name][1])(state)


def _keep(file: Path) -> None:
    """Note where random draws stand, of the modules that are in use."""
    states = {
        name: getattr(sys.modules[name], get)() for name, (get, _) in _RANDOM_STATES.items() if name in sys.modules
    }
    file.write_bytes(pickle.dumps(states, protocol=5))


def _preload(modules: list[str]) -> None:
    # Forks share what is imported here. On macOS the system's libraries do not survive a fork once they are in use.
    if sys.platform == "darwin":
        return
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001 - the step that needs the module raises it again, into its own log
            traceback.clear_frames(sys.exc_info()[2])


def _write_to(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _load(path: str) -> object:
    if not path.endswith(".pickle"):
        with contextlib.suppress(ImportError):
            from joblib import load  # reads its own files and plain pickles

            return load(path)
    with Path(path).open("rb") as handle:
        return pickle.load(handle)  # noqa: S301 - a value of this run, or a model of this workspace, verified


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bytes))


if __name__ == "__main__":
    main()
