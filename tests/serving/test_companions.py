"""A deployment whose scoring script needs the models of further versions: they serve, count and stay with it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from serving import servable

from modelwright.cli.program import program
from modelwright.errors import InUse, ModelMissing, VersionIncomplete
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.serving import deployments
from modelwright.store import database, endpoints, events
from modelwright.store.database import Store

SCRIPT = """
import os
from pathlib import Path

from azureml.core.model import Model

def init():
    global told
    paths = [Model.get_model_path("churn"), Model.get_model_path("scaler"), Model.get_model_path("scaler", version=2)]
    told = [Path(each).read_text() for each in paths] + [Path(os.environ["AZUREML_MODEL_DIR"]).name]

def run(data):
    return told if data == "which" else {number}
"""
Wright = Callable[..., Any]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A workspace with churn:1 and churn:2, whose script needs `scaler`, of which there are three versions."""
    store = database.open_store(tmp_path_factory.mktemp("workspace") / ".wright")
    session = Session(store, "ada")
    for number in (1, 2):
        servable.add_version(session, script=SCRIPT, number=number)
    for number in (7, 8, 9):
        servable.add_version(session, number=number, model="scaler")
    files = {"model/model.onnx": b"onnx", packages.MANIFEST: b'{"id": "1"}'}
    servable.add_files(session, files, model="bare", framework="onnx")
    yield store
    deployments.down(store, actor="ada")
    store.close()


@pytest.fixture
def wright(shop: Store) -> Wright:
    """The command with `--json` in that workspace; what it raises is raised."""

    def call(*words: str) -> Any:
        words = ("--workspace", str(shop.folder), *words, "--json")
        done = CliRunner().invoke(program, words, standalone_mode=False)
        if done.exception:
            raise done.exception
        return json.loads(done.stdout)

    return call


def which(store: Store) -> Any:
    return json.loads(deployments.score(store, "churn", body=b"which").body)


def test_the_script_finds_every_model_by_its_name(shop: Store, wright: Wright) -> None:
    with pytest.raises(ModelMissing, match="scaler:4"):
        wright("endpoint", "deploy", "churn:1", "--with", "scaler:4")
    with pytest.raises(VersionIncomplete, match="only a script can use further models"):
        wright("endpoint", "deploy", "bare:1", "--with", "scaler:1")
    assert endpoints.list_endpoints(shop) == [], "nothing began"
    wright("endpoint", "deploy", "churn:1", "--as", "main", "--with", "scaler:2", "--with", "scaler:1")
    assert which(shop) == ["1", "8", "8", "azureml-models"]
    (shown,) = wright("endpoint", "show", "churn")["deployments"]
    assert (shown["version"], shown["companions"]) == ("churn:1", ["scaler:1", "scaler:2"])


def test_every_version_is_told_of_and_kept(shop: Store, wright: Wright) -> None:
    (told,) = [each for each in events.list_events(shop) if each.type == "deployment.healthy"]
    assert told.data["models"] == ["churn:1", "scaler:1", "scaler:2"]
    (deployment,) = wright("model", "show", "scaler:1")["deployments"]
    assert (deployment["version"], deployment["is_healthy"]) == ("churn:1", True)
    users = wright("impact", "model", "scaler:1")
    assert users["endpoints"] == {"churn": True}
    with pytest.raises(InUse, match="scaler:2") as refused:
        wright("model", "delete", "scaler:2")
    (use,) = refused.value.users
    assert (use.kind, use.reference, use.detail) == ("deployment", "churn", "beside churn:1, which is healthy there")
    assert use.command.endswith("wright endpoint undeploy churn main")
    assert wright("model", "delete", "scaler:3")


def test_they_stay_through_an_update_and_a_rollback_and_go_with_the_deployment(shop: Store, wright: Wright) -> None:
    wright("endpoint", "update", "churn", "main", "churn:2")
    assert which(shop) == ["2", "8", "8", "azureml-models"]
    wright("endpoint", "rollback", "churn")
    assert which(shop) == ["1", "8", "8", "azureml-models"]
    wright("endpoint", "stop", "churn")
    with pytest.raises(InUse):
        wright("model", "delete", "scaler:1")
    wright("endpoint", "undeploy", "churn", "main")
    (told,) = [each for each in events.list_events(shop) if each.type == "deployment.deleted"]
    assert told.data["models"] == ["churn:1", "scaler:1", "scaler:2", "churn:2"]
    assert wright("model", "delete", "scaler:1")
    wright("endpoint", "delete", "churn")
