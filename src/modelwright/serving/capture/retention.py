"""What lies on the disk of an endpoint's requests, and deleting whole days of it, on the record."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from modelwright.errors import FolderNotWritable
from modelwright.records import CaptureSummary
from modelwright.serving.capture import collecting, compaction, labelling, lines, partitions, segments
from modelwright.store import capture
from modelwright.store.changes import change
from modelwright.store.database import Store


def summary(store: Store, folder: Path) -> CaptureSummary:
    """Return what there is of the endpoint whose capture folder this is."""
    kept = capture.list_segments(store, folder.name)
    days = [each.isoformat() for each in partitions.days(folder)]
    return CaptureSummary(
        endpoint=folder.name,
        rows=sum(each.rows for each in kept),
        bytes=sum(_size(path) for path in folder.rglob("*") if path.is_file()),
        segments=len(list(folder.glob(f"*{segments.SUFFIX}"))),
        lines=len(lines.files(folder)),
        damaged=len(list(folder.glob(f"*{compaction.DAMAGED}"))),
        labels=len(labelling.read(folder).found),
        days=(days[0], days[-1]) if days else (),
    )


def delete(store: Store, folder: Path, *, before: date, actor: str, why: str = "") -> list[str]:
    """Delete what was received on the days before a day, and return the names of what went, below `folder`.

    Whole partitions go, with the segments and files of old that end before that day, the labels that were told before
    it, and what scripts collected. What is deleted is on record before it is gone; a second call deletes what a killed
    one left. Raises ReasonMissing, and FolderNotWritable for what could not be deleted.
    """
    gone = [*_gone(folder, before), *_collected(store.folder / collecting.FOLDER, folder.name, before)]
    if not gone:
        return []
    names = [str(each.relative_to(folder if each.is_relative_to(folder) else store.folder)) for each in gone]
    left = f"dt={before.isoformat()}"
    ids = [each.id for each in capture.list_segments(store, folder.name) if all(file < left for file in each.files)]
    with change(store, actor=actor, why=why) as opened:
        what = {"before": before.isoformat(), "files": names}
        capture.delete_captured(opened, folder.name, segment_ids=ids, what=what)
    for path in gone:
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:  # somebody else deletes it too
            continue
        except OSError as error:
            raise FolderNotWritable(folder=path, reason=error.strerror, option="--workspace") from error
    return names


def expire(store: Store, folder: Path, *, keep_days: int, actor: str, now: datetime) -> list[str]:
    """Delete what is older than an endpoint's requests are kept."""
    if keep_days >= now.toordinal():  # since before there were years
        return []
    before = (now.astimezone(UTC) - timedelta(days=keep_days)).date()
    return delete(store, folder, before=before, actor=actor, why=f"requests are kept {keep_days} days")


def _gone(folder: Path, before: date) -> Iterator[Path]:
    begin = datetime(before.year, before.month, before.day, tzinfo=UTC).timestamp()
    yield from (path for day, path in partitions.days(folder).items() if day < before)
    yield from (path for path in lines.files(folder) if path.name[: lines.DAY_LENGTH] < before.isoformat())
    endings = (segments.SUFFIX, compaction.DAMAGED)
    found = [path for ending in endings for path in folder.glob(f"*{ending}")]
    found += (folder / labelling.FOLDER).glob("*.jsonl")
    for path in sorted(found):
        with compaction.locked(path) as is_ended:
            if is_ended and path.stat().st_mtime < begin:
                yield path


def _collected(folder: Path, endpoint: str, before: date) -> Iterator[Path]:
    """Give the days of what scripts collected behind an endpoint: its folders are `…/ENDPOINT/…/2026/3/1`."""
    for path in sorted(folder.glob(f"*/*/*/{endpoint}/*/*/*/*/*/*/")):
        try:
            day = date(*(int(part) for part in path.parts[-3:]))
        except ValueError:
            continue
        if day < before:
            yield path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
