"""Turns segments that nobody writes to any more into Parquet, each exactly once whenever it is killed.

The files are written and flushed under the segment's name; then a row says that the segment was kept; then it is
deleted. Killed before the row, the same files are made again; killed after it, the segment is deleted the next time.
A segment is locked meanwhile, so that two who compact do not do the same.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from modelwright.records import CaptureSegment, Exchange, now
from modelwright.serving.capture import partitions, segments
from modelwright.serving.capture.encoding import decoded
from modelwright.serving.capture.journal import flush_folder
from modelwright.store import capture
from modelwright.store.changes import change
from modelwright.store.database import Store

# What is not whole keeps its file beside the Parquet, for whoever wants to look at it.
DAMAGED = ".damaged"


def compact(
    store: Store,
    folder: Path,
    *,
    actor: str,
    on_segment: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[CaptureSegment]:
    """Compact the ended segments of the endpoint whose capture folder this is; return what was kept.

    `on_segment` hears how many bytes of how many are done. Raises ModuleNotInstalled where there is no pyarrow, and
    then nothing has changed.
    """
    paths = sorted(folder.glob(f"*{segments.SUFFIX}"))
    if not paths:
        return []
    partitions.pyarrow()
    sizes = {path: _size(path) for path in paths}
    kept, done, whole = [], 0, sum(sizes.values())
    for path in paths:
        with locked(path) as is_ours:
            if is_ours:
                segment = _keep(store, path, actor=actor)
                kept += [segment] if segment else []
        done += sizes[path]
        on_segment(done, whole)
    return kept


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def has_ended(path: Path) -> bool:
    """Whether nobody writes to a segment any more."""
    with locked(path) as is_ours:
        return is_ours


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Give whether nobody writes to a segment, or merges an hour's folder; while the block runs, nobody else will."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _keep(store: Store, path: Path, *, actor: str) -> CaptureSegment | None:
    try:
        scan = segments.Scan(path.read_bytes())
    except FileNotFoundError:  # another compacted it between our looking and our locking
        return None
    name = path.stem
    if capture.has_segment(store, name):
        _remove(path)
        return None
    files, rows = partitions.write(path.parent, name, _exchanges(scan))
    segment = CaptureSegment(name, path.parent.name, rows, scan.digest(), files, now())
    if rows:
        with change(store, actor=actor) as opened:
            capture.keep_segment(opened, segment)
    if scan.is_damaged:
        path.rename(path.with_name(path.name + DAMAGED))
        flush_folder(path.parent)
    else:
        _remove(path)
    return segment if rows else None


def _exchanges(scan: segments.Scan) -> Iterator[Exchange]:
    for content in scan.records():
        yield decoded(content)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    flush_folder(path.parent)
