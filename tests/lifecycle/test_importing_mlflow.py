"""What MLflow recorded comes here whole: from folders that its own client wrote, and from a database like its own."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from journeys.terminal import until
from lifecycle.events.receivers import Answer, Request, receiving, reply

from modelwright.errors import ImportSourceInvalid
from modelwright.lifecycle import labelling
from modelwright.lifecycle.importing_mlflow import importing
from modelwright.lifecycle.importing_mlflow.counting import Tally
from modelwright.lifecycle.importing_mlflow.importing import Order
from modelwright.lifecycle.sessions import Session
from modelwright.records import Status
from modelwright.store import client_files, client_runs, digests, experiments, models, named_models, runs
from modelwright.store.client_files import Owner
from modelwright.store.database import Store

# The tables of the second release, as far as they are read.
SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT, lifecycle_stage TEXT,
    creation_time BIGINT, last_update_time BIGINT);
CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER);
CREATE TABLE runs (run_uuid TEXT, name TEXT, user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT,
    lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER, deleted_time BIGINT);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE registered_models (name TEXT, creation_time BIGINT, last_updated_time BIGINT, description TEXT);
CREATE TABLE registered_model_tags (key TEXT, value TEXT, name TEXT);
CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT);
CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT, last_updated_time BIGINT,
    description TEXT, user_id TEXT, current_stage TEXT, source TEXT, run_id TEXT, status TEXT, run_link TEXT,
    storage_location TEXT);
CREATE TABLE model_version_tags (key TEXT, value TEXT, name TEXT, version INTEGER);
"""
RUN, OTHER = "a" * 32, "b" * 32
AT = 1_700_000_000_123


