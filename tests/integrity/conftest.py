"""What tests of what uses what share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwright.lifecycle.sessions import Session
from modelwright.store import database
from modelwright.store.database import Store


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty workspace, made once: making one takes longer than most tests here."""
    folder = tmp_path_factory.mktemp("empty") / ".wright"
    database.open_store(folder).close()
    return folder


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Iterator[Store]:
    """An empty workspace."""
    shutil.copytree(empty, tmp_path / ".wright")
    opened = database.open_store(tmp_path / ".wright")
    yield opened
    opened.close()


@pytest.fixture
def session(store: Store) -> Session:
    """Ada at work in an empty workspace, for a reason."""
    return Session(store, "ada", why="no longer needed")
