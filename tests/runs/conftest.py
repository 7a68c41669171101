"""What the tests of runs share."""

from pathlib import Path

import pytest
from runs.runner import Runner

from modelwright.records import BuiltEnvironment
from modelwright.store.database import Store


@pytest.fixture
def runner(store: Store, project: Path, environment: BuiltEnvironment) -> Runner:
    return Runner(store, project, environment)
