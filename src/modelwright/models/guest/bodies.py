"""Bodies of requests and answers by their content type: JSON, CSV, Arrow and NumPy."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import zlib
from http import HTTPStatus
from typing import Any, Optional

from .messages import Call, Reply
from .refusals import NotSerializable, Refused
from .results import encode_strictly, plain
from .tables import Table, check_names, of_array, of_columns, of_json, of_rows

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
NUMPY = "application/x-npy"
_UNSAID = "application/x-www-form-urlencoded"  # what curl says when nobody told it
_TYPES = (JSON, CSV, ARROW, NUMPY)
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # what zlib calls them
# A body may be packed ten-thousandfold; unpacked it is held to what a front takes by default.
_LONGEST_BYTES = 100 * 1024 * 1024
# A column of Arrow may be of so many values in no bytes at all.
_FEW_VALUES = 1_000_000
_VALUES_OF_BYTE = 8
_WITHOUT_ROOM = ("null", "struct<>", "run_end_encoded")
# Releases of pyarrow that unpickle what a type of a body carries: code of whoever sent it (CVE-2023-47248).
_LAST_UNPICKLING = 14
# Of NumPy's types: what JSON can say too.
_KINDS = "biufMU"
_LONG_DOUBLE = "g"
_PLAIN = b'{"data"'
_read = json.JSONDecoder().raw_decode
_NEEDS = "{kind} needs {package} in the version's environment, which does not have it"


def kind_of(content_type: str) -> str:
    """Return a content type without its parameters; JSON when nobody said. Raises Refused for an unknown one."""
    if content_type == JSON:
        return JSON
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", _UNSAID):
        return JSON
    if kind not in _TYPES:
        text = f'Content-Type "{kind}" is not served here. Send one of: {", ".join(_TYPES)}'
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
    return kind


def unpacked(call: Call) -> Call:
    """Return a request with its body as it was before the client packed it. Raises Refused."""
    encoding = call.told().headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return call
    if encoding not in _WINDOWS:
        text = f'Content-Encoding "{encoding}" is not served here. Send one of: gzip, deflate, identity'
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
    inflating = zlib.decompressobj(_WINDOWS[encoding])
    try:
        body = inflating.decompress(call.body, _LONGEST_BYTES)
    except zlib.error as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not {encoding}: {error}") from error
    if inflating.unconsumed_tail:
        text = f"The body is longer than {_LONGEST_BYTES} bytes when it is unpacked"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    if not inflating.eof:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body ends before its {encoding} does")
    if inflating.unused_data:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body goes on after its {encoding} has ended")
    return call._replace(body=body)


def decode(kind: str, body: bytes, *, has_names: bool = False) -> tuple[Table, dict[str, Any]]:
    """Return the rows in a body, and what a JSON object has beside them. Raises Refused.

    With `has_names` the first line of CSV is one of names, whatever stands in it.
    """
    if kind == JSON:
        value = json_of(body)
        return of_json(value), value if isinstance(value, dict) else {}
    if kind == CSV:
        return of_csv(body, has_names=has_names), {}
    return (_of_arrow(body) if kind == ARROW else _of_npy(body)), {}


def json_of(body: bytes) -> Any:
    """Return a body read as JSON. Raises Refused."""
    if not body:
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is empty. Expecting JSON.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body could not be decoded as JSON: {error}") from error


def plain_rows(body: bytes) -> Optional[list[Any]]:
    """Return the rows of a body that is {"data": [[...], ...]} and nothing else; None for any other."""
    if not body.startswith(_PLAIN):
        return None
    try:
        # Of what begins so, this reads what `json.loads` does, without looking for its encoding and for spaces around.
        text = body.decode()
        value, end = _read(text)
    except (ValueError, RecursionError):
        return None
    rows = value.get("data")
    is_plain = end == len(text) and len(value) == 1 and type(rows) is list and rows and type(rows[0]) is list
    return rows if is_plain else None


def of_csv(body: bytes, *, has_names: bool = False) -> Table:
    """Return lines of values as a table; the first is of names if it holds no number. Raises Refused."""
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body could not be read as CSV: {error}") from error
    if not lines:
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is empty. Expecting CSV.")
    first = [_cell(each) for each in lines[0]]
    names = lines[0] if has_names or not any(isinstance(each, (int, float)) for each in first) else None
    rows = [[_cell(each) for each in line] for line in lines[1 if names else 0 :]]
    width = len(lines[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise Refused(HTTPStatus.BAD_REQUEST, f"Row {number} has {len(row)} values, the first line has {width}")
    return of_rows(rows, names=names)


def encode_as(accept: str, result: Any) -> Reply:
    """Return a result in the form that the client prefers, if it is Arrow or NumPy: the bare values.

    Raises NotSerializable for a result that has no such form.
    """
    wanted = _wanted(accept)
    try:
        if wanted == ARROW:
            return Reply(_as_arrow(result), content_type=ARROW)
        if wanted == NUMPY:
            return Reply(_as_npy(result), content_type=NUMPY)
        return Reply(encode_strictly({"result": result}))
    except Refused:
        raise
    except Exception as error:
        raise NotSerializable from error


def is_binary(accept: str) -> bool:
    """Return whether a client prefers a form that is no JSON."""
    return _wanted(accept) in (ARROW, NUMPY)


def _wanted(accept: str) -> str:
    return accept.partition(",")[0].partition(";")[0].strip().lower()


def _cell(text: str) -> Any:
    if not text:
        return None
    # Python alone takes these for numbers.
    if "_" in text or not text.isascii():
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _of_arrow(body: bytes) -> Table:
    arrow = _loaded("pyarrow", ARROW)
    if int(arrow.__version__.partition(".")[0]) <= _LAST_UNPICKLING:
        with contextlib.suppress(KeyError):  # asked before
            arrow.unregister_extension_type("arrow.py_extension_type")
    try:
        with arrow.ipc.open_stream(body) as reader:
            found = reader.read_all()
        # What it says of its lengths is believed from here on, by C code.
        found.validate(full=True)
    except Exception as error:  # it raises what the part of it raised that found the fault
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body could not be read as an Arrow stream: {error}") from error
    if not found.num_rows:
        raise Refused(HTTPStatus.BAD_REQUEST, "There are no rows in the request.")
    check_names(found.column_names)
    most = max(_FEW_VALUES, _VALUES_OF_BYTE * len(body))
    if found.num_rows * found.num_columns > most or not all(map(_holds_its_values, found.schema.types)):
        text = f"The body says that it has {found.num_rows} rows, which it is too short for"
        raise Refused(HTTPStatus.BAD_REQUEST, text)
    return of_columns(found.to_pydict())


def _holds_its_values(kind: Any) -> bool:
    """Return whether each value inside a value of an Arrow type takes room in a body."""
    inner = [kind.field(index).type for index in range(kind.num_fields)]
    return all(not str(each).startswith(_WITHOUT_ROOM) and _holds_its_values(each) for each in inner)


def _of_npy(body: bytes) -> Table:
    np = _loaded("numpy", NUMPY)
    try:
        array = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    except Exception as error:  # its header is read by Python's parser, which raises many things
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body could not be read as an array: {error}") from error
    if array.dtype.kind not in _KINDS or array.dtype.char == _LONG_DOUBLE:
        text = f"An array of {array.dtype} is not served here. Send numbers, truth values, texts or moments"
        raise Refused(HTTPStatus.BAD_REQUEST, text)
    return of_array(array)


def _as_arrow(result: Any) -> bytes:
    arrow = _loaded("pyarrow", ARROW)
    values = plain(result)
    if values and isinstance(values[0], dict):
        table = arrow.Table.from_pylist(values)
    else:
        table = arrow.table({"result": values})
    sink = io.BytesIO()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _as_npy(result: Any) -> bytes:
    np = _loaded("numpy", NUMPY)
    array = np.asarray(result)
    if array.dtype.kind == "O":
        raise NotSerializable
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()


def _loaded(package: str, kind: str) -> Any:
    import importlib

    try:
        if package == "pyarrow":
            importlib.import_module("pyarrow.ipc")
        return importlib.import_module(package)
    except ImportError as error:
        text = _NEEDS.format(kind=kind, package=package)
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text) from error
