"""Asks a guest in this process, as its worker would."""

import itertools
import json
import pickle
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from modelwright.models.guest.answering import Answering
from modelwright.models.guest.codes import Route
from modelwright.models.guest.messages import Call, Reply
from modelwright.models.guest.models import Model
from modelwright.models.guest.scripts import Script

JSON = {"Content-Type": "application/json"}
_NUMBERS = itertools.count(1)


def script(text: str, *, package: Path = Path("nowhere")) -> Answering:
    """Return what answers for a scoring script of this text, whose package is that folder."""
    module = ModuleType("score")
    exec(compile(textwrap.dedent(text), "score.py", "exec"), vars(module))
    served = Script(module)
    module.init()
    return Answering(served, reference="diabetes:1", package=package)


def model(fitted: object, package: Path, *, framework: str = "sklearn", signature: object = None) -> Answering:
    """Return what answers for a fitted model in a package of its own."""
    folder = package / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(fitted))
    if signature is not None:
        (package / "signature.json").write_text(json.dumps(signature))
    return Answering(Model(framework, folder, package), reference="diabetes:1", package=package)


def call(
    route: Route = Route.SCORE,
    body: str | bytes | dict[str, Any] | list[Any] = b"",
    *,
    headers: dict[str, str] | None = None,
    method: str = "POST",
    path: str = "/score",
    query: str = "",
) -> Call:
    """Return a request; a body that is no text is sent as JSON."""
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    given = JSON if headers is None else headers
    head = json.dumps({"headers": given, "method": method, "path": path, "query": query}).encode()
    return Call(next(_NUMBERS), route, "an-id", head, data)


def plain(body: object) -> Call:
    """Return a request of JSON to `/score` as a front sends it to who takes no head."""
    return Call(next(_NUMBERS), Route.SCORE, "an-id", b"", json.dumps(body).encode())


def told(reply: Reply) -> Any:
    """Return an answer's body read as JSON."""
    return json.loads(reply.body)
