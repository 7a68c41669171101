"""What tests of the ways through all rooms share."""

import platform
from pathlib import Path

import pytest

from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import Manifest, read_manifest
from modelwright.store.database import Store


@pytest.fixture
def session(store: Store) -> Session:
    """Ada at work in an empty workspace."""
    return Session(store, "ada")


@pytest.fixture
def manifest(project: Path) -> Manifest:
    """The small project with parameters and a lock, which is of nothing but the Python that runs the tests."""
    (project / "requirements.lock").write_text("# nothing\n")
    (project / "parameters.toml").write_text("# how much\nalpha = 0.5\n")
    told = (project / "wright.toml").read_text()
    (project / "wright.toml").write_text(told.replace('python = "3"', f'python = "{platform.python_version()}"'))
    return read_manifest(project)
