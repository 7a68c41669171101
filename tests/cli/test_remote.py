"""The same commands with a workspace elsewhere: the installed program against a real server over a real socket."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from journeys.terminal import until
from lifecycle.events.receivers import receiving, reply

from modelwright.api import server
from modelwright.api.app import create_app
from modelwright.cli.login import login
from modelwright.cli.program import program
from modelwright.cli.remote import calling
from modelwright.cli.remote.rights import LOCAL, RIGHTS
from modelwright.errors import ParcelInvalid, TokenUnknown, WorkspaceNotReached
from modelwright.lifecycle import parcels
from modelwright.lifecycle.sessions import Session
from modelwright.records import Role, Status
from modelwright.settings import child_environment
from modelwright.store import audit, datasets, events, runs, tokens
from modelwright.store.database import Store


@dataclass
class Elsewhere:
    """A workspace with a server, and a user's folder that is none of the workspace's."""

    store: Store
    url: str
    folder: Path

    def token(self, role: Role) -> str:
        with Session(self.store, "grace").change() as opened:
            return tokens.add_token(opened, f"a {role}", role=role)

    def start(self, *words: str | Path, token: str = "", **options: Any) -> subprocess.Popen[str]:
        variables = {"HOME": str(self.folder), "WRIGHT_WORKSPACE": self.url, "WRIGHT_TOKEN": token}
        return subprocess.Popen(
            [Path(sys.executable).with_name("wright"), *words],
            **{
                "cwd": self.folder,
                "env": child_environment(variables),
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
            }
            | options,
        )

    def wright(self, *words: str | Path, token: str = "", expect: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, token=token)
        out, err = process.communicate(timeout=300)
        assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str | Path, token: str = "", expect: int = 0) -> Any:
        return json.loads(self.wright(*words, "--json", token=token, expect=expect).stdout)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    """A workspace that is served, and a folder with a small file."""
    from modelwright.store import database

    store = database.open_store(tmp_path / "there" / ".wright")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    yield Elsewhere(store, str(server.start(store)), folder)
    server.stop(store)
    store.close()


def _commands(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found
            yield from _commands(found, f"{path} {name}".strip())
    else:
        yield path, command


def test_the_table_of_rights_names_what_there_is() -> None:
    commands = dict(_commands(program))
    assert set(RIGHTS) | set(LOCAL) == set(commands)
    for path, right in RIGHTS.items():
        named = {*right.reads, *right.writes, *right.may_read, *right.there}
        assert named <= {each.name for each in commands[path].params}, path
        files = {each.name for each in commands[path].params if isinstance(each.type, click.Path | click.File)}
        assert files <= named, f"whose files are they, for {path}?"


def test_a_command_takes_the_role_of_its_route() -> None:
    document = create_app(Path("nowhere")).openapi()
    same = {
        "capture compact": "POST /captures/{endpoint}/compact",
        "capture dataset": "POST /captures/{endpoint}/datasets",
        "capture delete": "DELETE /captures/{endpoint}/requests",
        "capture label": "POST /captures/{endpoint}/labels",
        "capture set": "PATCH /captures/{endpoint}/settings",
        "dataset add": "POST /datasets/{name}/uploads",
        "dataset delete": "DELETE /datasets/{name}",
        "dataset tag": "PATCH /datasets/{name}/tags",
        "endpoint delete": "DELETE /endpoints/{name}",
        "endpoint deploy": "POST /endpoints/{name}/deployments",
        "endpoint regenerate": "POST /endpoints/{name}/keys/{kind}",
        "endpoint restart": "POST /endpoints/{name}/restart",
        "endpoint revoke": "DELETE /endpoints/{name}/tokens",
        "endpoint rollback": "POST /endpoints/{name}/rollback",
        "endpoint scale": "PUT /endpoints/{name}/workers",
        "endpoint score": "POST /endpoints/{name}/score",
        "endpoint set": "PATCH /endpoints/{name}/settings",
        "endpoint stop": "POST /endpoints/{name}/stop",
        "endpoint token": "POST /endpoints/{name}/tokens",
        "endpoint traffic": "PUT /endpoints/{name}/traffic",
        "endpoint undeploy": "DELETE /endpoints/{name}/deployments/{deployment}",
        "endpoint update": "PUT /endpoints/{name}/deployments/{deployment}",
        "event pause": "POST /subscriptions/{name}/pause",
        "event replay": "POST /deliveries/{delivery}/replay",
        "event resume": "POST /subscriptions/{name}/resume",
        "event rotate": "POST /subscriptions/{name}/secret",
        "event subscribe": "POST /subscriptions",
        "event test": "POST /subscriptions/{name}/test",
        "event unsubscribe": "DELETE /subscriptions/{name}",
        "model alias": "PUT /models/{name}/aliases/{alias}",
        "model delete": "DELETE /models/{name}/versions/{version}",
        "model import": "POST /models/{name}/imports",
        "model rename": "PUT /models/{name}/name",
        "model register": "POST /models/{name}/versions",
        "model tag": "PATCH /models/{name}/versions/{version}/tags",
        "pipeline publish": "POST /pipelines",
        "pipeline run": "POST /pipelines/{reference}/runs",
        "rollout start": "POST /rollouts",
        "rollout abort": "POST /rollouts/{endpoint}/abort",
        "run cancel": "POST /runs/{run_id}/cancel",
        "run delete": "DELETE /runs/{run_id}",
        "run resume": "POST /runs/{run_id}/resume",
        "schedule add": "POST /schedules",
        "schedule remove": "DELETE /schedules/{name}",
        "settings set": "PUT /settings/{name}",
        "token create": "POST /tokens",
        "token list": "GET /tokens",
        "token revoke": "DELETE /tokens/{name}",
    }
    for command, route in same.items():
        method, _, path = route.partition(" ")
        told = document["paths"][path][method.lower()]["description"]
        assert f"**{RIGHTS[command].role}**" in told, command


def test_files_go_there_and_come_back(elsewhere: Elsewhere, tmp_path: Path) -> None:
    assert elsewhere.wright("dataset", "add", "rows", "rows.csv").stdout.startswith("rows:1")
    assert elsewhere.wright("dataset", "export", "rows:1", "deep").stdout == "deep  1 file, 8 bytes\n"
    assert (elsewhere.folder / "deep" / "rows.csv").read_text() == "a,b\n1,2\n"
    far = tmp_path / "far"
    assert elsewhere.json("dataset", "export", "rows", far)["folder"] == str(far)
    assert (far / "rows.csv").exists()

    refused = elsewhere.json("dataset", "export", "rows", far, expect=1)["error"]
    assert (refused["code"], str(far) in refused["message"]) == ("folder-taken", True)
    assert [each.name for each in far.iterdir()] == ["rows.csv"]
    (elsewhere.folder / "audit.json").write_text("former")
    elsewhere.wright("audit", "export", "--file", "audit.json")
    assert "dataset.registered" in (elsewhere.folder / "audit.json").read_text()
    assert list((elsewhere.store.folder / "scratch").iterdir()) == []


def test_words_errors_and_exit_codes_are_as_at_home(elsewhere: Elsewhere) -> None:
    for words in (
        ["run", "show", "run_1"],
        ["run", "shew"],
        ["nonsense"],
        ["run", "list", "--limit", "x"],
        ["run", "list"],
    ):
        there = elsewhere.start(*words)
        at_home = elsewhere.start("--workspace", str(elsewhere.store.folder), *words)
        assert there.communicate(timeout=300) == at_home.communicate(timeout=300)
        assert there.returncode == at_home.returncode
    told = elsewhere.wright("up", expect=1).stderr
    assert '[not-from-elsewhere] "wright up"' in told
    assert elsewhere.json("run", "list", token="wright_guessed", expect=1)["error"]["code"] == "token-unknown"
    nowhere = elsewhere.wright("--workspace", "http://127.0.0.1:1", "run", "list", expect=1).stderr
    assert "[workspace-not-reached]" in nowhere


def test_what_is_no_workspace_is_told_and_no_token_is_shown() -> None:
    for url in ("http://127.0.0.1:port", "http://[::1", "http://"):
        with pytest.raises(WorkspaceNotReached), calling.asking(url, "GET", "/whoami"):
            pass
    with receiving(lambda _: reply(body=b"<html>")) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        with pytest.raises(WorkspaceNotReached, match="no workspace"):
            calling.holder(url, "wright_secret")
        with pytest.raises(TokenUnknown) as shown:
            calling.holder(url, "wright_secret\nx")
        assert "wright_secret" not in str(shown.value)
        given_none = CliRunner().invoke(login, [url], input="\n")
        assert (given_none.exit_code, "there is no token" in given_none.stderr) == (2, True)
        assert len(receiver.requests) == 1


def test_a_reader_changes_nothing_and_who_is_revoked_is_refused_at_once(elsewhere: Elsewhere) -> None:
    reader, contributor = elsewhere.token(Role.READER), elsewhere.token(Role.CONTRIBUTOR)
    assert elsewhere.json("dataset", "list", token=reader) == []
    for token, words in (
        (reader, ("dataset", "add", "rows", "rows.csv")),
        (reader, ("at", "yesterday", "dataset", "add", "rows", "rows.csv")),
        (contributor, ("endpoint", "traffic", "live", "a=1")),
        (contributor, ("token", "create", "eve", "--role", "owner")),
        (contributor, ("dataset", "add", "rows", "--query", "select 1", "--source", "/etc/passwd")),
        (contributor, ("gc",)),
    ):
        process = elsewhere.start(*words, "--json", token=token)
        out, err = process.communicate(timeout=300)
        assert process.returncode in {1, 2}, out
        assert "role-too-low" in out or "only knows how things are now" in err
    assert datasets.list_datasets(elsewhere.store) == []
    assert {each["action"] for each in audit.list_audit_records(elsewhere.store)} == {"token.created"}

    elsewhere.wright("dataset", "add", "rows", "rows.csv", token=contributor)
    actors = {each["action"]: each["actor"] for each in audit.list_audit_records(elsewhere.store)}
    assert actors["dataset.registered"] == "a contributor"
    with Session(elsewhere.store, "grace").change() as opened:
        tokens.revoke(opened, "a contributor")
    refused = elsewhere.json("dataset", "list", token=contributor, expect=1)["error"]
    assert (refused["code"], refused["next_command"]) == ("token-unknown", f"wright login {elsewhere.url}")


def _call(url: str, words: list[str], files: dict[str, bytes], **more: object) -> tuple[int, list[dict[str, Any]]]:
    """Send what no client of ours would, and return the answer's status and its lines."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        told = json.dumps({"words": words, **more}).encode()
        for name, content in {"call.json": told, **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    request = urllib.request.Request(
        f"{url}/commands", data=body.getvalue(), headers={"Content-Type": "application/x-tar"}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, [json.loads(line) for line in answer]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, [json.load(error)]


def test_no_client_reaches_the_servers_own_files(elsewhere: Elsewhere, tmp_path: Path) -> None:
    secret = tmp_path / "there" / "secret.csv"
    secret.write_text("a\n1\n")
    other = tmp_path / "other"
    for words in (
        ["dataset", "add", "x", str(secret)],
        ["dataset", "add", "x", "../../../../../secret.csv"],
        ["dataset", "add", "x", f"./a/../{secret}"],
        ["dataset", "add", "x", "~/.wright"],
        ["model", "import", str(secret)],
        ["model", "register", str(secret), "--name", "x"],
        ["run", "start", str(tmp_path)],
        ["--workspace", str(other), "dataset", "list"],
        ["--workspace", str(other), "settings", "set", "loopback-trust", "off"],
    ):
        status, lines = _call(elsewhere.url, words, {})
        assert (status, lines[-1]["exit"] in {1, 2}) == (200, True), lines
        assert str(secret) not in json.dumps(lines[-1])
    target = tmp_path / "written"
    _, lines = _call(elsewhere.url, ["audit", "export", "--file", str(target)], {}, wants=[str(secret)])
    assert [line for line in lines if "parcel" in line and len(line["parcel"]) > 20_000] == []
    assert not target.exists()
    assert not other.exists()
    assert datasets.list_datasets(elsewhere.store) == []


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "files/../../outside", "files/a/../../../outside"])
def test_a_parcel_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ParcelInvalid):
        parcels.unpack(_parcel(name), tmp_path / "deep" / "here")
    assert not list(tmp_path.rglob("outside*"))


