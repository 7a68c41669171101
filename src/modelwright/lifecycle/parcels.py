"""Parcels: files and folders that travel between a user's machine and the workspace's, as a tar archive.

A parcel is unpacked below one folder, whatever it says: only regular files and folders, only below it, only so many.
"""

import errno
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from blake3 import blake3

from modelwright.client import LEFT_BEHIND
from modelwright.errors import ParcelInvalid
from modelwright.projects.manifest import MANIFEST_FILE

MOST_FILES = 100_000
LARGEST_BYTES = 20_000_000_000
# A name or what else is said of a file before it comes, which is read into memory whole.
_LONGEST_SAID = 1 << 20
_SAID = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
# What the names in a parcel can be the fault of; all else is the machine's.
_BY_NAMES = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
_ELSEWHERE = ".elsewhere"


def place(named: str) -> PurePosixPath:
    """Return where below a parcel's folder the file lies that its user calls `named`: never outside of it.

    What lies below the user's own folder keeps its name, so that whoever tells of it tells what the user has typed.
    """
    path = PurePosixPath(named)
    if path.is_absolute() or ".." in path.parts or named.startswith("~") or _ELSEWHERE in path.parts or "\0" in named:
        return PurePosixPath(
            _ELSEWHERE, blake3(named.encode("utf-8", "surrogateescape")).hexdigest(length=8), path.name or "root"
        )
    return path


def add(archive: tarfile.TarFile, folder: Path, named: Iterable[str], *, below: str = "") -> None:
    """Add the user's files that are called `named` in `folder`, where they exist. Raises ParcelInvalid for links."""
    _add(archive, ((folder / Path(each).expanduser(), PurePosixPath(below, place(each))) for each in named))


def pack(into: IO[bytes], folder: Path, named: Iterable[str]) -> None:
    """Write a parcel of what lies in `folder` for the files that their user calls `named`. Raises ParcelInvalid."""
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, ((folder / place(each), place(each)) for each in named))


def unpack(parcel: IO[bytes], folder: Path) -> list[str]:
    """Write the files of a parcel below `folder`, and return their names. Raises ParcelInvalid."""
    names, size_bytes = list[str](), 0
    try:
        with tarfile.open(fileobj=parcel, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                size_bytes += member.size
                _check(member, count=len(names) + 1, size_bytes=size_bytes)
                names.append(member.name)
                _write(archive, member, folder / member.name)
    except (tarfile.TarError, ValueError) as error:
        raise ParcelInvalid(reason=str(error)) from error
    return names


class _Member(tarfile.TarInfo):
    """A header, which may not say more than fits into memory."""

    @classmethod
    def frombuf(cls, *given: Any) -> Self:
        found = super().frombuf(*given)
        if found.type in _SAID and found.size > _LONGEST_SAID:
            raise ParcelInvalid(reason="the name of a file has no end")
        return found


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    try:
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        with target.open("xb") as file:
            if source:
                shutil.copyfileobj(source, file, 1 << 20)
        if member.mode & 0o100:
            target.chmod(target.stat().st_mode | 0o100)
    except OSError as error:
        if error.errno not in _BY_NAMES:
            raise
        raise ParcelInvalid(reason=f'"{member.name[:100]}": {error.strerror}') from error


def _add(archive: tarfile.TarFile, found: Iterable[tuple[Path, PurePosixPath]]) -> None:
    packed: set[str] = set()
    for source, target in found:
        for path, name in _files(source, target):
            if name not in packed:
                packed.add(name)
                archive.add(path, arcname=name, recursive=False, filter=_plain)


def _check(member: tarfile.TarInfo, *, count: int, size_bytes: int) -> None:
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()):
        raise ParcelInvalid(reason=f'"{member.name}" is neither a file nor a folder')
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise ParcelInvalid(reason=f'"{member.name}" would lie outside')
    if count > MOST_FILES or size_bytes > LARGEST_BYTES:
        raise ParcelInvalid(reason=f"it has more than {MOST_FILES:,} files or {LARGEST_BYTES / 1e9:g} GB")


def _files(source: Path, target: PurePosixPath) -> Iterator[tuple[Path, str]]:
    """Give the file, or the folder with all that it has, each with its name in the parcel."""
    if source.is_dir():
        left = LEFT_BEHIND if (source / MANIFEST_FILE).exists() else frozenset()
        for folder, below, files in os.walk(source):
            below[:] = [each for each in sorted(below) if each not in left]
            inside = target / PurePosixPath(Path(folder).relative_to(source).as_posix())
            yield Path(folder), str(inside)
            yield from ((Path(folder, each), str(inside / each)) for each in sorted(files))
    elif source.exists():
        yield source, str(target)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a file or folder without word of its owner. Raises ParcelInvalid for anything else, such as a link."""
    if not (member.isreg() or member.isdir()):
        raise ParcelInvalid(reason=f'"{member.name}" is neither a file nor a folder')
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
