"""What turned out to be true of captured requests, told later: kept beside them, and joined when they are read.

A file `labels/ID.jsonl` below an endpoint's capture folder is one telling: a header line, then a label a line. Labels
may come before or after their requests, and again: the one that was found last counts, by the time that the file says
of it, else by the time of the telling; of one telling, the last line.
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwright.errors import CaptureDamaged, LabelsInvalid
from modelwright.records import Exchange, LabelCount, new_id, now
from modelwright.serving.capture import partitions
from modelwright.serving.capture.journal import flush_folder
from modelwright.store import capture
from modelwright.store.changes import change
from modelwright.store.database import Store

FOLDER = "labels"
BY_REQUEST = "request_id"
_FORMAT = {"format": "modelwright-labels", "version": 1}
_ID_COLUMNS = ("request_id", "correlation_id", "id")
_MOMENT, _ROW = "labelled_at", "row"


@dataclass(frozen=True)
class Columns:
    """Where a file of labels has what: `id` None is the first of request_id, correlation_id and id that is there.

    `by` says what the ids are: `request_id`, `header:NAME` of a header that is kept, or `input:FIELD`.
    """

    id: str | None = None
    label: str = "label"
    by: str = BY_REQUEST


@dataclass
class Labels:
    """All that is known of an endpoint's requests: by what kind of id, id and row, None being every row."""

    found: dict[tuple[str, str, int | None], tuple[str, Any]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)

    def of(self, exchange: Exchange, row: Mapping[str, Any], number: int) -> Any:
        """Return the label of a row of a request; None when there is none."""
        for by in sorted(self.kinds):
            name = _id_of(exchange, row, by)
            for key in ((by, name, number), (by, name, None)):
                if name is not None and key in self.found:
                    value = self.found[key][1]
                    is_list = key[2] is None and isinstance(value, list) and number < len(value)
                    return value[number] if is_list else value
        return None

    def add(self, key: tuple[str, str, int | None], moment: str, label: Any) -> str:
        """Take a label; return what it was: new, changed, same, or older than what is known."""
        known = self.found.get(key)
        if known is not None and known[0] > moment:
            return "older"
        self.kinds.add(key[0])
        self.found[key] = (moment, label)
        return "new" if known is None else "same" if known[1] == label else "changed"


def _id_of(exchange: Exchange, row: Mapping[str, Any], by: str) -> str | None:
    kind, _, name = by.partition(":")
    match kind:
        case "header":
            return exchange.headers.get(name.lower())
        case "input":
            value = row.get(name)
            return None if value is None else str(value)
        case _:
            return exchange.request_id


def read(folder: Path) -> Labels:
    """Return the labels of an endpoint's capture folder. Raises CaptureDamaged."""
    labels = Labels()
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        try:
            with path.open(encoding="utf-8") as lines:
                head = json.loads(lines.readline())
                for line in lines:
                    told = json.loads(line)
                    labels.add((head["by"], told["id"], told["row"]), told["at"], told["label"])
        except FileNotFoundError:  # it was deleted meanwhile
            continue
        except (ValueError, TypeError, KeyError) as error:
            raise CaptureDamaged(file=path, place="", reason=f"it holds no labels as we write them: {error}") from error
    return labels


def keep(folder: Path, file: Path, columns: Columns) -> tuple[LabelCount, Path]:
    """Keep the labels of a file for the endpoint of a capture folder; return how many were what, and where they are.

    Raises LabelsInvalid, and then none is kept.
    """
    labels, moment = read(folder), now().isoformat(timespec="microseconds")
    counted = dict.fromkeys(("new", "changed", "same", "older"), 0)
    place = folder / FOLDER / f"{new_id('labels')}.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    begun = place.with_name(f".{place.stem}.begun")
    begun.touch(mode=0o600)
    try:
        with begun.open("w", encoding="utf-8") as kept:
            kept.write(json.dumps(_FORMAT | {"by": columns.by, "file": file.name}) + "\n")
            for key, at, label in _told(file, columns, moment):
                counted[labels.add(key, at, label)] += 1
                kept.write(json.dumps({"id": key[1], "row": key[2], "at": at, "label": label}) + "\n")
            kept.flush()
            os.fsync(kept.fileno())
        if not any(counted.values()):
            raise LabelsInvalid(file=file, reason="it has no labels")
        begun.rename(place)
    finally:
        begun.unlink(missing_ok=True)
    flush_folder(place.parent)
    return LabelCount(**counted), place


def tell(store: Store, folder: Path, file: Path, *, columns: Columns, actor: str, why: str = "") -> LabelCount:
    """Keep the labels of a file, on the record; return how many were what. Raises LabelsInvalid, ReasonMissing."""
    place: Path | None = None
    try:
        with change(store, actor=actor, why=why) as opened:
            count, place = keep(folder, file, columns)
            told = {"file": file.name, "by": columns.by, "labels": asdict(count)}
            capture.record_labels(opened, folder.name, labels=told)
    except BaseException:
        if place is not None:
            place.unlink(missing_ok=True)
        raise
    return count


def _told(file: Path, columns: Columns, moment: str) -> Iterator[tuple[tuple[str, str, int | None], str, Any]]:
    for number, line in enumerate(_lines(file), start=1):
        if not isinstance(line, Mapping):
            raise LabelsInvalid(file=file, reason=f"row {number} is no object with names")
        name = columns.id or next((each for each in _ID_COLUMNS if each in line), None)
        for column in (name or " or ".join(_ID_COLUMNS), columns.label):
            if column not in line:
                reason = f'row {number} has no column "{column}"; it has {", ".join(map(str, line))}'
                raise LabelsInvalid(file=file, reason=reason)
        given, row = line.get(_MOMENT), line.get(_ROW)
        try:
            at = _moment(given) if given else moment
            row = int(row) if row not in {None, ""} else None
        except (ValueError, TypeError) as error:
            raise LabelsInvalid(file=file, reason=f"row {number}: {error}") from error
        yield (columns.by, str(line[str(name)]), row), at, line[columns.label]


def _moment(given: Any) -> str:
    found = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.isoformat(timespec="microseconds")


def _lines(file: Path) -> Iterator[Any]:
    """Give the rows of a file, by the ending of its name."""
    try:
        match file.suffix.lower():
            case ".csv":
                with file.open(newline="", encoding="utf-8-sig") as rows:
                    for row in csv.DictReader(rows):
                        yield {name: _value(text) for name, text in row.items()}
            case ".jsonl" | ".ndjson":
                with file.open(encoding="utf-8") as rows:
                    yield from (json.loads(row) for row in rows if row.strip())
            case ".parquet" | ".pq":
                yield from partitions.pyarrow().parquet.read_table(file, partitioning=None).to_pylist()
            case other:
                reason = f'its name ends in "{other}"; .csv, .jsonl and .parquet are read'
                raise LabelsInvalid(file=file, reason=reason)
    except (OSError, ValueError) as error:  # of JSON, UTF-8, and pyarrow's own
        raise LabelsInvalid(file=file, reason=str(error)) from error


def _value(text: Any) -> Any:
    """Return what a cell says: a number, true, false or a list where it is JSON for one, else text."""
    with suppress(ValueError, TypeError):
        found = json.loads(text)
        if not isinstance(found, str):
            return found
    return text
