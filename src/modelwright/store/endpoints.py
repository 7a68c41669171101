"""Endpoints and their deployments."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.errors import DeletedMeanwhile, DeploymentMissing, EndpointMissing, InUse
from modelwright.records import Deployment, DeploymentStatus, Endpoint, ModelVersion, Serving, Traffic, Use
from modelwright.records.decoding import decoded
from modelwright.records.plain import plain
from modelwright.store import models, schema, telling, usage
from modelwright.store.changes import Change
from modelwright.store.database import Store

# What a deployment is while it serves or is about to, and what ends that.
_ENDED = {
    DeploymentStatus.STARTING: "wait until it has started",
    DeploymentStatus.HEALTHY: "wright endpoint stop {}, or deploy another version to it",
}


def ensure_endpoint(change: Change, name: str, *, host: str) -> Endpoint:
    """Return the endpoint of that name, adding it when it is new."""
    table = schema.endpoints
    found = change.rows(table.select().where(table.c.name == name))
    if found:
        return _to_endpoint(found[0])
    endpoint = Endpoint(id=records.new_id("endpoint"), name=name, host=host, port=None, created_at=change.at)
    change.insert(
        table, {"id": endpoint.id, "name": name, "host": host, "port": None, "created_at": endpoint.created_at}
    )
    change.record("endpoint.created", f"endpoints/{name}", after={"host": host, "port": None})
    return endpoint


def set_address(change: Change, endpoint: Endpoint, *, host: str, port: int) -> None:
    """Remember where the endpoint answers, so that its URL stays the same."""
    table = schema.endpoints
    change.update(table, table.c.id == endpoint.id, host=host, port=port)
    before = {"host": endpoint.host, "port": endpoint.port}
    change.record("endpoint.moved", f"endpoints/{endpoint.name}", before=before, after={"host": host, "port": port})


def set_traffic(change: Change, endpoint: Endpoint, *, before: Serving, after: Serving) -> None:
    """Record how requests are shared out from now on, and among which versions."""
    table = schema.endpoints
    change.update(table, table.c.id == endpoint.id, traffic=plain(asdict(after.traffic)))
    change.record("traffic.changed", f"endpoints/{endpoint.name}", before=before.told(), after=after.told())


def add_deployment(
    change: Change,
    endpoint: Endpoint,
    *,
    version: ModelVersion,
    name: str = "",
    workers: int = 1,
    memory_gb: float | None = None,
    companions: Sequence[ModelVersion] = (),
) -> Deployment:
    """Record a deployment that begins; from now on none of its versions can be deleted. Raises ModelMissing."""
    for each in (version, *companions):
        models.ensure_there(change, each)
    deployment = Deployment(
        id=records.new_id("deployment"),
        endpoint=endpoint.name,
        version_id=version.id,
        version=version.reference,
        status=DeploymentStatus.STARTING,
        reason="",
        created_at=change.at,
        finished_at=None,
        name=name or version.reference,
        workers=workers,
        companions=tuple(each.reference for each in companions),
        memory_gb=memory_gb,
    )
    change.insert(
        schema.deployments,
        {
            "id": deployment.id,
            "endpoint_id": endpoint.id,
            "version_id": version.id,
            "name": "" if name == version.reference else name,
            "workers": workers,
            "memory_gb": memory_gb,
            "status": deployment.status,
            "reason": "",
            "created_at": deployment.created_at,
        },
    )
    for each in companions:
        change.insert(schema.deployment_models, {"deployment_id": deployment.id, "version_id": each.id})
    after = {
        "deployment": deployment.id,
        "name": deployment.name,
        "version": version.reference,
        "workers": workers,
        **({"memory_gb": memory_gb} if memory_gb is not None else {}),
        "status": deployment.status,
        **telling.of_deployment(change, deployment),
    }
    change.record("deployment.started", f"endpoints/{endpoint.name}", after=after)
    return deployment


def set_deployment_status(
    change: Change, deployment: Deployment, *, status: DeploymentStatus, reason: str = ""
) -> None:
    """Record where a deployment stands now; whatever is neither starting nor healthy has finished.

    Raises DeletedMeanwhile for one that is to serve and is no longer on record.
    """
    table = schema.deployments
    known = change.update(
        table,
        table.c.id == deployment.id,
        status=status,
        reason=reason,
        finished_at=None if status in _ENDED else change.at,
    )
    if not known and status in _ENDED:
        raise DeletedMeanwhile
    change.record(
        f"deployment.{status}",
        f"endpoints/{deployment.endpoint}",
        before={"status": deployment.status},
        after={
            "deployment": deployment.id,
            "name": deployment.name,
            "version": deployment.version,
            "status": status,
            "reason": reason,
            **telling.of_deployment(change, deployment),
        },
    )


def set_workers(change: Change, deployment: Deployment, *, workers: int) -> None:
    """Record how many processes answer for a deployment."""
    table = schema.deployments
    change.update(table, table.c.id == deployment.id, workers=workers)
    change.record(
        "deployment.scaled",
        f"endpoints/{deployment.endpoint}",
        before={"workers": deployment.workers},
        after={"deployment": deployment.id, "name": deployment.name, "workers": workers},
    )


def note_restart(change: Change, deployment: Deployment, *, script: str = "") -> None:
    """Record that a deployment's processes were replaced; by such of another `script`, for debugging, or the same."""
    action = "deployment.reloaded" if script else "deployment.restarted"
    after = {"deployment": deployment.id, "name": deployment.name, "version": deployment.version}
    change.record(action, f"endpoints/{deployment.endpoint}", after=after | ({"script": script} if script else {}))


