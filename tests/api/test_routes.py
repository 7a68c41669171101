"""Every route of the HTTP API, as the OpenAPI document tells of it, over a real socket."""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from api.conftest import Served
from openapi_spec_validator import validate

from modelwright.api.app import create_app
from modelwright.records import Role
from modelwright.store import audit

ROOT = Path(__file__).parents[2]
DOCUMENT = create_app(Path("nowhere")).openapi()
OPERATIONS = [
    (method, path, told)
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
    if path != "/commands"  # it takes parcels alone, and has tests of its own
]
# Each has broken some server: no text, a number that no database holds, not a number, a path out of here.
NASTY = ["\0", "..", "ü" * 90, "x" * 5000, str(2**64), "'"]
BODIES = [
    b"",
    b"{}",
    b"null",
    b'"\\ud800"',
    b'{"hours": NaN}',
    b"[" * 2000,
    b'{"name": "a\\u0000b", "version": 18446744073709551616, "text": "\\u0000", "hours": 1e308, "run": "/etc/passwd"}',
]
# What these start takes seconds, and has tests of its own.
STARTS = {"/pipelines/{reference}/runs", "/schedules/{name}/runs"}


def ask(
    served: Served, method: str, path: str, *, body: bytes | None = None, role: Role = Role.OWNER
) -> tuple[int, Any, str]:
    headers = {"Authorization": f"Bearer {served.tokens[role]}", "Content-Type": "application/json"}
    served.connection.request(method.upper(), path, body, headers)
    answer = served.connection.getresponse()
    kind, found = answer.headers.get_content_type(), answer.read()
    return answer.status, json.loads(found) if kind == "application/json" else found, kind


def filled(path: str, names: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: quote(str(names[found[1]]), safe=""), path)


def paths(served: Served, path: str) -> Iterator[str]:
    """Give the path with names of what is there, then with what breaks servers in the place of each name."""
    known = {name: values[0] for name, values in served.names.items()}
    yield filled(path, known)
    for name in re.findall(r"\{(\w+)\}", path):
        for each in NASTY:
            yield filled(path, known | {name: each.encode("utf-8", "surrogatepass").decode("utf-8", "replace")})


