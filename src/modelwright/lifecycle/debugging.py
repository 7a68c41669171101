"""Serves with the scoring script that its author works on, instead of the registered one: for debugging, here only."""

from pathlib import Path

from modelwright.errors import WorkingCopyMissing
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import read_manifest
from modelwright.records import Deployment
from modelwright.serving import deployments
from modelwright.store import endpoints, models, projects, runs
from modelwright.store.database import Store


def reload(session: Session, endpoint: str, name: str | None, *, script: Path | None) -> tuple[Deployment, Path]:
    """Let a deployment serve with `script`, by default that of its project's folder; return it and the script.

    Raises WorkingCopyMissing, and what `deployments.reload` raises.
    """
    store = session.store
    place = endpoints.get_endpoint(store, endpoint)
    serving = endpoints.serving(store, place)
    deployment = serving.names.get(name or serving.traffic.default)
    used = script or (working_script(store, deployment) if deployment else Path())
    reloaded = deployments.reload(store, endpoint, name, used, actor=session.actor, why=session.why)
    return reloaded, used.absolute()


def working_script(store: Store, deployment: Deployment) -> Path:
    """Return the scoring script in the folder of the project that the version came of. Raises WorkingCopyMissing."""
    version = models.get_version(store, deployment.version_id)
    run = runs.get_run(store, version.run_id) if version.run_id else None
    project = projects.find_project(store, run.project) if run else None
    if project is None:
        reason = "it was not made by a run of a project of this workspace"
        raise WorkingCopyMissing(version=version.reference, endpoint=deployment.endpoint, reason=reason)
    manifest = read_manifest(project.folder)
    script = manifest.folder / manifest.layout.file(manifest.layout.score)
    if not script.is_file():
        reason = f'there is no "{script}"'
        raise WorkingCopyMissing(version=version.reference, endpoint=deployment.endpoint, reason=reason)
    return script
