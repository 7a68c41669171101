"""Endpoints and their deployments."""

from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.errors import EndpointMissing
from modelwright.records import Deployment, DeploymentStatus, Endpoint, ModelVersion
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


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


def set_port(change: Change, endpoint: Endpoint, *, port: int) -> None:
    """Remember the port that the endpoint answers on, so that its URL stays the same."""
    table = schema.endpoints
    change.update(table, table.c.id == endpoint.id, port=port)
    change.record("endpoint.moved", f"endpoints/{endpoint.name}", before={"port": endpoint.port}, after={"port": port})


def add_deployment(change: Change, endpoint: Endpoint, *, version: ModelVersion) -> Deployment:
    """Record a deployment that begins."""
    deployment = Deployment(
        id=records.new_id("deployment"),
        endpoint=endpoint.name,
        version_id=version.id,
        version=version.reference,
        status=DeploymentStatus.STARTING,
        reason="",
        created_at=change.at,
        finished_at=None,
    )
    change.insert(
        schema.deployments,
        {
            "id": deployment.id,
            "endpoint_id": endpoint.id,
            "version_id": version.id,
            "status": deployment.status,
            "reason": "",
            "created_at": deployment.created_at,
        },
    )
    after = {"deployment": deployment.id, "version": version.reference, "status": deployment.status}
    change.record("deployment.started", f"endpoints/{endpoint.name}", after=after)
    return deployment


def set_deployment_status(
    change: Change, deployment: Deployment, *, status: DeploymentStatus, reason: str = ""
) -> None:
    """Record where a deployment stands now; whatever is neither starting nor healthy has finished."""
    table = schema.deployments
    is_live = status in {DeploymentStatus.STARTING, DeploymentStatus.HEALTHY}
    change.update(
        table,
        table.c.id == deployment.id,
        status=status,
        reason=reason,
        finished_at=None if is_live else change.at,
    )
    change.record(
        f"deployment.{status}",
        f"endpoints/{deployment.endpoint}",
        before={"status": deployment.status},
        after={"deployment": deployment.id, "version": deployment.version, "status": status, "reason": reason},
    )


def note_running(change: Change, endpoint: Endpoint, *, is_running: bool) -> None:
    """Record that an endpoint's processes were started or ended; what is deployed to it stays so."""
    subject = f"endpoints/{endpoint.name}"
    before, after = {"is_running": not is_running}, {"is_running": is_running}
    if is_running:
        change.record("endpoint.up", subject, before=before, after=after)
    else:
        change.record("endpoint.down", subject, before=before, after=after)


def delete_endpoint(change: Change, endpoint: Endpoint) -> None:
    """Delete the endpoint with its deployments; the audit records keep what it served and when."""
    deployments = schema.deployments
    served = change.rows(deployments.select().where(deployments.c.endpoint_id == endpoint.id))
    change.delete(deployments, deployments.c.endpoint_id == endpoint.id)
    change.delete(schema.endpoints, schema.endpoints.c.id == endpoint.id)
    change.record(
        "endpoint.deleted", f"endpoints/{endpoint.name}", before={"port": endpoint.port, "deployments": len(served)}
    )


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
    table, endpoints, versions = schema.deployments, schema.endpoints, schema.model_versions
    query = (
        sa.select(table, endpoints.c.name.label("endpoint"), versions.c.model, versions.c.version)
        .join(endpoints, endpoints.c.id == table.c.endpoint_id)
        .join(versions, versions.c.id == table.c.version_id)
        .order_by(table.c.id.desc())
    )
    if endpoint is not None:
        query = query.where(endpoints.c.name == endpoint)
    if status is not None:
        query = query.where(table.c.status == status)
    if version_id is not None:
        query = query.where(table.c.version_id == version_id)
    with store.reader.connect() as connection:
        rows = connection.execute(query).all()
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
        )
        for row in rows
    ]


def served(store: Store) -> dict[str, str]:
    """Return what each endpoint serves by the record: the version of its healthy deployment, unless it is down."""
    table = schema.audit_records
    of_endpoints = (table.c.subject > "endpoints/") & (table.c.subject < "endpoints0")  # a range, as 0 comes after /
    running = table.c.action.in_(["endpoint.down", "endpoint.up", "deployment.healthy"])
    newest = sa.select(sa.func.max(table.c.sequence)).where(of_endpoints, running).group_by(table.c.subject)
    down = sa.select(table.c.subject).where(table.c.sequence.in_(newest), table.c.action == "endpoint.down")
    with store.reader.connect() as connection:
        is_down = set(connection.execute(down).scalars())
    healthy = list_deployments(store, status=DeploymentStatus.HEALTHY)
    return {each.endpoint: each.version for each in healthy if f"endpoints/{each.endpoint}" not in is_down}


def _to_endpoint(row: sa.Row[Any]) -> Endpoint:
    return Endpoint(id=row.id, name=row.name, host=row.host, port=row.port, created_at=row.created_at)
