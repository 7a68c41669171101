"""Runs steps in the project's own environment. Standard library only; started by path, never imported by the host.

`python worker.py SOURCE MODULE …` imports the project's modules from the folder SOURCE, once. Its standard output is a
socket: for each line of JSON that comes from it, a step, it forks; the fork runs the step as a process of its own, any
number at a time. `{"id": …, "pid": …}` goes back when a step has begun, and `{"id": …, "code": …}` when it has ended.

A step gets its values as files and writes each output to `<folder>/<name>.value`; beside them, in `facts.json`, what it
was seen to depend on: the files that it opened, whether it used the network, and whether it drew random numbers of the
whole process, whose states go on from step to step as in one process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import mmap
import os
import pickle
import select
import signal
import struct
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from types import FrameType

# The modules that draw from a state of the whole process: the functions that get, set and seed it.
_RANDOM_STATES = {
    "random": ("getstate", "setstate", "seed"),
    "numpy.random": ("get_state", "set_state", "seed"),
    "torch": ("get_rng_state", "set_rng_state", "manual_seed"),
}
# What the interpreter reports of itself, by the names of its audit events.
_HEARD = frozenset({"open", "os.listdir", "os.mkdir", "os.scandir", "socket.connect"})
_MAGIC = b"WRIGHTV1"
_ALIGNMENT = 64
# Smaller buffers go into the pickle: a mapping of their own costs more than a copy.
_SMALL_BYTES = 4096


def main() -> None:
    """Serve until the socket closes. In a fork: run one step and return."""
    sys.path[0] = sys.argv[1]
    channel = os.dup(1)
    os.dup2(2, 1)  # what the project prints while it is imported is no answer
    _place_recording()
    watch = Watch(sys.argv[1])
    sys.addaudithook(watch.hear)
    _preload(sys.argv[2:])
    gc.freeze()  # the collector of a fork leaves alone what it shares with its parent
    request = _Server(channel).serve()
    if request is not None:
        os.close(channel)
        _write_to(request["log"])
        run_step(request, watch)
        _leave()


def run_step(request: dict[str, Any], watch: Watch) -> None:
    """Run the step that the request describes; write its outputs and what it was seen to do."""
    folder = Path(request["folder"])
    os.environ["WRIGHT_RECORDS"] = request["records"]
    positional = []
    keywords = {}
    for argument in request["arguments"]:
        value = read_value(argument["path"]) if argument["path"] else argument["value"]
        if argument["keyword"]:
            keywords[argument["keyword"]] = value
        else:
            positional.append(value)
    function = _function(request)
    before = restore_random(request["random"], request["seed"])
    watch.begin()
    result = function(*positional, **keywords)
    watch.end()
    after = random_states()
    names = request["outputs"]
    values = tuple(result) if request["is_unpacked"] else (result,) * len(names)
    if len(values) != len(names):
        message = "{} gave {} values where the pipeline takes {}"
        raise ValueError(message.format(request["function"], len(values), len(names)))
    numbers = {}
    for name, value in zip(names, values):  # noqa: B905 - Python 3.9 has no strict=; lengths were compared
        write_value(value, folder / (name + ".value"), name)
        if isinstance(value, dict) and value and all(_is_number(each) for each in value.values()):
            numbers[name] = {str(key): float(each) for key, each in value.items()}
    has_drawn = after != before
    if has_drawn:
        (folder / "random.states").write_bytes(after)
    facts = dict(watch.facts(), numbers=numbers, has_drawn=has_drawn)
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _function(request: dict[str, Any]) -> Any:
    """Return the function of the request: the project's, or that of a guest, which is given this module first."""
    if request.get("guest"):
        guest = load("wright_guest", Path(request["guest"]))
        return functools.partial(getattr(guest, request["function"]), sys.modules[__name__])
    return getattr(importlib.import_module(request["module"]), request["function"])


# --- values ---


