"""A guest: how the values of well-known libraries are read for their fingerprints. Standard library only.

Each reading takes the reader and a value, and gives the digests of its parts. It runs only when the user has imported
the library.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Of what is too large a part is read: so many pieces, spread evenly.
_PIECES = 64
_PANDAS_COPYING_ON_WRITE = 3


# --- numpy ---


def array(reader: Any, value: Any) -> bytes:
    """Return the digest of a numpy array: dtype, shape and the bytes in order."""
    numpy = sys.modules["numpy"]
    plain = numpy.ndarray.view(value, numpy.ndarray)
    head = f"{plain.dtype.str}{plain.shape}".encode()
    if plain.dtype.names:
        # By fields: what lies between them is whatever the memory held.
        return bytes(reader.joined([head, *(array(reader, plain[name]) for name in plain.dtype.names)]))
    if plain.dtype.hasobject:
        return bytes(reader.joined([head, reader.items(plain.ravel().tolist())]))
    if not reader.fits(plain.nbytes):
        plain = plain[:: max(1, len(plain) // _PIECES)]
        if not reader.fits(plain.nbytes):
            return bytes(reader.joined([head]))
    if not plain.size:
        return bytes(reader.joined([head]))
    data = numpy.ascontiguousarray(plain).reshape(-1).view(numpy.uint8)
    return bytes(reader.joined([head, reader.block(data)]))


def _hold_buffer(reader: Any, value: Any) -> None:
    """Note the memory that an array is a view of."""
    owner = value
    while isinstance(owner.base, sys.modules["numpy"].ndarray):
        owner = owner.base
    if value.size:
        reader.holds(owner, owner.__array_interface__["data"][0])


def _ndarray(reader: Any, value: Any) -> list[bytes]:
    _hold_buffer(reader, value)
    own = [] if type(value).__module__ == "numpy" else [reader.attributes(value)]
    return [array(reader, value), *own]


def _numpy_scalar(_reader: Any, value: Any) -> list[bytes]:
    return [str(value.dtype).encode(), value.tobytes()]


def _numpy_random(reader: Any, value: Any) -> list[bytes]:
    if value is getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None):
        # Everybody's: that it advances is told of it, and not of all who hold it.
        return []
    reader.holds(value)
    if hasattr(value, "get_state"):
        return [reader.copied(value.get_state(legacy=False))]
    generator = getattr(value, "bit_generator", value)
    reader.holds(generator)
    return [reader.copied(generator.state)]


def _random(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    return [reader.copied(value.getstate())]


def _shown(_reader: Any, value: Any) -> list[bytes]:
    return [repr(value).encode()]


# --- pandas ---


def _copies_on_write() -> bool:
    """Whether pandas never lets two frames share memory that can be written."""
    if int(sys.modules["pandas"].__version__.partition(".")[0]) >= _PANDAS_COPYING_ON_WRITE:
        return True
    asked = getattr(sys.modules["pandas._config"], "using_copy_on_write", None)
    return bool(asked()) if asked is not None else False


def _frame(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    if hasattr(value, "_iter_column_arrays"):
        columns = value._iter_column_arrays()  # noqa: SLF001 - the public ways make copies and fill caches
    else:
        columns = (value.iloc[:, number]._values for number in range(value.shape[1]))  # noqa: SLF001 - as above
    shares = not _copies_on_write()
    head = [_index(reader, value.columns), _index(reader, value.index), reader.copied(value.attrs)]
    return head + [_column(reader, each, shares=shares) for each in columns]


def _series(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    values = value._values  # noqa: SLF001 - the public ways make copies
    head = [reader.digest(value.name), _index(reader, value.index), reader.copied(value.attrs)]
    return [*head, _column(reader, values, shares=not _copies_on_write())]


def _index(reader: Any, value: Any) -> bytes:
    head = [type(value).__name__.encode(), reader.copied(list(value.names)), str(value.dtype).encode()]
    if hasattr(value, "codes") and hasattr(value, "levels"):
        head += [array(reader, sys.modules["numpy"].asarray(each)) for each in value.codes]
        return bytes(reader.joined(head + [_index(reader, each) for each in value.levels]))
    if type(value).__name__ == "RangeIndex":
        return bytes(reader.joined([*head, f"{value.start} {value.stop} {value.step}".encode()]))
    return bytes(reader.joined([*head, _column(reader, value._values, shares=False)]))  # noqa: SLF001 - as above


def _indexes(reader: Any, value: Any) -> list[bytes]:
    return [_index(reader, value)]


def _column(reader: Any, value: Any, *, shares: bool) -> bytes:
    """Return the digest of one column, an array of numpy or of pandas."""
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.ndarray):
        if shares:
            _hold_buffer(reader, value)
        return array(reader, value)
    head = [str(value.dtype).encode()]
    if hasattr(value, "categories") and hasattr(value, "codes"):
        parts = [array(reader, numpy.asarray(value.codes)), _index(reader, value.categories)]
        return bytes(reader.joined([*head, *parts, str(value.ordered).encode()]))
    if hasattr(value, "asi8"):
        return bytes(reader.joined([*head, array(reader, value.asi8)]))
    return bytes(reader.joined([*head, reader.items(numpy.asarray(value, dtype=object).tolist())]))


def _extension_array(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    return [_column(reader, value, shares=False)]


# --- others ---


def _sparse(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    names = ("data", "indices", "indptr", "row", "col", "coords", "offsets", "rows", "_dict")
    held = [vars(value)[name] for name in names if name in vars(value)]
    return [str(value.shape).encode(), *map(reader.digest, held)]


def _tensor(reader: Any, value: Any) -> list[bytes]:
    torch = sys.modules["torch"]
    plain = value.detach()
    reader.holds(value, plain.untyped_storage().data_ptr())
    head = f"{plain.dtype}{plain.device}{tuple(plain.shape)}{value.requires_grad}".encode()
    content = b""
    if plain.numel():
        content = array(reader, plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return [head, content, reader.digest(value.grad if value.is_leaf else None)]


def _torch_random(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    return [reader.copied(value.get_state())]


def _keras(reader: Any, value: Any) -> list[bytes]:
    reader.holds(value)
    # The weights are what was learned; how the model is compiled is not among them.
    reader.is_complete = False
    return [reader.copied(value.get_weights())]


# By library and name of the class, with all below it.
READINGS: list[tuple[str, str, Callable[[Any, Any], list[bytes]]]] = [
    ("numpy", "ndarray", _ndarray), ("numpy", "generic", _numpy_scalar), ("numpy", "dtype", _shown),
    ("numpy.random", "RandomState", _numpy_random), ("numpy.random", "Generator", _numpy_random),
    ("numpy.random", "BitGenerator", _numpy_random), ("pandas", "DataFrame", _frame), ("pandas", "Series", _series),
    ("pandas", "Index", _indexes), ("pandas.api.extensions", "ExtensionArray", _extension_array),
    ("scipy.sparse", "spmatrix", _sparse), ("scipy.sparse", "sparray", _sparse), ("torch", "Tensor", _tensor),
    ("torch", "Generator", _torch_random), ("torch", "dtype", _shown), ("torch", "device", _shown),
    ("random", "Random", _random), ("keras", "Model", _keras),
]  # fmt: skip
# Objects of compiled code, with what tells their whole content.
SERIALIZED: dict[str, Callable[[Any], Any]] = {
    "xgboost.Booster": lambda booster: bytes(booster.save_raw()),
    "lightgbm.Booster": lambda booster: booster.model_to_string(num_iteration=-1),
}
