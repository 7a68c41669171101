"""Windows of time: the rows of a table whose timestamp lies before, after or between moments."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright import records
from modelwright.datasets.tables import Table
from modelwright.datasets.typed_csv import pandas_of_user
from modelwright.errors import NotTabular, TimestampInvalid


@dataclass(frozen=True)
class Window:
    """A span of time. Its ends belong to it unless told otherwise; an end that is None is open.

    A time without a zone, here or in the data, is UTC.
    """

    after: dt.datetime | None = None
    before: dt.datetime | None = None
    includes_boundary: bool = True


def before(end: dt.datetime, *, include_boundary: bool = True) -> Window:
    """Return the window of all that was before `end`."""
    return Window(before=end, includes_boundary=include_boundary)


def after(begin: dt.datetime, *, include_boundary: bool = True) -> Window:
    """Return the window of all that was after `begin`."""
    return Window(after=begin, includes_boundary=include_boundary)


def between(begin: dt.datetime, end: dt.datetime, *, include_boundary: bool = True) -> Window:
    """Return the window from `begin` to `end`."""
    return Window(begin, end, include_boundary)


def recent(span: dt.timedelta, *, now: dt.datetime | None = None, include_boundary: bool = True) -> Window:
    """Return the window of the last `span` of time up to `now`, or the present."""
    end = now or records.now()
    return Window(end - span, end, include_boundary)


def select(frame: Any, column: str, window: Window, *, dataset: str) -> Any:
    """Return the rows of a pandas frame whose time in `column` lies in the window; those without a time do not.

    Raises TimestampInvalid when the column is missing or a cell of it is no time.
    """
    times = _times(frame, column, dataset=dataset)
    chosen = times.notna()
    if window.after is not None:
        begin = _utc(window.after)
        chosen &= (times >= begin) if window.includes_boundary else (times > begin)
    if window.before is not None:
        end = _utc(window.before)
        chosen &= (times <= end) if window.includes_boundary else (times < end)
    return frame[chosen]


def check_column(dataset: str, paths: Mapping[str, str], *, column: str) -> None:
    """See that the data has this column and that the first rows of it are times. Raises TimestampInvalid."""
    try:
        first = next(Table(dataset, {name: Path(path) for name, path in paths.items()}).parts(), None)
    except NotTabular as error:
        raise TimestampInvalid(column=column, dataset=dataset, reason=str(error)) from error
    if first is None:
        raise TimestampInvalid(column=column, dataset=dataset, reason="the data has no rows")
    _times(first, column, dataset=dataset)


def _times(frame: Any, column: str, *, dataset: str) -> Any:
    pd = pandas_of_user()
    if column not in frame.columns:
        known = ", ".join(map(str, frame.columns))
        raise TimestampInvalid(column=column, dataset=dataset, reason=f"there is no such column; there are: {known}")
    cells = frame[column]
    if cells.dtype.kind in "iufb":
        raise TimestampInvalid(column=column, dataset=dataset, reason=f"it holds numbers ({cells.dtype})")
    times = pd.to_datetime(cells, utc=True, errors="coerce", **({} if cells.dtype.kind == "M" else {"format": "mixed"}))
    wrong = cells[times.isna() & cells.notna()]
    if len(wrong):
        reason = f'row {wrong.index[0]} holds "{wrong.iloc[0]}", which is no time'
        raise TimestampInvalid(column=column, dataset=dataset, reason=reason)
    return times


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
