"""What tests of the ways through all rooms share."""

from pathlib import Path

import pytest

from modelwright.environments import building
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import Manifest, read_manifest
from modelwright.records import BuiltEnvironment, Lock
from modelwright.store.database import Store


@pytest.fixture
def session(store: Store) -> Session:
    """Ada at work in an empty workspace."""
    return Session(store, "ada")


@pytest.fixture
def manifest(project: Path, environment: BuiltEnvironment, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """The small project, whose lock is built already: as the Python that runs the tests."""
    (project / "requirements.lock").write_text("# nothing\n")
    (project / "parameters.toml").write_text("# how much\nalpha = 0.5\n")

    def build(lock: Lock, **_: object) -> BuiltEnvironment:
        return BuiltEnvironment(lock, environment.folder)

    monkeypatch.setattr(building, "build", build)
    return read_manifest(project)