def note_running(change: Change, endpoint: Endpoint, *, is_running: bool) -> None:
    """Record that an endpoint's processes were started or ended; what is deployed to it stays so."""
    subject = f"endpoints/{endpoint.name}"
    before, after = {"is_running": not is_running}, {"is_running": is_running}
    if is_running:
        change.record("endpoint.up", subject, before=before, after=after)
    else:
        change.record("endpoint.down", subject, before=before, after=after)


def delete_endpoint(change: Change, endpoint: Endpoint) -> None:
    """Delete the endpoint with its deployments, keys and rollouts; the audit records keep what it served and when.

    Raises InUse while a version is being deployed to it.
    """
    deployments = schema.deployments
    served = _deployments(change.connection, deployments.c.endpoint_id == endpoint.id)
    _refuse_serving(
        [each for each in served if each.status is DeploymentStatus.STARTING],
        thing=f'endpoint "{endpoint.name}"',
        command=f"wright endpoint delete {endpoint.name}",
    )
    _delete_parts(change, served)
    for link in usage.parts(schema.endpoints):
        change.delete(link.table, link == endpoint.id)
    change.delete(schema.endpoints, schema.endpoints.c.id == endpoint.id)
    before = {"host": endpoint.host, "port": endpoint.port, "deployments": plain(served)}
    told = {"endpoint": endpoint.name, "models": _models(served)}
    change.record("endpoint.deleted", f"endpoints/{endpoint.name}", before=before, told=told)


def forget_deployments(change: Change, endpoint: Endpoint, *, called: str) -> list[Deployment]:
    """Forget the deployments of that name, or of that version, which no longer serve; return what was forgotten.

    Raises DeploymentMissing, and InUse while one of them is healthy or starting.
    """
    table = schema.deployments
    deployed = _deployments(change.connection, table.c.endpoint_id == endpoint.id)
    found = [each for each in deployed if called in (each.name, each.version)]
    if not found:
        raise DeploymentMissing(endpoint=endpoint.name, version=called)
    _refuse_serving(
        [each for each in found if each.status in _ENDED],
        thing=f'the deployment of {called} to endpoint "{endpoint.name}"',
        command=f"wright endpoint undeploy {endpoint.name} {called}",
    )
    _delete_parts(change, found)
    change.delete(table, table.c.id.in_([each.id for each in found]))
    told = {"endpoint": endpoint.name, "models": _models(found)}
    change.record("deployment.deleted", f"endpoints/{endpoint.name}", before={"deployments": plain(found)}, told=told)
    return found


def _models(deployments: Sequence[Deployment]) -> list[str]:
    """Return the versions that are behind the deployments, each once."""
    return list(dict.fromkeys(each for one in deployments for each in (one.version, *one.companions)))


def _delete_parts(change: Change, deployments: Sequence[Deployment]) -> None:
    for link in usage.parts(schema.deployments):
        change.delete(link.table, link.in_([each.id for each in deployments]))


def _refuse_serving(serving: Sequence[Deployment], *, thing: str, command: str) -> None:
    if serving:
        users = [
            Use("deployment", each.id, f"{each.version} is {each.status}", _ENDED[each.status].format(each.endpoint))
            for each in serving
        ]
        raise InUse(thing=thing, users=users, command=command)


def get_endpoint(store: Store, name: str) -> Endpoint:
    """Return the endpoint of that name. Raises EndpointMissing."""
    table = schema.endpoints
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.name == name)).one_or_none()
    if row is None:
        raise EndpointMissing(endpoint=name)
    return _to_endpoint(row)


