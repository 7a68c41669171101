"""A guest: tries in a notebook's kernel whether raw rows, prepared anew, give the notebook's predictions.

Standard library only. What is tried is a function that scoring would have; it gets the raw rows behind those that the
model predicted on, all at once and one by one, after they went through JSON.
"""

import copy
import json
import math
import time
import warnings
from typing import Any

_TRIED_ALONE = 20
_ALONE_SECONDS = 10.0
_TOLERANCE = 1e-9
_PROBLEM_LENGTH = 200
_TABLE = 2
_KEPT_BYTES = 500 * 1024**2
_NOT_A_NUMBER = float("nan")

_kept: Any = {}


def keep(name: str, value: Any) -> None:
    """Keep a table as it is now, for a later try."""
    size = getattr(value, "nbytes", 0)
    _kept[name] = copy.copy(value) if isinstance(size, int) and size > _KEPT_BYTES else copy.deepcopy(value)


def keep_split(name: str, value: Any) -> None:
    """Keep which of all rows a part of them is."""
    every, some = value
    _kept[name] = (_labels(every), _labels(some), _keys(every), _keys(some))


def attempt(namespace: Any, value: Any, rows: Any, describing: Any) -> Any:
    """Return what came of a replay: equal or why not, and the request with its answer."""
    asked, model = value["asked"], value["model"]
    if asked["raw"] not in _kept:
        return {"is_equal": False, "problem": "its rows were not seen", "line": 0}
    raw = _behind(asked, _kept[asked["raw"]], rows)
    if raw is None:
        return {"is_equal": False, "problem": "it is not known which raw rows were predicted on", "line": 0}
    expected = describing["plain"](model.predict(rows))
    outcome: Any = None
    for form in _forms(raw, asked["targets"]):
        outcome = _tried(form, asked, namespace, model, expected, describing)
        if outcome["is_equal"]:
            return outcome
    return outcome or {"is_equal": False, "problem": "its rows cannot be written as JSON", "line": 0}


def _tried(form: Any, asked: Any, namespace: Any, model: Any, expected: Any, describing: Any) -> Any:
    scope = dict(namespace)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(asked["code"], "<replay>", "exec"), scope)  # noqa: S102 - the user's own statements

            def answered(data: Any) -> Any:
                made = _made(form, json.loads(json.dumps(data)))
                return describing["plain"](model.predict(scope["prepare_rows"](made)))

            data = form["data"]
            answer = answered(data)
            given = type(scope["prepare_rows"](_made(form, data)))
            if describing["difference"](expected, answer) > _TOLERANCE:
                return {"is_equal": False, "problem": "the predictions differ", "line": 0}
            began = time.monotonic()
            for number in range(min(len(data), _TRIED_ALONE)):
                if (
                    describing["difference"](expected[number : number + 1], answered(data[number : number + 1]))
                    > _TOLERANCE
                ):
                    return {"is_equal": False, "problem": "a row alone gives another prediction", "line": 0}
                if time.monotonic() - began > _ALONE_SECONDS:
                    break
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises says that it cannot be replayed
        return {
            "is_equal": False,
            "problem": f"{type(error).__name__}: {error}"[:_PROBLEM_LENGTH],
            "line": _line(error),
        }
    kept = {name: form[name] for name in ("kind", "columns", "added", "has_missing", "data", "dtype")}
    gives = given.__module__.partition(".")[0] + "." + given.__name__
    return dict(kept, is_equal=True, problem="", line=0, answer=answer, gives=gives)