def _parcel(*names: str) -> io.BytesIO:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    body.seek(0)
    return body


@pytest.mark.parametrize("names", [("twice", "twice"), ("file", "file/below"), ("x" * 300,)])
def test_names_that_cannot_be_are_told_without_the_servers_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ParcelInvalid) as refused:
        parcels.unpack(_parcel(*names), tmp_path / "deep")
    assert str(tmp_path) not in str(refused.value)


def test_a_full_disk_is_not_the_parcels_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        parcels.unpack(_parcel("file"), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_without_end_is_not_read_into_memory(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("endless")
    header.type, header.size = kind, 1 << 33
    body = io.BytesIO(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(ParcelInvalid, match="no end"):
        parcels.unpack(body, tmp_path)


def test_a_parcel_has_no_links(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as archive:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        body.seek(0)
        with pytest.raises(ParcelInvalid):
            parcels.unpack(body, tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ParcelInvalid):
        parcels.pack(io.BytesIO(), tmp_path, ["here"])


def test_broken_calls_are_refused(elsewhere: Elsewhere) -> None:
    for more in ({"zone": "/etc/passwd"}, {"screen": {"kind": "x\n"}}, {"screen": {"columns": 0}}, {"role": "owner"}):
        status, [told] = _call(elsewhere.url, ["run", "list"], {}, **more)
        assert (status, told["error"]["code"]) == (400, "parcel-invalid")
    request = urllib.request.Request(f"{elsewhere.url}/commands", data=b"no archive")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value:
        assert json.load(refused.value)["error"]["code"] == "parcel-invalid"
    assert list((elsewhere.store.folder / "scratch").iterdir()) == []


def test_ctrl_c_ends_the_command_there(elsewhere: Elsewhere, locked: Path) -> None:
    train = locked / "src" / "small" / "train.py"
    train.write_text(train.read_text().replace('print("fitting")', "import time; time.sleep(600)"))
    process = elsewhere.start("run", "start", locked, "--no-gate")

    def is_at_work() -> bool:
        found = runs.list_runs(elsewhere.store, status=Status.RUNNING)
        return any(each.name == "fit" for run in found for each in runs.get_run(elsewhere.store, run.id).steps)

    until(is_at_work, "the run to be at its long step")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    until(lambda: not runs.list_runs(elsewhere.store, status=Status.RUNNING), "the run to end")
    [run] = runs.list_runs(elsewhere.store)
    assert run.status == "cancelled"
    until(lambda: not list((elsewhere.store.folder / "scratch").iterdir()), "what was sent to be deleted")


def test_how_many_events_led_to_a_command_is_known_there(elsewhere: Elsewhere) -> None:
    variables = {"HOME": str(elsewhere.folder), "WRIGHT_WORKSPACE": elsewhere.url, "WRIGHT_EVENT_HOPS": "3"}
    told = elsewhere.start("settings", "set", "reasons-required", "deletion", env=child_environment(variables))
    assert (told.communicate(timeout=300)[1], told.returncode) == ("", 0)
    (event,) = events.list_events(elsewhere.store, types="setting.changed")
    assert event.hops == 3


def test_a_terminal_is_a_terminal_there(elsewhere: Elsewhere) -> None:
    import pty

    elsewhere.wright("dataset", "add", "rows", "rows.csv")
    reading, writing = pty.openpty()
    with os.fdopen(reading, "rb", buffering=0) as terminal:
        process = elsewhere.start("dataset", "list", stdout=writing)
        os.close(writing)
        shown = b""
        while b"rows:1" not in shown:
            shown += terminal.read(4096)
        assert b"\x1b[1m" in shown
        assert process.wait(300) == 0
        if process.stderr:
            process.stderr.close()


def test_a_login_is_kept_for_its_user_alone(elsewhere: Elsewhere) -> None:
    token = elsewhere.token(Role.READER)
    process = elsewhere.start("login", elsewhere.url, stdin=subprocess.PIPE)
    out, err = process.communicate(f"{token}\n", timeout=300)
    assert out.startswith('you are "a reader" there, reader; the token is kept in'), err
    kept = elsewhere.folder / ".config" / "modelwright" / "logins.json"
    assert (kept.stat().st_mode & 0o777, token in kept.read_text()) == (0o600, True)
    assert elsewhere.json("dataset", "add", "rows", "rows.csv", expect=1)["error"]["code"] == "role-too-low"
    assert elsewhere.json("logout", elsewhere.url) == {"forgotten": True}
    assert elsewhere.json("dataset", "add", "rows", "rows.csv")["reference"] == "rows:1"


def test_standard_input_goes_along(elsewhere: Elsewhere) -> None:
    process = elsewhere.start("endpoint", "score", "live", stdin=subprocess.PIPE)
    _, err = process.communicate('{"data": [1]}', timeout=300)
    assert "[endpoint-missing]" in err