def list_endpoints(store: Store) -> list[Endpoint]:
    """Return all endpoints by name."""
    with store.reader.connect() as connection:
        rows = connection.execute(schema.endpoints.select().order_by(schema.endpoints.c.name)).all()
    return [_to_endpoint(row) for row in rows]


def list_deployments(
    store: Store, *, endpoint: str | None = None, status: DeploymentStatus | None = None, version_id: str | None = None
) -> list[Deployment]:
    """Return deployments, newest first, narrowed by what is given."""
    table, endpoints = schema.deployments, schema.endpoints
    wanted = []
    if endpoint is not None:
        wanted.append(endpoints.c.name == endpoint)
    if status is not None:
        wanted.append(table.c.status == status)
    if version_id is not None:
        wanted.append(table.c.version_id == version_id)
    with store.reader.connect() as connection:
        return _deployments(connection, *wanted)


def list_deployments_with(store: Store, version: ModelVersion) -> list[Deployment]:
    """Return the deployments of a version, and those that it lies beside, newest first."""
    table, models = schema.deployments, schema.deployment_models
    beside = sa.select(models.c.deployment_id).where(models.c.version_id == version.id)
    with store.reader.connect() as connection:
        return _deployments(connection, (table.c.version_id == version.id) | table.c.id.in_(beside))


def serving(store: Store, endpoint: Endpoint) -> Serving:
    """Return what the endpoint serves by the record."""
    return _serving(endpoint, list_deployments(store, endpoint=endpoint.name, status=DeploymentStatus.HEALTHY))


def _serving(endpoint: Endpoint, healthy: Sequence[Deployment]) -> Serving:
    """Return the healthy deployments with what is left of the endpoint's traffic; the newest comes first."""
    traffic = endpoint.traffic
    if healthy and not traffic.default:  # of before there was a record of traffic
        traffic = Traffic(default=healthy[0].name)
    return Serving(tuple(healthy), traffic.among([each.name for each in healthy]))


def _deployments(connection: sa.Connection, *wanted: sa.ColumnElement[bool]) -> list[Deployment]:
    table, endpoints, versions = schema.deployments, schema.endpoints, schema.model_versions
    query = (
        sa.select(table, endpoints.c.name.label("endpoint"), versions.c.model, versions.c.version)
        .join(endpoints, endpoints.c.id == table.c.endpoint_id)
        .join(versions, versions.c.id == table.c.version_id)
        .where(*wanted)
        .order_by(table.c.id.desc())
    )
    companions = _companions(connection)
    return [
        Deployment(
            id=row.id,
            endpoint=row.endpoint,
            version_id=row.version_id,
            version=f"{row.model}:{row.version}",
            status=DeploymentStatus(row.status),
            reason=row.reason,
            created_at=row.created_at,
            finished_at=row.finished_at,
            name=row.name or f"{row.model}:{row.version}",
            workers=row.workers,
            companions=companions.get(row.id, ()),
            memory_gb=row.memory_gb,
        )
        for row in connection.execute(query)
    ]


def _companions(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    """Return the further versions of the deployments that have some, by the deployments' ids; few have."""
    table, versions = schema.deployment_models, schema.model_versions
    query = (
        sa.select(table.c.deployment_id, versions.c.model, versions.c.version)
        .join(versions, versions.c.id == table.c.version_id)
        .order_by(versions.c.model, versions.c.version)
    )
    found: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(query):
        found[row.deployment_id] = (*found.get(row.deployment_id, ()), f"{row.model}:{row.version}")
    return found


def served(store: Store) -> dict[str, Serving]:
    """Return what each endpoint serves by the record, unless it is down."""
    table = schema.audit_records
    of_endpoints = (table.c.subject > "endpoints/") & (table.c.subject < "endpoints0")  # a range, as 0 comes after /
    running = table.c.action.in_(["endpoint.down", "endpoint.up", "deployment.healthy"])
    newest = sa.select(sa.func.max(table.c.sequence)).where(of_endpoints, running).group_by(table.c.subject)
    down = sa.select(table.c.subject).where(table.c.sequence.in_(newest), table.c.action == "endpoint.down")
    with store.reader.connect() as connection:
        is_down = set(connection.execute(down).scalars())
    healthy: dict[str, list[Deployment]] = {}
    for each in list_deployments(store, status=DeploymentStatus.HEALTHY):
        healthy.setdefault(each.endpoint, []).append(each)
    return {
        place.name: _serving(place, healthy[place.name])
        for place in list_endpoints(store)
        if place.name in healthy and f"endpoints/{place.name}" not in is_down
    }


def _to_endpoint(row: sa.Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        name=row.name,
        host=row.host,
        port=row.port,
        created_at=row.created_at,
        traffic=decoded(Traffic, row.traffic),
    )
