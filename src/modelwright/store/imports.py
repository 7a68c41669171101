"""Runs, conversions and proofs of other workspaces, recorded here under the ids that they have there."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

import sqlalchemy as sa

from modelwright.records import Conversion, Point, Proof, Run, new_id
from modelwright.store import runs, schema
from modelwright.store.changes import Change


def ensure_project(change: Change, name: str, *, folder: str) -> str:
    """Return the id of project `name`, which is added as lying in `folder` when it is new here."""
    table = schema.projects
    found = change.rows(sa.select(table.c.id).where(table.c.name == name))
    if found:
        return str(found[0].id)
    project_id = new_id("project")
    change.insert(table, {"id": project_id, "name": name, "folder": folder, "created_at": change.at})
    change.record("project.created", f"projects/{name}", after={"folder": folder})
    return project_id


def ensure_run(change: Change, run: Run, *, project_id: str | None, datasets: Sequence[tuple[str, str]]) -> None:
    """Record a run of another workspace as it ended there, unless it is known.

    `datasets` are pairs of a role and the id of a dataset version here. What it refers to and is not here, such as the
    run whose steps it reused, is left out; its steps are never reused, since the values between them are not here.
    """
    if _is_known(change, "runs", run.id):
        return
    here = replace(
        run,
        parent_id=run.parent_id if run.parent_id and _is_known(change, "runs", run.parent_id) else None,
        pipeline_version_id=None,
    )
    runs.insert_run(change, here, project_id=project_id, actor=run.actor)
    change.update(schema.runs, schema.runs.c.id == run.id, finished_at=run.finished_at)
    at = run.finished_at or run.started_at
    runs.log_points(change, run.id, [Point(name, 0, value, at) for name, value in run.metrics.items()])
    change.insert(
        schema.run_artifacts,
        *(asdict(each) | {"run_id": run.id} for each in run.artifacts),
    )
    change.insert(
        schema.run_steps,
        *(
            asdict(each)
            | {"run_id": run.id, "key": None, "reused_from": None, "evidence": each.evidence | {"blobs": []}}
            for each in run.steps
        ),
    )
    links = dict.fromkeys(datasets)
    change.insert(
        schema.run_datasets,
        *({"run_id": run.id, "dataset_version_id": version_id, "role": role} for role, version_id in links),
    )
    change.record("run.imported", f"runs/{run.id}", after={"project": run.project, "status": run.status})


def ensure_conversion(change: Change, conversion: Conversion, *, project_id: str, at: datetime) -> None:
    """Record a conversion of another workspace, which was before the time `at`, unless it is known."""
    if _is_known(change, "conversions", conversion.id):
        return
    scoring_notebook, scoring_digest = conversion.scoring or (None, None)
    change.insert(
        schema.conversions,
        {
            "id": conversion.id,
            "project_id": project_id,
            "training_notebook": conversion.training[0],
            "training_digest": conversion.training[1],
            "scoring_notebook": scoring_notebook,
            "scoring_digest": scoring_digest,
            "removals": [],
            "findings": [],
            "functions": [asdict(each) for each in conversion.functions],
            "created_at": at,
        },
    )
    told = {"conversion": conversion.id, "training_digest": conversion.training[1]}
    change.record("conversion.imported", f"conversions/{conversion.id}", after=told)


def ensure_proof(change: Change, proof: Proof, *, project_id: str) -> None:
    """Record a proof of another workspace unless it is known."""
    if _is_known(change, "proofs", proof.id):
        return
    change.insert(
        schema.proofs,
        {
            **{name: value for name, value in vars(proof).items() if name != "comparisons"},
            "project_id": project_id,
            "is_equal": proof.is_equal,
            "comparisons": [asdict(each) for each in proof.comparisons],
        },
    )
    change.record("proof.imported", f"proofs/{proof.id}", after={"is_equal": proof.is_equal})


def _is_known(change: Change, table: str, row_id: str) -> bool:
    column = schema.metadata.tables[table].c.id
    return bool(change.rows(sa.select(column).where(column == row_id)))
