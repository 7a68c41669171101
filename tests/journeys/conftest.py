"""Journeys: the whole product, as a user meets it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.terminal import Terminal

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's notebooks in a folder of their own."""
    folder = tmp_path_factory.mktemp("notebooks") / "diabetes"
    shutil.copytree(EXAMPLES / "diabetes", folder)
    return folder


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty folder; whatever it started is stopped."""
    opened = Terminal(tmp_path)
    yield opened
    if opened.workspace.exists() and opened.processes():
        opened.wright("down")
