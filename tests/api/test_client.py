"""`modelwright.connect`: a program's way to a workspace that is served elsewhere."""

import json
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme
import uvicorn
from api.conftest import Served
from journeys.terminal import until
from lifecycle.events.receivers import receiving, reply

import modelwright
from modelwright.api.app import create_app
from modelwright.cli.remote import calling
from modelwright.client import Client
from modelwright.errors import ModelwrightError, Refused, RunNotEnded, TokenUnknown, WorkspaceNotReached
from modelwright.lifecycle.sessions import Session
from modelwright.records import Role
from modelwright.store import experiments, tokens
from modelwright.store.database import Store


def test_the_registry_is_read_labelled_and_downloaded(served: Served, tmp_path: Path) -> None:
    client = served.client()
    assert [f"{each['model']}:{each['version']}" for each in client.models.list(limit=1)] == ["churn:2", "churn:1"]
    assert client.models.get("churn@champion")["version"] == client.models.get("churn:1")["version"] == 1
    assert client.models.get("churn")["version"] == 2
    tagged = client.models.tag("churn@champion", {"area": "risk", "none": None}, why="to find it")
    assert tagged["tags"] == {"area": "risk"}
    assert [each["version"] for each in client.models.list(tag="area=risk")] == [1]
    assert client.models.describe("churn:2", "the second")["description"] == "the second"
    assert client.models.alias("churn:2", "candidate")["aliases"] == ["candidate"]
    assert client.models.unalias("churn@candidate")["aliases"] == []
    assert (client.models.download("churn:1", tmp_path / "files") / "model.txt").read_text() == "model"
    assert client.get("/models/churn/versions/1/verification")["faults"] == []
    last = client.audit.list(action="tag", subject="models/churn:1", limit=1)
    assert {each["why"] for each in last if each["action"] == "model.tagged"} <= {"to find it"}


def test_files_of_this_machine_become_versions_and_a_dataset(served: Served, tmp_path: Path) -> None:
    client = served.client(Role.CONTRIBUTOR)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    (tmp_path / "notes.txt").write_text("what it is")
    made = client.models.upload(
        "brought", tmp_path / "deep", tmp_path / "notes.txt", tag=["by=hand"], description="ours"
    )
    assert (made["version"], made["tags"], made["description"]) == (1, {"by": "hand"}, "ours")
    assert made["source"] == {"kind": "upload", "files": "deep, notes.txt"}
    folder = client.models.download("brought:1", tmp_path / "back")
    assert (folder / "model" / "deep" / "weights.bin").read_bytes() == bytes(range(256))
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,2\n")
    first = client.datasets.upload("rows", rows, tag=["kind=small"])
    assert client.datasets.upload("rows", rows)["version"] == first["version"] == 1
    assert client.datasets.get("rows")["tags"] == {"kind": "small"}
    assert (client.datasets.download("rows:1", tmp_path / "data") / "rows.csv").read_text() == rows.read_text()


def test_a_file_comes_alone_whatever_the_others_are(served: Served, tmp_path: Path) -> None:
    client = served.client()
    for name in ("whole", "damaged"):
        (tmp_path / name).write_text(name)
    digests = {each["path"]: each["digest"] for each in client.datasets.upload("pair", *tmp_path.iterdir())["files"]}
    served.store.blobs.path(digests["damaged"]).unlink()
    found = client.download("/datasets/pair/versions/1/files/whole", tmp_path / "back")
    assert found.read_text() == "whole"
    with pytest.raises(Refused) as refused:
        client.download("/datasets/pair/versions/1/files/damaged", tmp_path / "gone")
    assert refused.value.code == "dataset-gone"


