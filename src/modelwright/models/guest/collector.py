"""The model data collector that scoring scripts know: `from azureml.monitoring import ModelDataCollector`.

It writes `FOLDER/<model>/<version>/<designation>/<yyyy>/<m>/<d>/<designation>.csv`, where FOLDER is the variable
MODELWRIGHT_MODEL_DATA, which ends in `…/modeldata/<subscription>/<group>/<workspace>/<service>`. Rows are buffered and
written by a thread, and the last of them when the process ends or gets SIGTERM. It is switched on by the variable
AML_MODEL_DC_STORAGE_ENABLED, or while it runs by a file `.collecting` in FOLDER, which is looked for every second; a
file `.redaction` there says which columns are left out, or hashed with which key.
Whatever goes wrong, scoring goes on: what could not be written is counted and told in the log.
"""

from __future__ import annotations

import atexit
import csv
import datetime as dt
import fcntl
import hashlib
import hmac
import io
import json
import os
import signal
import sys
import threading
import time
import uuid
import warnings
from pathlib import Path
from typing import Any, Optional

FOLDER_VARIABLE = "MODELWRIGHT_MODEL_DATA"
SWITCH, REDACTION = ".collecting", ".redaction"
_DESIGNATIONS = ("inputs", "predictions", "labels", "signals", "general")
_CORRELATION = "$aml_dc_correlation_id"
_COLUMNS = (
    _CORRELATION,
    "$aml_dc_scoring_timestamp",
    "$aml_dc_boundary",
    "$aml_workspace",
    "$aml_service_name",
    "$aml_model_name",
    "$aml_model_version",
    "$aml_request_id",
)
_UTC = dt.timezone.utc  # noqa: UP017 - as Python 3.9 calls it
_DAY_MINUTES, _HOUR_MINUTES = 1440, 60
_UNKNOWN_REQUEST = "00000000-0000-0000-0000-000000000000"
_HASH_DIGITS = 32
_FLUSH_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_MOST_BUFFERED = 100_000  # rows; where the disk is slower than the requests, those beyond are dropped and counted


class ModelDataCollector:
    """Collects what a model was asked and answered, as rows of CSV."""

    AML_DC_CORRELATION_HEADER = _CORRELATION

    def __init__(
        self,
        model_name: str,
        designation: str = "default",
        feature_names: Optional[list[str]] = None,
        workspace: str = "default",
        webservice_name: str = "default",
        model_version: str = "default",
        collection_name: str = "default",
    ) -> None:
        """Collect for one model and designation. A designation that is none is told, and nothing is collected then."""
        designation = "general" if designation == "default" else designation
        self._is_wrong = designation not in _DESIGNATIONS
        if self._is_wrong:
            print(f"Incorrect designation value {designation!r}: it is one of {', '.join(_DESIGNATIONS)}")  # noqa: T201
        self._designation = designation
        self._feature_names = [str(each) for each in feature_names or ()]
        self._folder = _folder(webservice_name)
        self._facts = (
            self._folder.parent.name if workspace == "default" else workspace,
            self._folder.name,
            model_name,
            model_version,
        )
        self._collection = collection_name
        self._has_correlations = designation == "inputs"

    def collect(self, input_data: Any, user_correlation_id: str = "") -> Optional[dict[str, Any]]:
        """Keep rows: a list, an array, a frame of pandas or Spark. Return what joins them to others, of inputs only."""
        try:
            return self._collect(input_data, user_correlation_id)
        except Exception as error:  # noqa: BLE001 - collecting must never cost an answer
            warnings.warn(f"collect failed: {type(error).__name__}: {error}", stacklevel=2)
            return None

    def add_correlations(self, input_data: Any, correlations: Optional[dict[str, Any]]) -> Any:
        """Return the data with the columns that join it to the inputs that `collect` returned them for."""
        if correlations is None:
            return input_data
        try:
            self._has_correlations = True
            return _with_columns(input_data, [correlations[name] for name in _COLUMNS])
        except Exception as error:  # noqa: BLE001 - collecting must never cost an answer
            warnings.warn(f"add_correlations failed: {type(error).__name__}: {error}", stacklevel=2)
            return input_data

    def _collect(self, data: Any, user_correlation_id: str) -> Optional[dict[str, Any]]:
        is_printed = _is_on("AML_MODEL_DC_DEBUG")
        is_kept = _is_on("AML_MODEL_DC_STORAGE_ENABLED") or _switch(self._folder).is_on()
        if self._is_wrong or not (is_printed or is_kept):
            return None
        correlations = self._correlations(user_correlation_id) if self._designation == "inputs" else None
        names, rows = _table(data)
        if correlations is not None:
            rows = [[*row, *correlations.values()] for row in rows]
        header = self._header(names, len(rows[0]) if rows else 0)
        rows = _switch(_folder("default")).redacted(rows, header)
        text = _csv(rows)
        if is_printed:
            print(_csv([header]) + text, end="")  # noqa: T201 - that is what it is for
        if is_kept:
            _SPOOL.add(self._place(), _csv([header]), text, count=len(rows))
        return correlations

    def _correlations(self, user_correlation_id: str) -> dict[str, Any]:
        own = str(uuid.uuid4())
        moment = dt.datetime.now(_UTC).replace(tzinfo=None).isoformat()
        minutes = _HOUR_MINUTES if os.environ.get("AML_MODEL_DC_BOUNDARY") == "hour" else _DAY_MINUTES
        values = (
            f"{user_correlation_id}-{own}" if user_correlation_id else own,
            moment,
            minutes,
            *self._facts,
            _request_id(),
        )
        return dict(zip(_COLUMNS, values))

    def _header(self, names: list[str], width: int) -> list[str]:
        """Return the names of so many columns, those of the features first."""
        own = list(_COLUMNS) if self._has_correlations else []
        names = [each for each in names if each not in own] or self._feature_names
        count = max(width - len(own), 0)
        if len(names) != count:
            names = [f"x{number}" for number in range(count)]
        return [*names, *own]

    def _place(self) -> Path:
        today = dt.datetime.now(_UTC)
        _, _, model, version = self._facts
        day = Path(str(today.year), str(today.month), str(today.day))
        return self._folder / model / version / self._designation / day / f"{self._designation}.csv"