def write_value(value: Any, file: Path, name: str) -> None:
    """Write a value as its pickle with the large buffers behind it, each at a place where it can be used as it lies."""
    buffers: list[pickle.PickleBuffer] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < _SMALL_BYTES:
            return True
        buffers.append(buffer)
        return False

    try:
        # Protocol 5 everywhere, so that the bytes do not depend on the interpreter's default.
        body = pickle.dumps(value, protocol=5, buffer_callback=take)
    except Exception as error:
        message = 'the output "{}", a {}, cannot be passed on to another step: {}'
        raise TypeError(message.format(name, type(value).__name__, error)) from error
    places = []
    end = len(_MAGIC) + 16 + 16 * len(buffers) + len(body)
    for buffer in buffers:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        end = start + buffer.raw().nbytes
        places.append((start, buffer.raw().nbytes))
    with file.open("wb") as handle:
        handle.write(_MAGIC + struct.pack("<QQ", len(body), len(buffers)))
        for place in places:
            handle.write(struct.pack("<QQ", *place))
        handle.write(body)
        for (start, _), buffer in zip(places, buffers):  # noqa: B905 - as above
            handle.write(b"\0" * (start - handle.tell()))
            handle.write(buffer.raw())


def read_value(path: str) -> Any:
    """Return a value that `write_value` wrote, or a model as joblib or pickle wrote it."""
    with Path(path).open("rb") as handle:
        if handle.read(len(_MAGIC)) == _MAGIC:
            # A private mapping: reading copies nothing, and a step that changes its input changes its own copy.
            whole = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY))
            size, count = struct.unpack_from("<QQ", whole, len(_MAGIC))
            start = len(_MAGIC) + 16
            places = [struct.unpack_from("<QQ", whole, start + 16 * number) for number in range(count)]
            body = start + 16 * count
            buffers = [whole[place : place + length] for place, length in places]
            return pickle.loads(whole[body : body + size], buffers=buffers)  # noqa: S301 - a value of this workspace
        handle.seek(0)
        with contextlib.suppress(ImportError):
            from joblib import load  # reads its own files and plain pickles

            return load(path)
        return pickle.load(handle)  # noqa: S301 - a model of this workspace, verified


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bytes))


# --- random numbers ---


def restore_random(states: str | None, seed: int) -> bytes:
    """Let random draws go on where the step before this one left them, or begin from the run's seed."""
    left = pickle.loads(Path(states).read_bytes()) if states else {}  # noqa: S301 - written by a step of this workspace
    for name, (_, _, start) in _RANDOM_STATES.items():
        module = sys.modules.get(name)
        if module is not None and name not in left:
            getattr(module, start)(seed)
    set_random(left)
    return random_states()


def set_random(states: dict[str, Any]) -> None:
    """Let random draws go on from these states, by module."""
    for name, state in states.items():
        if name in sys.modules:
            getattr(sys.modules[name], _RANDOM_STATES[name][1])(state)


def random_states() -> bytes:
    """Return where random draws stand, of the modules that are in use."""
    states = {
        name: getattr(sys.modules[name], get)() for name, (get, _, _) in _RANDOM_STATES.items() if name in sys.modules
    }
    return pickle.dumps(states, protocol=5)


# --- what a step is seen to do ---


