"""Registered models, their versions and aliases: MLflow's own client beside ours."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelwright.errors import ModelMissing, TagMissing
from modelwright.store import audit, models, named_models
from modelwright.store.changes import change

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from modelwright.store.database import Store

MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7}
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.7.2}
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
"""


def logged(client: "MlflowClient", folder: Path) -> str:
    """Return a run with the files of a model below `model`."""
    run_id = client.create_run("0").info.run_id
    made = folder / "made"
    (made / "deep").mkdir(parents=True, exist_ok=True)
    (made / "MLmodel").write_text(MLMODEL)
    (made / "model.pkl").write_bytes(b"never opened")
    (made / "deep" / "requirements.txt").write_text("scikit-learn")
    client.log_artifacts(run_id, str(made), "model")
    client.log_metric(run_id, "acc", 0.5)
    return run_id


def registered(client: "MlflowClient", folder: Path, *, name: str = "churn") -> str:
    run_id = logged(client, folder)
    client.create_registered_model(name, tags={"owner": "ada"}, description="who goes")
    client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags={"kind": "first"})
    return run_id


def test_what_a_client_registers_is_a_version_of_ours(client: "MlflowClient", store: "Store", tmp_path: Path) -> None:
    run_id = registered(client, tmp_path)
    client.set_registered_model_alias("churn", "champion", "1")
    version = models.find_version(store, "churn@champion")
    assert (version.reference, version.run_id, version.created_by) == ("churn:1", run_id, "ada")
    assert (version.framework, version.framework_version, version.tags) == ("sklearn", "1.7.2", {"kind": "first"})
    assert version.metrics == {"acc": 0.5}
    assert version.signature["inputs"]
    paths = {each.path for each in version.files}
    assert paths >= {"model/MLmodel", "model/model.pkl", "model/deep/requirements.txt", "manifest.json"}


def test_a_client_sees_what_it_registered(client: "MlflowClient", tmp_path: Path) -> None:
    run_id = registered(client, tmp_path)
    client.set_registered_model_alias("churn", "champion", "1")
    client.update_model_version("churn", "1", "the first")
    model, version = client.get_registered_model("churn"), client.get_model_version_by_alias("churn", "champion")
    assert (model.description, model.tags, model.aliases) == ("who goes", {"owner": "ada"}, {"champion": "1"})
    assert (version.run_id, version.status, version.description) == (run_id, "READY", "the first")
    assert version.source == f"runs:/{run_id}/model"
    assert [each.version for each in model.latest_versions] == ["1"]


def test_the_files_of_a_version_come_back(client: "MlflowClient", tmp_path: Path) -> None:
    import mlflow

    registered(client, tmp_path)
    client.create_model_version("churn", "models:/churn/1")
    target = mlflow.artifacts.download_artifacts(artifact_uri="models:/churn/2", dst_path=str(tmp_path / "back"))
    assert Path(target, "model.pkl").read_bytes() == b"never opened"
    assert Path(target, "deep", "requirements.txt").read_text() == "scikit-learn"


def test_a_stage_is_told_apart_from_tags(client: "MlflowClient", store: "Store", tmp_path: Path) -> None:
    registered(client, tmp_path)
    client.create_model_version("churn", "models:/churn/1")
    for number, archives in (("1", False), ("2", True)):
        given = {"stage": "production", "archive_existing_versions": archives}
        with pytest.warns(FutureWarning):
            client.transition_model_version_stage("churn", number, **given)
    found = {each.version: (each.current_stage, each.tags) for each in client.search_model_versions("name = 'churn'")}
    assert found == {"1": ("Archived", {"kind": "first"}), "2": ("Production", {})}
    assert models.find_version(store, "churn:2").tags == {"mlflow.stage": "Production"}
    with pytest.warns(FutureWarning):
        assert [each.version for each in client.get_latest_versions("churn", ["Production"])] == ["2"]


def test_searches_find_models_and_versions(client: "MlflowClient", tmp_path: Path) -> None:
    run_id = registered(client, tmp_path)
    client.create_registered_model("sales")
    client.create_model_version("churn", "models:/churn/1")

    def names(text: str, *order: str) -> list[str]:
        return [each.name for each in client.search_registered_models(text, order_by=list(order))]

    def versions(text: str, **more: object) -> list[str]:
        return [each.version for each in client.search_model_versions(text, **more)]

    assert names("") == ["churn", "sales"]
    assert names("", "name DESC") == ["sales", "churn"]
    assert names("name = 'sales'") == names("name LIKE 'sa%'") == names("name ILIKE 'SA%'") == ["sales"]
    assert names("tag.owner = 'ada'") == ["churn"]
    assert versions("name = 'churn'") == ["2", "1"]
    assert versions("name = 'churn'", order_by=["version_number ASC"], max_results=1) == ["1"]
    assert versions(f"run_id = '{run_id}'") == ["2", "1"]
    assert versions("tag.kind = 'first' AND name LIKE 'ch%'") == ["1"]