def _folder(service: str) -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else Path("modeldata", "local", "local", "default", "default")
    return folder if service == "default" else folder.with_name(service)


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"


def _request_id() -> str:
    """Return the id of the request that is being scored, as the log's lines carry it."""
    logs = sys.modules.get(f"{__package__}.logs")
    found = str(getattr(getattr(logs, "current", None), "request_id", "-"))
    return _UNKNOWN_REQUEST if found == "-" else found


# --- data of any kind as rows ---


def _table(data: Any) -> tuple[list[str], list[list[Any]]]:
    """Return the names of data's columns, where it has them, and its rows. Raises TypeError."""
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "itertuples"):
        return [str(each) for each in data.columns], [list(row) for row in data.itertuples(index=False)]
    if hasattr(data, "tolist"):
        data = data.tolist()
    if not isinstance(data, (list, tuple)):
        message = f"data must be a list, an array or a frame, not {type(data).__name__}"
        raise TypeError(message)
    if data and all(isinstance(each, (list, tuple)) for each in data):
        return [], [list(each) for each in data]
    return [], [list(data)]


def _with_columns(data: Any, values: list[Any]) -> Any:
    """Return data of any kind with these values at the end of every row."""
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "itertuples"):
        return data.assign(**dict(zip(_COLUMNS, values)))
    _, rows = _table(data)
    rows = [[*row, *values] for row in rows]
    if hasattr(data, "tolist"):
        import numpy  # noqa: ICN001 - the user's own, which made the array

        return numpy.array(rows, dtype=object)
    return rows if data and isinstance(data[0], (list, tuple)) else rows[0]


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


# --- what is switched on, and what waits to be written ---


