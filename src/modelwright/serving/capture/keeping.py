"""What is done with captured requests in the background: segments become Parquet, and what is too old is deleted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelwright.errors import ModuleNotInstalled
from modelwright.records import CaptureSegment, now
from modelwright.serving import configuring
from modelwright.serving.capture import compaction, places, retention
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
    on_segment: Callable[[int, int], None] = lambda _done, _all: None,
) -> Kept:
    """Compact and expire what was captured of an endpoint, or of all of them.

    Raises EndpointMissing, and ModuleNotInstalled where there is no pyarrow: then what is too old is gone all the same.
    """
    segments: list[CaptureSegment] = []
    deleted = {}
    missing: ModuleNotInstalled | None = None
    for name in [endpoint] if endpoint else places.endpoints_of(store):
        folder = places.folder_of(store, name)
        try:
            segments += compaction.compact(store, folder, actor=actor, on_segment=on_segment)
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
