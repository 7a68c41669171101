"""Reads a version: the one place where its bytes are given out, after it was seen that they are those registered."""

import contextlib
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright.datasets import windows
from modelwright.datasets.tables import Table
from modelwright.datasets.windows import Window
from modelwright.errors import DatasetChanged, DatasetGone, FileNotReadable, FolderTaken, TimestampInvalid
from modelwright.records import DataKind, DatasetFile, DatasetVersion, Storage
from modelwright.store import datasets, digests
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store
from modelwright.store.packs import Slice

FOLDER = "datasets"


@dataclass(frozen=True)
class Data:
    """A version that was opened for reading. Its bytes were those registered when it was."""

    version: DatasetVersion
    folder: Path
    paths: Mapping[str, Path]

    @property
    def path(self) -> Path:
        """The one file of a version that has one, else the folder of all its files. For reading only."""
        return next(iter(self.paths.values())) if len(self.paths) == 1 else self.folder

    def frame(self, window: Window | None = None) -> Any:
        """Return the rows as a pandas frame; with a window those whose timestamp lies in it.

        Raises NotTabular, and TimestampInvalid when the version was registered without a timestamp column.
        """
        frame = self.table.frame()
        if window is None:
            return frame
        column, name = self.version.timestamp_column, self.version.reference
        if column is None:
            reason = "the version was registered without a timestamp column"
            raise TimestampInvalid(column="", dataset=name, reason=reason)
        return windows.select(frame, column, window, dataset=name)

    @property
    def table(self) -> Table:
        """The files as a table."""
        return Table(self.version.reference, self.paths)


@dataclass(frozen=True)
class Fault:
    """A file of a version whose bytes are not those registered; `found` is empty when it is gone."""

    file: str
    place: str
    expected: str
    found: str


def _told_nobody(_version: DatasetVersion) -> None:
    """Record nothing."""


def read(store: Store, reference: str, *, on_read: Callable[[DatasetVersion], None] = _told_nobody) -> Data:
    """Open a version for reading: `sales:3`, or `sales` or `sales:latest` for the newest.

    Every file's digest is compared first, and `on_read` is told the version before its bytes are given out, so that
    whoever records what a run has read need not trust the run. Raises DatasetMissing, ReferenceInvalid, DatasetChanged
    and DatasetGone.
    """
    with store.blobs.held():  # what is found now is there until it is laid out
        return _read(store, datasets.find_dataset_version(store, reference), on_read=on_read)


def _read(store: Store, version: DatasetVersion, *, on_read: Callable[[DatasetVersion], None]) -> Data:
    for fault in check(store, version):
        raise _as_error(version, fault)
    on_read(version)
    if version.storage is Storage.REFERENCE:
        paths = {each.path: Path(str(each.location)) for each in version.files}
        return Data(version, Path(os.path.commonpath([path.parent for path in paths.values()])), paths)
    folder = _laid_out(store, version)
    return Data(version, folder, {each.path: folder / each.path for each in version.files})


def check(store: Store, version: DatasetVersion, *, is_thorough: bool = False) -> list[Fault]:
    """Return the files of a version that are not what was registered.

    A file that has certainly not changed since it was last read is not read again, unless the check `is_thorough`.
    """
    places, packed = _places(store, version)
    gone = {name for name, path in places.items() if not path.is_file()}
    here = sorted({path for name, path in places.items() if name not in gone})
    digests_of = {path: digest_of(path) for path in here} if is_thorough else digests.digests(store, here)
    faults = []
    for each in version.files:
        place = places[each.path]
        found = digests_of.get(place, "")
        if each.path in packed and found:
            # The digest of a whole pack is its name; only where it is another, the blobs in it are looked at.
            found = each.digest if found == place.name else _digest_in_pack(packed[each.path])
        if found != each.digest:
            faults.append(Fault(each.path, str(place), each.digest, found))
    return faults


