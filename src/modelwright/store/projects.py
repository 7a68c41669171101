"""Projects, their conversions and proofs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import sqlalchemy as sa

from modelwright import records
from modelwright.records import Comparison, Finding, Origin, Project, Proof, Removal
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def ensure_project(change: Change, name: str, *, folder: Path) -> str:
    """Return the id of project `name`, adding it or moving it to `folder` as needed."""
    table = schema.projects
    found = change.rows(sa.select(table.c.id, table.c.folder).where(table.c.name == name))
    if found:
        project_id, known = found[0].id, found[0].folder
        if known != str(folder):
            change.update(table, table.c.id == project_id, folder=str(folder))
            change.record("project.moved", f"projects/{name}", before={"folder": known}, after={"folder": str(folder)})
        return str(project_id)
    project_id = records.new_id("project")
    change.insert(table, {"id": project_id, "name": name, "folder": str(folder), "created_at": change.at})
    change.record("project.created", f"projects/{name}", after={"folder": str(folder)})
    return project_id


def add_conversion(
    change: Change,
    project: str,
    *,
    project_id: str,
    training: tuple[Path, str],
    scoring: tuple[Path, str] | None,
    removals: Sequence[Removal],
    findings: Sequence[Finding],
    functions: Sequence[Origin] = (),
) -> None:
    """Record a conversion of the notebooks, each given as its path and digest, and what its functions were made of."""
    training_notebook, training_digest = training
    scoring_notebook, scoring_digest = scoring or (None, None)
    change.insert(
        schema.conversions,
        {
            "id": records.new_id("conversion"),
            "project_id": project_id,
            "training_notebook": str(training_notebook),
            "training_digest": training_digest,
            "scoring_notebook": str(scoring_notebook) if scoring_notebook else None,
            "scoring_digest": scoring_digest,
            "removals": [asdict(each) for each in removals],
            "findings": [asdict(each) for each in findings],
            "functions": [asdict(each) for each in functions],
            "created_at": change.at,
        },
    )
    change.record("notebook.converted", f"projects/{project}", after={"training_digest": training_digest})


def add_proof(change: Change, project: str, *, project_id: str, proof: Proof) -> None:
    """Record a proof, equal or not."""
    change.insert(
        schema.proofs,
        {
            "id": proof.id,
            "project_id": project_id,
            "is_equal": proof.is_equal,
            "tolerance": proof.tolerance,
            "notebook_digest": proof.notebook_digest,
            "project_digest": proof.project_digest,
            "python_version": proof.python_version,
            "comparisons": [asdict(each) for each in proof.comparisons],
            "created_at": proof.created_at,
        },
    )
    change.record("project.proven", f"projects/{project}", after={"proof": proof.id, "is_equal": proof.is_equal})


def find_project(store: Store, name: str) -> Project | None:
    """Return the project of that name."""
    table = schema.projects
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.name == name)).one_or_none()
    if row is None:
        return None
    return Project(id=row.id, name=row.name, folder=Path(row.folder), created_at=row.created_at)


def latest_proof(store: Store, *, project_digest: str) -> Proof | None:
    """Return the newest proof of exactly this code, equal or not."""
    table = schema.proofs
    query = table.select().where(table.c.project_digest == project_digest).order_by(table.c.id.desc()).limit(1)
    with store.reader.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Proof(
        id=row.id,
        comparisons=tuple(Comparison(**each) for each in row.comparisons),
        tolerance=row.tolerance,
        notebook_digest=row.notebook_digest,
        project_digest=row.project_digest,
        python_version=row.python_version,
        created_at=row.created_at,
    )
