"""A guest: what lies around a notebook's variables in its kernel: random states, settings, figures, files, output.

Standard library only. Libraries are looked up, never imported; states are compared, never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import locale
import os
import random
import sys
import sysconfig
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE_EVENTS = frozenset({"open", "os.rename", "sqlite3.connect"})
_WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_LIBRARY_SUFFIXES = (".pyc", ".pyo", ".so", ".ttf", ".otf", ".afm", ".pfb", ".mplstyle", ".egg-link", ".pth")
_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev", "/etc", "/usr/share", "/usr/lib", "/usr/local/share/fonts", "/run")
_CACHE_FOLDERS = (".cache/matplotlib", ".cache/fontconfig", ".config", ".matplotlib", ".ipython")


def _module(name: str) -> Any:
    return sys.modules.get(name)


def _digest(value: Any) -> str:
    return hashlib.blake2b(value if isinstance(value, bytes) else repr(value).encode(), digest_size=16).hexdigest()


def _seen(looks: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """Return a digest for each that is there to look at: its library is imported, in a version that has it."""
    seen = {}
    for name, looked in looks.items():
        with contextlib.suppress(Exception):
            seen[name] = _digest(looked())
    return seen


# --- random states ---


def _numpy_random() -> Any:
    state = _module("numpy.random").get_state(legacy=False)
    inner = state["state"]
    return inner["key"].tobytes() + repr((inner["pos"], state["has_gauss"], state["gauss"])).encode()


_RANDOM: dict[str, Callable[[], Any]] = {
    "<numpy random>": _numpy_random,
    "<python random>": random.getstate,
    "<torch random>": lambda: _module("torch").get_rng_state().numpy().tobytes(),
}


def random_states() -> dict[str, str]:
    """Return a digest of each shared random state."""
    return _seen(_RANDOM)


# --- settings ---


# The back end is chosen at the first figure.
_SET_BY_FIGURES: frozenset[str] = frozenset({"backend", "backend_fallback", "interactive"})


def _torch_settings() -> Any:
    torch = _module("torch")
    return (torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled())


def _logging_settings() -> Any:
    root = _module("logging").root
    return (root.level, root.manager.disable, len(root.handlers))


_SETTINGS: dict[str, Callable[[], Any]] = {
    "cwd": os.getcwd,
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "logging": _logging_settings,
    "matplotlib.rcParams": lambda: [
        item for item in dict.items(_module("matplotlib").rcParams) if item[0] not in _SET_BY_FIGURES
    ],
    "numpy.errstate": lambda: _module("numpy").geterr(),
    "numpy.printoptions": lambda: _module("numpy").get_printoptions(),
    "os.environ": lambda: sorted(os.environ.items()),
    "pandas.options": lambda: _module("pandas._config.config")._global_config,  # noqa: SLF001 - the public door warns
    "sklearn.config": lambda: _module("sklearn").get_config(),
    "sys.path": lambda: sys.path,
    "sys.recursionlimit": sys.getrecursionlimit,
    "torch.config": _torch_settings,
    "torch.threads": lambda: _module("torch").get_num_threads(),
    "warnings.filters": lambda: [
        (action, getattr(message, "pattern", message), repr(kind), getattr(module, "pattern", module), line)
        for action, message, kind, module, line in warnings.filters
    ],
}
# Importing a library, which many do at the first call, changes these for its own sake.
SET_BY_IMPORTS = frozenset({"warnings.filters", "os.environ", "logging", "sys.recursionlimit"})


def settings() -> dict[str, str]:
    """Return a digest of each global setting."""
    return _seen(_SETTINGS)


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return what is another than before; what came with an import was not there to change."""
    return sorted(name for name in before if name in after and before[name] != after[name])


# --- figures ---


def figures() -> dict[int, Any]:
    """Return what each of matplotlib's open figures holds, in numbers that drawing changes."""
    helpers = _module("matplotlib._pylab_helpers")
    if helpers is None:
        return {}
    held: dict[int, Any] = {}
    for manager in list(helpers.Gcf.figs.values()):
        with contextlib.suppress(Exception):
            figure = manager.canvas.figure
            held[id(figure)] = (len(figure.get_children()), [_drawn(axes) for axes in figure.axes])
    return held


def _drawn(axes: Any) -> Any:
    labels = (axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), axes.get_legend() is not None)
    return (id(axes), len(axes.get_children()), *labels)


# --- files ---


