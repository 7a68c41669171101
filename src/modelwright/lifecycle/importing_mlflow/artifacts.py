"""Files of MLflow's on this machine: which of them an address means, and that none lies where nobody allowed it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

from modelwright.lifecycle.importing_mlflow.found import FoundFiles

_OF_SERVER = "mlflow-artifacts"
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]+:")


def local_files(uri: str, owner: str, *, roots: Sequence[Path]) -> FoundFiles:
    """Return the files at `uri`, which must lie below one of the folders `roots`.

    Folders that were moved are found by the end of the path that they had, from where it names the `owner`.
    """
    if not uri:
        return FoundFiles(is_absent=True)
    place = _path(uri)
    if place is None:
        return FoundFiles(missing={"": f'"{uri}" is on no disk of this machine; name a copy with --artifacts FOLDER'})
    folder = _moved(place, owner, roots)
    if folder is None and place.is_absolute() and place.exists():
        folder = place if _is_within(place, roots) else None
        if folder is None:
            return FoundFiles(
                missing={"": f'"{place}" lies outside of what was named; allow it with --artifacts FOLDER'}
            )
    return _walked(folder, roots) if folder else FoundFiles(is_absent=True)


def _path(uri: str) -> Path | None:
    parsed = urlparse(uri)
    if parsed.scheme in {"", "file", _OF_SERVER}:
        return Path(unquote(parsed.path) if parsed.scheme else uri)
    return None if _ELSEWHERE.match(uri) else Path(uri)


def _moved(place: Path, owner: str, roots: Sequence[Path]) -> Path | None:
    """Return the folder below a root that ends as `place` does, from a part on that names the owner at the latest."""
    parts = [part for part in place.parts if part not in {"/", ".", ".."}]
    if not parts or ".." in place.parts:
        return None
    last = parts.index(owner) if owner in parts else 0
    for root in roots:
        for start in range(last + 1):
            found = root.joinpath(*parts[start:])
            if found.exists() and _is_within(found, roots):
                return found
    return None


def _walked(folder: Path, roots: Sequence[Path]) -> FoundFiles:
    paths, missing = {}, {}
    if folder.is_file():
        return FoundFiles({folder.name: folder})
    for parent, folders, names in os.walk(folder):
        for name in folders:
            if Path(parent, name).is_symlink():
                missing[Path(parent, name).relative_to(folder).as_posix()] = "it is a link to a folder"
        for name in sorted(names):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if not _is_within(path, roots):
                missing[relative] = f'it leads to "{path.resolve()}", outside of what was named'
            elif path.is_file():
                paths[relative] = path
            else:
                missing[relative] = "it is no file"
    return FoundFiles(paths, missing)


def _is_within(path: Path, roots: Sequence[Path]) -> bool:
    resolved = path.resolve()
    return any(resolved.is_relative_to(root.resolve()) for root in roots)