def test_a_project_of_this_machine_is_published_run_registered_and_served(served: Served) -> None:
    client = served.client(Role.CONTRIBUTOR)
    project = served.store.folder.parent / "small"
    made_again = project / "src" / "small" / "__pycache__"
    made_again.mkdir()
    (made_again / "train.cpython-311.pyc").write_bytes(b"made again")
    published = client.pipelines.publish(project)
    assert published["version"] == 1
    assert "train.py" in json.dumps(published["files"])
    assert "pycache" not in json.dumps(published["files"])
    assert [each["is_pipeline_enabled"] for each in client.pipelines.disable("small")] == [False]
    with pytest.raises(Refused) as refused:
        client.pipelines.run("small")
    assert refused.value.code == "pipeline-disabled"
    client.pipelines.enable("small")
    run = client.pipelines.run("small", {"alpha": 0.25}, tags={"build": "7"}, why="nightly")
    with pytest.raises(RunNotEnded):
        client.runs.wait(run["id"], seconds=-1)
    ended = client.runs.wait(run["id"], seconds=120)
    assert (ended["status"], ended["parameters"]["alpha"], ended["tags"]) == ("succeeded", 0.25, {"build": "7"})
    assert client.runs.note(run["id"], "as before")["note"] == "as before"
    assert client.runs.list(where="alpha = 0.25")[0]["id"] == run["id"]
    registered = client.models.register(run["id"], model="small", tags={"from": "afar"})
    assert (registered["run_id"], registered["tags"]["from"]) == (run["id"], "afar")
    audited = client.audit.list(subject=f"runs/{run['id']}", action="run.started")
    assert [(each["actor"], each["why"]) for each in audited] == [("contributor", "nightly")]

    deployer = served.client(Role.DEPLOYER)
    assert deployer.endpoints.deploy("small", "small:1", wait=0)["look"] == "/endpoints/small"
    until(lambda: _state(deployer) == "healthy", "the version to serve")
    with pytest.raises(Refused) as refused:
        deployer.endpoints.traffic("small", {"small:9": 10})
    assert refused.value.code == "traffic-invalid"
    assert deployer.endpoints.traffic("small", {"small:1": 40}, why="a look")["split"] == {"small:1": 100}
    answer = deployer.endpoints.score("small", {"data": [1, 2]})
    assert (answer["status"], answer["version"]) == (200, "small:1")
    assert deployer.endpoints.stop("small")["state"] == "stopped"
    with pytest.raises(Refused) as refused:
        deployer.endpoints.score("small", {"data": [1]})
    assert refused.value.code == "endpoint-not-running"


def _state(client: Client) -> str | None:
    return next((each["state"] for each in client.endpoints.list() if each["name"] == "small"), None)


def test_what_is_refused_is_raised_as_the_api_tells_it(served: Served) -> None:
    with pytest.raises(ModelwrightError) as refused:
        served.client(Role.READER).models.delete("churn:1")
    assert (refused.value.code, refused.value.http_status) == ("role-too-low", 403)  # type: ignore[attr-defined]
    assert "contributor" in str(refused.value)
    assert refused.value.next_command.startswith("an owner makes a token")
    with pytest.raises(Refused) as used:
        served.client().models.delete("churn:1")
    assert used.value.code == "in-use"
    assert {each["kind"] for each in used.value.told["users"]} >= {"deployment", "alias"}
    with pytest.raises(Refused) as unknown:
        modelwright.connect(served.url, "wright_guessed").models.list()
    assert unknown.value.code == "token-unknown"
    with pytest.raises(WorkspaceNotReached):
        modelwright.connect("http://127.0.0.1:9", timeout_seconds=5).models.list()


def test_a_long_list_comes_in_pages_and_once_each(served: Served) -> None:
    client = served.client()
    with client.open("GET", "/audit", query={"limit": 3}) as answer:
        assert len(json.load(answer)) == 3
        assert 'rel="next"' in answer.headers["Link"]
    whole = [each["sequence"] for each in client.pages("/audit", limit=1000)]
    for limit in (1, 7):
        found = [each["sequence"] for each in client.pages("/audit", limit=limit)]
        assert found == whole == sorted(whole, reverse=True)
    with Session(served.store, "ada").change() as opened:
        experiments.add_experiment(opened, "ü" * 500, tags={})
        experiments.add_experiment(opened, "ü" * 500 + "z", tags={})
    assert len(list(client.pages("/experiments", limit=1))) >= 2
    points = client.runs.metrics(served.names["run_id"][0])
    assert [each["sequence"] for each in points] == sorted(each["sequence"] for each in points)
    assert [each["value"] for each in points if each["name"] == "loss"] == [None]


