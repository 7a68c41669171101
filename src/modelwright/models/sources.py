"""Where a version's files come from: paths on disk, or what a tracked run kept."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from modelwright.datasets.gathering import gather
from modelwright.errors import SourceMissing, VersionNotRegistrable
from modelwright.records import Run
from modelwright.store.database import Store

OUTPUTS = "outputs/"


@dataclass(frozen=True)
class Source:
    """Files that are to become a version: where each is, by its place among the version's files.

    `told` is what the version says of where it came from, and `paths` what chose among all files. An empty folder is
    named, since it has no file to tell of it.
    """

    files: Mapping[str, Path]
    empty_folders: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()


def files_at(named: Sequence[str], *, paths: Sequence[str], model: str, start: Path, workspace: Path) -> Source:
    """Return the files and folders that are `named`, below folder `start`, as those of one version.

    Each keeps its own name, a folder with all that is in it. `paths` choose files and folders in the one folder that is
    named, which keep their places in it. Symbolic links are refused: what they lead to may change.

    Raises SourceMissing, VersionNotRegistrable, and for what has no bytes to keep DataNotRegular.
    """
    files: dict[str, Path] = {}
    empty: list[str] = []
    for each in named:
        place = Path(os.path.normpath(start / Path(each).expanduser()))
        if not os.path.lexists(place):
            raise SourceMissing(path=each, reason="it is not there", folder=place.parent)
        if place.name in {path.split("/")[0] for path in (*files, *empty)}:
            reason = f'two of its files would be called "{place.name}"'
            told = "give them different names, or put them in two folders and name these"
            raise VersionNotRegistrable(model=model, reason=reason, next=told)
        if place.is_dir() and not place.is_symlink():
            hollow = _empty_folders(place)
            whole = {} if "." in hollow else gather(str(place), start=start, workspace=workspace.absolute()).paths
            kept = chosen(whole, paths, within=each)
            files |= {f"{place.name}/{path}": Path(whole[path]) for path in kept}
            empty += [str(PurePosixPath(place.name, path)) for path in hollow if not paths]
        elif paths:
            raise SourceMissing(path=paths[0], reason=f'"{each}" is a file and has no files in it', folder=place.parent)
        else:
            files |= {path: Path(at) for path, at in gather(str(place), start=start, workspace=workspace).paths.items()}
    if not files:
        reason = "there is no file in it, only folders"
        raise SourceMissing(path=named[0], reason=reason, folder=start)
    return Source(files, tuple(empty), {"kind": "files", "paths": ", ".join(_absolute(named, start))})


def outputs_of(store: Store, run: Run, *, paths: Sequence[str], folder: Path) -> Source:
    """Return the files that a run wrote, or those that `paths` choose, written to `folder`.

    Every byte is verified. A run's files are kept without their executable bits. Raises SourceMissing and BlobDamaged.
    """
    written = {each.path.removeprefix(OUTPUTS): each for each in run.artifacts if each.path.startswith(OUTPUTS)}
    if not written:
        raise SourceMissing(path=run.id, reason="it wrote no files", folder=f"wright run show {run.id}")
    files = {}
    for path in chosen(written, paths, within=run.id):
        files[path] = folder / path
        store.blobs.export(written[path].digest, files[path])
    told = {"kind": "run", "run": run.id, **({"paths": ", ".join(paths)} if paths else {})}
    return Source(files, (), told, tuple(paths))


def chosen(files: Collection[str], paths: Sequence[str], *, within: str) -> list[str]:
    """Return those of `files` that `paths`, of files and folders, choose: all when there are none.

    Raises SourceMissing for one that chooses nothing.
    """
    if not paths:
        return sorted(files)
    found: set[str] = set()
    for path in paths:
        name = os.path.normpath(path)
        some = {each for each in files if each == name or each.startswith(f"{name}/")}
        if not some:
            raise SourceMissing(path=path, reason=f'"{within}" has no such file', folder=within)
        found |= some
    return sorted(found)


def _absolute(named: Sequence[str], start: Path) -> list[str]:
    return [os.path.normpath(start / Path(each).expanduser()) for each in named]


def _empty_folders(folder: Path) -> list[str]:
    """Return the folders below a folder that nothing is in, links not followed; `.` when it is empty itself."""
    found = [
        Path(parent).relative_to(folder).as_posix() for parent, folders, files in os.walk(folder) if not folders + files
    ]
    return sorted(found)