def check(told: dict[str, Any], status: int, body: Any, kind: str) -> None:
    """Fail unless the document has this answer."""
    answers = told["responses"]
    said = answers.get(str(status)) or answers[f"{status // 100}XX"]
    assert kind in said["content"], (status, kind)
    if kind == "application/json":
        schema = said["content"][kind]["schema"] | {"components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)


def test_the_document_is_valid_and_says_of_every_route_what_it_is_and_takes() -> None:
    validate(DOCUMENT)
    assert len({told["operationId"] for _, _, told in OPERATIONS}) == len(OPERATIONS)
    for method, path, told in OPERATIONS:
        assert told["summary"], path
        assert told["tags"], path
        assert {"401", "4XX"} <= told["responses"].keys(), path
        assert re.search(r"Takes the role \*\*(reader|contributor|deployer|owner)\*\*", told["description"]), path
        assert method == "get" or "**reader**" not in told["description"], path
        assert {"HTTPBearer": []} in told["security"], path


@pytest.mark.parametrize(("method", "path", "told"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
def test_a_route_answers_whatever_is_asked_and_as_the_document_says(
    served: Served, method: str, path: str, told: dict[str, Any]
) -> None:
    there, *elsewhere = paths(served, path)
    looks = method in {"get", "delete"}
    calls = [(each, None if looks else b"{}") for each in elsewhere]
    if path not in STARTS:
        calls += [(f"{there}?limit=-1&after=%00&wait=nan&since=now&lines=1e9&{quote('ü')}=%ff", None)]
    if method == "get":
        calls += [(there, None)]
    elif method != "delete" and path not in STARTS:  # what is there is to be there for the others
        calls += [(there, each) for each in BODIES]
    for place, body in calls:
        status, answer, kind = ask(served, method, place, body=body)
        assert status < 500, (place, body, answer)
        check(told, status, answer, kind)


def test_a_reader_changes_nothing_by_any_route(served: Served) -> None:
    before = audit.find_audit_records(served.store, limit=1)[0]["sequence"]
    for method, path, _ in OPERATIONS:
        if method != "get":
            place = next(paths(served, path))
            status, answer, _ = ask(served, method, place, body=b"{}", role=Role.READER)
            assert (status, answer["error"]["code"]) == (403, "role-too-low"), (method, path)
    assert audit.find_audit_records(served.store, limit=1)[0]["sequence"] == before


def test_a_role_is_asked_of_every_route_that_its_description_names(served: Served) -> None:
    below = {Role.DEPLOYER: Role.CONTRIBUTOR, Role.OWNER: Role.DEPLOYER}
    for method, path, told in OPERATIONS:
        for needed, lower in below.items():
            if f"**{needed}**" in told["description"]:
                status, answer, _ = ask(served, method, next(paths(served, path)), body=b"{}", role=lower)
                assert (status, answer["error"]["code"]) == (403, "role-too-low"), (method, path)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "route-missing"),
        ("GET", "/models/churn/nothing", None, 404, "route-missing"),
        ("DELETE", "/models", None, 405, "method-not-allowed"),
        ("PUT", "/runs/run_1/note", b'{"text": "' + b"x" * 5_000_000 + b'"}', 413, "request-too-large"),
        ("PUT", "/runs/run_1/note", b'{"text": "\\ud800"}', 422, "request-invalid"),
        ("GET", "/models?limit=0", None, 422, "request-invalid"),
        ("GET", "/runs?after=run_9&limit=1", None, 200, ""),
        (
            "POST",
            "/subscriptions",
            b'{"name": "x", "file": {"path": "' + b"0" * 4000 + b'"}}',
            400,
            "subscriber-invalid",
        ),
        (
            "POST",
            "/subscriptions",
            b'{"name": "x", "file": {"path": "~nobody-is-called-so/x"}}',
            400,
            "subscriber-invalid",
        ),
        ("GET", "/datasets?after=nothing", None, 422, "page-unknown"),
        ("GET", "/audit?since=0001-01-01T00:00:00%2B14:00", None, 422, "request-invalid"),
        ("GET", "/captures/live/requests?until=9999-12-31T23:59:59-12:00", None, 422, "request-invalid"),
        ("DELETE", "/captures/live/requests?before=9999-12-31T23:59:59-12:00", None, 422, "request-invalid"),
        ("POST", "/tokens", b'{"name": "", "role": "reader"}', 400, "name-invalid"),
        ("POST", "/tokens", b'{"name": "ada ", "role": "reader"}', 400, "name-invalid"),
        ("POST", "/tokens", b'{"name": "a\\u0000b", "role": "reader"}', 400, "name-invalid"),
        ("POST", "/datasets/sales/uploads", b"no archive", 400, "parcel-invalid"),
    ],
)
def test_what_cannot_be_asked_is_explained_in_the_one_shape(
    served: Served, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    got, answer, _ = ask(served, method, path, body=body)
    assert got == status
    if code:
        assert answer["error"]["code"] == code
        assert answer["error"]["message"]
        assert answer["error"]["next_command"]


def test_no_refusal_tells_where_the_server_keeps_what_was_sent(served: Served) -> None:
    for path, body in (
        ("/models/churn/imports", b"no archive"),
        ("/pipelines", _archive("notes.txt")),
        ("/models/churn/uploads?score=none.py", _archive("notes.txt")),
    ):
        status, answer, _ = ask(served, "POST", path, body=body)
        assert (status // 100, "next_command" in answer["error"]) == (4, True)
        assert str(served.store.folder) not in json.dumps(answer), path


def _archive(name: str) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return body.getvalue()


def test_what_reaches_into_the_machine_takes_an_owner(served: Served) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "runs": {"command": {"command": "true"}},
        "writes": {"file": {"path": "events.jsonl"}},
        "asks": {"webhook": {"url": "http://127.0.0.1:9/", "is_private_allowed": True, "is_vouched_for": True}},
    }
    for name, handler in wanted.items():
        body = json.dumps({"name": name, **handler}).encode()
        status, answer, _ = ask(served, "POST", "/subscriptions", body=body, role=Role.DEPLOYER)
        assert (status, answer["error"]["code"]) == (403, "role-too-low")
        status, made, _ = ask(served, "POST", "/subscriptions", body=body)
        assert (status, made["subscription"]["name"], made["subscription"]["state"]) == (201, name, "active")
        assert ask(served, "DELETE", f"/subscriptions/{name}", role=Role.DEPLOYER)[0] == 200
    watching = b'{"name": "new", "pipeline": "small", "when": {"kind": "path", "value": "/etc/*"}}'
    assert ask(served, "POST", "/schedules", body=watching, role=Role.DEPLOYER)[0] == 403
    listening = b'{"version": "churn:9", "host": "0.0.0.0"}'
    assert ask(served, "POST", "/endpoints/live/deployments", body=listening, role=Role.DEPLOYER)[0] == 403
    assert ask(served, "POST", "/endpoints/live/deployments", body=listening)[0] == 404
    both = json.dumps({"name": "both", **wanted["runs"], **wanted["writes"]}).encode()
    assert ask(served, "POST", "/subscriptions", body=both)[0] == 422


def test_the_page_shows_every_route_and_needs_no_other_host(served: Served) -> None:
    status, page, kind = ask(served, "GET", "/docs")
    assert (status, kind) == (200, "text/html")
    text = page.decode()
    assert all(f"<code>{path}</code>" in text for path in DOCUMENT["paths"])
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|<script|@import|url\(", text)
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links <= set(re.findall(r'id="([^"]+)"', text))


def test_where_to_look_is_an_address_whatever_the_name(served: Served) -> None:
    name = quote("\U00073fc9 ü")
    for wait in (0, 60):
        status, answer, _ = ask(served, "POST", f"/endpoints/{name}/restart?wait={wait}")
        assert status in {202, 404}, answer


def test_every_route_is_documented_with_its_role() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    told = set(re.findall(r"^\| `([A-Z]+) (/\S*)` \| (\w+) \|", page, re.MULTILINE))
    assert told == {
        (method.upper(), path, re.findall(r"Takes the role \*\*(\w+)\*\*", operation["description"])[0])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }
