"""A guest: fingerprints of values by their content, equal across processes. Standard library only.

Nothing is imported, no method of the user's own classes is called, no generator or file is advanced: objects are read
by their `__dict__` and slots, and what the best known libraries keep elsewhere through their own means.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
import hashlib
import marshal
import runpy
import sys
import types
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LIBRARIES = runpy.run_path(str(Path(__file__).resolve().with_name("library_values.py")))

# A fingerprint is taken before and after a statement: these bounds keep it at some tenths of a second.
_BYTES = 200 * 1024**2
_NODES = 50_000
_ITEMS = 500_000
_DEPTH = 60
_LONG = 4096
_POINTER_BYTES = 8
# Version 2 of marshal has no references and no interning: equal content gives equal bytes.
_MARSHAL = 2

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis)})
# Their `repr` tells all, as long as the class is theirs and not the user's.
_SHOWN_MODULES = frozenset({"datetime", "decimal", "fractions", "uuid", "pathlib", "re", "zoneinfo"})
_SHOWN_TYPES = frozenset({
    range, slice, type(NotImplemented), types.GetSetDescriptorType, types.MemberDescriptorType,
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
})  # fmt: skip
_SHOWN_SCALARS = frozenset({"Timestamp", "Timedelta", "Period", "Interval", "NaTType", "NAType"})
_COMPILED_FUNCTIONS = frozenset({
    "cython_function_or_method", "fused_cython_function", "_ArrayFunctionDispatcher", "ufunc",
})  # fmt: skip
# What they hold is hardly ever what a notebook computes, large, and changes by being looked at.
_OPAQUE_ROOTS = frozenset({
    "IPython", "_asyncio", "_io", "_thread", "asyncio", "bokeh", "concurrent", "ctypes", "_ctypes", "ipykernel",
    "ipywidgets", "logging", "matplotlib", "multiprocessing", "plotly", "queue", "requests", "seaborn", "socket",
    "sqlalchemy", "sqlite3", "threading", "tqdm",
})  # fmt: skip
# Libraries whose compiled objects give their whole state to pickle and have no side effects there.
_PICKLED_ROOTS = frozenset({"sklearn", "scipy", "catboost", "lightgbm", "xgboost", "hdbscan", "umap", "imblearn"})
# Results kept for the next call: filling them changes nothing that a notebook computes.
_CACHES = frozenset({"_cache", "_item_cache", "_cacher", "_data_cache", "diagn", "__weakref__"})
_NO_CONTENT = frozenset({
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "_abc_impl", "__abstractmethods__",
})  # fmt: skip


class Reading(NamedTuple):
    """A value as read: its fingerprint, whether all was read, the mutable memory that it reaches, and its size."""

    digest: str
    is_complete: bool
    memory: frozenset[int]
    is_small: bool


def fingerprint(value: Any) -> tuple[str, bool]:
    """Return the fingerprint of a value's content, and whether all of the content could be read."""
    reading = read(value, _strong)
    return reading.digest, reading.is_complete


def _strong(data: Any) -> bytes:
    return hashlib.sha256(data).digest()


def read(value: Any, bulk: Callable[[Any], bytes], share: float = 1.0) -> Reading:
    """Return a value's reading within a share of the usual bounds; `bulk` digests what is long.

    Memory is told by addresses, good while it lives.
    """
    reader = _Reader(bulk, share)
    digest = reader.digest(value)
    shown = hashlib.blake2b(digest, digest_size=16).hexdigest()
    return Reading(shown, reader.is_complete, frozenset(reader.memory), reader.is_small(share))


