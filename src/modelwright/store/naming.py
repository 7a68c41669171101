"""What models are called: the name that one has, and those that it had.

References to a model are made of its name, and what was recorded under a former one stays as it was said. So a former
name is kept for the model that had it: it says what the model is called now, and nothing else can be called that.
"""

import re
from collections.abc import Sequence

import sqlalchemy as sa

from modelwright.errors import ModelExists, ModelMissing, ModelNameInUse, ModelNameUsed, ModelRenamed
from modelwright.store import schema, usage
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import rows
from modelwright.store.numbers import last_number

_NOW = "SELECT model FROM former_names WHERE name = ?"
_BEFORE = "SELECT name FROM former_names WHERE model = ? ORDER BY name"
_ALL = "SELECT name, model FROM former_names"
_KNOWN = "SELECT last_version, (SELECT MIN(version) FROM model_versions WHERE model = name) FROM models WHERE name = ?"
_PLACED = (
    "SELECT id FROM model_versions WHERE model = ? AND (id IN (SELECT version_id FROM deployments) "
    "OR id IN (SELECT version_id FROM deployment_models)) ORDER BY version"
)


def missing(connection: sa.Connection, reference: str) -> ModelMissing:
    """Return the error that there is no such model, version or alias; of a renamed one, that with what it is now."""
    return _renamed(connection, reference) or ModelMissing(reference=reference)


def refuse_former(connection: sa.Connection, reference: str) -> None:
    """Refuse what a model, or a version of it, is not called any more. Raises ModelRenamed."""
    renamed = _renamed(connection, reference)
    if renamed:
        raise renamed


def _renamed(connection: sa.Connection, reference: str) -> ModelRenamed | None:
    text = reference.removeprefix("models:/").replace("/", ":")
    name = re.split("[:@]", text, maxsplit=1)[0]
    now = name_now(connection, name)
    return ModelRenamed(model=name, name=now, reference=now + text.removeprefix(name)) if now else None


def name_now(connection: sa.Connection, name: str) -> str | None:
    """Return what the model that was called `name` is called now; None when none was."""
    found = rows(connection, _NOW, (name,))
    return found[0][0] if found else None


def names_before(connection: sa.Connection, model: str) -> list[str]:
    """Return what a model was called before."""
    return [row[0] for row in rows(connection, _BEFORE, (model,))]


def reference_now(store: Store, reference: str) -> str:
    """Return what a model, or a version of it, is called now that `reference` named when it was written down."""
    name = reference.partition(":")[0]
    with store.reader.connect() as connection:
        return (name_now(connection, name) or name) + reference.removeprefix(name)


def names_now(connection: sa.Connection) -> dict[str, str]:
    """Return all names that models had, and what these are called now."""
    return dict(rows(connection, _ALL, ()))


def rename_model(change: Change, model: str, name: str) -> None:
    """Call a model `name` from now on, with its versions, aliases, tags and approvals; a name that it had it may have.

    Raises ModelMissing, ModelExists, ModelRenamed for what another model was called, ModelNameUsed when a number would
    be given again, and ModelNameInUse while a version is deployed, for what serves tells it by its name.
    """
    known = rows(change.connection, _KNOWN, (model,))
    if not known:
        raise missing(change.connection, model)
    if name == model:
        return
    last, lowest = known[0]
    last = max(last, _number_before(change, model, name, lowest=lowest))
    _refuse_placed(change, model, name)
    _move(change, model, name, last_version=last)
    change.record("model.renamed", f"models/{name}", before={"model": model}, after={"model": name, "was": model})


def _number_before(change: Change, model: str, name: str, *, lowest: int | None) -> int:
    """Return the highest number that versions called `name` had; none of them is one of the model's own."""
    if rows(change.connection, _KNOWN, (name,)):
        raise ModelExists(model=name)
    if name_now(change.connection, name) == model:
        return 0  # all of them are its own
    refuse_former(change.connection, name)
    retired = last_number(change, "model", name)
    if lowest is not None and lowest <= retired:
        raise ModelNameUsed(model=name, version=retired)
    return retired


def _refuse_placed(change: Change, model: str, name: str) -> None:
    placed = [row[0] for row in rows(change.connection, _PLACED, (model,))]
    found = [each for key in placed for each in usage.users(change.connection, schema.model_versions, key)]
    users = dict.fromkeys(each for each in found if each.kind == "deployment")
    if users:
        raise ModelNameInUse(thing=f"model {model}", users=users, command=f"wright model rename {model} {name}")


def _move(change: Change, model: str, name: str, *, last_version: int) -> None:
    """Let all that leads to a model lead to its new name; links would not hold while the row itself changed."""
    table, former, approvals = schema.models, schema.former_names, schema.approvals
    (row,) = change.rows(table.select().where(table.c.name == model))
    told = row._asdict() | {"name": name, "last_version": last_version, "updated_at": change.at}
    change.insert(table, told)
    for each in (schema.model_versions, schema.model_tags, schema.aliases, former):
        change.update(each, each.c.model == model, model=name)
    change.delete(former, former.c.name == name)
    change.delete(table, table.c.name == model)
    change.insert(former, {"name": model, "model": name})
    for sign in ":@":
        start, end = _subjects(model, sign)
        moved = sa.literal(f"models/{name}") + sa.func.substr(approvals.c.subject, len(start))
        change.update(approvals, (approvals.c.subject >= start) & (approvals.c.subject < end), subject=moved)


def subjects_of(names: Sequence[str], column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a record is about versions or aliases of a model that had all these names."""
    # What belongs to a model begins with its name and one of these signs, and lies together in the index.
    ranges = (_subjects(name, sign) for name in names for sign in ":@")
    return sa.or_(*((column >= start) & (column < end) for start, end in ranges))


def _subjects(name: str, sign: str) -> tuple[str, str]:
    return f"models/{name}{sign}", f"models/{name}{chr(ord(sign) + 1)}"
