"""What MLflow's own client sees of experiments and runs here: what it sees of MLflow's server."""

import base64
import math
import os
from typing import Any

import pytest
import requests

mlflow = pytest.importorskip("mlflow")

from mlflow import MlflowClient  # noqa: E402 - only where it is
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from modelwright.records import Kind  # noqa: E402
from modelwright.runs.searching import find_runs  # noqa: E402
from modelwright.store import audit, runs  # noqa: E402
from modelwright.store.changes import change  # noqa: E402
from modelwright.store.database import Store  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::mlflow")


def refused(function: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(MlflowException) as error:
        function(*arguments, **options)
    return error.value.error_code


def test_experiments_are_made_found_renamed_put_away_and_brought_back(client: MlflowClient) -> None:
    first, second = client.create_experiment("one", tags={"team": "a"}), client.create_experiment("two")
    assert (first, second, client.get_experiment("0").name) == ("1", "2", "Default")
    assert refused(client.create_experiment, "one") == "RESOURCE_ALREADY_EXISTS"
    assert refused(client.get_experiment, "99") == "RESOURCE_DOES_NOT_EXIST"
    assert client.get_experiment_by_name("nothing") is None
    client.set_experiment_tag(first, "kind", "b")
    client.rename_experiment(second, "zwei")
    assert client.get_experiment(first).tags == {"team": "a", "kind": "b"}
    client.delete_experiment(second)
    assert refused(client.delete_experiment, second) == "RESOURCE_DOES_NOT_EXIST"
    assert refused(client.create_run, second) == "INVALID_PARAMETER_VALUE"
    assert [each.name for each in client.search_experiments()] == ["one", "Default"]
    assert [each.name for each in client.search_experiments(view_type=ViewType.DELETED_ONLY)] == ["zwei"]
    client.restore_experiment(second)
    for text, names in {
        "name LIKE 'z%'": ["zwei"],
        "name ILIKE 'ON_'": ["one"],
        "name LIKE 'O%'": [],
        "tags.team = 'a'": ["one"],
        "tags.team IS NULL": ["zwei", "Default"],
        "experiment_id IN ('0', '2')": ["zwei", "Default"],
    }.items():
        assert [each.name for each in client.search_experiments(filter_string=text)] == names, text
    assert refused(client.search_experiments, filter_string="name = one") == "INVALID_PARAMETER_VALUE"
    page = client.search_experiments(max_results=2, order_by=["name ASC"])
    assert [each.name for each in page] == ["Default", "one"]
    assert [each.name for each in client.search_experiments(order_by=["name ASC"], page_token=page.token)] == ["zwei"]


def test_a_clients_run_is_one_of_ours(client: MlflowClient, store: Store) -> None:
    mlflow.set_experiment("mine")
    with mlflow.start_run(run_name="above") as above, mlflow.start_run(nested=True, run_name="below") as below:
        mlflow.log_params({"alpha": 0.5, "depth": 3, "name": "ridge", "odd": "010"})
        mlflow.log_metrics({"mse": 4.0}, step=7)
        mlflow.log_text("hello", "notes/hello.txt")
    found = runs.get_run(store, below.info.run_id)
    assert (found.kind, found.status, found.experiment, found.actor) == (Kind.TRACKED, "succeeded", "mine", "ada")
    assert found.parameters == {"alpha": 0.5, "depth": 3, "name": "ridge", "odd": "010"}
    assert (found.metrics, found.parent_id) == ({"mse": 4.0}, above.info.run_id)
    assert [each.path for each in found.artifacts] == ["notes/hello.txt"]
    assert [each.id for each in find_runs(store, "alpha = 0.5 and depth > 2 and mse < 5")] == [found.id]
    assert {each["actor"] for each in audit.list_audit_records(store, subject=f"runs/{found.id}")} == {"ada"}
    client.delete_run(found.id)
    assert [each.id for each in runs.list_runs(store)] == [above.info.run_id]
    assert find_runs(store, "mse < 5") == []
    client.restore_run(found.id)
    assert len(runs.list_runs(store)) == 2


def test_a_client_adds_nothing_but_tags_to_a_run_that_it_did_not_make(client: MlflowClient, store: Store) -> None:
    from integrity import things

    from modelwright.lifecycle.sessions import Session

    run = things.add_run(Session(store, "grace"))
    assert refused(client.log_metric, run.id, "x", 1) == "INVALID_PARAMETER_VALUE"
    assert refused(client.log_param, run.id, "x", 1) == "INVALID_PARAMETER_VALUE"
    client.set_tag(run.id, "seen", "yes")
    assert client.get_run(run.id).data.tags["seen"] == "yes"


def test_a_run_that_made_a_model_is_not_put_away(client: MlflowClient, store: Store) -> None:
    from integrity import things

    from modelwright.lifecycle.sessions import Session

    run = things.add_run(Session(store, "grace"))
    things.add_version(Session(store, "grace"), run=run)
    with pytest.raises(MlflowException, match="wright model delete churn:1") as error:
        client.delete_run(run.id)
    assert error.value.error_code == "RESOURCE_CONFLICT"
    assert refused(client.delete_experiment, client.get_run(run.id).info.experiment_id) == "RESOURCE_CONFLICT"


def test_parameters_stay_and_keep_their_very_text(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    texts = ["5", "5.0", "0.1", "0.30000000000000004", "1e5", "1e-07", "nan", "True", "None", "", "010", "ü 'x'", "[1]"]
    for number, text in enumerate(texts):
        client.log_param(run_id, f"p{number}", text)
        client.log_param(run_id, f"p{number}", text)
    assert list(client.get_run(run_id).data.params.values()) == [
        texts[int(key[1:])] for key in sorted(client.get_run(run_id).data.params)
    ]
    assert refused(client.log_param, run_id, "p0", "6") == "INVALID_PARAMETER_VALUE"
    for number, text in enumerate(texts):
        if "'" not in text:
            assert len(client.search_runs(["0"], f"params.p{number} = '{text}'")) == 1, text
    client.log_param(run_id, "long", "x" * 7000)
    assert len(client.get_run(run_id).data.params["long"]) == 6000


def test_the_last_value_of_a_metric_is_that_of_the_highest_step(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    points = [(1, 10, 5), (2, 20, 3), (3, 5, 5), (4, 10, 5), (0.5, 10, 5), (4, 10, 5)]
    for value, timestamp, step in points:
        client.log_metric(run_id, "loss", value, timestamp=timestamp, step=step)
    assert client.get_run(run_id).data.metrics["loss"] == 4
    history = [(each.timestamp, each.step, each.value) for each in client.get_metric_history(run_id, "loss")]
    assert history == [(5, 5, 3), (10, 5, 0.5), (10, 5, 1), (10, 5, 4), (20, 3, 2)]
    for step, value in enumerate([math.inf, -math.inf, math.nan]):
        client.log_metric(run_id, "odd", value, timestamp=1, step=step)
    assert math.isnan(client.get_run(run_id).data.metrics["odd"])
    assert [each.value for each in client.get_metric_history(run_id, "odd")][:2] == [math.inf, -math.inf]


def test_a_batch_counts_as_a_whole_and_has_bounds(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_batch(run_id, [Metric("m", each, each, each) for each in range(1000)], [Param("a", "1")])
    assert (client.get_run(run_id).data.metrics["m"], len(client.get_metric_history(run_id, "m"))) == (999, 1000)

    def ask(**body: Any) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {mlflow.environment_variables.MLFLOW_TRACKING_TOKEN.get()}"}
        url = f"{mlflow.get_tracking_uri()}/ajax-api/2.0/mlflow/runs/log-batch"
        answer = requests.post(url, json={"run_id": run_id} | body, headers=headers, timeout=60)
        return answer.status_code, answer.json().get("error_code", "")

    metric, label = {"key": "m", "value": 1, "timestamp": 1}, {"key": "b", "value": "1"}
    wrong = (400, "INVALID_PARAMETER_VALUE")
    assert ask(metrics=[metric] * 1001) == wrong
    assert ask(tags=[label | {"key": f"t{each}"} for each in range(101)]) == wrong
    assert ask(params=[label, label | {"value": "2"}]) == wrong
    assert ask(params=[label, {"key": "a", "value": "2"}], tags=[label]) == wrong
    assert ask(metrics=[metric | {"value": "x"}]) == wrong
    assert ask(metrics={"m": 1}) == wrong
    assert client.get_run(run_id).data.params == {"a": "1"}
    for key in ("a\\b", "../x", "/x", "a//b", "x" * 251, ""):
        assert refused(client.log_metric, run_id, key, 1.0) == "INVALID_PARAMETER_VALUE"
    client.log_metric(run_id, "a/b c.d-e_f:g", 1.0)


def test_a_run_ends_goes_on_and_is_put_away_as_its_client_says(client: MlflowClient, store: Store) -> None:
    from modelwright.lifecycle import recovery
    from modelwright.lifecycle.sessions import Session

    run_id = client.create_run("0", start_time=1000, run_name="eins").info.run_id
    recovery.recover(Session(store, "grace"))  # whose process is gone is not known: it goes on
    assert client.get_run(run_id).info.status == "RUNNING"
    client.set_terminated(run_id, "FAILED", end_time=5000)
    info = client.get_run(run_id).info
    assert (info.status, info.start_time, info.end_time, info.run_name) == ("FAILED", 1000, 5000, "eins")
    client.update_run(run_id, status="RUNNING", name="zwei")
    info = client.get_run(run_id).info
    assert (info.status, info.end_time, info.run_name) == ("RUNNING", None, "zwei")
    client.set_tag(run_id, "t", "1")
    client.delete_tag(run_id, "t")
    assert refused(client.delete_tag, run_id, "t") == "RESOURCE_DOES_NOT_EXIST"
    client.delete_run(run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    for function, *arguments in (
        (client.log_metric, "x", 1),
        (client.log_param, "x", 1),
        (client.set_tag, "x", 1),
        (client.set_terminated,),
    ):
        assert refused(function, run_id, *arguments) == "INVALID_PARAMETER_VALUE"
    client.restore_run(run_id)
    with change(store, actor="grace") as opened:
        runs.finish_run(opened, run_id, status="cancelled", reason="")
    assert client.get_run(run_id).info.status == "KILLED"


def test_runs_are_found_by_what_they_have(client: MlflowClient) -> None:
    losses, alphas = [0.5, 0.1, 0.9, math.nan, 0.1, None], ["0.1", "0.10", "5", "5.0", None, "Abc"]
    ids = []
    for number, (loss, alpha) in enumerate(zip(losses, alphas, strict=True)):
        tags = {"grp": "a" if number % 2 else "b", "n.x": str(number)}
        ids.append(client.create_run("0", start_time=2000 + number, run_name=f"r{number}", tags=tags).info.run_id)
        if loss is not None:
            client.log_metric(ids[-1], "loss", loss)
        client.log_batch(ids[-1], params=[Param("my param", f"v{number}")] + ([Param("alpha", alpha)] if alpha else []))
    client.set_terminated(ids[0])

    def find(text: str = "", **options: Any) -> str:
        return "".join(each.info.run_name[1] for each in client.search_runs(["0"], text, **options))

    for text, found in {
        "": "543210",
        "metrics.loss <= 0.5": "410",
        "metric.loss > 1e-1 and metrics.loss < .9": "0",
        "metrics.loss != 0.1": "320",
        "params.alpha = '0.1'": "0",
        'params.alpha != "0.1"': "5321",
        "params.alpha LIKE '0.%'": "10",
        "params.alpha LIKE 'a%'": "",
        "params.alpha ilike 'A_c'": "5",
        "params.alpha IS NULL": "4",
        "params.`my param` = 'v3' AND tags.grp = 'a'": "3",
        'params."my param" IS NOT NULL': "543210",
        "tags.n.x = '3'": "3",
        "status = 'FINISHED'": "0",
        "attributes.status != 'FINISHED'": "54321",
        "run_name LIKE 'r%' and start_time >= 2003": "543",
        "`Run name` = 'r1'": "1",
        f"run_id IN ('{ids[1]}', '{ids[2]}')": "21",
        f"run_id NOT IN ('{ids[1]}')": "54320",
        "artifact_uri LIKE 'mlflow-artifacts:/0/%/artifacts'": "543210",
    }.items():
        assert find(text) == found, text
    for text in (
        "metrics.loss", "metrics.loss < 'a'", "params.alpha = 0.1", "params.alpha > '0.1'", "bogus.x = 'a'",
        "attributes.bogus = 'a'", "start_time = 'a'", "metrics.loss < 1 or metrics.loss > 2", "(metrics.loss < 1)",
        "metrics.loss < 1 and", "status IN ('FINISHED')", "run_id IN ()", "metrics.loss IS NULL", "tags.grp = a",
        "tags.grp = 'a'; DROP TABLE runs", "tags.grp = 'a' -- '",
    ):  # fmt: skip
        assert refused(client.search_runs, ["0"], text) == "INVALID_PARAMETER_VALUE", text
    for order, found in {
        "metrics.loss": "410235",
        "metrics.loss DESC": "204135",
        "params.alpha ASC": "012354",
        "tags.grp DESC": "420531",
        "attributes.start_time asc": "012345",
        "end_time DESC": "054321",
    }.items():
        assert find(order_by=[order]) == found, order
    client.delete_run(ids[0])
    assert find(run_view_type=ViewType.DELETED_ONLY) == "0"
    pages, token = [], ""
    while token is not None:
        page = client.search_runs(["0"], run_view_type=ViewType.ALL, max_results=4, page_token=token)
        pages, token = [*pages, len(page)], page.token
    assert pages == [4, 2]
    assert client.search_runs(["0"], run_view_type=ViewType.ALL, page_token="").token is None
    assert refused(client.search_runs, ["0"], page_token="zzz") == "INVALID_PARAMETER_VALUE"


def test_the_data_that_a_run_read_is_kept_and_found(client: MlflowClient, url: str) -> None:
    run_id = client.create_run("0").info.run_id

    def described(name: str, context: str) -> DatasetInput:
        data = Dataset(name, "d1", "local", "here", schema="{}", profile=None)
        return DatasetInput(data, [InputTag("mlflow.data.context", context)])

    client.log_inputs(run_id, [described("sales", "training"), described("sales", "training")])
    client.log_inputs(run_id, [described("sales", "training"), described("costs", "eval")])
    kept = {each.dataset.name: each for each in client.get_run(run_id).inputs.dataset_inputs}
    assert sorted(kept) == ["costs", "sales"]
    assert (kept["sales"].dataset.source, kept["sales"].dataset.schema) == ("here", "{}")
    assert len(client.search_runs(["0"], "dataset.name = 'sales' and datasets.context = 'eval'")) == 1
    assert len(client.search_runs(["0"], "dataset.digest LIKE 'x%'")) == 0
    for tags in (["eval"], [{"key": 5}], 5):
        dataset = {"name": "odd", "digest": "d1"}
        assert (
            _asked(url, "runs/log-inputs", {"run_id": run_id, "datasets": [{"tags": tags, "dataset": dataset}]}) == 400
        )
    assert len(client.search_runs(["0"], "dataset.context = 'eval'")) == 1


def test_what_no_statement_can_hold_is_refused(client: MlflowClient, url: str) -> None:
    many = ", ".join(["'run_1'"] * 20_000)
    for asked in (
        {"filter": " AND ".join(["params.a = 'b'"] * 1500)},
        {"filter": f"attributes.run_id IN ({many})"},
        {"order_by": ["metrics.a"] * 3000},
        {"experiment_ids": ["0"] * 300_000},
        {"page_token": base64.b64encode(b'{"offset": 9223372036854775808}').decode()},
    ):
        assert _asked(url, "runs/search", {"experiment_ids": ["0"], **asked}) == 400
    assert (
        _asked(url, "logged-models/search", {"experiment_ids": ["0"], "datasets": [{"dataset_name": "a"}] * 2000})
        == 400
    )
    assert list(client.search_runs(["0"], " AND ".join(["params.a != 'b'"] * 300), order_by=["metrics.a"] * 100)) == []


def _asked(url: str, operation: str, body: dict[str, Any]) -> int:
    """Ask what no client of MLflow's would, and return the answer's status."""
    token = os.environ["MLFLOW_TRACKING_TOKEN"]
    place, headers = f"{url}/api/2.0/mlflow/{operation}", {"Authorization": f"Bearer {token}"}
    return requests.post(place, json=body, headers=headers, timeout=60).status_code
