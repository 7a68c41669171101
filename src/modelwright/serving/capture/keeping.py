"""What is done with captured requests in the background: segments become Parquet, hours one file, what is old goes."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modelwright.errors import CaptureDamaged, ModuleNotInstalled
from modelwright.records import CaptureSegment, now
from modelwright.serving import configuring
from modelwright.serving.capture import compaction, merging, partitions, places, retention
from modelwright.store.database import Store


@dataclass(frozen=True)
class Kept:
    """The segments that became Parquet, and what was deleted of which endpoint."""

    segments: tuple[CaptureSegment, ...]
    deleted: Mapping[str, tuple[str, ...]]


def keep(
    store: Store,
    endpoint: str | None = None,
    *,
    actor: str,
    merged_since: datetime | None = None,
    on_segment: Callable[[int, int], None] = lambda _done, _all: None,
) -> Kept:
    """Compact and expire what was captured of an endpoint, or of all of them, and make one file of hours that are over.

    Hours before `merged_since` are passed over where nothing came to them. Raises EndpointMissing, and
    ModuleNotInstalled where there is no pyarrow: then what is too old is gone all the same.
    """
    segments: list[CaptureSegment] = []
    deleted = {}
    missing: ModuleNotInstalled | None = None
    for name in [endpoint] if endpoint else places.endpoints_of(store):
        folder = places.folder_of(store, name)
        try:
            compacted = compaction.compact(store, folder, actor=actor, on_segment=on_segment)
            _merge(folder, compacted, since=merged_since)
            segments += compacted
        except ModuleNotInstalled as error:
            missing = error
        settings = configuring.capture_or_none(store, name)
        # What a deleted endpoint was asked is kept until somebody says otherwise.
        if settings is not None and settings.keep_days is not None:
            gone = retention.expire(store, folder, keep_days=settings.keep_days, actor=actor, now=now())
            if gone:
                deleted[name] = tuple(gone)
    if missing is not None:
        raise missing
    return Kept(tuple(segments), deleted)


def _merge(folder: Path, compacted: Sequence[CaptureSegment], *, since: datetime | None) -> None:
    """Make one file of each hour that is over: of those since a time, and those that segments have come to."""
    hours = {
        *partitions.hours(folder, since=since),
        *((folder / file).parent for each in compacted for file in each.files),
    }
    moment = now()
    for hour in sorted(hours):
        # Of a file that is damaged whoever reads it is told; other hours have nothing to do with it.
        with contextlib.suppress(CaptureDamaged):
            if merging.is_over(hour, moment):
                merging.merge(hour)
