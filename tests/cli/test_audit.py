"""`wright audit`, `wright at`, `wright settings`, and the reasons that a workspace wants."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelwright import records
from modelwright.cli.moments import read_moment
from modelwright.cli.program import program
from modelwright.errors import (
    AuditDamaged,
    EndpointMissing,
    HistoryMissing,
    ModelMissing,
    ReasonMissing,
    RuleInvalid,
    RuleUnknown,
)
from modelwright.lifecycle import training
from modelwright.records import Artifact, DeploymentStatus, Kind, ModelVersion, PackageFile, Run, Status
from modelwright.serving import deployments
from modelwright.store import audit, endpoints, models, runs
from modelwright.store.changes import change
from modelwright.store.database import DATABASE, Store

Wright = Callable[..., Result]


@pytest.fixture
def wright(store: Store, monkeypatch: pytest.MonkeyPatch) -> Wright:
    """The command in this test's workspace; what it raises is raised."""
    monkeypatch.setenv("WRIGHT_WORKSPACE", str(store.folder))
    monkeypatch.setenv("WRIGHT_ACTOR", "ada")

    def call(*words: str) -> Result:
        done = CliRunner().invoke(program, words, standalone_mode=False)
        if done.exception:
            raise done.exception
        return done

    return call


@pytest.fixture
def version(store: Store) -> ModelVersion:
    """A version of a model whose files nobody will ask for."""
    draft = ModelVersion(
        id=records.new_id("version"),
        model="churn",
        version=0,
        digest="d" * 64,
        framework="custom",
        signature={},
        run_id=None,
        proof_id=None,
        environment_digest=None,
        created_at=records.now(),
        files=(PackageFile("model.pkl", "f" * 64, 3),),
    )
    with change(store, actor="bob", why="first try") as opened:
        added = models.add_version(opened, draft)
        models.move_alias(opened, added, alias="champion")
    return added


def _deploy(store: Store, version: ModelVersion) -> None:
    """Record a deployment that answers, without a process."""
    with change(store, actor="bob", why="go") as opened:
        place = endpoints.ensure_endpoint(opened, "churn", host="127.0.0.1")
        deployment = endpoints.add_deployment(opened, place, version=version)
        endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.HEALTHY)


def _answer(wright: Wright, *words: str) -> Any:
    return json.loads(wright(*words, "--json").stdout)


def _require(wright: Wright, *kinds: str) -> None:
    wright("settings", "set", "reasons-required", ",".join(kinds))


# --- list, verify, export


def test_what_was_done_is_listed_with_who_when_why_and_what_changed(
    wright: Wright, store: Store, version: ModelVersion
) -> None:
    with change(store, actor="eve", why="cleaner") as opened:
        models.describe_version(opened, version, "by hand")
        models.remove_alias(opened, "churn", alias="champion")
    shown = wright("audit", "list", "--subject", "models/churn").stdout
    for fact in (
        "bob",
        "model.registered",
        "models/churn:1",
        "first try",
        "description none → by hand",
        "version 1 → none",
    ):
        assert fact in shown
    assert shown.index("model.registered") < shown.index("alias.removed")
    assert [each["action"] for each in _answer(wright, "audit", "list", "--subject", "models/churn:1")] == [
        "model.registered",
        "model.described",
    ]


FOUND: dict[tuple[str, ...], list[str]] = {
    (): ["model.registered", "alias.moved", "endpoint.created", "deployment.started", "deployment.healthy"],
    ("--limit", "2"): ["deployment.started", "deployment.healthy"],
    ("--action", "deployment"): ["deployment.started", "deployment.healthy"],
    ("--action", "alias.moved"): ["alias.moved"],
    ("--actor", "nobody"): [],
    ("--until", "yesterday"): [],
    ("--since", "1 hour ago", "--limit", "1"): ["deployment.healthy"],
    ("--subject", "models/chur"): [],
    ("--subject", "models/churn@champion"): ["alias.moved"],
}


def test_records_are_found(wright: Wright, store: Store, version: ModelVersion) -> None:
    _deploy(store, version)
    for options, actions in FOUND.items():
        assert [each["action"] for each in _answer(wright, "audit", "list", *options)] == actions, options


