"""What is used cannot be deleted, and what was deleted is remembered."""

import json
from collections.abc import Callable

import pytest
from integrity import things

from modelwright.errors import (
    DeletedMeanwhile,
    DeploymentHasTraffic,
    DeploymentMissing,
    EndpointMissing,
    EnvironmentMissing,
    InUse,
    ModelMissing,
    RunMissing,
    VersionNotNamed,
)
from modelwright.lifecycle import deletion
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import DeploymentStatus, Reproduction, Sameness, Status, Use, new_id, now
from modelwright.runs.active import run_folder
from modelwright.serving import deployments
from modelwright.store import audit, claims, datasets, endpoints, environments, models, reproductions, runs
from modelwright.store.changes import change


def _users(delete: Callable[[], object]) -> set[tuple[str, str, str]]:
    """Return the kinds, references and commands of those who keep something from being deleted."""
    with pytest.raises(InUse) as refused:
        delete()
    assert refused.value.status == 409
    users = [each for each in refused.value.details()["users"] if isinstance(each, Use)]  # type: ignore[attr-defined]
    for each in users:
        assert str(each) in str(refused.value)
    return {(each.kind, each.reference, each.command) for each in users}


def _deleted(session: Session, subject: str) -> dict[str, object]:
    """Return the audit record of a deletion."""
    (found,) = [
        each for each in audit.list_audit_records(session.store, subject=subject) if "deleted" in each["action"]
    ]
    return found


@pytest.mark.parametrize("status", [each for each in DeploymentStatus if each is not DeploymentStatus.STARTING])
def test_a_version_is_kept_by_any_deployment_whatever_became_of_it(session: Session, status: DeploymentStatus) -> None:
    version = things.add_version(session)
    things.deploy(session, version, status, endpoint="live")
    ((kind, name, command),) = _users(lambda: deletion.delete_model(session, "churn:1"))
    assert (kind, name) == ("deployment", "live")
    assert command.endswith("wright endpoint undeploy live churn:1")
    if status is DeploymentStatus.HEALTHY:
        with pytest.raises(DeploymentHasTraffic, match="is all that serves there"):
            deployments.undeploy(session.store, "live", "churn:1", actor="ada")
        with change(session.store, actor="ada") as opened:
            (found,) = endpoints.list_deployments(session.store)
            endpoints.set_deployment_status(opened, found, status=DeploymentStatus.STOPPED)
    deployments.undeploy(session.store, "live", "churn:1", actor="ada", why="an accident")
    (forgotten,) = [each for each in audit.list_audit_records(session.store) if each["action"] == "deployment.deleted"]
    assert (forgotten["subject"], forgotten["why"]) == ("endpoints/live", "an accident")
    assert [each["version"] for each in forgotten["before"]["deployments"]] == ["churn:1"]
    deletion.delete_model(session, "churn:1")
    with pytest.raises(ModelMissing):
        models.find_version(session.store, "churn:1")


def test_a_version_that_is_being_deployed_is_kept_and_one_whose_deployment_was_killed_too(session: Session) -> None:
    deployment = things.deploy(session, things.add_version(session), DeploymentStatus.STARTING)
    with claims.claim(session.store, deployment.id):
        ((_, _, command),) = _users(lambda: deletion.delete_model(session, "churn:1"))
        assert command.startswith("wait until it has started")
        with pytest.raises(InUse):
            deployments.delete(session.store, "churn", actor="ada")
        with pytest.raises(InUse):
            deployments.undeploy(session.store, "churn", "churn:1", actor="ada")
    ((_, _, command),) = _users(lambda: deletion.delete_model(session, "churn:1"))
    assert command == "wright endpoint undeploy churn churn:1"
    deployments.delete(session.store, "churn", actor="ada")
    (record,) = [each for each in audit.list_audit_records(session.store) if each["action"] == "endpoint.deleted"]
    assert [each["version"] for each in record["before"]["deployments"]] == ["churn:1"]
    deletion.delete_model(session, "churn:1")
    with pytest.raises(EndpointMissing):
        deployments.undeploy(session.store, "churn", "churn:1", actor="ada")


