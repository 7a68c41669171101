"""What tests of the HTTP API share: a workspace with something in it, served by a real process."""

import http.client
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import conftest
import pytest
from api import world

import modelwright
from modelwright.api import server
from modelwright.client import Client
from modelwright.lifecycle.sessions import Session
from modelwright.records import Role
from modelwright.store import database, rules, tokens
from modelwright.store.database import Store


@dataclass
class Served:
    """A furnished workspace, where it is served, and tokens by their roles; `names` are of what is there."""

    store: Store
    url: str
    tokens: dict[Role, str]
    names: dict[str, list[Any]]
    connection: http.client.HTTPConnection

    def client(self, role: Role = Role.OWNER) -> Client:
        return modelwright.connect(self.url, self.tokens[role])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests of a file: they change different things, or nothing."""
    folder = tmp_path_factory.mktemp("served")
    store = database.open_store(folder / ".wright")
    session = Session(store, "ada")
    names = world.furnish(session, conftest.write_project(folder))
    with session.change() as opened:
        made = {role: tokens.add_token(opened, role, role=role) for role in Role}
        rules.set_rule(opened, rules.LOOPBACK_TRUST, "off")
    url = str(server.start(store))
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    yield Served(store, url, made, names, connection)
    connection.close()
    server.stop(store)
    store.close()
    shutil.rmtree(folder)