def test_a_deletion_is_refused_with_our_words(client: "MlflowClient", store: "Store", tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    registered(client, tmp_path)
    client.set_registered_model_alias("churn", "champion", "1")
    for delete in (lambda: client.delete_model_version("churn", "1"), lambda: client.delete_registered_model("churn")):
        with pytest.raises(MlflowException, match="in use") as caught:
            delete()
        assert "alias churn@champion" in caught.value.message
        assert "wright model unalias churn@champion" in caught.value.message
    client.delete_registered_model_alias("churn", "champion")
    client.delete_registered_model("churn")
    with pytest.raises(MlflowException) as caught:
        client.get_registered_model("churn")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert models.list_versions(store) == []


def test_a_number_is_never_given_twice(client: "MlflowClient", tmp_path: Path) -> None:
    registered(client, tmp_path)
    client.delete_registered_model("churn")
    client.create_registered_model("churn")
    run_id = logged(client, tmp_path)
    assert client.create_model_version("churn", f"runs:/{run_id}/model").version == "2"


def test_a_renamed_model_takes_all_along_and_its_old_name_tells_the_new_one(
    client: "MlflowClient", tmp_path: Path
) -> None:
    from mlflow.exceptions import MlflowException

    run_id = registered(client, tmp_path)
    client.set_registered_model_alias("churn", "champion", "1")
    client.rename_registered_model("churn", "leavers")
    renamed = client.get_registered_model("leavers")
    assert (renamed.name, renamed.description, renamed.tags) == ("leavers", "who goes", {"owner": "ada"})
    version = client.get_model_version_by_alias("leavers", "champion")
    assert (version.name, version.version, version.tags, version.run_id) == ("leavers", "1", {"kind": "first"}, run_id)
    for ask in (
        lambda: client.get_registered_model("churn"),
        lambda: client.get_model_version("churn", "1"),
        lambda: client.get_model_version_by_alias("churn", "champion"),
        lambda: client.create_registered_model("churn"),
        lambda: client.create_model_version("churn", f"runs:/{run_id}/model"),
    ):
        with pytest.raises(MlflowException, match='model "churn" is called "leavers" now') as caught:
            ask()
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    client.rename_registered_model("leavers", "churn")
    assert client.get_registered_model("churn").aliases == {"champion": "1"}
    assert client.create_model_version("churn", "models:/churn/1").version == "2"


def test_kinds_that_are_not_kept_are_refused_and_leave_nothing(
    client: "MlflowClient", store: "Store", url: str
) -> None:
    import mlflow
    import requests
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="keeps no prompts, and nothing of this was kept") as caught:
        mlflow.genai.register_prompt(name="greet", template="hello {{name}}")
    assert caught.value.error_code == "NOT_IMPLEMENTED"
    with pytest.raises(ModelMissing):
        named_models.find_model(store, "greet")
    token = {"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"}
    for version, path in (("3.0", "traces"), ("3.0", "traces/search"), ("2.0", "traces"), ("3.0", "datasets/create")):
        told = requests.post(f"{url}/api/{version}/mlflow/{path}", json={}, headers=token, timeout=60)
        assert (told.status_code, told.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert "this workspace keeps no" in told.json()["message"]


def test_what_cannot_be_is_told(client: "MlflowClient", tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    registered(client, tmp_path)
    told = {
        "RESOURCE_ALREADY_EXISTS": lambda: client.create_registered_model("churn"),
        "RESOURCE_DOES_NOT_EXIST": lambda: client.create_model_version("churn", "s3://elsewhere/model"),
        "INVALID_PARAMETER_VALUE": lambda: client.rename_registered_model("churn", "two words"),
    }
    for code, act in told.items():
        with pytest.raises(MlflowException) as caught:
            act()
        assert caught.value.error_code == code
    with pytest.raises(MlflowException, match="no valid model name"):
        client.create_registered_model("two words")
    with pytest.raises(MlflowException, match="what the stage of a version is kept as"):
        client.set_model_version_tag("churn", "1", "mlflow.stage", "Production")


def test_files_of_a_version_never_change(client: "MlflowClient", tmp_path: Path, url: str) -> None:
    import requests

    registered(client, tmp_path)
    headers = {"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"}
    place = f"{url}/api/2.0/mlflow-artifacts/artifacts/versions/churn/1/artifacts/model.pkl"
    assert requests.get(place, headers=headers, timeout=10).content == b"never opened"
    for answer in (
        requests.put(place, b"other", headers=headers, timeout=10),
        requests.delete(place, headers=headers, timeout=10),
    ):
        assert answer.status_code == 400
        assert "never change" in answer.json()["message"]


def test_the_record_says_what_was_there_and_not_what_was_read_before(store: "Store") -> None:
    with change(store, actor="ada") as opened:
        named_models.add_model(opened, "churn", description="first", tags={"team": "red"})
    read = named_models.find_model(store, "churn")
    with change(store, actor="grace") as opened:
        named_models.set_model_tag(opened, read, "team", value="blue")
        named_models.describe_model(opened, read, "second")
    with change(store, actor="ada") as opened:
        named_models.describe_model(opened, read, "third")
        named_models.remove_model_tag(opened, read, "team")
    last = audit.list_audit_records(store)[-2:]
    assert [each["before"] for each in last] == [{"description": "second"}, {"team": "blue"}]
    with pytest.raises(TagMissing), change(store, actor="ada") as opened:
        named_models.remove_model_tag(opened, read, "team")
    with pytest.raises(ModelMissing), change(store, actor="ada") as opened:
        named_models.describe_model(opened, replace(read, name="gone"), "fourth")