class Old:
    """A folder as an MLflow server leaves it: a database, and files below `mlruns`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "mlruns" / "1" / RUN / "artifacts"
        (self.files / "model").mkdir(parents=True)
        (self.files / "model" / "MLmodel").write_text("flavors: {sklearn: {sklearn_version: 1.5.0}}")
        (self.files / "model" / "model.pkl").write_bytes(b"never opened")
        self.database = sqlite3.connect(folder / "mlflow.db")
        self.database.executescript(SCHEMA)
        self.add("experiments", 0, "Default", "", "active", AT, AT)
        self.add("experiments", 1, "churn", "", "active", AT, AT)
        self.add("experiments", 2, "gone", "", "deleted", AT, AT + 5)
        self.add("experiment_tags", "team", "red", 1)
        self.add("runs", RUN, "first", "ada", "FINISHED", AT, AT + 9, "active", str(self.files), 1, None)
        self.add("runs", OTHER, "", "ada", "RUNNING", AT, None, "deleted", "", 2, AT + 5)
        for step in range(3):
            self.add("metrics", "loss", 1.0 / (step + 1), AT + step, RUN, step, 0)
        self.add("metrics", "odd", 0.0, AT, RUN, 0, 1)
        self.add("params", "alpha", "0.50", RUN)
        self.add("tags", "kind", "a", RUN)
        self.add("registered_models", "churn", AT, AT + 7, "who goes")
        self.add("registered_model_tags", "owner", "ada", "churn")
        self.version(2, AT + 1, "Production")
        self.version(3, AT + 2, "None")
        self.add("registered_model_aliases", "champion", 2, "churn")
        self.add("model_version_tags", "ok", "yes", "churn", 2)

    def version(self, number: int, at: int, stage: str, name: str = "churn", place: str = "") -> None:
        place = place or str(self.files / "model")
        self.add("model_versions", name, number, at, at, "", "", stage, place, RUN, "READY", "", place)

    def add(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * len(values))
        self.database.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        self.database.commit()


@pytest.fixture
def old(tmp_path: Path) -> Old:
    (tmp_path / "old").mkdir()
    return Old(tmp_path / "old")


@pytest.fixture
def session(store: Store) -> Session:
    return Session(store, "grace")


def brought(session: Session, old: Old, *roots: Path, is_dry: bool = False) -> Tally:
    return importing.import_all(session, Order(str(old.folder / "mlflow.db"), roots, is_dry=is_dry))


def counts(tally: Tally) -> dict[str, tuple[int, int]]:
    return {each.kind: (each.found, each.here - each.before) for each in tally.lines()}


def test_everything_is_found_and_comes(session: Session, old: Old) -> None:
    tally = brought(session, old)
    assert tally.missing == []
    assert counts(tally) == {
        **dict.fromkeys(
            ("parameters", "experiment tags", "registered models", "registered model tags", "aliases"), (1, 1)
        ),
        **dict.fromkeys(("runs", "versions", "version tags", "run files", "tags"), (2, 2)),
        "experiments": (3, 3),
        "metric points": (4, 4),
    }


def test_a_run_is_as_it_was(session: Session, old: Old) -> None:
    brought(session, old)
    details = client_runs.find_details(session.store, RUN)
    run = details.run
    assert (run.status, run.actor, run.experiment) == (Status.SUCCEEDED, "ada", "churn")
    assert run.parameters == {"alpha": "0.50"}
    assert run.tags == {"kind": "a", "mlflow.runName": "first"}
    assert run.started_at.timestamp() == AT / 1000
    assert [point.value for _, point in runs.list_points(session.store, RUN) if point.name == "loss"] == [1, 0.5, 1 / 3]
    assert run.metrics["loss"] == 1 / 3
    assert client_runs.find_details(session.store, OTHER).deleted_at is not None
    assert experiments.find_by_name(session.store, "gone").deleted_at is not None


def test_versions_keep_numbers_aliases_and_stages(session: Session, old: Old) -> None:
    brought(session, old)
    version = models.find_version(session.store, "churn@champion")
    assert (version.version, version.run_id, version.framework) == (2, RUN, "sklearn")
    assert version.tags == {"ok": "yes", "mlflow.stage": "Production"}
    assert version.created_at.timestamp() == (AT + 1) / 1000
    assert {each.path for each in version.files} >= {"model/MLmodel", "model/model.pkl"}
    model = named_models.find_model(session.store, "churn")
    assert (model.description, model.updated_at.timestamp()) == ("who goes", (AT + 7) / 1000)


def test_a_number_that_is_taken_is_told(session: Session, old: Old) -> None:
    old.add("registered_models", "churn copy", AT, AT, "")
    old.version(1, AT, "None", name="churn copy")
    brought(session, old)
    old.version(1, AT + 50, "None")
    tally = brought(session, old)
    assert 'registered model "churn copy" is "churn-copy" here: names have no other signs' in tally.notes
    assert "version 1 of churn is 4 here: it was taken" in tally.notes


def test_called_again_it_adds_what_is_new(session: Session, old: Old) -> None:
    brought(session, old)
    assert {added for _, added in counts(brought(session, old)).values()} == {0}
    old.add("metrics", "loss", 0.1, AT + 9, RUN, 3, 0)
    old.add("tags", "late", "yes", RUN)
    (old.files / "late.txt").write_text("late")
    added = {kind: new for kind, (_, new) in counts(brought(session, old)).items() if new}
    assert added == {"metric points": 1, "tags": 1, "run files": 1}


def test_what_was_renamed_here_is_the_same_model_still(session: Session, old: Old) -> None:
    brought(session, old)
    labelling.rename_model(session, "churn", "leavers")
    old.version(7, AT + 50, "None")
    tally = brought(session, old)
    assert {kind: added for kind, (_, added) in counts(tally).items() if added} == {"versions": 1}
    assert 'model "churn" is called "leavers" here since it was renamed' in tally.notes
    assert models.find_version(session.store, "leavers").version == 7


def test_a_dry_run_writes_nothing(session: Session, old: Old) -> None:
    tally = brought(session, old, is_dry=True)
    assert tally.found["metric points"] == 4
    assert models.list_versions(session.store) == []
    assert runs.list_runs(session.store) == []


def test_what_leads_elsewhere_is_named_and_not_read(session: Session, old: Old, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (old.files / "link.txt").symlink_to(secret)
    old.version(4, AT + 3, "None", place=str(secret))
    old.version(5, AT + 4, "None", place="s3://bucket/model")
    old.version(6, AT + 5, "None", place=str(old.folder / "mlruns" / "1" / ".." / ".." / ".." / "secret"))
    missing = {each.what: each.why for each in brought(session, old).missing}
    assert set(missing) == {f"{RUN}/link.txt", "churn/4", "churn/5", "churn/6"}
    assert "outside" in missing[f"{RUN}/link.txt"]
    assert [each.version for each in models.list_versions(session.store)] == [3, 2]


def test_folders_that_were_moved_are_found(session: Session, old: Old, tmp_path: Path) -> None:
    (old.folder / "mlruns").rename(tmp_path / "moved")
    assert [each.kind for each in brought(session, old, is_dry=True).missing] == []
    tally = brought(session, old, tmp_path / "moved")
    assert tally.missing == []
    assert counts(tally)["run files"] == (2, 2)


def test_what_is_no_source_is_told(session: Session, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE a (b)").connection.close()
    for place in ("nowhere", "empty", "other.db"):
        with pytest.raises(ImportSourceInvalid):
            importing.import_all(session, Order(str(tmp_path / place)))


# Written by MLflow's own client, which refuses to write folders unless it is told to.
WRITING = """
import mlflow
mlflow.set_tracking_uri("./mlruns")
client = mlflow.MlflowClient()
experiment = client.create_experiment("churn", tags={"team": "red"})
run = client.create_run(experiment, run_name="first").info.run_id
for step in range(3):
    client.log_metric(run, "deep/loss", 1 / (step + 1), step=step)
