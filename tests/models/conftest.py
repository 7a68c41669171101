"""What tests of models share: commands as a user types them, and an environment to try models in."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from models.served import Wright

from modelwright.cli.program import program
from modelwright.environments.inspection import inspect
from modelwright.environments.locking import read_lock
from modelwright.lifecycle import registering
from modelwright.records import BuiltEnvironment, EnvironmentSource, LockSource, SpecificationKind
from modelwright.runs import workspaces
from modelwright.settings import interpreter
from modelwright.store import database, environments
from modelwright.store.changes import change
from modelwright.store.database import Store


@pytest.fixture(scope="session")
def empty_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with nothing in it, to be copied: to make one takes half a second."""
    folder = tmp_path_factory.mktemp("empty") / ".wright"
    database.open_store(folder).close()
    return folder


@pytest.fixture
def folder(tmp_path: Path, empty_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with a workspace, where the user is."""
    monkeypatch.delenv("WRIGHT_WORKSPACE", raising=False)
    place = tmp_path / "here"
    shutil.copytree(empty_workspace, place / ".wright")
    monkeypatch.chdir(place)
    yield place
    workspaces.close_workspaces()


@pytest.fixture
def workspace(folder: Path) -> Iterator[Store]:
    """The folder's workspace."""
    opened = database.open_store(folder / ".wright")
    yield opened
    opened.close()


@pytest.fixture
def wright() -> Wright:
    """`wright model`: gives what it prints, or with `--json` what that means; what it raises is raised."""

    def run(*arguments: object, code: int = 0) -> Any:
        done = CliRunner().invoke(program, ["model", *map(str, arguments)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if "--json" in arguments else done.stdout if code == 0 else done.output

    return run


@pytest.fixture
def serving_environment(
    workspace: Store, environment: BuiltEnvironment, monkeypatch: pytest.MonkeyPatch
) -> BuiltEnvironment:
    """The environment `serving:1` of the workspace, which is the Python that runs the tests."""
    found = inspect(interpreter())
    lock = read_lock("", python_version=found.python_version, platform=found.platform)
    source = EnvironmentSource("requirements.txt", SpecificationKind.REQUIREMENTS, "0" * 64, (), (), LockSource.INDEX)
    with change(workspace, actor="ada") as opened:
        environments.ensure_environment_version(opened, "serving", lock, source=source, findings=())
    built = BuiltEnvironment(lock, environment.folder)
    monkeypatch.setattr(registering.placing, "build_in", lambda *_arguments, **_options: built)
    return built
