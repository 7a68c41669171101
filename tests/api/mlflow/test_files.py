"""Files and models that MLflow's own client keeps here."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

mlflow = pytest.importorskip("mlflow")

from mlflow import MlflowClient  # noqa: E402 - only where it is
from mlflow.entities import LoggedModelOutput, LoggedModelStatus  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from modelwright.records import Role  # noqa: E402
from modelwright.store import references, runs, tokens  # noqa: E402
from modelwright.store.changes import change  # noqa: E402
from modelwright.store.database import Store  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::mlflow")

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def ask(method: str, path: str, token: str | None = None, **options: object) -> requests.Response:
    holder = token or mlflow.environment_variables.MLFLOW_TRACKING_TOKEN.get()
    headers = {"Authorization": f"Bearer {holder}"}
    return requests.request(method, mlflow.get_tracking_uri() + path, headers=headers, timeout=60, **options)


def test_files_are_kept_listed_replaced_and_read(client: MlflowClient, tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "files"
    (folder / "deep" / "er").mkdir(parents=True)
    for name, content in {"a.txt": "A", "ü x.txt": "Ü", "empty": "", "deep/er/b.txt": "BB"}.items():
        (folder / name).write_text(content)
    run_id = client.create_run("0").info.run_id
    client.log_artifacts(run_id, str(folder))
    listed = {each.path: (each.is_dir, each.file_size or 0) for each in client.list_artifacts(run_id)}
    assert listed == {"a.txt": (False, 1), "ü x.txt": (False, 2), "empty": (False, 0), "deep": (True, 0)}
    assert [each.path for each in client.list_artifacts(run_id, "deep/er")] == ["deep/er/b.txt"]
    assert client.list_artifacts(run_id, "a.txt") == client.list_artifacts(run_id, "nothing") == []
    client.log_text(run_id, "AA", "a.txt")
    got = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert (got / "a.txt").read_text() == "AA"
    assert (got / "deep" / "er" / "b.txt").read_text() == "BB"
    digests = {each.digest for each in runs.get_run(store, run_id).artifacts}
    with store.reader.connect() as connection:
        assert digests <= references.blob_digests(connection) & store.blobs.digests()
    assert ask("DELETE", f"{_ARTIFACTS}/0/{run_id}/artifacts/deep").status_code == 200
    assert ask("GET", f"{_ARTIFACTS}/0/{run_id}/artifacts/deep/er/b.txt").status_code == 404
    assert sorted(each.path for each in client.list_artifacts(run_id)) == ["a.txt", "empty", "ü x.txt"]


@pytest.mark.parametrize("path", ["..%2fx", "%2e%2e/x", "%2fetc/passwd", "a%5cb", "a%00b", "a//b", "%2e/a", ""])
def test_a_path_that_leads_elsewhere_is_refused(client: MlflowClient, path: str) -> None:
    run_id = client.create_run("0").info.run_id
    for method in ("PUT", "GET", "DELETE"):
        answer = ask(method, f"{_ARTIFACTS}/0/{run_id}/artifacts/{path}", data=b"x")
        assert 400 <= answer.status_code < 500
    assert client.list_artifacts(run_id) == []


def test_a_file_of_any_size_takes_no_more_memory(client: MlflowClient, store: Store) -> None:
    pieces, size = 48, 1 << 20

    def content() -> Iterator[bytes]:
        for number in range(pieces):
            yield bytes([number]) * size

    run_id = client.create_run("0").info.run_id
    place = f"{_ARTIFACTS}/0/{run_id}/artifacts/large.bin"
    tracemalloc.start()
    try:
        assert ask("PUT", place, data=content()).status_code == 200
        found = hashlib.sha256()
        with ask("GET", place, stream=True) as answer:
            for piece in answer.iter_content(size):
                found.update(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.hexdigest() == hashlib.sha256(b"".join(content())).hexdigest()
    assert peak < 16 * size
    assert ask("GET", place, params={}).headers["content-length"] == str(pieces * size)
    assert not list((store.folder / "blobs" / "partial").iterdir())


def test_what_breaks_off_leaves_nothing(client: MlflowClient, store: Store) -> None:
    def content() -> Iterator[bytes]:
        yield b"x" * (2 << 20)
        raise ConnectionError

    run_id = client.create_run("0").info.run_id
    with pytest.raises(requests.exceptions.ConnectionError):
        ask("PUT", f"{_ARTIFACTS}/0/{run_id}/artifacts/a", data=content())
    assert client.list_artifacts(run_id) == []
    assert store.blobs.digests() == set()


def test_a_reader_looks_and_changes_nothing(client: MlflowClient, store: Store) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "A", "a.txt")
    with change(store, actor="grace") as opened:
        token = tokens.add_token(opened, "eve", role=Role.READER)
    mine = "/api/2.0/mlflow/"
    file = f"{_ARTIFACTS}/0/{run_id}/artifacts/a.txt"
    assert ask("POST", f"{mine}runs/search", token, json={"experiment_ids": ["0"]}).json()["runs"]
    assert ask("GET", file, token).text == "A"
    for answer in (
        ask("POST", f"{mine}runs/log-metric", token, json={"run_id": run_id, "key": "a", "value": 1, "timestamp": 1}),
        ask("PUT", file, token, data=b"B"),
        ask("DELETE", file, token),
        ask("DELETE", f"{mine}logged-models/m-1", token),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    answer = ask("GET", f"{mine}runs/get", "wright_guessed", params={"run_id": run_id})
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_a_model_is_logged_measured_found_and_deleted(client: MlflowClient, tmp_path: Path) -> None:
    run_id = client.create_run("0").info.run_id
    model = client.create_logged_model("0", name="tree", source_run_id=run_id, tags={"a": "1"}, params={"depth": "3"})
    other = client.create_logged_model("0", name="line", model_type="linear")
    assert model.status == LoggedModelStatus.PENDING
    assert client.finalize_logged_model(model.model_id, LoggedModelStatus.READY).status == LoggedModelStatus.READY
    client.set_logged_model_tags(model.model_id, {"a": "2", "b": "3"})
    client.delete_logged_model_tag(model.model_id, "b")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 4)])
    for value in (0.7, 0.7):
        client.log_metric(run_id, "acc", value, timestamp=3, step=1, model_id=model.model_id)
    (tmp_path / "weights").write_text("w")
    client.log_model_artifact(model.model_id, str(tmp_path / "weights"))
    assert [each.path for each in client.list_logged_model_artifacts(model.model_id)] == ["weights"]
    kept = client.get_logged_model(model.model_id)
    assert (kept.tags, kept.params, kept.source_run_id) == ({"a": "2"}, {"depth": "3"}, run_id)
    assert [(each.key, each.value, each.run_id) for each in kept.metrics] == [("acc", 0.7, run_id)]
    run = client.get_run(run_id)
    assert (run.data.metrics, run.outputs.model_outputs[0].step) == ({"acc": 0.7}, 4)
    for text, names in {
        "name = 'tree'": ["tree"],
        "metrics.acc > 0.5 AND params.depth = '3'": ["tree"],
        "tags.a = '2' and status = 'READY'": ["tree"],
        f"source_run_id = '{run_id}'": ["tree"],
        "model_type = 'linear'": ["line"],
        "name IN ('line', 'tree')": ["line", "tree"],
    }.items():
        found = client.search_logged_models(["0"], text, order_by=[{"field_name": "name"}])
        assert [each.name for each in found] == names, text
    with pytest.raises(MlflowException, match="bogus"):
        client.search_logged_models(["0"], "bogus = 'a'")
    client.delete_logged_model(other.model_id)
    with pytest.raises(MlflowException) as error:
        client.get_logged_model(other.model_id)
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_model_of_scikit_learn_is_logged_with_its_signature_and_loaded(client: MlflowClient) -> None:
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    rows, values = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        fitted = LinearRegression().fit(rows, values)
        logged = mlflow.sklearn.log_model(
            fitted,
            name="line",
            signature=infer_signature(rows, values),
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    for uri in (f"runs:/{run.info.run_id}/line", f"models:/{logged.model_id}"):
        assert mlflow.pyfunc.load_model(uri).predict(np.array([[3.0]]))[0] == pytest.approx(7.0)
