"""`wright endpoint` keys, tokens, limits, logs and top, as users type them, of a real endpoint that asks for keys."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from serving import servable

from modelwright.cli.program import program
from modelwright.errors import EndpointMissing, KeyUnfit, ModelwrightError
from modelwright.lifecycle.sessions import Session
from modelwright.serving import control, deployments
from modelwright.settings import runtime_folder
from modelwright.store import audit, database
from modelwright.store.database import Store

SCRIPT = """
import sys
def init():
    pass

def run(data):
    print("scoring", data)
    print("WARNING of the script", file=sys.stderr)
    return {number}
"""


def _run(store: Store, *arguments: str, **options: Any) -> Result:
    result = CliRunner().invoke(program, ["--workspace", str(store.folder), "endpoint", *arguments], **options)
    if isinstance(result.exception, ModelwrightError):
        raise result.exception
    return result


def _wright(store: Store, *arguments: str, **options: Any) -> str:
    result = _run(store, *arguments, **options)
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(store: Store, *arguments: str) -> Any:
    return json.loads(_wright(store, *arguments, "--json"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, dict[str, str]]]:
    """A workspace whose endpoint was deployed where others reach it, and what was printed of its keys then."""
    store = database.open_store(tmp_path_factory.mktemp("shop") / ".wright")
    servable.add_version(Session(store, "ada"), script=SCRIPT, number=7)
    told = _wright(store, "deploy", "churn:1", "--host", "0.0.0.0")
    keys = dict(re.findall(r"^(primary|secondary) key, shown this once: (\S+)$", told, re.MULTILINE))
    yield store, keys
    control.stop("churn", runtime_folder=runtime_folder(store.folder))
    store.close()


def test_whoever_is_reached_from_outside_asks_for_a_key(shop: tuple[Store, dict[str, str]]) -> None:
    store, keys = shop
    assert keys.keys() == {"primary", "secondary"}
    refused = _run(store, "score", "churn", "--data", "[1]")
    assert refused.exit_code == 1
    assert "A valid key is needed" in refused.stdout
    assert "next: wright endpoint token churn" in refused.stderr
    assert _wright(store, "score", "churn", "--data", "[1]", "--key", keys["secondary"]) == "7\n"
    given = _wright(store, "score", "churn", "--data", "[1]", env={"WRIGHT_ENDPOINT_KEY": keys["primary"]})
    assert given == "7\n"
    shown = _json(store, "keys", "churn")
    assert shown["is_required"]
    assert [each["kind"] for each in shown["keys"]] == ["primary", "secondary"]
    assert shown["keys"][0].keys() == {"kind", "created_at", "expires_at"}


def test_keys_are_made_anew_and_tokens_expire(shop: tuple[Store, dict[str, str]]) -> None:
    store, _ = shop
    own = "my-own-key-which-is-long"
    assert _wright(store, "regenerate", "churn", "secondary", "--key", "-", input=f"{own}\n") == f"{own}\n"
    assert _wright(store, "score", "churn", "--data", "[1]", "--key", own) == "7\n"
    token = _json(store, "token", "churn", "--hours", "0.5")
    assert token.keys() == {"token", "expires_at", "refresh_after"}
    assert _wright(store, "score", "churn", "--data", "[1]", "--key", token["token"]) == "7\n"
    assert _json(store, "revoke", "churn")["revoked"] == 1
    assert _run(store, "score", "churn", "--data", "[1]", "--key", token["token"]).exit_code == 1
    with pytest.raises(KeyUnfit):
        _wright(store, "regenerate", "churn", "primary", "--key", "short")
    with pytest.raises(EndpointMissing):
        _wright(store, "token", "nobody")
    told = {each["action"] for each in audit.find_audit_records(store)}
    assert {"endpoint.key_regenerated", "endpoint.token_made", "endpoint.tokens_revoked"} <= told


def test_deploying_again_needs_no_key_and_makes_none(shop: tuple[Store, dict[str, str]]) -> None:
    store, _ = shop
    servable.add_version(Session(store, "ada"), script=SCRIPT, number=8)
    assert "key" not in _wright(store, "deploy", "churn:2")
    key = _wright(store, "regenerate", "churn", "primary").strip()
    assert _wright(store, "score", "churn", "--data", "[1]", "--key", key) == "8\n"


def test_limits_are_set_shown_and_kept(shop: tuple[Store, dict[str, str]]) -> None:
    store, _ = shop
    key = _wright(store, "regenerate", "churn", "primary").strip()
    told = _json(store, "set", "churn", "--max-body-bytes", "10", "--timeout-ms", "5000")
    assert (told["max_body_bytes"], told["timeout_ms"], told["auth"]) == (10, 5000, "on")
    refused = _json_of(_run(store, "score", "churn", "--data", "x" * 11, "--key", key, "--json"))
    assert refused["status"] == 413
    assert re.search(r"^max_body_bytes +10$", _wright(store, "set", "churn"), re.MULTILINE)
    assert _json(store, "set", "churn", "--max-body-bytes", "1000")["timeout_ms"] == 5000
    assert _json(store, "set", "churn", "--auth", "off")["auth"] == "off"
    assert _wright(store, "score", "churn", "--data", "[1]").strip() in {"7", "8"}
    _json(store, "set", "churn", "--auth", "on")


def test_logs_are_picked_by_request_and_level(shop: tuple[Store, dict[str, str]]) -> None:
    store, _ = shop
    key = _wright(store, "token", "churn").split()[0]
    number = _json_of(_run(store, "score", "churn", "--data", "[5]", "--key", key, "--json"))["request_id"]
    lines = _json(store, "logs", "churn", "--request", number)["lines"]
    assert [(each["level"], each["text"]) for each in lines] == [
        ("info", "scoring [5]"),
        ("warning", "WARNING of the script"),
    ]
    assert {each["request_id"] for each in lines} == {number}
    worse = _wright(store, "logs", "churn", "--request", number, "--level", "warning")
    assert "WARNING of the script" in worse
    assert "scoring" not in worse


def test_a_server_that_is_started_again_takes_the_same_keys(shop: tuple[Store, dict[str, str]]) -> None:
    store, _ = shop
    key = _wright(store, "regenerate", "churn", "secondary").strip()
    control.stop("churn", runtime_folder=runtime_folder(store.folder))
    assert [each.name for each in deployments.up(store, actor="ada")] == ["churn"]
    assert _run(store, "score", "churn", "--data", "[1]").exit_code == 1
    assert _run(store, "score", "churn", "--data", "[1]", "--key", key).exit_code == 0


def test_top_tells_of_the_server_and_of_each_deployment(shop: tuple[Store, dict[str, str]]) -> None:
    store, _ = shop
    told = _json(store, "top", "churn", "--interval", "0.1")["loads"]
    front, *deployments = told
    assert front["deployment"] == ""
    assert front["memory_bytes"] > 1_000_000
    assert sum(each["share"] for each in deployments) == 100
    assert all(each["is_ready"] and each["memory_bytes"] > 1_000_000 for each in deployments)
    table = _wright(store, "top", "--once", "--interval", "0.1")
    assert "  churn:2" in table
    assert "p99 ms" in table


def test_no_key_is_in_the_workspace_or_the_log(shop: tuple[Store, dict[str, str]]) -> None:
    store, keys = shop
    for path in store.folder.rglob("*"):
        if path.is_file() and not _is_built(path, store.folder):
            content = path.read_bytes()
            assert not any(key.encode() in content for key in keys.values()), path


def _is_built(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).parts[0] in {"environments", "blobs"}


def _json_of(result: Result) -> Any:
    return json.loads(result.stdout)
