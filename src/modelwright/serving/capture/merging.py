"""Makes one file of each hour of captured requests that is over, whenever it is killed.

The new file is made beside the others and hidden. Once the disk has all of it, it gets its name with a dot before it:
from then on it counts, and names the segments of which others need not be read. Those are deleted, and then the dot is
taken away. So a reader that passes over what begins with a dot finds nothing twice at any time, ours finds everything
once (`partitions.of_hour`), and what a killed process left is finished the next time.
"""

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from modelwright.records import new_id
from modelwright.serving.capture import partitions, segments
from modelwright.serving.capture.compaction import locked
from modelwright.serving.capture.journal import flush_folder

PREFIX = "hour_"
_FEWEST = 2  # files that become one
# Segments end after a minute, and are compacted soon after that; those that come later have the hour made anew.
_GRACE = timedelta(minutes=5)
_ROWS_A_GROUP = 1 << 16
_BYTES_A_GROUP = 1 << 25


def is_over(hour: Path, now: datetime) -> bool:
    """Whether nothing more is expected in the folder of an hour."""
    begin = partitions.hour_of(hour)
    return begin is not None and begin + partitions.HOUR + _GRACE <= now


def merge(hour: Path) -> Path | None:
    """Make one file of those in an hour's folder; return it, None where there was nothing to do.

    Raises CaptureDamaged for one that cannot be read, and then all are as they were.
    """
    with locked(hour) as is_ours:  # not where its day was deleted
        if not is_ours:
            return None
        _finish(hour)
        found = partitions.files(hour)
        if len(found) < _FEWEST:
            return None
        arrow = partitions.pyarrow()
        # Where a segment is still there, its file may be made again. It is looked for last, since it goes before that.
        waiting = {path.stem for path in hour.parent.parent.glob(f"*{segments.SUFFIX}")}
        parts = [path for path in found if path.stem not in waiting and _is_of_this_form(arrow, path)]
        if len(parts) < _FEWEST:
            return None
        name = f"{new_id('hour')}{partitions.SUFFIX}"
        begun = hour / f".{name}.begun"
        try:
            _write(arrow, begun, parts)
            begun.replace(hour / f".{name}")
        finally:
            begun.unlink(missing_ok=True)
        _finish(hour)
        return hour / name


def _finish(hour: Path) -> None:
    """Do what was left to do of files that count already, and clear away what none came of."""
    for hidden in sorted(hour.glob(f".{PREFIX}*{partitions.SUFFIX}")):
        flush_folder(hour)
        has = _segments(hidden)
        for path in partitions.files(hour):
            if path != hidden and _segments(path) <= has:
                path.unlink()
        flush_folder(hour)
        hidden.replace(hour / hidden.name.removeprefix("."))
        flush_folder(hour)
    for begun in hour.glob(f".{PREFIX}*.begun"):
        begun.unlink()


def _segments(path: Path) -> set[str]:
    with partitions.opened(path) as file:
        return {each.segment for each in partitions.spans(file, path)}


def _is_of_this_form(arrow: Any, path: Path) -> bool:
    with partitions.opened(path) as file:
        return bool(file.schema_arrow.equals(partitions.schema(arrow)))


def _write(arrow: Any, place: Path, parts: list[Path]) -> None:
    """Write all that is in the parts into one file; when this returns the disk has it."""
    counts: list[tuple[str, int]] = []
    for path in parts:
        with partitions.opened(path) as file:
            counts += [(each.segment, each.end - each.start) for each in partitions.spans(file, path)]
    fields = partitions.schema(arrow)
    told = fields.with_metadata({**fields.metadata, partitions.SPANS: json.dumps(counts)})
    place.touch(mode=0o600)
    with arrow.parquet.ParquetWriter(place, told, compression="zstd", use_dictionary=partitions.REPEATED) as writer:
        for batches in _groups(parts):
            writer.write_table(arrow.Table.from_batches(batches).replace_schema_metadata(told.metadata))
    with place.open("rb") as file:
        os.fsync(file.fileno())


def _groups(parts: list[Path]) -> Iterator[list[Any]]:
    """Give the batches of rows in the parts, as many together as make a group that is worth its own head."""
    batches: list[Any] = []
    rows = size = 0
    for path in parts:
        with partitions.opened(path) as file:
            for batch in file.iter_batches():
                batches.append(batch.replace_schema_metadata(None))
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if rows >= _ROWS_A_GROUP or size >= _BYTES_A_GROUP:
                    yield batches
                    batches, rows, size = [], 0, 0
    if batches:
        yield batches
