"""Environment locks by digest, and the names and numbers that they go by."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from modelwright.errors import EnvironmentMissing
from modelwright.records import (
    DeploymentStatus,
    EnvironmentSource,
    EnvironmentVersion,
    Lock,
    LockSource,
    SpecificationFinding,
    SpecificationKind,
    Status,
)
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.numbers import next_number

_LONGEST_NUMBER = 9  # more digits than a column of whole numbers holds in every database


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


def ensure_environment_version(
    change: Change, name: str, lock: Lock, *, source: EnvironmentSource, findings: Sequence[SpecificationFinding]
) -> tuple[EnvironmentVersion, bool]:
    """Return the version of `name` that has this lock, and whether it is a new one, with the next number."""
    ensure_environment(change, lock)
    table = schema.environment_versions
    known = change.rows(_versions().where(table.c.name == name, table.c.environment_digest == lock.digest))
    if known:
        return _to_version(known[0]), False
    highest = change.rows(sa.select(sa.func.coalesce(sa.func.max(table.c.version), 0)).where(table.c.name == name))
    number = next_number(change, "environment", name, highest=highest[0][0])
    change.insert(
        table,
        {
            "name": name,
            "version": number,
            "environment_digest": lock.digest,
            "source": asdict(source),
            "findings": [asdict(each) for each in findings],
            "created_at": change.at,
        },
    )
    change.record("environment.registered", f"environments/{name}:{number}", after={"digest": lock.digest})
    return _to_version(change.rows(_versions().where(table.c.name == name, table.c.version == number))[0]), True


def get_environment(store: Store, digest: str) -> Lock:
    """Return the lock of that digest; every digest that a run or version names is here by foreign key."""
    table = schema.environments
    with store.reader.connect() as connection:
        return _to_lock(connection.execute(table.select().where(table.c.digest == digest)).one())


def find_environment(store: Store, reference: str) -> Lock:
    """Return the lock of a named environment, `NAME:2`, or `NAME` for the newest. Raises EnvironmentMissing."""
    return get_environment(store, find_environment_version(store, reference).digest)


def find_environments(store: Store, prefix: str) -> list[Lock]:
    """Return the locks whose digests begin with `prefix`."""
    table = schema.environments
    with store.reader.connect() as connection:
        rows = connection.execute(table.select().where(table.c.digest.startswith(prefix, autoescape=True))).all()
    return [_to_lock(row) for row in rows]


def find_environment_version(store: Store, reference: str) -> EnvironmentVersion:
    """Return the version that `NAME:2` names, or `NAME` for the newest. Raises EnvironmentMissing."""
    table = schema.environment_versions
    name, _, number = reference.partition(":")
    query = _versions().where(table.c.name == name).order_by(table.c.version.desc()).limit(1)
    if number:
        if not number.isdecimal() or len(number) > _LONGEST_NUMBER:
            raise EnvironmentMissing(reference=reference)
        query = query.where(table.c.version == int(number))
    with store.reader.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise EnvironmentMissing(reference=reference)
    return _to_version(row)


def list_environment_versions(
    store: Store, *, name: str | None = None, digest: str | None = None, specification_digest: str | None = None
) -> list[EnvironmentVersion]:
    """Return named environments, newest first, narrowed by what is given."""
    table = schema.environment_versions
    query = _versions().order_by(table.c.created_at.desc(), table.c.version.desc())
    if name is not None:
        query = query.where(table.c.name == name)
    if digest is not None:
        query = query.where(table.c.environment_digest == digest)
    if specification_digest is not None:
        query = query.where(table.c.source["specification_digest"].as_string() == specification_digest)
    with store.reader.connect() as connection:
        return [_to_version(row) for row in connection.execute(query).all()]


def load_version(connection: sa.Connection, name: str, version: int) -> EnvironmentVersion | None:
    """Return a version of a named environment as this connection sees it."""
    table = schema.environment_versions
    row = connection.execute(_versions().where(table.c.name == name, table.c.version == version)).first()
    return _to_version(row) if row else None


def list_users(store: Store, digest: str) -> list[str]:
    """Return what runs in the environment of that digest now: endpoints and runs, as people call them."""
    deployments, endpoints, versions, runs = (
        schema.deployments,
        schema.endpoints,
        schema.model_versions,
        schema.runs,
    )
    served = (
        sa.select(endpoints.c.name, versions.c.model, versions.c.version)
        .select_from(deployments)
        .join(endpoints, endpoints.c.id == deployments.c.endpoint_id)
        .join(versions, versions.c.id == deployments.c.version_id)
        .where(versions.c.environment_digest == digest)
        .where(deployments.c.status.in_([DeploymentStatus.STARTING, DeploymentStatus.HEALTHY]))
        .order_by(endpoints.c.name)
    )
    running = sa.select(runs.c.id).where(
        runs.c.environment_digest == digest, runs.c.status.in_([Status.QUEUED, Status.RUNNING])
    )
    with store.reader.connect() as connection:
        users = [f"endpoint {row.name} ({row.model}:{row.version})" for row in connection.execute(served)]
        return users + [f"run {row.id}" for row in connection.execute(running.order_by(runs.c.id))]


def _versions() -> sa.Select[Any]:
    table, locks = schema.environment_versions, schema.environments
    return sa.select(table, locks.c.python_version, locks.c.platform).join(
        locks, locks.c.digest == table.c.environment_digest
    )


def _to_lock(row: sa.Row[Any]) -> Lock:
    return Lock(text=row.lock_text, python_version=row.python_version, platform=row.platform, digest=row.digest)


def _to_version(row: sa.Row[Any]) -> EnvironmentVersion:
    source = row.source
    return EnvironmentVersion(
        name=row.name,
        version=row.version,
        digest=row.environment_digest,
        python_version=row.python_version,
        platform=row.platform,
        source=EnvironmentSource(
            path=source["path"],
            kind=SpecificationKind(source["kind"]),
            specification_digest=source["specification_digest"],
            extras=tuple(source["extras"]),
            groups=tuple(source["groups"]),
            locked_from=LockSource(source["locked_from"]),
        ),
        findings=tuple(SpecificationFinding(**each) for each in row.findings),
        created_at=row.created_at,
    )
