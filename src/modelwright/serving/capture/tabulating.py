"""A request as rows of named columns, and its answer as predictions for them, whatever form clients and models choose.

Rows may be lists or objects, bare or below a key such as `data`; a table with `columns`; tensors with names; columns
as lists. What is nested in a row gets names with dots. A list of plain values is one row when it has as many as the
model has columns, else a column.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]

_INPUT_KEYS = (
    "dataframe_split", "dataframe_records", "input_data", "instances", "inputs", "Inputs", "data", "input",
    "WebServiceInput0",
)  # fmt: skip
_OUTPUT_KEYS = ("result", "results", "Results", "predictions", "prediction", "outputs", "output", "WebServiceOutput0")
_NESTED = 8


def columns_of(signature: Mapping[str, Any]) -> list[str]:
    """Return the names of a model's columns where its signature tells them."""
    schema: Any = signature.get("inputs")
    for _ in range(_NESTED):
        if not isinstance(schema, Mapping):
            return []
        if "maxItems" in schema and "description" in schema:
            names = str(schema["description"]).split(", ")
            return names if len(names) == schema["maxItems"] else []
        properties = schema.get("properties")
        schema = next(iter(properties.values()), None) if isinstance(properties, Mapping) else schema.get("items")
    return []


def inputs(body: bytes, *, content_type: str = "", names: Sequence[str] = ()) -> list[Row]:
    """Return the rows of a request. A body that is neither JSON nor CSV is one row without columns."""
    if content_type.startswith("text/csv"):
        return _csv(body, names)
    try:
        return _rows(_unwrapped(json.loads(body), _INPUT_KEYS), names, "x")
    except (ValueError, RecursionError):
        return [{}]


def predictions(body: bytes, count: int) -> list[Row]:
    """Return what was answered for each of so many rows; where it is no list of as many, the whole answer for each."""
    try:
        value = json.loads(body)
        if isinstance(value, str) and value[:1] in {"[", "{"}:  # the script encoded its answer itself
            value = json.loads(value)
    except (ValueError, RecursionError):
        return [{"prediction": body.decode(errors="replace")} for _ in range(count)]
    value = _unwrapped(value, _OUTPUT_KEYS)
    if _are_tensors(value):
        rows = [{f"prediction.{name}": each for name, each in row.items()} for row in _tensors(value)]
        if len(rows) == count:
            return rows
    if isinstance(value, list) and len(value) == count:
        return [_flat(each, "prediction") for each in value]
    return [_flat(value, "prediction") if count == 1 else {"prediction": _text(value)}] * count


def _unwrapped(value: Any, keys: Sequence[str]) -> Any:
    """Return what is below the keys that clients put around it."""
    for _ in range(_NESTED):
        if not isinstance(value, dict) or _is_table(value):
            break
        key = next((each for each in keys if each in value and isinstance(value[each], list | dict)), None)
        if key is None:
            only = next(iter(value)) if len(value) == 1 else None
            if only not in keys:
                break
            key = only
        value = value[key]
    return value


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("columns"), list) and isinstance(value.get("data"), list)


def _are_tensors(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and {"name", "shape", "data"} <= each.keys() for each in value)
        and all(_has_shape(each) for each in value)
    )


def _has_shape(tensor: Mapping[str, Any]) -> bool:
    """Return whether a tensor's shape is one, of as many rows as its data can be."""
    shape, data = tensor["shape"], tensor["data"]
    is_one = isinstance(shape, list) and all(type(each) is int and each >= 0 for each in shape)
    return is_one and isinstance(data, list) and (not shape or shape[0] <= len(_leaves(data)))


def _rows(value: Any, names: Sequence[str], prefix: str) -> list[Row]:
    if _is_table(value):
        return [_named(row, [str(each) for each in value["columns"]], prefix) for row in value["data"]]
    if _are_tensors(value):
        return _tensors(value)
    if isinstance(value, list):
        if value and not any(isinstance(each, list | dict) for each in value):
            is_row = bool(names) and len(value) == len(names)
            return [_named(value, names, prefix)] if is_row else [{f"{prefix}0": each} for each in value]
        return [_named(each, names, prefix) for each in value]
    if isinstance(value, dict) and value and all(isinstance(each, list) for each in value.values()):
        lengths = {len(each) for each in value.values()}
        if len(lengths) == 1:
            return [dict(zip(map(str, value), row, strict=True)) for row in zip(*value.values(), strict=True)]
    return [_flat(value, "")]


def _named(row: Any, names: Sequence[str], prefix: str) -> Row:
    if not isinstance(row, list):
        return _flat(row, "")
    known = list(names) if len(names) == len(row) else [f"{prefix}{number}" for number in range(len(row))]
    found: Row = {}
    for name, each in zip(known, row, strict=True):
        found |= _flat(each, name)
    return found


def _flat(value: Any, name: str) -> Row:
    """Return a value as cells: one, or one for each that is nested in it."""
    if isinstance(value, dict) and value:
        found: Row = {}
        for key, each in value.items():
            found |= _flat(each, f"{name}.{key}" if name else str(key))
        return found
    if (
        isinstance(value, list)
        and name.startswith("prediction")
        and not any(isinstance(each, list | dict) for each in value)
    ):
        return {f"{name}.{number}": each for number, each in enumerate(value)} if value else {name: None}
    return {name or "input": _text(value) if isinstance(value, list | dict) else value}


def _tensors(tensors: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return the rows of tensors whose first dimension counts them."""
    count = max((each["shape"][0] for each in tensors if each["shape"]), default=1)
    rows: list[Row] = [{} for _ in range(count)]
    for each in tensors:
        data = list(_leaves(each["data"]))
        width = len(data) // count if count else 0
        for number in range(count):
            part, name = data[number * width : (number + 1) * width], each["name"]
            rows[number] |= {str(name): part[0]} if width == 1 else {f"{name}.{n}": one for n, one in enumerate(part)}
    return rows


def _leaves(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list) else [value]


def _csv(body: bytes, names: Sequence[str]) -> list[Row]:
    lines = list(csv.reader(io.StringIO(body.decode("utf-8", "replace"))))
    if not lines:
        return [{}]
    has_header = not any(_is_number(cell) for cell in lines[0])
    known = lines.pop(0) if has_header else names
    return [_named([_cell(cell) for cell in line], known, "x") for line in lines if line]


def _is_number(text: str) -> bool:
    return not isinstance(_cell(text), str)


def _cell(text: str) -> Any:
    """Return what a cell of text says: a number where it is one, None where it is empty."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