def test_a_deployment_that_was_forgotten_cannot_become_healthy(session: Session) -> None:
    version = things.add_version(session)
    deployment = things.deploy(session, version, DeploymentStatus.FAILED)
    deployments.undeploy(session.store, "churn", "churn:1", actor="ada")
    with pytest.raises(DeletedMeanwhile), change(session.store, actor="ada") as opened:
        endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.HEALTHY)
    with pytest.raises(DeploymentMissing):
        deployments.undeploy(session.store, "churn", "churn:1", actor="ada")


def test_all_that_uses_a_version_is_told_at_once(session: Session) -> None:
    version = things.add_version(session)
    things.add_version(session, parent=version)
    for endpoint in ("one", "two"):
        things.deploy(session, version, DeploymentStatus.FAILED, endpoint=endpoint)
    with session.change() as opened:
        for alias in ("champion", "candidate"):
            models.move_alias(opened, version, alias=alias)
    assert _users(lambda: deletion.delete_model(session, "churn:1")) == {
        ("deployment", "one", "wright endpoint undeploy one churn:1"),
        ("deployment", "two", "wright endpoint undeploy two churn:1"),
        ("alias", "churn@champion", "wright model unalias churn@champion"),
        ("alias", "churn@candidate", "wright model unalias churn@candidate"),
        ("model", "churn:2", "wright model delete churn:2"),
    }
    assert [each.reference for each in models.list_versions(session.store)] == ["churn:2", "churn:1"]


def test_what_a_deleted_version_was_is_on_record_and_its_number_is_not_given_again(session: Session) -> None:
    run = things.add_run(session)
    version = things.add_version(session, run=run)
    folder = packages.package_folder(session.store, version)
    folder.mkdir(parents=True)
    deletion.delete_model(session, "churn:1")
    assert not folder.exists()
    record = _deleted(session, "models/churn:1")
    assert (record["action"], record["actor"], record["why"]) == ("model.deleted", "ada", "no longer needed")
    before = record["before"]
    assert isinstance(before, dict)
    assert (before["digest"], before["run_id"], before["created_by"]) == (version.digest, run.id, "ada")
    assert {each["path"]: each["digest"] for each in before["files"]} == {
        each.path: each.digest for each in version.files
    }
    assert things.add_version(session).reference == "churn:2"
    with pytest.raises(ModelMissing):
        deletion.delete_model(session, "churn:1")


def test_the_event_of_a_deletion_says_what_is_gone(session: Session) -> None:
    run = things.add_run(session)
    version = things.add_version(session, run=run)
    things.deploy(session, version, DeploymentStatus.FAILED, endpoint="live")
    published = things.publish(session)
    with session.change() as opened:
        models.move_alias(opened, version, alias="champion")
        models.remove_alias(opened, "churn", alias="champion")
    deployments.undeploy(session.store, "live", "churn:1", actor="ada")
    deletion.delete_model(session, "churn:1")
    deletion.delete_pipeline(session, published.reference)
    deletion.delete_run(session, run.id)
    deletion.delete_environment(session, run.environment_digest)
    told = {each["type"]: each["data"] for each in audit.list_events(session.store)}
    assert told["alias.removed"] == {"model": "churn", "alias": "champion", "version": 1}
    assert told["deployment.deleted"] == {"endpoint": "live", "models": ["churn:1"]}
    assert told["model.deleted"] == told["model.registered"]
    assert told["model.deleted"]["digest"] == version.digest
    assert told["pipeline.deleted"]["version"] == published.version
    assert (told["run.deleted"]["status"], told["run.deleted"]["properties"]["project"]) == ("succeeded", "small")
    assert told["environment.deleted"] == {"digest": run.environment_digest}
    assert all(told[name] for name in told if name.endswith((".deleted", ".removed")))
    assert _deleted(session, "models/churn:1")["after"] is None


def test_a_run_is_kept_by_its_versions_by_reuse_and_by_runs_below_it(session: Session) -> None:
    run = things.add_run(session)
    things.add_version(session, run=run)
    reusing = things.add_run(session, reused=run)
    child = things.add_run(session, parent=run)
    assert _users(lambda: deletion.delete_run(session, run.id)) == {
        ("model", "churn:1", "wright model delete churn:1"),
        ("run", reusing.id, f"wright run delete {reusing.id}"),
        ("run", child.id, f"wright run delete {child.id}"),
    }
    deletion.delete_model(session, "churn:1")
    deletion.delete_run(session, reusing.id)
    deletion.delete_run(session, child.id)
    run_folder(session.store, run.id).mkdir(parents=True)
    deletion.delete_run(session, run.id)
    assert runs.list_runs(session.store) == []
    assert not run_folder(session.store, run.id).exists()


