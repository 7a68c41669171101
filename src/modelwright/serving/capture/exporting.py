"""Captured requests as what others read: a dataset version with inputs, predictions and labels joined; a file."""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from modelwright.datasets import adding
from modelwright.errors import CaptureEmpty, FolderNotWritable, ModelMissing
from modelwright.records import CaptureRecord, DatasetVersion, Exchange
from modelwright.records.plain import plain
from modelwright.serving.capture import labelling, partitions, reading, tabulating
from modelwright.serving.capture.encoding import record_of
from modelwright.store import models, naming
from modelwright.store.database import Store

TIMESTAMP = "received_at"
_OWN = ("request_id", "row", TIMESTAMP, "version", "deployment")
_LABEL = "label"


@dataclass(frozen=True)
class Wanted:
    """Which captured requests of an endpoint are meant."""

    endpoint: str
    since: datetime | None = None
    until: datetime | None = None
    version: str | None = None

    @property
    def told(self) -> str:
        """What narrows them, as a sentence ends with it."""
        parts = [
            f" since {self.since.isoformat()}" if self.since else "",
            f" before {self.until.isoformat()}" if self.until else "",
            f" of version {self.version}" if self.version else "",
        ]
        return "".join(parts)

    @property
    def source(self) -> dict[str, str]:
        """The same as a dataset version says what it was made from."""
        given = {"capture": self.endpoint, "since": self.since, "until": self.until, "version": self.version}
        return {name: str(plain(value)) for name, value in given.items() if value is not None}


def exchanges(folder: Path, wanted: Wanted) -> Iterator[Exchange]:
    """Give what is wanted of the endpoint's folder."""
    for each in reading.exchanges(folder, since=wanted.since, until=wanted.until):
        if wanted.version in {None, each.version}:
            yield each


def newest(folder: Path, wanted: Wanted, *, limit: int, is_failed: bool = False) -> list[CaptureRecord]:
    """Return the newest of what is wanted, oldest first; `is_failed` narrows it to what was not a success."""
    begin = wanted.since.timestamp() if wanted.since else float("-inf")
    end = wanted.until.timestamp() if wanted.until else float("inf")

    def is_wanted(each: Exchange) -> bool:
        is_of_version = wanted.version in {None, each.version}
        is_of_kind = not is_failed or each.status >= HTTPStatus.BAD_REQUEST
        return is_of_version and is_of_kind and begin <= each.received_at < end

    return reading.newest(folder, limit=limit, is_wanted=is_wanted)


@dataclass
class _Table:
    """Columns that grow by a row at a time; a cell that a row does not have is missing."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    count: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            column = self.columns.setdefault(name, [])
            column += [None] * (self.count - len(column))
            column.append(value)
        self.count += 1

    def finished(self) -> dict[str, list[Any]]:
        return {name: column + [None] * (self.count - len(column)) for name, column in self.columns.items()}


def make_dataset(
    store: Store,
    folder: Path,
    name: str,
    *,
    wanted: Wanted,
    actor: str,
    why: str = "",
    on_request: Callable[[int], None] = lambda _count: None,
) -> tuple[DatasetVersion, int, int]:
    """Register answered requests of an endpoint as a version of dataset `name`; return it, its rows, those labelled.

    A row of a request is a row: its inputs by their names, `prediction`, `label` where there is one, and which request
    and version it was of; `received_at` is its timestamp. Failures and answers of shadows are left out. The same
    requests with the same labels are the same version. Raises CaptureEmpty, NameInvalid, ModuleNotInstalled.
    """
    adding.check_name(name)
    arrow = partitions.pyarrow()
    labels, names = labelling.read(folder), _Names(store)
    found = sorted(_answered(folder, wanted), key=lambda each: (each.received_at, each.request_id))
    if not found:
        raise CaptureEmpty(endpoint=wanted.endpoint, narrowed=f" that were answered{wanted.told}")
    table, labelled = _Table(), 0
    for count, each in enumerate(found, start=1):
        for row in _joined(each, labels, names.of(each.version)):
            table.add(row)
            labelled += row.get(_LABEL) is not None
        on_request(count)
    columns = {column: _array(arrow, column, cells) for column, cells in table.finished().items()}
    version = adding.add_table(
        store,
        name,
        table=arrow.table(columns),
        actor=actor,
        labels=adding.Labels(timestamp_column=TIMESTAMP, why=why),
        source=wanted.source,
    )
    return version, table.count, labelled


def _answered(folder: Path, wanted: Wanted) -> Iterator[Exchange]:
    for each in exchanges(folder, wanted):
        if each.status == HTTPStatus.OK and not each.shadow_of:
            yield each


def _joined(exchange: Exchange, labels: labelling.Labels, names: list[str]) -> Iterator[dict[str, Any]]:
    """Give the rows of a request with what was predicted and what turned out to be true."""
    rows = tabulating.inputs(exchange.input, content_type=exchange.input_type, names=names)
    predicted = tabulating.predictions(exchange.output, len(rows))
    for number, (row, prediction) in enumerate(zip(rows, predicted, strict=True)):
        told: dict[str, Any] = {
            "request_id": exchange.request_id,
            "row": number,
            TIMESTAMP: datetime.fromtimestamp(exchange.received_at, UTC),
            "version": exchange.version,
            "deployment": exchange.deployment,
        }
        taken = {*_OWN, _LABEL, *prediction}
        told |= {f"input.{name}" if name in taken else name: value for name, value in row.items()}
        told |= prediction
        label = labels.of(exchange, row, number)
        yield told if label is None else {**told, _LABEL: label}


class _Names:
    """The columns of the versions that answered, looked up once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, list[str]] = {}

    def of(self, reference: str) -> list[str]:
        if reference not in self._known:
            try:
                signature = models.find_version(self._store, naming.reference_now(self._store, reference)).signature
                self._known[reference] = tabulating.columns_of(signature)
            except ModelMissing:  # it was deleted since
                self._known[reference] = []
        return self._known[reference]


def _array(arrow: Any, name: str, cells: list[Any]) -> Any:
    """Return a column of one type; one that has several becomes text."""
    if name == TIMESTAMP:
        return arrow.array(cells, type=arrow.timestamp("us", tz="UTC"))
    try:
        return arrow.array(cells)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
        texts = [each if each is None or isinstance(each, str) else json.dumps(each) for each in cells]
        return arrow.array(texts)


def export(folder: Path, place: Path, wanted: Wanted) -> int:
    """Write captured requests as JSON lines into a file that is not there yet; return how many.

    Raises CaptureEmpty and FolderNotWritable.
    """
    begun = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    count = 0
    try:
        begun.touch(mode=0o600)  # what is asked is nobody else's business
    except OSError as error:
        raise FolderNotWritable(folder=place.parent, reason=error.strerror, option="another FILE") from error
    try:
        with begun.open("w", encoding="utf-8") as lines:
            for each in exchanges(folder, wanted):
                lines.write(json.dumps(plain(record_of(each)), ensure_ascii=False) + "\n")
                count += 1
            lines.flush()
            os.fsync(lines.fileno())
        if not count:
            raise CaptureEmpty(endpoint=wanted.endpoint, narrowed=wanted.told)
        begun.rename(place)
    finally:
        begun.unlink(missing_ok=True)
    return count
