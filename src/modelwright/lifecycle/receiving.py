"""Files that come as a tar archive, unpacked: nothing of it lands elsewhere, and it may not swell without end."""

import tarfile
from pathlib import Path

from modelwright.errors import ArchiveInvalid

MOST_BYTES = 16 * 1024**3  # of an archive, and of what is in it
_MOST_FILES = 100_000


def unpack(archive: Path, folder: Path) -> Path:
    """Write the archive's files to the new `folder`, and return it. Raises ArchiveInvalid."""
    folder.mkdir()
    try:
        with tarfile.open(archive) as opened:
            size = 0
            for count, member in enumerate(opened, start=1):
                size += member.size
                _check(member, count=count, size=size)
                opened.extract(member, folder, filter="data")
    except (tarfile.TarError, OSError, EOFError, ValueError, UnicodeError) as error:
        raise ArchiveInvalid(reason=str(error) or type(error).__name__) from error
    if not any(folder.iterdir()):
        raise ArchiveInvalid(reason="there is nothing in it")
    return folder


def _check(member: tarfile.TarInfo, *, count: int, size: int) -> None:
    member.name.encode()  # what is no text could be named nowhere
    if not (member.isfile() or member.isdir()):
        raise ArchiveInvalid(reason=f'"{member.name}" is neither a file nor a folder')
    if size > MOST_BYTES or count > _MOST_FILES:
        raise ArchiveInvalid(reason=f"it is more than {_MOST_FILES:,} files or {MOST_BYTES:,} bytes")
