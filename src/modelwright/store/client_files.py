"""The files that clients put to their runs and logged models, by paths below each."""

from typing import NamedTuple

import sqlalchemy as sa

from modelwright.errors import ArtifactMissing, LoggedModelMissing, RunMissing, VersionFixed
from modelwright.records import Artifact
from modelwright.store import client_runs, runs, schema
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import rows

# The character after the one that separates folders: between both lies all that is in a folder.
_AFTER_SLASH = "0"


class Owner(NamedTuple):
    """Whose files: a run's, a logged model's, or those of the version of a model, which never change."""

    id: str
    is_model: bool
    is_version: bool = False

    @property
    def table(self) -> sa.Table:
        """The table of the files."""
        if self.is_version:
            return schema.version_files
        return schema.logged_model_files if self.is_model else schema.run_artifacts

    @property
    def link(self) -> sa.Column[str]:
        """The column that says whose a file is."""
        name = "version_id" if self.is_version else "logged_model_id" if self.is_model else "run_id"
        found: sa.Column[str] = self.table.c[name]
        return found


class Listed(NamedTuple):
    """A file, or a folder, whose size is None, in a folder."""

    name: str
    size_bytes: int | None


def keep_file(change: Change, owner: Owner, file: Artifact) -> None:
    """Record a file of the owner's, in the place of one with the same path; its blob is in the store already."""
    ensure_open(change.connection, owner)
    if not owner.is_model:
        runs.add_artifacts(change, owner.id, artifacts=[file])
        return
    table = schema.logged_model_files
    values = {"digest": file.digest, "size_bytes": file.size_bytes}
    if not change.update_row(table, [owner.id, file.path], **values):
        change.insert(table, {"logged_model_id": owner.id, "path": file.path} | values)
    was = change.before(table, owner.id, file.path)
    change.record(
        "logged_model.files_kept",
        f"logged-models/{owner.id}",
        before={"digests": {file.path: was["digest"]}} if was else None,
        after={"paths": [file.path]},
    )


def delete_files(change: Change, owner: Owner, path: str) -> None:
    """Delete the owner's file of that path, or all files of that folder. Raises ArtifactMissing."""
    ensure_open(change.connection, owner)
    table = owner.table
    is_it = (table.c.path == path) | table.c.path.between(f"{path}/", f"{path}{_AFTER_SLASH}")
    chosen = (owner.link == owner.id) & is_it
    doomed = {row.path: row.digest for row in change.rows(table.select().where(chosen))}
    if not doomed:
        raise ArtifactMissing(path=path)
    change.delete(table, chosen)
    noun, subject = ("logged_model", "logged-models") if owner.is_model else ("run", "runs")
    change.record(f"{noun}.files_deleted", f"{subject}/{owner.id}", before={"digests": doomed})


def find_file(store: Store, owner: Owner, path: str) -> Artifact:
    """Return the owner's file of that path. Raises ArtifactMissing."""
    statement = f"SELECT path, digest, size_bytes FROM {owner.table.name} WHERE {owner.link.name} = ? AND path = ?"  # noqa: S608 - ours
    with store.reader.connect() as connection:
        found = rows(connection, statement, (owner.id, path))
    if not found:
        raise ArtifactMissing(path=path)
    return Artifact(*found[0])


def list_files(store: Store, owner: Owner, folder: str) -> list[Artifact]:
    """Return the owner's files in the folder of that path and below it, by their paths in it; "" is the topmost one."""
    with store.reader.connect() as connection:
        return _below(connection, owner, folder)


def list_folder(store: Store, owner: Owner, folder: str) -> list[Listed]:
    """Return what lies in the owner's folder of that path, "" for the topmost one. Raises RunMissing and the like."""
    with store.reader.connect() as connection:
        _ensure_there(connection, owner)
        found = _below(connection, owner, folder)
    listed: dict[str, Listed] = {}
    for each in found:
        name, separator, _ = each.path.partition("/")
        listed.setdefault(name, Listed(name, None if separator else each.size_bytes))
    return list(listed.values())


def _below(connection: sa.Connection, owner: Owner, folder: str) -> list[Artifact]:
    statement = f"SELECT path, digest, size_bytes FROM {owner.table.name} WHERE {owner.link.name} = ?"  # noqa: S608 - ours
    bounds = (f"{folder}/", f"{folder}{_AFTER_SLASH}") if folder else ()
    within = " AND path > ? AND path < ?" if bounds else ""
    found = rows(connection, f"{statement}{within} ORDER BY path", (owner.id, *bounds))
    start = len(folder) + 1 if folder else 0
    return [Artifact(path[start:], digest, size_bytes) for path, digest, size_bytes in found]


def ensure_open(connection: sa.Connection, owner: Owner) -> None:
    """Refuse an owner that nothing may be added to.

    Raises RunMissing, RunDeleted, NotOfClient, LoggedModelMissing and VersionFixed.
    """
    if owner.is_version:
        raise VersionFixed(version=owner.id)
    if owner.is_model:
        _ensure_there(connection, owner)
    else:
        client_runs.ensure_open(connection, owner.id)


def _ensure_there(connection: sa.Connection, owner: Owner) -> None:
    table = "model_versions" if owner.is_version else "logged_models" if owner.is_model else "runs"
    if not rows(connection, f"SELECT 1 FROM {table} WHERE id = ?", (owner.id,)):  # noqa: S608 - ours
        raise LoggedModelMissing(model=owner.id) if owner.is_model else RunMissing(run=owner.id)
