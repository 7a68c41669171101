"""The project's code: which of its files count, and one digest for all of them."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from modelwright import settings
from modelwright.errors import SnapshotTooLarge
from modelwright.projects import ignoring
from modelwright.projects.manifest import PAGE_FILE
from modelwright.records import Artifact
from modelwright.store.blobs import digest_of

# What a run, a tool or an interpreter writes is not the project's code. A .wrightignore may say otherwise, a .gitignore
# may not: it tells what is kept in git and not what runs.
_NOT_CODE = ignoring.parse(f".*\noutputs\n__pycache__\nnode_modules/\n/{PAGE_FILE}\n!{ignoring.OWN_FILE}\n")
_NEVER_CODE = frozenset({".git", ".wright", "__pycache__"})
# A folder that has one of these is a virtual environment or a workspace, whatever it is called.
_DATABASE = "modelwright.db"
_FOREIGN = frozenset({"pyvenv.cfg", _DATABASE})

_SIZE_LIMIT_BYTES = 300 * 1024 * 1024
_COUNT_LIMIT = 2_000
# A file written so shortly before it was read may be written again within one tick of the file system's clock, and
# would then look as if it had not been.
_TICK_NS = 2_000_000_000

_Stat = tuple[int, int, int]
# Rules, and how a path within the folder becomes one that they speak of: what is put before it, how much is cut off.
_Above = tuple[tuple[str, int, ignoring.Rules], ...]
_known: dict[Path, dict[str, tuple[_Stat, int, Artifact]]] = {}


def code_files(folder: Path) -> dict[str, Path]:
    """Return the project's own files by their path within `folder`, in order.

    Hidden files, outputs, caches, virtual environments and the page of the conversion are left out, and what the
    folder's `.wrightignore` names (its lines come last, so that `!name` takes something back in). Where there is none,
    what its `.gitignore` names is left out instead. Both may also stand in folders below.

    Raises SnapshotTooLarge when together they are larger than 300 MB or more than 2,000: a snapshot is refused, never
    truncated.
    """
    return {name: folder / name for name in _listed(folder)}


def code_state(folder: Path) -> tuple[Artifact, ...]:
    """Return each of the project's own files with digest and size. Only files that changed since are read again."""
    listed = _listed(folder)
    before, now = _known.get(folder, {}), time.time_ns()
    known = {}
    for name, stat in listed.items():
        found = before.get(name)
        if found is None or found[0] != stat or found[1] - stat[1] < _TICK_NS:
            try:
                found = (stat, now, Artifact(name, digest_of(folder / name), stat[0]))
            except FileNotFoundError:  # deleted since it was listed, as editors do when they save
                continue
        known[name] = found
    _known[folder] = known
    return tuple(file for _, _, file in known.values())


def digest_files(files: Iterable[Artifact]) -> str:
    """Return one digest for the names and bytes of these files."""
    return _digest({each.path: each.digest for each in files})


def code_digest(folder: Path) -> str:
    """Return one digest for the names and bytes of all the project's files."""
    return _digest({name: digest_of(path) for name, path in code_files(folder).items()})


def copy_code(folder: Path, target: Path) -> str:
    """Copy the project's code to `target`, so that it is fixed whatever the user edits next; return its digest."""
    digests = {}
    for name, path in code_files(folder).items():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
        digests[name] = digest_of(copy)
    return _digest(digests)


def link_others(folder: Path, target: Path) -> None:
    """Link what lies in `folder` and is no code, such as data that git ignores, at its place in a copy of the code.

    Hidden files, outputs, caches and virtual environments stay out, as they do of the code. Each file is a link of its
    own, so that a file which is new in the copy is new in the copy only.
    """
    code = code_files(folder)
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as entries:
            here = list(entries)
        if inside and {each.name for each in here} & _FOREIGN:
            continue
        for entry in here:
            name = inside + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if name in code or entry.name in _NEVER_CODE or _is_ignored(name, (), is_folder=is_folder, is_own=False):
                continue
            if is_folder:
                waiting.append(f"{name}/")
            elif not (target / name).exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).symlink_to(folder / name)


def _digest(digests: Mapping[str, str]) -> str:
    from blake3 import blake3

    whole = blake3()
    for name, digest in digests.items():
        whole.update(f"{name}\0{digest}\0".encode())
    return whole.hexdigest()


def _listed(folder: Path) -> dict[str, _Stat]:
    """Return size, time and inode of the files that count, by their path within `folder`, in the order of paths."""
    found: dict[str, _Stat] = {}
    size_bytes = 0
    is_limited = settings.snapshots_are_limited()
    for name, entry in _walk(folder):
        try:
            stat = entry.stat()
        except FileNotFoundError:  # deleted a moment ago
            continue
        found[name] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        size_bytes += stat.st_size
        if is_limited and (size_bytes > _SIZE_LIMIT_BYTES or len(found) > _COUNT_LIMIT):
            what = "2,000 files" if len(found) > _COUNT_LIMIT else "300 MB"
            raise SnapshotTooLarge(folder=folder, limit=what, largest=_largest(found))
    return dict(sorted(found.items(), key=lambda each: each[0].split("/")))


def _walk(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Give the files that count, with their paths within `folder`."""
    is_own = (folder / ignoring.OWN_FILE).is_file()
    file = ignoring.OWN_FILE if is_own else ignoring.GIT_FILE
    waiting: list[tuple[str, _Above]] = [("", () if is_own else _rules_above(folder))]
    while waiting:
        inside, above = waiting.pop()
        with os.scandir(folder / inside) as entries:
            here = list(entries)
        names = {each.name for each in here}
        if inside and names & _FOREIGN:
            continue
        further = ignoring.read(folder / inside / file) if file in names else None
        if further is not None:
            above = (*above, ("", len(inside), further))
        for entry in here:
            name = inside + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name in _NEVER_CODE or _is_ignored(name, above, is_folder=is_folder, is_own=is_own):
                continue
            if is_folder:
                waiting.append((f"{name}/", above))
            elif entry.is_file():
                yield name, entry


def _rules_above(folder: Path) -> _Above:
    """Return the rules of the repository that `folder` lies in, from its top down."""
    found: list[tuple[str, int, ignoring.Rules]] = []
    place = folder
    while not (place / ".git").exists():
        place = place.parent
        if place == place.parent or (place / _DATABASE).exists():  # no repository, or a copy that a run works on
            return ()
        rules = ignoring.read(place / ignoring.GIT_FILE)
        found += [(f"{folder.relative_to(place).as_posix()}/", 0, rules)] if rules else []
    return tuple(reversed(found))


def _is_ignored(name: str, above: _Above, *, is_folder: bool, is_own: bool) -> bool:
    is_no_code = bool(_NOT_CODE.ignores(name, is_folder=is_folder))
    if is_no_code and not is_own:
        return True
    for added, removed, rules in reversed(above):
        verdict = rules.ignores(added + name[removed:], is_folder=is_folder)
        if verdict is not None:
            return verdict
    return is_no_code


def _largest(found: Mapping[str, _Stat]) -> str:
    """Return what weighs most, for the error: the first-level folders and files with the most bytes."""
    weights: dict[str, int] = {}
    for name, (size_bytes, _, _) in found.items():
        top = name.partition("/")[0] + ("/" if "/" in name else "")
        weights[top] = weights.get(top, 0) + size_bytes
    heaviest = sorted(weights, key=lambda name: -weights[name])[:3]
    return ", ".join(f'"{name}" {weights[name]:,} bytes' for name in heaviest)