def test_a_file_is_verified_without_a_workspace(
    wright: Wright, version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    wright("audit", "export", "--file", str(file))
    assert wright("audit", "export").stdout_bytes == file.read_bytes()
    head = _answer(wright, "audit", "verify")["head"]
    monkeypatch.setenv("WRIGHT_WORKSPACE", str(tmp_path / "nowhere"))
    assert f"head {head}" in wright("audit", "verify", str(file), "--head", head).stdout
    assert wright("audit", "verify", str(file), "--head", "0" * 63 + "1").return_value == 1
    file.write_bytes(file.read_bytes().replace(b"first try", b"first cry"))
    shown = CliRunner().invoke(program, ["audit", "verify", str(file)])
    assert shown.exit_code == 1
    assert "record 1 is not what was written" in shown.stdout


def test_a_database_that_was_changed_is_neither_whole_nor_exported(
    wright: Wright, store: Store, version: ModelVersion, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(store.folder / DATABASE)) as connection, connection:
        connection.execute("UPDATE audit_records SET actor = 'eve' WHERE sequence = 2")
    told = json.loads(CliRunner().invoke(program, ["audit", "verify", "--json"]).stdout)
    assert (told["is_whole"], told["broken_at"], told["count"]) == (False, 2, 1)
    with pytest.raises(AuditDamaged, match="record 2 is not what was written"):
        wright("audit", "export", "--file", str(tmp_path / "audit.jsonl"))
    assert [each.name for each in tmp_path.iterdir() if "jsonl" in each.name] == []


# --- settings


def test_settings_are_set_listed_and_unset_on_the_record(wright: Wright) -> None:
    unset = {"reasons-required": None, "loopback-trust": None}
    assert _answer(wright, "settings", "list") == unset
    wright("settings", "set", "reasons-required", "traffic, promotion", "--why", "audit of May")
    wright("settings", "set", "reasons-required", "promotion,traffic")  # the same
    assert _answer(wright, "settings", "list") == unset | {"reasons-required": "promotion,traffic"}
    assert "which changes need --why" in wright("settings", "list").stdout
    wright("settings", "unset", "reasons-required")
    wright("settings", "unset", "reasons-required")
    assert _answer(wright, "settings", "list") == unset
    first, second = _answer(wright, "audit", "list", "--subject", "settings")
    assert (first["why"], first["after"]) == ("audit of May", {"value": "promotion,traffic"})
    assert (second["before"], second["after"]) == ({"value": "promotion,traffic"}, {"value": None})


def test_settings_that_mean_nothing_are_refused(wright: Wright) -> None:
    with pytest.raises(RuleUnknown, match='no setting "reasons"; it has "reasons-required"'):
        wright("settings", "set", "reasons", "promotion")
    with pytest.raises(RuleInvalid, match="one or more of promotion, deletion, traffic"):
        wright("settings", "set", "reasons-required", "promotion,tea")
    with pytest.raises(RuleInvalid):
        wright("settings", "set", "reasons-required", " ")


# --- reasons


def test_an_alias_is_moved_and_removed_only_for_a_reason(wright: Wright, store: Store, version: ModelVersion) -> None:
    _require(wright, "promotion")
    told = r'every promotion: "alias\.moved" of "models/churn@candidate"'
    with pytest.raises(ReasonMissing, match=told), change(store, actor="ada", why="  ") as opened:
        models.move_alias(opened, version, alias="candidate")
    with pytest.raises(ReasonMissing), change(store, actor="ada") as opened:
        models.remove_alias(opened, "churn", alias="champion")
    assert models.get_version(store, version.id).aliases == ("champion",)
    with change(store, actor="ada", why="it is worse") as opened:
        models.remove_alias(opened, "churn", alias="champion")
    assert models.get_version(store, version.id).aliases == ()


def test_a_run_is_not_packaged_when_its_promotion_lacks_a_reason(
    wright: Wright, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _require(wright, "promotion")
    run = Run(records.new_id("run"), "small", Status.RUNNING, "", "", "", None, records.now(), kind=Kind.SCRIPT)
    with change(store, actor="ada") as opened:
        runs.add_run(opened, run, project_id=None)
        runs.add_artifacts(opened, run.id, artifacts=[Artifact("code/wright.toml", "0" * 64, 1)])
        runs.finish_run(opened, run.id, status=Status.SUCCEEDED, reason="")
    monkeypatch.setattr(training, "environment_of", lambda *_: pytest.fail("work was done"))
    with pytest.raises(ReasonMissing, match="promotion") as refused:
        wright("model", "register", run.id, "--name", "mine", "--description", "a model")
    told = f"""wright model register {run.id} --name mine --description 'a model' --why "TEXT\""""
    assert refused.value.next_command == told
    assert models.list_versions(store) == []


@pytest.mark.parametrize("kind", ["promotion", "traffic"])
def test_a_notebook_is_not_shipped_without_a_reason(
    wright: Wright, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    _require(wright, kind)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.ipynb").write_text("{}")
    before = audit.list_audit_records(store)
    with pytest.raises(ReasonMissing, match=f"every {kind}") as refused:
        wright("ship", "train.ipynb", "--name", "churn")
    assert refused.value.next_command == 'wright ship train.ipynb --name churn --why "TEXT"'
    assert audit.list_audit_records(store) == before
    assert not (tmp_path / "churn").exists()


def test_requests_move_only_for_a_reason(
    wright: Wright, store: Store, version: ModelVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _require(wright, "traffic")
    monkeypatch.setattr(deployments.packages, "check_servable", lambda _: None)
    with pytest.raises(ReasonMissing, match=r'"deployment\.started\" of "endpoints/churn"'):
        wright("endpoint", "deploy", "churn:1")
    assert endpoints.list_endpoints(store) == []

    _deploy(store, version)
    monkeypatch.setattr(deployments.control, "stop", lambda *_, **__: pytest.fail("it was stopped"))
    with pytest.raises(ReasonMissing, match=r'"deployment\.stopped\" of "endpoints/churn"'):
        wright("endpoint", "stop", "churn")
    monkeypatch.setattr(deployments.control, "is_running", lambda *_, **__: True)
    with pytest.raises(ReasonMissing, match=r'"endpoint\.down\" of "endpoints/churn"'):
        wright("down")
    monkeypatch.setattr(deployments.control, "stop", lambda *_, **__: True)
    wright("down", "--why", "the machine moves")
    wright("endpoint", "stop", "churn", "--why", "nobody asks it")
    down, stopped = _answer(wright, "audit", "list", "--limit", "2")
    assert (down["action"], down["why"]) == ("endpoint.down", "the machine moves")
    assert (stopped["action"], stopped["why"], stopped["actor"]) == ("deployment.stopped", "nobody asks it", "ada")


def test_deleting_needs_a_reason(wright: Wright, store: Store, version: ModelVersion) -> None:
    _deploy(store, version)
    _require(wright, "deletion")
    wright("endpoint", "stop", "churn")
    with pytest.raises(ReasonMissing, match="every deletion") as refused:
        wright("endpoint", "delete", "churn")
    assert (refused.value.status, refused.value.code) == (422, "reason-missing")
    assert [each.name for each in endpoints.list_endpoints(store)] == ["churn"]
    wright("endpoint", "delete", "churn", "--why", "replaced by another")
    shown = wright("audit", "list", "--subject", "endpoints/churn").stdout
    assert "replaced by another" in shown


def test_what_the_program_does_for_a_reason_of_its_own_passes(
    wright: Wright, store: Store, version: ModelVersion
) -> None:
    with change(store, actor="bob") as opened:
        place = endpoints.ensure_endpoint(opened, "churn", host="127.0.0.1")
        endpoints.add_deployment(opened, place, version=version)  # of a process that was killed
    _require(wright, "promotion", "deletion", "traffic")
    (failed,) = deployments.reconcile(store, actor="ada")
    assert failed.version == "churn:1"
    assert audit.list_audit_records(store)[-1]["why"] == "the process that deployed it was killed"


def test_a_change_that_needs_no_reason_takes_one(wright: Wright, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    wright("dataset", "add", "sales", str(tmp_path / "rows.csv"), "--why", "from the shop")
    wright("dataset", "tag", "sales", "kind=raw", "--why", "to find it")
    assert [each["why"] for each in _answer(wright, "audit", "list")] == ["from the shop", "to find it"]


# --- at


def test_what_was_live_then_is_one_question(wright: Wright, store: Store, version: ModelVersion) -> None:
    before = records.now().isoformat()
    _deploy(store, version)
    live = records.now().isoformat()
    place = endpoints.get_endpoint(store, "churn")
    with change(store, actor="ada") as opened:
        endpoints.note_running(opened, place, is_running=False)
    down = records.now().isoformat()
    with change(store, actor="ada") as opened:
        endpoints.note_running(opened, place, is_running=True)
    up = records.now().isoformat()
    wright("endpoint", "stop", "churn")
    wright("endpoint", "delete", "churn", "--why", "over")
    with pytest.raises(EndpointMissing):
        wright("endpoint", "show", "churn")

    for moment, serves, told in (
        (live, "churn:1", "served churn:1"),
        (down, None, "served nothing"),
        (up, "churn:1", "served churn:1"),
    ):
        shown = wright("at", moment, "endpoint", "show", "churn").stdout
        assert shown.startswith("as of 20")
        assert told in shown
        assert _answer(wright, "at", moment, "endpoint", "show", "churn")["serves"] == serves
        assert _answer(wright, "at", moment, "endpoint", "list")[0]["serves"] == serves
    assert "deployed  " in wright("at", live, "model", "show", "churn@champion").stdout
    with pytest.raises(EndpointMissing):
        wright("at", before, "endpoint", "show", "churn")
    with pytest.raises(ModelMissing):
        wright("at", "2020-01-01", "model", "show", "churn")


def test_json_is_the_only_thing_on_standard_output(wright: Wright, version: ModelVersion) -> None:
    for words in (("at", "now", "model", "list", "--json"), ("at", "--json", "now", "model", "list")):
        assert [each["version"] for each in json.loads(wright(*words).stdout)] == [1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("at", "now", "settings", "set", "a", "b"), '"settings set" only knows how things are now'),
        (("at", "now", "endpoint"), "these can look back: audit list, dataset list"),
        (("at", "now", "run", "churn"), "No such command"),
        (("at", "now", "nonsense"), "No such command"),
        (("at", "2999-01-01", "model", "list"), "is still to come"),
        (("at", "teatime", "model", "list"), '"teatime" is not a time such as'),
        (("audit", "list", "--since", "2026-13-01"), "is not a time such as"),
    ],
)
def test_what_cannot_be_answered_is_wrong_usage(words: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 2
    assert told in done.output


def test_times_from_before_the_records_say_what_they_replaced_are_refused(
    wright: Wright, store: Store, version: ModelVersion
) -> None:
    moment = records.now().isoformat()
    with change(store, actor="ada") as opened:
        models.describe_version(opened, version, "by an older release")
    with closing(sqlite3.connect(store.folder / DATABASE)) as connection, connection:
        connection.execute("UPDATE audit_records SET undo = NULL WHERE sequence = 3")
    with pytest.raises(HistoryMissing, match="not on record: what changes replaced is kept since"):
        wright("at", moment, "model", "list")
    assert len(_answer(wright, "at", "now", "model", "list")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-03T12:00Z", datetime(2026, 3, 3, 12, tzinfo=UTC)),
        ("2026-03-03T12:00+02:00", datetime(2026, 3, 3, 10, tzinfo=UTC)),
        ("2026-03-03", datetime(2026, 3, 3).astimezone()),
        ("2026-03-03 12:30:15", datetime(2026, 3, 3, 12, 30, 15).astimezone()),
        ("2 hours ago", datetime(2026, 5, 5, 10, 30, tzinfo=UTC)),
        ("1 week ago", datetime(2026, 4, 28, 12, 30, tzinfo=UTC)),
        ("now", datetime(2026, 5, 5, 12, 30, tzinfo=UTC)),
        ("today", datetime(2026, 5, 5).astimezone()),
        ("yesterday", datetime(2026, 5, 4).astimezone()),
    ],
)
def test_times_are_read_as_people_type_them(text: str, expected: datetime) -> None:
    now = datetime(2026, 5, 5, 12, 30, tzinfo=UTC)
    assert read_moment(text, now=now) == expected
    assert read_moment(text, now=now).utcoffset() == timedelta(0)
