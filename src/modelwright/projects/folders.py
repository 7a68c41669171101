"""A project's folder on the disk: filled beside its place, and moved there when it is whole."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelwright.errors import FolderNotEmpty, FolderNotWritable
from modelwright.projects.manifest import MANIFEST_FILE

# What a folder may hold before there is a project in it.
_NO_PROJECT = frozenset({".git", ".wright"})
_MOST_NAMED = 3


def check_writable(into: Path) -> None:
    """Find out whether files can be written to the folder `into`, there or not. Raises FolderNotWritable."""
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=into if into.exists() else into.parent):
            pass
    except OSError as error:
        raise FolderNotWritable(folder=into, reason=error.strerror, option="--into") from error


def check_empty(into: Path) -> None:
    """Find out whether the folder `into` is absent or empty but for a repository or a workspace.

    Raises FolderNotEmpty, and FolderNotWritable when it cannot be looked into.
    """
    try:
        found = sorted(each.name for each in into.iterdir() if each.name not in _NO_PROJECT) if into.exists() else []
    except OSError as error:
        raise FolderNotWritable(folder=into, reason=error.strerror, option="--into") from error
    if found:
        more = ", …" if len(found) > _MOST_NAMED else ""
        named = ", ".join(f'"{each}"' for each in found[:_MOST_NAMED])
        raise FolderNotEmpty(folder=into, files=f"{named}{more}")


@contextmanager
def unfinished(into: Path) -> Iterator[Path]:
    """Give a folder to fill, beside `into`; when the block is done, its files replace those that `into` has.

    The manifest comes last: until then the folder counts as what it was. When the block raises, `into` is as it was
    and nothing else is left. Raises FolderNotWritable.
    """
    partial = into.with_name(f".{into.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        _move_into(partial, into)
    except OSError as error:
        raise FolderNotWritable(folder=into, reason=error.strerror, option="--into") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files`, texts by their paths in `folder`."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _move_into(partial: Path, into: Path) -> None:
    if not into.exists() and not into.is_symlink():
        partial.replace(into)
        return
    paths = sorted((path for path in partial.rglob("*") if path.is_file()), key=lambda path: path.name == MANIFEST_FILE)
    for path in paths:
        target = into / path.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
