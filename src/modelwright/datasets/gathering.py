"""What a path, a folder or a pattern names: every file below it, or a refusal that says which one cannot be pinned."""

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.errors import DataNotFound, DataNotRegular, FileNotReadable

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Gathered:
    """The files of a dataset version to be: absolute paths by the name that each has in it, and where all came from."""

    paths: dict[str, str]
    source: dict[str, str]


def gather(named: str, *, start: Path, workspace: Path) -> Gathered:
    """Return the files that `named`, a path or a pattern such as `data/**/*.csv`, means in folder `start`.

    A file keeps its own name, those of a folder their place in it, those of a pattern theirs below its fixed beginning.
    Nothing is left out: hidden files belong to it, and what cannot be pinned is refused. Only folders without a file
    have no place in a version. Raises DataNotFound, DataNotRegular and FileNotReadable.
    """
    path = os.path.normpath(start / os.path.expanduser(named))  # noqa: PTH111 - a pattern is no Path
    if os.path.lexists(path):
        _refuse_link(path)
        found = _folder(path, workspace=workspace) if Path(path).is_dir() else {Path(path).name: _checked(path)}
        source = {"path": path}
    elif _MAGIC & set(named):
        found = _pattern(path, workspace=workspace)
        source = {"pattern": path}
    else:
        raise DataNotFound(path=named, reason="it is not there", folder=_nearest(path))
    if not found:
        reason = "no file matches" if "pattern" in source else "the folder holds no file"
        raise DataNotFound(path=named, reason=reason, folder=_nearest(path))
    return Gathered(found, source)


def _folder(path: str, *, workspace: Path) -> dict[str, str]:
    begin = len(path.rstrip("/")) + 1
    return {each[begin:]: each for each in _walk(path, workspace=workspace)}


def _pattern(path: str, *, workspace: Path) -> dict[str, str]:
    parts = path.split("/")
    fixed = "/".join(parts[: next(n for n, part in enumerate(parts) if _MAGIC & set(part))]) or "/"
    begin = len(fixed.rstrip("/")) + 1
    found = {}
    folders = {fixed}
    for each in sorted(glob.iglob(path, recursive=True, include_hidden=True)):  # noqa: PTH207 - absolute, and with **
        _refuse_link(each)
        for parent in _unseen_parents(each, folders):
            _refuse_link(parent)
        if not os.path.isdir(each):  # noqa: PTH112
            found[each[begin:]] = _checked(each)
    if any(Path(each).is_relative_to(workspace) for each in found.values()):
        raise _workspace_inside(fixed, workspace)
    return found


def _unseen_parents(path: str, seen: set[str]) -> Iterator[str]:
    """Give the folders above a path that are not among `seen`, which then has them."""
    parent = path.rpartition("/")[0]
    while parent not in seen:
        seen.add(parent)
        yield parent
        parent = parent.rpartition("/")[0]


def _walk(folder: str, *, workspace: Path) -> Iterator[str]:
    """Give every file below a folder, in the order of their names."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise FileNotReadable(path=folder, reason=error.strerror) from error
    for entry in entries:
        if entry.is_symlink():
            _refuse_link(entry.path)
        if entry.is_file(follow_symlinks=False) and entry.name.isascii():
            yield entry.path
        elif not entry.is_dir(follow_symlinks=False):
            yield _checked(entry.path)
        elif entry.path == str(workspace):
            raise _workspace_inside(folder, workspace)
        else:
            _refuse_nameless(entry.path)
            yield from _walk(entry.path, workspace=workspace)


def _checked(path: str) -> str:
    """Return the path, unless it is of no plain file or is no text. Whether it can be read, reading it tells."""
    mode = os.stat(path).st_mode  # noqa: PTH116
    if not stat.S_ISREG(mode):
        what = "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise DataNotRegular(path=path, what=f"{what}, not a file", remedy="write what it gives to a file first")
    _refuse_nameless(path)
    return path


def _refuse_nameless(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = path.encode(errors="backslashreplace").decode()
        raise DataNotRegular(path=shown, what="something whose name is not UTF-8", remedy="rename it") from error


def _refuse_link(path: str) -> None:
    if os.path.islink(path):  # noqa: PTH114
        target = os.path.realpath(path)
        raise DataNotRegular(
            path=path,
            what=f'a symbolic link to "{target}", whose bytes may become others without a trace here',
            remedy=f"name the file itself, or put a copy in place of the link: cp --remove-destination {target} {path}",
        )


def _workspace_inside(folder: str, workspace: Path) -> DataNotRegular:
    return DataNotRegular(
        path=folder,
        what=f'a folder that holds the workspace "{workspace}" itself',
        remedy="move the data to a folder of its own",
    )


def _nearest(path: str) -> str:
    """Return the deepest folder on the way to a path that is there."""
    return str(next(each for each in Path(path).parents if each.is_dir()))
