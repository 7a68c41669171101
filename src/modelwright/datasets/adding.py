"""Registers data under a name: files as they lie, the answer of a query, a table in memory."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.datasets import tables, typed_csv, windows
from modelwright.datasets.gathering import Gathered, gather
from modelwright.datasets.versions import draft
from modelwright.errors import FileBusy, NameInvalid
from modelwright.records import DataKind, DatasetFile, DatasetVersion, Storage
from modelwright.store import claims, datasets, digests, sources
from modelwright.store.changes import change
from modelwright.store.database import Store

if TYPE_CHECKING:
    from modelwright.store.blobs import Batch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)

# From so many files on, small ones are kept in packs.
_PACKED_FILES = 1000

# Told the bytes that are done and those there are in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Labels:
    """What is said of a dataset when it is registered; None leaves what was said before. `why` is for the record."""

    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    timestamp_column: str | None = None
    why: str = ""


NO_LABELS = Labels()


def _told_nobody(_done_bytes: int, _all_bytes: int) -> None:
    """Report nothing."""


def add_files(  # noqa: PLR0913 - all but two are keywords
    store: Store,
    name: str,
    *,
    path: str | Path,
    actor: str,
    start: Path | None = None,
    storage: Storage = Storage.COPY,
    labels: Labels = NO_LABELS,
    on_progress: Progress = _told_nobody,
    told: Mapping[str, str] | None = None,
) -> DatasetVersion:
    """Register a file, a folder or the files of a pattern, and return the version that has exactly these bytes.

    Either the whole version is recorded when this returns, or nothing is. Raises what `gather` raises, FileBusy,
    HardlinkRefused, NameInvalid and TimestampInvalid.
    """
    check_name(name)
    gathered = gather(str(path), start=start or Path.cwd(), workspace=store.folder.resolve())
    if labels.timestamp_column is not None:
        windows.check_column(name, gathered.paths, column=labels.timestamp_column)
    seen = digests.look(store, list(gathered.paths.values()))
    progress = _Progress(on_progress, sum(seen.sizes_bytes.values()))
    with store.blobs.batch() as batch:
        found = _keep(store, batch, seen, storage=storage, progress=progress)
        files = [_file(each, path, found[path], seen, storage) for each, path in gathered.paths.items()]
        wanted = replace(draft(name, files, kind=DataKind.FILES), storage=storage, source=told or gathered.source)
        return _record(store, wanted, labels, actor=actor)


def add_query(
    store: Store, name: str, *, query: str, source: str, actor: str, labels: Labels = NO_LABELS
) -> DatasetVersion:
    """Register the rows that `query` gives today: they are kept, the database is only read.

    `source` is the path of an SQLite file or a URL. The same rows in the same order are the same version, so a query
    should say ORDER BY. Raises SourceNotReached, QueryFailed, TableNotKept, NameInvalid and TimestampInvalid.
    """
    check_name(name)
    with claims.scratch_folder(store) as folder:
        with sources.opened(source, query) as answer:
            typed_csv.write(folder, answer.columns, answer.rows)
        told = {"query": query, "source": sources.told(source)}
        return _add_folder(store, name, folder, told, kind=DataKind.QUERY, labels=labels, actor=actor)


def add_table(
    store: Store,
    name: str,
    *,
    table: Any,
    actor: str,
    labels: Labels = NO_LABELS,
    source: Mapping[str, str] | None = None,
) -> DatasetVersion:
    """Register a table in memory: a frame of pandas or polars, or an Arrow table. `source` says what it was made of.

    It is kept as Parquet where pyarrow or polars is installed, else as text with the types beside it; both come back
    as what they were, which is tried before anything is recorded. Raises TableNotKept, NameInvalid, TimestampInvalid.
    """
    check_name(name)
    with claims.scratch_folder(store) as folder:
        tables.write(table, folder)
        told = {"table": f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}"} | dict(source or {})
        return _add_folder(store, name, folder, told, kind=DataKind.TABLE, labels=labels, actor=actor)


def check_name(name: str) -> None:
    """Refuse a name that could not be written in a reference. Raises NameInvalid."""
    if not _NAME.fullmatch(name):
        rule = "letters, digits, dots, dashes and underscores, beginning with a letter or digit, at most 100"
        raise NameInvalid(name=name, noun="dataset", rule=rule, way="name: wright dataset add NAME …")


def _add_folder(
    store: Store,
    name: str,
    folder: Path,
    told: dict[str, str],
    *,
    kind: DataKind,
    labels: Labels,
    actor: str,
) -> DatasetVersion:
    paths = {each.name: str(each) for each in sorted(folder.iterdir())}
    gathered = Gathered(paths, told)
    if labels.timestamp_column is not None:
        windows.check_column(name, gathered.paths, column=labels.timestamp_column)
    with store.blobs.batch() as batch:
        found = batch.add_all(list(paths.values()))
        files = [
            DatasetFile(each, digest, os.path.getsize(path))  # noqa: PTH202
            for (each, path), digest in zip(paths.items(), found, strict=True)
        ]
        return _record(store, replace(draft(name, files, kind=kind), source=told), labels, actor=actor)


def _record(store: Store, wanted: DatasetVersion, labels: Labels, *, actor: str) -> DatasetVersion:
    wanted = replace(wanted, timestamp_column=labels.timestamp_column)
    with change(store, actor=actor, why=labels.why) as opened:
        version = datasets.ensure_dataset_version(opened, wanted)
        if labels.description is not None:
            datasets.describe(opened, wanted.dataset, labels.description)
        datasets.change_tags(opened, wanted.dataset, added=labels.tags)
    return version


def _keep(
    store: Store, batch: "Batch", seen: digests.Seen, *, storage: Storage, progress: "_Progress"
) -> dict[str, str]:
    """Return the digest of each file that was seen, after keeping it as `storage` says."""
    paths = list(seen.signatures)
    if storage is Storage.COPY:
        known = {path: (digest, seen.sizes_bytes[path]) for path, digest in seen.known.items()}
        added = batch.add_all(paths, known=known, is_packed=len(paths) >= _PACKED_FILES, on_added=progress.advance)
        found = dict(zip(paths, added, strict=True))
        digests.remember(store, seen, {path: found[path] for path in paths if path not in seen.known})
        return found
    found = digests.complete(store, seen, on_hashed=progress.advance)
    if storage is Storage.HARDLINK:
        batch.link_all(found)
    return found


def _file(name: str, path: str, digest: str, seen: digests.Seen, storage: Storage) -> DatasetFile:
    if path not in seen.known and os.path.getsize(path) != seen.sizes_bytes[path]:  # noqa: PTH202
        raise FileBusy(path=path)
    return DatasetFile(name, digest, seen.sizes_bytes[path], None if storage is Storage.COPY else path)


@dataclass
class _Progress:
    """Adds up what is done; called from several threads, so a report may be one file behind."""

    report: Progress
    all_bytes: int
    done_bytes: int = 0

    def advance(self, size_bytes: int) -> None:
        self.done_bytes += size_bytes
        self.report(self.done_bytes, self.all_bytes)
