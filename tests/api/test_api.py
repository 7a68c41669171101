"""The HTTP API, by a real client over a real socket."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from click.testing import CliRunner
from journeys.terminal import until

from modelwright.api import server
from modelwright.api.app import create_app
from modelwright.cli.workspace import up
from modelwright.errors import ApiNotInstalled
from modelwright.lifecycle import publishing, training
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import read_manifest
from modelwright.records import Role
from modelwright.store import api_place, runs, tokens
from modelwright.store.changes import change
from modelwright.store.database import Store

_Found = TypeVar("_Found")


class Client:
    """Sends requests to the workspace's API."""

    def __init__(self, store: Store, url: str) -> None:
        self.url = url
        with change(store, actor="ada") as opened:
            self.token = tokens.add_token(opened, "ada", role=Role.OWNER)

    def ask(self, path: str, body: object = None, *, token: str | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture
def client(store: Store, locked: Path) -> Iterator[Client]:
    """A client of the workspace's API, in which the small project is published."""
    publishing.publish(Session(store, "ada"), read_manifest(locked))
    yield Client(store, server.start(store))
    server.stop(store)


def test_a_published_pipeline_runs_with_other_parameters(client: Client, store: Store) -> None:
    body = {"ParameterAssignments": {"alpha": 0.25}, "tags": {"BuildId": 7}, "ExperimentName": "nightly"}
    status, run = client.ask("/pipelines/small/runs", body)
    assert (status, run["Id"]) == (202, run["id"])
    until(lambda: client.ask(f"/runs/{run['Id']}")[1]["status"] != "running", "the run to end")
    ended = runs.get_run(store, run["Id"])
    assert (ended.status, ended.parameters["alpha"], ended.tags) == ("succeeded", 0.25, {"BuildId": "7"})
    assert (ended.experiment, ended.actor) == ("nightly", "ada")
    assert ended.pipeline_version_id
    assert [each["reference"] for each in client.ask("/pipelines")[1]] == ["small:1"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/pipelines/small/runs", {"parameters": {"alfa": 1}}, 400, "published-parameter-unknown"),
        ("/pipelines/nothing/runs", {}, 404, "pipeline-missing"),
        ("/pipelines/small:9/runs", {}, 404, "pipeline-missing"),
        ("/pipelines/small/runs", [1], 422, "request-invalid"),
        ("/pipelines/small/runs", {"params": {"alpha": 1}}, 422, "request-invalid"),
        ("/pipelines/small/runs", {"parameters": ["alpha"]}, 422, "request-invalid"),
        ("/runs/run_1", None, 404, "run-missing"),
    ],
)
def test_what_cannot_be_done_is_explained_and_nothing_runs(
    client: Client, store: Store, path: str, body: object, status: int, code: str
) -> None:
    got, answer = client.ask(path, body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"]
    assert answer["error"]["next_command"]
    assert runs.list_runs(store) == []


def test_nobody_gets_in_without_a_token(client: Client, store: Store) -> None:
    assert client.ask("/pipelines", token="wright_guessed")[1]["error"]["code"] == "token-unknown"
    strange = {"Content-Type": "application/json", "Origin": "http://elsewhere.example"}
    request = urllib.request.Request(client.url + "/pipelines/small/runs", data=b"{}", headers=strange)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    refused.value.close()
    assert refused.value.code == 401
    assert client.token not in (store.folder / "modelwright.db").read_bytes().decode(errors="replace")


def test_without_its_libraries_it_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(ApiNotInstalled) as refused:
        server.start(store)
    assert refused.value.next_command.startswith('pip install "modelwright[api]"')


def test_it_listens_on_this_machine_alone_and_leaves_nothing(client: Client, store: Store) -> None:
    assert client.url.startswith("http://127.0.0.1:")
    assert server.start(store) == client.url
    path = store.folder.parent / "small" / "src" / "small" / "train.py"
    path.write_text(path.read_text().replace("return sum(rows) * alpha", "import time\n    time.sleep(600)"))
    publishing.publish(Session(store, "ada"), read_manifest(store.folder.parent / "small"))
    run = client.ask("/pipelines/small/runs", {})[1]
    assert server.stop(store)
    assert api_place.url(store) is None
    assert runs.get_run(store, run["Id"]).status == "cancelled"
    for process in psutil.process_iter():
        try:
            assert str(store.folder) not in " ".join(process.cmdline())
        except psutil.Error:
            continue


def test_a_port_that_there_is_not_is_refused_before_anything_starts() -> None:
    for port in ("99999", "-1"):
        refused = CliRunner().invoke(up, ["--api-port", port])
        assert (refused.exit_code, "is not in the range" in refused.stderr) == (2, True)


@pytest.mark.parametrize("path", ["/commands", "/datasets/sales/uploads", "/api/2.0/mlflow/runs/search"])
def test_an_upload_that_breaks_off_is_no_fault_and_leaves_nothing(store: Store, path: str) -> None:
    coming = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]
    assert asyncio.run(_within(store, lambda ask: ask("POST", path, coming))) < 500
    assert list((store.folder / "scratch").glob("*")) == []


def test_whoever_waits_keeps_nobody_else_from_an_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(training, "cancelled", lambda *_: ended.wait(60))

    async def ask_much(ask: _Ask) -> tuple[int, list[int]]:
        patient = [ask("POST", "/runs/run_1/cancel", []) for _ in range(50)]  # more than there are threads
        waiting = asyncio.gather(*patient)
        try:
            status = await asyncio.wait_for(ask("GET", "/models", []), 30)
        finally:
            ended.set()
        return status, await waiting

    assert asyncio.run(_within(store, ask_much)) == (200, [200] * 50)


# Method, path, and what comes of the body; the answer's status.
_Ask = Callable[[str, str, Sequence[Any]], Awaitable[int]]


async def _within(store: Store, work: Callable[[_Ask], Awaitable[_Found]]) -> _Found:
    """Do what asks the application without a socket, in the name of an owner."""
    app = create_app(store.folder)
    with Session(store, "ada").change() as opened:
        token = tokens.add_token(opened, "ada", role=Role.OWNER)

    async def ask(method: str, path: str, coming: Sequence[Any]) -> int:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers, "app": app}
        pieces = iter(coming or [{"type": "http.request", "body": b""}])
        told: list[Any] = []

        async def receive() -> Any:
            return next(pieces)

        async def send(message: Any) -> None:
            told.append(message)

        await app(scope, receive, send)
        status: int = told[0]["status"]
        return status

    async with app.router.lifespan_context(app):
        return await work(ask)