class _Switch:
    """Whether a folder's switch is on, and what may not be kept there, looked for once in a while."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at = -_LOOK_SECONDS
        self._is_on = False
        self._redaction: dict[str, Any] = {}

    def is_on(self) -> bool:
        self._look()
        return self._is_on

    def redacted(self, rows: list[list[Any]], header: list[str]) -> list[list[Any]]:
        """Return rows without the cells whose columns, by name or number, may not be kept, or with their hashes."""
        self._look()
        told = self._redaction
        if not told:
            return rows
        names = {number: {name, str(number)} for number, name in enumerate(header) if name not in _COLUMNS}
        gone = [number for number, called in names.items() if called & set(told["left_out"])]
        hashed = [number for number, called in names.items() if called & set(told["hashed"])]
        found = []
        for row in rows:
            cells = list(row)
            for number in hashed:
                cells[number] = _hashed(cells[number], bytes.fromhex(told["salt"]))
            for number in gone:
                cells[number] = None
            found.append(cells)
        return found

    def _look(self) -> None:
        moment = time.monotonic()
        if moment - self._looked_at < _LOOK_SECONDS:
            return
        try:
            self._redaction = json.loads((self._folder / REDACTION).read_text())
        except (FileNotFoundError, NotADirectoryError):
            self._redaction = {}
        self._looked_at, self._is_on = moment, (self._folder / SWITCH).exists()


def _hashed(value: Any, salt: bytes) -> str:
    """Return what stands for a value in captured requests too, so that equal ones stay equal."""
    plain = value.item() if hasattr(value, "item") else value
    told = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return "hash:" + hmac.new(salt, told.encode(), hashlib.sha256).hexdigest()[:_HASH_DIGITS]


_SWITCHES: dict[Path, _Switch] = {}


def _switch(folder: Path) -> _Switch:
    return _SWITCHES.setdefault(folder, _Switch(folder))


class _Spool:
    """Rows that wait to be written, and the thread that writes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[tuple[Path, str, str, int]] = []
        self._count = 0
        self._dropped = 0
        self._thread: Optional[threading.Thread] = None

    def add(self, place: Path, header: str, text: str, *, count: int) -> None:
        """Have rows appended to a file of this header."""
        with self._lock:
            if self._count + count > _MOST_BUFFERED:
                self._dropped += count
                return
            self._waiting.append((place, header, text, count))
            self._count += count
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
                self._thread.start()
                atexit.register(_flush_at_exit)
                _flush_at_sigterm()

    def _run(self) -> None:
        while True:
            time.sleep(_FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Write what waits, file by file; what cannot be written is dropped and told."""
        with self._writing:
            with self._lock:
                waiting, self._waiting, self._count = self._waiting, [], 0
                dropped, self._dropped = self._dropped, 0
            files: dict[tuple[Path, str], list[tuple[str, int]]] = {}
            for place, header, text, count in waiting:
                files.setdefault((place, header), []).append((text, count))
            reason = "more waited than may"
            for (place, header), texts in files.items():
                try:
                    _append(place, header, "".join(text for text, _ in texts))
                except OSError as error:
                    dropped += sum(count for _, count in texts)
                    reason = str(error)
            if dropped:
                print(f"model data collection: {dropped} rows were not written: {reason}", file=sys.stderr)  # noqa: T201


def _append(place: Path, header: str, text: str) -> None:
    """Append rows to a file that has this header: the one of that name, else the first of those numbered after it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    number, path = 0, place
    while not _append_to(path, header, text):
        number += 1
        path = place.with_name(f"{place.stem}_{number}.csv")


def _append_to(path: Path, header: str, text: str) -> bool:
    """Append rows whole or not at all; return whether the file has this header. Other processes write to it too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        head, content = header.encode(), text.encode("utf-8", "replace")
        if size and os.pread(descriptor, len(head), 0) != head:
            return False
        whole = content if size else head + content
        try:
            written = os.write(descriptor, whole)
            if written < len(whole):
                os.write(descriptor, whole[written:])
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        return True
    finally:
        os.close(descriptor)


_SPOOL = _Spool()


def _flush_at_exit() -> None:
    """Write what waits; to be asked to end meanwhile changes nothing, and must not wait for what it interrupts."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _SPOOL.flush()


def _flush_at_sigterm() -> None:
    """Write what waits when the process is asked to end, then do what would have been done."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may; what waits is written within a second
    before = signal.getsignal(signal.SIGTERM)

    def flush(number: int, frame: Any) -> None:
        # In a thread of its own: this one may hold a lock that writing needs.
        writing = threading.Thread(target=_SPOOL.flush)
        writing.start()
        writing.join(_FLUSH_SECONDS * 5)
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    if before != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, flush)