def export(store: Store, reference: str, folder: Path) -> DatasetVersion:
    """Write the files of a version into a new or empty folder, all or none of them, as copies that may be edited.

    Raises FolderTaken besides what `read` raises.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderTaken(folder=folder)
    data = read(store, reference)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for each in data.version.files:
            target = unfinished / each.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data.paths[each.path], target)
            found = digest_of(target)
            if found != each.digest:
                raise _as_error(data.version, Fault(each.path, str(data.paths[each.path]), each.digest, found))
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return data.version


def export_file(store: Store, version: DatasetVersion, file: DatasetFile, target: Path) -> None:
    """Write one file of a version to `target`, as a copy that may be edited. Raises DatasetChanged and DatasetGone."""
    with store.blobs.held():
        places, packed = _places(store, replace(version, files=(file,)))
        place = places[file.path]
        if not place.is_file():
            raise _as_error(version, Fault(file.path, str(place), file.digest, ""))
        if file.path in packed:
            target.write_bytes(packed[file.path].read())
        else:
            shutil.copyfile(place, target)
    found = digest_of(target)
    if found != file.digest:
        raise _as_error(version, Fault(file.path, str(place), file.digest, found))


def discard(store: Store, version: DatasetVersion) -> None:
    """Delete the folder in which a version that was deleted was laid out, unless another has the same content."""
    if not datasets.has_content(store, version.digest):
        shutil.rmtree(store.folder / FOLDER / version.digest, ignore_errors=True)


def _places(store: Store, version: DatasetVersion) -> tuple[dict[str, Path], dict[str, Slice]]:
    """Return the file that holds each of the version's, and where in it those are that lie in a pack."""
    if version.storage is Storage.REFERENCE:
        return {each.path: Path(str(each.location)) for each in version.files}, {}
    places = {each.path: store.blobs.path(each.digest) for each in version.files}
    slices = {} if all(path.is_file() for path in places.values()) else store.blobs.packed()
    packed = {
        each.path: slices[each.digest]
        for each in version.files
        if each.digest in slices and not places[each.path].is_file()
    }
    return places | {name: each.pack for name, each in packed.items()}, packed


def _digest_in_pack(packed: Slice) -> str:
    from blake3 import blake3

    return blake3(packed.read()).hexdigest()


def _as_error(version: DatasetVersion, fault: Fault) -> DatasetChanged | DatasetGone:
    facts = {"reference": version.reference, "remedy": _remedy(version), **vars(fault)}
    return DatasetChanged(**facts) if fault.found else DatasetGone(**facts)


def _remedy(version: DatasetVersion) -> str:
    name = version.dataset
    if version.kind is DataKind.FILES and version.storage is not Storage.COPY:
        source = shlex.quote(version.source.get("path") or version.source.get("pattern", "PATH"))
        return f"bring the file back as it was, then, or to register what it is now: wright dataset add {name} {source}"
    return f"restore the workspace's blobs folder from a backup; other versions of {name} can be read"


def _laid_out(store: Store, version: DatasetVersion) -> Path:
    """Return a folder with the version's files under their own names, made at the first reading.

    They are links to the blobs; what lies in a pack is written out.
    """
    folder = store.folder.absolute() / FOLDER / version.digest
    places, packed = _places(store, version)
    wanted = {name: "" if name in packed else str(path.absolute()) for name, path in places.items()}
    expected = {folder / each.path: each.digest for each in version.files if each.path in packed}
    if _links(folder) == wanted and digests.digests(store, list(expected)) == expected:
        return folder
    unfinished = folder.with_name(f"{version.digest}.{secrets.token_hex(4)}")
    try:
        for parent in {(unfinished / name).parent for name in wanted}:
            parent.mkdir(parents=True, exist_ok=True)
        for name, blob in wanted.items():
            if blob:
                os.symlink(blob, f"{unfinished}/{name}")  # noqa: PTH211 - thousands of them
            else:
                (unfinished / name).write_bytes(packed[name].read())
                (unfinished / name).chmod(0o444)
        _put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _put_in_place(unfinished: Path, folder: Path) -> None:
    """Rename a finished folder; what is in its place goes."""
    for _ in range(3):  # other readers may put the same there at the same time
        with contextlib.suppress(OSError):
            unfinished.rename(folder)
            return
        shutil.rmtree(folder, ignore_errors=True)
    raise FileNotReadable(path=folder, reason="another process is changing it")


def _links(folder: Path) -> dict[str, str]:
    """Return where each entry below a folder leads; nothing when there is no such folder."""
    found = {}
    begin = len(str(folder)) + 1
    for parent, _, names in os.walk(folder):
        for name in names:
            path = f"{parent}/{name}"
            found[path[begin:]] = os.readlink(path) if os.path.islink(path) else ""  # noqa: PTH114, PTH115
    return found
