"""Values as plain data, and how far two of them are apart. Standard library only; also part of generated tests.

Looking at a value never raises, draws no random number, and changes nothing: only what the best known libraries keep
in known places is read, and generators, open files and data sets are left alone.
"""

import importlib
import inspect
import math
import pickle
import re
import sys
import zlib
from pathlib import Path
from typing import Any

# Rows and values that a description shows; enough to tell other rows, few enough to read.
SHOWN_ROWS = 2
SHOWN_VALUES = 10
SHOWN_COLUMNS = 16
SHOWN_ITEMS = 24
SHOWN_TEXT = 200
# Of larger tables, so many values are read, evenly spread: some hundredths of a second.
READ_VALUES = 40_000
DEPTH = 5
TABLE_DIMENSIONS = 2
# Below this a float is rounding noise around zero, and a relative difference says nothing.
NOISE = 1e-12
# A sum this small beside what was added is rounding noise too.
_CANCELLED = 1e-10
_WEIGHTS = 997

# Files that joblib or pickle reads, and those that are read as they are.
_OBJECTS = (".joblib", ".pkl", ".pickle", ".sav")
_TEXTS = (".csv", ".tsv", ".txt", ".json")

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
_BLANKS = re.compile(r"(?<=\S)[ \t]+|[ \t]+(?=\n)")
# What tells of the clock, of memory or of the screen, and of no result.
_PASSING = (
    re.compile(r"0x[0-9a-fA-F]+"),
    re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"),
    re.compile(r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?"),
    re.compile(r"[\d.]+ ?(?:ns|us|µs|ms|s|sec|secs|seconds|min|minutes)\b(?:/\w+)?"),
)
# What estimators learn, and keep behind a property; all else stands in their `__dict__` with a name such as `mean_`.
_LEARNT = ("coef_", "intercept_", "feature_importances_", "support_", "best_iteration")
# What statistical models know when they are fitted.
_ESTIMATED = ("params", "bse", "llf", "aic", "bic", "nobs")
_TREE = ("node_count", "max_depth", "feature", "threshold", "value")
# Of no effect on what is learnt, or not the same twice.
_IDLE_WORDS = r"n_jobs|verbose|.*_time_?|memory|cache_size|nthread|silent|device|copy_X|warm_start"
_IDLE = re.compile(_IDLE_WORDS)
_CLOCK = re.compile(r".*(?:fit|score|refit)_time_?")


def plain(value: Any) -> Any:
    """Return a value as what JSON can hold: arrays and frames as lists of rows; what has no such form as its text."""
    if type(value) in (type(None), bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    # Frames, arrays, sparse arrays and single numbers of numpy, in this order: a frame has some of the others too.
    for method in ("to_numpy", "tolist", "toarray", "item"):
        if hasattr(value, method):
            return plain(getattr(value, method)())
    return str(value)


def certainty(model: Any, rows: Any) -> Any:
    """Return how sure a classifier is of each row; None for a model that does not tell.

    Labels alone do not tell two classifiers apart that agree on every row.
    """
    for method in ("predict_proba", "decision_function"):
        if hasattr(model, method):
            return plain(getattr(model, method)(rows))
    return None


def describe(value: Any) -> Any:
    """Return what tells each table, model and number inside a value from another one, by its place in it.

    Of tables: shape, columns, first and last rows, statistics of each column, and a checksum that the order changes.
    Of models: their class, parameters and what they learnt.
    """
    return {place or "all": _described(leaf, DEPTH) for place, leaf in leaves(value)}


def overlaps(value: Any) -> Any:
    """Return how many rows of each test table also stand in the train table of the same place."""
    tables = dict(leaves(value))
    found = {}
    for place, table in tables.items():
        partner = place.replace("test", "train")
        if partner != place and partner in tables and width(table) and width(tables[partner]):
            known = {repr(row) for row in plain(tables[partner])}
            found[place] = sum(repr(row) in known for row in plain(table))
    return found


def leaves(value: Any, place: str = "") -> Any:
    """Return the tables and other values inside nested dictionaries and tuples, with their places, as "train.X"."""
    if isinstance(value, dict) and len(value) <= SHOWN_ITEMS:
        items = [(key, each) for key, each in value.items() if not _CLOCK.fullmatch(str(key))]
    elif isinstance(value, tuple) and len(value) <= SHOWN_ITEMS:
        items = list(enumerate(value))
    else:
        return [(place, value)]
    start = place + "." if place else ""
    return [leaf for key, each in items for leaf in leaves(each, start + str(key))]


def width(table: Any) -> int:
    """Return the number of columns of a table; 0 for a series of single values and for what is no table."""
    shape = getattr(table, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) == TABLE_DIMENSIONS else 0


def said(text: str) -> Any:
    """Return the words and the numbers of a text that was printed, without those of clocks and addresses.

    Of blanks, those that a line begins with count.
    """
    for each in _PASSING:
        text = each.sub("@", text)
    numbers = [float(each) for each in _NUMBER.findall(text)]
    words = _BLANKS.sub(" ", _NUMBER.sub("#", text)).strip()
    if len(words) > SHOWN_TEXT:
        words = words[:SHOWN_TEXT] + f"… {zlib.crc32(words.encode('utf-8', 'replace'))}"
    return {"words": words, "numbers": numbers if len(numbers) <= SHOWN_ITEMS else _table(numbers)}


def contents(folder: Any) -> Any:
    """Return what the files of a folder hold, by name: objects that were saved, and texts; None for all others."""
    return {each.name: _content(each) for each in sorted(Path(folder).iterdir())}


def _content(file: Any) -> Any:
    if file.suffix in _OBJECTS:
        return describe(_loaded(file))
    return said(file.read_text(encoding="utf-8", errors="replace")) if file.suffix in _TEXTS else None


def _loaded(file: Any) -> Any:
    try:
        return importlib.import_module("joblib").load(file)
    except ImportError:
        return pickle.loads(file.read_bytes())  # noqa: S301 - what the project itself just saved


# --- descriptions ---


def _described(value: Any, depth: int) -> Any:
    try:
        return _description(value, depth)
    except Exception as error:  # noqa: BLE001 - whatever the user's objects raise, looking at them does not
        return {"type": type(value).__name__, "unreadable": type(error).__name__}


def _description(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return {"type": type(value).__name__, "value": _short_text(value)}
    if _is_table(value):
        return _table(value)
    if isinstance(value, dict):
        return _mapping(value, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else list(value)
        return _items(items, type(value).__name__, depth)
    found: Any = {"type": type(value).__name__}
    if depth > 0:
        found.update({key: each for key, each in _inside(value, depth - 1).items() if each})
    return found


def _short_text(value: Any) -> Any:
    if type(value) in (type(None), bool, int, float):
        return value
    if isinstance(value, float):  # those of numpy too
        return float(value)
    text = _timeless(str(value))
    if len(text) <= SHOWN_TEXT:
        return text
    return f"{text[:SHOWN_TEXT]}… {zlib.crc32(text.encode('utf-8', 'replace'))}"


def _timeless(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "@", text)


def _is_table(value: Any) -> bool:
    """Whether a value is read by its rows: a frame, an array, a list of numbers or texts or of lists of them."""
    if hasattr(value, "iloc") or (hasattr(value, "dtype") and hasattr(value, "shape")):
        return not isinstance(value, type)
    if isinstance(value, range):
        return True
    if not isinstance(value, (list, tuple)) or not value:
        return isinstance(value, list)
    sample = value[:: max(1, len(value) // SHOWN_ITEMS)]
    return all(_is_cell(each) or _is_row(each) for each in sample)


def _is_row(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_cell, value))


def _is_cell(value: Any) -> bool:
    is_scalar = hasattr(value, "dtype") and getattr(value, "shape", None) == ()
    return is_scalar or value is None or isinstance(value, (bool, int, float, str))


def _table(value: Any) -> Any:
    if hasattr(value, "nnz") and hasattr(value, "data") and not hasattr(value, "iloc"):
        held = {"data": _table(value.data), "columns": _table(value.indices) if hasattr(value, "indices") else None}
        return {"type": type(value).__name__, "shape": [int(each) for each in value.shape], **held}
    if hasattr(value, "detach"):
        value = value.detach()
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape) == 0:
        return {"type": type(value).__name__, "value": _short_text(plain(value))}
    length = int(shape[0]) if shape is not None else len(value)
    value = list(value) if isinstance(value, range) else value
    rows = value.iloc if hasattr(value, "iloc") else value
    first, last = plain(rows[:SHOWN_ROWS]), plain(rows[max(0, length - SHOWN_ROWS) :])
    found: Any = {"length": length, "width": width(value), "first": _short(first), "last": _short(last)}
    if length <= SHOWN_VALUES and (shape is None or len(shape) == 1):
        few = plain(rows[:])
        if all(map(_is_cell, few)):
            return {"length": length, "width": 0, "values": _short(few)}
    cells = max(1, math.prod(int(each) for each in shape[1:])) if shape else 1
    stride = max(1, math.ceil(length * cells / READ_VALUES))
    columns = getattr(value, "columns", None)
    if columns is not None:
        found["columns"] = _short_text(", ".join(map(str, list(columns)[:1000])))
    if hasattr(value, "iloc"):
        found["index"] = _checksum([_number(each) for each in plain(value.index[::stride])])
    found.update(_statistics([_flat(row) for row in plain(rows[::stride])]))
    return found


def _statistics(rows: Any) -> Any:
    """Return the statistics of each column, of all together where there are many, and a checksum of the order."""
    numbers = [[_number(each) for each in row] for row in rows]
    found: Any = {"checksum": _checksum([each for row in numbers for each in row])}
    widths = {len(row) for row in rows}
    columns: Any = list(zip(*numbers)) if len(widths) == 1 else []  # noqa: B905 - Python 3.9 has no strict
    if not columns or len(columns) > SHOWN_COLUMNS:
        columns = [[each for row in numbers for each in row]]
    found["mean"], found["std"], found["min"], found["max"], found["missing"] = zip(*map(_moments, columns))  # noqa: B905 - as above
    return {key: list(each) if isinstance(each, tuple) else each for key, each in found.items()}


def _moments(column: Any) -> Any:
    known = [each for each in column if math.isfinite(each)]
    if not known:
        return None, None, None, None, len(column)
    size = max(abs(each) for each in known) or 1.0
    mean = math.fsum(each / size for each in known) / len(known)
    spread = math.sqrt(math.fsum((each / size - mean) ** 2 for each in known) / len(known))
    mean, spread = (0.0 if abs(each) < _CANCELLED else each * size for each in (mean, spread))
    return mean, spread, min(known), max(known), len(column) - len(known)


def _checksum(numbers: Any) -> float:
    """Return a number between one and five that changes with the values and with their order."""
    weights = [1 + (place * 7919 % _WEIGHTS) / _WEIGHTS for place in range(len(numbers))]
    size = max((abs(each) for each in numbers if math.isfinite(each)), default=0.0)
    if not size:
        return 3.0
    known = [each / size if math.isfinite(each) else 0.5 for each in numbers]
    total = math.fsum(each * weight for each, weight in zip(known, weights))  # noqa: B905 - as above
    return 3 + total / math.fsum(map(abs, known))


def _number(cell: Any) -> float:
    """Return a number for any cell; texts have theirs between zero and one."""
    if isinstance(cell, (bool, int, float)):
        return float(cell) if abs(cell) < sys.float_info.max or cell != cell else math.inf  # noqa: PLR0124 - not a number
    return math.nan if cell is None else zlib.crc32(_timeless(str(cell)).encode("utf-8", "replace")) / 2**32


def _flat(row: Any) -> Any:
    if not isinstance(row, list):
        return [row]
    return [cell for each in row for cell in (_flat(each) if isinstance(each, list) else [each])]


def _short(rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    flat = [_flat(row) if isinstance(row, list) else row for row in rows]
    return [
        [_short_text(each) for each in row[:SHOWN_VALUES]] if isinstance(row, list) else _short_text(row)
        for row in flat
    ]


def _mapping(value: Any, depth: int) -> Any:
    value = {str(key): each for key, each in value.items() if not _CLOCK.fullmatch(str(key))}
    names = [_short_text(each) for each in value]
    if len(value) > SHOWN_ITEMS or depth <= 0:
        return {"keys": _table(names), "values": _items(list(value.values()), "values", depth - 1)}
    return {name: _described(each, depth - 1) for name, each in zip(names, value.values())}  # noqa: B905 - as above


def _items(items: Any, kind: str, depth: int) -> Any:
    if _is_table(items):
        return dict(_table(items), type=kind)
    found: Any = {"type": kind, "length": len(items)}
    if depth > 0:
        shown = items if len(items) <= SHOWN_VALUES else [items[0], items[-1]]
        found["items"] = [_described(each, depth - 1) for each in shown]
    return found


def _inside(value: Any, depth: int) -> Any:  # noqa: PLR0911 - one for each kind of model
    """Return what an object of a known kind holds: models of libraries, and objects of the user's own classes."""
    if isinstance(value, type) or callable(getattr(value, "__code__", None)):
        return {}
    if hasattr(value, "state_dict"):
        return {"state": _mapping(value.state_dict(), depth)}
    if hasattr(value, "get_weights"):
        return {"weights": _items(list(value.get_weights()), "list", depth)}
    if hasattr(value, "node_count") and hasattr(value, "threshold"):
        return {name: _described(getattr(value, name), depth) for name in _TREE}
    kept = {str(key): each for key, each in getattr(value, "__dict__", {}).items()}
    if hasattr(value, "get_params"):
        parameters = kept if not hasattr(value, "get_xgb_params") else value.get_params(deep=False)
        names = [each for each in parameters if not each.startswith("_") and not each.endswith("_")]
        usual = _defaults(value)
        settings = {
            each: parameters[each]
            for each in names
            if not _IDLE.fullmatch(each) and not (each in usual and _is_same(usual[each], parameters[each]))
        }
        learnt = {each: kept[each] for each in kept if each.endswith("_") and not each.startswith("_")}
        learnt.update({each: found for each in _LEARNT if (found := _safely(value, each)) is not None})
        learnt = {each: found for each, found in learnt.items() if not _IDLE.fullmatch(each)}
        return {"parameters": _attributes(settings, depth), "learnt": _attributes(learnt, depth)}
    estimated = {each: found for each in _ESTIMATED if (found := _safely(value, each)) is not None}
    if "params" in estimated:
        return {"learnt": _attributes(estimated, depth)}
    return {"holds": _attributes(kept, depth)} if _is_of_user(value) else {}


def _defaults(model: Any) -> Any:
    """Return what a model's parameters are when they are not given."""
    try:
        known = inspect.signature(type(model).__init__).parameters
    except (TypeError, ValueError):
        return {}
    return {name: each.default for name, each in known.items()}


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and isinstance(one, (bool, int, float, str)) and one == other)


def _attributes(named: Any, depth: int) -> Any:
    shown = sorted(named)[: 2 * SHOWN_ITEMS]
    return {
        each: _brief(named[each], depth) for each in shown if not callable(named[each]) or hasattr(named[each], "fit")
    }


def _brief(value: Any, depth: int) -> Any:
    """Return a description, of a plain value the value itself."""
    is_plain = value is None or isinstance(value, (bool, int, float, str))
    return _short_text(value) if is_plain else _described(value, depth)


def _safely(value: Any, name: str) -> Any:
    """Return an attribute's value; None when it has none, or is not to be had as long as nothing was learnt."""
    try:
        found = getattr(value, name, None)
    except Exception:  # noqa: BLE001 - libraries raise errors of their own here
        return None
    return None if callable(found) else found


def _is_of_user(value: Any) -> bool:
    """Whether an object's class is the user's own rather than a library's."""
    name = type(value).__module__
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    is_library = "site-packages" in file or "dist-packages" in file or file.startswith(sys.base_prefix + "/lib")
    return name == "__main__" or bool(file and not is_library)


# --- differences ---


def difference(one: Any, other: Any) -> float:
    """Return the largest relative difference of any two numbers in the same places; infinity where shapes differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return math.inf
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return math.inf
        return max((difference(first, second) for first, second in zip(one, other)), default=0.0)  # noqa: B905 - Python 3.9 has no strict
    if _is_number(one) and _is_number(other):
        return _apart(one, other)
    return 0.0 if one == other and type(one) is type(other) else math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _apart(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    largest = max(abs(one), abs(other))
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return 0.0 if largest < NOISE else abs(one - other) / largest
