"""Projects, their conversions and proofs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.records import Comparison, Conversion, Finding, Origin, OriginCell, Project, Proof, Removal
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import rows

_CONVERSIONS = (
    "SELECT id, training_notebook, training_digest, scoring_notebook, scoring_digest, functions FROM conversions "
    "WHERE project_id = ? AND created_at <= ? ORDER BY id DESC"
)
_OF_NOTEBOOK = (
    "SELECT id, training_notebook, training_digest, scoring_notebook, scoring_digest, functions, project_id "
    "FROM conversions WHERE training_notebook = ?1 OR scoring_notebook = ?1 ORDER BY id DESC"
)
# One run of each state of a project's code.
_STATES = "SELECT MIN(id) FROM runs WHERE project_id = ? AND code_digest IS NOT NULL GROUP BY code_digest"
# Of a project's run the code is among its artifacts, that of other runs is kept once for all that share it.
_CODE = (
    "SELECT substr(path, 6), digest FROM run_artifacts WHERE run_id = ? AND path >= 'code/' AND path < 'code0'",
    "SELECT path, digest FROM code_files WHERE code_digest = (SELECT code_digest FROM runs WHERE id = ?)",
)


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


def list_conversions(store: Store, project_id: str, *, until: str) -> Iterator[Conversion]:
    """Give the conversions of a project up to a time, as ISO 8601, newest first."""
    with store.reader.connect() as connection:
        found = rows(connection, _CONVERSIONS, (project_id, until))
    return map(_conversion, found)


def conversion_that_wrote(
    store: Store, project_id: str, *, until: str, written: Mapping[str, str]
) -> Conversion | None:
    """Return the newest conversion of a project up to a time that wrote files with these digests, by their paths."""
    for each in list_conversions(store, project_id, until=until):
        if each.functions and all(written.get(origin.path) == origin.file for origin in each.functions):
            return each
    return None


def conversions_of(store: Store, notebook: Path) -> list[tuple[str, Conversion]]:
    """Return the conversions of the notebook at this path, newest first, each with its project's id."""
    with store.reader.connect() as connection:
        found = rows(connection, _OF_NOTEBOOK, (str(notebook),))
    return [(row[6], _conversion(row)) for row in found]


def runs_by_code(store: Store, project_id: str) -> list[str]:
    """Return the id of the first run of each state of a project's code."""
    with store.reader.connect() as connection:
        return [row[0] for row in rows(connection, _STATES, (project_id,))]


def code_of(store: Store, run_id: str) -> dict[str, str]:
    """Return the digests of the files that a run was started with, by their paths in its code; empty when none."""
    with store.reader.connect() as connection:
        for statement in _CODE:
            if found := rows(connection, statement, (run_id,)):
                return dict(found)
    return {}


def latest_proof(store: Store, *, project_digest: str) -> Proof | None:
    """Return the newest proof of exactly this code, equal or not."""
    table = schema.proofs
    query = table.select().where(table.c.project_digest == project_digest).order_by(table.c.id.desc()).limit(1)
    return _proof(store, query)


def find_proof(store: Store, proof_id: str) -> Proof | None:
    """Return the proof of that id."""
    return _proof(store, schema.proofs.select().where(schema.proofs.c.id == proof_id))


def _proof(store: Store, query: sa.Select[Any]) -> Proof | None:
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


def _conversion(row: Sequence[str]) -> Conversion:
    functions = tuple(
        Origin(
            **{**each, "cells": tuple(OriginCell(**{**cell, "lines": tuple(cell["lines"])}) for cell in each["cells"])}
        )
        for each in json.loads(row[5])
    )
    return Conversion(row[0], (row[1], row[2]), (row[3], row[4]) if row[3] else None, functions)