def kind_of(value: Any) -> str:
    """Return the dotted type of a value; of an array with its dtype and number of dimensions."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if "numpy" in sys.modules and issubclass(kind, getattr(sys.modules["numpy"], "ndarray", ())):
        return f"{name}[{value.dtype},{value.ndim}]"
    return name


def _name(kind: Any) -> bytes:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}".encode()


def _root(kind: type) -> str:
    return str(getattr(kind, "__module__", "") or "").partition(".")[0]


def _joined(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """Return one short digest of parts in order, each with its length so that no two lists read the same."""
    state = hashlib.blake2b(tag, digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


class _Reader:
    """Reads one value with all that it holds."""

    def __init__(self, bulk: Callable[[Any], bytes], share: float) -> None:
        self.bulk = bulk
        self.is_complete = True
        self.memory: set[int] = set()
        self._done: dict[int, bytes] = {}
        self._open: dict[int, int] = {}
        # Ids tell objects apart only while these live.
        self._alive: list[Any] = []
        self._nodes = _NODES * share
        self._bytes = _BYTES * share
        self._copies = 0

    def is_small(self, share: float) -> bool:
        """Whether what was read is a hundredth of what might have been."""
        return self._nodes > 0.99 * _NODES * share and self._bytes > 0.99 * _BYTES * share

    def digest(self, value: Any) -> bytes:
        """Return the digest of a value; what cannot be read is named by its type."""
        kind = type(value)
        if kind in _SCALARS:
            flat = marshal.dumps(value, _MARSHAL)
            return flat if len(flat) < _LONG else b"long" + self._long(flat)
        identity = id(value)
        if identity in self._done:
            return self._done[identity]
        if identity in self._open:
            return b"above%d" % (len(self._open) - self._open[identity])
        self._nodes -= 1
        if self._nodes < 0 or len(self._open) > _DEPTH:
            return self.unread(kind)
        self._open[identity] = len(self._open)
        try:
            found = self._read(value, kind)
        except Exception:  # noqa: BLE001 - whatever odd objects raise, they are unread
            found = self.unread(kind)
        finally:
            del self._open[identity]
        self._done[identity] = found
        self._alive.append(value)
        return found

    def unread(self, kind: type) -> bytes:
        """Return the name of a type, noting that more could not be read."""
        self.is_complete = False
        return b"unread" + _name(kind)

    def holds(self, value: Any, address: int = 0) -> None:
        """Note memory that the value reaches and a statement could change; copies made for reading are none."""
        if not self._copies:
            self.memory.add(address or id(value))

    def _read(self, value: Any, kind: type) -> bytes:
        reading = _BY_TYPE.get(kind)
        if reading is not None:
            return reading(self, value)
        library_reading = _by_library(kind)
        if library_reading is not None:
            return _joined(_name(kind), library_reading(self, value))
        if kind in _SHOWN_TYPES or _is_shown(kind):
            return b"shown" + _name(kind) + repr(value).encode()
        for base, base_reading in _BY_BASE:
            if issubclass(kind, base):
                return base_reading(self, value)
        for base, container_reading in _CONTAINERS:
            if issubclass(kind, base):
                return _joined(_name(kind), [container_reading(self, value), self.attributes(value)])
        return self._object(value, kind)

    def _object(self, value: Any, kind: type) -> bytes:
        root, named = _root(kind), _name(kind)
        if kind.__name__ in _COMPILED_FUNCTIONS:
            return b"function" + _name(value)
        self.holds(value)
        if root in _OPAQUE_ROOTS:
            return self.unread(kind)
        serialized = _LIBRARIES["SERIALIZED"].get(f"{root}.{kind.__name__}")
        if serialized is not None:
            return _joined(named, [self.copied(serialized(value))])
        if not _hides_state(kind):
            return _joined(b"object" + named, [self.attributes(value)])
        if root in _PICKLED_ROOTS:
            return _joined(named, [self.copied(_pickled(value, kind))])
        return _joined(self.unread(kind), [self.attributes(value)])

    def copied(self, value: Any) -> bytes:
        """Return the digest of something made for reading only."""
        self._copies += 1
        try:
            return self.digest(value)
        finally:
            self._copies -= 1

    def attributes(self, value: Any) -> bytes:
        """Return the digest of an object's own attributes: its `__dict__` and slots, without calling anything."""
        parts = []
        try:
            own = object.__getattribute__(value, "__dict__")
        except AttributeError:
            own = {}
        for name in sorted(each for each in dict.keys(own) if isinstance(each, str)):
            if name not in _CACHES:
                parts += [name.encode(), self.digest(dict.__getitem__(own, name))]
        for base in type(value).__mro__:
            for name, member in list(vars(base).items()):
                if isinstance(member, types.MemberDescriptorType) and name not in _CACHES:
                    with contextlib.suppress(AttributeError):
                        parts += [name.encode(), self.digest(member.__get__(value))]
        return _joined(b"attributes", parts) if parts else b""

    def items(self, values: list[Any]) -> bytes:
        """Return the digest of values in order, quickly where they are plain."""
        if len(values) > _ITEMS:
            self.is_complete = False
            values = [len(values), *values[:: len(values) // _ITEMS + 1]]
        kinds = frozenset(map(type, values))
        if not kinds <= _SCALARS and all(map(_is_shown, kinds - _SCALARS)):
            values = [each if type(each) in _SCALARS else f"{type(each).__name__}:{each!r}" for each in values]
            kinds = _SCALARS & kinds
        if kinds <= _SCALARS:
            self._nodes -= len(values) // 100
            return b"plain" + self._long(marshal.dumps(values, _MARSHAL))
        return _joined(b"items", [self.digest(each) for each in values])

    def block(self, data: Any) -> bytes:
        """Return the digest of contiguous bytes."""
        return self._long(data if len(data) >= _LONG else bytes(data))

    def fits(self, size_bytes: int) -> bool:
        """Whether so much may still be read; if not, note that not all was."""
        self.is_complete = self.is_complete and size_bytes <= self._bytes
        return size_bytes <= self._bytes

    def joined(self, parts: Iterable[bytes]) -> bytes:
        """Return one short digest of parts in order."""
        return _joined(b"", parts)

    def _long(self, data: bytes) -> bytes:
        if len(data) < _LONG:
            return data
        self._bytes -= len(data)
        return self.bulk(data)


def _hides_state(kind: type) -> bool:
    """Whether a compiled base keeps something where Python cannot see it: instances are larger than what shows."""
    members = sum(
        isinstance(member, types.MemberDescriptorType) for base in kind.__mro__ for member in vars(base).values()
    )
    seen = members + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
    return kind.__basicsize__ > object.__basicsize__ + _POINTER_BYTES * seen


def _pickled(value: Any, kind: type) -> Any:
    state = value.__reduce_ex__(2)
    if not isinstance(state, tuple):
        return state
    arguments, held = state[1], state[2] if len(state) > 2 else None  # noqa: PLR2004 - pickle's own protocol
    if kind.__name__.startswith(("KDTree", "BallTree")) and isinstance(held, tuple):
        # Behind the tree come counters of the queries.
        held = held[:7] + held[11:]
    return [[each for each in arguments if not isinstance(each, type)], held]


def _is_shown(kind: type) -> bool:
    """Whether the `repr` of a type's values tells all, and is the library's own."""
    root = _root(kind)
    return root in _SHOWN_MODULES or (root == "pandas" and kind.__name__ in _SHOWN_SCALARS)


def _by_library(kind: type) -> Any:
    """Return how values of a type are read that an imported library defines, None when nothing is known of it."""
    for library, name, reading in _LIBRARIES["READINGS"]:
        if library in sys.modules and issubclass(kind, getattr(sys.modules[library], name, ())):
            return reading
    return None


# --- Python's own ---


def _list(reader: _Reader, value: Any) -> bytes:
    reader.holds(value)
    return _joined(b"list", [reader.items(list.copy(value))])


def _tuple(reader: _Reader, value: Any) -> bytes:
    return _joined(b"tuple", [reader.items(list(tuple.__iter__(value)))])


def _dict(reader: _Reader, value: Any) -> bytes:
    reader.holds(value)
    return _joined(b"dict", [reader.items(list(dict.keys(value))), reader.items(list(dict.values(value)))])


def _set(reader: _Reader, value: Any) -> bytes:
    if isinstance(value, set):
        reader.holds(value)
    base = set if isinstance(value, set) else frozenset
    return _joined(b"set", sorted(reader.digest(each) for each in base.copy(value)))


def _deque(reader: _Reader, value: Any) -> bytes:
    reader.holds(value)
    return _joined(b"deque", [reader.items(list(collections.deque.__iter__(value))), str(value.maxlen).encode()])


def _bytes_like(reader: _Reader, value: Any) -> bytes:
    reader.holds(value)
    return _joined(_name(type(value)), [reader.bulk(value)])


def _function(reader: _Reader, value: Any) -> bytes:
    named = _name(value)
    cells = value.__closure__ or ()
    held = [reader.digest(each.cell_contents) for each in cells if _is_filled(each)]
    if value.__module__ != "__main__":
        return _joined(b"function" + named, held)
    own = [reader.digest(value.__defaults__), reader.digest(value.__kwdefaults__), reader.digest(value.__dict__)]
    return _joined(b"function" + named, [_code(reader, value.__code__), *own, *held])


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _code(reader: _Reader, code: types.CodeType) -> bytes:
    consts = [
        _code(reader, each) if isinstance(each, types.CodeType) else reader.digest(each) for each in code.co_consts
    ]
    return _joined(code.co_code, [*consts, "\n".join(code.co_names).encode()])


def _method(reader: _Reader, value: Any) -> bytes:
    return _joined(b"method" + _name(value.__func__), [reader.digest(value.__self__)])


def _builtin(reader: _Reader, value: Any) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, (types.ModuleType, type)):
        return b"builtin" + _name(value)
    return _joined(b"builtin" + _name(value), [reader.digest(owner)])


def _partial(reader: _Reader, value: Any) -> bytes:
    reader.holds(value)
    return _joined(b"partial", [reader.digest(value.func), reader.digest(value.args), reader.digest(value.keywords)])


def _wrapped(reader: _Reader, value: Any) -> bytes:
    parts = (value.fget, value.fset, value.fdel) if isinstance(value, property) else (value.__func__,)
    return _joined(_name(type(value)), [reader.digest(each) for each in parts])


def _module(_reader: _Reader, value: Any) -> bytes:
    return b"module" + str(value.__name__).encode()


def _class(reader: _Reader, value: type) -> bytes:
    named = b"class" + _name(value)
    if value.__module__ != "__main__":
        return named
    reader.holds(value)
    own = [(name, each) for name, each in vars(value).items() if name not in _NO_CONTENT]
    parts = [part for name, each in sorted(own) for part in (name.encode(), reader.digest(each))]
    return _joined(named, [*map(_name, value.__mro__), *parts])


def _member(_reader: _Reader, value: Any) -> bytes:
    return b"enum" + _name(type(value)) + str(value._name_).encode()


def _weak(_reader: _Reader, value: Any) -> bytes:
    return b"weak" + _name(type(value))


_BY_TYPE: dict[type, Callable[[_Reader, Any], bytes]] = {
    list: _list, tuple: _tuple, dict: _dict, set: _set, frozenset: _set, bytearray: _bytes_like,
    collections.deque: _deque, types.FunctionType: _function, types.MethodType: _method,
    types.BuiltinFunctionType: _builtin, types.ModuleType: _module, functools.partial: _partial, property: _wrapped,
    staticmethod: _wrapped, classmethod: _wrapped, type: _class, weakref.ProxyType: _weak,
    weakref.CallableProxyType: _weak,
}  # fmt: skip
_BY_BASE: list[tuple[type, Callable[[_Reader, Any], bytes]]] = [
    (type, _class), (enum.Enum, _member), (types.ModuleType, _module), (weakref.ref, _weak),
]  # fmt: skip
# With attributes of their own beside what they contain.
_CONTAINERS: list[tuple[type, Callable[[_Reader, Any], bytes]]] = [
    (dict, _dict), (list, _list), (tuple, _tuple), (set, _set), (frozenset, _set), (collections.deque, _deque),
    (str, lambda _reader, value: str.encode(value, "utf-8", "surrogatepass")),
    (bytes, lambda _reader, value: bytes.__getitem__(value, slice(None))),
    (int, lambda _reader, value: int.__repr__(value).encode()),
    (float, lambda _reader, value: float.hex(value).encode()),
]  # fmt: skip