class Files:
    """Notes which files are opened while `is_on`, through Python's own audit events."""

    def __init__(self, folder: str) -> None:
        """Listen; files in `folder` are told of relative to it."""
        self.is_on = False
        self._folder = os.path.realpath(folder) + os.sep
        self._opened: list[tuple[str, bool, bool]] = []
        libraries = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values(), *_SYSTEM_FOLDERS}
        libraries |= {str(Path(__file__).parent), os.environ.get("IPYTHONDIR", "/proc")}
        libraries |= {str(Path.home() / each) for each in _CACHE_FOLDERS}
        self._libraries = tuple(sorted(os.path.realpath(each) + os.sep for each in libraries if each != os.sep))
        # The names of cells, which tracebacks look for as if they were files.
        self._cells = str(Path(tempfile.gettempdir()).resolve() / "ipykernel_")
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: Any) -> None:
        if not self.is_on or event not in _FILE_EVENTS:
            return
        # Nothing that we note is worth an error of the user's.
        with contextlib.suppress(Exception):
            if event == "open":
                path, mode, flags = arguments
                is_read, is_written = _directions(mode, flags or 0)
            else:
                path = arguments[1 if event == "os.rename" else 0]
                is_read, is_written = event != "os.rename", True
            if isinstance(path, (str, bytes)):
                # Where it is now: the notebook may go to another folder before we look.
                self._opened.append((str(Path.cwd() / os.fsdecode(path)), is_read, is_written))

    def taken(self) -> tuple[list[str], list[str]]:
        """Return the files read and written since the last time, in order; those that are gone again are left out."""
        opened, self._opened = self._opened, []
        read: dict[str, None] = {}
        written: dict[str, None] = {}
        for path, is_read, is_written in opened:
            name = self._name(path)
            if name is not None and is_read and name not in written:
                read[name] = None
            if name is not None and is_written:
                written[name] = None
        return list(read), list(written)

    def _name(self, path: str) -> str | None:
        """Return how a file is told of, None when it is a library's or is no file now."""
        real = os.path.realpath(path)
        if not Path(real).is_file() or real.endswith(_LIBRARY_SUFFIXES) or "__pycache__" in real:
            return None
        if real.startswith(self._folder):
            return real[len(self._folder) :].replace(os.sep, "/")
        is_library = real.startswith((*self._libraries, self._cells)) or "site-packages" in real
        return None if is_library else real


def _directions(mode: Any, flags: int) -> tuple[bool, bool]:
    """Return whether a file is opened for reading and for writing; the system's own call has flags and no mode."""
    if isinstance(mode, str):
        return "r" in mode, bool(set(mode) & set("wax+"))
    is_written = bool(flags & _WRITING_FLAGS)
    return not is_written or bool(flags & os.O_RDWR and not flags & os.O_TRUNC), is_written


# --- output ---


class Output:
    """Notes what is printed and displayed, on its way to where it goes anyway."""

    def __init__(self, shell: Any) -> None:
        """Listen to a shell."""
        self._texts: list[str] = []
        self._figures = 0
        # The kernel's own, whatever the notebook puts in its place.
        self._stream = sys.stdout
        _listen(shell.display_pub, "publish", self._displayed)
        _listen(shell.displayhook, "write_format_data", self._displayed)

    def listen(self) -> None:
        """Listen to what is printed in a cell that begins; IPython puts its own `write` in place for each."""
        if not hasattr(self._stream.write, "is_heard"):
            _listen(self._stream, "write", self._printed)

    def _printed(self, text: Any, *_: Any, **__: Any) -> None:
        self._texts.append(str(text))

    def _displayed(self, data: Any, *_: Any, **options: Any) -> None:
        text = str(data.get("text/plain", ""))
        if text.startswith("<Figure size"):
            self._figures += 1
        elif not options.get("update"):
            self._texts.append(text + "\n")

    def taken(self) -> tuple[str, int]:
        """Return the text and the number of figures since the last time."""
        taken = "".join(self._texts), self._figures
        self._texts, self._figures = [], 0
        return taken


def _listen(owner: Any, name: str, told: Callable[..., None]) -> None:
    """Tell of every call of a method, before it does what it did."""
    original = getattr(owner, name)

    def heard(*arguments: Any, **options: Any) -> Any:
        with contextlib.suppress(Exception):
            told(*arguments, **options)
        return original(*arguments, **options)

    vars(heard)["is_heard"] = True
    setattr(owner, name, heard)