client.log_metric(run, "odd", float("nan"))
client.log_param(run, "alpha", "0.50")
client.log_text(run, "flavors: {sklearn: {sklearn_version: 1.5.0}}", "model/MLmodel")
client.set_terminated(run)
client.create_registered_model("churn", tags={"owner": "ada"})
client.create_model_version("churn", f"runs:/{run}/model", run)
client.set_registered_model_alias("churn", "champion", "1")
client.delete_run(client.create_run(experiment).info.run_id)
client.delete_experiment(client.create_experiment("gone"))
print(run)
"""


def test_folders_of_the_client_come_whole(session: Session, tmp_path: Path) -> None:
    told = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
    command = [sys.executable, "-W", "ignore", "-c", WRITING]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | told, capture_output=True, text=True, check=True)
    run_id = done.stdout.split()[-1]
    tally = importing.import_all(session, Order(str(tmp_path / "mlruns")))
    assert tally.missing == []
    found = counts(tally)
    assert all(found == added for found, added in found.values())
    assert {kind: found[kind][0] for kind in ("runs", "metric points", "run files", "versions", "aliases")} == {
        "runs": 2,
        "metric points": 4,
        "run files": 1,
        "versions": 1,
        "aliases": 1,
    }
    assert models.find_version(session.store, "churn@champion").run_id == run_id


def _mlruns(folder: Path, **broken: str) -> Path:
    """Write an experiment with a run that is whole, and others whose descriptions are not."""
    for name, text in {RUN: f"run_id: {RUN}\nstatus: FINISHED\nstart_time: {AT}\n", **broken}.items():
        (folder / "0" / name).mkdir(parents=True)
        (folder / "0" / name / "meta.yaml").write_text(text)
    (folder / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: churn\n")
    return folder


def test_what_cannot_be_read_keeps_nothing_else_away(session: Session, tmp_path: Path) -> None:
    broken = {"torn": "run_id: [", "lists": "- run_id", "nameless": "status: 3", "odd": f"run_id: {OTHER}\nstatus: 9"}
    folder = _mlruns(tmp_path / "mlruns", **broken)
    (folder / "0" / "odd_metric").mkdir()
    (folder / "0" / "odd_metric" / "meta.yaml").write_text("run_id: odd\nstatus: 3")
    (folder / "0" / "odd_metric" / "metrics").mkdir()
    (folder / "0" / "odd_metric" / "metrics" / "loss").write_text("only")
    tally = importing.import_all(session, Order(str(folder)))
    assert [each.kind for each in tally.missing] == ["runs"] * 5
    assert {each.what for each in tally.missing} == {f"0/{name}" for name in (*broken, "odd_metric")}
    assert all("not as MLflow writes it" in each.why for each in tally.missing)
    assert [each.id for each in runs.list_runs(session.store)] == [RUN]


def test_a_database_is_read_as_far_as_it_can_be(session: Session, old: Old) -> None:
    old.add("runs", "c" * 32, "", "ada", None, AT, None, "active", "", 1, None)
    assert [(each.kind, each.what) for each in brought(session, old).missing] == [("runs", "c" * 32)]
    assert len(runs.list_runs(session.store)) == 1


def test_a_folder_that_is_a_link_is_named(session: Session, old: Old, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (old.files / "linked").symlink_to(tmp_path / "far")
    assert [each.what for each in brought(session, old).missing] == [f"{RUN}/linked"]


def test_files_that_have_not_changed_are_not_read_again(
    session: Session, old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in old.files.rglob("*"):
        os.utime(each, (1, 1))
    monkeypatch.setattr(digests, "_RACY_NANOSECONDS", 0)
    brought(session, old)
    monkeypatch.setattr("blake3.blake3", None)  # what reads a file asks for it
    tally = brought(session, old)
    assert tally.missing == []
    assert {each.kind: each.here - each.before for each in tally.lines()}["run files"] == 0


def _server(given: dict[str, Any], *, files: dict[str, Any]) -> Answer:
    """A server of MLflow's with what is given, by the ends of the paths."""

    def answer(request: Request) -> bytes:
        path = unquote_plus(request.path)
        if "mlflow-artifacts" in path:
            _, _, wanted = path.partition("path=")
            return reply(body=json.dumps(files[wanted]).encode()) if wanted else reply(body=b"evil")
        found = next((each for end, each in given.items() if end in path), {})
        return reply(body=json.dumps(found).encode())

    return answer


