"""A package index on this machine, and uv as a newcomer has it: nothing cached, no other index, no settings."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from environments.small import write_wheel

from modelwright.environments.inspection import Inspection, closure, inspect
from modelwright.environments.wheels import remake
from modelwright.records import Requirement

OURS = Path(sys.executable)


class Index:
    """A simple index (PEP 503) of wheels, which counts the files asked for and can keep the asker waiting."""

    def __init__(self, folder: Path) -> None:
        """Serve the wheels in `folder` on a free port."""
        self.asked_for_a_wheel = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.wheels_sent: list[str] = []
        self.folder = folder
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the index begins."""
        return f"http://127.0.0.1:{self._server.server_port}/simple/"

    def close(self) -> None:
        """Stop serving; ask again and the connection is refused."""
        if self._thread.is_alive():
            self.may_answer.set()
            self._server.shutdown()
            self._thread.join(120)
            self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    """Answers with a page of links for a name, and with the bytes for a wheel."""

    def __init__(self, index: Index, *arguments: object) -> None:
        self._index = index
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer one request."""
        name = self.path.rstrip("/").rpartition("/")[2]
        if name.endswith(".whl"):
            self._index.asked_for_a_wheel.set()
            self._index.may_answer.wait(60)
            self._index.wheels_sent.append(name)
            self._send((self._index.folder / name).read_bytes(), "application/octet-stream")
            return
        links = "".join(
            f'<a href="/{each.name}#sha256={hashlib.sha256(each.read_bytes()).hexdigest()}">{each.name}</a>\n'
            for each in self._index.folder.glob("*.whl")
            if each.name.partition("-")[0].replace("_", "-") == name
        )
        self._send(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html", 200 if links else 404)

    def do_HEAD(self) -> None:
        """Refuse: without ranges uv fetches the whole wheel."""
        self.send_error(405)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def ours() -> Inspection:
    """What the Python that runs the tests has."""
    return inspect(OURS)


@pytest.fixture(scope="session")
def click_pin(ours: Inspection) -> Requirement:
    """A small pure distribution without needs, as it is installed here."""
    return Requirement("click", ours.distributions["click"].version)


@pytest.fixture(scope="session")
def wheel_folder(ours: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of wheels of everything that click and pytest need."""
    folder = tmp_path_factory.mktemp("served")
    pins = [Requirement(name, ours.distributions[name].version) for name in ("click", "pytest")]
    for each in closure(pins, ours):
        wheel, _ = remake(each, folder / "made", inspection=ours)
        wheel.rename(folder / wheel.name)
    return folder


@pytest.fixture(autouse=True)
def _newcomers_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give uv an empty cache and an index that nobody serves."""
    for name in ("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_OFFLINE", "UV_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@pytest.fixture
def index(wheel_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serve the wheels as uv's only index."""
    served = Index(wheel_folder)
    monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
    yield served
    served.close()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serve small distributions in several versions as uv's only index: alpha needs beta, torch is a tiny one."""
    folder = tmp_path / "shelf"
    for name, version, requires in (
        ("alpha", "1.0", ("beta>=1",)),
        ("alpha", "1.1", ("beta>=1",)),
        ("beta", "1.0", ()),
        ("beta", "2.0", ()),
        ("gamma", "1.0", ()),
        ("torch", "2.1.0", ()),
        ("numpy", "1.26.4", ()),
    ):
        write_wheel(folder, name, version, requires=requires)
    served = Index(folder)
    monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
    yield served
    served.close()
