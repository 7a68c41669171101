"""Two versions of published pipelines side by side: parameters, packages, code."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwright.environments.locking import pins
from modelwright.records import Lock, PackageFile, PipelineVersion
from modelwright.store import claims, environments
from modelwright.store import pipelines as published
from modelwright.store.blobs import Blobs
from modelwright.store.database import Store


@dataclass(frozen=True)
class Changed:
    """A thing that two versions do not have alike; None where one has it not at all."""

    name: str
    before: object
    after: object


@dataclass(frozen=True)
class ChangedFile:
    """A file that two versions do not have alike. `diff` is empty for a file that is no text."""

    path: str
    change: str
    diff: str


@dataclass(frozen=True)
class Differences:
    """What is different in version `after`."""

    before: str
    after: str
    parameters: tuple[Changed, ...]
    environment: tuple[Changed, ...]
    files: tuple[ChangedFile, ...]


def compare(store: Store, before: str, after: str) -> Differences:
    """Return what is different between two versions of published pipelines. Raises PipelineMissing."""
    one, two = published.find_version(store, before), published.find_version(store, after)
    locks = [environments.get_environment(store, each.environment_digest) for each in (one, two)]
    with claims.scratch_folder(store) as folder:
        files = _files(store.blobs, one, two, folder=folder)
    return Differences(
        one.reference,
        two.reference,
        _changed(one.parameters, two.parameters),
        _changed(*map(_facts, locks)),
        files,
    )


def _facts(lock: Lock) -> dict[str, object]:
    return {"python": lock.python_version, "platform": lock.platform, **pins(lock)}


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Changed, ...]:
    names = [*before, *(name for name in after if name not in before)]
    pairs = [Changed(name, before.get(name), after.get(name)) for name in names]
    return tuple(each for each in pairs if each.before != each.after)


def _files(blobs: Blobs, one: PipelineVersion, two: PipelineVersion, *, folder: Path) -> tuple[ChangedFile, ...]:
    before, after = ({each.path: each for each in version.files} for version in (one, two))
    changed = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old and new and (old.digest, old.is_executable) == (new.digest, new.is_executable):
            continue
        before_lines, after_lines = (_lines(blobs, each, folder=folder) for each in (old, new))
        names = (f"{one.reference}/{path}", f"{two.reference}/{path}")
        diff = "".join(difflib.unified_diff(before_lines, after_lines, *names))
        changed.append(ChangedFile(path, "added" if old is None else "changed" if new else "removed", diff))
    return tuple(changed)


def _lines(blobs: Blobs, file: PackageFile | None, *, folder: Path) -> list[str]:
    """Return a file's lines; none where there is no file, or no text in it."""
    if file is None:
        return []
    target = folder / file.digest
    blobs.export(file.digest, target)
    try:
        return [f"{line}\n" for line in target.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError:
        return []