def test_a_running_run_is_kept_until_it_has_ended(session: Session) -> None:
    run = things.add_run(session, status=Status.RUNNING)
    with claims.claim(session.store, run.id):
        assert _users(lambda: deletion.delete_run(session, run.id)) == {("run", run.id, f"wright run cancel {run.id}")}
    deletion.delete_run(session, run.id)  # its process is gone, so it has failed
    with pytest.raises(RunMissing):
        deletion.delete_run(session, run.id)


def test_a_run_goes_with_all_runs_below_it_or_not_at_all(session: Session) -> None:
    parent = things.add_run(session)
    child = things.add_run(session, parent=parent, reused=parent)
    grandchild = things.add_run(session, parent=child)
    things.add_version(session, run=grandchild)
    assert _users(lambda: deletion.delete_run(session, parent.id, with_children=True)) == {
        ("model", "churn:1", "wright model delete churn:1")
    }
    assert len(runs.list_runs(session.store)) == 3
    deletion.delete_model(session, "churn:1")
    deleted = deletion.delete_run(session, parent.id, with_children=True)
    assert [each.id for each in deleted] == [grandchild.id, child.id, parent.id]
    assert runs.list_runs(session.store) == []


def test_a_run_that_reproduced_a_version_is_kept_by_it_and_goes_after_it(session: Session) -> None:
    version = things.add_version(session)
    run = things.add_run(session)
    again = Reproduction(new_id("reproduction"), "churn:1", Sameness.IDENTICAL, "", "", now(), run.id)
    with session.change() as opened:
        reproductions.add_reproduction(opened, again, version_id=version.id)
    assert _users(lambda: deletion.delete_run(session, run.id)) == {("model", "churn:1", "wright model delete churn:1")}
    deletion.delete_model(session, "churn:1")
    deletion.delete_run(session, run.id)


def test_the_code_of_runs_goes_with_the_last_of_them_and_is_on_record(session: Session) -> None:
    first, second = things.add_run(session, code="x"), things.add_run(session, code="x")
    deletion.delete_run(session, first.id)
    assert "code" not in _deleted(session, f"runs/{first.id}")["before"]  # type: ignore[operator]
    assert list(runs.list_code(session.store, second)) == ["file-0"]
    deletion.delete_run(session, second.id)
    assert runs.list_code(session.store, second) == {}
    assert json.dumps(_deleted(session, f"runs/{second.id}")["before"]).count(things.hexadecimal("x")) == 2


def test_data_is_kept_by_runs_and_versions_and_a_dataset_goes_when_all_of_it_can(session: Session) -> None:
    one, two = things.add_data(session, "one"), things.add_data(session, "two")
    run = things.add_run(session, data=[one])
    things.add_version(session, data=two)
    by_run = ("run", run.id, f"wright run delete {run.id}")
    by_version = ("model", "churn:1", "wright model delete churn:1")
    assert _users(lambda: deletion.delete_dataset(session, "sales:1")) == {by_run}
    assert _users(lambda: deletion.delete_dataset(session, "sales:2")) == {by_version}
    assert _users(lambda: deletion.delete_dataset(session, "sales")) == {by_run, by_version}
    deletion.delete_model(session, "churn:1")
    deletion.delete_dataset(session, "sales:2")
    deletion.delete_run(session, run.id)
    with session.change() as opened:
        datasets.change_tags(opened, "sales", added={"owner": "ada"})
    assert [each.reference for each in deletion.delete_dataset(session, "sales")] == ["sales:1"]
    assert datasets.list_datasets(session.store) == []
    assert _deleted(session, "datasets/sales:1")["before"]["tags"] == {"owner": "ada"}  # type: ignore[index]
    assert things.add_data(session, "one").reference == "sales:3"


