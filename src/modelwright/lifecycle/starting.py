"""Starts a project without a notebook: lock, write, test, each only after the one before."""

from dataclasses import dataclass
from pathlib import Path

from modelwright.environments import building, inspection
from modelwright.environments.locking import pins
from modelwright.lifecycle import shipping
from modelwright.lifecycle.sessions import Session
from modelwright.models import registry
from modelwright.notebooks.layouts import Style
from modelwright.projects import conversion, folders, skeleton
from modelwright.projects.manifest import Manifest
from modelwright.settings import interpreter
from modelwright.store import environments, projects


@dataclass(frozen=True)
class Started:
    """A project folder just made, and the last line of its own tests."""

    manifest: Manifest
    tests: str


def start(session: Session, name: str, *, into: Path, layout: Style, python: Path | None = None) -> Started:
    """Write a project with a sample model to `into`, in the versions that `python` has, and run its tests.

    Raises NameInvalid, FolderNotEmpty, FolderNotWritable, what locking and building raise, and TestsFailed.
    """
    registry.check_name(name, noun="project", way="name: wright new NAME")
    folders.check_writable(into)
    folders.check_empty(into)
    python, folder = interpreter(python), session.store.folder
    planned = skeleton.plan(name)
    with session.stage("lock", f"what {python} has installed") as stage:
        requirements = inspection.requirements_for(planned.modules, python=python)
        environment = building.lock_and_build(
            requirements, python=python, cache=folder / "environments", wheels=folder / "wheels"
        )
        stage.decided = f"{len(pins(environment.lock))} packages in the versions that {python} has"
        stage.recorded = f"environment {environment.lock.digest[:12]}"
    with session.stage("new", "writing the project") as stage:
        manifest = skeleton.lay_out(
            planned,
            name=name,
            layout=conversion.layout_of(name, into=into, python=python, style=layout),
            requirements=requirements,
            lock=environment.lock,
            into=into,
        )
        with session.change() as opened:
            environments.ensure_environment(opened, environment.lock)
            projects.ensure_project(opened, name, folder=into)
        stage.decided = f"{len(planned.functions)} functions, {len(planned.parameters)} parameters, a sample model"
        stage.recorded = str(into)
    return Started(manifest, shipping.run_tests(session, manifest))