def test_a_refusal_is_heard_before_the_whole_body_is_sent(served: Served, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(40_000_000))
    with pytest.raises(Refused) as refused:
        served.client(Role.READER).datasets.upload("large", large)
    assert refused.value.code == "role-too-low"


def test_a_token_goes_nowhere_else(served: Served) -> None:
    with (
        receiving(lambda _: reply(body=b"[]")) as elsewhere,
        receiving(lambda _: reply("302 Found", Location=f"{elsewhere.url}/models")) as receiver,
    ):
        with pytest.raises(Refused) as refused:
            modelwright.connect(f"http://127.0.0.1:{receiver.port}", "wright_secret").models.list()
        assert receiver.requests[0].headers["authorization"] == "Bearer wright_secret"
    assert elsewhere.requests == []
    assert elsewhere.url in refused.value.next_command
    with pytest.raises(TokenUnknown) as shown:
        modelwright.connect(served.url, "wright_secret\nx")
    assert "wright_secret" not in str(shown.value)
    with pytest.raises(WorkspaceNotReached) as told:
        served.client().endpoints.score("live", {}, key="a_secret\nx")
    assert "a_secret" not in str(told.value)


def test_what_breaks_off_or_is_no_workspace_is_not_reached(tmp_path: Path) -> None:
    for body in (b"<html>", b"\xff", b'[{"model": "ch'):
        said = reply(body=body)
        with receiving(lambda _, said=said: said) as receiver, pytest.raises(WorkspaceNotReached):  # type: ignore[misc]
            modelwright.connect(f"http://127.0.0.1:{receiver.port}").models.list()
    cut_off = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
    with receiving(lambda _: cut_off) as receiver:
        client = modelwright.connect(f"http://127.0.0.1:{receiver.port}")
        with pytest.raises(WorkspaceNotReached, match="9 of a file's 100 bytes"):
            client.download("/models/churn/versions/1/export", tmp_path / "churn.zip")
        with pytest.raises(WorkspaceNotReached):
            client.download_all("/models/churn/versions/1/files", ["model.txt"], tmp_path / "files")
    assert list(tmp_path.iterdir()) == []
    for url in ("127.0.0.1:4810", "file:///etc/passwd", "http://127.0.0.1:port", "http://[::1"):
        with pytest.raises(WorkspaceNotReached):
            modelwright.connect(url).models.list()


def test_a_workspace_is_asked_over_tls_and_only_where_its_certificate_holds(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("localhost")
    config = uvicorn.Config(create_app(store.folder), log_level="critical", timeout_graceful_shutdown=10)
    config.load()
    config.ssl = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(config.ssl)
    server, listening = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    with Session(store, "ada").change() as opened:
        token = tokens.add_token(opened, "grace", role=Role.READER)
    port = listening.getsockname()[1]
    thread.start()
    try:
        until(lambda: server.started, "the server to start")
        named, unnamed = f"https://localhost:{port}", f"https://127.0.0.1:{port}"
        for url in (named, unnamed):  # of an authority that nobody knows yet, then of another name
            for ask in (
                lambda url: modelwright.connect(url, token).get("/whoami"),
                lambda url: calling.holder(url, token),
            ):
                with pytest.raises(WorkspaceNotReached, match="CERTIFICATE_VERIFY_FAILED"):
                    ask(url)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert modelwright.connect(named, token).get("/whoami") == {"name": "grace", "role": "reader"}
        with calling.asking(named, "GET", "/models", token=token) as answer:
            assert json.loads(answer.read()) == []
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()
