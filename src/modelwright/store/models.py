"""Models, their versions and aliases."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.errors import AliasMissing, ModelMissing, PropertyFixed
from modelwright.records import DatasetLink, ModelVersion, PackageFile, VersionFilter
from modelwright.store import naming, schema, telling
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import marks, rows
from modelwright.store.numbers import next_number

_ALL = VersionFilter()
_LONGEST_NUMBER = 9  # more digits than a column of whole numbers holds in every database
_FEW = 100
# So many versions are asked for at once: few different statements, since SQLite takes longer to read a new one than to
# answer it, and none with more than 500 values.
_BATCHES = (1, 10, 80)

_VERSIONS = (
    "SELECT id, model, version, digest, framework, signature, run_id, proof_id, environment_digest, created_at, "
    "framework_version, description, source, parent_id, created_by, updated_at FROM model_versions WHERE id IN ({})"
)
# All that belongs to versions, in one statement: what it is, of which version, and up to four values.
_PARTS = (
    "SELECT 'file', version_id, path, digest, size_bytes, is_executable FROM version_files WHERE version_id IN ({0}) "
    "UNION ALL SELECT 'metric', version_id, name, value, 0, 0 FROM version_metrics WHERE version_id IN ({0}) "
    "UNION ALL SELECT 'tag', version_id, name, value, 0, 0 FROM version_tags WHERE version_id IN ({0}) "
    "UNION ALL SELECT 'property', version_id, name, value, 0, 0 FROM version_properties WHERE version_id IN ({0}) "
    "UNION ALL SELECT 'alias', version_id, alias, '', 0, 0 FROM aliases WHERE version_id IN ({0}) "
    "UNION ALL SELECT 'dataset', version_id, role, name, version, 0 FROM version_datasets "
    "JOIN dataset_versions ON dataset_versions.id = dataset_version_id JOIN datasets ON datasets.id = dataset_id "
    "WHERE version_id IN ({0})"
)
_BY_ALIAS = "SELECT version_id FROM aliases WHERE model = ? AND alias = ?"
_BY_NUMBER = "SELECT id FROM model_versions WHERE model = ? AND version = ?"
_LATEST = "SELECT id FROM model_versions WHERE model = ? ORDER BY version DESC LIMIT 1"
_IS_CALLED = "SELECT 1 FROM model_versions WHERE id = ? AND model = ?"
_HIGHEST = "SELECT last_version FROM models WHERE name = ?"
_OF_RUN = "SELECT id FROM model_versions WHERE run_id = ? ORDER BY created_at LIMIT 1"

# What belongs to a version by its kind, each with up to four values.
_Parts = dict[str, list[Sequence[Any]]]


def add_version(
    change: Change, version: ModelVersion, *, datasets: Sequence[tuple[str, str]] = (), is_dated: bool = False
) -> ModelVersion:
    """Record a version under the model's next number, which the returned record has; no number is given twice.

    `datasets` are pairs of a role and the id of a dataset version. The transaction holds the database's write lock, so
    two registrations at once get two numbers. One that `is_dated` keeps its time and who made it, and its number when
    that is higher than any that was given.
    """
    number = _next_number(change, version.model, at_least=version.version if is_dated else 0)
    numbered = replace(version, version=number)
    if not is_dated:
        numbered = replace(numbered, created_at=change.at, created_by=change.actor)
    change.insert(
        schema.model_versions,
        {
            "id": numbered.id,
            "model": numbered.model,
            "version": numbered.version,
            "digest": numbered.digest,
            "framework": numbered.framework,
            "framework_version": numbered.framework_version,
            "description": numbered.description,
            "signature": numbered.signature,
            "source": dict(numbered.source),
            "run_id": numbered.run_id,
            "proof_id": numbered.proof_id,
            "environment_digest": numbered.environment_digest,
            "parent_id": numbered.parent_id,
            "created_by": numbered.created_by,
            "created_at": numbered.created_at,
            "updated_at": numbered.updated_at,
        },
    )
    change.insert(
        schema.version_files,
        *(
            {
                "version_id": numbered.id,
                "path": each.path,
                "digest": each.digest,
                "size_bytes": each.size_bytes,
                "is_executable": each.is_executable,
            }
            for each in numbered.files
        ),
    )
    change.insert(schema.version_metrics, *_pairs(numbered.id, numbered.metrics))
    change.insert(schema.version_tags, *_pairs(numbered.id, numbered.tags))
    change.insert(schema.version_properties, *_pairs(numbered.id, numbered.properties))
    change.insert(
        schema.version_datasets,
        *(
            {"version_id": numbered.id, "role": role, "dataset_version_id": each}
            for role, each in dict.fromkeys(datasets)
        ),
    )
    change.record("model.registered", f"models/{numbered.reference}", after=telling.of_model_version(numbered))
    return numbered


def _next_number(change: Change, model: str, *, at_least: int = 0) -> int:
    """Return the number that no version of `model` ever had; the caller records the version that gets it."""
    table = schema.models
    known = rows(change.connection, _HIGHEST, (model,))
    if not known:
        naming.refuse_former(change.connection, model)
        number = max(next_number(change, "model", model, highest=0), at_least)
        change.insert(table, {"name": model, "last_version": number, "created_at": change.at, "updated_at": change.at})
        return number
    number = max(int(known[0][0]) + 1, at_least)
    change.update_row(table, [model], last_version=number, updated_at=change.at)
    return number


def move_alias(change: Change, version: ModelVersion, *, alias: str) -> None:
    """Let `alias` point at `version`; where it points already nothing happens. Raises ModelMissing."""
    table, versions = schema.aliases, schema.model_versions
    ensure_there(change, version)
    here = (table.c.model == version.model) & (table.c.alias == alias)
    before = change.rows(sa.select(versions.c.version).join(table, table.c.version_id == versions.c.id).where(here))
    if before and before[0].version == version.version:
        return
    if before:
        change.update(table, here, version_id=version.id, moved_at=change.at)
    else:
        change.insert(table, {"model": version.model, "alias": alias, "version_id": version.id, "moved_at": change.at})
    change.record(
        "alias.moved",
        f"models/{version.model}@{alias}",
        before={"version": before[0].version} if before else None,
        after={"model": version.model, "alias": alias, "version": version.version},
    )


def ensure_there(change: Change, version: ModelVersion) -> None:
    """Refuse a version that was deleted or renamed meanwhile; from here on it stays until the transaction ends.

    Raises ModelMissing.
    """
    if not rows(change.connection, _IS_CALLED, (version.id, version.model)):
        raise naming.missing(change.connection, version.reference)


def remove_alias(change: Change, model: str, *, alias: str) -> None:
    """Take an alias away. Raises AliasMissing."""
    table, versions = schema.aliases, schema.model_versions
    here = (table.c.model == model) & (table.c.alias == alias)
    before = change.rows(sa.select(versions.c.version).join(table, table.c.version_id == versions.c.id).where(here))
    if not before:
        raise AliasMissing(model=model, alias=alias)
    change.delete(table, here)
    was = {"version": before[0].version}
    change.record("alias.removed", f"models/{model}@{alias}", before=was, told={"model": model, "alias": alias} | was)


def describe_version(change: Change, version: ModelVersion, description: str) -> None:
    """Set what is said of a version. Raises ModelMissing."""
    ensure_there(change, version)
    if description != version.description:
        table = schema.model_versions
        change.update(table, table.c.id == version.id, description=description, updated_at=change.at)
        before, after = {"description": version.description}, {"description": description}
        change.record("model.described", f"models/{version.reference}", before=before, after=after)


def equip_version(change: Change, version: ModelVersion, environment_digest: str) -> None:
    """Record the environment of a version that has none; one that it has stays. Raises ModelMissing."""
    ensure_there(change, version)
    known = rows(change.connection, "SELECT environment_digest FROM model_versions WHERE id = ?", (version.id,))
    if known[0][0] is None:
        change.update_row(schema.model_versions, [version.id], environment_digest=environment_digest)
        after = {"environment": environment_digest}
        change.record("model.equipped", f"models/{version.reference}", after=after)


def change_tags(
    change: Change, version: ModelVersion, *, added: Mapping[str, str], removed: Sequence[str] = ()
) -> None:
    """Set and remove tags of a version; those that it has under the added names are replaced. Raises ModelMissing."""
    ensure_there(change, version)
    table = schema.version_tags
    of_version = table.c.version_id == version.id
    before = {row.name: row.value for row in change.rows(table.select().where(of_version))}
    after = {tag: value for tag, value in (before | dict(added)).items() if tag not in set(removed) - set(added)}
    if after != before:
        change.delete(table, of_version)
        change.insert(table, *_pairs(version.id, after))
        change.record("model.tagged", f"models/{version.reference}", before=before, after=after)


def add_properties(change: Change, version: ModelVersion, properties: Mapping[str, str]) -> None:
    """Add properties to a version. Raises ModelMissing, and PropertyFixed when one has another value already."""
    ensure_there(change, version)
    table = schema.version_properties
    known = {row.name: row.value for row in change.rows(table.select().where(table.c.version_id == version.id))}
    for name, value in properties.items():
        if known.get(name, value) != value:
            raise PropertyFixed(name=name, version=version.reference, old=known[name], new=value)
    new = {name: value for name, value in properties.items() if name not in known}
    if new:
        change.insert(table, *_pairs(version.id, new))
        change.record("model.properties_added", f"models/{version.reference}", after=new)


def labelled(change: Change, model: str, labels: Mapping[str, str], *, are_properties: bool = False) -> str | None:
    """Return a version of `model` that has these tags, or properties, as seen inside of the transaction."""
    table, versions = schema.version_properties if are_properties else schema.version_tags, schema.model_versions
    query = sa.select(versions.c.version).where(versions.c.model == model).limit(1)
    for name, value in labels.items():
        having = sa.select(table.c.version_id).where(table.c.name == name, table.c.value == value)
        query = query.where(versions.c.id.in_(having))
    found = change.rows(query)
    return f"{model}:{found[0].version}" if found else None


def list_derived(store: Store, version_id: str) -> list[str]:
    """Return the versions that were derived from one, as references, oldest first."""
    table = schema.model_versions
    query = sa.select(table.c.model, table.c.version).where(table.c.parent_id == version_id).order_by(table.c.id)
    with store.reader.connect() as connection:
        return [f"{row.model}:{row.version}" for row in connection.execute(query)]


def list_history(store: Store, model: str, *, alias: str | None = None) -> list[dict[str, Any]]:
    """Return the audit records of a model's versions and aliases and of its name, or of one alias, oldest first.

    Those from before it was renamed have the name that it had. Raises ModelMissing for a model that never was.
    """
    table = schema.audit_records
    with store.reader.connect() as connection:
        if naming.name_now(connection, model):
            raise naming.missing(connection, model)
        names = [*naming.names_before(connection, model), model]
        chosen: sa.ColumnElement[bool]
        if alias is None:
            is_renamed = table.c.subject.in_([f"models/{each}" for each in names]) & (table.c.action == "model.renamed")
            chosen = sa.or_(naming.subjects_of(names, table.c.subject), is_renamed)
        else:
            chosen = table.c.subject.in_([f"models/{each}@{alias}" for each in names])
        query = table.select().where(chosen).order_by(table.c.sequence)
        found = [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name
    if not found:
        raise ModelMissing(reference=model if alias is None else f"{model}@{alias}")
    return found


def find_version(store: Store, reference: str) -> ModelVersion:
    """Return the version that `reference` names: `churn:3`, `churn@champion`, or `churn` for the newest.

    `models:/churn/3` and `models:/churn@champion` are read too. Raises ModelMissing.
    """
    text = reference.removeprefix("models:/")
    model, at, alias = text.partition("@")
    if not at:
        model, _, number = text.replace("/", ":").partition(":")
    with store.reader.connect() as connection:
        if at:
            found = rows(connection, _BY_ALIAS, (model, alias))
        elif not number:
            found = rows(connection, _LATEST, (model,))
        elif number.isdecimal() and len(number) <= _LONGEST_NUMBER:
            found = rows(connection, _BY_NUMBER, (model, int(number)))
        else:
            found = []
        if not found:
            raise naming.missing(connection, reference)
        return load_versions(connection, [found[0][0]])[0]


def get_version(store: Store, version_id: str) -> ModelVersion:
    """Return the version of that id, which a row refers to."""
    with store.reader.connect() as connection:
        return load_versions(connection, [version_id])[0]


def find_by_id(store: Store, version_id: str) -> ModelVersion | None:
    """Return the version of that id, if it is here."""
    with store.reader.connect() as connection:
        found = rows(connection, "SELECT id FROM model_versions WHERE id = ?", (version_id,))
        return load_versions(connection, [version_id])[0] if found else None


def version_of_run(store: Store, run_id: str) -> ModelVersion | None:
    """Return the first version that was registered from a run."""
    with store.reader.connect() as connection:
        found = rows(connection, _OF_RUN, (run_id,))
        return load_versions(connection, [found[0][0]])[0] if found else None


def list_versions(
    store: Store, wanted: VersionFilter = _ALL, *, limit: int | None = None, after: str = ""
) -> list[ModelVersion]:
    """Return the versions that are wanted, newest first; those that come after the one that `after` names.

    Raises ModelRenamed for those of a model that is called otherwise now.

    Labels that few versions have are looked up first, and only these versions looked at. Otherwise all are gone through
    from the newest on until there are enough, so that neither takes longer the more versions there are.
    """
    with store.reader.connect() as connection:
        conditions, values = _conditions(connection, wanted)
        if after:
            last = find_version(store, after)
            conditions.append("(created_at, version) < (SELECT created_at, version FROM model_versions WHERE id = ?)")
            values.append(last.id)
        # Numbers are given in the order of time, and within a model an index has them in order.
        order = "created_at DESC, version DESC" if wanted.model is None else "version DESC"
        statement = (
            f"SELECT id FROM model_versions WHERE {' AND '.join(conditions)} "  # noqa: S608 - ours
            f"ORDER BY {order} LIMIT ?"
        )
        ids = [row[0] for row in rows(connection, statement, [*values, -1 if limit is None else limit])]
        if not ids and wanted.model is not None:
            naming.refuse_former(connection, wanted.model)
        return load_versions(connection, ids)


def _conditions(connection: sa.Connection, wanted: VersionFilter) -> tuple[list[str], list[object]]:
    """Return what holds for the rows that are wanted, as SQL and the values for its question marks."""
    conditions, values = ["1"], list[object]()
    few: list[str] | None = None
    for table, named in (("version_tags", wanted.tags), ("version_properties", wanted.properties)):
        for name, value in named.items():
            alike, given = ("name = ?", [name]) if value is None else ("name = ? AND value = ?", [name, value])
            query = f"SELECT version_id FROM {table} WHERE {alike} LIMIT {_FEW + 1}"  # noqa: S608 - ours
            found = [row[0] for row in rows(connection, query, given)] if few is None else []
            if few is None and len(found) <= _FEW:
                few = found
                continue
            conditions.append(f"EXISTS (SELECT 1 FROM {table} WHERE version_id = model_versions.id AND {alike})")  # noqa: S608 - ours
            values += given
    if few is not None:
        conditions.append(f"id IN ({marks(len(few))})")
        values += few
    for column, only in (("model", wanted.model), ("framework", wanted.framework), ("run_id", wanted.run_id)):
        if only is not None:
            conditions.append(f"{column} = ?")
            values.append(only)
    if wanted.dataset_version_id is not None:
        linked = "SELECT version_id FROM version_datasets WHERE dataset_version_id = ?"
        read = "SELECT run_id FROM run_datasets WHERE dataset_version_id = ?"
        conditions.append(f"(id IN ({linked}) OR run_id IN ({read}))")
        values += [wanted.dataset_version_id] * 2
    if wanted.is_latest:
        newest = "SELECT id FROM model_versions AS others WHERE model = models.name ORDER BY version DESC LIMIT 1"
        conditions.append(f"id IN (SELECT ({newest}) FROM models)")  # noqa: S608 - ours
    return conditions, values


def load_versions(connection: sa.Connection, version_ids: Sequence[str]) -> list[ModelVersion]:
    """Return the versions of these ids, in their order."""
    found: dict[str, ModelVersion] = {}
    for start in range(0, len(version_ids), _BATCHES[-1]):
        some = version_ids[start : start + _BATCHES[-1]]
        parts: dict[str, _Parts] = {each: {} for each in some}
        count = next(size for size in _BATCHES if size >= len(some))
        asked = [*some, *[""] * (count - len(some))]
        for kind, version_id, *part in rows(connection, _PARTS.format(marks(count)), asked * 6):
            parts[version_id].setdefault(kind, []).append(part)
        for row in rows(connection, _VERSIONS.format(marks(count)), asked):
            found[row[0]] = _version(row, parts[row[0]])
    return [found[each] for each in version_ids]


def _version(row: tuple[Any, ...], parts: _Parts) -> ModelVersion:
    def of(kind: str) -> Sequence[Sequence[Any]]:
        return parts.get(kind, ())

    return ModelVersion(
        id=row[0],
        model=row[1],
        version=row[2],
        digest=row[3],
        framework=row[4],
        signature=_loaded(row[5]),
        run_id=row[6],
        proof_id=row[7],
        environment_digest=row[8],
        created_at=datetime.fromisoformat(row[9]),
        framework_version=row[10],
        description=row[11],
        source=_loaded(row[12]),
        parent_id=row[13],
        created_by=row[14],
        updated_at=datetime.fromisoformat(row[15]) if row[15] else None,
        files=tuple(
            PackageFile(path, digest, size, bool(is_executable)) for path, digest, size, is_executable in of("file")
        ),
        metrics={name: math.nan if value is None else value for name, value, *_ in of("metric")},
        tags={name: value for name, value, *_ in of("tag")},
        properties={name: value for name, value, *_ in of("property")},
        aliases=tuple(sorted(alias for alias, *_ in of("alias"))),
        datasets=tuple(DatasetLink(role, f"{name}:{version}") for role, name, version, _ in of("dataset")),
    )


def _loaded(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {} if text == "{}" else json.loads(text)
    return found


def _pairs(version_id: str, values: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"version_id": version_id, "name": name, "value": value} for name, value in values.items()]
