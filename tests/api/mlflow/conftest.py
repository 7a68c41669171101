"""The real client of MLflow, against the workspace's application, served by the real server over a real socket."""

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import uvicorn
from journeys.terminal import until

from modelwright.api.app import create_app
from modelwright.records import Role
from modelwright.store import tokens
from modelwright.store.changes import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from modelwright.store.database import Store

# Before the client is imported, which would tell its makers of it and ask git who we are.
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_ENABLE_UV_AUTO_DETECT": "0"}


@pytest.fixture
def url(store: "Store") -> "Iterator[str]":
    """Where the workspace's API answers, from a thread of this process: a process for each test would take seconds."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(store.folder), log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=10
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    until(lambda: server.started, "the server to start")
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def client(store: "Store", url: str, monkeypatch: pytest.MonkeyPatch) -> "Iterator[MlflowClient]":
    """MLflow's client, which holds a contributor's token."""
    with change(store, actor="grace") as opened:
        token = tokens.add_token(opened, "ada", role=Role.CONTRIBUTOR)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    import mlflow

    mlflow.set_tracking_uri(url)
    yield mlflow.MlflowClient()
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_experiment(experiment_id="0")
