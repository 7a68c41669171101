"""What models are called, were called, and cannot be called."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from integrity import things

from modelwright.cli.program import program
from modelwright.errors import ModelExists, ModelMissing, ModelNameInUse, ModelNameUsed, ModelRenamed
from modelwright.lifecycle import garbage, labelling, lineage
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import DeploymentStatus, VersionFilter
from modelwright.serving import deployments
from modelwright.store import approvals, audit, deletion, models, named_models
from modelwright.store.database import Store


@pytest.fixture
def session(store: Store) -> Session:
    """Ada at work in a workspace with a model of two versions."""
    session = Session(store, "ada")
    things.add_version(session)
    version = things.add_version(session)
    with session.change() as opened:
        models.move_alias(opened, version, alias="champion")
        approvals.add_approval(opened, "models/churn:2", stage="production", is_approved=True)
    return session


def _refused(error: type[Exception], act: Callable[[], object], *, told: str) -> None:
    with pytest.raises(error, match=told):
        act()


def test_all_that_is_known_of_a_model_is_known_under_its_new_name(session: Session) -> None:
    store = session.store
    labelling.rename_model(session, "churn", "leavers")
    version = models.find_version(store, "leavers@champion")
    assert (version.reference, version.created_by) == ("leavers:2", "ada")
    assert approvals.find_approval(store, "models/leavers:2", stage="production")
    history = [(each["action"], each["subject"]) for each in models.list_history(store, "leavers")]
    assert history[:2] == [("model.registered", "models/churn:1"), ("model.registered", "models/churn:2")]
    assert history[-1] == ("model.renamed", "models/leavers")
    assert [each["subject"] for each in models.list_history(store, "leavers", alias="champion")] == [
        "models/churn@champion"
    ]
    found = lineage.why(store, "leavers:2")
    node = found.nodes[found.root]
    assert (node.name, node.facts["by"], node.facts["aliases"]["champion"]["by"]) == ("leavers:2", "ada", "ada")


def test_the_old_name_says_the_new_one_and_nothing_else_gets_it(session: Session) -> None:
    store = session.store
    labelling.rename_model(session, "churn", "leavers")
    labelling.rename_model(session, "leavers", "goers")
    for name in ("churn", "leavers"):
        told = f'model "{name}" is called "goers" now'
        for reference in (name, f"{name}:1", f"models:/{name}/1", f"{name}@champion"):
            _refused(ModelRenamed, lambda: models.find_version(store, reference), told=told)  # noqa: B023 - called at once
        _refused(ModelRenamed, lambda: models.list_history(store, name), told=told)  # noqa: B023
        _refused(ModelRenamed, lambda: models.list_versions(store, VersionFilter(model=name)), told=told)  # noqa: B023
        _refused(ModelRenamed, lambda: lineage.why(store, f"{name}:1"), told=told)  # noqa: B023
        _refused(ModelRenamed, lambda: things.add_version(session, model=name), told=told)  # noqa: B023
    with pytest.raises(ModelRenamed) as caught:
        models.find_version(store, "models:/churn/1")
    assert caught.value.next_command == "wright model show goers:1"
    things.add_version(session, model="other")
    _refused(ModelRenamed, lambda: labelling.rename_model(session, "other", "churn"), told='called "goers" now')
    _refused(ModelExists, lambda: labelling.rename_model(session, "other", "goers"), told="is there already")
    _refused(ModelMissing, lambda: labelling.rename_model(session, "none", "some"), told='no model "none"')


def test_renaming_it_back_undoes_it_and_numbers_go_on(session: Session) -> None:
    labelling.rename_model(session, "churn", "leavers")
    things.add_version(session, model="leavers")
    labelling.rename_model(session, "leavers", "churn")
    assert things.add_version(session).reference == "churn:4"
    with pytest.raises(ModelRenamed, match='"leavers" is called "churn" now'):
        models.find_version(session.store, "leavers:3")


def test_no_number_is_given_twice_under_any_name(session: Session) -> None:
    labelling.rename_model(session, "churn", "leavers")
    with session.change() as opened:
        models.remove_alias(opened, "leavers", alias="champion")
        deletion.delete_model_line(opened, named_models.find_model(session.store, "leavers"))
    things.add_version(session, model="other")
    for name in ("churn", "leavers"):
        with pytest.raises(ModelNameUsed, match="versions up to 2"):
            labelling.rename_model(session, "other", name)
    assert things.add_version(session).reference == "churn:3"
    with session.change() as opened:
        named_models.add_model(opened, "empty", tags={})
    labelling.rename_model(session, "empty", "leavers")
    assert things.add_version(session, model="leavers").reference == "leavers:3"


def test_what_is_deployed_keeps_its_name(session: Session) -> None:
    things.deploy(session, models.find_version(session.store, "churn:1"), DeploymentStatus.STOPPED, endpoint="live")
    with pytest.raises(ModelNameInUse, match="model churn is deployed and keeps its name") as refused:
        labelling.rename_model(session, "churn", "leavers")
    assert [str(each) for each in refused.value.users] == [
        "deployment live (churn:1 is stopped there); to free it: wright endpoint undeploy live churn:1"
    ]
    deployments.undeploy(session.store, "live", "churn:1", actor="ada")
    labelling.rename_model(session, "churn", "leavers")


def test_who_looked_before_it_was_renamed_changes_nothing_under_the_old_name(session: Session) -> None:
    version = models.find_version(session.store, "churn:1")
    labelling.rename_model(session, "churn", "leavers")
    for act in (
        lambda opened: models.move_alias(opened, version, alias="candidate"),
        lambda opened: models.change_tags(opened, version, added={"a": "b"}),
        lambda opened: models.describe_version(opened, version, "late"),
        lambda opened: models.add_properties(opened, version, {"a": "b"}),
    ):
        with pytest.raises(ModelRenamed), session.change() as opened:
            act(opened)


def test_what_was_restored_under_the_old_name_goes(session: Session) -> None:
    folder = packages.package_folder(session.store, models.find_version(session.store, "churn:1"))
    folder.mkdir(parents=True)
    labelling.rename_model(session, "churn", "leavers")
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    assert garbage.collect(session).folders == ("packages/churn",)


def test_the_command_tells_what_it_did_and_how_to_undo_it(session: Session) -> None:
    command = ["--workspace", str(session.store.folder), "model", "rename"]
    done = CliRunner().invoke(program, [*command, "churn", "leavers", "--why", "clearer"])
    assert done.stdout == "churn is called leavers now\n  undo: wright model rename leavers churn\n"
    (record,) = audit.list_audit_records(session.store, subject="models/leavers")
    assert (record["action"], record["why"], record["before"]) == ("model.renamed", "clearer", {"model": "churn"})
    (event,) = audit.list_events(session.store, subject="models/leavers")
    assert event["data"] == {"model": "leavers", "was": "churn"}
    assert CliRunner().invoke(program, [*command, "leavers:1", "x"]).exit_code == 2
    assert CliRunner().invoke(program, [*command, "leavers", "leavers"]).stdout == "leavers is called that already\n"
    told = json.loads(CliRunner().invoke(program, [*command, "leavers", "churn", "--json"]).stdout)
    assert (told["name"], told["aliases"]) == ("churn", {"champion": 2})