def _line(error: BaseException) -> int:
    """Return the line of the function tried that raised."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<replay>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


# --- which raw rows ---


def _labels(table: Any) -> Any:
    index = getattr(table, "index", None)
    return list(index) if index is not None and hasattr(index, "is_unique") and index.is_unique else None


def _keys(table: Any) -> Any:
    """Return something for each row by which equal rows are found."""
    if hasattr(table, "toarray"):
        return None
    values = table.to_numpy() if hasattr(table, "to_numpy") else table
    return [repr(each.tolist() if hasattr(each, "tolist") else each) for each in values]


def _behind(asked: Any, raw: Any, rows: Any) -> Any:
    """Return the raw rows that became `rows`."""
    count = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    splits = [_kept[each] for each in asked["splits"] if each in _kept]
    labels = _labels(rows) or (splits[0][1] if splits else None)
    known = _labels(raw)
    if labels is not None and known is not None:
        wanted = labels[:count]
        return raw.loc[wanted] if len(wanted) == count and set(wanted) <= set(known) else None
    places = list(range(count))
    for _, _, every, some in splits:
        if every is None or some is None:
            return None
        first = {key: place for place, key in reversed(list(enumerate(every)))}
        if not all(place < len(some) and some[place] in first for place in places):
            return None
        places = [first[some[place]] for place in places]
    if max(places, default=0) >= (raw.shape[0] if hasattr(raw, "shape") else len(raw)):
        return None
    if hasattr(raw, "iloc"):
        return raw.iloc[places]
    return raw[places] if hasattr(raw, "dtype") else [raw[place] for place in places]


# --- requests ---


def _forms(raw: Any, targets: Any) -> Any:
    """Return the ways to write the rows in a request; without the columns that the model is to tell, if it can be."""
    if hasattr(raw, "columns"):
        numbers = [int(each[1:]) for each in targets if each.startswith("#")]
        gone = {*targets, *(raw.columns[each] for each in numbers if -len(raw.columns) <= each < len(raw.columns))}
        columns = [each for each in raw.columns if each not in gone]
        if not all(isinstance(each, (str, int)) for each in raw.columns):
            return []
        every = [each if isinstance(each, str) else int(each) for each in raw.columns]
        found = [_frame(raw, columns, None)]
        if len(columns) < len(raw.columns):
            found.append(_frame(raw, columns, every))
            # A target that the code does not name may not be what its number says.
            found += [_frame(raw, list(raw.columns), None)] if numbers else []
        return [each for each in found if each is not None]
    form = {"columns": None, "added": None, "has_missing": False, "dtype": None}
    if hasattr(raw, "to_numpy") and hasattr(raw, "index"):
        return _checked(dict(form, kind="series", data=_plain(raw.tolist()), dtype=str(raw.dtype)))
    if hasattr(raw, "ndim"):
        kind = "array" if raw.ndim >= _TABLE or raw.dtype.kind in "OUS" else ""
        is_text = raw.dtype.kind in "US"
        return _checked(dict(form, kind=kind, data=_plain(raw.tolist()), dtype="" if is_text else str(raw.dtype)))
    return _checked(dict(form, kind="list", data=_plain(list(raw))))


def _checked(form: Any) -> Any:
    try:
        json.dumps(form["data"], allow_nan=False)
    except (TypeError, ValueError):
        return []
    is_scalar = form["data"] and isinstance(form["data"][0], (int, float))
    return [form] if form["kind"] and not is_scalar else []


def _frame(raw: Any, columns: Any, added: Any) -> Any:
    part = raw[columns]
    types = {each if isinstance(each, str) else int(each): str(part[each].dtype) for each in columns}
    if any(each == "category" for each in types.values()):
        return None
    data = _plain([list(row) for row in part.itertuples(index=False, name=None)])
    try:
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError):
        return None
    objects = [number for number, each in enumerate(types.values()) if each == "object"]
    has_missing = any(row[number] is None for row in data for number in objects)
    return {
        "kind": "frame",
        "columns": types,
        "added": added,
        "has_missing": has_missing,
        "data": data,
        "dtype": None,
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: dates as text, missing values as null."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict) and all(isinstance(each, str) for each in value):
        return {key: _plain(each) for key, each in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # noqa: PLR0124 - only what is missing differs from itself
    return _plain(value.item()) if hasattr(value, "item") else str(value)


def _made(form: Any, data: Any) -> Any:
    """Return the rows of a request as the script would make them."""
    kind = form["kind"]
    if kind == "list":
        return data
    if kind == "array":
        numpy = __import__("numpy")
        return numpy.array(data, dtype=form["dtype"]) if form["dtype"] else numpy.array(data)
    pandas = __import__("pandas")
    if kind == "series":
        return pandas.Series(data, dtype=form["dtype"])
    rows = pandas.DataFrame(data, columns=list(form["columns"])).astype(form["columns"])
    rows = rows.fillna(_NOT_A_NUMBER) if form["has_missing"] else rows
    return rows if form["added"] is None else rows.reindex(columns=form["added"])
