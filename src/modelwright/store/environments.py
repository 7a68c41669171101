"""Environment locks by digest."""

import sqlalchemy as sa

from modelwright.errors import EnvironmentMissing
from modelwright.records import Lock
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def ensure_environment(change: Change, lock: Lock) -> None:
    """Record `lock` unless it is known."""
    table = schema.environments
    if change.rows(sa.select(table.c.digest).where(table.c.digest == lock.digest)):
        return
    change.insert(
        table,
        {
            "digest": lock.digest,
            "python_version": lock.python_version,
            "platform": lock.platform,
            "lock_text": lock.text,
            "created_at": change.at,
        },
    )
    change.record("environment.locked", f"environments/{lock.digest}", after={"python_version": lock.python_version})


def get_environment(store: Store, digest: str) -> Lock:
    """Return the lock of that digest; every digest that a run or version names is here by foreign key."""
    table = schema.environments
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.digest == digest)).one()
    return Lock(text=row.lock_text, python_version=row.python_version, platform=row.platform, digest=row.digest)


def find_environment(store: Store, reference: str) -> Lock:
    """Return the lock of a named environment, `NAME:VERSION` or `NAME` for the newest. Raises EnvironmentMissing."""
    name, _, number = reference.partition(":")
    table = schema.environment_versions
    query = sa.select(table.c.environment_digest).where(table.c.name == name).order_by(table.c.version.desc())
    if number:
        query = query.where(table.c.version == int(number) if number.isdecimal() else sa.false())
    with store.reader.connect() as connection:
        digest = connection.execute(query.limit(1)).scalar_one_or_none()
    if digest is None:
        raise EnvironmentMissing(reference=reference)
    return get_environment(store, digest)