class Watch:
    """Hears what the interpreter reports of itself: files opened, folders listed, connections made."""

    def __init__(self, source: str) -> None:
        """Take the folder of the project's modules, whose code is known without looking."""
        roots = [sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(os.__file__).parent), "/proc", "/dev", "/sys"]
        roots += ["/etc", "/usr/lib", "/usr/share", "/lib", sys.pycache_prefix or sys.prefix]
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
        roots += [os.path.join(home, each) for each in (".cache/matplotlib", ".cache/fontconfig", ".config/matplotlib")]  # noqa: PTH118 - as above
        known = {os.path.realpath(each) for each in roots} | set(roots)
        self._ignored = tuple(each.rstrip("/") + "/" for each in known)
        self._source = os.path.realpath(source)
        self._read: dict[str, tuple[int, int] | None] = {}
        self._written: set[str] = set()
        self._made: tuple[str, ...] = ()
        self._has_connected = False
        self._is_on = True  # what is read while the project is imported, every step depends on

    def begin(self) -> None:
        """Listen: a step begins."""
        self._is_on = True

    def reset(self) -> None:
        """Forget what was heard, for the next step of the same process."""
        self._read, self._written, self._made = {}, set(), ()
        self._has_connected, self._is_on = False, False

    def end(self) -> None:
        """Listen no more."""
        self._is_on = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note of an event of the interpreter. Must never raise, and be quick."""
        if not self._is_on or event not in _HEARD:
            return
        with contextlib.suppress(Exception):
            if event == "socket.connect":
                address = arguments[1]
                self._has_connected |= isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1"))
                return
            path = arguments[0] if arguments and arguments[0] is not None else "."
            if isinstance(path, int) or (event == "os.listdir" and _is_import(sys._getframe(1))):  # noqa: SLF001 - who lists it
                return
            place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as quick as can be
            if f"{place}/".startswith(self._ignored + self._made) or self._is_code(place):
                return
            if event == "os.mkdir":
                if not os.path.exists(place):  # noqa: PTH110 - as quick as can be
                    self._made += (f"{place}/",)  # what is in there is the step's own
                return
            flags = arguments[2] if event == "open" else os.O_RDONLY
            # What is opened to be changed, and not emptied, depends on what is in it as much as what is read.
            if place not in self._written and place not in self._read and not flags & os.O_TRUNC:
                self._read[place] = _stamp(place)
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._written.add(place)

    def facts(self) -> dict[str, Any]:
        """Return what was heard."""
        return {"read": self._read, "written": sorted(self._written), "has_connected": self._has_connected}

    def _is_code(self, place: str) -> bool:
        return place.endswith((".py", ".pyc")) or place == self._source


def _is_import(frame: FrameType) -> bool:
    # The import system lists folders to find modules, whose code is known.
    return frame.f_code.co_filename.startswith("<frozen importlib")


def _stamp(place: str) -> tuple[int, int] | None:
    try:
        found = os.stat(place)  # noqa: PTH116 - as quick as can be
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


# --- serving ---


class _Server:
    """Reads requests, forks for each, and tells when a fork has begun and ended."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._children: dict[int, str] = {}
        self._wakes, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wakes, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any] | None:
        """Return the request in the fork that is to run it, and None when the socket has closed."""
        left = b""
        while True:
            ready, _, _ = select.select([self._channel, self._wakes], [], [])
            if self._wakes in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakes, 4096)
                self._reap()
            if self._channel not in ready:
                continue
            got = os.read(self._channel, 1 << 16)
            if not got:
                return None
            *lines, left = (left + got).split(b"\n")
            for line in lines:
                request: dict[str, Any] = json.loads(line)
                if self._fork(request):
                    return request

    def _fork(self, request: dict[str, Any]) -> bool:
        sys.stdout.flush()  # or every fork would print it again
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return True
        self._children[child] = request["id"]
        self._tell(id=request["id"], pid=child)
        return False

    def _reap(self) -> None:
        for child, name in list(self._children.items()):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                del self._children[child]
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._tell(id=name, code=code)

    def _tell(self, **facts: Any) -> None:
        os.write(self._channel, json.dumps(facts).encode() + b"\n")


def _place_recording() -> None:
    """Let `import modelwright` give the recording module, whether or not the environment has the package."""
    load("modelwright", Path(__file__).with_name("recording.py"))


def load(name: str, file: Path) -> Any:
    """Import a guest's file as the module `name`."""
    specification = importlib.util.spec_from_file_location(name, str(file))
    if specification is None or specification.loader is None:
        raise ImportError(str(file))
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


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


def _leave() -> NoReturn:
    """End at once, after what programs do at their end.

    The interpreter's own tidying up would touch, and so copy, all the memory that the fork shares with its parent.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - what the interpreter calls at its end
    atexit._run_exitfuncs()  # noqa: SLF001 - as above
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _write_to(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    main()
