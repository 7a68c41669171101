"""`wright … delete` and `wright gc`, as users type them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from integrity import things

from modelwright.cli.program import program
from modelwright.errors import EnvironmentMissing, InUse, ModelwrightError
from modelwright.lifecycle.sessions import Session
from modelwright.records import DeploymentStatus
from modelwright.settings import child_environment
from modelwright.store.database import Store


@pytest.fixture
def session(store: Store) -> Session:
    """Ada at work in an empty workspace."""
    return Session(store, "ada")


def _wright(store: Store, *arguments: str) -> str:
    result = CliRunner().invoke(program, ["--workspace", str(store.folder), *arguments])
    if isinstance(result.exception, ModelwrightError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def _refused(store: Store, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("wright"), "--workspace", store.folder, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment({}), check=False)
    assert done.returncode == 1
    return done


def test_a_refusal_lists_who_uses_it_and_what_to_type(session: Session) -> None:
    version = things.add_version(session)
    things.add_version(session, parent=version)
    things.deploy(session, version, DeploymentStatus.FAILED, endpoint="live")
    refused = _refused(session.store, "model", "delete", "churn:1")
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        "error [in-use] model version churn:1 is in use and was not deleted: by",
        "  deployment live (churn:1 is failed there); to free it: wright endpoint undeploy live churn:1",
        "  model churn:2 (derived from it); to free it: wright model delete churn:2",
        "  next: free it with the commands above, then: wright model delete churn:1",
    ]
    told = json.loads(_refused(session.store, "model", "delete", "churn:1", "--json").stdout)["error"]
    assert (told["code"], told["status"]) == ("in-use", 409)
    for each in told["users"]:
        _wright(session.store, *each["command"].split()[1:])
    assert _wright(session.store, "model", "delete", "churn:1").startswith("churn:1 is deleted\n")


def test_what_is_freed_is_shown_before_it_is(session: Session) -> None:
    things.add_data(session, "rows")
    _wright(session.store, "dataset", "delete", "sales", "--why", "private")
    dry = _wright(session.store, "gc", "--dry-run")
    assert things.hexadecimal("rows")[:12] in dry
    assert "named last by datasets/sales:1, which" in dry
    assert 'because "private"' in dry
    assert "1 files would be deleted, 4 bytes" in dry
    found = json.loads(_wright(session.store, "gc", "--json"))
    assert ([each["digest"] for each in found["garbage"]], found["size_bytes"]) == ([things.hexadecimal("rows")], 4)
    done = _wright(session.store, "gc").splitlines()
    assert done == ["0 files deleted, 0 bytes", "0 of 0 files that something refers to are there"]


def test_runs_environments_and_pipelines_are_deleted_by_name(session: Session) -> None:
    things.add_environment(session)
    published = things.publish(session)
    run = things.add_run(session, published=published)
    child = things.add_run(session, parent=run)
    with pytest.raises(InUse) as refused:
        _wright(session.store, "environment", "delete", "production:1")
    for name in (run.id, child.id, "pipeline small:1"):
        assert name in str(refused.value)
    with pytest.raises(InUse, match=run.id):
        _wright(session.store, "pipeline", "delete", "small:1")
    gone = json.loads(_wright(session.store, "run", "delete", run.id, "--with-children", "--json"))
    assert gone == {"deleted": [child.id, run.id]}
    _wright(session.store, "pipeline", "delete", "small:1")
    _wright(session.store, "environment", "delete", "production:1")
    with pytest.raises(EnvironmentMissing):
        _wright(session.store, "environment", "show", "production")