def test_no_server_puts_a_file_outside_or_sends_a_token_elsewhere(session: Session) -> None:
    run = {"info": {"run_id": RUN, "status": "FINISHED", "start_time": AT, "artifact_uri": "mlflow-artifacts:/0/r"}}
    given = {
        "experiments/search": {"experiments": [{"experiment_id": "1", "name": "churn"}]},
        "runs/search": {"runs": [run, {"info": {}}]},
        "registered-models/search": {"registered_models": [{"name": "ada's"}]},
    }
    files = {
        "0/r": {"files": [{"path": "..", "is_dir": True}, {"path": "good", "file_size": 4}]},
        "0/r/..": {"files": [{"path": "evil", "file_size": 4}]},
    }
    with receiving(_server(given, files=files)) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        tally = importing.import_all(session, Order(url, token="secret"))
        asked = [unquote_plus(each.path) for each in receiver.requests]
    assert {(each.kind, each.what) for each in tally.missing} == {("run files", f"{RUN}/../evil"), ("runs", "None")}
    assert [each.path for each in client_files.list_files(session.store, Owner(RUN, is_model=False), "")] == ["good"]
    assert any('name="ada\'s"' in each for each in asked)

    with (
        receiving(lambda _: reply(body=b"{}")) as elsewhere,
        receiving(lambda _: reply("307 Temporary Redirect", Location=elsewhere.url)) as receiver,
        pytest.raises(ImportSourceInvalid, match=f"answered 307 .*{elsewhere.port}"),
    ):
        importing.import_all(session, Order(f"http://127.0.0.1:{receiver.port}", token="secret"))
    assert elsewhere.requests == []


def test_killed_it_goes_on(store: Store, old: Old) -> None:
    for number in range(40):
        run_id = f"{number:032x}"
        old.add("runs", run_id, "", "ada", "FINISHED", AT + number, AT + number, "active", "", 1, None)
        old.add("metrics", "loss", 1.0, AT, run_id, 0, 0)
    command = [sys.executable, "-m", "modelwright", "--workspace", str(store.folder), "import", "mlflow", "--json"]
    command.append(str(old.folder / "mlflow.db"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: len(runs.list_runs(store)) >= 3 or process.poll() is not None, "the first runs")
    process.kill()
    process.wait(120)
    whole = [client_runs.find_details(store, each.id) for each in runs.list_runs(store)]
    assert all(each.points for each in whole)
    again: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert {each["kind"]: each["found"] - each["here"] for each in again["counts"]}["metric points"] == 0
    assert len(runs.list_runs(store)) == 41
