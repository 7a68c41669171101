"""What tests of automation share: the small project in a repository, with its workflow files."""

from dataclasses import replace
from pathlib import Path

import pytest
from lifecycle.ci.repositories import Repository

from modelwright.lifecycle.sessions import Session
from modelwright.projects.ci import workflows
from modelwright.projects.ci.automation import Automation, read_automation
from modelwright.projects.manifest import Manifest, manifest_text, read_manifest
from modelwright.store.database import Store

TEST = """
from small import train


def test_fit():
    assert train.fit([1.0, 2.0], 0.5) == 1.5
"""


@pytest.fixture
def tested(locked: Path) -> Path:
    """The small project with a gate and tests of its own."""
    manifest = replace(read_manifest(locked), training=None, gate_metric="error")
    (locked / "wright.toml").write_text(manifest_text(manifest))
    (locked / "requirements.lock").write_text("# nothing\n")
    (locked / "parameters.toml").write_text("alpha = 0.5\n")
    (locked / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src"]\n')
    (locked / "tests").mkdir()
    (locked / "tests" / "test_train.py").write_text(TEST.lstrip())
    (locked / ".gitignore").write_text(".wright/\n__pycache__/\n")
    (locked / "README.md").write_text("small\n")
    (locked / "rows.json").write_text('{"data": [1, 2, 3]}')
    return locked


@pytest.fixture
def automated(tested: Path) -> Path:
    """The same with `ci.toml` and all workflow files; three rows are what a smoke test asks."""
    workflows.write(read_manifest(tested), workflows.Wish(list(workflows.System), data="data/*.csv"))
    path = tested / "ci.toml"
    path.write_text(path.read_text().replace('request = "sample.json"', 'request = "rows.json"'))
    return tested


@pytest.fixture
def repository(automated: Path) -> Repository:
    """The repository that the project is the root of."""
    return Repository(automated)


@pytest.fixture
def small(automated: Path) -> Manifest:
    """The project's manifest."""
    return read_manifest(automated)


@pytest.fixture
def automation(automated: Path) -> Automation:
    """What its `ci.toml` says."""
    return read_automation(automated)


@pytest.fixture
def session(store: Store) -> Session:
    """Ada at work in an empty workspace."""
    return Session(store, "ada")