def test_an_environment_is_kept_as_long_as_something_runs_or_ran_in_it(session: Session) -> None:
    version = things.add_environment(session)
    run, published = things.add_run(session), things.publish(session)
    things.add_version(session, run=run)
    users = {
        ("run", run.id, f"wright run delete {run.id}"),
        ("model", "churn:1", "wright model delete churn:1"),
        ("pipeline", "small:1", "wright pipeline delete small:1"),
    }
    assert _users(lambda: deletion.delete_environment(session, "production:1")) == users
    by_name = ("environment", "production:1", "wright environment delete production:1")
    assert _users(lambda: deletion.delete_environment(session, version.digest)) == {*users, by_name}
    things.add_environment(session, "other")
    deletion.delete_environment(session, "production:1")  # which leaves the lock its other name
    assert environments.get_environment(session.store, version.digest)
    deletion.delete_model(session, "churn:1")
    deletion.delete_run(session, run.id)
    deletion.delete_pipeline(session, published.reference)
    deletion.delete_environment(session, "other:1")
    assert environments.find_environments(session.store, version.digest) == []
    assert _deleted(session, "environments/other:1")["before"]["lock_text"] == "nothing\n"  # type: ignore[index]
    assert things.add_environment(session).reference == "production:2"


def test_an_environment_of_a_step_is_kept_by_its_run(session: Session) -> None:
    run = things.add_run(session)
    other = things.lock("other\n")
    with session.change() as opened:
        environments.ensure_environment(opened, other)
        runs.link_environments(opened, run.id, [other.digest, run.environment_digest])
        runs.link_environments(opened, run.id, [other.digest])
    by_run = ("run", run.id, f"wright run delete {run.id}")
    assert _users(lambda: deletion.delete_environment(session, other.digest)) == {by_run}
    deletion.delete_run(session, run.id)
    deletion.delete_environment(session, other.digest)


def test_a_lock_without_a_name_is_deleted_by_its_digest(session: Session) -> None:
    run = things.add_run(session)
    digest = run.environment_digest
    assert _users(lambda: deletion.delete_environment(session, digest[:12])) == {
        ("run", run.id, f"wright run delete {run.id}")
    }
    deletion.delete_run(session, run.id)
    deletion.delete_environment(session, digest[:12])
    with pytest.raises(EnvironmentMissing):
        deletion.delete_environment(session, digest[:12])


def test_a_published_version_is_kept_by_its_runs_and_clones(session: Session) -> None:
    first = things.publish(session)
    second = things.publish(session, content="other", parent=first)
    run = things.add_run(session, published=second)
    assert _users(lambda: deletion.delete_pipeline(session, "small:1")) == {
        ("pipeline", "small:2", "wright pipeline delete small:2")
    }
    assert _users(lambda: deletion.delete_pipeline(session, "small:2")) == {
        ("run", run.id, f"wright run delete {run.id}")
    }
    deletion.delete_run(session, run.id)
    deletion.delete_pipeline(session, "small:2")
    deletion.delete_pipeline(session, "small:1")
    assert things.publish(session).reference == "small:3"


def test_only_a_number_says_which_version_is_to_be_deleted(session: Session) -> None:
    things.add_version(session)
    things.publish(session)
    things.add_environment(session)
    things.add_data(session)
    for delete, reference in (
        (deletion.delete_model, "churn"),
        (deletion.delete_pipeline, "small"),
        (deletion.delete_environment, "production"),
        (deletion.delete_dataset, "sales:latest"),
    ):
        with pytest.raises(VersionNotNamed, match="NAME:VERSION"):
            delete(session, reference)


def test_what_a_row_would_point_to_in_vain_is_said_in_our_words(session: Session) -> None:
    version, run = things.add_version(session), things.add_run(session)
    deletion.delete_model(session, "churn:1")
    deletion.delete_run(session, run.id)
    with pytest.raises(ModelMissing), session.change() as opened:
        models.move_alias(opened, version, alias="champion")
    with pytest.raises(ModelMissing):
        things.deploy(session, version, DeploymentStatus.STARTING)
    with pytest.raises(DeletedMeanwhile):
        things.add_version(session, run=run)
    with pytest.raises(RunMissing), session.change() as opened:
        runs.resume_run(opened, run.id)
    assert endpoints.list_endpoints(session.store) == []
